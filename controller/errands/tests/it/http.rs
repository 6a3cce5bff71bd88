//! One file from a web server.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use drover_core::errand::{Outcome, SyncResult};
use serde_json::{Value, json};

use super::errand::{Errand, assert_ends, order};
use super::server::{Reply, Request, Server};

const CSV: &str = "id,title\n1,One\n";

fn csv(etag: &str, body: &str) -> Reply {
    Reply::new(200, body).with("ETag", etag).with("Content-Type", "text/csv; charset=utf-8")
}

/// As a server that knows its file's name does.
fn conditional(request: &Request, etag: &str, body: &str) -> Reply {
    if request.header("if-none-match") == Some(etag) { Reply::new(304, "").with("ETag", etag) } else { csv(etag, body) }
}

fn page(server: &Server, path: &str) -> Value {
    order(
        &json!({"http": {"url": format!("{}{path}", server.address), "to": "references.csv", "authenticated": false}}),
        "Live",
    )
}

/// A server that gives a good file first, and then what is said; the result of both syncs, and the errand.
fn then(
    change: impl FnOnce(&mut Value),
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (SyncResult, Errand) {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request| match asked.fetch_add(1, SeqCst) {
        0 => csv("\"1\"", CSV),
        _ => answer(request),
    });
    let (errand, mut order) = (Errand::new(), page(&server, "/references.csv?key=s3cret"));
    assert_eq!(errand.sync(&order).outcome, Outcome::Published);
    change(&mut order);
    let result = errand.sync(&order);
    assert!(!format!("{result:?}").contains("s3cret"), "{result:?}");
    (result, errand)
}

#[track_caller]
fn assert_kept(errand: &Errand) {
    assert_eq!(errand.read("references.csv").as_deref(), Some(CSV));
    assert_eq!(errand.sets().len(), 1);
    assert!(super::errand::names(&errand.claim().join(".drover/staging")).iter().all(|name| name == "set"));
}

#[test]
fn new_bytes_appear_at_the_same_path_and_unchanged_ones_are_not_sent_again() {
    let version = Arc::new(AtomicUsize::new(1));
    let now = Arc::clone(&version);
    let server = Server::start(move |request| match now.load(SeqCst) {
        1 => conditional(request, "\"1\"", CSV),
        2 => conditional(request, "\"2\"", CSV),
        _ => conditional(request, "\"3\"", "id,title\n2,Two\n"),
    });
    let (errand, order) = (Errand::new(), page(&server, "/references.csv"));
    let first = errand.sync(&order);
    assert_eq!((first.outcome, first.files, first.bytes, first.fetched_files), (Outcome::Published, 1, 15, 1));
    assert_eq!(errand.read("references.csv").as_deref(), Some(CSV));
    assert_eq!(
        fs::read_link(errand.claim().join("references.csv")).expect("a link").to_str(),
        Some(".drover/published/references.csv")
    );
    assert!(fs::read_link(errand.claim().join(".drover/published")).expect("a link").is_relative());

    let second = errand.sync(&order);
    assert_eq!((second.outcome, second.fetched_bytes), (Outcome::Unchanged, 0));
    assert_eq!(second.set, first.set);

    // The same bytes by another name, as after a server's restart; and after that, by that name.
    version.store(2, SeqCst);
    assert_eq!((errand.sync(&order).outcome, errand.sync(&order).fetched_bytes), (Outcome::Unchanged, 0));
    assert_eq!(errand.sets().len(), 1);

    version.store(3, SeqCst);
    let changed = errand.sync(&order);
    assert_eq!(
        (changed.outcome, errand.read("references.csv").as_deref()),
        (Outcome::Published, Some("id,title\n2,Two\n"))
    );
    assert_ne!(changed.digest, first.digest);
    assert_eq!(fs::read_to_string(errand.set(&first).join("references.csv")).expect("the old set"), CSV);
}

#[test]
fn a_date_alone_is_asked_for_as_well() {
    let date = "Tue, 01 Sep 2026 00:00:00 GMT";
    let server = Server::start(move |request| match request.header("if-modified-since") {
        Some(since) if since == date => Reply::new(304, ""),
        _ => Reply::new(200, CSV).with("Last-Modified", date),
    });
    let (errand, order) = (Errand::new(), page(&server, "/references.csv?year=2026"));
    assert_eq!(errand.sync(&order).outcome, Outcome::Published);
    assert_eq!(errand.sync(&order).fetched_bytes, 0);
    // What another query gives is another page, which no date of the first says anything about.
    server.seen();
    errand.sync(&page(&server, "/references.csv?year=2027"));
    assert_eq!(server.seen()[0].header("if-modified-since"), None);
}

