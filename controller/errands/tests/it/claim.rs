//! What becomes of the claim: readers, other syncs, interruptions, room.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use drover_core::errand::Outcome;
use serde_json::json;

use super::bucket::{Bucket, key};
use super::errand::{Errand, assert_ends, names, until};
use super::server::{Reply, Server};

#[test]
fn readers_of_a_live_claim_always_find_their_file() {
    let (bucket, errand) = (Bucket::new(&[("a/x", "0"), ("a/y", "0"), ("b", "0")]), Errand::new());
    let order = bucket.order(&[("", "")], "Live");
    errand.sync(&order);
    let (done, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (claim, stop, count) = (errand.claim(), Arc::clone(&done), Arc::clone(&opened));
    let reader = thread::spawn(move || {
        while !stop.load(SeqCst) {
            for file in ["a/x", "a/y", "b"] {
                fs::read_to_string(claim.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
                count.fetch_add(1, SeqCst);
            }
        }
    });
    for version in 1..=20 {
        for file in ["a/x", "a/y", "b"] {
            bucket.put(file, version.to_string());
        }
        assert_eq!(errand.sync(&order).outcome, Outcome::Published);
        assert_eq!(errand.read("a/x"), Some(version.to_string()));
    }
    done.store(true, SeqCst);
    reader.join().expect("it found all files each time");
    assert!(opened.load(SeqCst) > 20);
}

#[test]
fn names_at_the_top_come_and_go_and_those_of_others_stay() {
    let (bucket, errand) = (Bucket::new(&[("a", "1"), ("b/c", "2")]), Errand::new());
    let order = bucket.order(&[("", "")], "Live");
    fs::write(errand.claim().join("mine"), "a person's").expect("a file");
    fs::create_dir(errand.claim().join("lost+found")).expect("a folder");
    errand.sync(&order);
    bucket.put("d", "3");
    bucket.remove("b/c");
    errand.sync(&order);
    assert_eq!(names(&errand.claim()), [".drover", "a", "d", "lost+found", "mine"]);
    bucket.put("mine", "the bucket's");
    let refused = errand.sync(&order);
    assert_ends(&refused, Outcome::Refused, "NameTaken", "mine at the top of the claim is no link of drover's");
    assert_eq!(errand.read("mine").as_deref(), Some("a person's"));
    assert_eq!(errand.sets().len(), 2, "nothing was kept of what was refused");
    fs::remove_file(errand.claim().join("mine")).expect("it goes");
    // A link that somebody removed is put back although nothing changed.
    assert_eq!(errand.sync(&order).outcome, Outcome::Published);
    fs::remove_file(errand.claim().join("mine")).expect("the link goes");
    assert_eq!(errand.sync(&order).outcome, Outcome::Unchanged);
    assert_eq!(errand.read("mine").as_deref(), Some("the bucket's"));
}

#[test]
fn others_may_read_whatever_the_mask_says() {
    let (bucket, errand) = (Bucket::new(&[("a/b/c", "1")]), Errand::new());
    fs::set_permissions(errand.claim(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let order = bucket.order(&[("", "")], "Live");
    errand.command(&order);
    let mut masked = Command::new("sh");
    masked.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(errand.command(&order).get_program());
    masked.args(errand.command(&order).get_args());
    let result = errand.run(&mut masked);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let set = errand.set(&result);
    for folder in
        [&set, &set.join("a"), &set.join("a/b"), &errand.claim().join(".drover"), &errand.claim().join(".drover/sets")]
    {
        assert_eq!(mode(folder), 0o755, "{}", folder.display());
    }
    assert_eq!(mode(&set.join("a/b/c")), 0o644);
}

/// A bucket whose object `slow` is answered when the test says so.
fn held() -> (Bucket, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (go, waiting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (may, count) = (Arc::clone(&go), Arc::clone(&waiting));
    let bucket = Bucket::faulty(&[("fast", "1"), ("slow", "2")], 10, move |request| {
        if request.method == "GET" && key(request).as_deref() == Some("slow") {
            count.fetch_add(1, SeqCst);
            until("the test goes on", || may.load(SeqCst));
        }
        None
    });
    (bucket, go, waiting)
}

#[test]
fn one_sync_at_a_time_has_the_claim() {
    let (bucket, go, waiting) = held();
    let (errand, mut order) = (Errand::new(), bucket.order(&[("", "")], "Live"));
    let first = errand.start(&order, "first");
    until("the first sync reads", || waiting.load(SeqCst) == 1);
    order["timeoutSeconds"] = json!(1);
    assert_ends(&errand.sync(&order), Outcome::Failed, "ClaimBusy", "another sync has had the claim");
    order["timeoutSeconds"] = json!(30);
    let second = errand.start(&order, "second");
    go.store(true, SeqCst);
    assert_eq!((first.wait().outcome, second.wait().outcome), (Outcome::Published, Outcome::Unchanged));
    assert_eq!(waiting.load(SeqCst), 1, "what the first one read was not read again");
}

#[test]
fn a_time_that_a_clock_change_repeats_is_done_once() {
    let (bucket, errand) = (Bucket::new(&[]), Errand::new());
    let order = bucket.order(&[("", "")], "Live");
    // By the clock of London 01:30 on 31 October 2027, the same again an hour later, and 01:30 on the day after.
    let minutes = |time: &str| time.parse::<jiff::Timestamp>().expect("a time").as_second() / 60;
    let [first, again, next] = ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2027-11-01T01:30:00Z"].map(minutes);
    let sync = |minutes: i64| {
        let job = format!("csv-data-{minutes}");
        errand.run(errand.command(&order).args(["--scheduled", &job, "--time-zone", "Europe/London"])).outcome
    };
    assert_eq!(sync(first), Outcome::Refused, "there is nothing yet");
    bucket.put("a", "1");
    assert_eq!(sync(again), Outcome::Published, "the first did not succeed");
    bucket.put("a", "2");
    bucket.server.seen();
    assert_eq!(sync(again), Outcome::Unchanged);
    assert!(bucket.server.seen().is_empty());
    // What somebody asks for is done, and takes no slot's place.
    assert_eq!(errand.sync(&order).outcome, Outcome::Published);
    bucket.put("a", "3");
    assert_eq!(sync(first), Outcome::Unchanged);
    assert_eq!(sync(next), Outcome::Published);
}

#[test]
fn a_sync_that_is_stopped_or_killed_leaves_the_claim_as_it_was() {
    let (bucket, go, waiting) = held();
    go.store(true, SeqCst);
    let (errand, order) = (Errand::new(), bucket.order(&[("", "")], "Live"));
    let before = errand.sync(&order);
    for (signal, seen) in [("TERM", 2), ("KILL", 3)] {
        go.store(false, SeqCst);
        bucket.put("slow", format!("after {signal}"));
        let mut running = errand.start(&order, signal);
        until("the sync reads", || waiting.load(SeqCst) == seen);
        let process = running.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &process]).status().expect("kill runs").success());
        if signal == "TERM" {
            let result = running.wait();
            assert_ends(&result, Outcome::Failed, "Stopped", "told to stop");
            assert_eq!(result.set, before.set);
        } else {
            running.child.wait().expect("it is gone");
        }
        assert_eq!(errand.read("slow").as_deref(), Some("2"));
        assert_eq!(errand.sets(), [before.set.clone().expect("a set")]);
        go.store(true, SeqCst);
    }
    assert_eq!(errand.sync(&order).outcome, Outcome::Published);
    assert_eq!(errand.read("slow").as_deref(), Some("after KILL"));
    assert_eq!(names(&errand.claim().join(".drover/staging")), ["set"]);
}

#[test]
fn a_claim_that_cannot_be_made_sense_of_is_made_anew() {
    let (bucket, errand) = (Bucket::new(&[("a", "1"), ("b", "2")]), Errand::new());
    let order = bucket.order(&[("", "")], "Live");
    let first = errand.sync(&order);
    let own = errand.claim().join(".drover");
    for damaged in ["last.json".to_owned(), format!("manifests/{}.json", first.set.as_deref().expect("a set"))] {
        fs::write(own.join(damaged), "{").expect("a file");
        assert_eq!(errand.sync(&order).set, first.set);
        assert_eq!(errand.read("b").as_deref(), Some("2"));
    }
    // A file of a published set that somebody cut is not taken over.
    fs::write(errand.set(&first).join("a"), "").expect("a file");
    bucket.put("b", "3");
    assert_eq!(errand.sync(&order).fetched_files, 2);
    assert_eq!(errand.read("a").as_deref(), Some("1"));
}

#[test]
fn the_set_that_readers_are_led_to_stays_whatever_was_noted() {
    let (bucket, errand) = (Bucket::new(&[("a", "1")]), Errand::new());
    let mut order = bucket.order(&[("", "")], "Live");
    order["keep"] = json!(1);
    let noted = errand.claim().join(".drover/last.json");
    errand.sync(&order);
    // As if the second sync had been killed after it led readers to its set.
    let first = fs::read(&noted).expect("a note");
    order["keep"] = json!(2);
    bucket.put("a", "2");
    errand.sync(&order);
    fs::write(&noted, first).expect("a note");
    order["keep"] = json!(1);
    bucket.remove("a");
    assert_eq!(errand.sync(&order).outcome, Outcome::Refused);
    assert_eq!(errand.read("a").as_deref(), Some("2"));
}

#[test]
fn a_claim_that_is_not_there_is_named() {
    let (bucket, errand) = (Bucket::new(&[("a", "1")]), Errand::new());
    fs::remove_dir(errand.claim()).expect("it goes");
    assert_ends(&errand.sync(&bucket.order(&[("", "")], "Live")), Outcome::Failed, "ClaimFails", "no claim is mounted");
}

/// A volume that only one command sees, with what the command before left in it, which is kept beside the claim meanwhile.
fn in_small_volume(errand: &Errand, order: &serde_json::Value, options: &str) -> Command {
    let kept = errand.claim().with_file_name("kept");
    fs::create_dir_all(&kept).expect("a folder");
    let script = format!(
        "claim=$1; shift; mount -t tmpfs -o {options} tmpfs \"$claim\" && cp -a {0}/. \"$claim\" && \
         {{ \"$@\"; code=$?; rm -rf {0}/* {0}/.drover; cp -a \"$claim/.\" {0}; exit $code; }}",
        kept.display()
    );
    let sync = errand.command(order);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]).arg(errand.claim());
    command.arg(sync.get_program()).args(sync.get_args());
    command
}

