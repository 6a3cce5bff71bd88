//! The rollout that campaigns disturb.

use std::fmt::Write as _;
use std::time::Duration;

use drover_crds::{
    ANNOTATION_COMMIT, ANNOTATION_RECONCILE_AT, Environment as Resource, ReleaseStep, UptimeState, WebApp,
};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use tokio::time::{Instant, sleep, timeout};

use super::disturbance::Disturbance;
use super::ledger::{Ledger, concerns};
use super::outcome::Outcome;
use super::supervisor::Supervisor;
use super::versions::Versions;
use crate::environment::Environment;
use crate::fault::api::{Call, Plan};
use crate::git_repo::GitRepo;
use crate::namespace::Namespace;
use crate::status::ready;
use crate::testbed::Testbed;

/// How long nothing may have been written before the rollout counts as over.
const STILL: Duration = Duration::from_millis(1_000);

/// How long an end may take after that to be the expected one: what is done again after a request that got no answer, or in the
/// pauses of a back-off, is done in silence until then.
const PATIENCE: Duration = Duration::from_secs(20);

/// A system that comes into being and is then changed by a push or more.
#[derive(Clone)]
pub struct Rollout {
    /// The cluster.
    pub bed: &'static Testbed,
    /// What it is.
    pub versions: Versions,
    /// How long one may take. Undisturbed it takes a few seconds.
    pub deadline: Duration,
}

/// As many rollouts at once as go on about as fast as one alone.
const AS_FAST_AS_ONE: u32 = 5;

/// What a rollout came to.
pub struct Disturbed {
    /// Where it was. The system runs on until this is dropped.
    pub namespace: Namespace,
    /// The end, or why there was none.
    pub outcome: Result<Outcome, String>,
    /// What drover asked the API server for, in order, and whether a fault met it. The namespace is called `NAMESPACE`.
    pub calls: Vec<(Call, bool)>,
    /// How long it took.
    pub took: Duration,
}

impl Disturbed {
    /// Whether the end is that of `undisturbed`; if not, how it differs.
    pub fn compare(&self, undisturbed: &Outcome) -> Result<(), String> {
        let differences = undisturbed.differences(self.outcome.as_ref()?);
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// How many requests met a fault.
    pub fn faults(&self) -> usize {
        self.calls.iter().filter(|(_, fault)| *fault).count()
    }
}

impl Rollout {
    /// Runs it once without a fault.
    pub async fn undisturbed(&self, drover: &Supervisor) -> Disturbed {
        self.run(drover, &[Disturbance::none()], None, async {}).await.remove(0)
    }

    /// Runs it as often as there are faults, all at once, each in a new namespace with one fault, while `meanwhile` does what it
    /// likes to its end. Each is looked at when it is over, and some time longer while it is not as `expected`.
    pub async fn run(
        &self,
        drover: &Supervisor,
        faults: &[Disturbance],
        expected: Option<&Outcome>,
        meanwhile: impl Future<Output = ()>,
    ) -> Vec<Disturbed> {
        let crowds = u32::try_from(faults.len()).expect("not that many faults").div_ceil(AS_FAST_AS_ONE);
        let deadline = self.deadline * crowds;
        let systems = join_all(faults.iter().map(|_| Running::new(self))).await;
        let ledger = Ledger::from_now(self.bed);
        let rules = systems.iter().zip(faults).flat_map(|(system, fault)| fault.rules(system.namespace.name()));
        drover.begin(&Plan { rules: rules.collect() });
        if faults.iter().any(Disturbance::is_met_anew) {
            drover.restart().await;
        }
        let began = Instant::now();
        let ended = join_all(systems.iter().map(async |system| {
            let commits = timeout(deadline, system.roll_out()).await;
            (commits, began.elapsed())
        }));
        let (ended, ()) = futures::future::join(ended, meanwhile).await;
        // What went on longer than the rollout may have disturbed its end too.
        let settled = join_all(systems.iter().zip(ended).map(async |(system, (commits, took))| {
            let settled = async {
                let commits = commits?;
                let last = commits.len() - 1;
                timeout(deadline, system.is_live(last, &commits[last])).await?;
                Ok::<_, tokio::time::error::Elapsed>(commits)
            };
            let outcome = match settled.await {
                Ok(commits) => Ok(commits),
                Err(_) => Err(format!("no end within {deadline:?}: {}", unfinished(&system.namespace).await)),
            };
            (outcome, took)
        }));
        let mut runs = Vec::new();
        for (system, (commits, took)) in systems.iter().zip(settled.await) {
            let outcome = match commits {
                Ok(commits) => Ok(system.end(&ledger, &commits, expected).await),
                Err(why) => Err(why),
            };
            runs.push((outcome, took));
        }
        let calls = drover.end();
        let concerning =
            |name: &str| calls.iter().filter_map(|(call, fault)| Some((call.in_namespace(name)?, *fault))).collect();
        systems
            .into_iter()
            .zip(runs)
            .map(|(Running { namespace, .. }, (outcome, took))| Disturbed {
                outcome,
                calls: concerning(namespace.name()),
                took,
                namespace,
            })
            .collect()
    }
}

/// The namespace and the repository of one rollout.
struct Running {
    namespace: Namespace,
    repo: GitRepo,
    versions: Versions,
    first: String,
}

impl Running {
    /// Everything that is there before the controller hears of it.
    async fn new(rollout: &Rollout) -> Self {
        let namespace = Namespace::on(rollout.bed, "rollout").await;
        let secret = namespace.git_server().secret_for_https("git-read");
        let secret: Secret = serde_json::from_str(&secret).expect("the Secret is JSON");
        namespace.api().create(&PostParams::default(), &secret).await.expect("a Secret is created");
        let repo = namespace.repository("system");
        let versions = rollout.versions.clone();
        versions.prepare(&namespace);
        let first = versions.push(&namespace, &repo, 0);
        Self { namespace, repo, versions, first }
    }

