//! The API server is slow, busy, away, or not what it was: drover is healthy again without a restart and without a burst, and
//! says meanwhile how it is.

mod away;
mod busy;
mod kinds;
mod restored;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use drover_crds::{LABEL_OWNER, LocalObjectReference};
use drover_e2e::{Asked, Commit, Controller, Environment, GitRepo, Namespace, Stage, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams};
use kube::core::PartialObjectMeta;

/// The testbeds of these tests: those that take the API server or its data away have the first one, the others the second.
const TAKEN_AWAY: u32 = 51;
const AT_WORK: u32 = 53;
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
    async fn on(number: u32, topic: &str) -> Self {
        let stage = Stage::enter(number).await;
        let namespace = Namespace::on(stage.bed(), topic).await;
        let repo = namespace.repository("pages");
        Self { namespace, repo, stage }
    }

    /// A controller that leads, and the credential by which the audit log tells its requests.
    async fn led(&self) -> (Controller, String) {
        let drover = Controller::on(&self.stage).start();
        drover.leads_within(Duration::from_secs(40)).await;
        let credential = drover.credential(&self.stage);
        (drover, credential)
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
        let params = ListParams::default().labels(LABEL_OWNER);
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
pub(crate) async fn until_quiet(stage: &Stage, credential: &str, place: usize) -> Vec<Asked> {
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
pub(crate) fn counted(asked: &[Asked]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for Asked { call, code, .. } in asked {
        *counts.entry(format!("{} {} {code}", call.verb, call.resource)).or_default() += 1;
    }
    counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}
