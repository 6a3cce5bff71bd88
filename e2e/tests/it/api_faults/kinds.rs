//! Kinds that the API server does not serve any more, and serves again.

use std::time::{Duration, Instant};

use drover_crds::{GROUP, LABEL_OWNER};
use drover_e2e::{Cheese, Stage, eventually, install, steadily};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};

use super::{AT_WORK, ENVIRONMENTS, HEALTHY, PAGES, Site, counted, until_quiet};

/// The right of drover to watch cheeses, and of a namespace's account to write them.
fn rights(cheese: &Cheese, role: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {role}, labels: {{drover.dev/aggregate-to-watch: 'true', drover.dev/aggregate-to-deployer: 'true'}}}}
rules:
- {{apiGroups: [{group}], resources: ['*'], verbs: ['*']}}
",
        group = cheese.group()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_disappears_and_returns_has_its_objects_again() {
    let site = Site::on(AT_WORK, "kind").await;
    let (drover, credential) = site.led().await;
    let cheese = Cheese::of(&site.namespace);
    let role = format!("{}-cheeses", site.namespace.name());
    site.stage.apply(&rights(&cheese, &role));
    site.stage.apply(&cheese.definition());
    let page = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {text: one}\n";
    let first = site.repo.push(&[("cheese.yaml", &cheese.brie(3)), ("page.yaml", page)], "One");
    let environment = site.namespace.follow(&site.repo).await;
    environment.is_ready_at(&first).await;

    let name = cheese.definition_name();
    site.stage.kubectl(&["delete", "crd", &name]);
    let said = environment.complains_of(&["Cheese", "CustomResourceDefinition"]).await;
    println!("without the kind: {}", said.message);
    // Everything else goes on.
    site.namespace.kubectl(&["delete", "configmap", "page"]);
    eventually("the page is back", HEALTHY, async || match site.namespace.get::<ConfigMap>("page").await {
        Some(_) => Ok(()),
        None => Err("it is gone".to_owned()),
    })
    .await;

    let place = site.stage.audit().len();
    site.stage.apply(&cheese.definition());
    let back = Instant::now();
    environment.is_ready_at(&first).await;
    println!("healthy {:.1?} after the kind is back", back.elapsed());
    assert_eq!(site.namespace.kubectl(&["get", &name, "brie", "-o", "jsonpath={.spec.age}"]), "3");
    // Its watch works too.
    site.namespace.kubectl(&["delete", &name, "brie"]);
    eventually("the cheese is back", HEALTHY, async || match site.namespace.kubectl(&["get", &name, "-o", "name"]) {
        none if none.is_empty() => Err("it is gone".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert!(!drover.has_ended());
    let asked = until_quiet(&site.stage, &credential, place).await;
    println!("requests since: {}", counted(&asked));
    assert!(asked.len() < 60, "a burst of {}: {}", asked.len(), counted(&asked));
    environment.delete().await;
    site.stage.kubectl(&["delete", "crd", &name]);
    site.stage.kubectl(&["delete", "clusterrole", &role]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drover_s_own_kinds_disappear_and_return_and_nothing_is_deleted() {
    let site = Site::on(AT_WORK, "own").await;
    let (drover, credential) = site.led().await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    let uids = async || -> Vec<Option<String>> {
        let (pages, params) = (site.namespace.api::<ConfigMap>(), ListParams::default().labels(LABEL_OWNER));
        let pages = pages.list_metadata(&params).await.expect("ConfigMaps can be listed");
        pages.items.into_iter().map(|page| page.metadata.uid).collect()
    };
    let before = uids().await;
    let place = site.stage.audit().len();

    site.stage.kubectl(&["delete", "crd", "environments.drover.dev", "webapps.drover.dev"]);
    until_quiet_but_for_its_own_kinds(&site.stage, &credential, place).await;
    assert_eq!(uids().await, before, "something of the users' was deleted");

    install(&site.stage);
    let definitions: Api<CustomResourceDefinition> = Api::all(site.namespace.client());
    eventually("the definitions are back", HEALTHY, async || {
        let found = definitions.get("environments.drover.dev").await.map_err(|error| error.to_string())?;
        let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|one| one.type_ == "Established" && one.status == "True") {
            Ok(())
        } else {
            Err(format!("{conditions:?}"))
        }
    })
    .await;
    let back = Instant::now();
    let second = site.push("two");
    site.follow().await;
    site.is_ready_at(&second).await;
    println!("healthy {:.1?} after drover's own kinds are back", back.elapsed());
    site.say("two").await;
    assert_eq!(uids().await, before, "something of the users' was made anew");
    assert!(!drover.has_ended(), "drover ended:\n{}", drover.log());
    let asked = until_quiet(&site.stage, &credential, place).await;
    println!("requests since the kinds were deleted: {}", counted(&asked));
    assert!(asked.len() <= 10 * ENVIRONMENTS * (PAGES + 1), "a burst of {}: {}", asked.len(), counted(&asked));
}

/// It keeps asking for its own kinds, less and less often; nothing else.
async fn until_quiet_but_for_its_own_kinds(stage: &Stage, credential: &str, place: usize) {
    steadily("drover asks for nothing but its own kinds, and not often", Duration::from_secs(20), async || {
        let audit = stage.audit();
        let own = audit.since(place).iter().filter(|asked| asked.credential == credential && asked.call.group == GROUP);
        let count = own.count();
        if count <= 40 { Ok(()) } else { Err(format!("{count} requests")) }
    })
    .await;
}
