//! `drover wake` and `drover sleep`: what a person says over the windows of an app.

use clap::Args;
use drover_core::uptime::{Windows, Word};
use drover_crds::{
    ANNOTATION_ASLEEP_UNTIL, ANNOTATION_AWAKE_UNTIL, Duration, QueueProcessor, UptimeState, WebApp, condition,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt as _};

use super::app::{App, AppKind, AppName};
use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, annotate, output, watch};
use crate::clock;

/// Wakes a WebApp or QueueProcessor that has windows in which it is awake (`spec.uptime`).
///
/// It is awake until the end of the window that is open or comes next, or for the time that is given, and then goes by its windows again.
/// Waits until it serves.
#[derive(Debug, Args)]
pub struct Wake {
    /// The app: NAME, webapp/NAME or queueprocessor/NAME.
    #[arg(value_parser = AppName::read)]
    name: AppName,
    /// For how long, such as `2h`, rather than until the end of a window.
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<Duration>,
    /// Return once it is asked for.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until it serves.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: Duration,
}

/// Puts a WebApp or QueueProcessor to sleep that has windows in which it is awake (`spec.uptime`).
///
/// It is asleep until its next window begins, or for the time that is given, and then goes by its windows again.
#[derive(Debug, Args)]
pub struct Sleep {
    /// The app: NAME, webapp/NAME or queueprocessor/NAME.
    #[arg(value_parser = AppName::read)]
    name: AppName,
    /// For how long, such as `2h`, rather than until the next window begins.
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<Duration>,
}

/// What is wanted of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Awake,
    Asleep,
}

/// The values of the two annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    awake_until: Option<String>,
    asleep_until: Option<String>,
}

impl Said {
    fn word(&self) -> Word {
        Word::read(self.awake_until.as_deref(), self.asleep_until.as_deref())
    }
}

/// Runs `drover wake`.
pub async fn wake(command: Wake, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    match command.name.kind(&session).await? {
        AppKind::WebApp => wake_one::<WebApp>(&session, &command).await,
        AppKind::QueueProcessor => wake_one::<QueueProcessor>(&session, &command).await,
    }
}

async fn wake_one<A: App>(session: &Session, command: &Wake) -> Result<Verdict, Error> {
    let (kind, name) = (A::KIND, &command.name.name);
    let phrase = say::<A>(session, name, Wish::Awake, command.lasts).await?;
    let id = format!("{}/{name}", session.namespace());
    if command.no_wait {
        output::print(&format!("{kind} {id} is {phrase}; `drover status` shows how it gets on.\n"))?;
        return Ok(Verdict::Good);
    }
    output::progress(&format!("{kind} {id} is {phrase}; waiting for at most {} …", command.timeout));
    let apps: Api<A> = Api::namespaced(session.client(), session.namespace());
    let action = format!("watch {kind} {id}");
    let mut last = None;
    let serves = watch::until(session, apps, name, &action, command.timeout.into(), |app| {
        last = app.and_then(|app| ready(app)).map(|ready| ready.message.clone());
        app.and_then(|app| has_woken(app))
    })
    .await?;
    let why = last.unwrap_or_else(|| "no controller has looked at it yet".to_owned());
    let (verdict, text) = match serves {
        Some(true) => (Verdict::Good, format!("{kind} {id} serves, and is {phrase}.\n")),
        Some(false) => (Verdict::NotReady, format!("{kind} {id} is {phrase}, and needs your attention: {why}\n")),
        None => {
            let waited = command.timeout;
            (Verdict::NotReady, format!("{kind} {id} does not serve after {waited}, and drover goes on: {why}\n"))
        }
    };
    output::print(&text)?;
    Ok(verdict)
}

/// Runs `drover sleep`.
pub async fn sleep(command: Sleep, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let (name, lasts) = (&command.name.name, command.lasts);
    let (kind, phrase) = match command.name.kind(&session).await? {
        AppKind::WebApp => (WebApp::KIND, say::<WebApp>(&session, name, Wish::Asleep, lasts).await?),
        AppKind::QueueProcessor => {
            (QueueProcessor::KIND, say::<QueueProcessor>(&session, name, Wish::Asleep, lasts).await?)
        }
    };
    output::print(&format!("{kind} {}/{name} is {phrase}.\n", session.namespace()))?;
    Ok(Verdict::Good)
}

