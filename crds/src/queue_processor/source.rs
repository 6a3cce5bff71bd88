//! The queue, and how many workers its messages ask for.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, SecretKeyReference};

/// The queue from which the workers take their messages: exactly one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSource {
    /// A queue of ActiveMQ Classic.
    pub activemq: ActiveMq,
}

/// A queue of ActiveMQ Classic, whose numbers are read from its management interface, Jolokia.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.username) == has(self.passwordSecretRef)")
    .message("username and passwordSecretRef belong together: write both, or neither for a broker that asks for no password"))]
#[serde(rename_all = "camelCase")]
pub struct ActiveMq {
    /// Where the broker's console is, such as `http://activemq:8161`; Jolokia is asked below it, at `/api/jolokia`. A host without a dot is
    /// a Service of the namespace.
    #[schemars(length(min = 8, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^/\\s@?#]+(/[^\\s@?#]*)?$')")
        .message("url is written http://HOST:PORT or https://HOST:PORT: without a user, whom username names, and without ? and #"))]
    pub url: String,

    /// The queue's name, one and no pattern.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\s,*>?]+$')")
        .message("queue is the name of one queue: without spaces, commas, wildcards (* and >) and options (after ?)"))]
    pub queue: String,

    /// The user who is asked as: one who may read is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub username: Option<String>,

    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyReference>,

    /// Where the broker puts messages that it gives up on. Their number is shown. Default `ActiveMQ.DLQ`, the one that all queues share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\s,*>?]+$')")
        .message("deadLetterQueue is the name of one queue: without spaces, commas, wildcards (* and >) and options (after ?)"))]
    pub dead_letter_queue: Option<String>,
}

impl ActiveMq {
    /// Where the broker puts messages that it gives up on.
    pub fn dead_letters(&self) -> &str {
        self.dead_letter_queue.as_deref().unwrap_or("ActiveMQ.DLQ")
    }
}

/// How many workers the messages of the queue ask for: those that wait and those that are in flight, shared out. More workers come as
/// soon as the queue asks for them; fewer only when it has been empty, with nothing in flight, for `cooldown`. While it cannot be asked
/// their number stays as it is. A queue that nobody has declared yet gets one worker, since most workers declare theirs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas")
    .message("scaling.minReplicas is more than scaling.maxReplicas: lower the one or raise the other"))]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// How many workers run at least. Default 0: none while there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: Option<i32>,

    /// How many workers run at most.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// How many messages one worker is to have, waiting and in flight together. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_replica: Option<i32>,

    /// How often the queue is asked. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('2s') && duration(self) <= duration('10m')")
        .message("scaling.pollingInterval must be between 2s and 10m"))]
    pub polling_interval: Option<Duration>,

    /// For how long nothing may have waited or been in flight before workers go. Default `5m`. Where workers acknowledge a message before
    /// they have worked on it the queue does not show their work: then it has to be longer than that takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('24h')").message("scaling.cooldown must be 24h or less"))]
    pub cooldown: Option<Duration>,
}
