//! `drover logs`: what a WebApp's pods wrote, crashed ones included.

mod follow;
mod instances;

use clap::Args;
use drover_crds::{COMPONENT_WEB, Duration, LABEL_COMPONENT, LABEL_INSTANCE, OwnerKind, WebApp, bounded_name};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};

use self::instances::{Instance, Log};
use super::global::{Format, Global};
use super::session::Session;
use super::{Error, Verdict, annotate, output};

/// Shows the logs of a WebApp's pods, crashed ones included.
///
/// Where a container has crashed and waits to start again, the log of the crashed one is shown. Lines begin with the pod's
/// name when there are several pods.
#[derive(Debug, Args)]
pub struct Logs {
    /// The WebApp.
    name: String,
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
    let apps: Api<WebApp> = Api::namespaced(session.client(), session.namespace());
    let id = format!("{}/{}", session.namespace(), command.name);
    // By metadata: an app that this version cannot read has logs all the same.
    if session.ask(&format!("read WebApp {id}"), apps.get_metadata_opt(&command.name)).await?.is_none() {
        return Err(annotate::not_found(&session, &apps, OwnerKind::WebApp, &command.name).await);
    }
    if command.follow {
        return follow::follow(&session, &command, global.output).await;
    }
    let pods: Api<Pod> = Api::namespaced(session.client(), session.namespace());
    let params = ListParams::default().labels(&selector(&command.name));
    let mut found = session.ask(&format!("list the pods of WebApp {id}"), pods.list(&params)).await?.items;
    found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    if found.is_empty() {
        output::warn(&format!("WebApp {id} has no pods: `drover status {}` says why", command.name));
    }
    let logs: Vec<Log> = found.iter().flat_map(|pod| instances::logs(pod, command.previous)).collect();
    let several = logs.len() > 1;
    for log in logs {
        match log {
            Log::Silent { sentence } => output::warn(&sentence),
            Log::Of(instance) => show(&session, &pods, &command, &instance, several, global.output).await?,
        }
    }
    Ok(Verdict::Good)
}

/// The web server's own pods of a WebApp.
fn selector(app: &str) -> String {
    format!("{LABEL_INSTANCE}={},{LABEL_COMPONENT}={COMPONENT_WEB}", bounded_name(app))
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
