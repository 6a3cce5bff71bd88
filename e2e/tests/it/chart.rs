//! The chart, judged by the real helm and a real API server.
//!
//! A release claims names that exist once per cluster, so each test here that needs a cluster starts a control plane of its
//! own (no node: nothing has to run). `UPDATE_GOLDEN=1` writes the recorded rights anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drover_crds::OwnerKind;
use drover_e2e::{Testbed, binary, eventually, finish, repository, run};
use serde_json::{Value, json};

/// Numbers of the control planes that these tests start: one per test, so that they may run at the same time.
const FRESH: u32 = 41;
const AFTER_KUBECTL: u32 = 42;
const RIGHTS: u32 = 43;
const ACTING: u32 = 44;

const CONTROLLER: &str = "system:serviceaccount:drover-system:drover";

#[test]
fn helm_finds_nothing_to_say_about_the_chart() {
    for values in value_files() {
        let lint = run(helm().arg("lint").arg("--strict").arg(chart()).arg("--values").arg(&values));
        assert!(lint.contains("0 chart(s) failed"), "{lint}");
    }
}

#[test]
fn the_chart_installs_this_version() {
    let described = run(helm().args(["show", "chart"]).arg(chart()));
    let version = env!("CARGO_PKG_VERSION");
    for field in ["version", "appVersion"] {
        assert!(
            described.lines().any(|line| line == format!("{field}: {version}")),
            "{field} is not {version}:\n{described}"
        );
    }
}

#[test]
fn every_generated_file_is_current() {
    run(Command::new(repository().join("packaging/generate")).arg("--check").env("DROVER", binary()));
}

/// The names of all definitions.
fn definitions() -> [String; OwnerKind::ALL.len()] {
    OwnerKind::ALL.map(|kind| kind.crd().metadata.name.expect("a definition has a name"))
}

#[test]
fn the_chart_brings_the_definitions_unchanged_and_keeps_them() {
    let is_definition = |object: &Value| object["kind"] == "CustomResourceDefinition";
    let wanted = objects(&std::fs::read_to_string(repository().join("manifests/crds.yaml")).expect("the definitions"));
    let mut rendered = objects(&run(helm().args(["template", "drover"]).arg(chart())));
    rendered.retain(is_definition);
    for definition in &mut rendered {
        let annotations = definition["metadata"].as_object_mut().and_then(|metadata| metadata.remove("annotations"));
        assert_eq!(annotations, Some(json!({"helm.sh/resource-policy": "keep"})));
    }
    let kinds: Vec<_> = wanted.iter().map(|definition| definition["spec"]["names"]["kind"].clone()).collect();
    assert_eq!(kinds, OwnerKind::ALL.map(OwnerKind::as_str));
    assert!(rendered == wanted, "`helm template` changes the definitions: compare it with manifests/crds.yaml");
    let without = objects(&run(helm().args(["template", "drover", "--set", "crds.install=false"]).arg(chart())));
    assert!(!without.iter().any(is_definition));
}

#[test]
fn the_chart_lets_a_namespace_in_as_the_command_line_does() {
    let allow = run(Command::new(binary()).args(["allow", "shop", "--dry-run", "-o", "yaml"]));
    let mut template = helm();
    template.args(["template", "drover", "--namespace", "drover-system", "--set", "namespaces={shop}"]).arg(chart());
    let chart = run(template.args(["--show-only", "templates/namespaces.yaml"]));
    let [by_command, by_chart] = [allow, chart].map(|text| {
        let mut objects = objects(&text);
        for object in &mut objects {
            // Who made it is the only difference.
            object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("labels")).expect("labels");
        }
        objects.sort_by_key(Value::to_string);
        objects
    });
    assert_eq!(by_command.len(), 4);
    assert_eq!(by_command, by_chart);
}

#[test]
fn a_mistyped_value_is_refused_by_name() {
    for (set, complaint) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("crds.instal=false", "at '/crds': additional properties 'instal' not allowed"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("namespaces={Shop}", "at '/namespaces/0': 'Shop' does not match pattern"),
        ("image.digest=sha256:12", "at '/image/digest'"),
        ("ingress.enabled=true", "ingress.host must name the host"),
        ("serviceAccount.create=false", "serviceAccount.name must name an existing service account"),
    ] {
        let finished = finish(helm().args(["template", "drover", "--set", set]).arg(chart()), "");
        assert!(finished.code != 0 && finished.stderr.contains(complaint), "--set {set}: {}", finished.said());
    }
}

