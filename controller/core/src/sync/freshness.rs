//! Whether the data that an app mounts was brought up to date since a moment: the begin of a release, or of a window.
//!
//! An app asks as a person does, by the annotation `drover.dev/reconcile-at`, so whoever asks next finds it asked already, and whatever
//! dies meanwhile finds when it was.

use std::time::Duration;

use drover_crds::{ANNOTATION_RECONCILE_AT, DataSync, RefreshOn};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Seconds that an app waits for a sync: after that it takes what was published before.
const PATIENCE: i64 = 120;
/// Seconds for which what was asked for counts as of now: apps of one push begin their releases one after the other.
const SHARED: i64 = 10;

/// When a DataSync was brought up to date last, and when that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The DataSync's uid.
    pub uid: Option<String>,
    on: Vec<RefreshOn>,
    is_suspended: bool,
    synced: Option<Timestamp>,
    asked: Option<Timestamp>,
    answered: Option<Timestamp>,
    /// When the last sync ended, whatever came of it.
    ended: Option<Timestamp>,
}

/// What an app is to do about the data that it mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Take what is published.
    Done,
    /// Ask for a sync, then wait.
    Ask,
    /// Wait for one that was asked for, at most so long.
    Wait(Duration),
}

impl Freshness {
    /// What `sync` says of itself.
    pub fn of(sync: &DataSync) -> Self {
        let status = sync.status.clone().unwrap_or_default();
        let failed = status.failure.as_ref().and_then(|failure| failure.at.clone());
        let succeeded = status.last_sync.as_ref().and_then(|last| last.at.clone());
        let ended = failed.into_iter().chain(succeeded).map(|at| at.0).max();
        let annotations = sync.metadata.annotations.as_ref();
        Self {
            uid: sync.metadata.uid.clone(),
            on: sync.spec.refresh_on.clone(),
            is_suspended: sync.spec.suspend == Some(true),
            synced: status.last_sync.and_then(|last| last.at).map(|at| at.0),
            asked: annotations.and_then(|all| all.get(ANNOTATION_RECONCILE_AT)).and_then(|at| moment(at)),
            answered: status.asked_at.map(|at| at.0),
            ended,
        }
    }

    /// What an app does for which `on` happened at `since`, when it is `now`.
    pub fn refresh(&self, on: RefreshOn, since: Timestamp, now: Timestamp) -> Refresh {
        let is_shared = |at: &Timestamp| at.as_second() >= since.as_second() - SHARED;
        let is_fresh = self.synced.is_some_and(|synced| synced.as_second() > since.as_second());
        if !self.on.contains(&on) || self.is_suspended || is_fresh {
            return Refresh::Done;
        }
        let Some(asked) = self.asked.filter(is_shared) else { return Refresh::Ask };
        // A status has whole seconds.
        if self.answered.is_some_and(|answered| answered.as_second() >= asked.as_second()) {
            // What another app asked for, and was over before, says nothing of what has come since.
            let counts = asked.as_second() >= since.as_second() || self.ended.is_some_and(|ended| ended > since);
            return if counts { Refresh::Done } else { Refresh::Ask };
        }
        match asked.as_second() + PATIENCE - now.as_second() {
            // A clock that was set back keeps nobody waiting for longer.
            left @ 1.. => Refresh::Wait(Duration::from_secs(left.min(PATIENCE).unsigned_abs())),
            _ => Refresh::Done,
        }
    }
}

/// The longest that an app waits.
pub const fn patience() -> Duration {
    Duration::from_secs(PATIENCE.unsigned_abs())
}

/// The value of an annotation that asks at that time.
pub fn stamp(at: &Time) -> String {
    at.0.to_string()
}

/// The time of such a value; `None` for what was written otherwise.
pub fn moment(stamp: &str) -> Option<Timestamp> {
    stamp.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn an_app_asks_once_and_waits_no_longer_than_two_minutes() {
        let release = RefreshOn::Release;
        let mut data = Freshness { on: vec![release], synced: at(800), ..Freshness::default() };
        let looks = |data: &Freshness, now| data.refresh(release, at(1000).expect("a time"), at(now).expect("a time"));
        assert_eq!(looks(&data, 1000), Refresh::Ask);
        // Somebody's wish from before is no wish for what is new since.
        data.asked = at(980);
        data.answered = at(980);
        assert_eq!(looks(&data, 1001), Refresh::Ask);
        data.asked = at(995);
        assert_eq!(looks(&data, 1000), Refresh::Wait(Duration::from_secs(115)), "another app's of the same push");
        data.answered = at(995);
        data.ended = at(999);
        assert_eq!(looks(&data, 1000), Refresh::Ask, "it was over before");
        data.ended = at(1001);
        assert_eq!(looks(&data, 1002), Refresh::Done, "and now it was not");
        (data.answered, data.ended) = (at(980), None);
        data.asked = at(1001);
        assert_eq!(looks(&data, 1001), Refresh::Wait(Duration::from_secs(120)));
        assert_eq!(looks(&data, 1060), Refresh::Wait(Duration::from_secs(61)));
        assert_eq!(looks(&data, 500), Refresh::Wait(Duration::from_secs(120)), "the clock was set back");
        assert_eq!(looks(&data, 1121), Refresh::Done, "the source is away: what is there serves");
        // It has ended, with new data or without; a status says so in whole seconds.
        data.answered = at(1001);
        assert_eq!(looks(&data, 1010), Refresh::Done);
        let asked = Timestamp::from_millisecond(1_001_528).ok();
        assert_eq!(looks(&Freshness { asked, ..data.clone() }, 1010), Refresh::Done);
        let fresh = Freshness { synced: at(1001), asked: None, answered: None, ..data.clone() };
        assert_eq!(looks(&fresh, 1002), Refresh::Done, "it was synced since");
        let earlier = Freshness { synced: at(1000), ..fresh };
        assert_eq!(looks(&earlier, 1002), Refresh::Ask, "something may have come since");
        let suspended = Freshness { is_suspended: true, asked: None, ..data.clone() };
        assert_eq!(looks(&suspended, 1000), Refresh::Done);
        let other = Freshness { on: Vec::new(), asked: None, ..data };
        assert_eq!(looks(&other, 1000), Refresh::Done);
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let now = Time("2026-11-27T08:00:00.123456789Z".parse().expect("a time"));
        assert_eq!(moment(&stamp(&now)), Some(now.0));
        assert_eq!(moment("2026-11-27T08:00:00.123Z"), "2026-11-27T08:00:00.123Z".parse().ok());
        assert_eq!(moment("yesterday"), None);
    }
}
