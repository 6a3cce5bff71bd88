//! One folder for several Environments, each with variables of its own.

use std::time::Duration;

use drover_crds::{DriftPolicy, SubstituteFrom, SubstituteKind};
use drover_e2e::{Environment, Namespace, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

const PAGE: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: \"page-${STAGE}\"}
data:
  host: https://${HOST}/
  text: $${HOST} is the host
";

async fn page(namespace: &Namespace, stage: &str) -> Option<serde_json::Value> {
    let found = namespace.get::<ConfigMap>(&format!("page-{stage}")).await?;
    serde_json::to_value(found.data).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_serves_two_environments_and_a_name_that_is_missing_is_told() {
    let namespace = Namespace::new("variables").await;
    let repo = namespace.repository("site");
    let first = repo.push(&[("site/page.yaml", PAGE)], "A page");
    let follow = async |stage: &'static str, host: &'static str| {
        let variables = [("STAGE", stage), ("HOST", host)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment =
            Environment::create(&namespace, stage, &repo, |spec| spec.substitute = Some(variables.into())).await;
        environment.is_ready_at(&first).await;
        environment
    };
    let prod = follow("prod", "site.example.org").await;
    let test = follow("test", "test.example.org").await;
    let wanted = |host: &str| Some(json!({"host": format!("https://{host}/"), "text": "${HOST} is the host"}));
    assert_eq!(page(&namespace, "prod").await, wanted("site.example.org"));
    assert_eq!(page(&namespace, "test").await, wanted("test.example.org"));

    // Another value is another rendering of the same commit.
    let patch = r#"--patch={"spec":{"substitute":{"HOST":"new.example.org"}}}"#;
    namespace.kubectl(&["patch", "environment", "test", "--type=merge", patch]);
    eventually("the new value is applied", Duration::from_secs(30), async || {
        let found = page(&namespace, "test").await;
        if found == wanted("new.example.org") { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(page(&namespace, "prod").await, wanted("site.example.org"));

    // A name that nobody gave a value is refused before anything is written.
    repo.push(&[("site/page.yaml", &PAGE.replace("${HOST}/", "${HOST}/${FOLDER}"))], "A folder");
    for environment in [&prod, &test] {
        environment.complains_of(&["site/page.yaml:5", "${FOLDER} names no variable", "HOST, STAGE"]).await;
    }
    assert_eq!(page(&namespace, "prod").await, wanted("site.example.org"), "nothing was written");
    let refused = namespace
        .bed()
        .program("kubectl")
        .args(["--namespace", namespace.name(), "patch", "environment"])
        .args(["test", "--type=merge", r#"--patch={"spec":{"substitute":{"a-b":"x"}}}"#])
        .output()
        .expect("kubectl");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("a variable is called by letters, digits and _"), "{said}");
}

/// Holds a Secret's value in what the API server refuses and quotes.
const BADGE: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: badge, labels: {token: \"${TOKEN}\"}}
";

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_from_config_maps_and_secrets_and_follow_them() {
    let namespace = Namespace::new("variables-from").await;
    let repo = namespace.repository("site");
    let first = repo.push(&[("page.yaml", PAGE)], "A page");
    let site = |host: &str| {
        let names = format!("HOST: {host}, STAGE: from-site, \"not.a.name\": x");
        namespace.apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: site}}\ndata: {{{names}}}\n"));
    };
    let from = |kind, name: &str, optional| SubstituteFrom { kind, name: name.into(), optional };
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.substitute = Some([("STAGE".to_owned(), "prod".to_owned())].into());
        spec.substitute_from =
            vec![from(SubstituteKind::ConfigMap, "site", None), from(SubstituteKind::Secret, "keys", Some(true))];
        spec.drift = Some(DriftPolicy::Ignore);
    })
    .await;
    environment.complains_of(&["site, which spec.substituteFrom[0] names, is not there: create it"]).await;
    site("a.example.org");
    environment.is_ready_at(&first).await;
    let comes_to = async |host: &'static str| {
        eventually(&format!("the page of {host}"), Duration::from_secs(30), async || {
            let wanted = Some(json!({"host": format!("https://{host}/"), "text": "${HOST} is the host"}));
            let found = page(&namespace, "prod").await;
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    };
    comes_to("a.example.org").await;

    // Another content is applied at once, whatever is done about what others change; and what a Secret says wins over what stands before it.
    site("b.example.org");
    comes_to("b.example.org").await;
    let keys = |values: &str| {
        namespace.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{{values}}}\n"));
    };
    keys("HOST: c.example.org");
    comes_to("c.example.org").await;

    // Without it nothing new is applied, and what is there stays.
    namespace.kubectl(&["delete", "configmap", "site"]);
    environment.complains_of(&["spec.substituteFrom[0]"]).await;
    comes_to("c.example.org").await;
    site("b.example.org");
    environment.is_ready_at(&first).await;

    // What came from a Secret is shown to nobody.
    namespace.kubectl(&["delete", "secret", "keys"]);
    keys("TOKEN: hunter2 of ours");
    comes_to("b.example.org").await;
    repo.push(&[("page.yaml", PAGE), ("badge.yaml", BADGE)], "A badge");
    environment.complains_of(&["badge", "***"]).await;
    let said = serde_json::to_string(&environment.status().await).expect("a status is JSON");
    assert!(!said.contains("hunter2"), "{said}");
}
