//! A folder of a git repository, from the testbed's git server.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use drover_core::errand::{Outcome, SyncResult};
use serde_json::{Value, json};

use super::errand::{Errand, order};
// The controller's own tests of the git room have it too.
#[allow(dead_code)]
#[path = "../../../tests/it/git/server.rs"]
mod server;

use server::GitServer;

fn tree(url: &str, path: &str) -> Value {
    order(&json!({"git": {"url": url, "ref": {"branch": "dev"}, "path": path}}), "Live")
}

fn errand(server: &GitServer, keys: &[(&str, &str)]) -> Errand {
    let authority = fs::read_to_string(server.setting("GIT_CA")).expect("an authority");
    Errand::new().with_secret(&[keys, &[("ca.crt", &authority)]].concat())
}

#[track_caller]
fn assert_refused(result: &SyncResult, reason: &str, said: &str) {
    assert!(result.reason == reason && result.message.contains(said), "{result:?}");
}

#[test]
fn a_push_becomes_the_files_of_the_next_sync_and_what_did_not_change_stays_the_same_file() {
    let server = GitServer::start();
    let repo = server.repo("app");
    let (user, password) = (server.setting("GIT_USER"), server.setting("GIT_PASSWORD"));
    let errand = errand(&server, &[("username", user), ("password", password)]);
    let work = repo.work.path().join("web");
    fs::create_dir_all(work.join("site")).expect("a folder");
    fs::write(work.join("manage.py"), "print(1)\n").expect("written");
    fs::set_permissions(work.join("manage.py"), fs::Permissions::from_mode(0o755)).expect("made a program");
    symlink("../manage.py", work.join("site/run")).expect("a link");
    let first =
        repo.push("dev", &[("web/site/views.py", "one\n"), ("web/site/urls.py", "urls\n"), ("other", "x")], "first");
    let order = tree(&server.https("app"), "web");
    let result = errand.sync(&order);
    assert_eq!(
        (result.outcome, result.files, result.commit.as_deref()),
        (Outcome::Published, 4, Some(&*first)),
        "{result:?}"
    );
    assert_eq!(errand.read("site/views.py").as_deref(), Some("one\n"));
    assert_eq!(errand.read("site/run").as_deref(), Some("print(1)\n"));
    assert_eq!(errand.read("other"), None, "only the folder");
    let about = |path: &str| fs::metadata(errand.claim().join(path)).expect("a file");
    assert_eq!((about("manage.py").mode() & 0o777, about("site/views.py").mode() & 0o777), (0o755, 0o644));
    let before = about("site/urls.py").ino();

    // The same commit is nothing new; another is, and only what changed in it is written.
    let again = errand.sync(&order);
    assert_eq!((again.outcome, again.commit.as_deref()), (Outcome::Unchanged, Some(&*first)));
    let second = repo.push("dev", &[("web/site/views.py", "two\n")], "second");
    let result = errand.sync(&order);
    assert_eq!(
        (result.outcome, result.fetched_files, result.commit.as_deref()),
        (Outcome::Published, 1, Some(&*second))
    );
    assert_eq!(errand.read("site/views.py").as_deref(), Some("two\n"));
    assert_eq!(about("site/urls.py").ino(), before);
    // A commit that changes nothing of the folder is told, and is no new set.
    let third = repo.push("dev", &[("other", "y")], "third");
    let result = errand.sync(&order);
    assert_eq!((result.outcome, result.commit.as_deref()), (Outcome::Unchanged, Some(&*third)));
    assert_eq!(errand.sets().len(), 2);
}

#[test]
fn what_is_wrong_with_a_repository_is_one_sentence_and_changes_nothing() {
    let server = GitServer::start();
    let repo = server.repo("app");
    repo.push("dev", &[("web/a", "a\n")], "first");
    let (user, password) = (server.setting("GIT_USER"), server.setting("GIT_PASSWORD"));
    let errand = self::errand(&server, &[("username", user), ("password", password)]);
    let url = server.https("app");
    assert_eq!(errand.sync(&tree(&url, "web")).outcome, Outcome::Published);

    assert_refused(&errand.sync(&tree(&url, "nothing")), "NotFound", "check spec.source.git.path");
    assert_refused(&errand.sync(&tree(&url, "web/a")), "NotFound", "must be a folder");
    assert_refused(&errand.sync(&tree(&server.https("nothing"), "web")), "NotFound", "check spec.source.git.url");
    let gone = order(&json!({"git": {"url": url, "ref": {"branch": "gone"}, "path": "web"}}), "Live");
    assert_refused(&errand.sync(&gone), "NotFound", "the branch gone does not exist");
    repo.push(
        "dev",
        &[("web/data.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")],
        "pointer",
    );
    assert_refused(&errand.sync(&tree(&url, "web")), "WrongType", "data.bin is a pointer of Git LFS");
    fs::remove_file(repo.work.path().join("web/data.bin")).expect("removed");
    symlink("/etc/passwd", repo.work.path().join("web/secrets")).expect("a link");
    repo.push("dev", &[], "link");
    assert_refused(&errand.sync(&tree(&url, "web")), "BadKey", "secrets is a link to /etc/passwd");
    assert_eq!(errand.read("a").as_deref(), Some("a\n"), "what was published stays");

    let wrong = self::errand(&server, &[("username", user), ("password", "not-the-password")]);
    let result = wrong.sync(&tree(&url, "web"));
    assert_refused(&result, "Denied", "authentication failed");
    assert!(!result.message.contains("not-the-password"), "{result:?}");
    let half = self::errand(&server, &[("username", user)]);
    assert_refused(&half.sync(&tree(&url, "web")), "BadSecret", "username without password");
    let unknown = Errand::new();
    assert_refused(&unknown.sync(&tree(&url, "web")), "Unreachable", "is not trusted");
}
