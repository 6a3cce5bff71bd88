use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// What API server 1.36 takes.
#[rstest]
#[case("0 4 * * 1")]
#[case("*/15 0-6,20 1,15 JAN-mar Sun")]
#[case("  0   4 * * ? ")]
#[case("0/20 * * * *")]
#[case("0 0 1-31/2 * 1")]
#[case("0 0 */1 * 1")]
#[case("0 0 29 2 *")]
#[case("0 0 31 2 1")]
#[case("0 0 31 2,3 *")]
#[case("59 23 31 12 6")]
#[case("@daily")]
#[case("@midnight")]
fn what_kubernetes_takes_is_taken(#[case] schedule: &str) {
    assert_eq!(Schedule::read(schedule, None).map(drop), Ok(()));
}

#[rstest]
#[case("* * * * * *", "has 6 fields")]
#[case("0 4 * *", "has 4 fields")]
#[case("", "has 0 fields")]
#[case("@every 1h", "five fields, such as `0 * * * *`")]
#[case("@reboot", "five fields")]
#[case(" @daily", "five fields")]
#[case("TZ=Europe/London 0 4 * * *", "write that in timeZone")]
#[case("CRON_TZ=UTC 0 4 * * *", "write that in timeZone")]
#[case("*/90 * * * *", "the step of \"*/90\" is longer")]
#[case("50-55/10 * * * *", "only one minute is left")]
#[case("0 */24 * * *", "only one hour is left")]
#[case("*/0 * * * *", "no minute of a schedule")]
#[case("60 * * * *", "numbers from 0 to 59")]
#[case("0 0 0 * *", "numbers from 1 to 31")]
#[case("0 0 * * 7", "numbers from 0 to 6, or names from SUN to SAT")]
#[case("0 0 * * 5-7", "\"5-7\" is no day of the week")]
#[case("0 0 * * SAT-SUN", "ends before it begins")]
#[case("0 0 * * MON#2", "\"MON#2\" is no day of the week")]
#[case("0 0 L * *", "\"L\" is no day of the month")]
#[case("0 0 15W * *", "\"15W\" is no day of the month")]
#[case("+1 * * * *", "\"+1\" is no minute")]
#[case("1, * * * *", "\"\" is no minute")]
#[case("*-5 * * * *", "\"*-5\" is no minute")]
#[case("1-2-3 * * * *", "\"1-2-3\" is no minute")]
#[case("1/2/3 * * * *", "\"1/2/3\" is no minute")]
#[case("0 0 31 2 *", "never comes")]
#[case("0 0 31 2,4,6 ?", "never comes")]
#[case("0 0 30 2 */1", "never comes")]
fn what_nobody_means_is_refused_with_a_sentence(#[case] schedule: &str, #[case] said: &str) {
    let error = Schedule::read(schedule, None).expect_err("refused").to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_time_zone_is_written_as_its_database_has_it() {
    for zone in ["UTC", "GMT", "EST5EDT", "Etc/UTC", "Europe/London", "America/Argentina/Buenos_Aires"] {
        assert_eq!(Schedule::read("0 4 * * *", Some(zone)).map(drop), Ok(()), "{zone}");
    }
    let said = |zone| Schedule::read("0 4 * * *", Some(zone)).expect_err("no zone").to_string();
    assert!(said("europe/berlin").ends_with("such as Europe/Berlin"), "{}", said("europe/berlin"));
    for zone in ["BST", "Local", "", "Europe/London ", "../../etc/passwd", "+01:00"] {
        assert!(said(zone).ends_with("such as Europe/London"), "{}", said(zone));
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused_with_a_short_sentence(text in "\\PC{0,200}|[-*/,?0-9A-Za-z@ \u{1b}]{0,100}") {
        if let Err(error) = Schedule::read(&text, Some(&text)) {
            let error = error.to_string();
            prop_assert!(error.len() < 1200 && !error.contains(char::is_control) && error.contains(':'), "{}", error);
        }
    }

    /// What is left is at least one minute of each day that it means.
    #[test]
    fn what_is_taken_leaves_a_time(text in "([*]|[0-9]{1,2}|[0-9]-[0-9]{1,2})(/[0-9]{1,2})?( ([*]|[0-9]{1,2})(/[0-9])?){4}") {
        if let Ok(sets) = fields(&text) {
            for (set, field) in sets.iter().zip(Field::ALL) {
                let (least, greatest) = field.bounds();
                prop_assert!(set.bits != 0 && set.bits.trailing_zeros() >= least && set.bits.ilog2() <= greatest);
            }
            let schedule = Schedule::read(&text, Some("America/New_York")).expect("its fields are taken");
            let now = at("2027-03-13T12:00:30Z");
            let (next, slot) = (schedule.next(now).expect("it comes"), schedule.next_slot(now).expect("it comes"));
            prop_assert!(next > now && slot.at() > now && slot.at() <= next && next.as_second() % 60 == 0);
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::read(text, Some(zone)).unwrap_or_else(|error| panic!("{text} {zone}: {error}"))
}

/// What robfig/cron v3.0.1 says, by which Kubernetes starts CronJobs: zone, schedule, a moment, and the four times after it.
#[test]
fn the_next_times_are_those_of_kubernetes() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for line in include_str!("robfig.txt").lines().filter(|line| !line.starts_with('#')) {
        let [zone, text, from, times] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let schedule = schedule(text, zone);
        let found = std::iter::successors(schedule.next(at(from)), |time| schedule.next(*time)).take(4);
        let found = found.map(|time| time.strftime("%Y-%m-%dT%H:%MZ").to_string()).collect::<Vec<_>>().join(" ");
        if found != times {
            wrong.push(format!("{line}\n{found}"));
        }
        compared += 1;
    }
    assert!(compared > 100 && wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_schedule_whose_day_comes_every_eight_years_still_comes() {
    let leap = schedule("0 0 29 2 *", "UTC");
    assert_eq!(leap.next(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
}

/// What is done at `text` in London, around the changes of 2027: each time with an `s` where it makes up for what is skipped.
fn slots(text: &str, from: &str, until: &str) -> Vec<String> {
    let schedule = schedule(text, "Europe/London");
    let slots = std::iter::successors(schedule.next_slot(at(from)), |slot| schedule.next_slot(slot.at()));
    let slots = slots.take_while(|slot| slot.at() < at(until));
    let told = slots.map(|slot| match slot {
        Slot::OfKubernetes(time) => time.strftime("%d %H:%M").to_string(),
        Slot::Skipped(time) => time.strftime("%d %H:%Ms").to_string(),
    });
    told.collect()
}

#[rstest]
#[case("30 1 * * *", &["27 01:30", "28 01:00s", "29 00:30"])]
#[case("0 2 * * *", &["27 02:00", "28 01:00", "29 01:00"])]
#[case("*/30 1,2 28 * *", &["28 01:00", "28 01:30"])]
#[case("30 1,2 28 * *", &["28 01:00s", "28 01:30"])]
#[case("30 1 29 * *", &["29 00:30"])]
fn what_spring_skips_is_made_up_for_once(#[case] text: &str, #[case] times: &[&str]) {
    assert_eq!(slots(text, "2027-03-27T01:00:00Z", "2027-03-29T12:00:00Z"), times);
}

#[test]
fn what_runs_each_hour_is_neither_skipped_nor_repeated() {
    for text in ["30 * * * *", "*/20 * * * *"] {
        assert!(slots(text, "2027-03-27T00:00:00Z", "2027-03-29T00:00:00Z").iter().all(|time| !time.ends_with('s')));
        for day in ["2027-03-28T00:30:00Z", "2027-10-30T12:00:00Z"] {
            assert_eq!(told(text, "Europe/London", day), (Vec::new(), None), "{text}");
        }
    }
}

/// What is told of a job and of drover's own work at that time, and when that is told otherwise.
fn told(text: &str, zone: &str, now: &str) -> (Vec<String>, Option<Timestamp>) {
    let schedule = schedule(text, zone);
    let both = Told::default()
        .with(&schedule, at(now), |change| format!("{}\n{}", change.of_job("report"), change.of_own("is synced")));
    let mut conditions = Vec::new();
    both.note(&mut conditions, Some(1), &Time(at(now)));
    assert_eq!(conditions.first().map(|condition| condition.status.as_str()), conditions.first().map(|_| "True"));
    let lines = conditions.iter().flat_map(|condition| condition.message.lines());
    let lines = conditions.iter().map(|condition| condition.reason.as_str()).chain(lines);
    (lines.map(str::to_owned).collect(), both.again)
}

#[test]
fn a_clock_change_is_told_from_the_day_before_until_it_is_over_in_utc() {
    let london = "Europe/London";
    // Saturday begins at midnight of London's winter.
    let (lines, again) = told("30 1 * * *", london, "2027-03-26T23:59:59Z");
    assert_eq!((lines, again), (Vec::new(), Some(at("2027-03-27T00:00:00Z"))));
    let (lines, again) = told("30 1 * * *", london, "2027-03-27T00:00:00Z");
    let skipped = "01:30 on Sunday, 28 March (Europe/London) is skipped by a clock change at 01:00 UTC";
    let job =
        format!("{skipped}: the job report does not run then; write another hour in its schedule where that matters");
    assert_eq!(lines, ["TimeSkipped".to_owned(), job, format!("{skipped}: it is synced at 01:00 UTC instead")]);
    assert_eq!(again, Some(at("2027-03-28T01:00:00Z")));
    // Over in spring, the next one is that of autumn, whose Saturday begins in summer.
    let (lines, again) = told("30 1 * * *", london, "2027-03-28T01:00:00Z");
    assert_eq!((lines, again), (Vec::new(), Some(at("2027-10-29T23:00:00Z"))));
    let (lines, again) = told("30 1 * * *", london, "2027-10-30T12:00:00Z");
    let twice = "01:30 on Sunday, 31 October (Europe/London) comes twice, by a clock change at 01:00 UTC";
    let job = format!(
        "{twice}: the job report runs at 00:30 UTC and again at 01:30 UTC; write another hour in its schedule where that matters"
    );
    let own = format!("{twice}: it is synced at 00:30 UTC, and again at 01:30 UTC only where that failed");
    assert_eq!(lines, ["TimeRepeated".to_owned(), job, own]);
    assert_eq!(again, Some(at("2027-10-31T01:31:00Z")));
    assert_eq!(told("30 1 * * *", london, "2027-10-31T01:31:00Z").0, [""; 0]);

    // Several at once; and a day that is another one in UTC.
    let (lines, _) = told("*/20 1-5 * * *", london, "2027-10-30T12:00:00Z");
    assert!(lines[1].starts_with("What it does from 01:00 to 01:40 on Sunday, 31 October (Europe/London) comes twice, by a clock change at 01:00 UTC: the job report runs 3 times from 00:00 UTC on, and again from 01:00 UTC on"), "{lines:?}");
    let (lines, _) = told("30 2 * * *", "Australia/Sydney", "2027-10-02T12:00:00Z");
    assert!(
        lines[1].starts_with(
            "02:30 on Sunday, 3 October (Australia/Sydney) is skipped by a clock change at 16:00 UTC on 2 October"
        ),
        "{lines:?}"
    );
    // Where no clock changes, and where none meets the schedule.
    assert_eq!(told("30 1 * * *", "UTC", "2027-10-30T12:00:00Z"), (Vec::new(), None));
    assert_eq!(told("30 4 * * *", london, "2027-10-30T12:00:00Z"), (Vec::new(), None));
    // The last Sunday of October is the 31st again in 2032.
    let (_, again) = told("30 1 31 10 *", london, "2027-11-01T00:00:00Z");
    assert_eq!(again, Some(at("2032-10-29T23:00:00Z")));
}