#[tokio::test]
async fn a_release_is_installed_upgraded_and_uninstalled() {
    let cluster = ControlPlane::start(FRESH);
    cluster.kubectl(&["create", "namespace", "shop"]);
    cluster.kubectl(&["create", "namespace", "drover-system"]);
    // The strictest of Kubernetes' own rules for pods applies where drover runs.
    cluster.kubectl(&["label", "namespace", "drover-system", "pod-security.kubernetes.io/enforce=restricted"]);

    cluster.helm(&["install", "--set", "namespaces={shop}"]);
    let definitions = definitions().map(|name| format!("crd/{name}"));
    let wait = ["wait", "--for=condition=Established"].into_iter();
    cluster.kubectl(&wait.chain(definitions.iter().map(String::as_str)).collect::<Vec<_>>());
    holds("the controller's pod is admitted", || {
        cluster.names("pods", "drover-system").iter().any(|name| name.starts_with("pod/drover-"))
    })
    .await;
    assert_eq!(cluster.names("poddisruptionbudgets", "drover-system"), [""; 0]);
    assert_eq!(cluster.names("serviceaccounts", "shop"), ["serviceaccount/default", "serviceaccount/drover"]);

    cluster.helm(&["upgrade", "--set", "namespaces={shop}", "--set", "replicas=2"]);
    assert_eq!(cluster.names("poddisruptionbudgets", "drover-system"), ["poddisruptionbudget.policy/drover"]);
    let replicas = ["get", "deployment", "drover", "-n", "drover-system", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(cluster.kubectl(&replicas), "2");

    let environment = r#"{"apiVersion": "drover.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "prod"},
        "spec": {"source": {"url": "https://git.example.org/shop.git", "ref": {"branch": "prod"}}}}"#;
    cluster.pipe(&["create", "-n", "shop", "-f", "-"], environment);
    cluster.helm(&["uninstall", "--wait"]);
    assert_eq!(cluster.names("deployments,services,roles,rolebindings", "drover-system"), [""; 0]);
    assert_eq!(cluster.names("rolebindings", "shop"), [""; 0]);
    let left = cluster.names("clusterroles,clusterrolebindings", "drover-system");
    assert_eq!(left.iter().filter(|name| name.contains("drover")).count(), 0, "{left:?}");
    assert_eq!(cluster.names("environments", "shop"), ["environment.drover.dev/prod"]);

    cluster.helm(&["install"]);
    assert_eq!(cluster.names("environments", "shop"), ["environment.drover.dev/prod"]);
}

#[test]
fn definitions_that_kubectl_applied_are_left_to_kubectl() {
    let cluster = ControlPlane::start(AFTER_KUBECTL);
    let definitions = repository().join("manifests/crds.yaml");
    let definitions = definitions.to_str().expect("a path in UTF-8");
    for _ in 0..2 {
        cluster.kubectl(&["apply", "-f", definitions]);
    }
    let uids = || cluster.kubectl(&["get", "crd", "-o", "jsonpath={.items[*].metadata.uid}"]);
    let before = uids();
    // As `drover allow` does for a controller outside the cluster.
    cluster.kubectl(&["create", "clusterrole", "drover-deployer", "--verb=get", "--resource=pods"]);

    let notes = cluster.helm(&["install", "--create-namespace"]);
    assert!(notes.contains(&format!("{} came from elsewhere", self::definitions().join(", "))), "{notes}");
    cluster.helm(&["upgrade"]);
    cluster.helm(&["uninstall", "--wait"]);
    assert_eq!(uids(), before);
    cluster.kubectl(&["delete", "clusterrole", "drover-deployer"]);

    // The other way round: a release brought them, then somebody applied other ones with kubectl.
    cluster.kubectl(&["delete", "crd", "--all"]);
    cluster.helm(&["install"]);
    let before = uids();
    let newer = std::fs::read_to_string(definitions).expect("the definitions");
    let newer = newer.replacen("Where the manifests are.", "Where the manifests are to be found.", 1);
    cluster.pipe(&["apply", "-f", "-"], &newer);
    let notes = cluster.helm(&["upgrade"]);
    assert!(notes.contains("environments.drover.dev came from elsewhere"), "{notes}");
    assert_eq!(uids(), before);
    let served = cluster.kubectl(&["get", "crd", "environments.drover.dev", "-o", "json"]);
    assert!(served.contains("are to be found"), "{served}");
}

