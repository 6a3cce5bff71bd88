//! On a claim.

use std::fs::{self, File};
use std::time::Duration;

use drover_core::backup::Ended;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use super::{Backup, KEY, assert_fails, facts, rows};

#[test]
fn restic_reads_what_was_stored_and_drover_goes_on_after_restic() {
    for key in [None, Some(KEY)] {
        let mut backup = Backup::new();
        backup.set_key(key);
        let first = rows(1, 160_000);
        let result = backup.make(&first);
        assert!(result.added_bytes > 1 << 20, "{}", result.added_bytes);
        let name = result.name.expect("a name");
        let listed = backup.listed();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["hostname"], "shop/db");
        assert_eq!(listed[0]["tags"], json!([name.as_str(), "proven"]));
        let told = &result.backups.expect("a list")[0];
        assert_eq!((&told.name, told.rows), (&name, Some(160_000)));

        let into = backup.path("into");
        backup.restic(&["restore", "latest", "--target", &into.display().to_string()]);
        let restored = fs::read_to_string(into.join("dump.sql")).expect("a dump");
        assert!(restored.starts_with(&first) && restored.lines().count() == 160_004);
        assert_eq!(fs::read_to_string(into.join("facts")).expect("facts"), facts(160_000));

        // Somebody else's snapshot in the same repository is left alone.
        backup.restic(&["backup", "--host", "laptop", &into.display().to_string()]);
        let changed = format!("{first}\none more");
        let again = backup.make(&changed);
        assert!(again.added_bytes < result.added_bytes / 3, "{} of {}", again.added_bytes, result.added_bytes);
        assert_eq!(backup.tagged("proven"), 2);
        assert_eq!(backup.listed().len(), 3);
        backup.restic(&["check", "--read-data"]);
    }
}

#[test]
fn an_unchanged_dump_adds_next_to_nothing() {
    let backup = Backup::new();
    backup.make(&rows(2, 60_000));
    let again = backup.make(&rows(2, 60_000));
    assert!(again.added_bytes < 10_000, "{}", again.added_bytes);
    assert_eq!(backup.tagged("proven"), 2);
}

#[test]
fn two_first_backups_at_once_make_one_repository() {
    for round in 0..3 {
        let one = Backup::new();
        let other = Backup::beside(&one);
        for (backup, seed) in [(&one, 1), (&other, 2)] {
            backup.dump(&rows(seed + round, 1000));
        }
        let mut running = [one.start("backup-store"), other.start("backup-store")];
        assert!(running.iter_mut().all(|child| child.wait().expect("it ends").success()));
        for backup in [&one, &other] {
            backup.prove();
            assert_eq!(backup.conclude().ended, Ended::Proven);
        }
        assert_eq!(one.tagged("proven"), 2);
        let keys = one.files().iter().filter(|file| file.contains("/keys/")).count();
        assert_eq!(keys, 1);
        one.restic(&["check", "--read-data"]);
    }
}

#[test]
fn another_key_is_told_and_makes_nothing_new() {
    let mut backup = Backup::new();
    backup.set_key(Some(KEY));
    backup.make("one row");
    let before = backup.files();
    backup.set_key(Some("another"));
    assert_fails(
        backup.store("one row"),
        "WrongKey",
        "the key in Secret backup-key does not open the backups in the claim",
    );
    backup.set_key(None);
    assert_fails(backup.store("one row"), "WrongKey", "are encrypted and no key is given");
    fs::write(backup.path("key/password"), "").expect("a key");
    backup.order["encryption"] = json!("backup-key");
    assert_fails(backup.store("one row"), "BadSecret", "the Secret backup-key has a `password` that is empty");
    fs::remove_file(backup.path("key/password")).expect("a key");
    assert_fails(backup.store("one row"), "BadSecret", "the Secret backup-key has no key `password`");
    assert_eq!(backup.files(), before, "nothing was made");
    // And a restore does not end with an empty folder.
    backup.set_key(Some("another"));
    assert_fails(backup.run("backup-take"), "WrongKey", "does not open");
    assert!(!backup.path("work/restored/dump.sql").exists());
    backup.set_key(Some(&format!("{KEY}\n")));
    backup.make("one row");
}

