//! The API server answers, but not with what was asked for: 429, and 410 wherever a watch may meet it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drover_e2e::fault::api::{Entry, Events, Fault, JOURNAL, Journal, Match, PLAN, Plan};
use drover_e2e::{Controller, eventually};

use super::{AT_WORK, HEALTHY, Site, until_quiet};

/// drover with faults, and the files that make and tell them.
struct Faulty {
    drover: Controller,
    plan: PathBuf,
    journal: PathBuf,
    _folder: tempfile::TempDir,
}

impl Faulty {
    async fn start(site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        let (plan, journal) = (folder.path().join("plan"), folder.path().join("journal"));
        let drover = Controller::on(&site.stage)
            .program(Path::new(env!("CARGO_BIN_EXE_drover-faulty")))
            .variable(PLAN, &plan)
            .variable(JOURNAL, &journal)
            .start();
        drover.leads_within(Duration::from_secs(40)).await;
        Self { drover, plan, journal, _folder: folder }
    }

    fn meets(&self, matches: Match, fault: Fault) {
        Plan::one(matches, fault).write(&self.plan);
    }

    fn heals(&self) {
        Plan::default().write(&self.plan);
    }

    /// All requests so far.
    fn asked(&self) -> Vec<Entry> {
        Journal::read(&self.journal)
    }

    /// Those that met a fault.
    fn met(&self) -> Vec<Entry> {
        self.asked().into_iter().filter(|entry| entry.fault.is_some()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_api_server_is_asked_again_when_it_says_but_not_in_an_hour() {
    let site = Site::on(AT_WORK, "busy").await;
    let faulty = Faulty::start(&site).await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    // The wait is what was asked for, or the cap, and up to half of that again; the rest is for a machine that is busy with other tests.
    for (text, asked, least, most) in [("two", 2, 2_000, 8_000), ("three", 3_600, 5_000, 15_000)] {
        let before = faulty.asked().len();
        let namespace = site.namespace.name().to_owned();
        let once = Match { namespace, times: 1, ..Match::verb("patch").resource("configmaps") };
        faulty.meets(once, Fault::Fail { status: 429, retry_after: Some(asked) });
        let commit = site.push(text);
        site.is_ready_at(&commit).await;
        site.say(text).await;
        let since = faulty.asked().split_off(before);
        let place = since.iter().position(|entry| entry.fault.is_some()).expect("a write was refused");
        let (refused, after) = (&since[place], &since[place + 1..]);
        let again = after.iter().find(|entry| entry.call == refused.call);
        let again = again.unwrap_or_else(|| panic!("{refused:?} was not tried again: {since:#?}"));
        let waited = again.at.saturating_sub(refused.at);
        println!("429 with Retry-After {asked} s: tried again after {waited} ms");
        assert!((least..most).contains(&waited), "tried again after {waited} ms: {since:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_expire_begin_anew_and_miss_nothing() {
    let site = Site::on(AT_WORK, "expired").await;
    let faulty = Faulty::start(&site).await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    // As an event of a watch that runs, and as the answer to one that begins.
    for (text, fault) in
        [("two", Fault::Events(Events::Expire(0))), ("three", Fault::Fail { status: 410, retry_after: None })]
    {
        let before = faulty.met().len();
        faulty.meets(Match::verb("watch"), fault);
        // Watches that run already go on until the API server closes them.
        site.stage.suffers(&["stop", "apiserver"]);
        site.stage.suffers(&["start", "apiserver"]);
        let commit = site.push(text);
        site.is_ready_at(&commit).await;
        let repaired = site.repairs("page-1-1").await;
        eventually("watches expired", HEALTHY, async || match faulty.met().len() - before {
            few @ 0..=8 => Err(format!("{few} of them")),
            _ => Ok(()),
        })
        .await;
        let expired = faulty.met().split_off(before);
        // Each costs a listing, so they become rare: at first after half a second, in the end twice a minute.
        let own = expired.iter().filter(|entry| entry.call.resource == "environments").count();
        assert!(own <= 16, "the watch on Environments began anew {own} times");
        let expired = expired.len();
        println!("410 everywhere: {expired} watches expired meanwhile, what was deleted was back after {repaired:.1?}");
        faulty.heals();
        site.say(text).await;
        let repaired = site.repairs("page-2-2").await;
        println!("afterwards: {repaired:.1?}");
        assert!(!faulty.drover.has_ended());
    }
    let credential = faulty.drover.credential(&site.stage);
    let place = site.stage.audit().len();
    until_quiet(&site.stage, &credential, place).await;
}
