//! Which backups go. The newest proven one never does.

use jiff::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// For how many seconds nobody forgets a backup that is not proven: its proof may be under way.
const PROVING: i64 = 24 * 3600;

/// How many backups stay: of the newest so many hours, days and so on that have any, the last one each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keep {
    /// The newest, whenever they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// Of hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    /// Of days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    /// Of weeks, which begin on Mondays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    /// Of months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
    /// Of years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yearly: Option<u32>,
}

/// A backup that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When it was stored.
    pub at: Timestamp,
    /// Whether a restore of it was checked.
    pub is_proven: bool,
}

/// The period that a backup is of, as numbers that no other such period has.
type Period = fn(&Zoned) -> (i32, i32);

impl Keep {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn periods(&self) -> [(Option<u32>, Period); 5] {
        let Self { last: _, hourly, daily, weekly, monthly, yearly } = *self;
        [
            // By the hour's number since 1970: of an hour that the clock shows twice there are two.
            (hourly, |at| (0, i32::try_from(at.timestamp().as_second().div_euclid(3600)).unwrap_or(i32::MAX))),
            (daily, |at| (at.year().into(), at.day_of_year().into())),
            (weekly, |at| {
                let week = at.date().iso_week_date();
                (week.year().into(), week.week().into())
            }),
            (monthly, |at| (at.year().into(), at.month().into())),
            (yearly, |at| (at.year().into(), 0)),
        ]
    }

    /// Marks those that stay. `places` leads from the newest to the oldest.
    fn mark(&self, all: &[Candidate], places: &[usize], zone: &TimeZone, stays: &mut [bool]) {
        for place in places.iter().take(self.last.unwrap_or_default() as usize) {
            stays[*place] = true;
        }
        for (count, period) in self.periods() {
            let (mut left, mut last) = (count.unwrap_or_default(), None);
            for place in places {
                let of = Some(period(&all[*place].at.to_zoned(zone.clone())));
                if left > 0 && of != last {
                    (left, last) = (left - 1, of);
                    stays[*place] = true;
                }
            }
        }
    }
}

/// The places of those that go. Days and weeks are those of `zone`.
///
/// What is kept is counted among the proven ones. Of those that are not proven only what is newer than the newest proven one stays, by the
/// same numbers: it may be all there is of what came since.
pub fn to_forget(all: &[Candidate], keep: &Keep, zone: &TimeZone, now: Timestamp) -> Vec<usize> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse((all[*place].at, *place)));
    let newest_proven = places.iter().copied().find(|place| all[*place].is_proven);
    let mut stays = vec![false; all.len()];
    let (proven, unproven): (Vec<usize>, Vec<usize>) = places.iter().copied().partition(|place| all[*place].is_proven);
    keep.mark(all, &proven, zone, &mut stays);
    let is_newer = |place: &usize| newest_proven.is_none_or(|proven| all[*place].at > all[proven].at);
    let newer: Vec<usize> = unproven.into_iter().filter(is_newer).collect();
    keep.mark(all, &newer, zone, &mut stays);
    // The newest of all is what was stored just now, or what somebody looks into.
    for place in newest_proven.into_iter().chain(places.first().copied()) {
        stays[place] = true;
    }
    let is_being_proven =
        |place: usize| !all[place].is_proven && all[place].at.as_second() > now.as_second().saturating_sub(PROVING);
    (0..all.len()).filter(|place| !stays[*place] && !is_being_proven(*place)).collect()
}
