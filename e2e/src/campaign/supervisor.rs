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
    recipe: Recipe,
    controller: Mutex<Controller>,
    restarts: AtomicUsize,
}

/// How it is started, each time.
struct Recipe {
    bed: &'static Testbed,
    program: PathBuf,
    arguments: Vec<String>,
    plan: PathBuf,
    journal: PathBuf,
}

impl Recipe {
    fn start(&self) -> Controller {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Controller::on(self.bed)
            .named("supervised")
            .program(&self.program)
            .arguments(&arguments)
            .variable(PLAN, &self.plan)
            .variable(JOURNAL, &self.journal)
            .start()
    }
}

impl Supervisor {
    /// Starts `program`, which is `drover-faulty`, with these arguments besides, and waits until it is ready.
    pub async fn start(bed: &'static Testbed, program: &str, arguments: &[&str]) -> Self {
        let folder = bed.state().join("faults");
        std::fs::create_dir_all(&folder).expect("the testbed's folder is ours to write");
        let recipe = Recipe {
            bed,
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            plan: folder.join("plan.json"),
            journal: folder.join("journal"),
        };
        Plan::default().write(&recipe.plan);
        let controller = recipe.start();
        controller.ready().await;
        let shared = Arc::new(Shared { recipe, controller: Mutex::new(controller), restarts: AtomicUsize::new(0) });
        let watched = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut controller = watched.controller.lock().expect("no holder of this lock panics");
                if controller.has_ended() {
                    // A fault that kills does so once.
                    Plan::read(&watched.recipe.plan).without_kills().write(&watched.recipe.plan);
                    controller.stop();
                    *controller = watched.recipe.start();
                    watched.restarts.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { shared, task }
    }

    /// Waits until drover writes nothing for `still`, then counts what it writes in the following minute, the election aside.
    pub async fn quiet_minute(&self, still: Duration) -> Vec<Asked> {
        eventually("drover writes nothing any more", Duration::from_secs(300), async || {
            let ledger = Ledger::from_now(self.shared.recipe.bed);
            tokio::time::sleep(still).await;
            ledger.writes_of_drover().first().map_or(Ok(()), |asked| Err(format!("{asked:?}")))
        })
        .await;
        let ledger = Ledger::from_now(self.shared.recipe.bed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        ledger.writes_of_drover()
    }

    /// From now on that is the plan, and the journal is empty.
    pub fn begin(&self, plan: &Plan) {
        std::fs::File::options()
            .write(true)
            .open(&self.shared.recipe.journal)
            .and_then(|file| file.set_len(0))
            .expect("the journal");
        plan.write(&self.shared.recipe.plan);
    }

    /// No faults any more. Returns what was asked for since [`Supervisor::begin`], and which of it met a fault.
    pub fn end(&self) -> Vec<(Call, bool)> {
        Plan::default().write(&self.shared.recipe.plan);
        Journal::read(&self.shared.recipe.journal)
            .into_iter()
            .map(|entry| (entry.call, entry.fault.is_some()))
            .collect()
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
