//! Why a queue cannot be asked, each as one sentence.

use crate::front::Unreachable;

/// Why a queue cannot be asked. No sentence holds a secret, nor what a server said, but for a class of Java's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    /// It is not known where.
    #[error(
        "spec.source.activemq.url is {url:?}, and that is no address: write http://HOST:PORT or https://HOST:PORT, without a user in it"
    )]
    Url {
        /// What is written.
        url: String,
    },
    /// A Service that is not there.
    #[error(
        "there is no Service {service} in this namespace: make it, or write the broker's whole host name in spec.source.activemq.url"
    )]
    ServiceMissing {
        /// Its name.
        service: String,
    },
    /// A Service without that port.
    #[error(
        "Service {service} has no port {port}, but {known}: write the one of the broker's console in spec.source.activemq.url"
    )]
    ServicePort {
        /// Its name.
        service: String,
        /// The port.
        port: i32,
        /// Its ports.
        known: String,
    },
    /// A Service without an address.
    #[error(
        "Service {service} has no address of its own, being headless or a name of something else: make one of type ClusterIP beside it, and name that in spec.source.activemq.url"
    )]
    ServiceAddress {
        /// Its name.
        service: String,
    },
    /// An address that a spec may not lead to.
    #[error(
        "{host} in spec.source.activemq.url is at an address that drover does not ask for anybody: loopback, link-local or the API server's; write the broker's own"
    )]
    Refused {
        /// The host.
        host: String,
    },
    /// No password.
    #[error(
        "the password is not there: there is no Secret {secret} with a key {key} in this namespace; make it, or correct passwordSecretRef"
    )]
    Password {
        /// The Secret.
        secret: String,
        /// The key.
        key: String,
    },
    /// Nobody answers.
    #[error("the broker at {at} does not answer: {why}; see whether it runs, or correct spec.source.activemq.url")]
    Unreachable {
        /// Where.
        at: String,
        /// Why.
        why: String,
    },
    /// It does not let drover in.
    #[error(
        "the broker at {at} refuses {with} (its answer is 401): correct username or the password in the Secret, as the broker's jetty-realm.properties or users.properties has it"
    )]
    Unauthorised {
        /// Where.
        at: String,
        /// Who asked.
        with: String,
    },
    /// Another answer.
    #[error(
        "the broker at {at} answers {status}: spec.source.activemq.url is the address of its console, below which Jolokia is at /api/jolokia"
    )]
    Status {
        /// Where.
        at: String,
        /// The status of HTTP.
        status: u16,
    },
    /// Its console fails.
    #[error(
        "the console of the broker at {at} fails with {status}: it may be starting still, and else its log says why"
    )]
    Failing {
        /// Where.
        at: String,
        /// The status of HTTP.
        status: u16,
    },
    /// It sends elsewhere.
    #[error(
        "the broker at {at} sends drover to another address, which it does not follow: write that address in spec.source.activemq.url"
    )]
    Redirect {
        /// Where.
        at: String,
    },
    /// It says too much.
    #[error(
        "the broker at {at} answers with more than 64 KiB, which no answer of Jolokia about one queue has: correct spec.source.activemq.url"
    )]
    TooLarge {
        /// Where.
        at: String,
    },
    /// It is no Jolokia.
    #[error(
        "what answers at {at} is no Jolokia, because its answer is not JSON of the expected form: correct spec.source.activemq.url"
    )]
    NotJolokia {
        /// Where.
        at: String,
    },
    /// Jolokia does not tell.
    #[error("Jolokia at {at} does not tell of the queue {queue}: its own status is {status}{class}; {advice}")]
    Inner {
        /// Where.
        at: String,
        /// The queue.
        queue: String,
        /// The status inside of the answer.
        status: i64,
        /// ` (javax.…)`.
        class: String,
        /// What to do.
        advice: &'static str,
    },
    /// There is no broker.
    #[error(
        "Jolokia at {at} knows of no broker: it is still starting or stands by for another, or its useJmx is false"
    )]
    NoBroker {
        /// Where.
        at: String,
    },
    /// What it tells is no count.
    #[error(
        "the {field} of the queue {queue} is {what}, and that is no number of messages, so it counts as not known: see what answers at {at}"
    )]
    NoNumber {
        /// The field.
        field: &'static str,
        /// The queue.
        queue: String,
        /// What it is.
        what: &'static str,
        /// Where.
        at: String,
    },
    /// Two queues have the same name for the broker's management.
    #[error(
        "the broker at {at} tells of another queue in the place of {queue}: their names differ only in characters that its management cannot tell apart (: , ' and quotation marks); rename one of them"
    )]
    OtherQueue {
        /// Where.
        at: String,
        /// The queue.
        queue: String,
    },
}

impl Unasked {
    /// One CamelCase word.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Url { .. } => "InvalidUrl",
            Self::ServiceMissing { .. } => "ServiceMissing",
            Self::ServicePort { .. } => "PortMissing",
            Self::ServiceAddress { .. } => "ServiceHasNoAddress",
            Self::Refused { .. } => "AddressRefused",
            Self::Password { .. } => "PasswordMissing",
            Self::Unreachable { .. } => "BrokerUnreachable",
            Self::Unauthorised { .. } => "BrokerRefusesLogin",
            Self::Status { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::NotJolokia { .. }
            | Self::Inner { .. } => "NoJolokia",
            Self::Failing { .. } => "ConsoleFails",
            Self::NoBroker { .. } => "NoBroker",
            Self::NoNumber { .. } => "NoNumber",
            Self::OtherQueue { .. } => "AmbiguousQueue",
        }
    }
}

impl From<Unreachable> for Unasked {
    fn from(why: Unreachable) -> Self {
        match why {
            Unreachable::Missing { service } => Self::ServiceMissing { service },
            Unreachable::Port { service, port, known } => Self::ServicePort { service, port, known },
            Unreachable::NoAddress { service } | Unreachable::Unpublished { data_sync: service } => {
                Self::ServiceAddress { service }
            }
        }
    }
}
