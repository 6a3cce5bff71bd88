//! What stands around a DataSync, each with something: its objects, its kind. [`SyncChildren::in_order`] and
//! [`SyncChildren::leaving`] name them all, so a child that was forgotten there does not compile.

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};

use crate::render::ObjectKey;
use crate::workload::children::ChildKind;

/// How many there are.
const COUNT: usize = 3;

/// One thing for each child.
#[derive(Clone, Debug)]
pub struct SyncChildren<T> {
    /// Where the files are.
    pub claim: T,
    /// What each sync is told.
    pub order: T,
    /// When it syncs.
    pub cron_job: T,
}

impl<T> SyncChildren<T> {
    /// In the order in which a reader expects them.
    pub fn in_order(self) -> [T; COUNT] {
        let Self { claim, order, cron_job } = self;
        [claim, order, cron_job]
    }

    /// In the order in which they go with their DataSync: what works goes first.
    pub fn leaving(self) -> [T; COUNT] {
        let Self { claim, order, cron_job } = self;
        [cron_job, order, claim]
    }
}

impl SyncChildren<ChildKind> {
    /// The kind of each.
    pub const KINDS: Self = Self {
        claim: ChildKind::of::<PersistentVolumeClaim>(),
        order: ChildKind::of::<ConfigMap>(),
        cron_job: ChildKind::of::<CronJob>(),
    };

    /// When the child of that key goes with its DataSync: the lower, the earlier.
    pub fn rank(key: &ObjectKey) -> usize {
        ChildKind::position(&Self::KINDS.leaving(), key)
    }
}