#[tokio::test]
async fn the_accounts_can_do_what_is_listed_and_no_more() {
    let cluster = ControlPlane::start(RIGHTS);
    cluster.kubectl(&["create", "namespace", "shop"]);
    cluster.kubectl(&["create", "namespace", "foreign"]);
    cluster.helm(&["install", "--create-namespace", "--set", "namespaces={shop}"]);
    let tenant = "system:serviceaccount:shop:drover";
    // Aggregated roles are filled a moment after they were created.
    holds("the roles are aggregated", || {
        cluster.can(CONTROLLER, &["list", "deployments", "-n", "foreign"])
            && cluster.can(tenant, &["patch", "deployments", "-n", "shop"])
    })
    .await;

    let mut listed =
        String::from("# What the accounts may do, as the API server says. Written by the chart's tests.\n");
    for (account, namespace) in [
        (CONTROLLER, "drover-system"),
        (CONTROLLER, "shop"),
        (CONTROLLER, "foreign"),
        (tenant, "shop"),
        (tenant, "drover-system"),
        (tenant, "foreign"),
    ] {
        let everybody = cluster.rights("system:serviceaccount:foreign:nobody", namespace);
        let rights = cluster.rights(account, namespace);
        let _ = writeln!(listed, "\n{account} in {namespace}");
        for line in rights.difference(&everybody) {
            assert!(!line.contains('*'), "{account} holds a wildcard in {namespace}: {line}");
            let _ = writeln!(listed, "  {line}");
        }
    }
    let golden = chart().join("tests/rights.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &listed).expect("the recorded rights");
    }
    let recorded = std::fs::read_to_string(&golden).expect("the recorded rights");
    assert_eq!(listed, recorded, "{} differs: run the test with UPDATE_GOLDEN=1 and review it", golden.display());

    // The same from the other side: what matters most, asked one by one.
    for refused in [
        &["get", "secrets", "-n", "shop"][..],
        &["list", "secrets", "-A"],
        &["get", "secrets/somebody-elses", "-n", "drover-system"],
        &["impersonate", "serviceaccounts", "-A"],
        &["impersonate", "serviceaccounts/default", "-n", "shop"],
        &["impersonate", "users"],
        &["impersonate", "groups"],
        &["patch", "deployments", "-n", "shop"],
        &["create", "pods", "-n", "drover-system"],
        &["patch", "clusterroles"],
    ] {
        assert!(!cluster.can(CONTROLLER, refused), "the controller may {refused:?}");
    }
}

#[tokio::test]
async fn the_controller_acts_as_the_account_of_an_opted_in_namespace_only() {
    let cluster = ControlPlane::start(ACTING);
    cluster.kubectl(&["create", "namespace", "shop"]);
    cluster.kubectl(&["create", "namespace", "foreign"]);
    cluster.kubectl(&["create", "serviceaccount", "drover", "-n", "foreign"]);
    cluster.helm(&["install", "--create-namespace", "--set", "namespaces={shop}"]);
    let token = cluster.kubectl(&["create", "token", "drover", "-n", "drover-system"]);
    let acting = |account: &str, namespace: &str| {
        cluster.with_token(&token, &["get", "secrets", "-n", namespace, "--as", account])
    };
    holds("drover reads a Secret as the account of shop", || {
        acting("system:serviceaccount:shop:drover", "shop").is_ok()
    })
    .await;
    for (account, namespace, refusal) in [
        ("system:serviceaccount:shop:drover", "foreign", "cannot list resource \"secrets\""),
        ("system:serviceaccount:shop:default", "shop", "cannot impersonate resource \"serviceaccounts\""),
        ("system:serviceaccount:foreign:drover", "foreign", "cannot impersonate resource \"serviceaccounts\""),
        ("admin", "shop", "cannot impersonate resource \"users\""),
    ] {
        let said = acting(account, namespace).expect_err(account);
        assert!(said.contains(refusal), "as {account} in {namespace}: {said}");
    }
}

/// A control plane of its own, gone when the test ends, however it ends.
struct ControlPlane {
    bed: Testbed,
}

impl ControlPlane {
    fn start(number: u32) -> Self {
        Self { bed: Testbed::control_plane(number) }
    }

    /// A verb of helm on the release `drover`, with the chart where the verb takes one.
    fn helm(&self, arguments: &[&str]) -> String {
        let mut command = self.bed.program("helm");
        command.args([arguments[0], "drover", "--namespace", "drover-system"]);
        if arguments[0] != "uninstall" {
            command.arg(chart());
        }
        run(command.args(&arguments[1..]))
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.bed.kubectl(arguments)
    }