/// Writes down what a person wants; "awake until …", as it is then.
async fn say<A: App>(session: &Session, name: &str, wish: Wish, lasts: Option<Duration>) -> Result<String, Error> {
    let apps: Api<A> = Api::namespaced(session.client(), session.namespace());
    let action = format!("read {} {}/{name}", A::KIND, session.namespace());
    let read = async { Ok(apps.get(name).await) };
    let read = session.ask(&action, read).await?;
    let app = annotate::found(session, A::KIND, name, &action, read).await?;
    let now = clock::now();
    let (windows, said) = decide(&app, session.namespace(), wish, lasts, now)?;
    let annotations = [
        (ANNOTATION_AWAKE_UNTIL, said.awake_until.as_deref()),
        (ANNOTATION_ASLEEP_UNTIL, said.asleep_until.as_deref()),
    ];
    let _: A = annotate::annotate_all(session, A::KIND, name, &annotations).await?;
    Ok(windows.phrase(&windows.judge(&said.word(), now)))
}

/// What is to be written at the app for that to come about.
fn decide<A: App>(
    app: &A,
    namespace: &str,
    wish: Wish,
    lasts: Option<Duration>,
    now: Timestamp,
) -> Result<(Windows, Said), Error> {
    let name = app.name_any();
    let refused = |problem: String, hint: String| Error::BadInput {
        what: format!("{} {namespace}/{name}", A::KIND),
        problem,
        hint,
    };
    let Some(uptime) = &app.pod().uptime else {
        let hint =
            "write spec.uptime with windows in git, or `windows: []` for an app that is asleep until somebody wakes it";
        return Err(refused("has no uptime, so it is always awake".to_owned(), hint.to_owned()));
    };
    let windows = Windows::of(uptime).map_err(|error| {
        refused(format!("has windows that cannot be read: {error}"), "correct them in git".to_owned())
    })?;
    let is_so = windows.by_the_clock(now).asleep == (wish == Wish::Asleep);
    let (verb, next) = match wish {
        Wish::Awake => ("wake", windows.next_end(now)),
        Wish::Asleep => ("sleep", windows.next_begin(now)),
    };
    let until = match lasts {
        Some(lasts) => {
            let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
            now.checked_add(SignedDuration::from_secs(seconds)).ok()
        }
        // The windows say so themselves, once nobody says otherwise.
        None if is_so => return Ok((windows, Said::default())),
        None => next,
    };
    let Some(until) = until.and_then(|until| Timestamp::from_second(until.as_second()).ok()) else {
        let problem = match (lasts, wish) {
            (Some(_), _) => "cannot be told so for so long",
            (None, Wish::Awake) => "has no window whose end it could stay awake for",
            (None, Wish::Asleep) => "has no window whose begin could wake it",
        };
        return Err(refused(problem.to_owned(), format!("say for how long: `drover {verb} {name} --for 2h`")));
    };
    let until = Some(until.to_string());
    let said = match wish {
        Wish::Awake => Said { awake_until: until, asleep_until: None },
        Wish::Asleep => Said { awake_until: None, asleep_until: until },
    };
    Ok((windows, said))
}

fn ready<A: App>(app: &A) -> Option<&Condition> {
    condition::get(app.conditions(), condition::READY)
}

