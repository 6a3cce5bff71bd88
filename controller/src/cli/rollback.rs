//! `drover rollback`: an app that follows a tag goes back to its last good image.

use clap::Args;
use drover_core::release::{Hold, NoTarget, reference, status, target};
use drover_crds::{
    ANNOTATION_HOLD_IMAGE, Duration, QueueProcessor, ReleaseStep, RolloutStatus, UptimeState, WebApp, condition,
};
use kube::{Api, ResourceExt as _};

use super::app::{App, AppKind, AppName};
use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, annotate, output, watch};

/// Brings a WebApp or QueueProcessor that follows a tag back to the image of its last good release.
///
/// That image is kept while the tag points to the bad one, whatever is pushed to git meanwhile. As soon as the tag points elsewhere
/// it is followed again. A second time goes one further back. Waits until the image serves.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The app: NAME, webapp/NAME or queueprocessor/NAME.
    #[arg(value_parser = AppName::read)]
    name: AppName,
    /// Back to the image of that release, rather than to the last good one.
    #[arg(long, value_name = "RELEASE", conflicts_with = "end")]
    to: Option<i64>,
    /// Keep no image any more: forth to the one that the tag points to.
    #[arg(long)]
    end: bool,
    /// Return once it is asked for.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until the image serves.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: Duration,
}

/// Runs the command.
pub async fn run(command: Rollback, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    match command.name.kind(&session).await? {
        AppKind::WebApp => go_back::<WebApp>(&session, &command).await,
        AppKind::QueueProcessor => go_back::<QueueProcessor>(&session, &command).await,
    }
}

async fn go_back<A: App>(session: &Session, command: &Rollback) -> Result<Verdict, Error> {
    let (name, kind) = (&*command.name.name, A::KIND);
    let apps: Api<A> = Api::namespaced(session.client(), session.namespace());
    let action = format!("read {kind} {}/{name}", session.namespace());
    let read = async { Ok(apps.get(name).await) };
    let read = session.ask(&action, read).await?;
    let app = annotate::found(session, kind, name, &action, read).await?;
    let id = format!("{kind} {}/{name}", session.namespace());
    let annotation = app.annotations().get(ANNOTATION_HOLD_IMAGE);
    let hold = if command.end { None } else { Some(chosen(&app, &id, annotation, command.to)?) };
    if hold.is_none() && annotation.is_none() {
        output::print(&format!("{id} keeps no image: it runs what its tag points to.\n"))?;
        return Ok(Verdict::Good);
    }
    let value = hold.as_ref().map(Hold::to_string);
    let _: A = annotate::annotate(session, kind, name, ANNOTATION_HOLD_IMAGE, value.as_deref()).await?;
    let goes = match &hold {
        Some(hold) => format!("goes back to the image of release {}", hold.release),
        None => "goes forth to the image that its tag points to".to_owned(),
    };
    if command.no_wait {
        output::print(&format!("{id} {goes}; `drover status` shows how it gets on.\n"))?;
        return Ok(Verdict::Good);
    }
    output::progress(&format!("{id} {goes}; waiting for at most {} …", command.timeout));
    let mut last = None;
    let serves = watch::until(session, apps, name, &action, command.timeout.into(), |app: Option<&A>| {
        let app = app?;
        let serves = app.rollout().and_then(|rollout| serves(rollout, hold.as_ref()));
        last = condition::get(app.conditions(), condition::READY).map(|ready| ready.message.clone());
        serves
    })
    .await?;
    if let Some((release, asleep)) = serves {
        let image = hold.map_or_else(
            || "the image that its tag points to".to_owned(),
            |hold| format!("the image of release {}", hold.release),
        );
        let when = if asleep { " when it wakes" } else { "" };
        output::print(&format!("{id} runs {image}{when}, as release {release}.\n"))?;
        return Ok(Verdict::Good);
    }
    let why = last.unwrap_or_else(|| "no controller has looked at it yet".to_owned());
    output::print(&format!("{id} {goes}, and does not serve after {}: {why}\n", command.timeout))?;
    Ok(Verdict::NotReady)
}

/// The image to keep, where there is one.
fn chosen<A: App>(app: &A, id: &str, annotation: Option<&String>, to: Option<i64>) -> Result<Hold, Error> {
    let (what, status) = (id.to_owned(), app.rollout().cloned().unwrap_or_default());
    let pod = app.pod();
    if pod.image_policy.is_none() {
        let problem = "follows no tag, so git says which image it runs".to_owned();
        return Err(Error::BadInput { what, problem, hint: in_git(&status) });
    }
    let current = annotation.and_then(|text| Hold::parse(text));
    target(&status, &pod.image, current.as_ref(), to).map_err(|why| {
        let hint = match why {
            NoTarget::Unseen => "`drover status` says what the registry answers".to_owned(),
            NoTarget::Same(_) => {
                format!("`drover rollback {} --end` goes back to it where another is kept", app.name_any())
            }
            NoTarget::Nothing | NoTarget::NothingBefore(_) => "push another image under the tag".to_owned(),
            NoTarget::Unknown(_) | NoTarget::NeverLive(_) | NoTarget::Elsewhere(_) => {
                let live: Vec<String> = status::last_live(&status, i64::MAX).map(|number| number.to_string()).collect();
                format!("releases that were live: {}", live.join(", "))
            }
        };
        Error::BadInput { what, problem: format!("cannot go back: {why}"), hint }
    })
}

