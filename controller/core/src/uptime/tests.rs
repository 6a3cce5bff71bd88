use drover_crds::{Uptime, UptimeWindow, Weekday};
use proptest::prelude::*;
use rstest::rstest;

use super::*;

const LONDON: &str = "Europe/London";

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn window(days: &[Weekday], from: &str, to: &str) -> UptimeWindow {
    UptimeWindow { days: days.to_vec(), from: from.into(), to: to.into() }
}

fn in_zone(zone: &str, windows: Vec<UptimeWindow>) -> Windows {
    Windows::of(&Uptime { time_zone: Some(zone.into()), windows, ..Uptime::default() }).expect("windows")
}

fn daily(from: &str, to: &str) -> Windows {
    in_zone(LONDON, vec![window(&[], from, to)])
}

fn said(windows: &Windows, at: &str) -> String {
    windows.phrase(&windows.by_the_clock(time(at)))
}

#[test]
fn a_day_of_the_week_has_its_number() {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let all = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    assert_eq!(all.map(|day| day as usize), [0, 1, 2, 3, 4, 5, 6]);
}

#[rstest]
#[case("2026-11-27T07:59:59Z", "asleep until 08:00 on Friday, 27 November (Europe/London)")]
#[case("2026-11-27T08:00:00Z", "awake until 22:00 on Friday, 27 November (Europe/London)")]
#[case("2026-11-27T21:59:59Z", "awake until 22:00 on Friday, 27 November (Europe/London)")]
#[case("2026-11-27T22:00:00Z", "asleep until 08:00 on Saturday, 28 November (Europe/London)")]
// In summer the clock in London is an hour ahead.
#[case("2027-06-01T07:30:00Z", "awake until 22:00 on Tuesday, 1 June (Europe/London)")]
fn a_window_is_open_from_its_begin_to_its_end(#[case] at: &str, #[case] expected: &str) {
    assert_eq!(said(&daily("08:00", "22:00"), at), expected);
}

#[test]
fn a_window_that_crosses_midnight_belongs_to_the_day_on_which_it_begins() {
    let windows = in_zone(LONDON, vec![window(&[Weekday::Monday, Weekday::Tuesday], "22:00", "02:00")]);
    for (at, expected) in [
        // Monday begins on Sunday's evening for nobody.
        ("2026-11-30T01:00:00Z", "asleep until 22:00 on Monday, 30 November (Europe/London)"),
        ("2026-12-01T01:59:00Z", "awake until 02:00 on Tuesday, 1 December (Europe/London)"),
        ("2026-12-02T01:59:00Z", "awake until 02:00 on Wednesday, 2 December (Europe/London)"),
        ("2026-12-02T02:00:00Z", "asleep until 22:00 on Monday, 7 December (Europe/London)"),
        ("2026-12-02T23:00:00Z", "asleep until 22:00 on Monday, 7 December (Europe/London)"),
    ] {
        assert_eq!(said(&windows, at), expected, "{at}");
    }
}

#[test]
fn windows_that_overlap_or_touch_are_one() {
    let two = |a: [&str; 2], b: [&str; 2]| in_zone("UTC", vec![window(&[], a[0], a[1]), window(&[], b[0], b[1])]);
    for windows in [two(["08:00", "14:00"], ["12:00", "18:00"]), two(["14:00", "18:00"], ["08:00", "14:00"])] {
        assert_eq!(said(&windows, "2026-11-27T09:00:00Z"), "awake until 18:00 on Friday, 27 November (UTC)");
    }
    let weekend = in_zone("UTC", vec![window(&[Weekday::Saturday, Weekday::Sunday], "00:00", "24:00")]);
    assert_eq!(said(&weekend, "2026-11-28T09:00:00Z"), "awake until 00:00 on Monday, 30 November (UTC)");
}

#[test]
fn windows_without_a_gap_never_end_and_none_never_begin() {
    for windows in
        [daily("00:00", "24:00"), in_zone(LONDON, vec![window(&[], "08:00", "20:00"), window(&[], "20:00", "08:00")])]
    {
        for at in ["2026-11-27T09:00:00Z", "2027-03-27T23:00:00Z", "2027-10-31T00:30:00Z"] {
            assert_eq!(said(&windows, at), "awake, because its windows leave no time to sleep", "{at}");
        }
        assert_eq!(
            (windows.next_end(time("2026-11-27T09:00:00Z")), windows.next_begin(time("2026-11-27T09:00:00Z"))),
            (None, None)
        );
    }
    let none = in_zone(LONDON, Vec::new());
    assert!(none.is_empty());
    assert_eq!(said(&none, "2026-11-27T09:00:00Z"), "asleep until somebody wakes it with `drover wake`");
    assert_eq!(
        (none.next_end(time("2026-11-27T09:00:00Z")), none.next_begin(time("2026-11-27T09:00:00Z"))),
        (None, None)
    );
}