/// Whether it serves as its spec asks, once the controller has seen that it is to be awake: `Some(false)` where only a person can bring
/// that about, `None` where waiting may.
fn has_woken<A: App>(app: &A) -> Option<bool> {
    let state = app.rollout().and_then(|rollout| rollout.uptime.as_ref()).map(|uptime| uptime.state);
    let is = |kind: &str| condition::get(app.conditions(), kind).is_some_and(|condition| condition.status == "True");
    match state {
        Some(UptimeState::Awake) if is(condition::READY) => Some(true),
        Some(UptimeState::Awake | UptimeState::Waking) if is(condition::STALLED) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::{PodSpec, RolloutStatus, Uptime, UptimeStatus, UptimeWindow, WebAppSpec, WebAppStatus};
    use serde_json::json;

    use super::*;

    fn app(windows: Option<&[(&str, &str)]>) -> WebApp {
        let window =
            |(from, to): &(&str, &str)| UptimeWindow { days: Vec::new(), from: (*from).into(), to: (*to).into() };
        let uptime =
            windows.map(|windows| Uptime { windows: windows.iter().map(window).collect(), ..Uptime::default() });
        WebApp::new("web", WebAppSpec { pod: PodSpec { uptime, ..PodSpec::default() }, ..WebAppSpec::default() })
    }

    fn decided(
        windows: &[(&str, &str)],
        wish: Wish,
        lasts: Option<&str>,
        now: &str,
    ) -> Result<[Option<String>; 2], String> {
        let lasts = lasts.map(|text| text.parse().expect("a duration"));
        let decided = decide(&app(Some(windows)), "shop", wish, lasts, now.parse().expect("a time"));
        let text = |error: Error| anstream::adapter::strip_str(&error.to_text()).to_string();
        decided.map(|(_, said)| [said.awake_until, said.asleep_until]).map_err(text)
    }

    const DAYS: &[(&str, &str)] = &[("08:00", "22:00")];
    const NOON: &str = "2026-11-27T12:00:00.5Z";
    const NIGHT: &str = "2026-11-27T23:00:00Z";

    #[test]
    fn what_is_said_lasts_until_the_windows_say_the_same_or_as_long_as_was_asked() {
        let until = |text: &str| Some(text.to_owned());
        for (wish, lasts, now, said) in [
            (Wish::Awake, None, NIGHT, [until("2026-11-28T22:00:00Z"), None]),
            (Wish::Awake, Some("2h"), NIGHT, [until("2026-11-28T01:00:00Z"), None]),
            (Wish::Awake, None, NOON, [None, None]),
            (Wish::Awake, Some("12h"), NOON, [until("2026-11-28T00:00:00Z"), None]),
            (Wish::Asleep, None, NOON, [None, until("2026-11-28T08:00:00Z")]),
            (Wish::Asleep, Some("1h"), NOON, [None, until("2026-11-27T13:00:00Z")]),
            (Wish::Asleep, None, NIGHT, [None, None]),
        ] {
            assert_eq!(decided(DAYS, wish, lasts, now), Ok(said), "{wish:?} {lasts:?} {now}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said_with_what_can() {
        for (windows, wish, told) in [
            (&[][..], Wish::Awake, "say for how long: `drover wake web --for 2h`"),
            (&[("00:00", "24:00")], Wish::Asleep, "say for how long: `drover sleep web --for 2h`"),
        ] {
            let text = decided(windows, wish, None, NOON).expect_err("refused");
            assert!(text.starts_with("error: WebApp shop/web ") && text.contains(told), "{text}");
        }
        let always = decide(&app(None), "shop", Wish::Asleep, None, NOON.parse().expect("a time"));
        let text = always.expect_err("refused").to_text();
        assert!(text.contains("has no uptime, so it is always awake") && text.contains("windows: []"), "{text}");
        assert!(decided(&[("8", "9")], Wish::Awake, None, NOON).expect_err("refused").contains("cannot be read"));
    }

    #[test]
    fn it_has_woken_when_the_controller_says_that_it_is_awake_and_ready_or_needs_a_person() {
        let status = |state: UptimeState, kind: &str| {
            let condition = json!({"type": kind, "status": "True", "reason": "R", "message": "M", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let uptime = Some(UptimeStatus { state, ..Default::default() });
            let status = WebAppStatus {
                conditions: vec![serde_json::from_value(condition).expect("a condition")],
                rollout: RolloutStatus { uptime, ..RolloutStatus::default() },
                ..WebAppStatus::default()
            };
            WebApp { status: Some(status), ..app(None) }
        };
        for (state, condition, woken) in [
            (UptimeState::Awake, "Ready", Some(true)),
            (UptimeState::Awake, "Reconciling", None),
            (UptimeState::Awake, "Stalled", Some(false)),
            (UptimeState::Waking, "Stalled", Some(false)),
            (UptimeState::Waking, "Ready", None),
            // What is said of it is from before.
            (UptimeState::Asleep, "Ready", None),
            (UptimeState::Asleep, "Stalled", None),
        ] {
            assert_eq!(has_woken(&status(state, condition)), woken, "{state:?} {condition}");
        }
    }
}
