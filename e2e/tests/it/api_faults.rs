//! The API server is slow, busy, away, or not what it was: drover is healthy again without a restart and without a burst, and
//! says meanwhile how it is.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drover_crds::LocalObjectReference;
use drover_e2e::fault::{Entry, Events, Fault, JOURNAL, Journal, Match, PLAN, Plan};
use drover_e2e::{Asked, Commit, Controller, Environment, GitRepo, Namespace, Stage, eventually, install, steadily};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams};
use kube::core::PartialObjectMeta;

/// The testbed of these tests.
const NUMBER: u32 = 51;
/// Environments of a namespace.
const ENVIRONMENTS: usize = 5;
/// ConfigMaps of each.
const PAGES: usize = 4;
/// How long drover may take until all is as it should be, on a machine that is busy with other tests.
const HEALTHY: Duration = Duration::from_secs(60);

/// A namespace with a few Environments, and the controller that looks after it.
struct Site {
    namespace: Namespace,
    repo: GitRepo,
    stage: Stage,
}

impl Site {
    async fn new(topic: &str) -> Self {
        let stage = Stage::enter(NUMBER).await;
        let namespace = Namespace::on(stage.bed(), topic).await;
        let repo = namespace.repository("pages");
        Self { namespace, repo, stage }
    }