/// On 28 March 2027 the clock in London goes from 01:00 to 02:00, at 01:00 UTC.
#[test]
fn what_spring_skips_begins_and_ends_when_the_clock_has_changed() {
    let opens = daily("01:30", "22:00");
    assert_eq!(said(&opens, "2027-03-28T00:59:59Z"), "asleep until 02:00 on Sunday, 28 March (Europe/London)");
    assert!(!opens.by_the_clock(time("2027-03-28T01:00:00Z")).asleep);
    let closes = daily("22:00", "01:30");
    assert!(!closes.by_the_clock(time("2027-03-28T00:59:59Z")).asleep);
    assert!(closes.by_the_clock(time("2027-03-28T01:00:00Z")).asleep);
    let within = daily("01:10", "01:40");
    assert_eq!(said(&within, "2027-03-28T00:30:00Z"), "asleep until 01:10 on Monday, 29 March (Europe/London)");
    // A whole day that a country skipped, on its way over the date line.
    let apia = in_zone("Pacific/Apia", vec![window(&[Weekday::Friday], "08:00", "22:00")]);
    assert_eq!(said(&apia, "2011-12-29T12:00:00Z"), "asleep until 08:00 on Friday, 6 January (Pacific/Apia)");
}

/// On 31 October 2027 the clock in London goes from 02:00 back to 01:00, at 01:00 UTC.
#[test]
fn of_what_autumn_repeats_the_first_time_counts() {
    let opens = daily("01:30", "22:00");
    assert!(opens.by_the_clock(time("2027-10-31T00:29:59Z")).asleep);
    assert!(!opens.by_the_clock(time("2027-10-31T00:30:00Z")).asleep);
    assert!(
        !opens.by_the_clock(time("2027-10-31T01:15:00Z")).asleep,
        "it does not close for the hour that comes again"
    );
    let closes = daily("22:00", "01:30");
    assert!(closes.by_the_clock(time("2027-10-31T00:30:00Z")).asleep);
    assert!(closes.by_the_clock(time("2027-10-31T01:15:00Z")).asleep, "nor does it open for it");
}

#[test]
fn what_a_clock_change_does_is_said_on_the_day_before_and_until_it_is_done() {
    let opens = daily("01:30", "22:00");
    let skipped =
        "01:30 on Sunday, 28 March is skipped by a clock change: the window begins at 02:00, which is 01:00 UTC";
    for (at, said) in [
        ("2027-03-26T23:59:00Z", None),
        ("2027-03-27T00:00:00Z", Some(skipped)),
        ("2027-03-28T00:59:59Z", Some(skipped)),
        ("2027-03-28T01:00:00Z", None),
    ] {
        assert_eq!(opens.changes(time(at)), said.into_iter().collect::<Vec<_>>(), "{at}");
    }
    assert_eq!(
        daily("22:00", "01:30").changes(time("2027-10-30T12:00:00Z")),
        ["01:30 on Sunday, 31 October comes twice, by a clock change: the window ends the first time, at 00:30 UTC"]
    );
    assert_eq!(
        daily("01:10", "01:40").changes(time("2027-03-27T12:00:00Z")),
        ["01:10 on Sunday, 28 March is skipped by a clock change, and the window that begins then with it"]
    );
    assert!(daily("08:00", "22:00").changes(time("2027-03-27T12:00:00Z")).is_empty());
}

