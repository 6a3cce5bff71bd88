//! What is asked for, what is refused of it, and what goes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn order(change: impl FnOnce(&mut Value)) -> Result<SyncOrder, Refusal> {
    let mut order = json!({
        "source": {"s3": {
            "endpoint": "https://s3.example.org", "region": "eu-west-2", "bucket": "data", "prefix": "v3/prod", "signed": true,
            "paths": [{"from": "db/view.db", "to": "view.db"}, {"from": "layers/", "to": "layers/"}],
        }},
        "publish": "Rollout",
        "guard": {"require": ["view.db"], "maxShrink": 50, "settleSeconds": 60, "minBytes": 0, "contentTypes": ["text/*"]},
        "keep": 3, "keepForSeconds": 3600, "timeoutSeconds": 600,
        "inUse": ["0123456789abcdef0123"],
    });
    change(&mut order);
    SyncOrder::read(order.to_string().as_bytes())
}

fn object(key: &str, size: u64) -> Object {
    Object { key: key.into(), size, etag: Some(format!("\"{size}\"")), modified: None }
}

/// What becomes of keys below `layers/`, which go into the folder `out/`.
fn placed(keys: &[(&str, u64)]) -> Result<Vec<String>, Refusal> {
    placed_as("layers/", "out/", keys)
}

fn placed_as(from: &str, to: &str, keys: &[(&str, u64)]) -> Result<Vec<String>, Refusal> {
    let source = S3Source {
        endpoint: None,
        region: "r".into(),
        bucket: "b".into(),
        prefix: None,
        paths: vec![PathPair { from: from.into(), to: to.into() }],
        signed: false,
    };
    let objects = keys.iter().map(|(key, size)| object(key, *size)).collect();
    let manifest = place(&[(source.selections().remove(0), objects)])?;
    Ok(manifest.files().iter().map(|file| file.path.clone()).collect())
}

fn manifest(files: &[(&str, &str, u64)]) -> Manifest {
    let file = |(entry, path, size): &(&str, &str, u64)| File {
        entry: (*entry).into(),
        key: format!("k/{path}"),
        path: (*path).into(),
        size: *size,
        etag: Some("\"e\"".into()),
        modified: None,
        sha256: None,
        content_type: None,
    };
    Manifest::new(files.iter().map(file).collect())
}

#[test]
fn an_order_is_read_as_it_is_written() {
    let read = order(|_| ()).expect("an order");
    let Source::S3(s3) = &read.source else { panic!("{read:?}") };
    assert_eq!(
        s3.selections().iter().map(|s| s.from.as_str()).collect::<Vec<_>>(),
        ["v3/prod/db/view.db", "v3/prod/layers/"]
    );
    let text = serde_json::to_vec(&read).expect("JSON");
    assert_eq!(SyncOrder::read(&text).expect("the same"), read);
}

#[test]
fn an_order_that_makes_no_sense_is_refused_with_what_to_do() {
    let s3 = |field: &'static str, value: Value| order(move |o| o["source"]["s3"][field] = value);
    let http = |url: &'static str, to: &'static str| {
        order(move |o| o["source"] = json!({"http": {"url": url, "to": to, "authenticated": false}}))
    };
    let paths = |from: &'static str, to: &'static str| s3("paths", json!([{"from": from, "to": to}]));
    for (got, expected) in [
        (order(|o| o["surprise"] = json!(1)), "unknown field `surprise`"),
        (order(|o| o["keep"] = json!(0)), "keep is 0"),
        (order(|o| o["timeoutSeconds"] = json!(0)), "timeout must be more than nothing"),
        (order(|o| o["timeoutSeconds"] = json!(u64::MAX)), "no more than a week"),
        (order(|o| o["inUse"] = json!(["../x"])), "`../x` is not the name of a set"),
        (order(|o| o["guard"]["maxShrink"] = json!(101)), "more than 100%"),
        (order(|o| o["guard"]["require"] = json!(["../x"])), "`..` for a folder"),
        (order(|o| o["guard"]["contentTypes"] = json!(["csv"])), "`csv` in contentTypes"),
        (s3("bucket", json!("a/b")), "`a/b` is not the name of a bucket"),
        (s3("endpoint", json!("s3.example.org")), "begins with https://"),
        (s3("endpoint", json!("https://u:p@s3.example.org")), "put them into a Secret"),
        (s3("prefix", json!("/v3")), "begins with a slash"),
        (s3("paths", json!([])), "paths is empty"),
        (paths("a/", "b"), "end it with a slash"),
        (paths("", "b"), "end it with a slash"),
        (paths("/a", "b"), "begins with a slash"),
        (paths("a", "../b"), "`..` for a folder"),
        (paths("../other/a", "b"), "`..` for a folder"),
        (paths("a//", "b/"), "two slashes in a row"),
        (paths("a/", ".drover/"), "kept for the volume"),
        (http("ftp://x/y", "y"), "begins with https://"),
        (http("https://u@x/y", "y"), "put them into a Secret"),
        (http("https://x/y", "y/"), "name the file"),
        (http("https://x/y", "lost+found/y"), "kept for the volume"),
    ] {
        let refusal = got.expect_err(expected);
        assert_eq!(refusal.reason, Reason::BadOrder);
        assert!(refusal.sentence.contains(expected), "{} has not: {expected}", refusal.sentence);
    }
}

