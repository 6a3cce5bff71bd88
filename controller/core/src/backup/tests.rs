//! What stays, what is believed, and what is found missing.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engine::Engine;
use crate::errand::{LARGEST_RESULT, Reason};

mod objects;

/// What is written otherwise in an order.
type Change = fn(&mut serde_json::Value);

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The places that stay of proven (`p`) and unproven (`u`) backups, one each day at 02:00, the last one today.
fn kept(days: &str, keep: Keep) -> Vec<usize> {
    let today = time("2026-11-27T02:00:00Z");
    let count = i64::try_from(days.len()).expect("few");
    let all: Vec<Candidate> = (0..count)
        .zip(days.chars())
        .map(|(day, kind)| Candidate {
            at: today.checked_sub(SignedDuration::from_hours(24 * (count - 1 - day))).expect("a time"),
            is_proven: kind == 'p',
        })
        .collect();
    let gone = to_forget(&all, &keep, &TimeZone::UTC, today);
    (0..all.len()).filter(|place| !gone.contains(place)).collect()
}

#[test]
fn the_newest_of_so_many_days_weeks_and_months_stay() {
    let daily = Keep { daily: Some(3), ..Keep::default() };
    assert_eq!(kept("ppppp", daily), [2, 3, 4]);
    assert_eq!(kept("ppp", Keep { last: Some(1), ..Keep::default() }), [2]);
    // The 27th is a Friday: the Sundays before are places 20 and 27 of 33.
    let weekly = Keep { weekly: Some(3), ..Keep::default() };
    assert_eq!(kept(&"p".repeat(33), weekly), [20, 27, 32]);
    let monthly = Keep { monthly: Some(2), daily: Some(1), ..Keep::default() };
    assert_eq!(kept(&"p".repeat(33), monthly), [5, 32], "the last of October, and today");
}

#[test]
fn the_last_proven_one_stays_however_many_fail_after_it() {
    let daily = Keep { daily: Some(7), ..Keep::default() };
    assert_eq!(kept("ppuuuuuuuu", daily), [0, 1, 3, 4, 5, 6, 7, 8, 9], "seven that failed, and all that are proven");
    assert_eq!(kept("puuuuuuuuu", Keep { last: Some(1), ..Keep::default() }), [0, 9]);
    // What failed before one was proven tells nothing any more.
    assert_eq!(kept("upupp", daily), [1, 3, 4]);
    assert_eq!(kept("uuu", Keep { daily: Some(2), ..Keep::default() }), [1, 2], "all there is");
}

#[test]
fn what_may_be_being_proven_is_left_alone() {
    let now = time("2026-11-27T03:00:00Z");
    let one = |at: &str, is_proven| Candidate { at: time(at), is_proven };
    let all =
        [one("2026-11-27T02:00:00Z", false), one("2026-11-27T02:30:00Z", true), one("2026-11-25T02:00:00Z", false)];
    let keep = Keep { last: Some(1), ..Keep::default() };
    assert_eq!(to_forget(&all, &keep, &TimeZone::UTC, now), [2]);
}

#[test]
fn days_are_those_of_the_time_zone() {
    let rules = crate::schedule::time_zone("Europe/London").expect("a zone");
    let london = TimeZone::tzif("Europe/London", rules).expect("a zone");
    // Both are of the 30th in London, and of two days in UTC.
    let all = ["2026-06-29T23:30:00Z", "2026-06-30T22:00:00Z"].map(|at| Candidate { at: time(at), is_proven: true });
    let (keep, now) = (Keep { daily: Some(2), ..Keep::default() }, time("2026-07-10T00:00:00Z"));
    assert_eq!(to_forget(&all, &keep, &london, now), [0]);
    assert_eq!(to_forget(&all, &keep, &TimeZone::UTC, now), Vec::<usize>::new());
}

proptest! {
    #[test]
    fn the_newest_and_the_newest_proven_one_never_go(
        all in prop::collection::vec((0_i64..40_000_000, any::<bool>()), 1..40),
        counts in prop::array::uniform6(prop::option::of(0_u32..5)),
        later in 0_i64..10_000_000,
    ) {
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        let keep = Keep { last, hourly, daily, weekly, monthly, yearly };
        let all: Vec<Candidate> = all.into_iter().map(|(at, is_proven)| Candidate { at: Timestamp::from_second(at).expect("a time"), is_proven }).collect();
        let newest = all.iter().map(|one| one.at).max().expect("one");
        let now = newest.checked_add(SignedDuration::from_secs(later)).expect("a time");
        let gone = to_forget(&all, &keep, &TimeZone::UTC, now);
        let left: Vec<Candidate> = (0..all.len()).filter(|place| !gone.contains(place)).map(|place| all[place]).collect();
        prop_assert!(left.iter().any(|one| one.at == newest));
        let newest_proven = |of: &[Candidate]| of.iter().filter(|one| one.is_proven).map(|one| one.at).max();
        prop_assert_eq!(newest_proven(&left), newest_proven(&all));
        // Doing it once more removes nothing.
        prop_assert_eq!(to_forget(&left, &keep, &TimeZone::UTC, now), Vec::<usize>::new());
    }
}

