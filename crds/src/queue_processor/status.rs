//! What drover reports about a `QueueProcessor`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::HasHead;
use crate::{AppStatus, RolloutStatus};

/// What drover last saw and did for a QueueProcessor.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct QueueProcessorStatus {
    /// The generation of the spec that this status speaks of; -1 until drover has looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling` and `Stalled`; `SourceUnavailable` while the queue cannot be asked, so that the number of workers stays as it
    /// is; `MessagesHeld` where consumers hold more messages than they work on; `WorkersNotConnected` where the broker counts fewer
    /// consumers than workers are ready; `DeadLetters` while the broker has messages that it gave up on; `ClockChange` from the day before
    /// a clock change that takes runs of a job's schedule away, or adds some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Its releases and pods.
    #[serde(flatten)]
    pub rollout: RolloutStatus,
    /// The queue's numbers, as they were told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// Whether the queue can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<QueueSourceStatus>,
}

/// The numbers of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Messages that wait for a worker.
    pub ready: i64,
    /// Messages that workers have and have not acknowledged.
    pub in_flight: i64,
    /// Consumers of the queue, as the broker counts them.
    pub consumers: i64,
    /// Messages in the dead letter queue, which others may share; absent while there is no such queue. What a broker throws away is not
    /// among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<i64>,
    /// When there were last more of these than before, as far as drover has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters_grew_at: Option<Time>,
    /// Since when these are the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Time>,
    /// Since when nothing waits and nothing is in flight, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Time>,
}

/// Whether a queue can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueSourceStatus {
    /// Whether the broker tells its numbers.
    pub reachable: bool,
    /// Since when that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What there is to say of it: why it cannot be asked, or that nobody has declared the queue yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl HasHead for QueueProcessorStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn head(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl AppStatus for QueueProcessorStatus {
    fn rollout(&self) -> &RolloutStatus {
        &self.rollout
    }
}
