use drover_crds::condition::{self, DEAD_LETTERS, MESSAGES_HELD, Outcome, SOURCE_UNAVAILABLE, WORKERS_NOT_CONNECTED};
use drover_crds::{QueueProcessorSpec, QueueProcessorStatus, ReplicasStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const AT: &str = "http://amq.shop.svc:8161";

#[rstest]
#[case::service("http://activemq:8161", "http://activemq.shop.svc:8161/api/jolokia", Some(8161))]
#[case::service_of_the_namespace("https://ActiveMQ.shop/", "https://activemq.shop.svc:443/api/jolokia", Some(443))]
#[case::whole_name("http://amq.shop.svc.cluster.local:1/x/", "http://amq.shop.svc:1/x/api/jolokia", Some(1))]
#[case::of_another_namespace("http://amq.other.svc:8161", "http://amq.other.svc:8161/api/jolokia", None)]
#[case::host("https://amq.example.org/broker", "https://amq.example.org:443/broker/api/jolokia", None)]
#[case::localhost("http://localhost:8161", "http://localhost:8161/api/jolokia", None)]
#[case::address("http://10.0.0.7.:8161", "http://10.0.0.7:8161/api/jolokia", None)]
#[case::of_ipv6("http://[fd00::7]:8161", "http://[fd00::7]:8161/api/jolokia", None)]
fn a_url_says_where_a_broker_is(#[case] url: &str, #[case] jolokia: &str, #[case] port: Option<i32>) {
    let broker = Broker::read(url, "shop").expect("a URL");
    assert_eq!((broker.jolokia().as_str(), broker.service().map(|service| service.port)), (jolokia, port));
}

#[rstest]
#[case("activemq:8161")]
#[case("tcp://activemq:61616")]
#[case("http://")]
#[case("http://admin:secret@activemq:8161")]
#[case("http://activemq:0")]
#[case("http://activemq:99999")]
#[case("http://activemq:81 61")]
#[case("http://[fd00::7")]
#[case("http://[fd00::7]8161")]
#[case("http://[activemq]:8161")]
#[case("http://activemq/?x")]
#[case("http://-\u{1b}[2J:1")]
fn what_is_no_url_is_refused_with_a_sentence(#[case] url: &str) {
    let refused = Broker::read(url, "shop").expect_err(url).to_string();
    assert!(refused.contains("write http://HOST:PORT") && !refused.contains(char::is_control), "{refused}");
}

proptest! {
    #[test]
    fn no_url_makes_reading_panic_or_leads_to_another_host(url in "(https?://)?[a-z0-9.:@/\\[\\]-]{0,40}|.{0,60}") {
        if let Ok(broker) = Broker::read(&url, "shop") {
            let read = Broker::read(&broker.origin(), "shop").expect("what is written is read");
            prop_assert_eq!((read.host, read.port), (broker.host, broker.port));
        }
    }
}

/// What ActiveMQ 5.18.3 answers for a queue with these attributes.
fn answer_with(name: &str, attributes: &Value) -> Value {
    let broker = "org.apache.activemq:brokerName=localhost,type=Broker";
    let queue =
        format!("org.apache.activemq:brokerName=localhost,destinationName={name},destinationType=Queue,type=Broker");
    json!([
        {"request": {"type": "read"}, "value": {broker: {"BrokerName": "localhost"}}, "status": 200, "timestamp": 1},
        {"request": {"type": "read"}, "value": {queue: attributes}, "status": 200, "timestamp": 1},
        {"request": {}, "error_type": "javax.management.InstanceNotFoundException", "error": "no", "status": 404},
    ])
}

fn attributes(change: &[(&str, Value)]) -> Value {
    let mut all = json!({"Name": "DataReady", "QueueSize": 12, "InFlightCount": 4, "ConsumerCount": 3});
    for (field, value) in change {
        all[field] = value.clone();
    }
    all
}

fn read(body: &Value) -> Result<Reading, Unasked> {
    answer(body.to_string().as_bytes(), "DataReady", AT)
}

#[test]
fn the_numbers_of_a_queue_are_read() {
    let numbers = Numbers { ready: 8, in_flight: 4, consumers: 3, dead: None };
    let none = Counters::default();
    assert_eq!(read(&answer_with("DataReady", &attributes(&[]))), Ok(Reading::Numbers(numbers, none)));
    let counted = attributes(&[("DispatchCount", json!(40)), ("DequeueCount", json!(36))]);
    let mut with_dead = answer_with("DataReady", &counted);
    with_dead[2] = json!({"value": {"dlq": {"QueueSize": 2, "EnqueueCount": 5}}, "status": 200});
    let counters = Counters { handed_out: Some(40), done: Some(36), dead: Some(5) };
    assert_eq!(read(&with_dead), Ok(Reading::Numbers(Numbers { dead: Some(2), ..numbers }, counters)));
    let largest = attributes(&[("QueueSize", json!(i64::MAX)), ("InFlightCount", json!(0))]);
    let Ok(Reading::Numbers(numbers, _)) = read(&answer_with("DataReady", &largest)) else { panic!("numbers") };
    assert_eq!(numbers.messages(), i64::MAX);
    // For a moment one is older than the other.
    let odd = attributes(&[("QueueSize", json!(1)), ("InFlightCount", json!(2))]);
    let Ok(Reading::Numbers(numbers, _)) = read(&answer_with("DataReady", &odd)) else { panic!("numbers") };
    assert_eq!((numbers.ready, numbers.in_flight), (0, 2));
}

#[test]
fn only_a_broker_that_is_there_says_that_a_queue_is_not() {
    let mut body = answer_with("DataReady", &attributes(&[]));
    body[1] = json!({"status": 404, "error_type": "javax.management.InstanceNotFoundException", "error": "no"});
    assert_eq!(read(&body), Ok(Reading::Undeclared));
    body[0] = body[1].clone();
    assert_eq!(read(&body), Err(Unasked::NoBroker { at: AT.into() }));
}

/// Situation Q-1: each of these counted as 0 elsewhere.
#[rstest]
#[case::absent("QueueSize", Value::Null, "null")]
#[case::text("QueueSize", json!("12"), "a text")]
#[case::negative("QueueSize", json!(-1), "below 0")]
#[case::fraction("InFlightCount", json!(0.5), "not a whole number")]
#[case::huge("QueueSize", json!(1e300), "too large")]
#[case::object("ConsumerCount", json!({"a": 1}), "not a number")]
fn what_is_no_count_is_not_known(#[case] field: &str, #[case] value: Value, #[case] what: &str) {
    let refused = read(&answer_with("DataReady", &attributes(&[(field, value)]))).expect_err("no number");
    let said = refused.to_string();
    assert!(refused.label() == "NoNumber" && said.contains(field) && said.contains(what), "{said}");
    let mut without = attributes(&[]);
    without.as_object_mut().expect("an object").remove(field);
    let said = read(&answer_with("DataReady", &without)).expect_err("no number").to_string();
    assert!(said.contains("not in the answer"), "{said}");
}

#[rstest]
#[case::html("<html>Login</html>", "NoJolokia", "not JSON")]
#[case::empty("", "NoJolokia", "not JSON")]
#[case::a_number("0", "NoJolokia", "not JSON")]
#[case::no_origin(
    r#"{"status":403,"error_type":"java.lang.Exception","error":"Origin null is not allowed, admin:secret"}"#,
    "NoJolokia",
    "status is 403 (java.lang.Exception); its jolokia-access.xml"
)]
#[case::no_type(r#"{"status":400,"error":"no"}"#, "NoJolokia", "status is 400")]
#[case::too_few("[]", "NoJolokia", "not JSON")]
#[case::nothing_found(
    r#"[{"status":200,"value":{"b":{}}},{"status":200,"value":{}},{"status":404}]"#,
    "NoJolokia",
    "not JSON"
)]
#[case::refused(r#"[{"status":200,"value":{"b":{}}},{"status":400,"error_type":"javax.management.MalformedObjectNameException<b>"},{"status":404}]"#, "NoJolokia", "status is 400; spec.source.activemq.queue")]
fn what_is_no_answer_is_not_known_and_nothing_of_it_is_shown(
    #[case] body: &str,
    #[case] reason: &str,
    #[case] said: &str,
) {
    let refused = answer(body.as_bytes(), "DataReady", AT).expect_err(body);
    let sentence = refused.to_string();
    assert!(refused.label() == reason && sentence.contains(said) && !sentence.contains("secret"), "{sentence}");
}