    /// Every page says `text`.
    fn push(&self, text: &str) -> Commit {
        let files: Vec<(String, String)> = (0..ENVIRONMENTS)
            .map(|number| {
                let yaml = (0..PAGES).fold(String::new(), |mut yaml, page| {
                    let _ = write!(
                        yaml,
                        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page-{number}-{page}}}\ndata: {{text: {text}}}\n"
                    );
                    yaml
                });
                (format!("{number}/pages.yaml"), yaml)
            })
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (name.as_str(), yaml.as_str())).collect();
        self.repo.push(&files, text)
    }

    /// The namespace follows the repository, one Environment for each folder.
    async fn follow(&self) {
        for number in 0..ENVIRONMENTS {
            Environment::create(&self.namespace, &format!("part-{number}"), &self.repo, |spec| {
                spec.source.path = Some(number.to_string());
                spec.source.secret_ref = Some(LocalObjectReference { name: "git-read".into() });
            })
            .await;
        }
    }

    async fn is_ready_at(&self, commit: &Commit) {
        for number in 0..ENVIRONMENTS {
            Environment::named(&self.namespace, &format!("part-{number}")).is_ready_at(commit).await;
        }
    }

    /// Name and text of every page that drover applied.
    async fn pages(&self) -> Result<BTreeMap<String, String>, kube::Error> {
        let params = ListParams::default().labels("drover.dev/owner");
        let pages = self.namespace.api::<ConfigMap>().list(&params).await?.items;
        let text = |page: &ConfigMap| page.data.as_ref().and_then(|data| data.get("text")).cloned();
        Ok(pages
            .iter()
            .map(|page| (page.metadata.name.clone().unwrap_or_default(), text(page).unwrap_or_default()))
            .collect())
    }

    /// Every page is there and says `text`.
    async fn say(&self, text: &str) {
        eventually(&format!("all pages say {text}"), HEALTHY, async || {
            let pages = self.pages().await.map_err(|error| error.to_string())?;
            let wrong: Vec<_> = pages.iter().filter(|(_, found)| *found != text).collect();
            match pages.len() {
                count if count == ENVIRONMENTS * PAGES && wrong.is_empty() => Ok(()),
                count => Err(format!("{count} pages, of which {wrong:?}")),
            }
        })
        .await;
    }

    /// A page that somebody deletes comes back.
    async fn repairs(&self, page: &str) -> Duration {
        let pages = self.namespace.api::<ConfigMap>();
        let before = eventually("the page can be deleted", HEALTHY, async || {
            let before = pages.get(page).await.map_err(|error| error.to_string())?.metadata.uid;
            pages.delete(page, &DeleteParams::default()).await.map_err(|error| error.to_string())?;
            Ok(before)
        })
        .await;
        let began = Instant::now();
        eventually(&format!("{page} is back"), HEALTHY, async || {
            match pages.get_metadata_opt(page).await.map_err(|error| error.to_string())? {
                Some(PartialObjectMeta { metadata, .. }) if metadata.uid != before => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        began.elapsed()
    }
}

/// Waits until that controller asks nothing of the API server any more but for the lease, and returns what it asked since `place`.
async fn until_quiet(stage: &Stage, credential: &str, place: usize) -> Vec<Asked> {
    let asked = || -> Vec<Asked> {
        let audit = stage.audit();
        let all = audit.since(place).iter().filter(|asked| asked.credential == credential);
        all.filter(|asked| asked.call.resource != "leases").cloned().collect()
    };
    let last = Cell::new((asked().len(), Instant::now()));
    eventually("drover asks nothing more", HEALTHY, async || {
        let now = asked().len();
        if now != last.get().0 {
            last.set((now, Instant::now()));
        }
        if last.get().1.elapsed() > Duration::from_secs(6) { Ok(()) } else { Err(format!("{now} requests")) }
    })
    .await;
    asked()
}

/// How many there are of each verb and resource.
fn counted(asked: &[Asked]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for Asked { call, code, .. } in asked {
        *counts.entry(format!("{} {} {code}", call.verb, call.resource)).or_default() += 1;
    }
    counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

/// The API server is away for `long`; meanwhile a commit comes, and right after its return somebody deletes an object.
async fn away(topic: &str, goes: &[&str], returns: &[&str], long: Duration) {
    let site = Site::new(topic).await;
    let drover = Controller::on(&site.stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let credential = drover.credential(&site.stage);
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    let pid = drover.pid();

    site.stage.suffers(goes);
    let gone = Instant::now();
    let said = eventually("/readyz says that the API server is away", Duration::from_secs(30), async || {
        match drover.readyz().await? {
            answer if answer.status == 503 => Ok(answer.body),
            answer => Err(format!("{answer:?}")),
        }
    })
    .await;
    println!("{goes:?}: after {:.1?} /readyz says: {}", gone.elapsed(), said.trim());
    assert!(said.contains(" since 20") && said.contains("writes nothing"), "{said}");
    assert_eq!(drover.metric("drover_leading").await, Ok(Some(0.0)));
    let second = site.push("two");
    steadily("drover waits", long.saturating_sub(gone.elapsed()), async || {
        match (drover.has_ended(), drover.readyz().await?.status) {
            (false, 503) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let waiting = drover.metric("drover_reconciles_total").await;

    let place = site.stage.audit().len();
    site.stage.suffers(returns);
    let back = Instant::now();
    let repaired = site.repairs("page-0-0").await;
    drover.leads_within(HEALTHY).await;
    site.is_ready_at(&second).await;
    site.say("two").await;
    println!(
        "{returns:?}: all is healthy {:.1?} after the return, what was deleted is back after {repaired:.1?}",
        back.elapsed()
    );
    assert_eq!(drover.readyz().await.map(|answer| answer.status), Ok(200));
    assert_eq!(drover.pid(), pid);
    assert!(!drover.has_ended(), "drover ended:\n{}", drover.log());
    let restarts = drover.metric("drover_watch_restarts_total").await.expect("metrics").unwrap_or(0.0);
    assert!(restarts >= 1.0, "no watch says that it began anew");
    let asked = until_quiet(&site.stage, &credential, place).await;
    println!("requests since the return, {ENVIRONMENTS} Environments of {PAGES} objects changed: {}", counted(&asked));
    println!("reconciles: {waiting:?} before, {:?} after", drover.metric("drover_reconciles_total").await);
    // What an undisturbed push costs is about three for each object; and each of the few kinds is listed anew.
    let objects = ENVIRONMENTS * (PAGES + 1);
    assert!(asked.len() <= 8 * objects, "a burst of {}: {}", asked.len(), counted(&asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_gone_for_a_minute_and_a_half() {
    away("gone", &["stop", "apiserver"], &["start", "apiserver"], Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs() {
    away("hangs", &["pause", "apiserver"], &["resume", "apiserver"], Duration::from_secs(40)).await;
}

/// drover with faults, and the files that make and tell them.
struct Faulty {
    drover: Controller,
    plan: PathBuf,
    journal: PathBuf,
    _folder: tempfile::TempDir,
}

impl Faulty {
    async fn start(site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        let (plan, journal) = (folder.path().join("plan"), folder.path().join("journal"));
        let drover = Controller::on(&site.stage)
            .program(Path::new(env!("CARGO_BIN_EXE_drover-faulty")))
            .variable(PLAN, &plan)
            .variable(JOURNAL, &journal)
            .start();
        drover.leads_within(Duration::from_secs(40)).await;
        Self { drover, plan, journal, _folder: folder }
    }

    fn meets(&self, matches: Match, fault: Fault) {
        Plan::one(matches, fault).write(&self.plan);
    }

    fn heals(&self) {
        Plan::default().write(&self.plan);
    }

    /// Requests that met a fault.
    fn met(&self) -> Vec<Entry> {
        Journal::read(&self.journal).into_iter().filter(|entry| entry.fault.is_some()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_api_server_is_asked_again_when_it_says_but_not_in_an_hour() {
    let site = Site::new("busy").await;
    let faulty = Faulty::start(&site).await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    for (text, asked, least, most) in [("two", 2, 2_000, 4_000), ("three", 3_600, 5_000, 8_500)] {
        let before = faulty.met().len();
        let once = Match { times: 1, ..Match::verb("patch").resource("configmaps") };
        faulty.meets(once, Fault::Fail { status: 429, retry_after: Some(asked) });
        let commit = site.push(text);
        site.is_ready_at(&commit).await;
        site.say(text).await;
        let refused = faulty.met().get(before).cloned().expect("a write was refused");
        let again = Journal::read(&faulty.journal)
            .into_iter()
            .find(|entry| entry.call == refused.call && entry.at > refused.at)
            .expect("it was tried again");
        let waited = again.at - refused.at;
        println!("429 with Retry-After {asked} s: tried again after {waited} ms");
        assert!((least..most).contains(&waited), "tried again after {waited} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_expire_begin_anew_and_miss_nothing() {
    let site = Site::new("expired").await;
    let faulty = Faulty::start(&site).await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    // As an event of a watch that runs, and as the answer to one that begins.
    for (text, fault) in
        [("two", Fault::Events(Events::Expire(0))), ("three", Fault::Fail { status: 410, retry_after: None })]
    {
        let before = faulty.met().len();
        faulty.meets(Match::verb("watch"), fault);
        // Watches that run already go on until the API server closes them.
        site.stage.suffers(&["stop", "apiserver"]);
        site.stage.suffers(&["start", "apiserver"]);
        let commit = site.push(text);
        site.is_ready_at(&commit).await;
        let repaired = site.repairs("page-1-1").await;
        eventually("watches expired", HEALTHY, async || match faulty.met().len() - before {
            few @ 0..=8 => Err(format!("{few} of them")),
            _ => Ok(()),
        })
        .await;
        let expired = faulty.met().len() - before;
        println!("410 everywhere: {expired} watches expired meanwhile, what was deleted was back after {repaired:.1?}");
        faulty.heals();
        site.say(text).await;
        let repaired = site.repairs("page-2-2").await;
        println!("afterwards: {repaired:.1?}");
        assert!(!faulty.drover.has_ended());
    }
    let credential = faulty.drover.credential(&site.stage);
    let place = site.stage.audit().len();
    until_quiet(&site.stage, &credential, place).await;
}

/// A kind that nobody else knows, which drover may watch and the namespace's account may write.
fn definition(group: &str, namespace: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: cheeses.{group}}}
spec:
  group: {group}
  names: {{kind: Cheese, plural: cheeses, singular: cheese}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{age: {{type: integer}}}}}}}}}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {namespace}-cheeses, labels: {{drover.dev/aggregate-to-watch: 'true', drover.dev/aggregate-to-deployer: 'true'}}}}
rules:
- {{apiGroups: [{group}], resources: ['*'], verbs: ['*']}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_disappears_and_returns_has_its_objects_again() {
    let site = Site::new("kind").await;
    let drover = Controller::on(&site.stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let credential = drover.credential(&site.stage);
    let group = format!("{}.example.org", site.namespace.name());
    let definition = definition(&group, site.namespace.name());
    site.stage.apply(&definition);
    let cheese = format!("apiVersion: {group}/v1\nkind: Cheese\nmetadata: {{name: brie}}\nspec: {{age: 3}}\n");
    let page = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {text: one}\n";
    let first = site.repo.push(&[("cheese.yaml", &cheese), ("page.yaml", page)], "One");
    let environment = site.namespace.follow(&site.repo).await;
    environment.is_ready_at(&first).await;

    let name = format!("cheeses.{group}");
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
    site.stage.apply(&definition);
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
    site.stage.kubectl(&["delete", "clusterrole", &format!("{}-cheeses", site.namespace.name())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drover_s_own_kinds_disappear_and_return_and_nothing_is_deleted() {
    let site = Site::new("own").await;
    let drover = Controller::on(&site.stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let credential = drover.credential(&site.stage);
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    let uids = async || -> Vec<Option<String>> {
        let (pages, params) = (site.namespace.api::<ConfigMap>(), ListParams::default().labels("drover.dev/owner"));
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
        let own = audit
            .since(place)
            .iter()
            .filter(|asked| asked.credential == credential && asked.call.group == "drover.dev");
        let count = own.count();
        if count <= 40 { Ok(()) } else { Err(format!("{count} requests")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_put_back_to_an_older_state_in_the_middle_of_a_rollout() {
    let site = Site::new("restored").await;
    let mut drover = Controller::on(&site.stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    site.stage.suffers(&["snapshot"]);
    let second = site.push("two");
    site.is_ready_at(&second).await;

    let place = site.stage.audit().len();
    let third = site.push("three");
    eventually("a rollout is under way", HEALTHY, async || {
        let audit = site.stage.audit();
        let name = site.namespace.name();
        let mut pages = audit.since(place).iter().filter(|asked| {
            asked.call.namespace == name && asked.call.resource == "configmaps" && asked.changed_something()
        });
        if pages.next().is_some() { Ok(()) } else { Err("no page of it is written".to_owned()) }
    })
    .await;
    site.stage.suffers(&["restore"]);
    let back = Instant::now();
    let mut restarts = 0;
    let end = Instant::now() + HEALTHY;
    loop {
        if drover.has_ended() {
            // As the kubelet does, under the same name.
            let said = drover.log();
            assert!(said.contains("put back to an older state"), "it does not say why it ended:\n{said}");
            drover = Controller::on(&site.stage).start();
            restarts += 1;
        }
        let three = site.pages().await.is_ok_and(|pages| pages.values().all(|text| text == "three"));
        if three && !drover.has_ended() && drover.readyz().await.is_ok_and(|answer| answer.status == 200) {
            break;
        }
        assert!(Instant::now() < end, "not healthy:\n{}", drover.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    site.is_ready_at(&third).await;
    site.say("three").await;
    println!("etcd restored: healthy after {:.1?}, with {restarts} restarts", back.elapsed());
    assert!(restarts <= 1, "{restarts} restarts");
    site.repairs("page-3-3").await;
}
