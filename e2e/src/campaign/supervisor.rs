//! What a kubelet does for a controller: it starts it again when it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use crate::audit::Asked;
use crate::controller::Controller;
use crate::eventually::eventually;
use crate::fault::api::{Call, JOURNAL, Journal, PLAN, Plan};
use crate::testbed::Testbed;

/// A drover under faults that is started again whenever it ends.
pub struct Supervisor {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    bed: &'static Testbed,
    program: PathBuf,
    plan: PathBuf,
    journal: PathBuf,
    controller: Mutex<Controller>,
    restarts: AtomicUsize,
}

impl Shared {
    fn start(
        bed: &Testbed,
        program: &std::path::Path,
        plan: &std::path::Path,
        journal: &std::path::Path,
    ) -> Controller {
        Controller::on(bed).named("supervised").program(program).variable(PLAN, plan).variable(JOURNAL, journal).start()
    }
}

impl Supervisor {
    /// Starts `program`, which is `drover-faulty`, and waits until it is ready.
    pub async fn start(bed: &'static Testbed, program: &str) -> Self {
        let folder = bed.state().join("faults");
        std::fs::create_dir_all(&folder).expect("the testbed's folder is ours to write");
        let (program, plan, journal) = (PathBuf::from(program), folder.join("plan.json"), folder.join("journal"));
        Plan::default().write(&plan);
        let controller = Shared::start(bed, &program, &plan, &journal);
        controller.ready().await;
        let shared = Arc::new(Shared {
            bed,
            program,
            plan,
            journal,
            controller: Mutex::new(controller),
            restarts: AtomicUsize::new(0),
        });
        let watched = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut controller = watched.controller.lock().expect("no holder of this lock panics");
                if controller.has_ended() {
                    // A fault that kills does so once.
                    Plan::read(&watched.plan).without_kills().write(&watched.plan);
                    controller.stop();
                    *controller = Shared::start(watched.bed, &watched.program, &watched.plan, &watched.journal);
                    watched.restarts.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { shared, task }
    }

    /// Waits until drover writes nothing for `still`, then counts what it writes in the following minute, the election aside.
    pub async fn quiet_minute(&self, still: Duration) -> Vec<Asked> {
        eventually("drover writes nothing any more", Duration::from_secs(300), async || {
            let ledger = Ledger::from_now(self.shared.bed);
            tokio::time::sleep(still).await;
            ledger.writes_of_drover().first().map_or(Ok(()), |asked| Err(format!("{asked:?}")))
        })
        .await;
        let ledger = Ledger::from_now(self.shared.bed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        ledger.writes_of_drover()
    }

    /// From now on that is the plan, and the journal is empty.
    pub fn begin(&self, plan: &Plan) {
        std::fs::File::options()
            .write(true)
            .open(&self.shared.journal)
            .and_then(|file| file.set_len(0))
            .expect("the journal");
        plan.write(&self.shared.plan);
    }

    /// No faults any more. Returns what was asked for since [`Supervisor::begin`], and which of it met a fault.
    pub fn end(&self) -> Vec<(Call, bool)> {
        Plan::default().write(&self.shared.plan);
        Journal::read(&self.shared.journal).into_iter().map(|entry| (entry.call, entry.fault.is_some())).collect()
    }

    /// Kills it and waits until it runs again.
    pub async fn restart(&self) {
        let before = self.restarts();
        self.kill();
        eventually("drover runs again", Duration::from_secs(30), async || {
            if self.restarts() > before { Ok(()) } else { Err("it does not".to_owned()) }
        })
        .await;
    }

    /// How often it was started again.
    pub fn restarts(&self) -> usize {
        self.shared.restarts.load(Ordering::SeqCst)
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.shared.controller.lock().expect("no holder of this lock panics").signal(Signal::KILL);
    }

    /// The process id of the controller as it runs now.
    pub fn pid(&self) -> u32 {
        self.shared.controller.lock().expect("no holder of this lock panics").pid()
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What it has logged so far, in all its lives.
    pub fn log(&self) -> String {
        self.shared.controller.lock().expect("no holder of this lock panics").log()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