proptest! {
    #[test]
    fn no_answer_makes_reading_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(answer(&body, "DataReady", AT).is_err());
    }
}

#[test]
fn a_name_is_asked_as_the_broker_writes_it_and_another_queue_in_its_place_is_seen() {
    let body = question("x:y=z", "ActiveMQ.DLQ");
    let mbean = body[1]["mbean"].as_str().expect("a name");
    assert!(mbean.ends_with("brokerName=*,destinationType=Queue,destinationName=x_y&amp;z"), "{mbean}");
    let other = answer_with("x_y", &attributes(&[("Name", json!("x_y"))])).to_string();
    assert_eq!(answer(other.as_bytes(), "x:y", AT).expect_err("another").label(), "AmbiguousQueue");
}

fn terms(least: i32, most: i32, each: i64) -> Terms {
    Terms { least, most, each, cooldown: 60 }
}

fn queue(ready: i64, in_flight: i64) -> Seen {
    Seen::Numbers(Numbers { ready, in_flight, consumers: 1, dead: None })
}

#[rstest]
#[case::from_zero(queue(1, 0), None, Some(0), 1)]
#[case::shared_out(queue(20, 1), None, Some(1), 5)]
#[case::at_most(queue(i64::MAX, i64::MAX), None, Some(1), 8)]
#[case::held_by_one(queue(0, 20), None, Some(1), 4)]
#[case::fewer_do_not_go_while_one_works(queue(0, 1), Some(1000), Some(8), 8)]
#[case::idle_for_less(queue(0, 0), Some(59), Some(8), 8)]
#[case::idle_for_long(queue(0, 0), Some(60), Some(8), 0)]
#[case::undeclared(Seen::Undeclared, None, Some(0), 1)]
#[case::undeclared_after_work(Seen::Undeclared, Some(0), Some(8), 8)]
#[case::undeclared_for_long(Seen::Undeclared, Some(60), Some(8), 1)]
#[case::unknown(Seen::Unknown, None, Some(3), 3)]
#[case::unknown_and_none(Seen::Unknown, None, Some(0), 0)]
#[case::unknown_at_first(Seen::NotYet, None, None, 0)]
#[case::more_than_there_may_be(Seen::Unknown, None, Some(20), 8)]
fn so_many_workers_run(#[case] seen: Seen, #[case] idle: Option<u64>, #[case] now: Option<i32>, #[case] expected: i32) {
    assert_eq!(wanted(seen, idle, now, terms(0, 8, 5)), expected);
}

