//! Branches, tags, versions and commits, over https and ssh.

use drover::git::{Credential, Head};
use drover_core::branch::CommitId;

use super::pool::{Pool, branch, commit, eventually, semver, tag, team};
use super::server::GitServer;

#[tokio::test]
async fn follows_a_branch_over_https_with_password_and_token_or_nothing_and_over_ssh() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let mut pool = Pool::new();
    let token_url = format!("{}/demo.git", server.setting("GIT_TOKEN_URL"));
    pool.follow("password", &server.https("demo"), branch("prod"), server.password());
    pool.follow("token", &token_url, branch("prod"), server.token());
    pool.follow("ssh", &server.ssh("demo"), branch("prod"), server.key("GIT_IDENTITY", &server.known_hosts()));
    pool.follow("public", &server.public("demo"), branch("prod"), server.with_authority(&[]));
    pool.follow(
        "public, moved",
        &server.public("demo").replace("/public/", "/moved/"),
        branch("prod"),
        server.with_authority(&[]),
    );
    let plain = server.public("demo").replace(server.setting("GIT_HTTPS_URL"), server.setting("GIT_HTTP_URL"));
    pool.follow("public, without TLS", &plain, branch("prod"), Credential::default());

    let second = repo.push("prod", &[("deploy/app.yaml", "kind: Secret\n")], "second\n\nwith a body");
    for name in ["password", "token", "ssh", "public", "public, moved", "public, without TLS"] {
        pool.repositories.sync_now(&team(name));
        let Head::At { commit, .. } = pool.until_at(name, &second).await else { unreachable!() };
        assert_eq!((commit.message.as_str(), commit.author.as_str()), ("second", "Ada"));
        let id = CommitId::parse(&second).expect("id");
        let tree = pool.repositories.read(&team(name), &id, "deploy", None).await.expect("read");
        let files = tree.files.expect("files");
        assert_eq!(files.len(), 1, "{name}");
        assert_eq!((files[0].path.as_str(), files[0].bytes.as_slice()), ("deploy/app.yaml", &b"kind: Secret\n"[..]));
    }
}

#[tokio::test]
async fn host_keys_of_only_one_kind_are_enough() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let head = repo.git(&["rev-parse", "HEAD"]);
    let mut pool = Pool::new();
    for kind in ["ssh-ed25519", "ecdsa-sha2-nistp256"] {
        let known: String = server.known_hosts().lines().filter(|line| line.contains(kind)).collect();
        pool.follow(kind, &server.ssh("demo"), branch("prod"), server.key("GIT_IDENTITY", &known));
        pool.until_at(kind, &head).await;
    }
}

#[tokio::test]
async fn keys_of_each_kind_and_with_a_password_log_in() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let head = repo.git(&["rev-parse", "HEAD"]);
    let mut pool = Pool::new();
    for (name, arguments) in [
        ("ed25519 with a password", &["-t", "ed25519", "-N", "hunter2"][..]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("rsa in PEM with a password", &["-t", "rsa", "-b", "2048", "-N", "hunter2", "-m", "PEM"]),
        ("ecdsa", &["-t", "ecdsa", "-N", ""]),
    ] {
        let credential = server.new_key(arguments, "hunter2");
        pool.follow(name, &server.ssh("demo"), branch("prod"), credential);
        pool.until_at(name, &head).await;
    }
}

#[tokio::test]
async fn tells_of_new_commits_of_a_deleted_branch_and_of_its_return() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let first = repo.git(&["rev-parse", "HEAD"]);
    let mut pool = Pool::new();
    pool.follow("app", &server.https("demo"), branch("prod"), server.password());
    pool.until_at("app", &first).await;

    // Another history under the same name.
    repo.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    let forced = repo.push_work("prod", "forced");
    pool.repositories.sync_now(&team("app"));
    pool.until_at("app", &forced).await;

    repo.push("staging", &[], "elsewhere");
    repo.at_server(&["update-ref", "-d", "refs/heads/prod"]);
    pool.repositories.sync_now(&team("app"));
    let error = pool.until_failed("app").await;
    assert_eq!(error.label(), "NoSuchBranch");
    assert_eq!(
        error.to_string(),
        format!(
            "the branch prod does not exist in {}: push it, or name another in spec.source.ref, such as staging",
            server.https("demo")
        )
    );
    assert!(matches!(pool.repositories.head(&team("app")),
        Head::Failed { last_good: Some(last), .. } if last.id.as_str() == forced));

    let back = repo.push("prod", &[], "back");
    pool.repositories.sync_now(&team("app"));
    pool.until_at("app", &back).await;
}

