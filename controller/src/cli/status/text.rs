//! The view as a tree that a person reads.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use drover_core::release::status::quotes;
use drover_core::sync::LAST_SYNC_FAILED;
use drover_crds::{
    ImageStatus, JobOutcome, JobStatus, Owner, OwnerKind, Problem, ReleaseStatus, ReleaseStep, condition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::bar::bar;
use super::view::{
    DataSyncView, DatabaseView, EnvironmentView, Health, Parts, QueueProcessorView, State, View, WebAppView,
};
use crate::cli::time::{Moment, age, span};

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// The whole view, with colours, ages counted from `now`.
pub fn text(view: &View, now: Moment) -> String {
    let mut text = String::new();
    for each in &view.environments {
        environment(&mut text, each, now);
    }
    parts(&mut text, &view.parts, "", None, now);
    text
}

/// One line for a change: "Environment shop/prod Failed: …".
pub fn line(kind: OwnerKind, namespace: &str, name: &str, health: &Health) -> String {
    let message = if health.message.is_empty() { String::new() } else { format!(": {}", health.message) };
    format!("{kind} {namespace}/{name} {}{message}", word(health.state))
}

fn environment(text: &mut String, environment: &EnvironmentView, now: Moment) {
    let EnvironmentView { namespace, name, health, .. } = environment;
    let _ =
        writeln!(text, "{} Environment {BOLD}{namespace}/{name}{BOLD:#}  {}", mark(health.state), word(health.state));
    if !environment.follows.is_empty() {
        let _ = writeln!(text, "    {DIM}follows{DIM:#} {}", environment.follows);
    }
    if let Some(reason) = &environment.suspended {
        let _ = writeln!(text, "    suspended: {reason}");
    }
    let applied = environment.applied.as_ref();
    match applied {
        Some(applied) => {
            let when = applied.at.as_ref().map(|at| format!(", {} ago", age(now, at))).unwrap_or_default();
            let commit = commit(&applied.commit, environment.applied_message.as_deref());
            let _ = writeln!(text, "    {DIM}applied{DIM:#} {commit}{when}: {}", objects(applied.objects));
        }
        None => {
            let _ = writeln!(text, "    {DIM}applied{DIM:#} nothing yet");
        }
    }
    if let Some(head) = environment.head.as_ref().filter(|head| applied.is_none_or(|a| a.commit != head.commit)) {
        let author = if head.author.is_empty() { String::new() } else { format!(" by {}", head.author) };
        let when = head.fetched_at.as_ref().map(|at| format!(", seen {} ago", age(now, at))).unwrap_or_default();
        let _ = writeln!(text, "    {DIM}head{DIM:#}    {}{author}{when}", commit(&head.commit, Some(&head.message)));
    }
    if let Some(path) = &environment.webhook_path {
        let _ = writeln!(text, "    {DIM}webhook{DIM:#} {path}");
    }
    // What an app says of itself stands with the app.
    let is_shown = |object: &str| {
        let mut shown = environment.parts.states();
        shown.any(|((kind, namespace, name), _)| object == Owner::new(kind, namespace, name).to_string())
    };
    if health.state != State::Ready {
        let own = match (&*health.reason, environment.failures.first(), environment.waiting_for.first()) {
            (condition::UNHEALTHY, Some(failure), _) if is_shown(&failure.object) => {
                format!("{} failed", failure.object)
            }
            (condition::PROGRESSING, _, Some(object)) if is_shown(object) => format!("waiting for {object}"),
            _ => health.message.clone(),
        };
        let _ = writeln!(text, "    {}", reason(&health.reason, &own));
    }
    // The sentence above says the first of several failures, and all of one.
    let said = usize::from(matches!(health.state, State::Failed | State::Stalled));
    for failure in environment.failures.iter().skip(said).filter(|failure| !is_shown(&failure.object)) {
        let _ = writeln!(
            text,
            "    {} {}: {}",
            mark(State::Failed),
            failure.object,
            reason(&failure.reason, &failure.message)
        );
    }
    parts(text, &environment.parts, "    ", Some(namespace), now);
}

/// What an app waits for comes before it. The namespace is said of those that are in another one.
fn parts(text: &mut String, parts: &Parts, indent: &str, namespace: Option<&String>, now: Moment) {
    let is_elsewhere = |part: &String| namespace != Some(part);
    for each in &parts.databases {
        database(text, each, indent, is_elsewhere(&each.namespace));
    }
    for sync in &parts.data_syncs {
        data_sync(text, sync, indent, is_elsewhere(&sync.namespace), now);
    }
    for app in &parts.web_apps {
        web_app(text, app, indent, is_elsewhere(&app.namespace), now);
    }
    for each in &parts.queue_processors {
        queue_processor(text, each, indent, is_elsewhere(&each.app.namespace), now);
    }
}

fn web_app(text: &mut String, app: &WebAppView, indent: &str, with_namespace: bool, now: Moment) {
    let facts = app.url.iter().cloned().collect();
    of_app(text, (OwnerKind::WebApp, app), facts, indent, with_namespace, now);
}

fn queue_processor(text: &mut String, each: &QueueProcessorView, indent: &str, with_namespace: bool, now: Moment) {
    let mut facts = Vec::new();
    if let Some(queue) = &each.queue {
        facts.push(format!("{} waiting, {} in flight", queue.ready, queue.in_flight));
        let dead = queue.dead_letters.filter(|dead| *dead > 0);
        facts.extend(dead.map(|dead| format!("{dead} dead letters")));
    }
    of_app(text, (OwnerKind::QueueProcessor, &each.app), facts, indent, with_namespace, now);
    if let Some(source) = &each.source {
        let since = source.since.as_ref().filter(|_| !source.reachable);
        let since = since.map(|since| format!("not asked for {} now: ", age(now, since))).unwrap_or_default();
        if let Some(said) = &source.message {
            let _ = writeln!(text, "{indent}    {DIM}queue{DIM:#} {since}{}", printable(said));
        }
    }
    let said = [
        (condition::MESSAGES_HELD, &each.held),
        (condition::WORKERS_NOT_CONNECTED, &each.not_connected),
        (condition::DEAD_LETTERS, &each.given_up),
    ];
    for (kind, said) in said {
        if let Some(said) = said {
            let _ = writeln!(text, "{indent}    {}", reason(kind, said));
        }
    }
}

/// What there is to see of any kind whose pods come in releases, with further facts in its first line.
fn of_app(
    text: &mut String,
    (kind, app): (OwnerKind, &WebAppView),
    further: Vec<String>,
    indent: &str,
    with_namespace: bool,
    now: Moment,
) {
    let WebAppView { namespace, name, health, .. } = app;
    let place = if with_namespace { format!("{namespace}/") } else { String::new() };
    let mut facts = vec![word(health.state)];
    if let Some(release) = &app.release {
        facts.push(format!("release {}{}", release.number, step(release, health.state)));
    }
    if let Some(serving) = app.serving {
        facts.push(format!("release {serving} serves"));
    }
    if let Some(replicas) = &app.replicas {
        facts.push(format!("{}/{} pods", replicas.ready, replicas.desired));
    }
    facts.extend(further);
    let _ = writeln!(text, "{indent}{} {kind} {BOLD}{place}{name}{BOLD:#}  {}", mark(health.state), facts.join("  "));
    for (condition, said) in [
        (condition::EXPOSE_LIMITED, &app.limited),
        (condition::ROUTES_UNAVAILABLE, &app.unavailable),
        (condition::SETTINGS_MISSING, &app.missing),
        (condition::ADDRESSES_HIDDEN, &app.hidden),
        (condition::CERTIFICATE_EXPIRING, &app.expiring),
        (condition::CERTIFICATE_INVALID, &app.unfit),
        (condition::CLOCK_CHANGE, &app.clock_change),
    ] {
        if let Some(said) = said {
            let _ = writeln!(text, "{indent}    {}", reason(condition, said));
        }
    }
    let problem = app.release.as_ref().and_then(|release| release.problem.as_ref());
    // That it is asleep stands below.
    let said = if matches!(health.state, State::Ready | State::Waiting) { String::new() } else { told(health) };
    if !said.is_empty() {
        let _ = writeln!(text, "{indent}    {said}");
    }
    if let Some(uptime) = &app.uptime {
        let _ = writeln!(text, "{indent}    {}", printable(&uptime.message));
        if let Some(problem) = &uptime.problem {
            wrong(text, problem, false, indent);
        }
    }
    if let Some(problem) = problem {
        wrong(text, problem, !said.is_empty() && quotes(&health.reason, problem), indent);
    }
    if !app.scheduled.is_empty() {
        let jobs: Vec<String> =
            app.scheduled.iter().map(|job| format!("{} {}", printable(&job.job), when(now, &job.next))).collect();
        let _ = writeln!(text, "{indent}    {DIM}next{DIM:#} {}", jobs.join(", "));
    }
    if let Some(image) = &app.image {
        following(text, image, indent, now);
    }
    if let Some(release) = &app.release {
        if let Some((revision, at)) =
            release.built_from.as_ref().and_then(|b| Some((&b.revision, b.git_is_at.as_ref()?)))
        {
            let _ = writeln!(text, "{indent}    built from {}, git is at {}", commit(revision, None), commit(at, None));
        }
        jobs(text, release, indent, now);
        if let Some(since) = &release.unavailable_since {
            let _ = writeln!(text, "{indent}    nothing serves, for {} now", age(now, since));
        } else if let Some(seconds) = release.unavailable_seconds.filter(|seconds| *seconds > 0) {
            let _ = writeln!(text, "{indent}    nothing served for {seconds} s while this release came");
        }
    }
}

fn data_sync(text: &mut String, sync: &DataSyncView, indent: &str, with_namespace: bool, now: Moment) {
    let DataSyncView { namespace, name, health, .. } = sync;
    let place = if with_namespace { format!("{namespace}/") } else { String::new() };
    let mut facts = vec![word(health.state)];
    if let Some(published) = &sync.published {
        facts.push(format!("{} files", published.files));
    }
    if let Some(at) = sync.last_sync.as_ref().and_then(|last| last.at.as_ref()) {
        facts.push(format!("synced {} ago", age(now, at)));
    }
    if let Some(since) = sync.running.as_ref().and_then(|running| running.since.as_ref()) {
        facts.push(format!("syncing for {}", age(now, since)));
    } else if let Some(next) = &sync.next {
        facts.push(format!("next {}", when(now, next)));
    }
    let _ = writeln!(text, "{indent}{} DataSync {BOLD}{place}{name}{BOLD:#}  {}", mark(health.state), facts.join("  "));
    if let Some(progress) = &sync.progress {
        let _ = writeln!(text, "{indent}    {}", bar(progress));
    }
    if let Some(said) = &sync.clock_change {
        let _ = writeln!(text, "{indent}    {}", reason(condition::CLOCK_CHANGE, said));
    }
    // Ready, and yet the last sync failed: the files are there, and somebody should know.
    if health.state != State::Ready || health.reason == LAST_SYNC_FAILED {
        let _ = writeln!(text, "{indent}    {}", told(health));
    }
}

/// "in 5m", or since when it is due.
fn when(now: Moment, time: &Time) -> String {
    match time.0.as_second() - now.timestamp() {
        left @ 1.. => format!("in {}", span(left)),
        _ => format!("due for {}", age(now, time)),
    }
}

fn database(text: &mut String, database: &DatabaseView, indent: &str, with_namespace: bool) {
    let DatabaseView { namespace, name, health, .. } = database;
    let place = if with_namespace { format!("{namespace}/") } else { String::new() };
    let mut facts = vec![word(health.state)];
    facts.extend(database.secret_name.as_ref().map(|secret| format!("Secret {secret}")));
    let _ = writeln!(text, "{indent}{} Database {BOLD}{place}{name}{BOLD:#}  {}", mark(health.state), facts.join("  "));
    if health.state != State::Ready {
        let _ = writeln!(text, "{indent}    {}", told(health));
    }
}

/// The jobs that run at moments of a release.
fn jobs(text: &mut String, release: &ReleaseStatus, indent: &str, now: Moment) {
    let told = |job: &JobStatus| match (job.outcome, &job.started_at) {
        (Some(JobOutcome::Succeeded), _) => format!("{} succeeded", job.name),
        (Some(JobOutcome::Failed), _) => format!("{} failed", job.name),
        (None, Some(since)) => format!("{} runs for {} now", job.name, age(now, since)),
        (None, None) => format!("{} waits", job.name),
    };
    if !release.jobs.is_empty() {
        let jobs = release.jobs.iter().map(told).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "{indent}    {DIM}jobs{DIM:#} {jobs}");
    }
    if let Some(last) = release.last_before_deploy {
        let _ = writeln!(
            text,
            "{indent}    none of its jobs ran, because it goes back to an earlier image: the last BeforeDeploy jobs were those of release {last}"
        );
    }
}