/// What the case is, what of the order is changed, the answer; how it ends, why, and words of the sentence.
type Case = (&'static str, fn(&mut Value), Reply, Outcome, &'static str, &'static str);

#[test]
fn what_a_server_says_instead_of_the_file_keeps_the_last_good_one() {
    let html = || Reply::new(200, "<html>body-of-a-page</html>").with("Content-Type", "text/html");
    let cases: Vec<Case> = vec![
        ("500", |_| (), Reply::new(500, "body-of-a-page"), Outcome::Failed, "SourceFails", "answers 500"),
        ("404", |_| (), Reply::new(404, "body-of-a-page"), Outcome::Failed, "NotFound", "is not there (404)"),
        ("403", |_| (), Reply::new(403, "body-of-a-page"), Outcome::Failed, "Denied", "may not be read (403)"),
        ("a page", |_| (), html(), Outcome::Refused, "WrongType", "references.csv came as `text/html`"),
        (
            "a type that is not listed",
            |order| order["guard"] = json!({"contentTypes": ["text/csv"]}),
            Reply::new(200, CSV).with("Content-Type", "text/plain"),
            Outcome::Refused,
            "WrongType",
            "came as `text/plain`",
        ),
        (
            "short",
            |_| (),
            csv("\"2\"", "0123456789").cut(4),
            Outcome::Failed,
            "SourceFails",
            "broke off after 4 of 10 bytes",
        ),
        (
            "chunks without an end",
            |_| (),
            csv("W/\"2\"", "0123456789").with("Transfer-Encoding", "chunked").cut(4),
            Outcome::Failed,
            "SourceFails",
            "broke off after 4 bytes",
        ),
        ("nothing", |_| (), csv("\"2\"", ""), Outcome::Refused, "Empty", "is empty"),
        (
            "too small",
            |order| order["guard"] = json!({"minBytes": 15}),
            csv("\"2\"", "id,title\n"),
            Outcome::Refused,
            "TooSmall",
            "has 9 bytes, less than the 15 of minBytes",
        ),
        (
            "shrunk",
            |order| order["guard"] = json!({"maxShrink": 30}),
            csv("\"2\"", "id,title\n"),
            Outcome::Refused,
            "Shrunk",
            "holds 9 bytes and held 15",
        ),
        (
            "packed",
            |_| (),
            csv("\"2\"", "x").with("Content-Encoding", "gzip"),
            Outcome::Refused,
            "WrongType",
            "comes packed (gzip)",
        ),
        (
            "elsewhere",
            |_| (),
            Reply::new(302, "").with("Location", "http://other.example.org:81/references.csv?key=s3cret"),
            Outcome::Refused,
            "Redirected",
            "redirects to http://other.example.org:81, another server",
        ),
        (
            "in circles",
            |_| (),
            Reply::new(302, "").with("Location", "/references.csv"),
            Outcome::Refused,
            "Redirected",
            "again and again",
        ),
        (
            "later",
            |_| (),
            Reply::new(429, "").with("Retry-After", "3600"),
            Outcome::Failed,
            "RateLimited",
            "asked again after 3600 s",
        ),
        (
            "never",
            |_| (),
            Reply::new(503, "").with("Retry-After", &u64::MAX.to_string()),
            Outcome::Failed,
            "RateLimited",
            "asked again after 18446744073709551615 s",
        ),
    ];
    for (what, change, reply, outcome, reason, sentence) in cases {
        let (result, errand) = then(change, move |_| reply.clone());
        assert_ends(&result, outcome, reason, sentence);
        assert!(!result.message.contains("body-of-a-page"), "{what}: {}", result.message);
        assert_eq!((result.files, result.set.is_some()), (1, true), "{what}: what is published is told");
        assert_kept(&errand);
    }
}

#[test]
fn a_server_that_works_again_soon_is_asked_again() {
    let asked = AtomicUsize::new(0);
    let (result, errand) = then(
        |_| (),
        move |_| match asked.fetch_add(1, SeqCst) {
            0 => Reply::new(503, "").with("Retry-After", "1"),
            1 => Reply::new(502, ""),
            2 => csv("\"2\"", "0123456789").cut(4),
            _ => csv("\"2\"", "0123456789"),
        },
    );
    assert_eq!((result.outcome, errand.read("references.csv").as_deref()), (Outcome::Published, Some("0123456789")));
}

#[test]
fn what_broke_off_goes_on_where_it_was_only_in_the_same_file() {
    let body = (0..2000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    for (changes, weak) in [(false, false), (true, false), (false, true)] {
        let (asked, text) = (AtomicUsize::new(0), body.clone());
        let server = Server::start(move |request| {
            let first = asked.fetch_add(1, SeqCst) == 0;
            let (etag, text) =
                if changes && !first { ("\"2\"", text.replace('7', "8")) } else { ("\"1\"", text.clone()) };
            let weak_etag = format!("W/{etag}");
            let etag = if weak { weak_etag.as_str() } else { etag };
            match request.range() {
                _ if first => csv(etag, &text).cut(5000),
                Some((from, _)) if request.header("if-range") == Some(etag) => Reply::new(206, &text[from..])
                    .with("ETag", etag)
                    .with("Content-Range", &format!("bytes {from}-{}/{}", text.len() - 1, text.len())),
                _ => csv(etag, &text),
            }
        });
        let errand = Errand::new();
        let result = errand.sync(&page(&server, "/references.csv"));
        let expected = if changes { body.replace('7', "8") } else { body.clone() };
        assert_eq!(result.outcome, Outcome::Published, "{}", result.message);
        assert_eq!(errand.read("references.csv"), Some(expected));
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].range().map(|(from, _)| from), (!weak).then_some(5000), "only a strong name makes sure");
    }
}