#[tokio::test]
async fn follows_tags_versions_and_commits() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let first = repo.git(&["rev-parse", "HEAD"]);
    repo.tag(&["-a", "-m", "annotated"], "v1.2.0");
    let second = repo.push("prod", &[("deploy/app.yaml", "a: 2\n")], "second");
    repo.tag(&[], "v1.10.0");
    let third = repo.push("prod", &[("deploy/app.yaml", "a: 3\n")], "third");
    let mut pool = Pool::new();
    let (url, credential) = (server.https("demo"), server.password());
    pool.follow("annotated", &url, tag("v1.2.0"), credential.clone());
    pool.follow("highest", &url, semver(">=1.2, <2"), credential.clone());
    pool.follow("tilde", &url, semver("~1.2"), credential.clone());
    pool.follow("named", &url, commit(&third), credential.clone());
    for (name, id) in [("annotated", &first), ("highest", &second), ("tilde", &first), ("named", &third)] {
        pool.until_at(name, id).await;
    }

    repo.tag(&[], "v1.11.0");
    pool.repositories.sync_now(&team("highest"));
    pool.until_at("highest", &third).await;

    for (name, reference, label) in [
        ("no-tag", tag("v9"), "NoSuchTag"),
        ("no-version", semver("^7"), "NoMatchingVersion"),
        ("no-range", semver("newest"), "BadRange"),
        ("no-commit", commit(&"1".repeat(40)), "NoSuchCommit"),
    ] {
        pool.follow(name, &url, reference, credential.clone());
        let error = pool.until_failed(name).await;
        assert_eq!(error.label(), label, "{error}");
        assert!(error.is_terminal() && error.to_string().contains("push it") != (label == "BadRange"), "{error}");
    }
    pool.until_at("highest", &third).await;
}

#[tokio::test]
async fn finds_a_commit_that_no_name_points_to() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let old = repo.git(&["rev-parse", "HEAD"]);
    let newest = repo.push("prod", &[("deploy/app.yaml", "a: 2\n")], "second");
    let (url, credential) = (server.https("demo"), server.password());

    // This server sends only what a name points to, so the history is fetched; also into a cache that has none yet.
    let mut pool = Pool::new();
    pool.follow("branch", &url, branch("prod"), credential.clone());
    pool.until_at("branch", &newest).await;
    pool.follow("old", &url, commit(&old), credential.clone());
    pool.until_at("old", &old).await;
    let id = CommitId::parse(&old).expect("id");
    let files = pool.repositories.read(&team("old"), &id, "", None).await.expect("read").files.expect("files");
    assert_eq!(files[0].bytes, b"kind: ConfigMap\n");

    // This one sends any commit that can be reached, so it alone is fetched.
    let repo = server.repo("willing");
    let old = repo.git(&["rev-parse", "HEAD"]);
    repo.push("prod", &[("deploy/app.yaml", "a: 2\n")], "second");
    repo.at_server(&["config", "uploadpack.allowReachableSHA1InWant", "true"]);
    let mut pool = Pool::new();
    pool.follow("old", &server.https("willing"), commit(&old), credential);
    pool.until_at("old", &old).await;
    assert_eq!(server.requests("POST /willing.git/git-upload-pack"), 2);
}

#[tokio::test]
async fn a_poll_without_news_is_one_request_however_many_follow() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let head = repo.git(&["rev-parse", "HEAD"]);
    let mut pool = Pool::new();
    let names = ["one", "two", "three"];
    for name in names {
        pool.follow(name, &server.https("demo"), branch("prod"), server.password());
    }
    for name in names {
        pool.until_at(name, &head).await;
    }
    let counts = || (server.requests("GET /demo.git/info/refs"), server.requests("POST"), server.requests(""));
    assert_eq!(counts(), (1, 2, 3), "the references are listed once, and fetching without history takes two steps");
    for polls in 1..=3 {
        pool.repositories.sync_now(&team(names[polls % 3]));
        eventually("the server was asked", || server.requests("") >= 3 + polls).await;
        assert_eq!(counts(), (1 + polls, 2, 3 + polls));
    }

    // Who shows another credential gets a cache and a poll of their own.
    let token_url = format!("{}/demo.git", server.setting("GIT_TOKEN_URL"));
    pool.follow("token", &token_url, branch("prod"), server.token());
    pool.until_at("token", &head).await;
    assert_eq!(server.requests("GET /token/demo.git/info/refs"), 1);
    assert_eq!(counts().0, 4);
}