#[test]
fn a_damaged_pack_is_named_and_what_the_sentence_says_mends_it() {
    for damage in ["flip", "cut", "gone"] {
        let backup = Backup::new();
        let content = rows(3, 60_000);
        backup.make(&content);
        let pack = backup.pack();
        let whole = fs::read(&pack).expect("a pack");
        match damage {
            "flip" => {
                let mut flipped = whole.clone();
                let middle = flipped.len() / 2;
                flipped[middle] ^= 1;
                fs::write(&pack, flipped).expect("a pack");
            }
            "cut" => fs::write(&pack, &whole[..whole.len() / 2]).expect("a pack"),
            _ => fs::remove_file(&pack).expect("a pack"),
        }
        let result = backup.store(&content).expect("a result");
        let name = pack.file_name().and_then(|name| name.to_str()).expect("text");
        assert_eq!((result.ended, result.reason.as_str()), (Ended::Failed, "RepositoryDamaged"), "{damage}");
        assert!(result.message.contains(name), "{damage}: {} has not {name}", result.message);
        assert!(!backup.path("work/stored.json").exists(), "{damage}: nothing goes on to the proof");
        assert_eq!(backup.tagged("proven"), 1, "{damage}");
        // As the sentence says.
        if damage != "gone" {
            fs::rename(&pack, backup.path("moved")).expect("a pack");
        }
        backup.restic(&["rebuild-index"]);
        backup.make(&content);
        backup.restic(&["check", "--read-data"]);
    }
}

#[test]
fn a_lost_configuration_or_key_makes_no_second_repository() {
    let mut backup = Backup::new();
    let result = backup.make("one row");
    let config = backup.claim().join("restic/config");
    let kept = fs::read(&config).expect("a configuration");
    fs::remove_file(&config).expect("a configuration");
    assert_fails(
        backup.store("one row"),
        "RepositoryDamaged",
        "the repository in the claim has lost its file `config`",
    );
    fs::write(&config, b"nonsense").expect("a configuration");
    assert_fails(backup.store("one row"), "RepositoryDamaged", "has a damaged file `config`, or has lost its keys");
    fs::write(&config, kept).expect("a configuration");
    backup.make("one row");
    // What was there once is not begun anew by itself.
    backup.order["expected"] = json!(result.repository.expect("an id"));
    backup.make("one row");
    fs::rename(backup.claim().join("restic"), backup.path("elsewhere")).expect("a repository");
    assert_fails(backup.store("one row"), "RepositoryGone", "the backups in the claim are gone");
    assert!(backup.files().is_empty());
    backup.order["expected"] = json!("0".repeat(64));
    fs::rename(backup.path("elsewhere"), backup.claim().join("restic")).expect("a repository");
    assert_fails(backup.store("one row"), "RepositoryGone", "another repository is in the claim");
}

#[test]
fn a_key_that_a_killed_run_left_behind_is_cleared_away() {
    let backup = Backup::new();
    let other = Backup::new();
    other.make("of another repository");
    backup.make("one row");
    // It opens by the same password, and its key fits nothing here: restic stops at it.
    let stray = other.files().into_iter().find(|file| file.contains("/keys/")).expect("a key");
    let name = stray.rsplit('/').next().expect("a name");
    fs::copy(&stray, backup.claim().join("restic/keys").join(name)).expect("a key");
    backup.make("one row");
    assert_eq!(backup.files().iter().filter(|file| file.contains("/keys/")).count(), 1);
    backup.restic(&["check", "--read-data"]);
    // A person's own key stays.
    let second = backup.path("second");
    fs::write(&second, "of a person").expect("a key");
    backup.restic(&["key", "add", "--new-password-file", &second.display().to_string()]);
    backup.make("one row");
    assert_eq!(backup.files().iter().filter(|file| file.contains("/keys/")).count(), 2);
}

#[test]
fn a_dump_that_is_cut_is_never_stored() {
    let backup = Backup::new();
    backup.make("one row");
    let before = backup.files();
    backup.dump("one row");
    fs::write(backup.path("work/dump/dump.sql"), "one row\n-- PostgreSQL database dump\n").expect("a dump");
    assert_fails(backup.run("backup-store"), "DumpCut", "the dump ends before its last line");
    backup.dump("one row");
    fs::write(backup.path("work/dump/facts"), facts(1).replace("{\"kind\" : \"end\"}\n", "")).expect("facts");
    assert_fails(backup.run("backup-store"), "DumpCut", "it ends before its last line");
    fs::remove_file(backup.path("work/dump/facts")).expect("facts");
    assert_fails(backup.run("backup-store"), "DumpCut", "cannot be read");
    assert_eq!(backup.files(), before);
}

