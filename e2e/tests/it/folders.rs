//! Many Environments that follow folders of one repository: a push costs what it changes, and a new process nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_e2e::{Asked, Commit, Controller, Environment, GitRepo, Namespace, Stage, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};

use crate::api_faults::{counted, until_quiet};

/// The testbed of these tests.
const NUMBER: u32 = 50;
const FOLDERS: usize = 50;
/// The one that a push changes; it comes late in every order of names.
const CHANGED: usize = 7;
/// As many others may be told before what changed is sent, on a machine that stalls for seconds; in the order of names it would be nearly all.
const TOLD_BEFORE: usize = 35;

fn name(number: usize) -> String {
    format!("part-{number}")
}

fn config_map(name: &str, text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {text}}}\n")
}

/// A folder with a page for each, of which one says `text` and the others nothing new; `extra` is in that folder too, where there is one.
fn push(repo: &GitRepo, text: &str, extra: Option<usize>) -> Commit {
    let text_of = |number| if number == CHANGED { text } else { "the same" };
    let page = |number| (format!("{number}/page.yaml"), config_map(&format!("page-{number}"), text_of(number)));
    let mut files: Vec<(String, String)> = (0..FOLDERS).map(page).collect();
    files.extend(extra.map(|number| (format!("{number}/extra.yaml"), config_map("extra", "moves"))));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (name.as_str(), yaml.as_str())).collect();
    repo.push(&files, text)
}

async fn are_ready_at(namespace: &Namespace, commit: &Commit) {
    for number in 0..FOLDERS {
        Environment::named(namespace, &name(number)).is_ready_at(commit).await;
    }
}

/// How many events there are of each Environment.
async fn events(namespace: &Namespace) -> BTreeMap<String, usize> {
    let all = namespace.api::<Event>().list(&ListParams::default()).await.expect("events can be listed");
    let mut counts = BTreeMap::new();
    for regarding in all.items.into_iter().filter_map(|event| event.regarding) {
        *counts.entry(regarding.name.unwrap_or_default()).or_default() += 1;
    }
    counts
}

/// Whether it writes the status of another Environment than that of the folder which changes.
fn is_of_another(asked: &Asked) -> bool {
    asked.call.subresource == "status" && asked.call.name != name(CHANGED)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_changes_one_folder_of_fifty_costs_one_and_a_new_process_nothing() {
    let stage = Stage::enter(NUMBER).await;
    let drover = Controller::on(&stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let namespace = Namespace::on(stage.bed(), "folders").await;
    let repo = namespace.repository("folders");
    let first = push(&repo, "one", Some(CHANGED));
    let webhook = Environment::webhook_spec(&namespace);
    for number in 0..FOLDERS {
        Environment::create(&namespace, &name(number), &repo, |spec| {
            spec.source.path = Some(number.to_string());
            // What comes sooner came by the webhook.
            spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
            spec.source.webhook = (number == 0).then(|| webhook.clone());
        })
        .await;
    }
    are_ready_at(&namespace, &first).await;
    let of_first = drover.credential(&stage);
    until_quiet(&stage, &of_first, 0).await;
    let told = events(&namespace).await;

    let place = stage.audit().len();
    let second = push(&repo, "two", Some(CHANGED));
    let answer = Environment::named(&namespace, &name(0)).webhook_to(&drover, &repo).await;
    assert!((200..300).contains(&answer.status), "the webhook was answered with {answer:?}");
    Environment::named(&namespace, &name(CHANGED)).is_ready_at(&second).await;
    // At last all say so: a script that waits for its commit need not know which folders that changes.
    are_ready_at(&namespace, &second).await;
    let written: Vec<Asked> = until_quiet(&stage, &of_first, place).await.into_iter().filter(Asked::is_write).collect();
    println!("a push that changes one folder of {FOLDERS}: {}", counted(&written));
    let sent = written
        .iter()
        .position(|asked| asked.call.resource == "configmaps" && asked.call.namespace == namespace.name());
    let before = written[..sent.expect("the page is sent")].iter().filter(|asked| is_of_another(asked)).count();
    assert!(before < TOLD_BEFORE, "{before} others were told before what changed was sent");
    let others = written.iter().filter(|asked| is_of_another(asked)).count();
    assert_eq!(others, FOLDERS - 1, "each of the others is told of the commit once: {written:#?}");
    let own = written.len() - others;
    assert!(own <= 8, "what one folder costs: {}", counted(&written));
    let mut news = events(&namespace).await;
    news.retain(|name, count| told.get(name) != Some(count));
    assert_eq!(news.into_keys().collect::<Vec<_>>(), [name(CHANGED)], "others had nothing to tell");

    // What moves from folder to folder, and what leaves, waits for nobody whose folder is the same.
    let extras = namespace.api::<ConfigMap>();
    let uid = extras.get("extra").await.expect("it is applied").metadata.uid;
    let third = push(&repo, "two", Some(CHANGED + 1));
    Environment::named(&namespace, &name(0)).webhook_to(&drover, &repo).await;
    for number in [CHANGED, CHANGED + 1] {
        Environment::named(&namespace, &name(number)).is_ready_at(&third).await;
    }
    assert_eq!(extras.get("extra").await.expect("it is handed over").metadata.uid, uid);
    are_ready_at(&namespace, &third).await;
    let place = stage.audit().len();
    let fourth = push(&repo, "two", None);
    Environment::named(&namespace, &name(0)).webhook_to(&drover, &repo).await;
    Environment::named(&namespace, &name(CHANGED + 1)).is_ready_at(&fourth).await;
    assert!(extras.get_opt("extra").await.expect("it can be asked for").is_none());
    are_ready_at(&namespace, &fourth).await;
    let audit = stage.audit();
    let removed = |asked: &Asked| asked.call.verb == "delete" && asked.call.name == "extra";
    let before = audit.since(place).iter().take_while(|asked| !removed(asked)).filter(|asked| is_of_another(asked));
    assert!(before.clone().count() < TOLD_BEFORE, "what left git waited for {} others", before.count());
    until_quiet(&stage, &of_first, place).await;

    // A new process reads all of them, and finds all as it was said.
    drover.stop();
    let told = events(&namespace).await;
    let place = stage.audit().len();
    let drover = Controller::on(&stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    eventually("all Environments had a turn", Duration::from_secs(60), async || {
        match drover.metric("drover_reconciles_total").await? {
            Some(turns) if turns >= 2.0 * 50.0 => Ok(()),
            turns => Err(format!("{turns:?}")),
        }
    })
    .await;
    let of_second = drover.credential(&stage);
    let asked = until_quiet(&stage, &of_second, place).await;
    let written: Vec<&Asked> = asked.iter().filter(|asked| asked.is_write()).collect();
    let read = asked.iter().filter(|asked| asked.call.verb == "get" && asked.call.resource == "secrets").count();
    assert!(read < FOLDERS / 2, "the Secrets that all of them name were read {read} times");
    assert!(written.is_empty(), "a new process wrote {}: {written:#?}", counted(&asked));
    assert_eq!(events(&namespace).await, told);
    // It looks after them.
    let pages = namespace.api::<ConfigMap>();
    let before = pages.get("page-3").await.expect("a page").metadata.uid;
    pages.delete("page-3", &DeleteParams::default()).await.expect("a page can be deleted");
    eventually("a page that somebody deleted is back", Duration::from_secs(60), async || {
        match namespace.get::<ConfigMap>("page-3").await {
            Some(page) if page.metadata.uid != before => Ok(()),
            page => Err(format!("{page:?}")),
        }
    })
    .await;
}
