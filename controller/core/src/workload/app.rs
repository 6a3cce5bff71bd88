//! Whose pods, and whose objects around them.

use drover_crds::{self as crds, OwnerKind};

/// An object of a kind that runs pods. What stands around them is named after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its kind.
    pub kind: OwnerKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name, as it was written.
    pub name: String,
    /// Its uid; `None` where there is no cluster.
    pub uid: Option<String>,
}

impl App {
    /// The name of its children, and the value of its labels: its own name, cut to what a label holds.
    pub fn object_name(&self) -> String {
        crds::bounded_name(&self.name)
    }

    /// The name of the CronJob of one of its jobs.
    pub fn cron_name(&self, job: &str) -> String {
        crds::bounded_cron_name(&format!("{}-{job}", self.name))
    }

    /// The name of what its front is made of.
    pub fn front_name(&self) -> String {
        self.child_name("front")
    }

    /// The name of a further child.
    pub fn child_name(&self, suffix: &str) -> String {
        crds::bounded_name(&format!("{}-{suffix}", self.name))
    }
}
