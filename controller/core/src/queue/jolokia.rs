//! What ActiveMQ's Jolokia is asked, and what its answer says. Whether it is one, its body says: HTTP's status is 200 also for a queue that
//! is not there and for a question that is refused.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::unasked::Unasked;

/// What is read of a queue.
const ATTRIBUTES: [&str; 6] = ["Name", "QueueSize", "InFlightCount", "ConsumerCount", "DispatchCount", "DequeueCount"];
/// What is read of the queue of dead letters.
const OF_DEAD: [&str; 2] = ["QueueSize", "EnqueueCount"];
/// The status of a queue, or a broker, that is not there.
const NOT_THERE: i64 = 404;

/// The numbers of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Messages that wait for a worker.
    pub ready: i64,
    /// Messages that workers have.
    pub in_flight: i64,
    /// Consumers.
    pub consumers: i64,
    /// Messages that the broker gave up on; `None` where there is no queue of them.
    pub dead: Option<i64>,
}

impl Numbers {
    /// All messages of the queue.
    pub fn messages(&self) -> i64 {
        self.ready.saturating_add(self.in_flight)
    }
}

/// What a broker has counted since it started: these only grow, and are no part of what a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How often a message was handed to a consumer, the same one again counted again.
    pub handed_out: Option<i64>,
    /// Messages that are done: acknowledged, or taken away otherwise.
    pub done: Option<i64>,
    /// Messages that the broker gave up on, all that ever were.
    pub dead: Option<i64>,
}

/// What a broker says of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It has these numbers.
    Numbers(Numbers, Counters),
    /// Nobody has declared it yet.
    Undeclared,
}

/// The body of a question for that queue and that of dead letters: one request for all that is wanted to be known.
pub fn question(queue: &str, dead: &str) -> Value {
    let read = |rest: &str, attributes: &[&str]| {
        let mbean = format!("org.apache.activemq:type=Broker,brokerName=*{rest}");
        json!({"type": "read", "mbean": mbean, "attribute": attributes})
    };
    let of = |queue: &str| format!(",destinationType=Queue,destinationName={}", encoded(queue));
    json!([read("", &["BrokerName"]), read(&of(queue), &ATTRIBUTES), read(&of(dead), &OF_DEAD)])
}

/// The body of a question for how the broker's management calls that queue: only of what is called by its whole name can more be asked.
pub fn search(queue: &str) -> Value {
    let queue = encoded(queue);
    let mbean = format!("org.apache.activemq:type=Broker,brokerName=*,destinationType=Queue,destinationName={queue}");
    json!({"type": "search", "mbean": mbean})
}

/// What came back for [`search`], where it is one queue.
pub fn found(body: &[u8]) -> Option<String> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    match answer.value.as_array().map(Vec::as_slice) {
        Some([Value::String(mbean)]) if answer.status == 200 => Some(mbean.clone()),
        _ => None,
    }
}

/// The body of a question for the first message of the queue that the management calls so: no more of it than its id and whence it came.
pub fn first_of(mbean: &str) -> Value {
    let exec =
        |field: &str| json!({"type": "exec", "mbean": mbean, "operation": "browse()", "path": format!("0/{field}")});
    json!([exec("JMSMessageID"), exec("OriginalDestination")])
}

/// A message that the broker gave up on, as a person finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// Whether it came from the queue that is looked at; `None` where the broker does not say.
    pub is_own: Option<bool>,
}

/// What came back for [`first_of`] for the dead letters of `queue`; `None` for whatever is no id of a message.
pub fn first(body: &[u8], queue: &str) -> Option<DeadLetter> {
    let answers: Vec<Answer> = serde_json::from_slice(body).ok()?;
    let [id, origin] = &answers[..] else { return None };
    let text = |answer: &Answer| answer.value.as_str().filter(|_| answer.status == 200).map(str::to_owned);
    let is_of_an_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_' | '/');
    let id = text(id).filter(|id| (1..=200).contains(&id.len()) && id.chars().all(is_of_an_id))?;
    Some(DeadLetter { id, is_own: text(origin).map(|origin| origin.strip_prefix("queue://") == Some(queue)) })
}

