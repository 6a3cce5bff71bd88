//! `drover logs`: what an app's pods wrote, crashed ones included.

mod follow;
mod instances;

use clap::Args;
use drover_crds::{Duration, LABEL_COMPONENT, LABEL_INSTANCE, QueueProcessor, WebApp, bounded_name};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};

use self::instances::{Instance, Log};
use super::app::{App, AppKind, AppName};
use super::global::{Format, Global};
use super::session::Session;
use super::{Error, Verdict, annotate, output};

/// Shows the logs of the pods of a WebApp or QueueProcessor, crashed ones included.
///
/// Where a container has crashed and waits to start again, the log of the crashed one is shown. Lines begin with the pod's
/// name when there are several pods.
#[derive(Debug, Args)]
pub struct Logs {
    /// The app: NAME, webapp/NAME or queueprocessor/NAME.
    #[arg(value_parser = AppName::read)]
    name: AppName,
    /// Go on with what is written from now on, in new pods too, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Only what is younger than this, such as 10m.
    #[arg(long, value_name = "DURATION")]
    since: Option<Duration>,
    /// Only the last lines of each container.
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// The containers that ran before the present ones, after a crash.
    #[arg(long, conflicts_with = "follow")]
    previous: bool,
}

/// Runs the command.
pub async fn run(command: Logs, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    match command.name.kind(&session).await? {
        AppKind::WebApp => logs::<WebApp>(&session, &command, global.output).await,
        AppKind::QueueProcessor => logs::<QueueProcessor>(&session, &command, global.output).await,
    }
}

async fn logs<A: App>(session: &Session, command: &Logs, format: Format) -> Result<Verdict, Error> {
    let (kind, name) = (A::KIND, &command.name.name);
    let apps: Api<A> = Api::namespaced(session.client(), session.namespace());
    let id = format!("{}/{name}", session.namespace());
    // By metadata: an app that this version cannot read has logs all the same.
    if session.ask(&format!("read {kind} {id}"), apps.get_metadata_opt(name)).await?.is_none() {
        return Err(annotate::not_found(session, &apps, kind, name).await);
    }
    let selector = selector::<A>(name);
    if command.follow {
        return follow::follow(session, command, &selector, format).await;
    }
    let pods: Api<Pod> = Api::namespaced(session.client(), session.namespace());
    let params = ListParams::default().labels(&selector);
    let mut found = session.ask(&format!("list the pods of {kind} {id}"), pods.list(&params)).await?.items;
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    if found.is_empty() {
        output::warn(&format!("{kind} {id} has no pods: `drover status {name}` says why"));
    }
    let logs: Vec<Log> = found.iter().flat_map(|pod| instances::logs(pod, command.previous)).collect();
    let several = logs.len() > 1;
    for log in logs {
        match log {
            Log::Silent { sentence } => output::warn(&sentence),
            Log::Of(instance) => show(session, &pods, command, &instance, several, format).await?,
        }
    }
    Ok(Verdict::Good)
}

/// An app's own pods, none of its jobs.
fn selector<A: App>(app: &str) -> String {
    format!("{LABEL_INSTANCE}={},{LABEL_COMPONENT}={}", bounded_name(app), A::COMPONENT)
}

/// What is asked of the API server for one container.
fn params(command: &Logs, instance: &Instance) -> LogParams {
    LogParams {
        container: Some(instance.container.clone()),
        previous: instance.previous,
        since_seconds: command.since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1)),
        tail_lines: command.tail.map(i64::from),
        ..LogParams::default()
    }
}

async fn show(
    session: &Session,
    pods: &Api<Pod>,
    command: &Logs,
    instance: &Instance,
    several: bool,
    format: Format,
) -> Result<(), Error> {
    if let Some(note) = &instance.note {
        output::progress(note);
    }
    let action = format!("read the log of pod {}/{}", session.namespace(), instance.pod);
    let stream = match session.ask(&action, pods.log_stream(&instance.pod, &params(command, instance))).await {
        Ok(stream) => stream,
        // The container went between the two requests; the others are still there.
        Err(error @ Error::Refused { .. }) => {
            output::warn(&error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut lines = stream.lines();
    loop {
        match lines.try_next().await {
            Ok(Some(line)) => output::print(&written(instance, &line, several, format))?,
            Ok(None) => return Ok(()),
            Err(source) => {
                return Err(Error::Io { what: format!("the log of pod {}", instance.pod), done: "read", source });
            }
        }
    }
}

/// A line as it is printed.
fn written(instance: &Instance, line: &str, several: bool, format: Format) -> String {
    if format != Format::Text {
        let line = serde_json::json!({"pod": instance.pod, "container": instance.container, "previous": instance.previous, "line": line});
        return format!("{line}\n");
    }
    if !several {
        return format!("{line}\n");
    }
    let dim = anstyle::Style::new().dimmed();
    format!("{dim}{}{dim:#} {line}\n", instance.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_pod_where_there_are_several() {
        let instance = Instance {
            pod: "hello-1".into(),
            container: "app".into(),
            id: "c://1".into(),
            previous: false,
            alone: true,
            note: None,
        };
        assert_eq!(written(&instance, "hi", false, Format::Text), "hi\n");
        let several = written(&instance, "hi", true, Format::Text);
        assert_eq!(anstream::adapter::strip_str(&several).to_string(), "hello-1 hi\n");
        let json = written(&instance, "hi", true, Format::Json);
        assert_eq!(json, "{\"container\":\"app\",\"line\":\"hi\",\"pod\":\"hello-1\",\"previous\":false}\n");
    }
}