#[test]
fn what_a_person_says_counts_until_it_is_over() {
    let (windows, night, day) = (daily("08:00", "22:00"), time("2026-11-27T23:00:00Z"), time("2026-11-27T12:00:00Z"));
    let judge = |awake, asleep, now| {
        let reading = windows.judge(&Word::read(awake, asleep), now);
        (windows.phrase(&reading), reading.asked)
    };
    let local = |what: &str, asked: bool| (what.to_owned(), asked);
    assert_eq!(
        judge(Some("2026-11-28T01:00:00Z"), None, night),
        local("awake until 01:00 on Saturday, 28 November (Europe/London), as somebody asked", true)
    );
    // Its end is within a window: so is what comes then.
    assert_eq!(
        judge(Some("2026-11-28T09:00:00+01:00"), None, night),
        local("awake until 22:00 on Saturday, 28 November (Europe/London), as somebody asked", true)
    );
    assert_eq!(
        judge(None, Some("2026-11-27T23:30:00Z"), day),
        local("asleep until 08:00 on Saturday, 28 November (Europe/London), as somebody asked", true)
    );
    assert_eq!(
        judge(None, Some("2026-11-27T13:00:00Z"), day),
        local("asleep until 13:00 on Friday, 27 November (Europe/London), as somebody asked", true)
    );
    // Over, or what the windows say anyway.
    let by_the_clock = local("awake until 22:00 on Friday, 27 November (Europe/London)", false);
    assert_eq!(judge(None, Some("2026-11-27T12:00:00Z"), day), by_the_clock);
    assert_eq!(judge(Some("2026-11-27T13:00:00Z"), None, day), by_the_clock);
    // Both at once, which no command of drover's writes.
    assert!(judge(Some("2026-11-28T01:00:00Z"), Some("2026-11-28T01:00:00Z"), night).0.starts_with("awake"));
    // Nobody can wake it for a time that is none.
    let word = Word::read(Some("tomorrow\u{1b}"), None);
    assert_eq!(windows.judge(&word, day), windows.by_the_clock(day));
    let said = word.unreadable().concat();
    assert!(
        said.starts_with("the annotation drover.dev/awake-until is \"tomorrow") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[test]
fn a_person_is_told_when_the_next_window_begins_and_ends() {
    let windows = daily("08:00", "22:00");
    let (night, day) = (time("2026-11-27T23:00:00Z"), time("2026-11-27T12:00:00Z"));
    assert_eq!(
        (windows.next_begin(day), windows.next_end(day)),
        (Some(time("2026-11-28T08:00:00Z")), Some(time("2026-11-27T22:00:00Z")))
    );
    assert_eq!(
        (windows.next_begin(night), windows.next_end(night)),
        (Some(time("2026-11-28T08:00:00Z")), Some(time("2026-11-28T22:00:00Z")))
    );
}

#[test]
fn it_is_read_again_at_the_next_change_and_each_midnight() {
    let windows = daily("08:00", "22:00");
    let again = |at: &str| windows.read_again(&windows.by_the_clock(time(at)), time(at));
    assert_eq!(again("2026-11-27T12:00:00Z"), time("2026-11-27T22:00:00Z"));
    assert_eq!(again("2026-11-27T23:00:00Z"), time("2026-11-28T00:00:00Z"));
    let none = in_zone("Asia/Tokyo", Vec::new());
    assert_eq!(
        none.read_again(&none.by_the_clock(time("2026-11-27T12:00:00Z")), time("2026-11-27T12:00:00Z")),
        time("2026-11-27T15:00:00Z")
    );
}

#[rstest]
#[case("8:00", "22:00", "windows[0].from is \"8:00\"")]
#[case("08.00", "22:00", "windows[0].from is \"08.00\"")]
#[case("24:00", "22:00", "from \"00:00\" to \"23:59\"")]
#[case("23:60", "22:00", "windows[0].from is \"23:60\"")]
#[case("08:00", "24:01", "windows[0].to is \"24:01\"")]
#[case("08:00", "", "windows[0].to is \"\"")]
#[case("08:00", "١٢:00", "which is no time of the day")]
#[case("08:00", "08:00", "windows[0] begins and ends at 08:00: write two times")]
fn what_is_no_window_is_refused_with_a_sentence(#[case] from: &str, #[case] to: &str, #[case] told: &str) {
    let uptime = Uptime { windows: vec![window(&[], from, to)], ..Uptime::default() };
    let error = Windows::of(&uptime).expect_err("refused").to_string();
    assert!(error.starts_with("spec.uptime.windows[0]") && error.contains(told), "{error}");
}

#[test]
fn an_unknown_time_zone_is_refused_as_that_of_a_schedule() {
    let uptime = Uptime { time_zone: Some("europe/london".into()), ..Uptime::default() };
    let error = Windows::of(&uptime).expect_err("refused").to_string();
    assert_eq!(
        error,
        "spec.uptime.timeZone: \"europe/london\" is no time zone: write its name as the IANA database has it, such as Europe/London"
    );
}

fn some_minute() -> impl Strategy<Value = String> {
    (0..24, 0..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"))
}

fn some_windows() -> impl Strategy<Value = Windows> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let days = prop::sample::subsequence(vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday], 0..=7);
    let one = (days, some_minute(), prop_oneof![some_minute(), Just("24:00".to_owned())])
        .prop_filter("a window has a length", |(_, from, to)| from != to)
        .prop_map(|(days, from, to)| UptimeWindow { days, from, to });
    let zones = vec![
        LONDON,
        "UTC",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Casablanca",
    ];
    (prop::sample::select(zones), prop::collection::vec(one, 0..5)).prop_map(|(zone, windows)| in_zone(zone, windows))
}

/// Around the clock changes of 2027 in London, and any time of some years.
fn some_time() -> impl Strategy<Value = Timestamp> {
    let around = |text: &str| time(text).as_second() - 200_000..time(text).as_second() + 200_000;
    prop_oneof![
        around("2027-03-28T01:00:00Z"),
        around("2027-10-31T01:00:00Z"),
        time("2010-01-01T00:00:00Z").as_second()..time("2040-01-01T00:00:00Z").as_second()
    ]
    .prop_map(|second| Timestamp::from_second(second).expect("in range"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The time that is named is the first at which it is otherwise.
    #[test]
    fn the_next_change_is_where_the_state_changes(windows in some_windows(), now in some_time(), parts in prop::collection::vec(0.0..1.0, 8)) {
        let reading = windows.by_the_clock(now);
        let Some(until) = reading.until else { return Ok(()) };
        prop_assert!(until > now);
        prop_assert_eq!(windows.by_the_clock(until).asleep, !reading.asleep, "at {}", until);
        let second = SignedDuration::from_secs(1);
        let between = parts.iter().map(|part| now + until.duration_since(now).mul_f64(*part)).chain([until - second]);
        for at in between.filter(|at| *at >= now) {
            let then = windows.by_the_clock(at);
            prop_assert_eq!((then.asleep, then.until), (reading.asleep, reading.until), "at {}", at);
        }
    }

    /// Away from clock changes it is what the clock on that wall shows.
    #[test]
    fn a_window_is_open_by_the_clock_on_the_wall(windows in some_windows(), now in some_time()) {
        let day = SignedDuration::from_hours(24);
        let changes = windows.zone.following(now - day * 2).next().is_some_and(|change| change.timestamp() < now + day * 2);
        prop_assume!(!changes);
        let wall = windows.zone.to_datetime(now);
        let minute = i16::from(wall.hour()) * 60 + i16::from(wall.minute());
        let (today, yesterday) = (days_since_monday(wall.date()), days_since_monday(wall.date().yesterday().expect("a day")));
        let open = windows.each.iter().any(|w| {
            let crosses = w.to <= w.from;
            (w.days[today] && w.from <= minute && (minute < w.to || crosses)) || (crosses && w.days[yesterday] && minute < w.to)
        });
        prop_assert_eq!(!windows.by_the_clock(now).asleep, open);
    }

    #[test]
    fn any_text_is_a_time_or_refused_with_a_sentence(from in "\\PC{0,12}|[0-9]{2}:[0-9]{2}", to in "\\PC{0,12}|[0-9]{2}:[0-9]{2}", zone in "\\PC{0,70}") {
        let uptime = Uptime {
            time_zone: Some(zone).filter(|zone| zone.len() < 60),
            windows: vec![window(&[], &from, &to)],
            ..Uptime::default()
        };
        if let Err(error) = Windows::of(&uptime) {
            let error = error.to_string();
            prop_assert!(error.starts_with("spec.uptime.") && error.len() < 500 && !error.contains(char::is_control), "{}", error);
        }
    }
}

#[test]
fn on_demand_only_a_person_wakes_it_and_its_windows_are_read_all_the_same() {
    let uptime =
        |to: &str| Uptime { on_demand: Some(true), windows: vec![window(&[], "00:00", to)], ..Uptime::default() };
    assert!(Windows::of(&uptime("24:00")).expect("windows").is_empty());
    assert!(Windows::of(&uptime("25:00")).is_err());
}