/// A queue's name as ActiveMQ writes it into the names of its management.
fn encoded(queue: &str) -> String {
    let mut text = String::with_capacity(queue.len());
    for character in queue.chars() {
        match character {
            ':' | ',' | '\'' | '"' => text.push('_'),
            '?' => text.push_str("&qe;"),
            '=' => text.push_str("&amp;"),
            '*' => text.push_str("&ast;"),
            other => text.push(other),
        }
    }
    text
}

/// One answer of Jolokia.
#[derive(Deserialize)]
struct Answer {
    status: i64,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    error_type: Option<String>,
}

impl Answer {
    fn refused(&self, at: &str, queue: &str) -> Unasked {
        let is_of_java = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '$' | '_');
        let class = self.error_type.as_deref().filter(|class| class.len() < 100 && class.chars().all(is_of_java));
        let advice = match self.status {
            403 => "its jolokia-access.xml must let the user read (no other right is needed)",
            400 => "spec.source.activemq.queue has a character that its management cannot name",
            _ => "see the broker's log",
        };
        Unasked::Inner {
            at: at.to_owned(),
            queue: queue.to_owned(),
            status: self.status,
            class: class.map(|class| format!(" ({class})")).unwrap_or_default(),
            advice,
        }
    }

    /// The attributes of the one that a pattern found.
    fn only(&self) -> Option<&Map<String, Value>> {
        let found = self.value.as_object().filter(|found| found.len() == 1)?;
        found.values().next()?.as_object()
    }
}

/// Reads what came back for [`question`] from the broker `at`.
///
/// # Errors
/// Whatever is not a count of messages is no answer: nothing is taken for 0.
pub fn answer(body: &[u8], queue: &str, at: &str) -> Result<Reading, Unasked> {
    let not_jolokia = || Unasked::NotJolokia { at: at.to_owned() };
    let value: Value = serde_json::from_slice(body).map_err(|_| not_jolokia())?;
    // What is refused as a whole has one answer for all.
    if let Ok(all) = serde_json::from_value::<Answer>(value.clone()) {
        return Err(all.refused(at, queue));
    }
    let answers: Vec<Answer> = serde_json::from_value(value).map_err(|_| not_jolokia())?;
    let [broker, wanted, dead] = &answers[..] else { return Err(not_jolokia()) };
    match broker.status {
        200 => {}
        NOT_THERE => return Err(Unasked::NoBroker { at: at.to_owned() }),
        _ => return Err(broker.refused(at, queue)),
    }
    match wanted.status {
        200 => {}
        NOT_THERE => return Ok(Reading::Undeclared),
        _ => return Err(wanted.refused(at, queue)),
    }
    let found = wanted.only().ok_or_else(not_jolokia)?;
    let number = |of: &Map<String, Value>, field: &'static str| {
        count(of.get(field)).map_err(|what| Unasked::NoNumber {
            field,
            queue: queue.to_owned(),
            what,
            at: at.to_owned(),
        })
    };
    if found.get("Name").and_then(Value::as_str) != Some(queue) {
        return Err(Unasked::OtherQueue { at: at.to_owned(), queue: queue.to_owned() });
    }
    let (size, in_flight) = (number(found, "QueueSize")?, number(found, "InFlightCount")?);
    let counted = |of: Option<&Map<String, Value>>, field: &str| of.and_then(|of| count(of.get(field)).ok());
    let dead = dead.only().filter(|_| dead.status == 200);
    let numbers = Numbers {
        ready: (size - in_flight).max(0),
        in_flight,
        consumers: number(found, "ConsumerCount")?,
        dead: counted(dead, "QueueSize"),
    };
    let counters = Counters {
        handed_out: counted(Some(found), "DispatchCount"),
        done: counted(Some(found), "DequeueCount"),
        dead: counted(dead, "EnqueueCount"),
    };
    Ok(Reading::Numbers(numbers, counters))
}

/// A number of things, which is whole and not below 0; else what it is.
fn count(value: Option<&Value>) -> Result<i64, &'static str> {
    match value {
        None => Err("not in the answer"),
        Some(Value::Null) => Err("null"),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(number) if number >= 0 => Ok(number),
            Some(_) => Err("below 0"),
            None => Err("not a whole number, or too large for one"),
        },
        Some(Value::String(_)) => Err("a text"),
        Some(_) => Err("not a number"),
    }
}
