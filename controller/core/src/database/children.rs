//! What stands around a Database, each with something: its objects, its kind. [`DatabaseChildren::in_order`] and
//! [`DatabaseChildren::leaving`] name them all, so a child that was forgotten there does not compile.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::render::ObjectKey;
use crate::workload::children::ChildKind;

/// How many there are.
const COUNT: usize = 10;

/// One thing for each child.
#[derive(Clone, Debug)]
pub struct DatabaseChildren<T> {
    /// How to connect.
    pub connection: T,
    /// How the server is started and configured.
    pub settings: T,
    /// The data.
    pub claim: T,
    /// The server's address.
    pub service: T,
    /// Who reaches it.
    pub network_policy: T,
    /// The server.
    pub server: T,
    /// What a backup is told.
    pub backup_order: T,
    /// Where backups are.
    pub backup_claim: T,
    /// When they are made.
    pub backups: T,
    /// What a restore is told.
    pub restore_order: T,
}

impl<T> DatabaseChildren<T> {
    /// In the order in which a reader expects them.
    pub fn in_order(self) -> [T; COUNT] {
        let Self {
            connection,
            settings,
            claim,
            service,
            network_policy,
            server,
            backup_order,
            backup_claim,
            backups,
            restore_order,
        } = self;
        [
            connection,
            settings,
            claim,
            service,
            network_policy,
            server,
            backup_order,
            backup_claim,
            backups,
            restore_order,
        ]
    }

    /// In the order in which they go with their Database: what works goes first, and the data last.
    pub fn leaving(self) -> [T; COUNT] {
        let Self {
            connection,
            settings,
            claim,
            service,
            network_policy,
            server,
            backup_order,
            backup_claim,
            backups,
            restore_order,
        } = self;
        [
            backups,
            backup_order,
            restore_order,
            server,
            service,
            network_policy,
            settings,
            connection,
            claim,
            backup_claim,
        ]
    }
}

impl DatabaseChildren<ChildKind> {
    /// The kind of each.
    pub const KINDS: Self = Self {
        connection: ChildKind::of::<Secret>(),
        settings: ChildKind::of::<ConfigMap>(),
        claim: ChildKind::of::<PersistentVolumeClaim>(),
        service: ChildKind::of::<Service>(),
        network_policy: ChildKind::of::<NetworkPolicy>(),
        server: ChildKind::of::<StatefulSet>(),
        backup_order: ChildKind::of::<ConfigMap>(),
        backup_claim: ChildKind::of::<PersistentVolumeClaim>(),
        backups: ChildKind::of::<CronJob>(),
        restore_order: ChildKind::of::<ConfigMap>(),
    };

    /// When the child of that key goes with its Database: the lower, the earlier.
    pub fn rank(key: &ObjectKey) -> usize {
        ChildKind::position(&Self::KINDS.leaving(), key)
    }
}
