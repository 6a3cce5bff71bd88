//! Reaching a repository: protocols, credentials and what is followed.

use std::time::Duration;

use drover_crds::{LocalObjectReference, Reference};
use drover_e2e::{Environment, GitServer, Namespace, finish};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

/// How long drover may take to notice, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A ConfigMap `page` whose key `text` says `text`.
fn page(text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page}}\ndata: {{text: {text}}}\n")
}

async fn text(namespace: &Namespace) -> Option<String> {
    namespace.get::<ConfigMap>("page").await?.data?.remove("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_over_tls_with_an_authority_of_its_own() {
    let namespace = Namespace::new("https").await;
    let repo = namespace.repository("pages");
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    let environment = namespace.follow(&repo).await;
    let status = environment.is_ready_at(&commit).await;
    assert_eq!(text(&namespace).await.as_deref(), Some("one"));
    let source = status.source.expect("the status names the commit");
    assert_eq!((source.message.as_str(), source.author.as_str()), ("One", "Robin"));
    assert_eq!(status.applied.expect("it is applied").objects, 1);

    let commit = repo.push(&[("page.yaml", &page("two"))], "Two");
    let status = environment.is_ready_at(&commit).await;
    assert_eq!(text(&namespace).await.as_deref(), Some("two"));
    let history: Vec<&str> = status.history.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(history, ["Two", "One"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_repository_needs_no_secret() {
    let namespace = Namespace::new("public").await;
    let repo = namespace.repository("pages");
    // As most repositories it has one branch, and more in it than manifests.
    let files = [("page.yaml", &*page("one")), ("README.md", "# Pages"), (".github/workflows/ci.yaml", "on: push")];
    let commit = repo.push_to("main", &files, "One");
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.source.url = repo.public();
        spec.source.secret_ref = None;
    })
    .await;
    let said = environment.fails_with("NoSuchBranch", SOON).await.message;
    assert!(said.ends_with("push it, or name another in spec.source.ref, such as main"), "{said}");
    environment.patch(json!({"spec": {"source": {"ref": {"branch": "main"}}}})).await;
    environment.is_ready_at(&commit).await;
    assert_eq!(text(&namespace).await.as_deref(), Some("one"));

    // When it is made private, the sentence says what to do, and doing that is enough.
    environment.patch(json!({"spec": {"source": {"url": repo.https()}}})).await;
    let said = environment.fails_with("AuthenticationFailed", SOON).await.message;
    assert!(said.contains("name a Secret in spec.source.secretRef with the keys username and password"), "{said}");
    let commit = repo.push_to("main", &[("page.yaml", &page("two"))], "Two");
    environment.patch(json!({"spec": {"source": {"secretRef": {"name": "git-read"}}}})).await;
    environment.is_ready_at(&commit).await;
    assert_eq!(text(&namespace).await.as_deref(), Some("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_is_to_be_said() {
    let namespace = Namespace::new("no-ref").await;
    let source = format!("{{url: {}}}", GitServer::shared().public("pages"));
    let yaml = format!(
        "apiVersion: drover.dev/v1alpha1\nkind: Environment\nmetadata: {{name: prod}}\nspec: {{source: {source}}}\n"
    );
    let mut apply = namespace.bed().program("kubectl");
    let refused = finish(apply.args(["--namespace", namespace.name(), "apply", "-f", "-"]), &yaml);
    assert!(refused.code != 0 && refused.stderr.contains("spec.source.ref: Required value"), "{}", refused.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_over_ssh_with_a_key_and_known_hosts() {
    let namespace = Namespace::new("ssh").await;
    namespace.apply(&GitServer::shared().secret_for_ssh("git-ssh"));
    let repo = namespace.repository("pages");
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.source.url = repo.ssh();
        spec.source.secret_ref = Some(LocalObjectReference { name: "git-ssh".into() });
    })
    .await;
    environment.is_ready_at(&commit).await;
    assert_eq!(text(&namespace).await.as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_versions_follows_the_highest_tag() {
    let namespace = Namespace::new("semver").await;
    let repo = namespace.repository("pages");
    let first = repo.push(&[("page.yaml", &page("one"))], "One");
    repo.tag("v1.2.0");
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.source.reference = Reference { semver: Some(">=1.2, <2".into()), ..Reference::default() };
    })
    .await;
    environment.is_ready_at(&first).await;

    repo.push(&[("page.yaml", &page("too-new"))], "Two");
    repo.tag("v2.0.0");
    let third = repo.push(&[("page.yaml", &page("newer"))], "One point ten");
    repo.tag("v1.10.0");
    environment.is_ready_at(&third).await;
    assert_eq!(text(&namespace).await.as_deref(), Some("newer"));
}
