//! What is wrong with an object once it meets the cluster.

use std::cell::Cell;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use drover_crds::LABEL_OWNER;
use drover_e2e::{Cheese, Environment, Manner, Namespace, Testbed, TlsServer, eventually, finish, ready, steadily};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::{SOON, Team, config_map, one_sentence, page, short, text};

async fn version(namespace: &Namespace, name: &str) -> Option<String> {
    namespace.get::<ConfigMap>(name).await.and_then(|map| map.metadata.resource_version)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_for_another_namespace_is_refused() {
    let neighbour = Namespace::new("neighbour").await;
    let team = Team::live("scope").await;
    let stray =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: stray, namespace: {}}}\n", neighbour.name());
    team.push(&[("stray.yaml", &stray)]);
    let (own, other) = (team.name(), neighbour.name());
    assert_eq!(
        team.reads("Forbidden").await,
        format!(
            "stray.yaml:1: ConfigMap {other}/stray was refused, because service account {own}/drover may not patch configmaps in namespace {other}: grant it that, for example with `kubectl create rolebinding drover-{own}-drover --namespace {other} --clusterrole=edit --serviceaccount={own}:drover`, or remove the object from git"
        )
    );
    assert_eq!(version(&neighbour, "stray").await, None, "an Environment wrote into another namespace");
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_environments_that_claim_one_object_exactly_one_wins() {
    for _ in 0..3 {
        let namespace = Namespace::new("rivals").await;
        let (oak, elm) = (namespace.repository("oak"), namespace.repository("elm"));
        oak.push(&[("map.yaml", &config_map("shared", "oak"))], "Oak");
        elm.push(&[("map.yaml", &config_map("shared", "elm"))], "Elm");
        let (one, other) = tokio::join!(
            Environment::create(&namespace, "oak", &oak, |_| ()),
            Environment::create(&namespace, "elm", &elm, |_| ())
        );

        let owner = eventually("one of them has it", SOON, async || {
            text(&namespace, "shared").await.ok_or("nobody".to_owned())
        })
        .await;
        let (winner, loser) = if owner == "oak" { (one, other) } else { (other, one) };
        let said = loser.fails_with("OwnedByAnother", SOON).await.message;
        one_sentence(&said);
        assert_eq!(
            said,
            format!(
                "ConfigMap {name}/shared is applied by Environment {name}/{owner}, so it was not touched: remove it from one of the two",
                name = namespace.name()
            )
        );
        winner.is_ready_at(&if owner == "oak" { oak.head() } else { elm.head() }).await;
        let before = version(&namespace, "shared").await;
        steadily("they do not fight", Duration::from_secs(7), async || {
            let now = version(&namespace, "shared").await;
            if now == before { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_a_service_that_somebody_renumbered_is_told_with_the_way_back() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{name: http, port: 80}]\n";
    let team = Team::live_with("port", &[("page.yaml", &page("one")), ("web.yaml", service)], |_| ()).await;
    let renumber = |port: u16| {
        let patch = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": port}]).to_string();
        team.namespace.kubectl(&["patch", "service", "web", "--type=json", "--patch", &patch]);
    };
    renumber(81);
    // Neither server-side apply nor drover can tell that 81 was meant to be 80, and a Service made anew has another address.
    assert_eq!(
        team.reads("Refused").await,
        format!(
            "web.yaml:1: Service {}/web was refused by the API server: Service \"web\" is invalid: spec.ports[1].name: Duplicate value: \"http\": if somebody changed a port of the live Service, change it back there (`kubectl edit service`), else give each port in git its own name and number",
            team.name()
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    renumber(80);
    team.environment().is_ready_at(&team.good).await;
}

/// A MutatingWebhookConfiguration for one namespace, which goes with its value.
struct Policy {
    server: TlsServer,
    name: String,
}

impl Policy {
    /// Applies `patch`, a JSON patch, to every ConfigMap that is written with drover's label.
    async fn start(namespace: &Namespace, patch: Value) -> Self {
        let patch = BASE64_STANDARD.encode(patch.to_string());
        let answer = move |review: &str| {
            let review: Value = serde_json::from_str(review).expect("the API server sends JSON");
            let response =
                json!({"uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": patch});
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string()
        };
        let server = TlsServer::start(Testbed::shared().host_ip(), Manner::Answer(Box::new(answer))).await;
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": namespace.name()},
            "webhooks": [{
                "name": "policy.example.org",
                "clientConfig": {"url": format!("{}/mutate", server.url()), "caBundle": BASE64_STANDARD.encode(server.certificate())},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}},
                "objectSelector": {"matchExpressions": [{"key": LABEL_OWNER, "operator": "Exists"}]},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
            }],
        });
        Testbed::shared().apply(&configuration.to_string());
        Self { server, name: namespace.name().to_owned() }
    }

    fn calls(&self) -> usize {
        self.server.requests().len()
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let bed = Testbed::shared();
        let _ = finish(bed.program("kubectl").args(["delete", "mutatingwebhookconfiguration", &self.name]), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutating_webhook_is_not_fought() {
    let changed = json!({"op": "replace", "path": "/data/text", "value": "changed by policy"});
    let added = json!({"op": "add", "path": "/metadata/labels/policy", "value": "on"});
    let unmarked = json!({"op": "add", "path": "/metadata/annotations/drover.dev~1applied", "value": "mine"});
    for (what, patch) in [("a value", json!([changed, added])), ("drover's own mark", json!([changed, unmarked]))] {
        let namespace = Namespace::new("mutating").await;
        let policy = Policy::start(&namespace, patch).await;
        let repo = namespace.repository("pages");
        let first = repo.push(&[("page.yaml", &page("one"))], "One");
        let environment = namespace.follow(&repo).await;
        // The commit is applied, and that is what the status says.
        let status = environment.is_ready_at(&first).await;
        let said = ready(&status.conditions).expect("a condition").message;
        assert_eq!(said, format!("Applied {}: its object is there and healthy", short(&first)), "{what}");
        assert_eq!(text(&namespace, "page").await.as_deref(), Some("changed by policy"), "the webhook was not asked");

        // Where its mark is not its own drover sends the object once more, as soon as it hears of that.
        nobody_writes_for(&policy, Duration::from_secs(3)).await;
        let (before, calls) = (version(&namespace, "page").await, policy.calls());
        assert!(calls <= 2, "{calls} calls for one commit, {what} changed");
        steadily(
            &format!("drover does not fight a webhook that changes {what}"),
            Duration::from_secs(12),
            async || {
                let now = (version(&namespace, "page").await, policy.calls());
                if now == (before.clone(), calls) {
                    Ok(())
                } else {
                    Err(format!("{before:?}, {calls} calls became {now:?}"))
                }
            },
        )
        .await;

        // A person's edit is still put back, as far as the webhook lets it, and the next commit still comes through.
        namespace.kubectl(&["patch", "configmap", "page", "--patch", r#"{"data":{"text":"edited"}}"#]);
        let second = repo.push(&[("page.yaml", &page("two")), ("more.yaml", &config_map("more", "one"))], "Two");
        environment.look_now();
        environment.is_ready_at(&second).await;
        assert_eq!(text(&namespace, "more").await.as_deref(), Some("changed by policy"));
        nobody_writes_for(&policy, Duration::from_secs(7)).await;
        // What was written is bounded: each commit once, what was edited once, and once more where drover's mark is not its own.
        assert!(policy.calls() <= 12, "{} calls for two commits and an edit", policy.calls());
    }
}

/// Waits until the webhook was not asked for so long.
async fn nobody_writes_for(policy: &Policy, time: Duration) {
    let last = Cell::new((policy.calls(), Instant::now()));
    eventually(&format!("nobody has written for {time:?}"), SOON, async || {
        let calls = policy.calls();
        if calls != last.get().0 {
            last.set((calls, Instant::now()));
        }
        if last.get().1.elapsed() >= time { Ok(()) } else { Err(format!("{calls} calls so far")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_an_object_of_its_kind_come_in_one_push() {
    let namespace = Namespace::new("kinds").await;
    let repo = namespace.repository("kinds");
    // Cluster-scoped objects need rights that `drover allow` does not give.
    let cheese = Cheese::of(&namespace);
    namespace.apply(&format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules:
- {{apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: ['*']}}
- {{apiGroups: [{group}], resources: ['*'], verbs: ['*']}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects: [{{kind: ServiceAccount, name: drover, namespace: {name}}}]
",
        name = namespace.name(),
        group = cheese.group()
    ));
    let commit =
        repo.push(&[("a-cheese.yaml", &cheese.brie(3)), ("b-definition.yaml", &cheese.definition())], "Cheese");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;
    let age = namespace.kubectl(&["get", &cheese.definition_name(), "brie", "-o", "jsonpath={.spec.age}"]);
    assert_eq!(age, "3");
    environment.delete().await;
    for kind in ["clusterrolebinding", "clusterrole"] {
        namespace.kubectl(&["delete", kind, namespace.name()]);
    }
    namespace.kubectl(&["delete", "crd", &cheese.definition_name()]);
}