/// What is to be told of a tag that is followed.
fn following(text: &mut String, image: &ImageStatus, indent: &str, now: Moment) {
    if let Some(held) = &image.hold {
        let _ = writeln!(text, "{indent}    {}", printable(&held.message));
    }
    if let Some(problem) = &image.problem {
        let seen = image.last_seen.as_ref().map(|at| format!(", seen {} ago", age(now, at))).unwrap_or_default();
        let said = reason(&problem.reason, &problem.message);
        let _ = writeln!(text, "{indent}    the tag {}{seen}: {said}", printable(&image.tag));
    }
}

/// A problem with the last lines of what its program wrote; what it is was perhaps told already.
fn wrong(text: &mut String, problem: &Problem, is_told: bool, indent: &str) {
    if !is_told {
        let pod = problem.pod.as_deref().map(|pod| format!(" in pod {pod}")).unwrap_or_default();
        let _ = writeln!(text, "{indent}    {}", reason(&format!("{}{pod}", problem.reason), &problem.message));
    }
    for line in &problem.log {
        let _ = writeln!(text, "{indent}    {DIM}│{DIM:#} {}", printable(line));
    }
}

/// Where a release is, in words; nothing when it is live, or as its spec asks without being so: while the app is switched off.
fn step(release: &ReleaseStatus, state: State) -> String {
    match state {
        State::Ready => return String::new(),
        State::Waiting => return " waits for the app to wake".to_owned(),
        State::Working | State::Failed | State::Stalled | State::New | State::Unreadable => {}
    }
    let at = match release.step {
        ReleaseStep::Live => return String::new(),
        ReleaseStep::ResolveImage => "resolving the image",
        ReleaseStep::PullImage => "pulling the image",
        ReleaseStep::BeforeDeploy => "running its jobs before the pods",
        ReleaseStep::Apply => "applying",
        ReleaseStep::Rollout => "rolling out",
        ReleaseStep::Probation => "on probation",
        ReleaseStep::AfterDeploy => "running its jobs after the pods",
        ReleaseStep::Restore => "putting the last good release back",
    };
    match release.problem {
        Some(_) if state == State::Working => format!(" has trouble while {at}"),
        Some(_) => format!(" failed while {at}"),
        None => format!(" is {at}"),
    }
}