#[test]
fn the_least_number_always_runs() {
    assert_eq!(wanted(queue(0, 0), Some(3600), Some(5), terms(2, 8, 5)), 2);
    assert_eq!(wanted(Seen::Unknown, None, Some(0), terms(2, 8, 5)), 2);
    assert_eq!(wanted(Seen::Undeclared, Some(3600), Some(0), terms(0, 0, 1)), 0);
}

proptest! {
    #[test]
    fn the_bounds_hold_and_what_is_not_known_takes_nobody_away(
        ready in 0..i64::MAX, in_flight in 0..i64::MAX, idle in prop::option::of(0..100_u64), now in prop::option::of(0..20_i32),
        least in 0..5_i32, more in 0..5_i32, each in 1..1000_i64, known in 0..4_u8,
    ) {
        let terms = terms(least, least + more, each);
        let seen = match known { 0 => Seen::NotYet, 1 => Seen::Unknown, 2 => Seen::Undeclared, _ => queue(ready, in_flight) };
        let count = wanted(seen, idle, now, terms);
        prop_assert!((terms.least..=terms.most).contains(&count));
        if !is_idle(seen) {
            prop_assert!(count >= now.unwrap_or(0).min(terms.most), "{} of {:?}", count, now);
        }
    }
}

fn spec() -> QueueProcessorSpec {
    let source = json!({"activemq": {"url": "http://amq:8161", "queue": "DataReady"}});
    let spec = json!({"image": "w:1", "source": source, "scaling": {"maxReplicas": 8}});
    serde_json::from_value(spec).expect("a spec")
}

fn at(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(second).expect("a time"))
}

fn numbers(ready: i64, in_flight: i64, is_held: bool) -> Told {
    let numbers = Numbers { ready, in_flight, consumers: 1, dead: Some(0) };
    let held = if is_held { Lasting::Long } else { Lasting::No };
    let workers = Attendance::default();
    Told::Numbers { numbers, as_of: at(5), idle_since: None, held, workers, stuck: None, first_dead: None }
}

