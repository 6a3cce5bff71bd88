//! Conditions as kstatus reads them: `Ready`, `Reconciling`, `Stalled`, and drover's own.
//!
//! `Ready` says whether what the spec asks for is there. `Reconciling` and `Stalled` are "abnormal is true" conditions:
//! the first says that drover is working on it, the second that it will not get there until a person changes something.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The object is as its spec asks.
pub const READY: &str = "Ready";
/// Work is in progress; absent when there is none.
pub const RECONCILING: &str = "Reconciling";
/// Nothing more happens until a person changes something; absent otherwise.
pub const STALLED: &str = "Stalled";
/// Drift is seen by events; `False` where drover may not watch a kind and says so.
pub const DRIFT_WATCH: &str = "DriftWatch";
/// Something on the way to a WebApp cuts requests that it would take; absent where nothing does, or nobody asked.
pub const EXPOSE_LIMITED: &str = "ExposeLimited";

/// A ConfigMap or Secret that an app reads is not there, or has not the key that is read; absent where nothing is missing.
pub const SETTINGS_MISSING: &str = "SettingsMissing";

/// The newest backup of a Database was restored, and holds all that was backed up; absent where none are asked for.
pub const BACKUP_VERIFIED: &str = "BackupVerified";

/// What was last loaded into a Database, by `init` or by a person, was checked and is there; absent where nothing was.
pub const RESTORED: &str = "Restored";

/// Some routes of a WebApp lead nowhere; absent where all lead somewhere.
pub const ROUTES_UNAVAILABLE: &str = "RoutesUnavailable";

/// A front sees nobody's address but its proxies', so that routes with `allowFrom` let nobody in; absent where it sees others.
pub const ADDRESSES_HIDDEN: &str = "AddressesHidden";

/// A certificate that a WebApp's hosts are served with ends within 30 days, or has ended, or one that signs it; absent otherwise.
pub const CERTIFICATE_EXPIRING: &str = "CertificateExpiring";

/// A Secret that `spec.tls` of a WebApp names has no certificate that its hosts can be served with; absent otherwise.
pub const CERTIFICATE_INVALID: &str = "CertificateInvalid";

/// A clock change of today or tomorrow takes runs of a schedule away, or adds some; absent where none does.
pub const CLOCK_CHANGE: &str = "ClockChange";

/// A queue cannot be asked how many messages it has, so the number of workers stays as it is; absent while it answers.
pub const SOURCE_UNAVAILABLE: &str = "SourceUnavailable";

/// Consumers of a queue hold more messages than they can work on at a time; absent while none do.
pub const MESSAGES_HELD: &str = "MessagesHeld";

/// A broker counts fewer consumers of a queue than workers are ready; absent while it counts as many.
pub const WORKERS_NOT_CONNECTED: &str = "WorkersNotConnected";

/// Messages lie in the queue of those that the broker gave up on; absent while none do.
pub const DEAD_LETTERS: &str = "DeadLetters";

/// The reason of an Environment that is applied, where the first object of `status.failures` keeps it from being ready.
pub const UNHEALTHY: &str = "Unhealthy";
/// The reason of an Environment that is applied, where it waits for the first object of `status.waitingFor`.
pub const PROGRESSING: &str = "Progressing";

/// The reason of an object whose spec the version of drover that looked at it cannot read.
pub const UNREADABLE: &str = "Unreadable";

/// The reason of an app that is asleep, as its spec asks, and whose newest release has served.
pub const SCHEDULED_DOWN: &str = "ScheduledDown";
/// The reason of an app that is asleep, and whose newest release has not served yet: nothing is known of it before it wakes.
pub const WAITS_FOR_WINDOW: &str = "WaitsForWindow";

/// What one reconcile concluded about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the spec asks.
    Ready {
        /// One CamelCase word.
        reason: String,
        /// One sentence for a person.
        message: String,
    },
    /// On the way; drover goes on by itself.
    InProgress {
        /// One CamelCase word.
        reason: String,
        /// One sentence for a person.
        message: String,
    },
    /// Not as asked; drover tries again by itself.
    Failed {
        /// One CamelCase word.
        reason: String,
        /// One sentence: what, which, why, what to do.
        message: String,
    },
    /// Not as asked, and only a person can change that.
    Stalled {
        /// One CamelCase word.
        reason: String,
        /// One sentence: what, which, why, what to do.
        message: String,
    },
}

/// The status of any of drover's kinds.
pub trait HasHead {
    /// Its conditions.
    fn conditions(&self) -> &[Condition];

    /// The generation of the spec that it speaks of, and its conditions.
    fn head(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);

    /// Writes down what a reconcile of that generation concluded.
    fn conclude(&mut self, outcome: &Outcome, generation: Option<i64>, now: &Time) {
        let (observed_generation, conditions) = self.head();
        *observed_generation = generation;
        record(conditions, outcome, generation, now);
    }
}

/// Writes `outcome` into `conditions` as `Ready`, `Reconciling` and `Stalled`. A condition keeps its transition time while
/// its status stays the same, so that an unchanged outcome leaves the list unchanged. Messages are cut to the 32,768 bytes
/// that the API server allows.
pub fn record(conditions: &mut Vec<Condition>, outcome: &Outcome, generation: Option<i64>, now: &Time) {
    let (ready, extra, reason, message) = match outcome {
        Outcome::Ready { reason, message } => ("True", None, reason, message),
        Outcome::InProgress { reason, message } => ("Unknown", Some(RECONCILING), reason, message),
        Outcome::Failed { reason, message } => ("False", Some(RECONCILING), reason, message),
        Outcome::Stalled { reason, message } => ("False", Some(STALLED), reason, message),
    };
    set(conditions, READY, ready, reason, message, generation, now);
    for kind in [RECONCILING, STALLED] {
        if extra == Some(kind) {
            set(conditions, kind, "True", reason, message, generation, now);
        } else {
            clear(conditions, kind);
        }
    }
}

/// Takes one condition away, where it is there.
pub fn clear(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

/// Sets one condition, keeping its transition time while its status stays the same.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: &Time,
) {
    let mut message = message.to_owned();
    if message.len() > 32_000 {
        let end = (0..=32_000).rev().find(|&i| message.is_char_boundary(i)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    let existing = conditions.iter().position(|c| c.type_ == kind);
    let since = match existing {
        Some(i) if conditions[i].status == status => conditions[i].last_transition_time.clone(),
        _ => now.clone(),
    };
    let condition = Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    };
    match existing {
        Some(i) => conditions[i] = condition,
        None => conditions.push(condition),
    }
}

/// The condition of that type, if there is one.
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}