#[test]
fn a_name_is_a_second() {
    let name = BackupName::of(time("2026-11-27T02:00:05.9Z"));
    assert_eq!(name.as_str(), "20261127T020005Z");
    assert_eq!(name.as_str().parse::<BackupName>().as_ref(), Ok(&name));
    for wrong in ["", "20261127T020005", "20261327T020005Z", "20261127t020005Z", "latest", "20261127T020005Z,proven"] {
        assert!(wrong.parse::<BackupName>().is_err(), "{wrong}");
    }
}

/// Lines of what was in a database.
fn facts(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines.iter().copied().chain([r#"{"kind" : "end"}"#]) {
        writeln!(text, "{line}").expect("a string grows");
    }
    text
}

const TABLE: &str = r#"{"kind" : "table", "name" : "public.t", "value" : "650000"}"#;
const INDEX: &str = r#"{"kind" : "index", "name" : "public.t_q3c", "of" : "public.t", "value" : "btree of 1"}"#;
const UNIQUE: &str = r#"{"kind" : "constraint", "name" : "public.t.t_key", "of" : "public.t", "value" : "unique"}"#;
const SEQUENCE: &str = r#"{"kind" : "sequence", "name" : "public.t_id_seq", "value" : "650000"}"#;
const ROLE: &str = r#"{"kind" : "role", "name" : "app"}"#;

fn findings(facts: String) -> Findings {
    Findings { is_over: true, facts: Some(facts), ..Findings::default() }
}

#[test]
fn what_did_not_come_back_is_named() {
    let source = facts(&[ROLE, TABLE, INDEX, UNIQUE, SEQUENCE]);
    let judge = |restored: &[&str]| findings(facts(restored)).judge(&source, &[]).map_err(|why| why.to_string());
    assert_eq!(judge(&[TABLE, INDEX, UNIQUE, SEQUENCE]), Ok(650_000));
    let sequence = r#"{"kind" : "sequence", "name" : "public.t_id_seq", "value" : "1 unused"}"#;
    assert_eq!(
        judge(&[TABLE, sequence]),
        Err("the backup does not hold what was backed up: index public.t_q3c of public.t is missing, constraint public.t.t_key of public.t is missing, sequence public.t_id_seq is at 1 unused in place of 650000".into())
    );
    let fewer = TABLE.replace("650000", "649999");
    let why = judge(&[&fewer, INDEX, UNIQUE, SEQUENCE]).expect_err("a row is missing");
    assert!(why.ends_with("table public.t has 649999 rows in place of 650000"), "{why}");
    // What is cut says nothing of what is missing.
    let cut = findings(source.replace(r#"{"kind" : "end"}"#, "")).judge(&source, &[]).expect_err("cut");
    assert_eq!(cut.to_string(), "what is in the restored database cannot be read: it ends before its last line");
    let many: Vec<String> = (0..9).map(|n| TABLE.replace("public.t", &format!("public.t{n}"))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let why = findings(facts(&[])).judge(&facts(&many), &[]).expect_err("all are missing").to_string();
    assert!(why.ends_with("table public.t3 is missing, and 5 more"), "{why}");
}

#[test]
fn a_sequence_that_went_on_while_it_was_dumped_may_be_anywhere_in_between() {
    let later = SEQUENCE.replace("sequence", "sequenceLater").replace("650000", "650010");
    let source = facts(&[SEQUENCE, &later]);
    let at = |value: &str| findings(facts(&[&SEQUENCE.replace("650000", value)])).judge(&source, &[]).is_ok();
    assert_eq!(
        [at("649999"), at("650000"), at("650007"), at("650010"), at("650011")],
        [false, true, true, true, false]
    );
    // One that stood still is exactly there.
    let still = facts(&[SEQUENCE, &SEQUENCE.replace("sequence", "sequenceLater")]);
    let unused = findings(facts(&[&SEQUENCE.replace("650000", "650000 unused")])).judge(&still, &[]);
    assert!(unused.is_err());
}

#[test]
fn what_is_not_over_proves_nothing() {
    let source = facts(&[TABLE]);
    let good = findings(source.clone());
    assert!(good.judge(&source, &[]).is_ok());
    assert!(Findings { is_over: false, ..good.clone() }.judge(&source, &[]).is_err());
    assert!(Findings { failure: Some("no room".into()), ..good.clone() }.judge(&source, &[]).is_err());
    assert!(Findings { facts: None, ..good.clone() }.judge(&source, &[]).is_err());
    assert!(good.judge("", &[]).is_err());
    assert!(Findings::default().judge("", &[]).is_err());
}

#[test]
fn checks_are_of_one_number_each() {
    let source = facts(&[TABLE]);
    let check = Check { name: "runs".into(), query: "select 1".into(), min: 2 };
    let judge = |answer: Result<&str, &str>| {
        let checks = vec![answer.map(str::to_owned).map_err(str::to_owned)];
        Findings { checks, ..findings(source.clone()) }
            .judge(&source, std::slice::from_ref(&check))
            .map_err(|why| why.to_string())
    };
    assert!([Ok("2\n"), Ok("2.0"), Ok("99999999999999999999")].into_iter().all(|answer| judge(answer).is_ok()));
    assert_eq!(
        judge(Ok("1.9")),
        Err("the check \"runs\" of the restored database answers 1.9, and must be 2 or more".into())
    );
    for wrong in [Ok(""), Ok("NULL"), Ok("two"), Ok("1\n2"), Ok("-0.5"), Err("relation \"run\" does not exist")] {
        assert!(judge(wrong).is_err(), "{wrong:?}");
    }
    let unasked = findings(source.clone()).judge(&source, std::slice::from_ref(&check));
    assert!(unasked.is_err());
}

#[test]
fn what_a_load_was_at_is_found_in_the_dump() {
    let dump = "--\n-- Name: t; Type: TABLE; Schema: public; Owner: app\n--\nCREATE TABLE public.t (\n);\n-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: app\nCOPY public.t (id) FROM stdin;\n-- Name: no; Type: INDEX; Schema: public; Owner: app\n\\.\n-- Name: t_x; Type: INDEX; Schema: public; Owner: app\n\nCREATE INDEX t_x ON public.t USING btree (public.\"outer\"(x));\n-- Name: q3c; Type: EXTENSION; Schema: -; Owner: -\n";
    let mariadb = "--\n-- Table structure for table `run`\n--\n\nCREATE TABLE `run` (\n  `id` int\n);\n\n--\n-- Dumping data for table `run`\n--\n\nINSERT INTO `run` VALUES\n(1);\n";
    let at = |engine: Engine, dump: &str, line: usize| {
        let mut finder = EntryFinder::new(engine);
        dump.lines().take(line).for_each(|text| finder.line(text.as_bytes()));
        finder.found().map(|entry| entry.to_string())
    };
    assert_eq!(at(Engine::Postgres, dump, 8).as_deref(), Some("table data public.t"), "a row is no comment");
    assert_eq!(at(Engine::Postgres, dump, 12).as_deref(), Some("index public.t_x"));
    assert_eq!(at(Engine::Postgres, dump, 13).as_deref(), Some("extension q3c"));
    assert_eq!(at(Engine::Postgres, dump, 1), None);
    assert_eq!(at(Engine::Mariadb, mariadb, 6).as_deref(), Some("table run"));
    assert_eq!(at(Engine::Mariadb, mariadb, 14).as_deref(), Some("rows of table run"));
}

#[test]
fn what_a_mariadb_has_is_compared_by_its_own_rules() {
    let table = r#"{"kind": "table", "name": "run", "value": "3"}"#;
    let unsafe_table = r#"{"kind": "table", "name": "old", "engine": "MyISAM", "value": "3"}"#;
    let column = r#"{"kind": "column", "name": "run.id", "of": "run", "value": "int(11) not null"}"#;
    let next = r#"{"kind": "autoIncrement", "name": "run", "value": "16"}"#;
    let event = r#"{"kind": "event", "name": "nightly", "value": "enabled"}"#;
    let source = facts(&[table, unsafe_table, column, next, event]);
    let judge = |restored: &[&str]| findings(facts(restored)).judge(&source, &[]).map_err(|why| why.to_string());
    assert_eq!(judge(&[table, unsafe_table, column, next, event]), Ok(6));
    let further = next.replace("16", "1001");
    assert_eq!(judge(&[table, unsafe_table, column, &further, event]), Ok(6), "a row was numbered by hand");
    let lost = next.replace("16", "4");
    let why = judge(&[table, unsafe_table, column, &lost]).expect_err("two things are missing");
    assert!(why.ends_with("AUTO_INCREMENT of table run is at 4 in place of 16, event nightly is missing"), "{why}");
    let other = column.replace("int(11)", "bigint(20)");
    let why = judge(&[table, unsafe_table, &other, next, event]).expect_err("another type");
    assert!(why.ends_with("column run.id of run is bigint(20) not null in place of int(11) not null"), "{why}");
    let moved = unsafe_table.replace('3', "4");
    let why = judge(&[table, &moved, column, next, event]).expect_err("a row was written meanwhile");
    assert!(why.contains("old has 4 rows in place of 3 (its engine, MyISAM, takes no part in a snapshot"), "{why}");
}

fn result(count: usize) -> BackupResult {
    let first = time("2026-11-27T02:00:00Z");
    let name = |at: usize| {
        let days = i64::try_from(at).expect("few");
        BackupName::of(first.checked_sub(SignedDuration::from_hours(24 * days)).expect("a time"))
    };
    let kept = |at| Kept {
        name: name(at),
        bytes: u64::MAX,
        verified_at: Some(first),
        took_seconds: Some(u64::MAX),
        rows: Some(u64::MAX),
    };
    BackupResult {
        ended: Ended::Proven,
        reason: "Proven".into(),
        message: "\u{7}".repeat(5000),
        name: Some(name(0)),
        repository: Some("0123456789abcdef".repeat(4)),
        added_bytes: u64::MAX,
        backups: Some((0..count).map(kept).collect()),
    }
}

#[test]
fn a_result_fits_a_termination_message_and_is_read_back() {
    for count in [1, 2, 20, 500] {
        let text = result(count).to_text();
        assert!(text.len() <= LARGEST_RESULT, "{count}: {}", text.len());
        let read = BackupResult::read(&text).unwrap_or_else(|error| panic!("{count}: {error}"));
        assert_eq!((read.ended, read.name), (Ended::Proven, result(1).name));
    }
    // It is about an old one where the clock was set back.
    let mut old = result(40);
    old.name = old.backups.as_ref().and_then(|all| Some(all.last()?.name.clone()));
    assert_eq!(BackupResult::read(&old.to_text()).expect("a result").name, old.name);
}

#[test]
fn a_result_is_believed_no_further_than_an_errand_could_have_written_it() {
    let believed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(BackupResult { message: "m".into(), ..result(2) }).expect("JSON");
        change(&mut value);
        BackupResult::read(&value.to_string()).is_ok()
    };
    assert!(believed(&|_| ()));
    assert!(!believed(&|v| v["backups"] = json!([])), "proven, and not there");
    assert!(!believed(&|v| v["backups"][0]["verifiedAt"] = json!(null)), "proven, and not verified");
    assert!(!believed(&|v| v["name"] = json!("latest")));
    assert!(!believed(&|v| v["name"] = json!(null)));
    assert!(!believed(&|v| v["repository"] = json!("../etc")));
    assert!(!believed(&|v| v["reason"] = json!("two words")));
    assert!(!believed(&|v| v["backups"] = json!([v["backups"][1], v["backups"][0]])), "the newest comes first");
    assert!(believed(&|v| {
        v["ended"] = json!("Failed");
        v["name"] = json!(null);
    }));
    assert!(BackupResult::read("").is_err());
    assert!(BackupResult::read(&" ".repeat(LARGEST_RESULT + 1)).is_err());
}

#[test]
fn an_order_that_makes_no_sense_is_refused_with_a_sentence() {
    let order = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut order = json!({
            "database": "shop/db", "keep": {"daily": 7}, "timeZone": "Europe/London", "timeoutSeconds": 3600, "encryption": "backup-key",
            "repository": {"s3": {"endpoint": "https://s3.example.org", "region": "eu-west-2", "bucket": "backups", "prefix": "shop/db"}},
            "checks": [{"name": "runs", "query": "select count(*) from run", "min": 1}],
        });
        change(&mut order);
        BackupOrder::read(order.to_string().as_bytes()).map_err(|refusal| (refusal.reason, refusal.sentence))
    };
    assert!(order(&|_| ()).is_ok());
    assert!(
        order(&|o| {
            o["repository"] = json!("claim");
            o["encryption"] = json!(null);
        })
        .is_ok()
    );
    let refused: [(Change, &str); 6] = [
        (|o| o["encryption"] = json!(null), "backups in S3 are encrypted"),
        (|o| o["keep"] = json!({}), "keep names nothing to keep"),
        (|o| o["timeZone"] = json!("Mars"), "is no time zone"),
        (|o| o["timeoutSeconds"] = json!(80_000), "no more than 20 hours"),
        (|o| o["repository"]["s3"]["prefix"] = json!("shop/"), "ends in a slash"),
        (|o| o["unknown"] = json!(1), "cannot be read"),
    ];
    for (change, sentence) in refused {
        let (reason, said) = order(&change).expect_err(sentence);
        assert_eq!(reason, Reason::BadOrder);
        assert!(said.contains(sentence), "{said} has not: {sentence}");
    }
}
