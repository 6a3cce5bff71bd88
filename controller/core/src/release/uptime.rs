//! Whether an app is awake, as its status tells it, and how long it takes to wake.

use drover_crds::{AppSpec, ReplicasStatus, RolloutStatus, UptimeState, UptimeStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::render::name_hash;
use crate::uptime::{InvalidUptime, Windows, Word};
use crate::workload::App;

/// What people are told who ask for an app that is on its way, or that somebody has to wake.
const WAKES: &str = "This site is waking up.";
const SLEEPS: &str = "This site is asleep until somebody wakes it.";

/// Whether an app is awake, in one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uptime {
    /// "asleep until …", while it is.
    pub asleep: Option<String>,
    /// When to judge again, at the latest; `None` for an app that never sleeps.
    pub again: Option<Timestamp>,
    /// What is to be known of that where it sleeps.
    pub sleep: Option<Sleep>,
    /// What people are told who ask for it meanwhile, where it is not awake, and when it is worth coming again.
    pub away: Option<(String, Option<Timestamp>)>,
    /// Since when it wakes, while not all of its pods serve yet.
    pub waking_since: Option<Time>,
    /// Why the windows of the spec are not taken. Those that were asked for before go on meanwhile.
    pub refused: Option<InvalidUptime>,
}

/// A time in which an app is asleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// The day that ended when it fell asleep, as `2026-11-27`.
    pub day: String,
    /// When it had last woken: no two times of sleep have the same.
    pub woke_at: Option<Time>,
}

impl Sleep {
    /// The name of the Job of `job` before this sleep.
    pub fn job_name(&self, app: &App, job: &str) -> String {
        let hash = name_hash(&serde_json::json!([self.woke_at, job]));
        app.child_name(&format!("{job}-{hash}"))
    }
}

/// Whether an app of that spec is awake at that time, where a person said that; the status says so. It follows from the clock, the spec and
/// what was said, and from nothing that was before: only how it is told goes by that.
pub fn uptime<S: AppSpec>(status: &mut RolloutStatus, spec: &S, word: &Word, now: Timestamp) -> Uptime {
    let (windows, refused) = match spec.pod().uptime.as_ref().map(Windows::of).transpose() {
        Ok(windows) => (windows, None),
        Err(refused) => {
            let before = status.release.as_ref().and_then(|release| release.uptime.as_ref());
            (before.and_then(|before| Windows::of(before).ok()), Some(refused))
        }
    };
    let slept = status.uptime.as_ref().is_some_and(|before| before.state != UptimeState::Awake);
    let woken = if slept { UptimeState::Waking } else { UptimeState::Awake };
    let Some(windows) = windows else {
        status.asleep_until = None;
        let message = "Always awake, because spec.uptime is gone".to_owned();
        status.uptime = slept.then(|| told(status, woken, message, now));
        let away = slept.then(|| (WAKES.to_owned(), None));
        return Uptime { waking_since: waking_since(status), away, refused, ..Uptime::default() };
    };
    let reading = windows.judge(word, now);
    let phrase = windows.phrase(&reading);
    let more = windows.changes(now).into_iter().chain(word.unreadable().iter().cloned());
    let message = std::iter::once(capitalized(&phrase)).chain(more).collect::<Vec<_>>().join("; ");
    let state = if reading.asleep { UptimeState::Asleep } else { woken };
    status.uptime = Some(told(status, state, message, now));
    status.asleep_until = reading.until.filter(|_| reading.asleep).map(Time);
    let asleep = reading.asleep.then_some(phrase);
    let waking_since = waking_since(status);
    let woke_at = status.uptime.as_ref().and_then(|uptime| uptime.woke_at.clone());
    let sleep = reading.asleep.then(|| Sleep { day: windows.day_of_sleep(word, now).to_string(), woke_at });
    let away = match (reading.asleep, reading.until) {
        (true, Some(until)) => Some((format!("This site is asleep until {}.", windows.local(until)), Some(until))),
        (true, None) => Some((SLEEPS.to_owned(), None)),
        (false, _) => waking_since.is_some().then(|| (WAKES.to_owned(), None)),
    };
    Uptime { asleep, again: Some(windows.read_again(&reading, now)), sleep, away, waking_since, refused }
}