#[test]
fn keys_become_paths() {
    assert_eq!(placed(&[("layers/b/c.tif", 1), ("layers/a.tif", 2)]).expect("placed"), ["out/a.tif", "out/b/c.tif"]);
    assert_eq!(placed_as("db/x.db", "y.db", &[("db/x.db", 1)]).expect("placed"), ["y.db"]);
    assert_eq!(placed_as("db/x.db", "in/", &[("db/x.db", 1)]).expect("placed"), ["in/x.db"]);
    assert_eq!(placed_as("", "", &[("a", 1), ("b/c", 1)]).expect("placed"), ["a", "b/c"]);
}

#[test]
fn what_stands_for_a_folder_is_left_out_and_an_empty_file_is_not() {
    let keys = [("layers/", 0), ("layers/sub/", 0), ("layers/sub/a", 1), ("layers/empty", 0)];
    assert_eq!(placed(&keys).expect("placed"), ["out/empty", "out/sub/a"]);
}

#[test]
fn a_key_that_no_folder_holds_is_named() {
    let long = format!("layers/{}", "x".repeat(256));
    for (bad, expected) in [
        ("layers//b", "two slashes in a row"),
        ("layers/a//b", "two slashes in a row"),
        ("layers/./b", "`.` or `..`"),
        ("layers/../b", "`.` or `..`"),
        ("layers/a\nb", "control character"),
        ("layers/dir/", "name of a folder and holds bytes"),
        (long.as_str(), "longer than 255 bytes"),
    ] {
        let refusal = placed(&[("layers/good", 1), (bad, 7)]).expect_err(bad);
        assert_eq!((refusal.reason, refusal.path.as_deref()), (Reason::BadKey, Some(bad)));
        assert!(refusal.sentence.contains(expected), "{}", refusal.sentence);
        assert!(refusal.sentence.contains(&bad.escape_debug().to_string()), "{}", refusal.sentence);
    }
    for (bad, expected) in [
        ("/a", "begins with a slash"),
        (".drover/sets/x", "kept for the volume"),
        ("lost+found/x", "kept for the volume"),
    ] {
        let refusal = placed_as("", "", &[(bad, 7)]).expect_err(bad);
        assert!(refusal.sentence.contains(expected), "{}", refusal.sentence);
    }
}

#[test]
fn an_object_of_which_nothing_tells_when_it_changes_is_refused() {
    let source = S3Source {
        endpoint: None,
        region: "r".into(),
        bucket: "b".into(),
        prefix: None,
        paths: vec![PathPair { from: String::new(), to: String::new() }],
        signed: false,
    };
    let bare = Object { etag: None, ..object("a", 1) };
    let refusal = place(&[(source.selections().remove(0), vec![bare])]).expect_err("no name and no time");
    assert_eq!((refusal.reason, refusal.path.as_deref()), (Reason::SourceFails, Some("a")));
}

#[test]
fn a_file_beside_a_folder_of_its_name_is_refused_however_far_apart_they_are_listed() {
    let refusal = placed(&[("layers/a", 1), ("layers/a-b", 1), ("layers/a/b/c", 1)]).expect_err("a clash");
    assert!(refusal.sentence.contains("`layers/a` and `layers/a/b/c`"), "{}", refusal.sentence);
    let refusal = placed_as("db/x", "in/", &[("db/x", 1), ("db/x", 1)]).expect_err("a clash");
    assert!(refusal.sentence.contains("the same file"), "{}", refusal.sentence);
}