fn assert_kept(errand: &Errand, path: &str, text: &str) {
    let kept = errand.claim().with_file_name("kept");
    assert_eq!(fs::read_to_string(kept.join(path)).expect("what was published"), text);
    assert_eq!(names(&kept.join(".drover/staging/set")), [""; 0]);
}

#[test]
fn a_claim_without_room_keeps_what_it_has_and_says_what_is_needed() {
    for (options, files, size, sentence) in [
        ("size=2m", 1, 3 << 20, "bytes and the claim has"),
        ("size=2m,nr_inodes=30", 40, 1, "files and the claim has room for"),
    ] {
        let (bucket, errand) = (Bucket::new(&[("a", "1")]), Errand::new());
        let order = bucket.order(&[("", "")], "Live");
        assert_eq!(errand.run(&mut in_small_volume(&errand, &order, options)).outcome, Outcome::Published);
        for number in 0..files {
            bucket.put(&format!("c/{number}"), vec![b'x'; size]);
        }
        let result = errand.run(&mut in_small_volume(&errand, &order, options));
        assert_ends(&result, Outcome::Failed, "NoSpace", sentence);
        assert_eq!((result.files, result.fetched_files), (1, 0));
        assert_kept(&errand, "a", "1");
    }
}

#[test]
fn a_claim_that_is_full_before_the_end_keeps_what_it_has() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, SeqCst) {
        0 => Reply::new(200, "1"),
        // Nobody knows beforehand how long it is.
        _ => Reply::new(200, vec![b'x'; 3 << 20]).with("Transfer-Encoding", "chunked"),
    });
    let errand = Errand::new();
    let source = json!({"http": {"url": format!("{}/a", server.address), "to": "a", "authenticated": false}});
    let order = super::errand::order(&source, "Live");
    assert_eq!(errand.run(&mut in_small_volume(&errand, &order, "size=2m")).outcome, Outcome::Published);
    let result = errand.run(&mut in_small_volume(&errand, &order, "size=2m"));
    assert_ends(&result, Outcome::Failed, "NoSpace", "the claim is full");
    assert_kept(&errand, "a", "1");
}

#[test]
fn progress_is_told_line_by_line() {
    let (bucket, go, waiting) = held();
    let (errand, order) = (Errand::new(), bucket.order(&[("", "")], "Live"));
    let mut running = errand.start(&order, "first");
    until("the sync reads", || waiting.load(SeqCst) == 1);
    let told = std::io::BufReader::new(running.child.stdout.take().expect("its output"));
    let line = std::io::BufRead::lines(told).next().expect("a line").expect("text");
    let progress: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(progress, json!({"files": 1, "ofFiles": 2, "bytes": 1, "ofBytes": 2, "bytesPerSecond": 1}));
    go.store(true, SeqCst);
    assert_eq!(running.wait().outcome, Outcome::Published);
}

#[test]
fn an_order_that_makes_no_sense_ends_with_a_sentence() {
    let (bucket, errand) = (Bucket::new(&[("a", "1")]), Errand::new());
    let mut order = bucket.order(&[("", "")], "Live");
    order["keep"] = json!(0);
    assert_ends(&errand.sync(&order), Outcome::Refused, "BadOrder", "keep is 0");
}