    async fn roll_out(&self) -> Vec<String> {
        let mut spec = Environment::spec(&self.repo);
        // Only the rollout says when: a poll would come at another moment each time.
        spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
        spec.substitute = self.versions.variables(&self.namespace);
        let resource = Resource::new("prod", spec);
        let api = self.namespace.api::<Resource>();
        until_done(async || match api.create(&PostParams::default(), &resource).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            other => other.map(drop),
        })
        .await;
        self.is_live(0, &self.first).await;
        let mut commits = vec![self.first.clone()];
        for version in 1..self.versions.count() {
            let commit = self.versions.push(&self.namespace, &self.repo, version);
            let look = format!("for version {version}");
            let ask = Patch::Merge(serde_json::json!({"metadata": {"annotations": {ANNOTATION_RECONCILE_AT: look}}}));
            until_done(async || api.patch("prod", &PatchParams::default(), &ask).await.map(drop)).await;
            self.is_live(version, &commit).await;
            commits.push(commit);
        }
        commits
    }

    /// The end, as soon as it is the expected one, or as it is when that does not come about.
    async fn end(&self, ledger: &Ledger, commits: &[String], expected: Option<&Outcome>) -> Outcome {
        let began = Instant::now();
        loop {
            let outcome = Outcome::of(&self.namespace, ledger, commits);
            let is_expected = expected.is_none_or(|expected| expected.differences(&outcome).is_empty());
            if is_expected || began.elapsed() > PATIENCE {
                return outcome;
            }
            sleep(STILL).await;
        }
    }

    async fn is_live(&self, version: usize, commit: &str) {
        live(&self.namespace, commit, &self.versions.apps[version]).await;
        still(&self.namespace).await;
    }
}

/// Tries again while the API server is away.
async fn until_done(attempt: impl AsyncFn() -> kube::Result<()>) {
    while attempt().await.is_err() {
        sleep(Duration::from_millis(200)).await;
    }
}

/// What is not as it should be, for the report of a rollout that did not end.
async fn unfinished(namespace: &Namespace) -> String {
    let environments = namespace.api::<Resource>().list(&ListParams::default()).await;
    let apps = namespace.api::<WebApp>().list(&ListParams::default()).await;
    let mut said = String::new();
    for one in environments.iter().flatten() {
        let status = one.status.clone().unwrap_or_default();
        let _ = write!(said, "Environment: {:?}, failures {:?}. ", ready(&status.conditions), status.failures);
    }
    for one in apps.iter().flatten() {
        let status = one.status.clone().unwrap_or_default();
        let ready = ready(&status.conditions);
        if !ready.as_ref().is_ok_and(|ready| ready.status == "True") {
            let _ = write!(said, "{}: {ready:?}, release {:?}. ", one.name_any(), status.rollout.release);
        }
    }
    said
}

/// Waits until the Environment is Ready at `commit` and exactly these apps are live.
async fn live(namespace: &Namespace, commit: &str, wanted: &[String]) {
    let environment = Environment::named(namespace, "prod");
    // An API server that is away answers later.
    loop {
        // First this: an app is then told of the commit, if that changed it.
        let status = environment.try_status().await.unwrap_or_default();
        let is_applied = status.applied.as_ref().is_some_and(|applied| applied.commit == commit);
        let is_ready = ready(&status.conditions).is_ok_and(|ready| ready.status == "True");
        if let Some(found) =
            namespace.api::<WebApp>().list(&ListParams::default()).await.ok().filter(|_| is_applied && is_ready)
        {
            let mut names: Vec<String> =
                found.items.iter().filter(|app| is_live(app)).map(ResourceExt::name_any).collect();
            names.sort();
            if names == wanted && found.items.len() == wanted.len() {
                return;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Whether it is as the last commit says that changed it.
fn is_live(app: &WebApp) -> bool {
    let Some(status) = &app.status else { return false };
    let is_asleep = status.rollout.uptime.as_ref().is_some_and(|uptime| uptime.state == UptimeState::Asleep);
    let commit = app.annotations().get(ANNOTATION_COMMIT);
    let has_pods = status.rollout.replicas.as_ref().is_some_and(|replicas| replicas.desired > 0);
    status.observed_generation == app.metadata.generation
        && !(is_asleep && has_pods)
        && status
            .rollout
            .release
            .as_ref()
            .is_some_and(|release| release.commit.as_ref() == commit && release.step == ReleaseStep::Live)
        && ready(&status.conditions).is_ok_and(|ready| ready.status == "True")
}

/// Waits until drover has not written for a while. Only what was logged meanwhile is read, not all since the beginning.
async fn still(namespace: &Namespace) {
    loop {
        let ledger = Ledger::from_now(namespace.bed());
        sleep(STILL).await;
        if !ledger.writes_of_drover().iter().any(|asked| concerns(&asked.call, namespace.name())) {
            return;
        }
    }
}
