//! What is wrong with a repository, or with the way to it.

use std::process::Command;
use std::time::Duration;

use drover_crds::LocalObjectReference;
use drover_e2e::{Controller, Environment, GitServer, Manner, Namespace, TlsServer, run, steadily};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{SOON, Team, one_sentence, page, page_says, short, text};

/// A fetch may take a minute, and the machine is busy.
const A_FETCH_GIVEN_UP: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_deleted_takes_nothing_away() {
    let team = Team::live("branch").await;
    team.repo.push_to("main", &[("page.yaml", &page("one"))], "One, on main");
    team.repo.delete_branch("prod");
    team.environment().look_now();
    assert_eq!(
        team.reads("NoSuchBranch").await,
        format!(
            "the branch prod does not exist in {}: push it, or name another in spec.source.ref, such as main",
            team.repo.https()
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;

    // What ran before is still looked after.
    let edit = Patch::Merge(json!({"data": {"text": "edited"}}));
    team.namespace.api::<ConfigMap>().patch("page", &PatchParams::default(), &edit).await.expect("a person may edit");
    page_says(&team.namespace, "one").await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_branch_is_followed() {
    let team = Team::live("rewritten").await;
    let commit = team.repo.force_push(&[("page.yaml", &page("two"))], "Another history");
    team.environment().look_now();
    let status = team.environment().is_ready_at(&commit).await;
    assert_eq!(text(&team.namespace, "page").await.as_deref(), Some("two"));
    let ready = drover_e2e::ready(&status.conditions).expect("a condition");
    assert_eq!(ready.message, format!("Applied {}: its object is there and healthy", short(&commit)));
    let history: Vec<&str> = status.history.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(history, ["Another history", "Good"], "what was applied before is forgotten");
    team.delays_nobody().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_without_saying_the_password() {
    let team = Team::live("password").await;
    team.namespace.apply(&GitServer::shared().secret_for_https_with_password("git-read", "swordfish"));
    team.environment().look_now();
    assert_eq!(
        team.reads("AuthenticationFailed").await,
        format!(
            "authentication failed for {}: the server refused the keys username and password of the Secret that secretRef names, so put valid ones there",
            team.repo.https()
        )
    );
    assert!(!Controller::shared().await.log().contains("swordfish"), "the password is in the log");
    team.has_lost_nothing().await;
    team.delays_nobody().await;

    // Correcting the Secret is enough: nobody has to tell drover.
    let commit = team.repo.push(&[("page.yaml", &page("two"))], "Two");
    team.namespace.apply(&GitServer::shared().secret_for_https("git-read"));
    team.environment().is_ready_at(&commit).await;
}

/// Lets `environment` be reached over SSH with that `known_hosts`.
async fn over_ssh<'a>(
    namespace: &'a Namespace,
    secret: &str,
    url: &str,
    repo: &drover_e2e::GitRepo,
) -> Environment<'a> {
    namespace.apply(secret);
    Environment::create(namespace, "prod", repo, |spec| {
        url.clone_into(&mut spec.source.url);
        spec.source.secret_ref = Some(LocalObjectReference { name: "git-ssh".into() });
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_refused_with_the_line_that_would_trust_it() {
    let namespace = Namespace::new("host-key").await;
    let repo = namespace.repository("pages");
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    let server = GitServer::shared();
    let real = std::fs::read_to_string(server.known_hosts()).expect("the git server writes it");
    let elsewhere = real.replace(real.split(' ').next().expect("a host"), "git.example.org");
    let environment =
        over_ssh(&namespace, &server.secret_for_ssh_knowing("git-ssh", &elsewhere), &repo.ssh(), &repo).await;
    let said = environment.fails_with("UnknownHostKey", SOON).await.message;
    one_sentence(&said);
    let line = said.split('`').nth(1).unwrap_or_else(|| panic!("no line in `{said}`")).to_owned();
    let fingerprint = fingerprint(&line);
    let host =
        line.split([']', ' ']).next().expect("a host").trim_start_matches('[').split(':').next().expect("a name");
    assert_eq!(
        said,
        format!(
            "the SSH host key of {host} is not in known_hosts (it has {fingerprint}): compare this fingerprint with the one that the git host publishes, and if it is the same add the line `{line}` to the key known_hosts of the Secret that secretRef names"
        )
    );
    assert!(real.lines().any(|known| known == line), "the line is not the server's:\n{line}\n{real}");
    assert_eq!(text(&namespace, "page").await, None);

    // The line that the sentence shows is the one that helps.
    namespace.apply(&server.secret_for_ssh_knowing("git-ssh", &format!("{elsewhere}{line}\n")));
    environment.is_ready_at(&commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_that_changed_is_not_trusted() {
    let namespace = Namespace::new("host-key").await;
    let repo = namespace.repository("pages");
    repo.push(&[("page.yaml", &page("one"))], "One");
    let secret = GitServer::shared().secret_for_ssh_with_wrong_host_key("git-ssh");
    let environment = over_ssh(&namespace, &secret, &repo.ssh(), &repo).await;
    let said = environment.fails_with("ChangedHostKey", SOON).await.message;
    one_sentence(&said);
    let real = std::fs::read_to_string(GitServer::shared().known_hosts()).expect("the git server writes it");
    let known = real.lines().find(|line| said.contains(&fingerprint(line)));
    assert!(known.is_some(), "`{said}` does not show a fingerprint of the server");
    assert!(said.contains("somebody may stand between drover and the server"), "{said}");
    assert_eq!(text(&namespace, "page").await, None);
}

/// The fingerprint of a line of `known_hosts`, as ssh itself shows it.
fn fingerprint(line: &str) -> String {
    let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
    let file = folder.path().join("key.pub");
    let (_, key) = line.split_once(' ').expect("a host and a key");
    std::fs::write(&file, key).expect("the temporary folder is ours to write");
    let shown = run(Command::new("ssh-keygen").arg("-lf").arg(&file));
    shown.split(' ').nth(1).expect("length and fingerprint").to_owned()
}

/// Lets the team follow a repository of `server`, with the password of the real one.
async fn move_to(team: &Team, server: &TlsServer) -> String {
    let git = GitServer::shared();
    let data = json!({"username": git.username(), "password": git.password(), "ca.crt": server.certificate()});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "elsewhere"}, "stringData": data});
    team.namespace.apply(&secret.to_string());
    let url = format!("{}/pages.git", server.url());
    let source = json!({"url": url, "secretRef": {"name": "elsewhere"}});
    team.environment().patch(json!({"spec": {"source": source}})).await;
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_or_drips_is_given_up_after_a_minute() {
    tokio::join!(is_given_up("hangs", Manner::Hang), is_given_up("drips", Manner::Drip));
}

async fn is_given_up(topic: &str, manner: Manner) {
    let team = Team::live(topic).await;
    let server = TlsServer::start("127.0.0.1", manner).await;
    let url = move_to(&team, &server).await;
    // Meanwhile the status says what is waited for, and others are served.
    team.environment()
        .comes_to("says what it waits for", |status| match drover_e2e::ready(&status.conditions)? {
            ready if ready.message == format!("Fetching {url}") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    team.delays_nobody().await;
    let said = team.reads_within("TimedOut", A_FETCH_GIVEN_UP).await;
    let (sentence, outlook) = said.split_once("; it has failed since ").unwrap_or((&said, ""));
    assert_eq!(
        sentence,
        format!(
            "{url} did not answer in full within 60 s, so drover gave up: check the git server and the size of the repository"
        )
    );
    assert!(outlook.contains("drover asks again"), "it does not say when it is tried again: {said}");
    team.has_lost_nothing().await;
    // The way back is the right address.
    let source = json!({"url": team.repo.https(), "secretRef": {"name": "git-read"}});
    team.environment().patch(json!({"spec": {"source": source}})).await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_gets_no_credential() {
    let team = Team::live("redirect").await;
    let thief = TlsServer::start("127.0.0.2", Manner::Hang).await;
    let target = format!("{}/pages.git/info/refs?service=git-upload-pack", thief.url());
    let server = TlsServer::start("127.0.0.1", Manner::Redirect(target.clone())).await;
    let url = move_to(&team, &server).await;
    assert_eq!(
        team.reads("Redirected").await,
        format!(
            "{url} redirects to another host (cannot redirect from '127.0.0.1' to '127.0.0.2'), which drover does not follow because it would send the credential there: write the final address into spec.source.url"
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    let asked = server.requests();
    assert!(
        asked.iter().all(|request| request.contains("Authorization: Basic ")),
        "the credential was not sent: {asked:?}"
    );
    assert_eq!(thief.requests(), [""; 0], "the other host was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_the_right_signature_changes_nothing() {
    let namespace = Namespace::new("webhook").await;
    let repo = namespace.repository("pages");
    let first = repo.push(&[("page.yaml", &page("one"))], "One");
    let environment = Environment::with_webhook(&namespace, "prod", &repo).await;
    environment.is_ready_at(&first).await;

    let second = repo.push(&[("page.yaml", &page("two"))], "Two");
    for refused in [environment.webhook_unsigned(&repo).await, environment.webhook_signed_with(&repo, "a guess").await]
    {
        assert_eq!(refused.status, 404);
        assert_eq!(refused.body, "there is no such webhook, or its signature is wrong\n");
    }
    steadily("a forged webhook changes nothing", Duration::from_secs(3), async || {
        let seen = environment.status().await.source.map(|source| source.commit);
        let shown = text(&namespace, "page").await;
        if shown.as_deref() == Some("one") && seen.as_ref() == Some(&first) {
            Ok(())
        } else {
            Err(format!("{shown:?} {seen:?}"))
        }
    })
    .await;

    let accepted = environment.webhook(&repo).await;
    assert_eq!((accepted.status, accepted.body.as_str()), (202, "accepted\n"));
    environment.is_ready_at(&second).await;
    page_says(&namespace, "two").await;
}
