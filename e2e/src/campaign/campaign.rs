//! A campaign: one rollout without faults, then as many as it takes with.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::ListParams;
use tokio::sync::{Mutex, MutexGuard};

use super::disturbance::{Disturbance, Point};
use super::outcome::Outcome;
use super::rollout::{Disturbed, Rollout};
use super::supervisor::Supervisor;
use super::versions::Versions;
use crate::controller::install;
use crate::eventually::eventually;
use crate::fault::api::Call;
use crate::namespace::Namespace;
use crate::testbed::Testbed;

/// How long a rollout may take with a fault in its way: a write that hangs takes 4 s, an API server that asks for patience 5 s, and
/// back-off comes to some seconds more.
const DEADLINE: Duration = Duration::from_secs(120);
/// The same for each app, where there are many.
const DEADLINE_OF_AN_APP: Duration = Duration::from_secs(10);
/// How long drover may want to look again, after the last rollout, before a quiet minute begins.
const STILL: Duration = Duration::from_secs(5);

/// Campaigns take turns: there is one drover for a cluster.
static TURN: Mutex<()> = Mutex::const_new(());

/// A rollout that is disturbed again and again.
pub struct Campaign {
    _turn: MutexGuard<'static, ()>,
    /// The drover that is disturbed.
    pub drover: Supervisor,
    rollout: Rollout,
    undisturbed: Outcome,
    usual: Duration,
    points: Vec<Point>,
    /// The systems of the last rollouts, which run on.
    running: Vec<Namespace>,
    runs: usize,
    met: usize,
    failures: Vec<String>,
}

impl Campaign {
    /// A campaign over a rollout of that many apps. `program` is `drover-faulty`, which gets these arguments besides.
    pub async fn begin(bed: &'static Testbed, program: &str, arguments: &[&str], apps: usize) -> Self {
        let of_all = DEADLINE_OF_AN_APP * u32::try_from(apps).expect("not that many apps");
        Self::over(bed, program, arguments, Versions::of_apps(apps), DEADLINE.max(of_all)).await
    }

    /// A campaign over any system, each rollout of which may take so long. It is run undisturbed, twice, which must come to the same.
    pub async fn over(
        bed: &'static Testbed,
        program: &str,
        arguments: &[&str],
        versions: Versions,
        deadline: Duration,
    ) -> Self {
        let turn = TURN.lock().await;
        install(bed);
        let drover = Supervisor::start(bed, program, arguments).await;
        let rollout = Rollout { bed, versions, deadline };
        let first = rollout.undisturbed(&drover).await;
        let again = rollout.undisturbed(&drover).await;
        let undisturbed = first.outcome.unwrap_or_else(|why| panic!("without faults {why}\n{}", drover.log_end()));
        assert_eq!(again.compare(&undisturbed), Ok(()), "two rollouts without faults do not come to the same");
        let calls: Vec<Call> = first.calls.into_iter().map(|(call, _)| call).collect();
        let points = Point::writes(&calls);
        println!("a rollout has {} writes and takes {:.1} s", points.len(), again.took.as_secs_f64());
        let usual = again.took;
        Self {
            _turn: turn,
            drover,
            rollout,
            undisturbed,
            usual,
            points,
            running: Vec::new(),
            runs: 0,
            met: 0,
            failures: Vec::new(),
        }
    }

    /// The writes of the rollout without faults.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How long the rollout takes without faults.
    pub fn usual(&self) -> Duration {
        self.usual
    }

    /// A rollout for each disturbance, `at_once` of them at the same time.
    pub async fn disturb(&mut self, disturbances: &[Disturbance], at_once: usize) {
        for batch in disturbances.chunks(at_once) {
            let runs = self.rollout.run(&self.drover, batch, Some(&self.undisturbed), async {}).await;
            for (disturbance, run) in batch.iter().zip(&runs) {
                self.count(&disturbance.to_string(), run, run.faults() > 0);
            }
            self.running = runs.into_iter().map(|run| run.namespace).collect();
        }
    }