fn commit(id: &str, message: Option<&str>) -> String {
    let short: String = id.chars().take(12).collect();
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{short} \"{}\"", printable(message)),
        None => short,
    }
}

fn objects(objects: i64) -> String {
    let plural = if objects == 1 { "" } else { "s" };
    format!("{objects} object{plural}")
}

fn told(health: &Health) -> String {
    reason(&health.reason, &health.message)
}

fn reason(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", message) => printable(message),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {}", printable(message)),
    }
}

/// Text that came from a commit or a program, without what would steer the terminal.
fn printable(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

fn word(state: State) -> String {
    let style = Style::new().fg_color(Some(color(state).into()));
    let word = match state {
        State::Ready => "ready",
        State::Waiting => "asleep",
        State::Working => "working",
        State::Failed => "failed",
        State::Stalled => "needs you",
        State::New => "new",
        State::Unreadable => "unreadable",
    };
    format!("{style}{word}{style:#}")
}

fn mark(state: State) -> String {
    let style = Style::new().fg_color(Some(color(state).into())).bold();
    let mark = match state {
        State::Ready => "✓",
        State::Waiting => "☾",
        State::Working | State::New => "…",
        State::Failed | State::Stalled => "✗",
        State::Unreadable => "?",
    };
    format!("{style}{mark}{style:#}")
}

fn color(state: State) -> AnsiColor {
    match state {
        State::Ready | State::Waiting => AnsiColor::Green,
        State::Working | State::New => AnsiColor::Yellow,
        State::Failed | State::Stalled | State::Unreadable => AnsiColor::Red,
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::LABEL_OWNER;
    use jiff::Timestamp;
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::status::Objects;

    fn of(environments: &[DynamicObject], apps: &[DynamicObject]) -> View {
        let (environments, web_apps) = (environments.to_vec(), apps.to_vec());
        View::of(&Objects { environments, web_apps, ..Objects::default() }, at())
    }

    fn at() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn a_data_sync_whose_last_sync_failed_is_ready_and_says_so() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "LastSyncFailed", "message": "the last sync failed: no answer",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1});
        let sync = object(json!({"apiVersion": "drover.dev/v1alpha1", "kind": "DataSync",
            "metadata": {"name": "csv", "namespace": "shop", "generation": 1},
            "status": {"observedGeneration": 1, "conditions": [ready], "published": {"set": "0a", "files": 3, "bytes": 9},
                "next": "2026-11-21T12:40:00Z"}}));
        let view = View::of(&Objects { data_syncs: vec![sync], ..Objects::default() }, at());
        assert!(view.ready);
        let text = shown(&view);
        assert!(
            text.contains("DataSync shop/csv  ready  3 files  next in 40m")
                && text.contains("LastSyncFailed: the last sync failed"),
            "{text}"
        );
    }

    #[test]
    fn a_queue_processor_shows_its_queue_and_since_when_that_cannot_be_asked() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Live", "message": "Release 1 is live",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1});
        let processor = object(json!({"apiVersion": "drover.dev/v1alpha1", "kind": "QueueProcessor",
            "metadata": {"name": "reduce", "namespace": "shop", "generation": 1},
            "status": {"observedGeneration": 1, "conditions": [ready],
                "replicas": {"desired": 3, "ready": 2, "updated": 3, "summary": "2/3"},
                "queue": {"ready": 12, "inFlight": 3, "consumers": 3, "deadLetters": 1},
                "source": {"reachable": false, "since": "2026-11-21T11:55:00Z", "message": "the broker does not answer"}}}));
        let view = View::of(&Objects { queue_processors: vec![processor], ..Objects::default() }, at());
        let text = shown(&view);
        assert!(view.ready && view.only("reduce").is_some());
        assert!(
            text.contains("QueueProcessor shop/reduce  ready  2/3 pods  12 waiting, 3 in flight  1 dead letters")
                && text.contains("queue not asked for 5m now: the broker does not answer"),
            "{text}"
        );
    }

    fn shown(view: &View) -> String {
        let now = "2026-11-21T12:00:00Z".parse().expect("a time");
        anstream::adapter::strip_str(&text(view, now)).to_string()
    }

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    fn conditions(ready: &str, other: Option<&str>, reason: &str, message: &str) -> Value {
        let one = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1, "lastTransitionTime": "2026-11-21T11:00:00Z"});
        let mut all = vec![one("Ready", ready)];
        all.extend(other.map(|kind| one(kind, "True")));
        Value::Array(all)
    }

    #[allow(clippy::needless_pass_by_value)] // written in place by every test
    fn environment(name: &str, status: Value) -> DynamicObject {
        object(json!({
            "apiVersion": "drover.dev/v1alpha1", "kind": "Environment",
            "metadata": {"namespace": "shop", "name": name, "generation": 1},
            "spec": {"source": {"url": "https://git.example.org/shop.git", "ref": {"branch": name}, "path": "deploy"}},
            "status": status,
        }))
    }

    #[allow(clippy::needless_pass_by_value)] // written in place by every test
    fn app(name: &str, environment: Option<&str>, status: Value) -> DynamicObject {
        let labels = environment.map(|environment| json!({LABEL_OWNER: format!("env.shop.{environment}")}));
        object(json!({
            "apiVersion": "drover.dev/v1alpha1", "kind": "WebApp",
            "metadata": {"namespace": "shop", "name": name, "generation": 1, "labels": labels},
            "spec": {"image": "example/hello"},
            "status": status,
        }))
    }

    fn good() -> (Vec<DynamicObject>, Vec<DynamicObject>) {
        let commit = "1a2b3c4d5e6f7890123456789012345678901234";
        let prod = environment(
            "prod",
            json!({
                "observedGeneration": 1,
                "conditions": conditions("True", None, "Applied", "12 objects are applied and healthy"),
                "source": {"commit": commit, "message": "Add a basket", "author": "Ann", "fetchedAt": "2026-11-21T11:55:00Z"},
                "applied": {"commit": commit, "short": "1a2b3c4d5e6f", "tree": "t", "at": "2026-11-21T11:55:01Z", "objects": 12},
                "webhookPath": "/hook/abc",
            }),
        );
        let hello = app(
            "hello",
            Some("prod"),
            json!({
                "observedGeneration": 1,
                "conditions": conditions("True", None, "Live", "2 of 2 pods serve"),
                "release": {"number": 3, "image": "example/hello@sha256:1", "step": "Live", "unavailableSeconds": 4},
                "replicas": {"desired": 2, "ready": 2, "updated": 2, "summary": "2/2"},
                "url": "https://hello.example.org",
            }),
        );
        (vec![prod], vec![hello])
    }

    #[test]
    fn all_is_well() {
        let (environments, apps) = good();
        let view = of(&environments, &apps);
        assert!(view.ready);
        insta::assert_snapshot!(shown(&view));
    }

    #[test]
    fn a_broken_image_leaves_the_old_release_serving() {
        let (mut environments, _) = good();
        environments[0].data["status"]["conditions"] = conditions(
            "False",
            Some("Reconciling"),
            "Unhealthy",
            "Applied 1a2b3c4d5e6f, but WebApp shop/hello failed: release 4 does not come up",
        );
        environments[0].data["status"]["failures"] = json!([
            {"object": "WebApp shop/hello", "reason": "ImagePullBackOff", "message": "release 4 does not come up"},
            {"object": "Deployment shop/cache", "reason": "ProgressDeadlineExceeded", "message": "its pods do not come up"},
        ]);
        let message = "the image example/hello:nope does not exist: push it, or correct spec.image";
        let said = format!("Release 4 failed in step Rollout: pod hello-6f-x: {message}; release 3 goes on serving");
        let hello = app(
            "hello",
            Some("prod"),
            json!({
                "observedGeneration": 1,
                "conditions": conditions("False", Some("Stalled"), "ImagePullBackOff", &said),
                "release": {"number": 4, "image": "example/hello:nope", "step": "Rollout",
                    "problem": {"reason": "ImagePullBackOff", "message": message, "pod": "hello-6f-x", "container": "app",
                        "log": ["Traceback:", "  \u{1b}[31mKeyError\u{1b}[0m: 'DB'"]}},
                "serving": 3,
                "replicas": {"desired": 2, "ready": 2, "updated": 1, "summary": "2/2"},
            }),
        );
        let view = of(&environments, &[hello]);
        assert!(!view.ready);
        insta::assert_snapshot!(shown(&view));
    }

    #[test]
    fn an_environment_names_the_app_that_it_waits_for_and_the_app_says_why() {
        let (mut environments, _) = good();
        let message = "Applied 1a2b3c4d5e6f; waiting for WebApp shop/hello: Spec refused";
        environments[0].data["status"]["conditions"] =
            conditions("Unknown", Some("Reconciling"), "Progressing", message);
        environments[0].data["status"]["waitingFor"] = json!(["WebApp shop/hello"]);
        let problem =
            json!({"reason": "CrashLoopBackOff", "message": "its program ends with code 1", "pod": "hello-1"});
        let app = |reason: &str, said: &str| {
            app(
                "hello",
                Some("prod"),
                json!({
                    "observedGeneration": 1,
                    "conditions": conditions("False", Some("Stalled"), reason, said),
                    "release": {"number": 4, "image": "example/hello:4", "step": "Rollout", "problem": problem.clone()},
                }),
            )
        };
        // What the spec says now cannot be used, and the last release had failed for another reason.
        let refused = shown(&of(&environments, &[app("InvalidSpec", "spec.ports: there is no port")]));
        insta::assert_snapshot!(refused);
        let failed = shown(&of(&environments, &[app("CrashLoopBackOff", "Release 4 failed: pod hello-1: its end")]));
        assert!(!failed.contains("its program ends"), "it is said once: {failed}");
    }

    #[test]
    fn a_commit_that_cannot_be_read_leaves_the_old_one_applied() {
        let (mut environments, apps) = good();
        let message = "deploy/web.yaml:7: mapping values are not allowed here";
        environments[0].data["status"]["conditions"] = conditions("False", Some("Stalled"), "RenderFailed", message);
        environments[0].data["status"]["source"] = json!({"commit": "9f8e7d6c5b4a0000000000000000000000000000", "message": "Break it", "author": "Bob", "fetchedAt": "2026-11-21T11:59:30Z"});
        environments[0].data["status"]["history"] =
            json!([{"commit": "1a2b3c4d5e6f7890123456789012345678901234", "message": "Add a basket"}]);
        environments[0].data["status"]["failures"] =
            json!([{"object": "deploy/web.yaml:7", "reason": "Syntax", "message": message}]);
        insta::assert_snapshot!(shown(&of(&environments, &apps)));
    }

    #[test]
    fn what_no_controller_has_seen_what_waits_and_what_cannot_be_read() {
        let mut old = environment(
            "old",
            json!({"observedGeneration": 0, "conditions": conditions("True", None, "Applied", "fine")}),
        );
        old.data["spec"]["suspend"] = json!(true);
        old.data["spec"]["suspendReason"] = json!("change freeze");
        let strange = app("strange", None, json!({"release": "seven"}));
        let down = app(
            "down",
            None,
            json!({
                "observedGeneration": 1,
                "conditions": conditions("Unknown", Some("Reconciling"), "PullingImage", "pulling example/down:2 before the old pod stops"),
                "release": {"number": 2, "image": "example/down:2", "step": "PullImage", "unavailableSince": "2026-11-21T11:59:20Z"},
            }),
        );
        let view = of(&[environment("new", Value::Null), old], &[strange, down]);
        assert!(!view.ready);
        insta::assert_snapshot!(shown(&view));
    }

    #[test]
    fn a_tag_that_is_held_or_out_of_sight_is_told_though_the_app_is_ready() {
        let hello = app(
            "hello",
            None,
            json!({
                "observedGeneration": 1,
                "conditions": conditions("True", None, "Live", "Release 5 is live: 2 of 2 pods ready"),
                "release": {"number": 5, "image": "example/hello:prod@sha256:1", "step": "Live",
                    "builtFrom": {"revision": "1a2b3c4d5e6f7890", "gitIsAt": "4d5e6f78901234567890"}},
                "replicas": {"desired": 2, "ready": 2, "updated": 2, "summary": "2/2"},
                "image": {
                    "tag": "prod", "digest": "sha256:2", "since": "2026-11-21T10:00:00Z", "lastSeen": "2026-11-21T11:45:00Z",
                    "problem": {"reason": "ImageNotFound", "message": "the image example/hello:prod is not there"},
                    "hold": {"release": 3, "digest": "sha256:1", "message": "the image of release 3 is held"},
                },
            }),
        );
        insta::assert_snapshot!(shown(&of(&[], &[hello])), @r"
        ✓ WebApp shop/hello  ready  release 5  2/2 pods
            the image of release 3 is held
            the tag prod, seen 15m ago: ImageNotFound: the image example/hello:prod is not there
            built from 1a2b3c4d5e6f, git is at 4d5e6f789012
        ");
    }

    #[test]
    fn an_app_that_is_asleep_is_no_trouble_whatever_release_it_wakes_with() {
        let asleep =
            json!({"state": "Asleep", "message": "Asleep until 08:00 on Saturday, 28 November (Europe/London)"});
        let app = |name: &str, ready: Value, step: &str| {
            app(
                name,
                None,
                json!({
                    "observedGeneration": 1, "conditions": ready, "uptime": asleep, "asleepUntil": "2026-11-28T08:00:00Z",
                    "release": {"number": 5, "image": "example/hello:5", "step": step},
                    "replicas": {"desired": 0, "ready": 0, "updated": 0, "summary": "0/0"},
                }),
            )
        };
        let live = app("live", conditions("True", None, "ScheduledDown", "Release 5 is asleep"), "Live");
        let new =
            app("new", conditions("Unknown", Some("Reconciling"), "WaitsForWindow", "Release 5 waits"), "Rollout");
        let view = of(&[], &[live, new]);
        assert!(view.ready, "a push in the night is not waited for until the morning");
        insta::assert_snapshot!(shown(&view), @r"
        ✓ WebApp shop/live  ready  release 5  0/0 pods
            Asleep until 08:00 on Saturday, 28 November (Europe/London)
        ☾ WebApp shop/new  asleep  release 5 waits for the app to wake  0/0 pods
            Asleep until 08:00 on Saturday, 28 November (Europe/London)
        ");
    }

    #[test]
    fn the_jobs_of_a_release_stand_with_it() {
        let job = |name: &str, rest: Value| {
            let mut job = json!({"name": name, "at": "BeforeDeploy", "job": format!("hello-{name}-1")});
            job.as_object_mut().expect("a map").extend(rest.as_object().cloned().unwrap_or_default());
            job
        };
        let hello = |step: &str, jobs: Value, last: Value| {
            app(
                "hello",
                None,
                json!({
                    "observedGeneration": 1,
                    "conditions": conditions("Unknown", Some("Reconciling"), "BeforeDeploy", "Release 5: its job migrate (Job hello-migrate-1) runs before its pods start"),
                    "release": {"number": 5, "image": "example/hello:5", "step": step, "jobs": jobs, "lastBeforeDeploy": last},
                }),
            )
        };
        let jobs = json!([
            job("check", json!({"outcome": "Succeeded", "startedAt": "2026-11-21T11:59:00Z"})),
            job("migrate", json!({"startedAt": "2026-11-21T11:59:48Z"})),
            job("warm", json!({})),
        ]);
        let running = hello("BeforeDeploy", jobs, Value::Null);
        let back = hello("Rollout", json!([]), json!(4));
        insta::assert_snapshot!(shown(&of(&[], &[running, back])), @r"
        … WebApp shop/hello  working  release 5 is running its jobs before the pods
            BeforeDeploy: Release 5: its job migrate (Job hello-migrate-1) runs before its pods start
            jobs check succeeded, migrate runs for 12s now, warm waits
        … WebApp shop/hello  working  release 5 is rolling out
            BeforeDeploy: Release 5: its job migrate (Job hello-migrate-1) runs before its pods start
            none of its jobs ran, because it goes back to an earlier image: the last BeforeDeploy jobs were those of release 4
        ");
    }

    #[test]
    fn when_jobs_run_next_and_what_a_clock_change_does_to_them_is_told() {
        let mut ready = conditions("True", None, "Live", "Release 5 is live: 2 of 2 pods ready");
        let told = json!({"type": "ClockChange", "status": "True", "reason": "TimeSkipped", "message": "01:30 is skipped",
            "lastTransitionTime": "2026-11-21T11:00:00Z"});
        ready.as_array_mut().expect("a list").push(told);
        let mut hello = app("hello", None, json!({"observedGeneration": 1, "conditions": ready}));
        hello.data["spec"]["jobs"] = json!([
            {"name": "weekly", "schedule": "0 4 * * 1", "timeZone": "Europe/London", "command": ["a"]},
            {"name": "hourly", "schedule": "30 * * * *", "command": ["b"]},
            {"name": "wrong", "schedule": "30 * * *", "command": ["b"]},
            {"name": "by-hand", "command": ["c"]},
        ]);
        insta::assert_snapshot!(shown(&of(&[], &[hello])), @r"
        ✓ WebApp shop/hello  ready
            ClockChange: 01:30 is skipped
            next hourly in 30m, weekly in 40h
        ");
    }

    #[test]
    fn a_name_shows_an_environment_with_its_apps_or_an_app_alone() {
        let (environments, apps) = good();
        let view = of(&environments, &apps);
        let alone = view.clone().only("hello").expect("the app");
        assert!(alone.environments.is_empty() && alone.parts.web_apps.len() == 1 && alone.ready);
        let whole = view.clone().only("prod").expect("the Environment");
        assert_eq!(whole, view);
        assert_eq!(view.only("hella"), None);
    }

    #[test]
    fn json_says_the_same() {
        let (environments, apps) = good();
        insta::assert_json_snapshot!(of(&environments, &apps));
    }
}