/// The status of what is so now, with what stays of the one before.
fn told(status: &RolloutStatus, state: UptimeState, message: String, now: Timestamp) -> UptimeStatus {
    let before = status.uptime.clone();
    let is_asleep = state == UptimeState::Asleep;
    let was_asleep = before.as_ref().map(|before| before.state == UptimeState::Asleep);
    let UptimeStatus { since, woke_at, jobs, problem, .. } = before.unwrap_or_default();
    let since = since.filter(|_| was_asleep == Some(is_asleep)).or(Some(Time(now)));
    let woke_at = if !is_asleep && was_asleep != Some(false) { since.clone() } else { woke_at };
    // What is told of the last sleep goes when the next one begins.
    let (jobs, problem) = if is_asleep && was_asleep == Some(false) { (Vec::new(), None) } else { (jobs, problem) };
    UptimeStatus { state, message, since, woke_at, jobs, problem }
}

fn waking_since(status: &RolloutStatus) -> Option<Time> {
    status.uptime.as_ref().filter(|_| is_waking(status)).and_then(|uptime| uptime.since.clone())
}

/// Its pods were looked at, of which the spec asks for so many: who wakes is awake when they all serve.
pub fn wake(status: &mut RolloutStatus, replicas: i32, has_windows: bool) {
    let all_serve = |pods: &ReplicasStatus| pods.ready >= pods.desired && (pods.desired > 0 || replicas == 0);
    if is_waking(status) && status.replicas.as_ref().is_some_and(all_serve) {
        let awake = status.uptime.take().map(|uptime| UptimeStatus { state: UptimeState::Awake, ..uptime });
        status.uptime = awake.filter(|_| has_windows);
    }
}

