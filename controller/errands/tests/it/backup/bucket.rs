//! In a bucket.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use drover_core::backup::Ended;
use serde_json::json;

use super::{Backup, KEY, assert_fails, restic, rows};
use crate::bucket::Bucket;
use crate::server::{Reply, Request};

/// Into that bucket.
fn backup(bucket: &Bucket) -> Backup {
    let mut backup = Backup::new();
    backup.set_key(Some(KEY));
    backup.order["repository"] = json!({"s3": {
        "endpoint": bucket.server.address, "region": "us-east-1", "bucket": "data", "prefix": "drover/shop/db",
    }});
    let secret = backup.path("secret");
    fs::create_dir(&secret).expect("a Secret");
    for (key, value) in [("AWS_ACCESS_KEY_ID", "team"), ("AWS_SECRET_ACCESS_KEY", "team-of-drover")] {
        fs::write(secret.join(key), value).expect("a key");
    }
    backup.secret = true;
    backup
}

/// Whether restic finds all of it whole.
fn check(bucket: &Bucket, backup: &Backup) -> usize {
    let folder = backup.path("copy");
    let _ = fs::remove_dir_all(&folder);
    for (key, content) in bucket.all() {
        let file = folder.join(key.strip_prefix("drover/shop/db/").expect("nothing is outside of the prefix"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, content).expect("a file");
    }
    restic(&folder, KEY, &["check", "--read-data"]);
    let listed = restic(&folder, KEY, &["snapshots", "--json"]).stdout;
    String::from_utf8_lossy(&listed).matches("\"proven\"").count()
}

fn is_put(request: &Request) -> bool {
    request.method == "PUT"
}

#[test]
fn restic_reads_what_was_stored_in_a_bucket() {
    // Pages of a few keys, so that lists go on.
    let bucket = Bucket::faulty(&[], 3, |_| None);
    let mut backup = backup(&bucket);
    backup.order["keep"] = json!({"last": 2});
    for seed in 0..4 {
        backup.make(&rows(seed, 20_000));
    }
    assert_eq!(check(&bucket, &backup), 2);
}

#[test]
fn two_first_backups_at_once_make_one_repository_in_a_bucket() {
    for knows_new in [true, false] {
        // The second to ask for the repository waits until both have seen that there is none.
        let (asked, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, noted) = (Arc::clone(&asked), Arc::clone(&made));
        let bucket = Bucket::faulty(&[], 1000, move |request| {
            let is_config = request.target.ends_with("/config");
            if is_put(request) && is_config {
                count.fetch_add(1, SeqCst);
                let begun = std::time::Instant::now();
                while count.load(SeqCst) < 2 && begun.elapsed().as_secs() < 10 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                noted.lock().expect("no panic").push(request.header("if-none-match").map(str::to_owned));
            }
            None
        });
        if !knows_new {
            bucket.ignore_conditions();
        }
        let (one, other) = (backup(&bucket), backup(&bucket));
        for (backup, seed) in [(&one, 1), (&other, 2)] {
            backup.dump(&rows(seed, 1000));
        }
        let mut running = [one.start("backup-store"), other.start("backup-store")];
        assert!(running.iter_mut().all(|child| child.wait().expect("it ends").success()));
        assert_eq!(*made.lock().expect("no panic"), [Some("*".to_owned()), Some("*".to_owned())]);
        for backup in [&one, &other] {
            backup.prove();
            assert_eq!(backup.conclude().ended, Ended::Proven);
        }
        assert_eq!(bucket.all().keys().filter(|key| key.contains("/keys/")).count(), 1);
        assert_eq!(check(&bucket, &one), 2);
    }
}

#[test]
fn a_server_that_fails_is_not_taken_for_one_that_has_nothing() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let bucket = Bucket::faulty(&[], 1000, move |request| {
        (failing.load(SeqCst) && !is_put(request)).then(|| Reply::new(500, "<Error><Code>InternalError</Code></Error>"))
    });
    let backup = backup(&bucket);
    assert_fails(backup.store("one row"), "SourceFails", "500 InternalError");
    assert!(bucket.all().is_empty(), "no repository was made");
    fails.store(false, SeqCst);
    backup.make("one row");
}

#[test]
fn a_bucket_that_is_denied_or_missing_is_told() {
    let status = Arc::new(AtomicUsize::new(0));
    let said = Arc::clone(&status);
    let bucket = Bucket::faulty(&[], 1000, move |request| match said.load(SeqCst) {
        403 if is_put(request) => Some(Reply::new(403, "<Error><Code>AccessDenied</Code></Error>")),
        404 => Some(Reply::new(404, "<Error><Code>NoSuchBucket</Code></Error>")),
        _ => None,
    });
    let backup = backup(&bucket);
    status.store(403, SeqCst);
    assert_fails(
        backup.store("one row"),
        "Denied",
        "may not be written (403 AccessDenied): give the keys of the Secret the right to read, write, list and delete there",
    );
    status.store(404, SeqCst);
    assert_fails(backup.store("one row"), "NotFound", "404 NoSuchBucket");
    status.store(0, SeqCst);
    let proven = backup.make(&rows(1, 2000)).name;
    // The right to write goes away later: what is there stays proven, and nothing else is.
    status.store(403, SeqCst);
    assert_fails(backup.store(&rows(2, 2000)), "Denied", "AccessDenied");
    status.store(0, SeqCst);
    let last = backup.make(&rows(3, 2000)).backups.expect("a list");
    assert_eq!(last.iter().filter(|kept| kept.verified_at.is_some()).count(), 2);
    assert!(last.iter().any(|kept| Some(&kept.name) == proven.as_ref()));
    assert_eq!(check(&bucket, &backup), 2);
    fs::remove_file(backup.path("secret/AWS_SECRET_ACCESS_KEY")).expect("a key");
    assert_fails(backup.store("one row"), "BadSecret", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
}

#[test]
fn a_damaged_pack_in_a_bucket_is_named() {
    let bucket = Bucket::new(&[]);
    let backup = backup(&bucket);
    backup.make(&rows(1, 60_000));
    let all = bucket.all();
    let (key, content) =
        all.iter().filter(|(key, _)| key.contains("/data/")).max_by_key(|(_, c)| c.len()).expect("a pack");
    let mut flipped = content.clone();
    flipped[1000] ^= 1;
    bucket.put(key, flipped);
    let name = key.strip_prefix("drover/shop/db/").expect("its own");
    assert_fails(backup.store(&rows(1, 60_000)), "RepositoryDamaged", name);
    bucket.remove(key);
    assert_fails(backup.store(&rows(1, 60_000)), "RepositoryDamaged", name);
    bucket.put(key, content.clone());
    backup.make(&rows(1, 60_000));
}
