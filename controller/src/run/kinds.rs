//! The kinds that are reconciled, each with a controller of its own.

use std::collections::HashMap;
use std::sync::Arc;

use drover_crds::{Owner, OwnerKind};
use futures::FutureExt as _;
use futures::future::{BoxFuture, JoinAll, join_all};
use tokio::sync::{mpsc, watch};

use super::{GRACE, Options};
use crate::cluster::lease::Leadership;
use crate::cluster::{Cluster, Restarts};
use crate::driver::{Controller, Trigger};
use crate::interest::Interest;
use crate::turn::{Kind, Owners, Turn};

/// The kinds that are registered.
pub(super) struct Kinds {
    cluster: Cluster,
    leadership: Leadership,
    restarts: Restarts,
    concurrency: usize,
    stopped: watch::Receiver<bool>,
    owners: Arc<Owners>,
    interest: Arc<Interest>,
    triggers: HashMap<OwnerKind, Trigger>,
    controllers: Vec<BoxFuture<'static, ()>>,
}

impl Kinds {
    /// None yet. Their controllers run until `stopped` becomes true. `tell` brings a label back to [`Self::tell`], and `interest` the labels of
    /// those who wait for an object of theirs.
    pub(super) fn new(
        options: &Options,
        cluster: Cluster,
        leadership: Leadership,
        stopped: watch::Receiver<bool>,
        tell: mpsc::UnboundedSender<String>,
        interest: Arc<Interest>,
    ) -> Self {
        Self {
            cluster,
            restarts: Restarts::new(leadership.clone(), options.resync),
            leadership,
            concurrency: options.concurrency,
            stopped,
            owners: Arc::new(Owners::telling(tell)),
            interest,
            triggers: HashMap::new(),
            controllers: Vec::new(),
        }
    }

    /// Adds a kind. How its controller is asked to look at an object.
    pub(super) fn register<K: Kind>(&mut self, kind: K) {
        let turn = Turn::new(kind, self.cluster.clone(), self.owners.clone(), self.interest.clone());
        let controller = Controller::new(turn, self.concurrency);
        self.triggers.insert(K::OWNER, controller.trigger());
        let (client, leadership) = (self.cluster.client(), self.leadership.clone());
        let running = controller.run(client, leadership, self.restarts.clone(), self.stopped.clone(), GRACE);
        self.controllers.push(running.boxed());
    }

    /// The controllers of all kinds until they have ended.
    pub(super) fn run(&mut self) -> JoinAll<BoxFuture<'static, ()>> {
        join_all(self.controllers.drain(..))
    }

    /// Asks the controller of its kind to look at that object.
    pub(super) fn push(&self, owner: &Owner) {
        if let Some(trigger) = self.triggers.get(&owner.kind) {
            trigger.push(&owner.key);
        }
    }

    /// Passes a change of an object on to the controller of the owner of that label.
    pub(super) fn tell(&self, label: &str) {
        if let Some(owner) = self.owners.get(label) {
            self.push(&owner);
        }
    }
}
