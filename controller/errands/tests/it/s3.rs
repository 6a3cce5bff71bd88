//! Objects of a bucket.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use drover_core::errand::Outcome;
use serde_json::json;

use super::bucket::{Bucket, key};
use super::errand::{Errand, assert_ends};
use super::server::Reply;

const FIVE: [(&str, &str); 5] =
    [("in/a", "1"), ("in/b", "22"), ("in/c/d", "333"), ("in/c/e e+%", "4444"), ("other/f", "55555")];
const PATHS: [(&str, &str); 2] = [("in/", ""), ("other/f", "g/h")];

#[test]
fn objects_become_a_set_and_what_did_not_change_is_neither_read_nor_copied() {
    let (bucket, errand) = (Bucket::new(&FIVE), Errand::new());
    let order = bucket.order(&PATHS, "Rollout");
    let first = errand.sync(&order);
    assert_eq!(
        (first.outcome, first.files, first.bytes, first.fetched_files),
        (Outcome::Published, 5, 15, 5),
        "{}",
        first.message
    );
    assert_eq!(fs::read_to_string(errand.set(&first).join("c/e e+%")).expect("a file"), "4444");
    assert_eq!(fs::read_to_string(errand.set(&first).join("g/h")).expect("a file"), "55555");
    assert_eq!(super::errand::names(&errand.claim()), [".drover"], "a set that is mounted by itself needs no links");
    bucket.read();

    let second = errand.sync(&order);
    assert_eq!((second.outcome, second.fetched_bytes, &second.set), (Outcome::Unchanged, 0, &first.set));
    assert!(bucket.read().is_empty());

    bucket.put("in/b", "23");
    bucket.remove("in/a");
    let third = errand.sync(&order);
    assert_eq!((third.outcome, third.files, third.fetched_files), (Outcome::Published, 4, 1), "{}", third.message);
    assert_eq!(bucket.read(), ["in/b"]);
    let inode = |result, path: &str| fs::metadata(errand.set(result).join(path)).map(|file| file.ino()).ok();
    assert_eq!(inode(&third, "c/d"), inode(&first, "c/d"));
    assert_ne!(inode(&third, "b"), inode(&first, "b"));
    assert_eq!(inode(&third, "a"), None);
    assert_eq!(fs::read_to_string(errand.set(&first).join("b")).expect("the old set"), "22");

    // Back to what it was: that set is there.
    bucket.put("in/b", "22");
    bucket.put("in/a", "1");
    bucket.read();
    let fourth = errand.sync(&order);
    assert_eq!((fourth.outcome, &fourth.set), (Outcome::Published, &first.set));
    assert!(bucket.read().is_empty());
}

#[test]
fn sets_go_when_nobody_can_still_read_them() {
    let (bucket, errand) = (Bucket::new(&[("a", "0")]), Errand::new());
    let mut order = bucket.order(&[("a", "a")], "Rollout");
    let first = errand.sync(&order).set.expect("a set");
    order["inUse"] = json!([first]);
    for version in ["1", "22", "333"] {
        bucket.put("a", version);
        errand.sync(&order);
    }
    assert_eq!(errand.sets().len(), 3, "two that are kept, and the one in use");
    assert!(errand.sets().contains(&first));
    order["inUse"] = json!([]);
    order["keepForSeconds"] = json!(3600);
    errand.sync(&order);
    assert!(errand.sets().contains(&first), "its place was taken less than an hour ago");
    order["keepForSeconds"] = json!(0);
    errand.sync(&order);
    assert_eq!(errand.sets().len(), 2);
    assert_eq!(super::errand::names(&errand.claim().join(".drover/manifests")).len(), 2);
}

#[test]
fn a_listing_is_whole_or_the_sync_fails() {
    let keys: Vec<(String, String)> = (0..100).map(|n| (format!("in/{n:02}"), n.to_string())).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|(key, body)| (key.as_str(), body.as_str())).collect();
    // How often the second page fails after the first sync.
    let failing = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&failing);
    let bucket = Bucket::faulty(&keys, 30, move |request| {
        let is_second = request.target.contains("continuation-token=in%2F29");
        let fails = is_second && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        fails.then(|| Reply::new(503, "<Error><Code>SlowDown</Code></Error>"))
    });
    let (errand, order) = (Errand::new(), bucket.order(&[("in/", "")], "Live"));
    let first = errand.sync(&order);
    assert_eq!((first.outcome, first.files), (Outcome::Published, 100), "{}", first.message);

    failing.store(3, SeqCst);
    assert_eq!(errand.sync(&order).outcome, Outcome::Unchanged, "the fourth time it was answered");
    failing.store(usize::MAX, SeqCst);
    let result = errand.sync(&order);
    assert_ends(&result, Outcome::Failed, "SourceFails", "503 SlowDown");
    assert_eq!((result.set, result.files), (first.set, 100), "what is published stays");
    assert!((0..100).all(|n| errand.read(&format!("{n:02}")) == Some(n.to_string())));
}

