//! For which time of its schedule a Job runs.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::time_zone;

/// What the clock of that time zone showed at the time for which a `CronJob` made the Job of that name, such as `2027-10-31T01:30:00`: a
/// time that a clock change repeats is the same twice. `None` for a Job of another name.
///
/// The controller of CronJobs ends such a name with the minutes since 1970.
pub fn slot(job: &str, zone: &str) -> Option<String> {
    let (_, minutes) = job.rsplit_once('-')?;
    let at = Timestamp::from_second(minutes.parse::<i64>().ok()?.checked_mul(60)?).ok()?;
    let zone = TimeZone::tzif(zone, time_zone(zone).ok()?).ok()?;
    Some(zone.to_datetime(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(at: &str) -> String {
        let at: Timestamp = at.parse().expect("a time");
        format!("csv-{}", at.as_second() / 60)
    }

    #[test]
    fn a_time_that_comes_twice_is_one_slot() {
        let [first, second, next_day] = ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2027-11-01T01:30:00Z"]
            .map(|at| slot(&job(at), "Europe/London"));
        assert_eq!(first.as_deref(), Some("2027-10-31T01:30:00"));
        assert_eq!(second, first);
        assert_eq!(next_day.as_deref(), Some("2027-11-01T01:30:00"));
        assert_eq!(slot(&job("2027-10-31T01:30:00Z"), "UTC").as_deref(), Some("2027-10-31T01:30:00"));
        for (other, zone) in
            [("csv-sync-0123abcd", "UTC"), ("csv", "UTC"), ("csv-29833050", "Nowhere"), ("a-99999999999999999", "UTC")]
        {
            assert_eq!(slot(other, zone), None, "{other} {zone}");
        }
    }
}