    /// One rollout while `meanwhile` disturbs the drover from outside.
    pub async fn disturb_while(&mut self, what: &str, meanwhile: impl AsyncFnOnce(&Supervisor)) {
        let run = self.roll_out_while(meanwhile).await;
        self.count(what, &run, true);
        self.running = vec![run.namespace];
    }

    /// The same where the API server is killed and loses lines of its log: fewer changes than usual are no difference, more are.
    pub async fn outage_while(&mut self, what: &str, meanwhile: impl AsyncFnOnce(&Supervisor)) {
        let mut run = self.roll_out_while(meanwhile).await;
        if let Ok(outcome) = &mut run.outcome {
            for (change, usual) in &self.undisturbed.changes {
                let logged = outcome.changes.entry(change.clone()).or_default();
                *logged = (*logged).max(*usual);
            }
        }
        self.count(what, &run, true);
        self.running = vec![run.namespace];
    }

    /// The same where the cluster forgets some of what happened: what was created and deleted is of no account, nor is history.
    pub async fn forget_while(&mut self, what: &str, meanwhile: impl AsyncFnOnce(&Supervisor)) {
        let mut run = self.roll_out_while(meanwhile).await;
        run.outcome = run.outcome.map(Outcome::without_history);
        let verdict = run.compare(&self.undisturbed.clone().without_history());
        self.record(what, &run, true, verdict);
        self.running = vec![run.namespace];
    }

    async fn roll_out_while(&self, meanwhile: impl AsyncFnOnce(&Supervisor)) -> Disturbed {
        let undisturbed = Some(&self.undisturbed);
        self.rollout.run(&self.drover, &[Disturbance::none()], undisturbed, meanwhile(&self.drover)).await.remove(0)
    }

    fn count(&mut self, what: &str, run: &Disturbed, met: bool) {
        let verdict = run.compare(&self.undisturbed);
        self.record(what, run, met, verdict);
    }

    fn record(&mut self, what: &str, run: &Disturbed, met: bool, verdict: Result<(), String>) {
        self.runs += 1;
        self.met += usize::from(met);
        println!(
            "{:>4}. {what}: {:.1} s, {}",
            self.runs,
            run.took.as_secs_f64(),
            match (&verdict, met) {
                (Ok(()), true) => "the same end".to_owned(),
                (Ok(()), false) => "the same end, but the fault was not met".to_owned(),
                (Err(why), _) => format!("NOT the same end\n{why}"),
            }
        );
        if let Err(why) = verdict {
            self.failures.push(format!("{what}:\n{why}"));
        }
    }

    /// A quiet minute follows, in which the last systems run on, and all rollouts came to the same end. At least `share` of a
    /// hundred must have met their fault: the order of writes differs a little from run to run.
    pub async fn ends_well(self, share: usize) {
        self.only_the_last_are_there().await;
        let written = self.drover.quiet_minute(STILL).await;
        println!(
            "{} rollouts, {} met their fault, {} came to the same end; {} restarts; {} writes in the quiet minute after",
            self.runs,
            self.met,
            self.runs - self.failures.len(),
            self.drover.restarts(),
            written.len(),
        );
        assert!(self.failures.is_empty(), "{}\n{}", self.failures.join("\n"), self.drover.log_end());
        assert!(written.is_empty(), "written in the quiet minute: {written:?}");
        assert!(self.met * 100 >= self.runs * share, "only {} of {} met their fault", self.met, self.runs);
        assert!(!self.drover.log().contains("panicked"), "drover panicked:\n{}", self.drover.log_end());
    }

    /// Waits until Kubernetes has removed the namespaces of earlier rollouts.
    async fn only_the_last_are_there(&self) {
        let all: Api<core::Namespace> = Api::all(self.rollout.bed.client().await);
        eventually("the earlier namespaces are gone", DEADLINE * 3, async || {
            let found = all.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let ending = found.iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_some()).count();
            if ending == 0 { Ok(()) } else { Err(format!("{ending} are still there")) }
        })
        .await;
    }
}
