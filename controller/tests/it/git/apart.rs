//! References that cannot be fetched, beside others of the same repository that can.

use std::io::Write as _;
use std::process::{Command, Stdio};

use drover::git::{Head, Limits};

use super::pool::{Pool, branch, commit, eventually, team};
use super::server::{GitServer, Repo, noise};

impl Repo {
    /// Has a branch of the server lead to a commit with this tree, whatever that holds.
    fn branch_with_tree(&self, branch: &str, tree: &[u8]) {
        let mut command = Command::new("git");
        let mut hash = command
            .current_dir(self.at_server(&["rev-parse", "--absolute-git-dir"]))
            .args(["hash-object", "-t", "tree", "-w", "--literally", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git runs");
        hash.stdin.take().expect("piped").write_all(tree).expect("written");
        let id = hash.wait_with_output().expect("it ends").stdout;
        let tree = String::from_utf8(id).expect("an id");
        let commit = self.at_server(&["commit-tree", "-m", "bad", tree.trim()]);
        self.at_server(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
    }
}

#[tokio::test]
async fn a_reference_that_cannot_be_fetched_fails_alone() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let first = repo.git(&["rev-parse", "HEAD"]);
    // A tree that ends too soon, one with an entry of no kind, and one with a file that is not there.
    repo.branch_with_tree("short", b"100644 a.yaml\0short");
    repo.branch_with_tree("kind", &[b"999999 a.yaml\0" as &[u8], &[7; 20]].concat());
    repo.branch_with_tree("file", &[b"100644 a.yaml\0" as &[u8], &[7; 20]].concat());
    let mut pool = Pool::new();
    let url = server.https("demo");
    let bad = [
        ("short", branch("short")),
        ("kind", branch("kind")),
        ("file", branch("file")),
        ("none", commit(&"1".repeat(40))),
    ];
    for (name, reference) in bad.clone() {
        pool.follow(name, &url, reference, server.password());
    }
    pool.follow("good", &url, branch("prod"), server.password());
    pool.until_at("good", &first).await;
    for (name, _) in &bad {
        let error = pool.until_failed(name).await;
        assert_eq!(error.label(), "GitServerError", "{error}");
        assert!(*name == "none" || error.to_string().contains(&format!("sent the branch {name} ")), "{error}");
    }
    // News of the good one comes, and who comes later does not hear of the bad ones.
    let second = repo.push("prod", &[("deploy/app.yaml", "a: 2\n")], "second");
    let other = repo.push("other", &[("deploy/app.yaml", "a: 3\n")], "other");
    pool.repositories.sync_now(&team("good"));
    pool.until_at("good", &second).await;
    pool.follow("other", &url, branch("other"), server.password());
    let head = pool.until("other", |head| *head != Head::Pending).await;
    assert!(matches!(&head, Head::At { commit, .. } if commit.id.as_str() == other), "{head:?}");
    // A sound commit is all that a bad branch needs.
    let mended = repo.push("short", &[("deploy/app.yaml", "a: 4\n")], "mended");
    pool.repositories.sync_now(&team("good"));
    pool.until_at("short", &mended).await;
}

#[tokio::test]
async fn a_branch_that_is_too_large_fails_alone_and_is_not_fetched_at_every_look() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let first = repo.git(&["rev-parse", "HEAD"]);
    repo.push("large", &[("deploy/big.txt", &noise())], "large");
    let mut pool = Pool::with(Limits { download: 64 << 10, ..Limits::default() });
    let url = server.https("demo");
    pool.follow("large", &url, branch("large"), server.password());
    pool.follow("good", &url, branch("prod"), server.password());
    pool.until_at("good", &first).await;
    assert_eq!(pool.until_failed("large").await.label(), "RepositoryTooLarge");
    let mut fetches = Vec::new();
    for _ in 0..2 {
        let looks = server.requests("GET");
        pool.repositories.sync_now(&team("good"));
        eventually("the server was asked", || server.requests("GET") > looks).await;
        fetches.push(server.requests("POST"));
    }
    assert_eq!(fetches[0], fetches[1], "there was nothing new to fetch");
}

#[tokio::test]
async fn a_commit_with_a_folder_in_the_place_of_a_file_is_told_once() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let folder = hex::decode(repo.at_server(&["rev-parse", "refs/heads/prod^{tree}"])).expect("hexadecimal digits");
    repo.branch_with_tree("bad", &[b"100644 a.yaml\0" as &[u8], &folder].concat());
    let mut pool = Pool::new();
    pool.follow("bad", &server.https("demo"), branch("bad"), server.password());
    let Head::At { commit, .. } = pool.until("bad", |head| *head != Head::Pending).await else { panic!("it is sent") };
    for _ in 0..2 {
        let error = pool.repositories.read(&team("bad"), &commit.id, "", None).await.expect_err("it is no file");
        assert_eq!(error.label(), "UnsoundCommit", "{error}");
        assert!(error.is_terminal() && error.to_string().contains("a.yaml is a tree and no file"), "{error}");
    }
    let looks = server.requests("GET");
    pool.repositories.sync_now(&team("bad"));
    eventually("the server was asked", || server.requests("GET") > looks).await;
    assert_eq!(server.requests("POST"), 2, "it was fetched once, in two steps");
}
