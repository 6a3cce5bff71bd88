//! Many who follow folders of one repository, and how many children that takes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use drover::git::Limits;
use drover_core::branch::{CommitId, TreeId};

use super::pool::{DEADLINE, Pool, branch, team};
use super::server::GitServer;

const FOLLOWERS: usize = 20;

fn files(changed: &str) -> Vec<(String, String)> {
    (0..FOLLOWERS)
        .map(|n| (format!("{n}/app.yaml"), format!("n: {}\n", if n == 7 { changed } else { "same" })))
        .collect()
}

/// A program that is drover, and notes each time that it is started.
fn counting(folder: &std::path::Path) -> std::path::PathBuf {
    let (program, count) = (folder.join("drover"), folder.join("count"));
    let script = format!("#!/bin/sh\necho >>{}\nexec {} \"$@\"\n", count.display(), env!("CARGO_BIN_EXE_drover"));
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it may be run");
    program
}

#[tokio::test]
async fn a_push_is_told_at_once_to_whom_it_concerns_and_one_child_finds_out_whom() {
    let (server, folder) = (GitServer::start(), tempfile::tempdir().expect("folder"));
    let repo = server.repo("demo");
    let push = |changed: &str| {
        let files = files(changed);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        CommitId::parse(&repo.push("prod", &files, changed)).expect("an id")
    };
    let children = || fs::read_to_string(folder.path().join("count")).unwrap_or_default().lines().count();
    let first = push("one");
    let mut pool = Pool::of(Limits::default(), counting(folder.path()));
    let mut trees: Vec<TreeId> = Vec::new();
    for n in 0..FOLLOWERS {
        pool.follow(&n.to_string(), &server.https("demo"), branch("prod"), server.password());
        pool.until_at(&n.to_string(), first.as_str()).await;
        let read = pool.repositories.read(&team(&n.to_string()), &first, &n.to_string(), None).await.expect("read");
        trees.push(read.id.clone());
        pool.repositories.settle(&team(&n.to_string()), Some((&first, &n.to_string(), &read.id)));
    }
    while pool.news.try_recv().is_ok() {}

    let before = children();
    let second = push("two");
    pool.repositories.sync_now(&team("0"));
    let told = tokio::time::timeout(DEADLINE, pool.news.recv()).await.expect("in time").expect("the pool lives");
    assert_eq!(told, team("7"), "whose folder the push changes is told before all others");
    assert_eq!(children() - before, 2, "one that fetches, and one that compares");
    assert_eq!(pool.repositories.settled_at(&second).len(), FOLLOWERS - 1);
    for (n, tree) in trees.iter().enumerate().filter(|(n, _)| *n != 7) {
        let name = n.to_string();
        let read = pool.repositories.read(&team(&name), &second, &name, Some(tree)).await.expect("read");
        assert_eq!((&read.id, read.files), (tree, None));
    }
    assert_eq!(children() - before, 2, "what is known is not read");
    let read = pool.repositories.read(&team("7"), &second, "7", Some(&trees[7])).await.expect("read");
    assert!(read.id != trees[7] && read.files.is_some());

    // In the end all are told, each once; who is waited for, at once.
    pool.repositories.hurry(&team("19"));
    let mut told = Vec::new();
    while told.len() < FOLLOWERS - 1 {
        told.push(tokio::time::timeout(DEADLINE, pool.news.recv()).await.expect("in time").expect("the pool lives"));
    }
    assert_eq!(told[0], team("19"));
    let each: BTreeSet<String> = told.iter().map(|name| name.key.name.clone()).collect();
    assert!(each.len() == FOLLOWERS - 1 && !each.contains("7"), "{told:?}");
    assert!(pool.news.try_recv().is_err());
}