fn told(status: &QueueProcessorStatus, told: &Told, second: i64) -> QueueProcessorStatus {
    let mut status = status.clone();
    note(&mut status, &spec(), told, Some(1), &at(second));
    status
}

#[test]
fn since_when_a_queue_cannot_be_asked_is_said_and_its_last_numbers_stay() {
    let before = told(&QueueProcessorStatus::default(), &numbers(3, 1, false), 10);
    let unknown = |since: i64| Told::Unknown { since: at(since), why: Unasked::NoBroker { at: AT.into() } };
    let after = told(&before, &unknown(20), 21);
    let source = after.source.clone().expect("a source");
    assert_eq!((source.reachable, source.since), (false, Some(at(20))));
    assert_eq!(after.queue.as_ref().map(|queue| queue.ready), Some(3));
    let said = condition::get(&after.conditions, SOURCE_UNAVAILABLE).expect("a condition");
    assert!(said.reason == "NoBroker" && said.message.ends_with("stays as it is until then"), "{}", said.message);
    assert_eq!(news(&before, &after).into_iter().map(|news| news.reason).collect::<Vec<_>>(), ["NoBroker"]);
    // A process that began anew asks as if for the first time.
    let later = told(&after, &unknown(90), 91);
    assert_eq!((&later, news(&after, &later)), (&after, Vec::new()));
    let again = told(&later, &numbers(3, 1, false), 100);
    assert!(condition::get(&again.conditions, SOURCE_UNAVAILABLE).is_none());
    assert_eq!(again.source.as_ref().and_then(|source| source.since.clone()), Some(at(100)));
    assert_eq!(news(&later, &again).into_iter().map(|news| news.reason).collect::<Vec<_>>(), ["SourceAvailable"]);
}

#[test]
fn consumers_that_hold_messages_ahead_are_named_once() {
    let before = told(&QueueProcessorStatus::default(), &numbers(0, 20, false), 10);
    let after = told(&before, &numbers(0, 20, true), 20);
    let said = condition::get(&after.conditions, MESSAGES_HELD).expect("a condition");
    assert!(said.message.contains("20 messages") && said.message.contains("activemq.prefetchSize"), "{}", said.message);
    let later = told(&after, &numbers(0, 19, true), 30);
    assert_eq!((news(&before, &after).len(), news(&after, &later).len()), (1, 0));
    assert!(told(&later, &numbers(0, 1, false), 40).conditions.is_empty());
}

fn undeclared(workers: Attendance) -> Told {
    Told::Undeclared { since: at(5), workers }
}

#[test]
fn a_queue_that_nobody_declared_is_said_to_be_one_and_has_no_numbers() {
    let status = told(&QueueProcessorStatus::default(), &undeclared(Attendance::default()), 10);
    let source = status.source.expect("a source");
    assert!(source.reachable && status.queue.is_none());
    assert_eq!(
        source.message.as_deref(),
        Some("nobody has declared the queue DataReady yet, so one worker runs, which may declare it")
    );
}

#[test]
fn another_number_of_workers_and_more_dead_letters_are_news() {
    let with = |desired: i32, dead: i64| {
        let mut status = told(&QueueProcessorStatus::default(), &numbers(3, 1, false), 10);
        status.queue.as_mut().expect("numbers").dead_letters = Some(dead);
        status.rollout.replicas = Some(ReplicasStatus { desired, ..ReplicasStatus::default() });
        status
    };
    let said: Vec<_> = news(&with(1, 0), &with(4, 2)).into_iter().map(|news| news.note).collect();
    let dead = "2 messages are in the dead letter queue, 2 more than before";
    assert_eq!(said, ["From 1 to 4 workers: 3 messages wait and 1 are in flight", dead]);
    assert_eq!(news(&with(4, 2), &with(4, 2)), []);
    let unseen = QueueProcessorStatus::default();
    assert_eq!(news(&unseen, &with(4, 2)), [], "what was there before is no news");
}

