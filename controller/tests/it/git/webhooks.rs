//! Webhooks as the hosts send them, right and wrong.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::response::Response;
use drover::git::webhook::{Leadership, Receiver, Refresh, router, webhook_id};
use drover::git::{Credential, Repositories, Subscription};
use drover_crds::{Owner, Reference};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, StatusCode};
use sha2::Sha256;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::pool::{Pool, branch, eventually, team};
use super::server::GitServer;

const TOKEN: &str = "the webhook's token";

fn subscription(url: &str, reference: Reference, credential: Credential, token: &str) -> Subscription {
    let webhook_token = Some(token.as_bytes().to_vec());
    Subscription { url: url.to_owned(), reference, credential, interval: Duration::from_hours(1), webhook_token }
}

fn signature(body: &str, token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn never() -> Refresh {
    Arc::new(|_| Box::pin(async {}))
}

fn leader(repositories: &Repositories, refresh: Refresh) -> axum::Router {
    router(Receiver::new(repositories.clone(), watch::channel(Leadership::Leader).1, refresh))
}

async fn post(router: &axum::Router, id: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = Request::post(format!("/webhook/{id}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).expect("request");
    router.clone().oneshot(request).await.expect("infallible")
}

#[tokio::test]
async fn each_host_s_webhook_brings_the_push_at_once() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let url = server.https("demo");
    let mut pool = Pool::new();
    pool.repositories.subscribe(&team("app"), subscription(&url, branch("prod"), server.password(), TOKEN));
    let first = repo.git(&["rev-parse", "HEAD"]);
    pool.until_at("app", &first).await;
    let receiver = leader(&pool.repositories, never());
    let id = webhook_id(&url).expect("id");
    let mut times = Vec::new();
    for n in 0..3 {
        for host in ["github", "gitea", "forgejo", "gitlab", "generic", "bearer"] {
            let next = repo.push("prod", &[("deploy/app.yaml", &format!("{host}: {n}"))], host);
            let body = format!(r#"{{"ref":"refs/heads/prod","after":"{next}"}}"#);
            let hex = signature(&body, TOKEN);
            let (name, value) = match host {
                "github" => ("X-Hub-Signature-256", format!("sha256={hex}")),
                "gitea" => ("X-Gitea-Signature", hex),
                "forgejo" => ("X-Forgejo-Signature", hex),
                "gitlab" => ("X-Gitlab-Token", TOKEN.to_owned()),
                "generic" => ("X-Drover-Signature", format!("sha256={hex}")),
                _ => ("Authorization", format!("Bearer {TOKEN}")),
            };
            let sent = Instant::now();
            let response = post(&receiver, &id, &[(name, &value)], &body).await;
            assert_eq!(response.status(), StatusCode::ACCEPTED, "{host}");
            pool.until_at("app", &next).await;
            times.push(sent.elapsed());
        }
    }
    times.sort_unstable();
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("webhook to notification: least {least:?}, median {median:?}, longest {most:?}");
}

#[tokio::test]
async fn what_does_not_concern_anybody_asks_nobody() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let head = repo.git(&["rev-parse", "HEAD"]);
    let url = server.https("demo");
    let mut pool = Pool::new();
    pool.repositories.subscribe(&team("app"), subscription(&url, branch("prod"), server.password(), TOKEN));
    pool.until_at("app", &head).await;
    let receiver = leader(&pool.repositories, never());
    let id = webhook_id(&url).expect("id");
    let headers = [("X-Gitlab-Token", TOKEN)];
    let known = format!(r#"{{"ref":"refs/heads/prod","after":"{head}"}}"#);
    for body in [r#"{"ref":"refs/heads/feature"}"#, known.as_str()] {
        assert_eq!(post(&receiver, &id, &headers, body).await.status(), StatusCode::ACCEPTED);
    }
    let before = server.requests("info/refs");
    assert_eq!(post(&receiver, &id, &headers, "what is this?").await.status(), StatusCode::ACCEPTED);
    eventually("the server was asked", || server.requests("info/refs") > before).await;
    assert_eq!((before, server.requests("info/refs")), (1, 2));
}

#[tokio::test]
async fn a_wrong_proof_and_an_unknown_address_look_the_same() {
    let server = GitServer::start();
    server.repo("demo");
    let url = server.https("demo");
    let pool = Pool::new();
    pool.repositories.subscribe(&team("app"), subscription(&url, branch("prod"), server.password(), TOKEN));
    let receiver = leader(&pool.repositories, never());
    let id = webhook_id(&url).expect("id");
    let body = r#"{"ref":"refs/heads/prod"}"#;
    let forged = format!("sha256={}", signature(body, "a guess"));
    let others = format!("sha256={}", signature("another body", TOKEN));
    let unknown = "0123456789abcdef";
    let wrong: [(&str, Vec<(&str, &str)>); 6] = [
        (&id, vec![]),
        (&id, vec![("X-Hub-Signature-256", &forged)]),
        (&id, vec![("X-Hub-Signature-256", &others)]),
        (&id, vec![("X-Gitlab-Token", "a guess")]),
        (unknown, vec![]),
        (unknown, vec![("X-Gitlab-Token", TOKEN)]),
    ];
    let answers = wrong.iter().map(|(id, headers)| async {
        let sent = Instant::now();
        let response = post(&receiver, id, headers, body).await;
        let took = sent.elapsed();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 10_000).await.expect("body");
        (parts.status, format!("{:?}", parts.headers), body, took)
    });
    let answers = futures::future::join_all(answers).await;
    for (status, headers, body, took) in &answers {
        assert_eq!(*status, StatusCode::NOT_FOUND);
        assert_eq!((headers, body), (&answers[0].1, &answers[0].2));
        assert!(*took >= Duration::from_secs(1), "answered after {took:?}");
    }
    let large = "x".repeat((5 << 20) + 1);
    for id in [id.as_str(), unknown] {
        assert_eq!(post(&receiver, id, &[], &large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn a_rotated_token_is_read_again_once() {
    let pool = Pool::new();
    let url = "http://127.0.0.1:1/a";
    pool.repositories.subscribe(&team("app"), subscription(url, branch("prod"), Credential::default(), "old"));
    let asked: Arc<Mutex<Vec<Vec<Owner>>>> = Arc::default();
    let (log, repositories) = (asked.clone(), pool.repositories.clone());
    let refresh: Refresh = Arc::new(move |names| {
        log.lock().expect("lock").push(names);
        repositories.subscribe(&team("app"), subscription(url, branch("prod"), Credential::default(), "new"));
        Box::pin(async {})
    });
    let receiver = leader(&pool.repositories, refresh);
    let id = webhook_id(url).expect("id");
    assert_eq!(post(&receiver, &id, &[("X-Gitlab-Token", "new")], "{}").await.status(), StatusCode::ACCEPTED);
    let guesses = ["old", "a guess", "another"].map(|token| {
        let (receiver, id) = (&receiver, &id);
        async move { post(receiver, id, &[("X-Gitlab-Token", token)], "{}").await.status() }
    });
    for status in futures::future::join_all(guesses).await {
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    assert_eq!(*asked.lock().expect("lock"), [[team("app")]], "once in ten seconds");
}

#[tokio::test]
async fn a_standby_hands_on_to_the_leader_and_only_once() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let url = server.https("demo");
    let mut pool = Pool::new();
    pool.repositories.subscribe(&team("app"), subscription(&url, branch("prod"), server.password(), TOKEN));
    let first = repo.git(&["rev-parse", "HEAD"]);
    pool.until_at("app", &first).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let leader_at = format!("http://{}", listener.local_addr().expect("address"));
    let service = leader(&pool.repositories, never());
    tokio::spawn(async move { axum::serve(listener, service).await });

    let idle = Pool::new();
    let (role, leadership) = watch::channel(Leadership::Standby { forward_to: Some(leader_at.clone()) });
    let standby = router(Receiver::new(idle.repositories.clone(), leadership.clone(), never()));
    let id = webhook_id(&url).expect("id");
    let second = repo.push("prod", &[("deploy/app.yaml", "a: 2")], "second");
    let body = format!(r#"{{"ref":"refs/heads/prod","after":"{second}"}}"#);
    let proof = format!("sha256={}", signature(&body, TOKEN));
    let headers = [("X-Hub-Signature-256", proof.as_str())];
    assert_eq!(post(&standby, &id, &headers, &body).await.status(), StatusCode::ACCEPTED);
    pool.until_at("app", &second).await;
    assert_eq!(post(&standby, &id, &[], &body).await.status(), StatusCode::NOT_FOUND);

    // Two standbys that take each other for the leader.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let itself = format!("http://{}", listener.local_addr().expect("address"));
    let service = standby.clone();
    tokio::spawn(async move { axum::serve(listener, service).await });
    role.send(Leadership::Standby { forward_to: Some(itself) }).expect("sent");
    assert_eq!(post(&standby, &id, &headers, &body).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    role.send(Leadership::Standby { forward_to: Some("http://127.0.0.1:1".to_owned()) }).expect("sent");
    assert_eq!(post(&standby, &id, &headers, &body).await.status(), StatusCode::BAD_GATEWAY);
    role.send(Leadership::Standby { forward_to: None }).expect("sent");
    let response = post(&standby, &id, &headers, &body).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
}
