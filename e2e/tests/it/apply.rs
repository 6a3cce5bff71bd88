//! From a commit to objects: applying, drift, ownership, order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use drover_crds::{ANNOTATION_RECONCILE_AT, DriftPolicy, EnvironmentSpec, Source};
use drover_e2e::{Environment, Namespace, eventually, steadily};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

/// ConfigMaps of those names, as one file; each holds `text`.
pub fn config_maps(names: &[&str], text: &str) -> String {
    let mut yaml = String::new();
    for name in names {
        let _ =
            write!(yaml, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {text}}}\n");
    }
    yaml
}

pub async fn data(namespace: &Namespace, name: &str) -> Option<BTreeMap<String, String>> {
    Some(namespace.get::<ConfigMap>(name).await?.data.unwrap_or_default())
}

pub async fn exists(namespace: &Namespace, name: &str) -> bool {
    data(namespace, name).await.is_some()
}

/// Waits until the text of the ConfigMap is `wanted`; `None` stands for no such ConfigMap.
pub async fn text_becomes(namespace: &Namespace, name: &str, wanted: Option<&str>) {
    eventually(&format!("the text of {name} is {wanted:?}"), Duration::from_secs(30), async || {
        let text = data(namespace, name).await.and_then(|mut data| data.remove("text"));
        if text.as_deref() == wanted { Ok(()) } else { Err(format!("{text:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_leaves_git_leaves_the_secret() {
    let namespace = Namespace::new("revoked").await;
    let repo = namespace.repository("secret");
    let file = |fields: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\n{fields}");
    let has = async || {
        let data = namespace.get::<Secret>("login").await.expect("it is applied").data.unwrap_or_default();
        data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).expect("text"))).collect::<Vec<_>>()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let both = file("data: {a: b2xk}\nstringData: {a: new, revoked: hunter2}\n");
    let commit = repo.push(&[("secret.yaml", &both)], "Two passwords");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;
    assert_eq!(has().await, [pair("a", "new"), pair("revoked", "hunter2")]);

    // Drift in it is drift; drover may not watch Secrets, and so looks when it has something to do.
    let edit = Patch::Merge(json!({"stringData": {"a": "edited"}}));
    namespace.api::<Secret>().patch("login", &PatchParams::default(), &edit).await.expect("a person may edit");
    environment.patch(json!({"metadata": {"annotations": {ANNOTATION_RECONCILE_AT: "now"}}})).await;
    eventually("the password is put back", Duration::from_secs(30), async || match has().await {
        passwords if passwords[0] == pair("a", "new") => Ok(()),
        passwords => Err(format!("{passwords:?}")),
    })
    .await;

    let commit = repo.push(&[("secret.yaml", &file("stringData: {a: new}\n"))], "One is revoked");
    environment.is_ready_at(&commit).await;
    assert_eq!(has().await, [pair("a", "new")]);
    let commit = repo.push(&[("secret.yaml", &file(""))], "The other too");
    environment.is_ready_at(&commit).await;
    assert_eq!(has().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_commit_is_told_in_an_event_of_its_own() {
    let namespace = Namespace::new("told").await;
    let repo = namespace.repository("maps");
    let first = repo.push(&[("maps.yaml", &config_maps(&["a"], "one"))], "One");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&first).await;
    let second = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "one"))], "Two");
    environment.is_ready_at(&second).await;
    let wanted = [(first, "1 of 1"), (second, "1 of 2")]
        .map(|(commit, count)| format!("Applied {}: {count} objects changed", &commit[..12]));
    eventually("both commits are told", Duration::from_secs(10), async || {
        let told = namespace.kubectl(&["get", "events", "-o", "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}"]);
        if wanted.iter().all(|note| told.lines().any(|line| line == note)) { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_put_back_at_once_after_an_edit_and_after_a_delete() {
    let namespace = Namespace::new("drift").await;
    let repo = namespace.repository("maps");
    let commit = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "one"))], "Maps");
    // Only an event can bring it back in time: nobody asks the repository for an hour.
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
    })
    .await;
    environment.is_ready_at(&commit).await;
    let maps = namespace.api::<ConfigMap>();

    let edit = Patch::Merge(json!({"data": {"text": "edited"}}));
    maps.patch("a", &PatchParams::default(), &edit).await.expect("a person may edit");
    text_becomes(&namespace, "a", Some("one")).await;

    maps.delete("b", &DeleteParams::default()).await.expect("a person may delete");
    text_becomes(&namespace, "b", Some("one")).await;

    // What others add beside our fields is theirs.
    let add = Patch::Merge(json!({"data": {"extra": "kept"}}));
    maps.patch("a", &PatchParams::default(), &add).await.expect("a person may add");
    steadily("a key that somebody added stays", Duration::from_secs(3), async || {
        match data(&namespace, "a").await.and_then(|mut data| data.remove("extra")) {
            Some(_) => Ok(()),
            None => Err("it is gone".into()),
        }
    })
    .await;
    environment.is_ready_at(&commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_to_its_end_does_not_run_again() {
    let namespace = Namespace::new("once").await;
    let repo = namespace.repository("jobs");
    let job = |text: &str| {
        format!(
            "apiVersion: batch/v1
kind: Job
metadata: {{name: once}}
spec:
  ttlSecondsAfterFinished: 1
  template:
    spec:
      restartPolicy: Never
      securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: main
        image: drover.test/busybox:1
        command: [echo, {text}]
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"
        )
    };
    let runs = || {
        let events =
            ["get", "events", "--field-selector", "involvedObject.kind=Job,reason=SuccessfulCreate", "-o", "name"];
        namespace.kubectl(&events).lines().count()
    };
    let is_gone = async |runs_so_far: usize| {
        eventually("the Job has run and is removed", Duration::from_secs(60), async || {
            let left = namespace.kubectl(&["get", "jobs", "-o", "name"]);
            if left.is_empty() && runs() >= runs_so_far { Ok(()) } else { Err(format!("{left}, {} runs", runs())) }
        })
        .await;
    };
    let commit = repo.push(&[("job.yaml", &job("one"))], "One");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;
    is_gone(1).await;
    // Another commit that leaves it as it is, and a look at it, are no reason either.
    let commit = repo.push(&[("job.yaml", &job("one")), ("maps.yaml", &config_maps(&["a"], "one"))], "Beside it");
    environment.is_ready_at(&commit).await;
    environment.look_now();
    steadily("it does not run again", Duration::from_secs(5), async || {
        let left = namespace.kubectl(&["get", "jobs", "-o", "name"]);
        if left.is_empty() && runs() == 1 { Ok(()) } else { Err(format!("{left}, {} runs", runs())) }
    })
    .await;
    environment.is_ready_at(&commit).await;
    let commit = repo.push(&[("job.yaml", &job("two"))], "Another");
    environment.is_ready_at(&commit).await;
    is_gone(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reported_drift_is_said_and_left() {
    let namespace = Namespace::new("report").await;
    let repo = namespace.repository("maps");
    let commit = repo.push(&[("maps.yaml", &config_maps(&["a"], "one"))], "Map");
    let environment =
        Environment::create(&namespace, "prod", &repo, |spec| spec.drift = Some(DriftPolicy::Report)).await;
    environment.is_ready_at(&commit).await;

    let edit = Patch::Merge(json!({"data": {"text": "edited"}}));
    namespace.api::<ConfigMap>().patch("a", &PatchParams::default(), &edit).await.expect("a person may edit");
    environment
        .comes_to("names the object that drifted", |status| {
            let said = format!("{:?} {:?}", status.conditions, status.failures);
            if said.contains(&format!("ConfigMap {}/a", namespace.name())) { Ok(()) } else { Err(said) }
        })
        .await;
    text_becomes(&namespace, "a", Some("edited")).await;

    let commit = repo.push(&[("maps.yaml", &config_maps(&["a"], "two"))], "The next commit");
    environment.is_ready_at(&commit).await;
    text_becomes(&namespace, "a", Some("two")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guards_an_environment_is_not_given_by_git() {
    let namespace = Namespace::new("entrusted").await;
    let repo = namespace.repository("bootstrap");
    let child = |url: &str, more: &str| {
        format!(
            "apiVersion: drover.dev/v1alpha1\nkind: Environment\nmetadata: {{name: child}}\n\
             spec: {{source: {{url: '{url}', ref: {{branch: prod}}, path: child, secretRef: {{name: git-read}}}}{more}}}\n"
        )
    };
    let push = |child: &str| {
        repo.push(&[("root/child.yaml", child), ("child/maps.yaml", &config_maps(&["a"], "one"))], "An Environment")
    };
    // The same repository with the same Secret is what a person trusted it with.
    let commit = push(&child(&repo.https(), ""));
    let root = Environment::create(&namespace, "root", &repo, |spec| spec.source.path = Some("root".into())).await;
    root.has_applied(&commit).await;
    Environment::named(&namespace, "child").has_applied(&commit).await;
    let spec = || namespace.kubectl(&["get", "environment", "child", "-o", "jsonpath={.spec}"]);
    let before = spec();

    push(&child("https://203.0.113.254/theirs.git", ""));
    root.complains_of(&["send Secret git-read to 203.0.113.254"]).await;
    let loosened = push(&child(&repo.https(), ", deletionPolicy: Delete, prune: {maxFraction: 100%}"));
    let advice = format!("drover allow {} --environments-from-git", namespace.name());
    root.complains_of(&["set spec.deletionPolicy to Delete", &advice]).await;
    assert_eq!(spec(), before);

    let allowed = namespace.drover(&advice.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(allowed.code, 0, "{}", allowed.said());
    root.look_now();
    root.has_applied(&loosened).await;
    assert!(spec().contains("100%"), "{}", spec());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_applies_is_not_taken_over() {
    let namespace = Namespace::new("foreign").await;
    let repo = namespace.repository("maps");
    namespace.kubectl(&["create", "configmap", "a", "--from-literal=text=theirs", "--field-manager=another-tool"]);
    let commit = repo.push(&[("maps.yaml", &config_maps(&["b"], "one"))], "Ours");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;

    repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "two"))], "Theirs too");
    environment.complains_of(&[&format!("ConfigMap {}/a", namespace.name()), "another-tool"]).await;
    text_becomes(&namespace, "a", Some("theirs")).await;

    // Once they let go of it, it is ours.
    namespace.kubectl(&["delete", "configmap", "a"]);
    environment.is_ready_at(&repo.head()).await;
    text_becomes(&namespace, "a", Some("two")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_has_not_opted_in_is_left_alone_and_told_how() {
    let namespace = Namespace::not_allowed("closed").await;
    let repo = namespace.repository("maps");
    repo.push(&[("maps.yaml", &config_maps(&["a"], "one"))], "Map");
    let environment = namespace.follow(&repo).await;
    environment.complains_of(&["drover allow", namespace.name()]).await;
    assert!(!exists(&namespace, "a").await);

    let allowed = namespace.drover(&["allow", namespace.name()]);
    assert_eq!(allowed.code, 0, "{}", allowed.said());
    environment.is_ready_at(&repo.head()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_commit_takes_over_from_one_that_is_still_waiting() {
    let namespace = Namespace::new("supersede").await;
    let repo = namespace.repository("maps");
    // A Deployment that no node can hold never becomes healthy.
    let stuck = "apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec:
      nodeSelector: {no-such: node}
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: main
        image: drover.test/busybox:1
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";
    let first = repo.push(&[("stuck.yaml", stuck), ("maps.yaml", &config_maps(&["a"], "one"))], "Stuck");
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&first).await;
    let second = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "two"))], "Without it");
    environment.is_ready_at(&second).await;
    text_becomes(&namespace, "a", Some("two")).await;
    assert_eq!(namespace.kubectl(&["get", "deployments", "-o", "name"]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_waits_neither_for_itself_nor_for_who_waits_for_it() {
    let namespace = Namespace::new("circle").await;
    let repo = namespace.repository("circle");
    let at = |path: &str| EnvironmentSpec {
        source: Source { path: Some(path.into()), ..Environment::spec(&repo).source },
        ..Environment::spec(&repo)
    };
    let written = |name: &str, path: &str| {
        serde_json::to_string(&drover_crds::Environment::new(name, at(path))).expect("an Environment is JSON")
    };
    let commit = repo.push(
        &[
            ("itself/environment.yaml", &written("itself", "itself")),
            ("itself/maps.yaml", &config_maps(&["a"], "one")),
            ("one/environment.yaml", &written("two", "two")),
            ("two/environment.yaml", &written("one", "one")),
        ],
        "Circles",
    );
    for name in ["itself", "one"] {
        Environment::create(&namespace, name, &repo, |spec| *spec = at(name)).await;
    }
    let all = ["itself", "one", "two"].map(|name| Environment::named(&namespace, name));
    eventually("the second is made", Duration::from_secs(30), async || {
        namespace.get::<drover_crds::Environment>("two").await.map(|_| ()).ok_or_else(|| "it is not there".to_owned())
    })
    .await;
    for environment in &all {
        environment.is_ready_at(&commit).await;
    }
    let versions = async || {
        let mut versions = Vec::new();
        for environment in &all {
            versions.push(environment.resource().await.metadata.resource_version);
        }
        versions
    };
    let seen = versions().await;
    steadily("no status is written any more", Duration::from_secs(3), async || {
        let now = versions().await;
        if now == seen { Ok(()) } else { Err(format!("{seen:?} became {now:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_changes_nothing_is_written() {
    let namespace = Namespace::new("quiet").await;
    let repo = namespace.repository("maps");
    let commit = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "one"))], "Maps");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;
    let versions = async || {
        let mut all = vec![environment.resource().await.metadata.resource_version];
        for name in ["a", "b"] {
            all.push(namespace.get::<ConfigMap>(name).await.expect("it is applied").metadata.resource_version);
        }
        all
    };
    let before = versions().await;
    // Three polls long, and a commit with the same tree.
    repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "one"))], "The same again");
    environment
        .comes_to("has seen the new commit", |status| match &status.source {
            Some(source) if source.message == "The same again" => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    let seen = versions().await;
    assert_eq!(before[1..], seen[1..], "a commit with the same tree changed an object");
    steadily("nothing is written", Duration::from_secs(16), async || {
        let now = versions().await;
        if now == seen { Ok(()) } else { Err(format!("{seen:?} became {now:?}")) }
    })
    .await;
}