#[test]
fn each_entry_is_judged_by_itself() {
    let entries = ["big/".to_owned(), "small/".to_owned()];
    let mut files: Vec<(&str, String, u64)> = (0..97).map(|n| ("big/", format!("big/{n:02}"), 10)).collect();
    let whole = |files: &[(&str, String, u64)]| {
        manifest(&files.iter().map(|(entry, path, size)| (*entry, path.as_str(), *size)).collect::<Vec<_>>())
    };
    let none = whole(&files);
    files.extend((0..3).map(|n| ("small/", format!("small/{n}"), 10)));
    let before = whole(&files);
    let lax = Guard { max_shrink: Some(50), ..Guard::default() };
    judge(&lax, &entries, None, &before).expect("good");
    judge(&lax, &entries, Some(&before), &before).expect("good");
    for before in [None, Some(&before)] {
        let refusal = judge(&Guard::default(), &entries, before, &none).expect_err("an entry is empty");
        assert_eq!((refusal.reason, refusal.path.as_deref()), (Reason::Empty, Some("small/")));
        assert!(refusal.sentence.contains("`small/` holds nothing"), "{}", refusal.sentence);
    }
    files.truncate(98);
    let refusal = judge(&lax, &entries, Some(&before), &whole(&files)).expect_err("1 of 3 is left");
    assert_eq!((refusal.reason, refusal.path.as_deref()), (Reason::Shrunk, Some("small/")));
    judge(&Guard::default(), &entries, Some(&before), &whole(&files)).expect("without the guard it is good");
    files[97].2 = 1000;
    judge(&Guard { max_shrink: Some(67), ..lax.clone() }, &entries, Some(&before), &whole(&files))
        .expect("at the limit");
    let mut small = files.clone();
    small[..97].iter_mut().for_each(|file| file.2 = 4);
    let refusal =
        judge(&Guard { max_shrink: Some(50), ..lax }, &entries[..1], Some(&before), &whole(&small)).expect_err("bytes");
    assert!(refusal.sentence.contains("388 bytes and held 970"), "{}", refusal.sentence);
}

#[test]
fn sizes_that_no_disk_has_are_counted_all_the_same() {
    let huge = manifest(&[("", "a", u64::MAX), ("", "b", u64::MAX)]);
    assert_eq!(huge.bytes(), u64::MAX);
    judge(&Guard { max_shrink: Some(0), ..Guard::default() }, &[String::new()], Some(&huge), &huge).expect("good");
}

#[test]
fn what_a_set_must_hold_is_asked_of_files_and_folders() {
    let now = manifest(&[("", "a.csv", 5), ("", "layers/x", 500)]);
    let require =
        |path: &str| judge(&Guard { require: vec![path.into()], ..Guard::default() }, &[String::new()], None, &now);
    require("a.csv").expect("there");
    require("layers/").expect("there");
    require("layers").expect("there");
    assert_eq!(require("a").expect_err("not there").reason, Reason::Missing);
    assert_eq!(require("layers/x/y").expect_err("not there").path.as_deref(), Some("layers/x/y"));
    let least = Guard { min_bytes: Some(6), ..Guard::default() };
    let refusal = judge(&least, &[String::new()], None, &now).expect_err("5 bytes");
    assert_eq!((refusal.reason, refusal.path.as_deref()), (Reason::TooSmall, Some("a.csv")));
}

#[test]
fn types_are_judged_by_what_was_listed_or_by_the_name() {
    let judged = |types: &[&str], path: &str, given: Option<&str>| {
        let guard = Guard { content_types: types.iter().map(ToString::to_string).collect(), ..Guard::default() };
        judge_content_type(&guard, path, given).is_ok()
    };
    assert!(judged(&["text/csv"], "a.csv", Some("Text/CSV; charset=utf-8")));
    assert!(judged(&["image/*", "text/*"], "a.csv", Some("text/plain")));
    assert!(!judged(&["text/csv"], "a.csv", Some("text/html")));
    assert!(!judged(&["text/csv"], "a.csv", None));
    assert!(!judged(&[], "references.csv", Some("text/html; charset=utf-8")));
    assert!(judged(&[], "references.csv", Some("application/octet-stream")));
    assert!(judged(&[], "references.csv", None));
    assert!(judged(&[], "index.html", Some("text/html")));
    assert!(judged(&[], "page", Some("text/html")));
    assert!(judged(&["text/html"], "references.csv", Some("text/html")));
}

#[test]
fn it_settles_when_nothing_changed_for_as_long_as_asked() {
    let guard = Guard { settle_seconds: Some(60), ..Guard::default() };
    assert_eq!(settles_in(&guard, Some(1000), 1000), 60);
    assert_eq!(settles_in(&guard, Some(1000), 1059), 1);
    assert_eq!(settles_in(&guard, Some(1000), 1060), 0);
    assert_eq!(settles_in(&guard, None, 1000), 0);
    assert_eq!(settles_in(&Guard::default(), Some(1000), 1000), 0);
}