#[test]
fn an_answer_that_is_no_listing_is_no_empty_bucket() {
    for body in ["<html>welcome</html>", "", "<ListBucketResult><IsTruncated>false</IsTruncated>"] {
        let bucket = Bucket::faulty(&[], 10, move |_| Some(Reply::new(200, body)));
        let result = Errand::new().sync(&bucket.order(&[("", "")], "Rollout"));
        assert_ends(&result, Outcome::Failed, "SourceFails", "cannot be read");
    }
}

#[test]
fn an_entry_that_holds_nothing_is_refused_by_name() {
    let (bucket, errand) = (Bucket::new(&FIVE), Errand::new());
    for paths in [&[("in/", ""), ("mistyped/", "x/")][..], &[("in/", ""), ("mistyped/x", "x")]] {
        let result = Errand::new().sync(&bucket.order(paths, "Rollout"));
        assert_ends(&result, Outcome::Refused, "Empty", "`mistyped/");
    }
    let order = bucket.order(&PATHS, "Rollout");
    let first = errand.sync(&order);
    bucket.remove("other/f");
    let result = errand.sync(&order);
    assert_ends(&result, Outcome::Refused, "Empty", "`other/f` holds nothing and gave 1 files before");
    assert_eq!((&result.set, result.failed_path.as_deref()), (&first.set, Some("other/f")));
}

#[test]
fn a_bucket_that_is_gone_or_denied_is_named() {
    let bucket = Bucket::new(&FIVE);
    let mut order = bucket.order(&PATHS, "Rollout");
    order["source"]["s3"]["bucket"] = json!("gone");
    assert_ends(
        &Errand::new().sync(&order),
        Outcome::Failed,
        "NotFound",
        "in bucket gone is not there (404 NoSuchBucket)",
    );
    let denied = Bucket::faulty(&FIVE, 10, |request| {
        (key(request).as_deref() == Some("in/c/d")).then(|| Reply::new(403, "<Error><Code>AccessDenied</Code></Error>"))
    });
    let result = Errand::new().sync(&denied.order(&PATHS, "Live"));
    assert_ends(&result, Outcome::Failed, "Denied", "`in/c/d` in bucket data may not be read (403 AccessDenied)");
    let one = Bucket::faulty(&FIVE, 10, |request| (request.method == "HEAD").then(|| Reply::new(500, "")));
    assert_ends(
        &Errand::new().sync(&one.order(&PATHS, "Live")),
        Outcome::Failed,
        "SourceFails",
        "`other/f` in bucket data answers 500",
    );
    let moved = Bucket::faulty(&[], 10, |_| {
        Some(Reply::new(301, "<Error><Code>PermanentRedirect</Code></Error>").with("x-amz-bucket-region", "eu-west-2"))
    });
    assert_ends(
        &Errand::new().sync(&moved.order(&PATHS, "Live")),
        Outcome::Refused,
        "Redirected",
        "which is in eu-west-2",
    );
}

#[test]
fn markers_are_left_out_and_keys_that_no_folder_holds_are_named() {
    let (bucket, errand) = (Bucket::new(&FIVE), Errand::new());
    bucket.put("in/", "");
    bucket.put("in/c/", "");
    bucket.put("in/empty", "");
    let order = bucket.order(&[("in/", "")], "Rollout");
    let good = errand.sync(&order);
    assert_eq!((good.outcome, good.files), (Outcome::Published, 5), "{}", good.message);
    for (bad, sentence) in [
        ("in/a//b", "`in/a//b` has two slashes in a row"),
        ("in//b", "`in//b` has two slashes in a row"),
        ("in/../b", "`in/../b` has `.` or `..` for a folder"),
        ("in/x\ny", "`in/x\\ny` has a control character"),
        ("in/dir/", "`in/dir/` has the name of a folder and holds bytes"),
        ("in/a/b", "`in/a` and `in/a/b` would be a file and a folder"),
        ("in/.drover/x", "kept for the volume"),
    ] {
        bucket.put(bad, "x");
        let result = errand.sync(&order);
        assert_ends(&result, Outcome::Refused, "BadKey", sentence);
        // What a terminal would obey is not handed on.
        let told = bad.replace('\n', "\u{fffd}");
        assert_eq!((&result.set, result.failed_path), (&good.set, Some(told)));
        bucket.remove(bad);
    }
    bucket.put("/top", "x");
    assert_ends(
        &errand.sync(&bucket.order(&[("", "")], "Rollout")),
        Outcome::Refused,
        "BadKey",
        "`/top` begins with a slash",
    );
}

