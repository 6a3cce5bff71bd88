//! A `WebApp`, what its status comes to say, and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use drover_crds::{ANNOTATION_RECONCILE_AT, LABEL_INSTANCE, Problem, ReleaseStep, WebApp, WebAppStatus};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::eventually::eventually;
use crate::http::get;
use crate::namespace::Namespace;
use crate::prober::Prober;
use crate::status::ready;

/// How long a release may take, with an image to pull and a machine that is busy with other tests.
const A_RELEASE: Duration = Duration::from_secs(120);

/// A `WebApp` of a namespace.
pub struct App<'a> {
    namespace: &'a Namespace,
    name: String,
}

impl Namespace {
    /// The web app of that name.
    pub fn app(&self, name: &str) -> App<'_> {
        App::new(self, name)
    }
}

impl<'a> App<'a> {
    pub(crate) fn new(namespace: &'a Namespace, name: &str) -> Self {
        Self { namespace, name: name.to_owned() }
    }

    /// Its status; empty before drover wrote one.
    pub async fn status(&self) -> WebAppStatus {
        self.namespace.get::<WebApp>(&self.name).await.and_then(|app| app.status).unwrap_or_default()
    }

    /// Waits until the release of that commit is live.
    pub async fn is_live_at(&self, commit: &str) -> WebAppStatus {
        self.comes_to(&format!("is live at {commit}"), |status| {
            let release = status.rollout.release.as_ref().ok_or("no release yet")?;
            let ready = ready(&status.conditions)?;
            if release.commit.as_deref() == Some(commit) && release.step == ReleaseStep::Live && ready.status == "True"
            {
                Ok(status.clone())
            } else {
                Err(format!("{release:?}, {ready:?}"))
            }
        })
        .await
    }

    /// Waits until the newest release has a problem whose reason is one of `reasons`.
    pub async fn fails_with(&self, reasons: &[&str]) -> Problem {
        self.comes_to(&format!("fails with one of {reasons:?}"), |status| {
            let release = status.rollout.release.as_ref().ok_or("no release yet")?;
            let problem = release.problem.as_ref().ok_or_else(|| format!("no problem: {release:?}"))?;
            if reasons.contains(&problem.reason.as_str()) { Ok(problem.clone()) } else { Err(format!("{problem:?}")) }
        })
        .await
    }

    /// Waits until `look` finds in the status what it looks for.
    pub async fn comes_to<T>(&self, what: &str, look: impl Fn(&WebAppStatus) -> Result<T, String>) -> T {
        let what = format!("WebApp {}/{} {what}", self.namespace.name(), self.name);
        eventually(&what, A_RELEASE, async || look(&self.status().await)).await
    }

    /// Waits until `GET PATH` through the Ingress is answered with 200 and a body that holds `text`.
    pub async fn answers(&self, path: &str, text: &str) {
        let (address, host) = (self.namespace.ingress(), self.namespace.host());
        eventually(&format!("http://{host}{path} answers `{text}`"), A_RELEASE, async || {
            let response = get(&address, &host, path).await?;
            if response.status == 200 && response.body.contains(text) { Ok(()) } else { Err(format!("{response:?}")) }
        })
        .await;
    }

    /// What `GET PATH` through the Ingress is answered with now.
    pub async fn page(&self, path: &str) -> String {
        let response = get(&self.namespace.ingress(), &self.namespace.host(), path).await.expect("the Ingress answers");
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.body
    }

    /// Begins to ask for its first page again and again.
    pub fn probe(&self) -> Prober {
        Prober::start(self.namespace.ingress(), self.namespace.host())
    }

    /// Has its registry asked now, as a person would who does not want to wait for a minute; any new word counts.
    pub async fn look_now(&self, word: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {ANNOTATION_RECONCILE_AT: word}}}));
        let asked = self.namespace.api::<WebApp>().patch(&self.name, &PatchParams::default(), &patch).await;
        asked.expect("anybody may ask");
    }

    /// Its pods.
    pub async fn pods(&self) -> Vec<Pod> {
        let selector = format!("{LABEL_INSTANCE}={}", self.name);
        let listed = self.namespace.api::<Pod>().list(&ListParams::default().labels(&selector)).await;
        listed.expect("pods can be listed").items
    }

    /// The uids of its pods, but for those that are ending: the old ones of a rollout are still there when it is over.
    pub async fn standing(&self) -> BTreeSet<String> {
        let stands = |pod: Pod| pod.metadata.uid.filter(|_| pod.metadata.deletion_timestamp.is_none());
        self.pods().await.into_iter().filter_map(stands).collect()
    }

    /// Its Deployment.
    pub async fn deployment(&self) -> Deployment {
        self.namespace.get(&self.name).await.expect("a WebApp has a Deployment of its name")
    }
}