/// Whether it wakes.
pub fn is_waking(status: &RolloutStatus) -> bool {
    status.uptime.as_ref().is_some_and(|uptime| uptime.state == UptimeState::Waking)
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use drover_crds::{PodSpec, UptimeWindow, WebAppSpec};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn spec(from: &str, to: &str) -> WebAppSpec {
        let windows = vec![UptimeWindow { days: Vec::new(), from: from.into(), to: to.into() }];
        let uptime = Some(drover_crds::Uptime { windows, ..drover_crds::Uptime::default() });
        WebAppSpec { pod: PodSpec { uptime, ..PodSpec::default() }, ..WebAppSpec::default() }
    }

    fn state(status: &RolloutStatus) -> Option<UptimeState> {
        status.uptime.as_ref().map(|uptime| uptime.state)
    }

    fn pods(status: &mut RolloutStatus, ready: i32) {
        status.replicas = Some(ReplicasStatus { desired: 3, ready, ..ReplicasStatus::default() });
    }

    #[test]
    fn an_app_is_asleep_then_wakes_then_is_awake_and_without_windows_nothing_is_said() {
        let (spec, word, mut status) = (spec("08:00", "22:00"), Word::default(), RolloutStatus::default());
        let now = uptime(&mut status, &spec, &word, at("2026-11-27T12:00:00Z"));
        assert_eq!((state(&status), now.asleep), (Some(UptimeState::Awake), None), "a new one does not wake");
        let now = uptime(&mut status, &spec, &word, at("2026-11-27T22:00:00Z"));
        assert_eq!(now.asleep.as_deref(), Some("asleep until 08:00 on Saturday, 28 November (UTC)"));
        assert_eq!(now.again, Some(at("2026-11-28T00:00:00Z")));
        let told = "This site is asleep until 08:00 on Saturday, 28 November (UTC).".to_owned();
        assert_eq!(now.away, Some((told, Some(at("2026-11-28T08:00:00Z")))));
        assert_eq!(status.asleep_until, Some(Time(at("2026-11-28T08:00:00Z"))));
        let told = status.uptime.clone().expect("told");
        assert_eq!(told.message, "Asleep until 08:00 on Saturday, 28 November (UTC)");

        let now = uptime(&mut status, &spec, &word, at("2026-11-28T08:20:00Z"));
        assert_eq!(now.waking_since, Some(Time(at("2026-11-28T08:20:00Z"))), "when it was seen, however late");
        pods(&mut status, 2);
        wake(&mut status, 3, true);
        assert_eq!((state(&status), now.asleep, &status.asleep_until), (Some(UptimeState::Waking), None, &None));
        let now = uptime(&mut status, &spec, &word, at("2026-11-28T08:21:00Z"));
        assert_eq!(now.waking_since, Some(Time(at("2026-11-28T08:20:00Z"))));
        pods(&mut status, 3);
        wake(&mut status, 3, true);
        assert_eq!(state(&status), Some(UptimeState::Awake));

        uptime(&mut status, &spec, &word, at("2026-11-28T23:00:00Z"));
        let always = WebAppSpec::default();
        let now = uptime(&mut status, &always, &word, at("2026-11-28T23:01:00Z"));
        let away = Some((WAKES.to_owned(), None));
        assert_eq!(now, Uptime { waking_since: Some(Time(at("2026-11-28T23:01:00Z"))), away, ..Uptime::default() });
        assert_eq!(state(&status), Some(UptimeState::Waking));
        wake(&mut status, 3, false);
        assert_eq!((&status.uptime, &status.asleep_until), (&None, &None));
        uptime(&mut status, &always, &word, at("2026-11-28T23:02:00Z"));
        assert_eq!(status.uptime, None);
    }

    #[test]
    fn what_is_done_before_sleep_is_of_that_sleep_and_of_the_day_that_ends_however_late_it_is_seen() {
        let (spec, word, mut status) = (spec("08:00", "22:00"), Word::default(), RolloutStatus::default());
        let looks = |status: &mut RolloutStatus, time: &str| uptime(status, &spec, &word, at(time)).sleep;
        assert_eq!(looks(&mut status, "2026-11-27T12:00:00Z"), None);
        let first = looks(&mut status, "2026-11-27T22:00:00Z").expect("asleep");
        assert_eq!((&*first.day, &first.woke_at), ("2026-11-27", &Some(Time(at("2026-11-27T12:00:00Z")))));
        let told = drover_crds::JobStatus {
            name: "count".into(),
            at: drover_crds::JobMoment::BeforeSleep,
            job: "web-count-1".into(),
            outcome: None,
            started_at: None,
            finished_at: None,
        };
        status.uptime.as_mut().expect("told").jobs.push(told.clone());
        assert_eq!(looks(&mut status, "2026-11-28T00:30:00Z"), Some(first.clone()), "the same sleep");
        looks(&mut status, "2026-11-28T08:20:00Z");
        assert_eq!(status.uptime.as_ref().expect("told").jobs, [told], "it is told until the next one");
        let second = looks(&mut status, "2026-11-29T00:10:00Z").expect("asleep");
        assert_eq!((&*second.day, second.woke_at == first.woke_at), ("2026-11-28", false));
        assert!(status.uptime.as_ref().expect("told").jobs.is_empty());
        let app = App { kind: drover_crds::OwnerKind::WebApp, namespace: "shop".into(), name: "web".into(), uid: None };
        let names = [first.job_name(&app, "count"), first.job_name(&app, "mail"), second.job_name(&app, "count")];
        assert!(names[0] != names[1] && names[0] != names[2] && names[0] == first.job_name(&app, "count"), "{names:?}");
        // Who is put to sleep at noon ends that day.
        let asleep = Word::read(None, Some("2026-11-30T08:00:00Z"));
        let asked = uptime(&mut status, &spec, &asleep, at("2026-11-29T12:00:00Z")).sleep.expect("asleep");
        assert_eq!(asked.day, "2026-11-29");
    }

    #[test]
    fn while_the_windows_of_the_spec_are_refused_those_of_before_go_on() {
        let (good, bad, word, mut status) =
            (spec("08:00", "22:00"), spec("08:00", "25:00"), Word::default(), RolloutStatus::default());
        let night = at("2026-11-27T23:00:00Z");
        let now = uptime(&mut status, &bad, &word, night);
        assert!(now.refused.is_some() && now.asleep.is_none() && status.uptime.is_none(), "{now:?}");
        let release = serde_json::from_value(serde_json::json!({"number": 1, "image": "web:1", "step": "Live"}));
        status.release = Some(release.expect("a release"));
        status.release.as_mut().expect("a release").uptime = good.pod.uptime;
        let now = uptime(&mut status, &bad, &word, night);
        assert!(now.refused.is_some() && now.asleep.is_some() && now.again.is_some(), "{now:?}");
    }

    #[test]
    fn what_a_person_wrote_and_nobody_can_read_is_told() {
        let mut status = RolloutStatus::default();
        uptime(&mut status, &spec("08:00", "22:00"), &Word::read(None, Some("soon")), at("2026-11-27T12:00:00Z"));
        let told = status.uptime.expect("told");
        assert!(told.state == UptimeState::Awake && told.message.contains("asleep-until is \"soon\""), "{told:?}");
    }
}