#[test]
fn addresses_of_the_machine_and_of_clouds_are_refused() {
    let server = Server::start(|_| csv("\"1\"", CSV));
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let mut errand = Errand::new();
    errand.allow_loopback = false;
    for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/references.csv");
        let order = order(&json!({"http": {"url": url, "to": "references.csv", "authenticated": false}}), "Live");
        assert_ends(&errand.sync(&order), Outcome::Refused, "AddressRefused", "no sync may read");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn credentials_come_from_the_mounted_secret_alone() {
    let server = Server::start(|request| match (request.header("authorization"), request.target.as_str()) {
        (Some("Basic dXNlcjpwYTpzcw=="), "/start") => Reply::new(302, "").with("Location", "/references.csv"),
        (Some("Basic dXNlcjpwYTpzcw==" | "Bearer t0ken"), _) => csv("\"1\"", CSV),
        _ => Reply::new(401, ""),
    });
    let mut order = page(&server, "/start");
    order["source"]["http"]["authenticated"] = json!(true);
    let errand = Errand::new().with_secret(&[("username", "user\n"), ("password", "pa:ss\n")]);
    assert_eq!(errand.sync(&order).outcome, Outcome::Published);
    order["source"]["http"]["url"] = json!(format!("{}/references.csv", server.address));
    assert_eq!(Errand::new().with_secret(&[("token", "t0ken")]).sync(&order).outcome, Outcome::Published);
    assert_ends(&Errand::new().with_secret(&[("token", "wr0ng")]).sync(&order), Outcome::Failed, "Denied", "(401)");
    for keys in [&[][..], &[("username", "user")], &[("token", "a\nb")]] {
        let result = Errand::new().with_secret(keys).sync(&order);
        assert_eq!((result.outcome, result.reason.as_str()), (Outcome::Failed, "BadSecret"), "{}", result.message);
    }
    let broken = Errand::new().with_secret(&[("token", "t0ken"), ("ca.crt", "no certificate")]);
    assert_ends(&broken.sync(&order), Outcome::Failed, "BadSecret", "ca.crt holds no certificate");
}

#[test]
fn a_server_that_nobody_reaches_is_named() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for (url, sentence) in [
        (format!("http://{gone}/references.csv"), "cannot be reached"),
        (
            "http://no-such-name.invalid/references.csv".to_owned(),
            "no-such-name.invalid/references.csv cannot be reached",
        ),
    ] {
        let order = order(&json!({"http": {"url": url, "to": "references.csv", "authenticated": false}}), "Live");
        assert_ends(&Errand::new().sync(&order), Outcome::Failed, "Unreachable", sentence);
    }
}

#[test]
fn a_sync_ends_when_its_time_is_up() {
    let begun = Instant::now();
    let (result, errand) =
        then(|order| order["timeoutSeconds"] = json!(1), |_| csv("\"2\"", "0123456789").after(Duration::from_secs(20)));
    assert_ends(&result, Outcome::Failed, "TimedOut", "not done within 1 s");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(errand.read("references.csv").as_deref(), Some(CSV));
}

#[test]
fn a_file_that_was_changed_a_moment_ago_is_taken_when_it_has_settled() {
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let date = now.clone();
    let server = Server::start(move |_| csv("\"1\"", CSV).with("Last-Modified", &date));
    let mut order = page(&server, "/references.csv");
    order["guard"] = json!({"settleSeconds": 600});
    assert_ends(&Errand::new().sync(&order), Outcome::Refused, "NotSettled", "settles in");
    order["guard"] = json!({"settleSeconds": 2});
    assert_eq!(Errand::new().sync(&order).outcome, Outcome::Published);
}