#[test]
fn a_set_stays_for_a_while_after_another_took_its_place() {
    let id = |n: u64| format!("{n:020x}");
    let sets = |times: &[u64]| (0..).zip(times).map(|(n, t)| Kept { id: id(n), published: *t }).collect::<Vec<_>>();
    let gone = |times: &[u64], used: &[u64], keep, keep_for, now| {
        let used: Vec<String> = used.iter().map(|n| id(*n)).collect();
        let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
        to_remove(&sets(times), &id(times.len() as u64 - 1), &used, keep, keep_for, now)
    };
    assert_eq!(gone(&[10, 20, 30, 40], &[], 2, 0, 50), [id(1), id(0)]);
    assert_eq!(gone(&[10, 20, 30, 40], &[0], 2, 0, 50), [id(1)]);
    // The one of 10 was read until 20, and the one of 20 until 30.
    assert_eq!(gone(&[10, 20, 30, 40], &[], 1, 25, 50), [id(0)]);
    assert_eq!(gone(&[10, 20, 30, 40], &[], 1, 0, 50).len(), 3);
    assert!(gone(&[10], &[], 1, 0, 50).is_empty());
    // The published one stays although others are newer, as when the time was put back.
    assert_eq!(gone(&[30, 20, 10], &[], 1, 0, 50), [id(0), id(1)]);
}

#[test]
fn a_set_is_named_after_its_content() {
    let one = manifest(&[("", "a", 1), ("", "b", 2)]);
    assert_eq!(one.id(), manifest(&[("other/", "b", 2), ("other/", "a", 1)]).id());
    assert_ne!(one.id(), manifest(&[("", "a", 1), ("", "b", 3)]).id());
    assert_ne!(one.id(), manifest(&[("", "a", 1), ("", "c", 2)]).id());
    assert!(is_set_id(&one.id()));
    assert!(one.digest().starts_with(&format!("sha256:{}", one.id())));
    assert_eq!(one.at("b").map(|file| file.size), Some(2));
    assert_eq!(one.at("c"), None);
}

fn result(message: &str, path: &str) -> SyncResult {
    SyncResult::refused(&Refusal::of(Reason::BadKey, path, message))
}

#[test]
fn a_result_is_believed_no_further_than_an_errand_writes_it() {
    let good = json!({"outcome": "Published", "set": "0123456789abcdef0123", "digest": format!("sha256:0123456789abcdef0123{}", "0".repeat(44)),
        "reason": "Published", "message": "ok", "later": true});
    SyncResult::read(&good.to_string()).expect("a result");
    for (field, value) in [
        ("set", json!("../../etc")),
        ("set", json!(null)),
        ("digest", json!("sha256:xyz")),
        ("digest", json!(format!("sha256:{}", "0".repeat(64)))),
        ("reason", json!("no reason")),
        ("reason", json!("")),
        ("outcome", json!("Splendid")),
        ("files", json!(-1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        SyncResult::read(&bad.to_string()).expect_err(field);
    }
    assert!(matches!(SyncResult::read(" \n"), Err(Unbelievable::Nothing)));
    assert!(matches!(SyncResult::read(&"x".repeat(5000)), Err(Unbelievable::TooLong)));
}

proptest! {
    #[test]
    fn a_result_always_fits_and_is_read_back(message in "\\PC{0,3000}|[\\x00-\\x7f]{0,3000}", path in "\\PC{0,2000}|[\"\\\\]{0,1500}") {
        let text = result(&message, &path).to_text();
        prop_assert!(text.len() <= LARGEST_RESULT);
        let read = SyncResult::read(&text).expect("a result");
        prop_assert_eq!(read.outcome, Outcome::Refused);
        prop_assert!(!read.message.chars().any(char::is_control));
        if message.len() < 300 && path.len() < 300 && !message.chars().any(char::is_control) {
            prop_assert_eq!(read.message, message);
        }
    }

    #[test]
    fn what_is_placed_stays_inside_the_folder(keys in proptest::collection::vec("[a-c./]{1,8}", 1..6), to in "|x/|x/y/") {
        let keys: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
        if let Ok(paths) = placed_as("", &to, &keys) {
            prop_assert_eq!(paths.len(), keys.len());
            for path in &paths {
                prop_assert!(path.starts_with(&to));
                prop_assert!(path.split('/').all(|name| !matches!(name, "" | "." | "..")));
                let folder = format!("{path}/");
                prop_assert!(!paths.iter().any(|other| other.starts_with(&folder)));
            }
        }
    }
}