#[test]
fn an_object_that_changes_while_it_is_read_is_read_as_it_is_afterwards_or_not_at_all() {
    for (times, outcome) in [(1, Outcome::Published), (usize::MAX, Outcome::Failed)] {
        let left = AtomicUsize::new(times);
        let bucket = Bucket::faulty(&FIVE, 10, move |request| {
            let is_it = key(request).as_deref() == Some("in/c/d");
            let changed = is_it && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            // Another object by now, whether the server knows If-Match or not.
            changed.then(|| Reply::new(200, "999").with("ETag", "\"another\""))
        });
        let errand = Errand::new();
        let result = errand.sync(&bucket.order(&PATHS, "Rollout"));
        assert_eq!(result.outcome, outcome, "{}", result.message);
        if outcome == Outcome::Failed {
            assert_ends(&result, outcome, "SourceChanged", "`in/c/d` in bucket data changed while it was read");
            assert!(errand.sets().is_empty());
        } else {
            assert_eq!(fs::read_to_string(errand.set(&result).join("c/d")).expect("a file"), "333");
        }
    }
}

#[test]
fn large_objects_come_in_parts_and_a_part_that_broke_off_is_read_again() {
    let body: Vec<u8> = (0..20_u32 << 20).map(|n| u8::try_from(n % 251).expect("small")).collect();
    let broken = AtomicUsize::new(0);
    let rest = body.clone();
    let bucket = Bucket::faulty(&[], 10, move |request| {
        let (from, to) = request.range()?;
        let first = from > 0 && broken.fetch_add(1, SeqCst) == 0;
        first.then(|| Reply::new(206, &rest[from..to.unwrap_or(rest.len())]).cut(70_000))
    });
    bucket.put("big", body.clone());
    let errand = Errand::new();
    let result = errand.sync(&bucket.order(&[("big", "big")], "Rollout"));
    assert_eq!((result.outcome, result.fetched_bytes), (Outcome::Published, 20 << 20), "{}", result.message);
    assert!(fs::read(errand.set(&result).join("big")).expect("a file") == body);
    assert!(bucket.read().len() >= 4, "three parts, one of them twice");
}

#[test]
fn packed_objects_are_stored_as_they_are() {
    let (bucket, errand) = (Bucket::new(&[]), Errand::new());
    bucket.put_as("page.html", [0x1f, 0x8b, 8, 0, 1, 2, 3], |object| object.encoding = Some("gzip"));
    let result = errand.sync(&bucket.order(&[("", "")], "Live"));
    assert_eq!((result.outcome, result.bytes), (Outcome::Published, 7), "{}", result.message);
    assert_eq!(fs::read(errand.claim().join("page.html")).expect("a file"), [0x1f, 0x8b, 8, 0, 1, 2, 3]);
}

#[test]
fn guards_are_those_of_the_order() {
    let (bucket, errand) = (Bucket::new(&FIVE), Errand::new());
    let mut order = bucket.order(&PATHS, "Rollout");
    let mut refused = |guard: serde_json::Value, reason: &str, sentence: &str| {
        order["guard"] = guard;
        assert_ends(&errand.sync(&order), Outcome::Refused, reason, sentence);
        assert!(errand.sets().is_empty());
    };
    refused(json!({"require": ["view.db"]}), "Missing", "view.db is required");
    refused(json!({"minBytes": 2}), "TooSmall", "a has 1 bytes");
    refused(json!({"contentTypes": ["text/csv"]}), "WrongType", "came as `text/plain`");
    bucket.put_as("in/a", "1", |object| object.modified = "2099-01-01T00:00:00.000Z");
    refused(json!({"settleSeconds": 60}), "NotSettled", "settles in");
}

#[test]
fn requests_are_signed_with_the_mounted_keys_and_no_others() {
    let bucket = Bucket::new(&FIVE);
    let mut order = bucket.order(&PATHS, "Rollout");
    order["source"]["s3"]["signed"] = json!(true);
    let errand = Errand::new();
    let mut command = errand.command(&order);
    command.env("AWS_ACCESS_KEY_ID", "other").env("AWS_SECRET_ACCESS_KEY", "other");
    assert_ends(&errand.run(&mut command), Outcome::Failed, "BadSecret", "must have the keys AWS_ACCESS_KEY_ID and");
    assert!(bucket.server.seen().is_empty());
    let keys =
        [("AWS_ACCESS_KEY_ID", "AKEXAMPLE\n"), ("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_SESSION_TOKEN", "t0ken")];
    let errand = errand.with_secret(&keys);
    let output = errand.command(&order).output().expect("the binary");
    assert!(output.status.success());
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("s3cret"));
    for request in bucket.server.seen() {
        let signed = request.header("authorization").expect("a signature");
        assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKEXAMPLE/"), "{signed}");
        assert_eq!(request.header("x-amz-security-token"), Some("t0ken"));
    }
}
