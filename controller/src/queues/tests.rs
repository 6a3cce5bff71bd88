//! Against brokers of the test's own, on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use drover_core::queue::{Attendance, Broker, Counters, Numbers, Seen, Stuck, Terms, Told};
use drover_crds::OwnerKind;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

const TERMS: Terms = Terms { least: 0, most: 8, each: 1, cooldown: 60 };

/// A broker that answers so; its URL.
async fn broker(answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(move |request: Request| {
        let answer = answer.clone();
        async move { answer(request) }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn of_size(size: &Value) -> String {
    let queue = json!({"Name": "a", "QueueSize": size, "InFlightCount": 0, "ConsumerCount": 0});
    json!([{"status": 200, "value": {"b": {}}}, {"status": 200, "value": {"q": queue}}, {"status": 404}]).to_string()
}

fn question(url: &str) -> Question {
    let broker = Broker::read(url, "shop").expect("a URL");
    let login = Some(Login { user: "admin".into(), password: "hidden".into() });
    Question { broker, service: None, queue: "a".into(), dead: "d".into(), login }
}

fn transport() -> Transport {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Transport::that(|_, _| true, Vec::new()).expect("a client")
}

#[tokio::test]
async fn a_broker_is_asked_as_its_user_with_an_origin_and_in_json() {
    let url = broker(|request| {
        let has =
            |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/api/jolokia"));
        assert!(has(header::ORIGIN).starts_with("http://127.0.0.1:"));
        assert_eq!(
            (has(header::CONTENT_TYPE), has(header::AUTHORIZATION)),
            ("application/json".into(), "Basic YWRtaW46aGlkZGVu".into())
        );
        of_size(&json!(7)).into_response()
    })
    .await;
    let numbers = Numbers { ready: 7, in_flight: 0, consumers: 0, dead: None };
    assert_eq!(transport().ask(&question(&url)).await, Ok(Reading::Numbers(numbers, Counters::default())));
}

#[tokio::test]
async fn what_is_no_answer_is_told_in_one_sentence_without_the_password() {
    let ask = async |answer: fn() -> Response| {
        let url = broker(move |_| answer()).await;
        let why = transport().ask(&question(&url)).await.expect_err("no answer");
        assert!(!why.to_string().contains("hidden"), "{why}");
        why.label()
    };
    assert_eq!(ask(|| (StatusCode::UNAUTHORIZED, "<html>").into_response()).await, "BrokerRefusesLogin");
    assert_eq!(
        ask(|| (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response()).await,
        "NoJolokia"
    );
    assert_eq!(ask(|| StatusCode::SERVICE_UNAVAILABLE.into_response()).await, "ConsoleFails");
    assert_eq!(ask(|| StatusCode::NOT_FOUND.into_response()).await, "NoJolokia");
    assert_eq!(ask(|| "<html>Login</html>".into_response()).await, "NoJolokia");
    assert_eq!(ask(|| "[".repeat(65 << 10).into_response()).await, "NoJolokia");
    assert_eq!(ask(|| of_size(&json!(null)).into_response()).await, "NoNumber");
    assert_eq!(ask(|| of_size(&json!(1e40)).into_response()).await, "NoNumber");
    assert_eq!(
        transport().ask(&question("http://127.0.0.1:1")).await.expect_err("nobody").label(),
        "BrokerUnreachable"
    );
}

#[tokio::test]
async fn addresses_of_the_machine_and_the_api_server_are_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let strict = Transport::new(vec!["10.96.0.1:443".parse().expect("an address")]).expect("a client");
    for url in ["http://127.0.0.1:8161", "http://localhost:8161", "http://169.254.169.254", "https://10.96.0.1"] {
        let why = strict.ask(&question(url)).await.expect_err(url);
        assert!(why.label() == "AddressRefused" && why.to_string().contains("loopback"), "{url}: {why}");
    }
    let mut service = question("http://activemq:443");
    service.service = Some("10.96.0.1:443".parse().expect("an address"));
    assert_eq!(strict.ask(&service).await.expect_err("refused").label(), "AddressRefused");
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let began = std::time::Instant::now();
    let why = transport().ask(&question(&url)).await.expect_err("silence").to_string();
    assert!(why.contains("said nothing within 5 seconds"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

fn who() -> Owner {
    Owner::new(OwnerKind::QueueProcessor, "shop", "reduce")
}

fn queues() -> (Queues, UnboundedReceiver<Owner>) {
    let (tell, told) = unbounded_channel();
    (Queues::with(transport(), tell), told)
}

async fn is_told(told: &mut UnboundedReceiver<Owner>) -> Owner {
    let next = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
    next.expect("somebody is told").expect("the queues are there")
}

#[tokio::test]
async fn who_watches_is_told_of_the_first_answer_and_then_only_of_what_asks_for_something() {
    static SIZE: AtomicUsize = AtomicUsize::new(3);
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let url = broker(|_| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        of_size(&json!(SIZE.load(Ordering::SeqCst))).into_response()
    })
    .await;
    let (queues, mut told) = queues();
    let often = Duration::from_millis(20);
    let watch = |current| queues.watch(&who(), Ok(question(&url)), often, waits(current));
    assert_eq!(watch(Some(0)).seen, Seen::NotYet);
    assert_eq!(is_told(&mut told).await, who());
    let Seen::Numbers(Numbers { ready: 3, .. }) = watch(Some(3)).seen else { panic!("numbers") };
    while told.try_recv().is_ok() {}
    let asked = ASKED.load(Ordering::SeqCst);
    while ASKED.load(Ordering::SeqCst) < asked + 3 {
        tokio::time::sleep(often).await;
    }
    assert!(told.try_recv().is_err(), "three workers run for three messages");
    SIZE.store(5, Ordering::SeqCst);
    assert_eq!(is_told(&mut told).await, who());

    queues.forget(&who());
    tokio::time::sleep(often * 3).await;
    let asked = ASKED.load(Ordering::SeqCst);
    tokio::time::sleep(often * 5).await;
    assert_eq!(ASKED.load(Ordering::SeqCst), asked, "nobody watches it");
}

#[tokio::test]
async fn many_queues_of_one_broker_are_asked_once_each_over_few_connections() {
    let peers: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = peers.clone();
    let app = Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
        seen.lock().expect("no panic").push(peer);
        async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            of_size(&json!(1))
        }
    });
    tokio::spawn(async move { axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await });
    let (queues, mut told) = queues();
    let owner = |number: usize| Owner::new(OwnerKind::QueueProcessor, "shop", format!("reduce{number}"));
    for number in 0..200 {
        queues.watch(&owner(number), Ok(question(&url)), Duration::from_hours(1), Waits::default());
    }
    let mut answered = std::collections::HashSet::new();
    while answered.len() < 200 {
        answered.insert(is_told(&mut told).await);
    }
    let peers = peers.lock().expect("no panic").clone();
    let connections = peers.iter().collect::<std::collections::HashSet<_>>().len();
    assert!(peers.len() == 200 && connections <= 2 * 8, "{} questions over {connections} connections", peers.len());
}

#[tokio::test]
async fn what_keeps_a_queue_from_being_asked_is_known_at_once_and_ends() {
    let url = broker(|_| of_size(&json!(1)).into_response()).await;
    let (queues, mut told) = queues();
    let missing = Unasked::Password { secret: "keys".into(), key: "AMQ".into() };
    let hour = Duration::from_hours(1);
    let sight = queues.watch(&who(), Err(missing.clone()), hour, Waits::default());
    assert!(matches!(sight.told, Told::Unknown { why, .. } if why == missing));
    queues.watch(&who(), Ok(question(&url)), hour, Waits::default());
    is_told(&mut told).await;
    assert!(matches!(queues.watch(&who(), Ok(question(&url)), hour, Waits::default()).seen, Seen::Numbers(_)));
}

/// So many workers run, and as many as the queue asks for are wanted.
fn waits(current: impl Into<Option<i32>>) -> Waits {
    Waits { terms: Some(TERMS), current: current.into(), ready: 0 }
}

#[test]
fn time_without_messages_counts_from_the_first_answer_that_says_so() {
    let (start, time) = (Instant::now(), clock::now());
    let numbers = |ready, in_flight| {
        Ok(Reading::Numbers(Numbers { ready, in_flight, consumers: 1, dead: None }, Counters::default()))
    };
    let nothing = Waits::default();
    let mut known = Known::default();
    let after = |seconds| start + Duration::from_secs(seconds);
    known.hear(numbers(0, 0), after(0), time);
    known.hear(numbers(0, 0), after(50), time);
    assert_eq!(known.look(after(50)).idle_seconds, Some(50));
    assert!(!known.is_to_be_told(waits(4), after(59)) && known.is_to_be_told(waits(4), after(60)));
    assert!(!known.is_to_be_told(waits(0), after(600)) && !known.is_to_be_told(nothing, after(600)));
    known.hear(Err(Unasked::NoBroker { at: "x".into() }), after(70), time);
    assert!(known.is_unknown() && known.is_to_be_told(waits(4), after(70)));
    known.hear(numbers(0, 0), after(80), time);
    assert_eq!(known.look(after(90)).idle_seconds, Some(10), "nobody knows what was meanwhile");
    known.hear(Ok(Reading::Undeclared), after(91), time);
    known.hear(Ok(Reading::Undeclared), after(95), time);
    assert_eq!(known.look(after(96)).idle_seconds, Some(5));
    known.hear(numbers(0, 0), after(97), time);
    assert_eq!(known.look(after(99)).idle_seconds, Some(2), "who declared it has its time");
    known.hear(numbers(0, 1), after(100), time);
    assert_eq!(known.look(after(100)).idle_seconds, None);
    known.hear(numbers(1, 1), after(110), time);
    assert!(
        !known.is_to_be_told(nothing, after(129)) && known.is_to_be_told(nothing, after(130)),
        "numbers alone wait"
    );
}

#[test]
fn messages_are_held_ahead_when_that_is_no_moment_s_matter() {
    let (now, time) = (Instant::now(), clock::now());
    let held = |in_flight| {
        Ok(Reading::Numbers(Numbers { ready: 0, in_flight, consumers: 1, dead: None }, Counters::default()))
    };
    let mut known = Known::default();
    let is_held = |known: &mut Known| matches!(known.look(now).told, Told::Numbers { held: Lasting::Long, .. });
    for _ in 0..2 {
        known.hear(held(20), now, time);
        assert!(!is_held(&mut known));
    }
    known.hear(held(20), now, time);
    assert!(is_held(&mut known));
    known.hear(held(1), now, time);
    assert!(!is_held(&mut known));
}

/// One worker of a queue with a message, as the broker counts.
fn counted(consumers: i64, in_flight: i64, handed_out: i64, done: i64) -> Reading {
    let numbers = Numbers { ready: 1 - in_flight, in_flight, consumers, dead: None };
    Reading::Numbers(numbers, Counters { handed_out: Some(handed_out), done: Some(done), dead: None })
}

#[test]
fn workers_that_are_not_counted_have_a_minute_to_connect() {
    let (start, time) = (Instant::now(), clock::now());
    let after = |seconds| start + Duration::from_secs(seconds);
    let short = |known: &mut Known, seconds: u64| match known.look(after(seconds)).told {
        Told::Numbers { workers, .. } | Told::Undeclared { workers, .. } => workers,
        other => panic!("{other:?}"),
    };
    let of = |ready, short| Attendance { ready, short };
    let mut known = Known::default();
    known.attend(1);
    // The first of them declares its queue: a worker that cannot connect declares none.
    known.hear(Ok(Reading::Undeclared), after(0), time);
    for seconds in [10, 20, 59] {
        known.hear(Ok(counted(0, 0, 0, 0)), after(seconds), time);
        assert_eq!(short(&mut known, seconds), of(1, Lasting::Briefly));
    }
    known.hear(Ok(counted(0, 0, 0, 0)), after(60), time);
    assert!(known.is_to_be_told(Waits::default(), after(60)));
    assert_eq!(short(&mut known, 60), of(1, Lasting::Long));
    known.attend(2);
    assert_eq!(short(&mut known, 61), of(2, Lasting::Briefly), "the second has its minute");
    for seconds in [70, 80, 130] {
        known.hear(Ok(counted(1, 0, 0, 0)), after(seconds), time);
    }
    assert_eq!(short(&mut known, 130), of(2, Lasting::Long));
    known.attend(1);
    assert_eq!(short(&mut known, 131), of(1, Lasting::No), "as many are counted as are ready");
    known.hear(Ok(counted(0, 0, 0, 0)), after(140), time);
    assert_eq!(short(&mut known, 140), of(1, Lasting::Briefly), "it begins anew");
    known.hear(Err(Unasked::NoBroker { at: "x".into() }), after(150), time);
    known.hear(Ok(counted(0, 0, 0, 0)), after(300), time);
    assert_eq!(short(&mut known, 300), of(1, Lasting::Briefly), "nobody knows what was meanwhile");
}

#[test]
fn messages_that_come_back_undone_are_counted() {
    let (now, time) = (Instant::now(), clock::now());
    let stuck = |known: &mut Known| match known.look(now).told {
        Told::Numbers { stuck, .. } => stuck.map(|Stuck { came_back, .. }| came_back),
        other => panic!("{other:?}"),
    };
    let mut known = Known::default();
    for (in_flight, handed_out, expected) in [(0, 7, None), (1, 8, None), (0, 8, None), (1, 9, None), (0, 9, Some(2))] {
        known.hear(Ok(counted(1, in_flight, handed_out, 7)), now, time);
        assert_eq!(stuck(&mut known), expected, "{in_flight} of {handed_out}");
    }
    known.hear(Ok(counted(1, 1, 11, 7)), now, time);
    assert_eq!(stuck(&mut known), Some(3), "one is being worked on");
    known.hear(Ok(counted(1, 0, 11, 8)), now, time);
    assert_eq!(stuck(&mut known), None, "one was done");
    known.hear(Ok(counted(1, 0, 2, 8)), now, time);
    assert_eq!(stuck(&mut known), None, "the broker began anew");
}

#[tokio::test]
async fn the_first_dead_letter_is_looked_up_when_there_are_others_and_not_at_each_look() {
    static DEAD: AtomicUsize = AtomicUsize::new(1);
    static LOOKED: AtomicUsize = AtomicUsize::new(0);
    let url = broker(|request| {
        let length = request.headers()[header::CONTENT_LENGTH].to_str().expect("a number").parse::<usize>();
        // A search is the shortest question, and a look into the queue the next.
        let name = "org.apache.activemq:brokerName=b,destinationName=d,destinationType=Queue,type=Broker";
        let search = drover_core::queue::search("d").to_string().len();
        let look = drover_core::queue::first_of(name).to_string().len();
        match length.expect("a number") {
            length if length == search => json!({"status": 200, "value": [name]}).to_string().into_response(),
            length if length == look => {
                let count = LOOKED.fetch_add(1, Ordering::SeqCst) + 1;
                json!([{"status": 200, "value": format!("ID:{count}")}, {"status": 404}]).to_string().into_response()
            }
            _ => {
                let dead = DEAD.load(Ordering::SeqCst);
                let mut all: Value = serde_json::from_str(&of_size(&json!(0))).expect("JSON");
                all[2] = json!({"status": 200, "value": {"d": {"QueueSize": dead, "EnqueueCount": dead}}});
                all.to_string().into_response()
            }
        }
    })
    .await;
    let (queues, mut told) = queues();
    let watch = || match queues.watch(&who(), Ok(question(&url)), Duration::from_millis(20), Waits::default()).told {
        Told::Numbers { first_dead, .. } => first_dead.map(|first| first.id),
        _ => None,
    };
    for expected in ["ID:1", "ID:2"] {
        while watch().as_deref() != Some(expected) {
            is_told(&mut told).await;
        }
        // Several more looks at the numbers, none at the messages.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(format!("ID:{}", LOOKED.load(Ordering::SeqCst)), expected);
        DEAD.fetch_add(1, Ordering::SeqCst);
    }
}
