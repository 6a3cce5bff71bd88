//! What a server or a Secret is refused for, and the sentence for it.

use drover::git::Credential;

use super::pool::{Pool, branch, eventually, team};
use super::server::{GitServer, credential};

#[tokio::test]
async fn https_without_the_right_credential() {
    let server = GitServer::start();
    server.repo("demo");
    let mut pool = Pool::new();
    let url = server.https("demo");
    let wrong = [("username", server.setting("GIT_USER")), ("password", "hunter2")];
    let token_url = format!("{}/demo.git", server.setting("GIT_TOKEN_URL"));
    let stranger = credential(&[("username", b"u"), ("password", b"hunter2")]);
    for (name, url, credential, label, said) in [
        ("wrong", &url, server.with_authority(&wrong), "AuthenticationFailed", "username and password"),
        ("nobody", &url, server.with_authority(&[]), "AuthenticationFailed", "name a Secret in spec.source.secretRef"),
        (
            "token",
            &token_url,
            server.with_authority(&[("bearerToken", "hunter2")]),
            "AuthenticationFailed",
            "bearerToken",
        ),
        (
            "authority",
            &url,
            stranger,
            "UntrustedCertificate",
            "put the certificate authority that signed it into the key ca.crt",
        ),
        ("nothing", &server.https("nothing"), server.password(), "NotARepository", "there is no git repository at"),
        (
            "redirect",
            &format!("{}/demo.git", server.setting("GIT_ELSEWHERE_URL")),
            server.password(),
            "Redirected",
            "redirects to another host",
        ),
    ] {
        pool.follow(name, url, branch("prod"), credential);
        let error = pool.until_failed(name).await;
        let sentence = error.to_string();
        assert_eq!(error.label(), label, "{sentence}");
        assert!(sentence.contains(said) && !sentence.contains("hunter2"), "{sentence}");
        assert!(error.is_terminal());
    }
    let password = server.setting("GIT_PASSWORD");
    let head = format!("{:?}", pool.repositories.head(&team("redirect")));
    assert!(!head.contains(password));
    // Asked once each: neither redirected nor tried again with the same password.
    assert_eq!(server.requests("/elsewhere/demo.git"), 1);
    assert_eq!(server.requests("GET /demo.git/info/refs"), 2);
}

#[tokio::test]
async fn ssh_with_a_wrong_key_on_either_side() {
    let server = GitServer::start();
    server.repo("demo");
    let mut pool = Pool::new();
    let (url, known) = (server.ssh("demo"), server.known_hosts());
    let address = url.trim_start_matches("ssh://").split(['@', '/']).nth(1).expect("host").to_owned();
    let (host, port) = address.split_once(':').expect("port");
    let elsewhere = known.replace(&format!("[{host}]:{port}"), "other.example.org");
    let other = std::fs::read_to_string(format!("{}.pub", server.setting("GIT_STRANGER"))).expect("key");
    let other = other.split(' ').nth(1).expect("blob");
    let changed = format!("[{host}]:{port} ssh-ed25519 {other}");

    pool.follow("unknown", &url, branch("prod"), server.key("GIT_IDENTITY", &elsewhere));
    let error = pool.until_failed("unknown").await;
    assert_eq!(error.label(), "UnknownHostKey");
    let sentence = error.to_string();
    assert!(sentence.contains("SHA256:") && sentence.contains(&format!("`[{host}]:{port} ")), "{sentence}");
    // The line that the sentence suggests is the one that helps.
    let line = sentence.split('`').nth(1).expect("line").to_owned();
    pool.follow("suggested", &url, branch("prod"), server.key("GIT_IDENTITY", &line));
    pool.until("suggested", |head| matches!(head, drover::git::Head::At { .. })).await;

    pool.follow("changed", &url, branch("prod"), server.key("GIT_IDENTITY", &changed));
    assert_eq!(pool.until_failed("changed").await.label(), "ChangedHostKey");

    pool.follow("stranger", &url, branch("prod"), server.key("GIT_STRANGER", &known));
    let error = pool.until_failed("stranger").await;
    assert_eq!(error.label(), "AuthenticationFailed");
    assert!(error.to_string().contains("identity"), "{error}");

    pool.follow(
        "no key",
        &url,
        branch("prod"),
        credential(&[("identity", b"nonsense"), ("known_hosts", known.as_bytes())]),
    );
    assert_eq!(pool.until_failed("no key").await.label(), "AuthenticationFailed");

    pool.follow("nothing", &server.ssh("nothing"), branch("prod"), server.key("GIT_IDENTITY", &known));
    assert_eq!(pool.until_failed("nothing").await.label(), "NotARepository");
}

#[tokio::test]
async fn addresses_and_credentials_that_are_refused_without_asking_anybody() {
    let mut pool = Pool::new();
    let token = || credential(&[("bearerToken", b"hunter2")]);
    for (name, url, credential, said) in [
        ("file", "file:///etc", Credential::default(), "https://host/path"),
        ("path", "/var/lib/x.git", Credential::default(), "https://host/path"),
        ("ssh", "git@127.0.0.1:x", token(), "set its keys identity and known_hosts"),
        ("no key", "git@127.0.0.1:x", Credential::default(), "spec.source.secretRef names no Secret"),
        ("https", "https://u:hunter2@127.0.0.1/x", Credential::default(), "secretRef"),
    ] {
        pool.follow(name, url, branch("prod"), credential);
        let error = pool.until_failed(name).await;
        assert!(error.to_string().contains(said) && !error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(std::fs::read_dir(pool.cache.path()).expect("folder").count(), 0);
}

#[tokio::test]
async fn the_last_subscriber_takes_the_cache_along() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let head = repo.git(&["rev-parse", "HEAD"]);
    let mut pool = Pool::new();
    for name in ["one", "two"] {
        pool.follow(name, &server.https("demo"), branch("prod"), server.password());
        pool.until_at(name, &head).await;
    }
    let folders = || std::fs::read_dir(pool.cache.path()).expect("folder").count();
    pool.repositories.unsubscribe(&team("one"));
    assert_eq!(folders(), 1);
    pool.repositories.unsubscribe(&team("two"));
    eventually("the cache is deleted", || folders() == 0).await;
    assert_eq!(pool.repositories.head(&team("two")), drover::git::Head::Pending);
}