#[test]
fn without_a_source_nothing_is_said_of_one() {
    let mut status = told(&QueueProcessorStatus::default(), &numbers(0, 20, true), 10);
    let fixed = QueueProcessorSpec { source: None, scaling: None, ..spec() };
    note(&mut status, &fixed, &Told::NotYet, Some(2), &at(20));
    assert_eq!(status, QueueProcessorStatus::default());
    assert_eq!((idle(&fixed), idle(&spec()).is_some()), (None, true));
}

fn said<'a>(status: &'a QueueProcessorStatus, kind: &str) -> &'a str {
    condition::get(&status.conditions, kind).map_or("", |condition| condition.message.as_str())
}

/// Numbers of a queue with so many consumers, where so many workers are ready.
fn attended(consumers: i64, ready: i64, short: Lasting) -> Told {
    let Told::Numbers { numbers, as_of, idle_since, held, stuck, first_dead, .. } = numbers(0, 1, false) else {
        unreachable!("these are numbers")
    };
    let (numbers, workers) = (Numbers { consumers, ..numbers }, Attendance { ready, short });
    Told::Numbers { numbers, as_of, idle_since, held, workers, stuck, first_dead }
}

#[rstest]
#[case::one(
    attended(0, 1, Lasting::Long),
    "1 worker is ready, but the broker counts no consumer of the queue DataReady, so it takes nothing from it: "
)]
#[case::some(
    attended(1, 3, Lasting::Long),
    "3 workers are ready, but the broker counts 1 consumer of the queue DataReady, so at least 2 of them take nothing from it: "
)]
#[case::none(
    attended(0, 3, Lasting::Long),
    "3 workers are ready, but the broker counts no consumer of the queue DataReady, so none of them takes anything from it: "
)]
#[case::no_queue(undeclared(Attendance { ready: 1, short: Lasting::Long }), "1 worker is ready, but the broker has no queue DataReady, so it takes nothing from it: ")]
fn workers_that_the_broker_does_not_count_are_told_with_numbers(#[case] now: Told, #[case] sentence: &str) {
    let status = told(&QueueProcessorStatus::default(), &now, 10);
    let message = said(&status, WORKERS_NOT_CONNECTED);
    assert!(message.starts_with(sentence) && message.contains("user or password"), "{message}");
    let news = news(&QueueProcessorStatus::default(), &status);
    assert_eq!(news.into_iter().map(|news| news.reason).collect::<Vec<_>>(), ["FewerConsumers"]);
}

#[test]
fn workers_that_are_not_counted_for_a_moment_change_nothing_of_what_was_told() {
    let briefly = attended(0, 1, Lasting::Briefly);
    assert_eq!(said(&told(&QueueProcessorStatus::default(), &briefly, 10), WORKERS_NOT_CONNECTED), "");
    let told_once = told(&QueueProcessorStatus::default(), &attended(0, 1, Lasting::Long), 10);
    // As after a new start of drover, which has not seen it for long yet.
    assert_eq!(told(&told_once, &briefly, 20).conditions, told_once.conditions);
    assert_eq!(told(&told_once, &attended(1, 1, Lasting::No), 30).conditions, []);
}

/// Numbers with so many dead letters, of which the first is that.
fn dead(count: i64, first: Option<(&str, Option<bool>)>) -> Told {
    let Told::Numbers { numbers, as_of, idle_since, held, workers, stuck, .. } = numbers(0, 0, false) else {
        unreachable!("these are numbers")
    };
    let numbers = Numbers { dead: Some(count), ..numbers };
    let first_dead = first.map(|(id, is_own)| DeadLetter { id: id.to_owned(), is_own });
    Told::Numbers { numbers, as_of, idle_since, held, workers, stuck, first_dead }
}