    /// kubectl with `input` on its standard input.
    fn pipe(&self, arguments: &[&str], input: &str) -> String {
        let finished = finish(self.bed.program("kubectl").args(arguments), input);
        assert_eq!(finished.code, 0, "kubectl {arguments:?} failed:\n{}", finished.said());
        finished.stdout
    }

    /// `kind/name` of all objects of the kinds, sorted.
    fn names(&self, kinds: &str, namespace: &str) -> Vec<String> {
        let listed = self.kubectl(&["get", kinds, "-n", namespace, "-o", "name"]);
        let mut names: Vec<_> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn can(&self, account: &str, question: &[&str]) -> bool {
        let finished = finish(self.bed.program("kubectl").args(["auth", "can-i", "--as", account]).args(question), "");
        match finished.stdout.trim() {
            "yes" => true,
            "no" => false,
            _ => panic!("kubectl auth can-i {question:?}: {}", finished.said()),
        }
    }

    /// What an account may do in a namespace, a line per resource.
    fn rights(&self, account: &str, namespace: &str) -> BTreeSet<String> {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace}});
        let arguments = ["create", "--validate=false", "--as", account, "-f", "-", "-o", "json"];
        let answer: Value = serde_json::from_str(&self.pipe(&arguments, &review.to_string())).expect("JSON");
        assert_eq!(answer["status"]["incomplete"], json!(false), "{answer}");
        let mut verbs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for rule in answer["status"]["resourceRules"].as_array().into_iter().flatten() {
            let names = texts(&rule["resourceNames"]);
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let mut target = if group.is_empty() { resource } else { format!("{resource}.{group}") };
                    if !names.is_empty() {
                        let _ = write!(target, " named {}", names.join(", "));
                    }
                    verbs.entry(target).or_default().extend(texts(&rule["verbs"]));
                }
            }
        }
        verbs
            .into_iter()
            .map(|(target, verbs)| format!("{target}: {}", verbs.into_iter().collect::<Vec<_>>().join(" ")))
            .collect()
    }

    /// kubectl with nothing but a token; what it says on failure is the error.
    fn with_token(&self, token: &str, arguments: &[&str]) -> Result<String, String> {
        let config = self.kubectl(&["config", "view", "--raw", "-o", "json"]);
        let config: Value = serde_json::from_str(&config).expect("JSON");
        let bare = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bare",
            "clusters": [{"name": "bare", "cluster": config["clusters"][0]["cluster"]}],
            "users": [{"name": "bare", "user": {"token": token.trim()}}],
            "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "bare"}}],
        });
        let file = self.bed.state().join("bare.kubeconfig");
        std::fs::write(&file, bare.to_string()).expect("the testbed's folder is ours to write");
        let finished = finish(self.bed.program("kubectl").env("KUBECONFIG", &file).args(arguments), "");
        if finished.code == 0 { Ok(finished.stdout) } else { Err(finished.stderr) }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Not `Testbed::down`: a second panic here would hide the first.
        let mut down = Command::new(repository().join("e2e/testbed/cluster"));
        let finished = finish(down.arg("down").env("TESTBED", self.bed.number().to_string()), "");
        if finished.code != 0 {
            eprintln!("cluster {} is still there: {}", self.bed.number(), finished.said());
        }
    }
}

/// Waits until `condition` holds.
async fn holds(what: &str, condition: impl Fn() -> bool) {
    eventually(what, Duration::from_secs(60), async || if condition() { Ok(()) } else { Err("not yet".to_owned()) })
        .await;
}

/// The objects of a YAML stream.
fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---").map(|document| document.trim_start_matches("---"));
    let values = documents.map(|document| serde_saphyr::from_str::<Value>(document).expect("YAML"));
    values.filter(Value::is_object).map(whole_numbers).collect()
}

/// `511.0` and `511` are the same number in a schema; programs that print YAML differ in which they write.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Number(number), Value::from),
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, whole_numbers(field))).collect(),
        other => other,
    }
}

fn texts(list: &Value) -> Vec<String> {
    let mut texts: Vec<_> =
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    texts.sort();
    texts
}

fn chart() -> PathBuf {
    repository().join("charts/drover")
}

fn value_files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(chart().join("tests/values")).expect("the chart's value files");
    let files: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
    assert!(!files.is_empty());
    files
}

/// The testbed's helm, without a cluster.
fn helm() -> Command {
    let folder = std::env::var_os("TESTBED_BIN").map_or_else(
        || Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache/drover/testbed/bin"),
        PathBuf::from,
    );
    let file = folder.join("helm");
    assert!(file.exists(), "{} is not there: run `e2e/testbed/cluster build`", file.display());
    Command::new(file)
}
