//! Sets of files of an image ([`drover_crds::Assets`]): which of them are on the claim, and in which order they are looked at.
//!
//! A set is called by the hash of what makes it. What is there follows from the records of releases alone: the Job that makes a set removes
//! all others but those that its release's record names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use drover_crds::{AppSpec, JobOutcome};

use super::planned::{PlannedAssets, PlannedJob};
use super::record::{Release, ReleaseData};
use crate::render::NAME_DIGITS;
use crate::workload::pods::AssetSets;

/// How many sets are kept on a claim.
pub(super) const KEPT: usize = 4;

/// The sets of each name that the front looks at, the first first: that of the release `live`, then those of newer ones, then of older ones.
/// That of a release on its way is among them before it is there, so that the front knows of it when pods begin to name its files.
pub fn asset_sets<S: AppSpec>(releases: &[Release<S>], live: Option<i64>) -> AssetSets {
    let names = releases.iter().flat_map(|release| release.data.jobs.iter().filter_map(|job| job.assets.as_ref()));
    names.map(|assets| (assets.name.clone(), sets(&assets.name, releases, live, true))).collect()
}

impl<S> ReleaseData<S> {
    /// The set that this release makes or has made, by the name of its assets.
    pub fn own_sets(&self) -> BTreeMap<String, String> {
        let made = self.jobs.iter().filter_map(|job| Some((job.assets.as_ref()?.name.clone(), job.content.clone())));
        made.filter(|(_, set)| is_set(set)).collect()
    }
}

/// The sets of that name that were made and not removed since, in the same order.
pub(super) fn made<S: AppSpec>(name: &str, releases: &[Release<S>], live: Option<i64>) -> Vec<String> {
    sets(name, releases, live, false)
}

/// The newest set that is known to be whole, or else is `coming`, says what is left beside it.
fn sets<S: AppSpec>(name: &str, releases: &[Release<S>], live: Option<i64>, coming: bool) -> Vec<String> {
    let newest = releases.iter().enumerate().find_map(|(at, release)| {
        let planned = planned(release, name)?;
        let end = release.ends.get(&planned.job);
        end.map_or(coming && at == 0, |end| end.outcome == JobOutcome::Succeeded).then_some(planned)
    });
    let Some(PlannedJob { content, assets: Some(PlannedAssets { keep, .. }), .. }) = newest else { return Vec::new() };
    let mut sets: Vec<&String> = [content].into_iter().chain(keep).filter(|set| is_set(set)).collect();
    let of = |set: &str| {
        let mut own = releases.iter().filter(|release| planned(release, name).is_some_and(|job| job.content == set));
        own.next().map(|release| release.number)
    };
    sets.sort_by_key(|set| Reverse(of(set)));
    let served = live.and_then(|live| releases.iter().find(|release| release.number == live));
    let served = served.and_then(|release| planned(release, name));
    if let Some(at) = served.and_then(|served| sets.iter().position(|set| **set == served.content)) {
        sets[..=at].rotate_right(1);
    }
    sets.into_iter().cloned().collect()
}

fn planned<'a, S>(release: &'a Release<S>, name: &str) -> Option<&'a PlannedJob> {
    release.data.jobs.iter().find(|job| job.assets.as_ref().is_some_and(|assets| assets.name == name))
}

/// Whether a record names a set as drover would: what it says becomes the name of a folder.
fn is_set(text: &str) -> bool {
    text.len() == NAME_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
