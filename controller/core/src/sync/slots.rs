//! The times of a DataSync's schedule: which comes next, and which passed without a sync, so that drover makes up for it.

use drover_crds::DataSyncStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::ValidatedSync;
use crate::schedule::{STARTING_DEADLINE, Schedule, Slot, Told};

/// Seconds after its time when Kubernetes has given a sync up, and whoever looks sees one that began at the last moment.
const GIVEN_UP: i64 = STARTING_DEADLINE + 60;

/// A time of the schedule at which nothing was synced: a clock change skipped it, or nobody was there to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// When it was.
    pub at: Timestamp,
}

/// What the schedule has to be looked at for besides Kubernetes' doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catch {
    /// Nothing: there is no schedule, or a sync runs, or the first one has not ended.
    Nothing,
    /// This time was missed.
    Up(Missed),
    /// Whether the next time is missed, then.
    Look(Timestamp),
}

/// Whether a time of the schedule was missed since a sync ended last. Of several the first stands for all.
pub fn catch_up(sync: &ValidatedSync, status: &DataSyncStatus, now: Timestamp) -> Catch {
    let failed = status.failure.as_ref().and_then(|failure| failure.at.as_ref());
    let succeeded = status.last_sync.as_ref().and_then(|last| last.at.as_ref());
    let ended = failed.into_iter().chain(succeeded).map(|at| at.0).max();
    let (Some(schedule), Some(ended), None) = (in_force(sync), ended, &status.running) else { return Catch::Nothing };
    let Some(slot) = schedule.next_slot(ended) else { return Catch::Nothing };
    let is_missed_at = match slot {
        Slot::Skipped(at) => at.as_second(),
        Slot::OfKubernetes(at) => at.as_second().saturating_add(GIVEN_UP),
    };
    if is_missed_at <= now.as_second() {
        return Catch::Up(Missed { at: slot.at() });
    }
    Timestamp::from_second(is_missed_at).map_or(Catch::Nothing, Catch::Look)
}

/// Notes when the schedule comes next, where a sync began or ended since `before`, or the spec of that generation is new: that time merely
/// passes changes nothing.
pub fn note_next(
    sync: &ValidatedSync,
    status: &mut DataSyncStatus,
    before: &DataSyncStatus,
    generation: Option<i64>,
    now: Timestamp,
) {
    let ran = |status: &DataSyncStatus| (status.running.clone(), status.last_sync.clone(), status.failure.clone());
    let is_same = before.observed_generation == generation && ran(before) == ran(status) && status.next.is_some();
    match in_force(sync) {
        None => status.next = None,
        Some(_) if is_same => {}
        Some(schedule) => status.next = schedule.next_slot(now).map(|slot| Time(slot.at())),
    }
}

/// What is told of the next clock change.
pub fn clock_change(sync: &ValidatedSync, now: Timestamp) -> Told {
    let told = Told::default();
    match in_force(sync) {
        Some(schedule) => told.with(schedule, now, |change| change.of_own("is synced")),
        None => told,
    }
}

fn in_force(sync: &ValidatedSync) -> Option<&Schedule> {
    sync.schedule.as_ref().filter(|_| !sync.is_suspended)
}
