//! `QueueProcessor`: workers that take messages from a queue.

mod source;
mod status;
mod worker;

pub use source::*;
pub use status::*;
pub use worker::*;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::pod::{
    A_MEMORY_OF_ITS_OWN, A_REGISTRY_TO_ASK, A_SLEEP_TO_COME, A_TAG_TO_FOLLOW, ONE_AT_A_TIME, ONE_WRITER,
    ROOT_WITH_A_REASON,
};
use crate::{AppSpec, Assets, PodSpec};

/// Workers, as many as the messages of their queue ask for, or a fixed number of them.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "drover.dev",
    version = "v1alpha1",
    kind = "QueueProcessor",
    plural = "queueprocessors",
    shortname = "qp",
    category = "drover",
    namespaced,
    status = "QueueProcessorStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("write the name with lower-case letters, digits and dashes, beginning with a letter"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Release", type_ = "integer", json_path = ".status.release.number"),
    printcolumn(name = "Workers", type_ = "string", json_path = ".status.replicas.summary"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.queue.ready"),
    printcolumn(name = "InFlight", type_ = "integer", json_path = ".status.queue.inFlight"),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = ROOT_WITH_A_REASON,
    validation = A_TAG_TO_FOLLOW,
    validation = A_REGISTRY_TO_ASK,
    validation = A_SLEEP_TO_COME,
    validation = A_MEMORY_OF_ITS_OWN,
    validation = ONE_WRITER,
    validation = ONE_AT_A_TIME,
    validation = Rule::new("!(has(self.replicas) && has(self.scaling))")
        .message("write either replicas (a fixed number) or scaling (as many as the queue asks for)"),
    validation = Rule::new("!has(self.scaling) || has(self.source)")
        .message("scaling goes by the messages of a queue: write source too, or replicas for a fixed number"),
    validation = Rule::new("!has(self.scaling) || self.scaling.maxReplicas < 2 || !has(self.singleton) || !self.singleton")
        .message("singleton is never more than one pod: set scaling.maxReplicas to 1, or remove singleton"),
    validation = Rule::new("!has(self.scaling) || self.scaling.maxReplicas < 2 || !has(self.volumes) || !self.volumes.exists(v, has(v.claim) && !(has(v.claim.accessModes) && 'ReadWriteMany' in v.claim.accessModes) && v.mounts.exists(m, !has(m.readOnly) || !m.readOnly))")
        .message("only one pod may write to a claim that is not ReadWriteMany: set scaling.maxReplicas to 1, mount the claim readOnly, or ask for accessModes [ReadWriteMany]")
)]
#[serde(rename_all = "camelCase")]
pub struct QueueProcessorSpec {
    /// What is said of its pods.
    #[serde(flatten)]
    pub pod: PodSpec,

    /// How many workers run, where no queue decides it. Default 1; with 0 they are switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// The queue from which the workers take their messages. Only its numbers are read; how the workers themselves connect is their own
    /// matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<QueueSource>,

    /// How many workers the messages of the queue ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,

    /// How drover knows that a worker has started and lives. Default: its program runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<WorkerHealth>,

    /// How a worker is stopped: when there is less to do, in a rollout, and when it is to sleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<WorkerDrain>,
}

impl QueueProcessorSpec {
    /// How many workers there may be at most.
    pub fn most(&self) -> i32 {
        self.scaling.as_ref().map_or_else(|| self.replicas(), |scaling| scaling.max_replicas)
    }
}

/// Where the queue decides, `replicas` is what it asks for now: whoever looks at the queue writes it there.
impl AppSpec for QueueProcessorSpec {
    fn pod(&self) -> &PodSpec {
        &self.pod
    }

    fn further_claims(&self) -> Vec<String> {
        Vec::new()
    }

    fn assets(&self) -> &[Assets] {
        &[]
    }

    fn further_data_syncs(&self) -> Vec<&String> {
        Vec::new()
    }

    fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    fn with_replicas_of(&self, other: &Self) -> Self {
        let pod = PodSpec { uptime: other.pod.uptime.clone(), ..self.pod.clone() };
        let (source, scaling) = (other.source.clone(), other.scaling.clone());
        Self { pod, replicas: other.replicas, source, scaling, ..self.clone() }
    }

    fn is_scaled_as(&self, other: &Self) -> bool {
        (&self.source, &self.scaling) == (&other.source, &other.scaling)
    }

    fn with_one_pod_at_most(&self) -> Self {
        let one = |scaling: &Scaling| Scaling {
            min_replicas: scaling.min_replicas.map(|least| least.min(1)),
            max_replicas: scaling.max_replicas.min(1),
            ..scaling.clone()
        };
        let scaling = self.scaling.as_ref().map(one);
        Self { replicas: self.replicas.map(|asked| asked.min(1)), scaling, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> QueueProcessorSpec {
        serde_json::from_value(value).expect("a spec")
    }

    #[test]
    fn how_many_workers_run_is_no_part_of_a_release() {
        let source = json!({"activemq": {"url": "http://amq:8161", "queue": "a"}});
        let scaled = spec(json!({"image": "w:1", "source": source, "scaling": {"maxReplicas": 8, "minReplicas": 2}}));
        let fixed = spec(json!({"image": "w:1", "replicas": 3}));
        assert!(fixed.with_replicas_of(&scaled) == scaled && scaled.with_replicas_of(&fixed) == fixed);
        assert!(
            !fixed.is_scaled_as(&scaled) && fixed.is_scaled_as(&QueueProcessorSpec { replicas: None, ..fixed.clone() })
        );
        assert_eq!((fixed.most(), scaled.most(), scaled.with_one_pod_at_most().most()), (3, 8, 1));
        assert_eq!(scaled.with_one_pod_at_most().scaling.and_then(|scaling| scaling.min_replicas), Some(1));
        let other = spec(json!({"image": "w:2", "replicas": 3}));
        assert_ne!(fixed.with_replicas_of(&other), other);
    }
}
