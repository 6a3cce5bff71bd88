//! One folder for several Environments, each with variables of its own.

use std::time::Duration;

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