#[test]
fn what_did_not_come_back_is_not_proven_and_the_last_proven_one_stays() {
    let mut backup = Backup::new();
    backup.order["keep"] = json!({"last": 1});
    let proven = backup.make(&rows(4, 10)).name.expect("a name");
    for round in 0..3 {
        assert!(backup.store(&rows(5 + round, 10)).is_none());
        backup.prove();
        let short = fs::read_to_string(backup.path("work/proof/facts")).expect("facts").replace("index", "view");
        fs::write(backup.path("work/proof/facts"), short).expect("facts");
        let result = backup.conclude();
        assert_eq!((result.ended, result.reason.as_str()), (Ended::Unproven, "NotProven"));
        assert!(result.message.ends_with("index public.t_x of public.t is missing"), "{}", result.message);
        let left = result.backups.expect("a list");
        assert!(left.iter().any(|kept| kept.name == proven && kept.verified_at.is_some()));
        assert_eq!(left.iter().filter(|kept| kept.verified_at.is_some()).count(), 1);
    }
    // A proof that is not over proves nothing, nor does one that another backup left behind.
    assert!(backup.store(&rows(9, 10)).is_none());
    assert!(!backup.path("work/proof").exists());
    let result = backup.conclude();
    assert!(result.message.contains("ended before it was done"), "{}", result.message);
    assert_eq!(backup.tagged("proven"), 1);
    assert!(backup.run("backup-take").is_none());
    let taken = fs::read_to_string(backup.path("work/restored/dump.sql")).expect("a dump");
    assert!(taken.starts_with(&rows(4, 10)), "the newest that is proven");
    backup.restic(&["check", "--read-data"]);
}

#[test]
fn what_is_not_kept_goes_and_what_stays_is_whole() {
    let mut backup = Backup::new();
    backup.order["keep"] = json!({"last": 2});
    for seed in 0..5 {
        backup.make(&rows(seed, 3000));
    }
    assert_eq!(backup.tagged("proven"), 2);
    backup.restic(&["check", "--read-data"]);
}

#[test]
fn whatever_is_killed_the_next_backup_ends_well_and_nothing_unproven_is_called_proven() {
    let backup = Backup::new();
    let (mut proven, mut killed) = (0, [0; 2]);
    for round in 0..24 {
        let pause = Duration::from_millis(7 * (round % 12));
        backup.dump(&rows(round, 8000));
        let mut store = backup.start("backup-store");
        std::thread::sleep(pause);
        let _ = store.kill();
        let is_stored = store.wait().expect("it ends").success();
        killed[0] += usize::from(!is_stored);
        if !is_stored {
            continue;
        }
        backup.prove();
        let mut conclude = backup.start("backup-conclude");
        std::thread::sleep(pause);
        let _ = conclude.kill();
        killed[1] += usize::from(!conclude.wait().expect("it ends").success());
    }
    if backup.claim().join("restic/config").exists() {
        proven = backup.tagged("proven");
    }
    println!("killed while storing and concluding: {killed:?}, marked before that: {proven}");
    assert!(killed[0] > 3, "nothing was killed: {killed:?}");
    let result = backup.make(&rows(100, 8000));
    let left = result.backups.expect("a list");
    assert!(left.windows(2).all(|pair| pair[0].name > pair[1].name), "each is there once");
    backup.restic(&["check", "--read-data"]);
}

#[test]
fn a_claim_that_another_backup_has_is_waited_for() {
    let mut backup = Backup::new();
    let lock = File::create(backup.claim().join(".lock")).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock");
    backup.order["timeoutSeconds"] = json!(1);
    assert_fails(backup.store("one row"), "ClaimBusy", "another backup has had the claim");
    backup.order["timeoutSeconds"] = json!(600);
    backup.dump("one row");
    let mut waiting = backup.start("backup-store");
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.try_wait().expect("a child").is_none(), "it waits");
    drop(lock);
    assert!(waiting.wait().expect("it ends").success());
}