#[test]
fn dead_letters_are_told_with_their_number_the_first_and_since_when_there_are_more() {
    let first = told(&QueueProcessorStatus::default(), &dead(1, None), 60);
    let message = said(&first, DEAD_LETTERS);
    assert!(
        message.starts_with(
            "1 message lies in the dead letter queue ActiveMQ.DLQ, which all queues of the broker share: look"
        ),
        "since when is not known: {message}"
    );
    let more = told(&first, &dead(3, Some(("ID:vm-1:2", Some(true)))), 120);
    let message = said(&more, DEAD_LETTERS);
    assert!(
        message.starts_with("3 messages lie in the dead letter queue ActiveMQ.DLQ, which all queues of the broker share, the newest since 00:02 UTC on 1 January; the first is ID:vm-1:2, from the queue DataReady: look"),
        "{message}"
    );
    assert_eq!(told(&more, &dead(3, Some(("ID:vm-1:2", Some(true)))), 900), more, "nothing has changed");
    let fewer = told(&more, &dead(2, Some(("ID:vm-1:3", Some(false)))), 900);
    let message = said(&fewer, DEAD_LETTERS);
    assert!(
        message.contains("since 00:02 UTC") && message.contains("the first is ID:vm-1:3, from another queue"),
        "{message}"
    );
    let none = told(&fewer, &dead(0, None), 960);
    assert_eq!(said(&none, DEAD_LETTERS), "");
    assert_eq!(none.queue.and_then(|queue| queue.dead_letters_grew_at), None);
}

#[test]
fn of_the_first_dead_letter_no_more_is_asked_and_believed_than_an_id() {
    let bean = "org.apache.activemq:brokerName=b,destinationName=ActiveMQ.DLQ,destinationType=Queue,type=Broker";
    let of = |value: Value| json!({"status": 200, "value": value}).to_string();
    assert_eq!(found(of(json!([bean])).as_bytes()).as_deref(), Some(bean));
    for other in [json!([]), json!([bean, bean]), json!("x"), json!([1])] {
        assert_eq!(found(of(other).as_bytes()), None);
    }
    let asked = first_of(bean);
    assert_eq!((&asked[0]["path"], &asked[1]["path"]), (&json!("0/JMSMessageID"), &json!("0/OriginalDestination")));
    let read = |id: Value, origin: Value| {
        let body = json!([{"status": 200, "value": id}, {"status": 200, "value": origin}]).to_string();
        first(body.as_bytes(), "DataReady").map(|first| (first.id, first.is_own))
    };
    let id = "ID:vm-32797-1795854528941-4:1:1:1:1";
    assert_eq!(read(json!(id), json!("queue://DataReady")), Some((id.to_owned(), Some(true))));
    assert_eq!(read(json!(id), json!("queue://Other")), Some((id.to_owned(), Some(false))));
    assert_eq!(read(json!(id), Value::Null), Some((id.to_owned(), None)));
    for no_id in [Value::Null, json!(7), json!(""), json!("<b>"), json!("a\u{1b}[2J"), json!("x".repeat(201))] {
        assert_eq!(read(no_id, Value::Null), None);
    }
    assert_eq!(first(br#"{"status":403,"error":"may not"}"#, "DataReady"), None);
}

#[test]
fn a_message_is_suspected_only_where_workers_end_and_messages_come_back_undone() {
    let failed = || Outcome::Failed { reason: "Unavailable".into(), message: "no pod is ready".into() };
    let ends = |reason: &str| {
        let problem = json!({"reason": reason, "message": "it ended"});
        let release = json!({"number": 4, "image": "w:1", "step": "Live", "problem": problem});
        serde_json::from_value::<QueueProcessorStatus>(json!({"release": release})).expect("a status")
    };
    let stuck = || {
        let Told::Numbers { numbers, as_of, idle_since, held, workers, first_dead, .. } = numbers(1, 0, false) else {
            unreachable!("these are numbers")
        };
        let stuck = Some(Stuck { since: at(60), came_back: 4 });
        Told::Numbers { numbers, as_of, idle_since, held, workers, stuck, first_dead }
    };
    let Outcome::Failed { message, .. } = suspect(failed(), &ends("CrashLoopBackOff"), &spec(), &stuck()) else {
        panic!("it stays a failure")
    };
    assert!(
        message.starts_with("no pod is ready; since 00:01 UTC on 1 January messages of the queue DataReady have come back from workers 4 times and none was done, so one of them may end each worker that takes it: "),
        "{message}"
    );
    assert_eq!(suspect(failed(), &ends("ImagePullBackOff"), &spec(), &stuck()), failed());
    assert_eq!(suspect(failed(), &ends("CrashLoopBackOff"), &spec(), &numbers(1, 0, false)), failed());
    assert_eq!(suspect(failed(), &QueueProcessorStatus::default(), &spec(), &stuck()), failed());
    let ready = || Outcome::Ready { reason: "Live".into(), message: "live".into() };
    assert_eq!(suspect(ready(), &ends("Error"), &spec(), &stuck()), ready());
}