/// What to do about an app whose image git says.
fn in_git(status: &RolloutStatus) -> String {
    let newest = status.release.as_ref();
    let short = |commit: &str| commit.chars().take(12).collect::<String>();
    let revert = match newest.and_then(|release| release.commit.as_deref()) {
        Some(commit) => format!("revert it there, with `git revert --no-edit {}` and a push", short(commit)),
        None => "write the image of before into spec.image again".to_owned(),
    };
    let before = newest.and_then(|newest| status::last_live(status, newest.number).next());
    match before.and_then(|number| status.history.iter().find(|record| record.number == number)) {
        Some(good) => {
            let commit = good.commit.as_deref().map(|c| format!(", commit {}", short(c))).unwrap_or_default();
            format!("{revert}; the last good release before it was {}{commit}", good.number)
        }
        None => revert,
    }
}

/// The release that serves with the image of `hold`, or without one with that of the tag, and whether it waits for the app to wake; `None`
/// while none does.
fn serves(status: &RolloutStatus, hold: Option<&Hold>) -> Option<(i64, bool)> {
    let (image, release) = (status.image.as_ref()?, status.release.as_ref()?);
    let kept = image.hold.as_ref().map(|held| &*held.digest);
    let wanted = match hold {
        Some(hold) => Some(&*hold.digest),
        None => image.digest.as_deref(),
    };
    let is_noted = kept == hold.map(|hold| &*hold.digest);
    let runs = wanted.is_some() && reference::digest(&release.image) == wanted;
    let asleep = status.uptime.as_ref().is_some_and(|uptime| uptime.state == UptimeState::Asleep);
    let waits = asleep && release.step > ReleaseStep::PullImage;
    (is_noted && runs && (waits || release.step == ReleaseStep::Live)).then_some((release.number, asleep))
}

#[cfg(test)]
mod tests {
    use drover_crds::{
        Follow, HoldStatus, ImagePolicy, ImageStatus, PodSpec, ReleaseOutcome, ReleaseRecord, UptimeStatus, WebAppSpec,
        WebAppStatus,
    };
    use serde_json::json;

    use super::*;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    /// Releases that were live with the images a, b and so on, the last of which its tag points to.
    fn app(live: i64, follows: bool) -> WebApp {
        let image = |number: i64| format!("web:prod@{}", digest(char::from(b'`' + u8::try_from(number).expect("few"))));
        let record = |number: i64| ReleaseRecord {
            number,
            commit: Some(format!("c{number}")),
            image: image(number),
            outcome: ReleaseOutcome::Live,
            put_back: None,
            at: None,
        };
        let release = serde_json::from_value(
            json!({"number": live, "commit": format!("c{live}"), "image": image(live), "step": "Live"}),
        );
        let rollout = RolloutStatus {
            image: Some(ImageStatus {
                tag: "prod".into(),
                digest: reference::digest(&image(live)).map(str::to_owned),
                ..ImageStatus::default()
            }),
            release: Some(release.expect("a release")),
            history: (1..=live).rev().map(record).collect(),
            ..RolloutStatus::default()
        };
        let image_policy = follows.then_some(ImagePolicy { follow: Follow::Tag });
        let pod = PodSpec { image: "web:prod".into(), image_policy, ..PodSpec::default() };
        let mut app = WebApp::new("web", WebAppSpec { pod, ..WebAppSpec::default() });
        app.status = Some(WebAppStatus { rollout, ..WebAppStatus::default() });
        app
    }

    #[test]
    fn who_cannot_go_back_is_told_what_to_do() {
        let told = |app: &WebApp, to| {
            chosen(app, "WebApp shop/web", None, to)
                .map_err(|error| anstream::adapter::strip_str(&error.to_text()).to_string())
        };
        assert_eq!(told(&app(3, true), None), Ok(Hold { release: 2, digest: digest('b'), bad: digest('c') }));
        let refused = [
            (
                app(2, false),
                None,
                "revert it there, with `git revert --no-edit c2` and a push; the last good release before it was 1, commit c1",
            ),
            (app(1, true), None, "push another image under the tag"),
            (app(3, true), Some(3), "`drover rollback web --end`"),
            (app(2, true), Some(9), "releases that were live: 2, 1"),
        ];
        for (app, to, hint) in refused {
            let text = told(&app, to).expect_err("refused");
            assert!(text.starts_with("error: WebApp shop/web ") && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn it_serves_when_the_controller_has_noted_it_and_the_release_is_live() {
        let mut status = app(3, true).status.expect("a status").rollout;
        let hold = Hold { release: 2, digest: digest('b'), bad: digest('c') };
        assert_eq!(serves(&status, None), Some((3, false)));
        assert_eq!(serves(&status, Some(&hold)), None);
        let noted = HoldStatus { release: 2, digest: digest('b'), message: String::new() };
        status.image.as_mut().expect("an image").hold = Some(noted);
        assert_eq!((serves(&status, None), serves(&status, Some(&hold))), (None, None));
        let release = status.release.as_mut().expect("a release");
        release.number = 4;
        release.image = format!("web:prod@{}", digest('b'));
        assert_eq!((serves(&status, None), serves(&status, Some(&hold))), (None, Some((4, false))));
        status.release.as_mut().expect("a release").step = ReleaseStep::Rollout;
        assert_eq!(serves(&status, Some(&hold)), None);
        // Nobody waits for the morning.
        status.uptime = Some(UptimeStatus { state: UptimeState::Asleep, ..Default::default() });
        assert_eq!(serves(&status, Some(&hold)), Some((4, true)));
    }
}
