//! `drover status`: what is live, what is on its way, and why something is not.

mod bar;
mod follow;
mod progress;
mod text;
mod view;

use clap::Args;
use drover_crds::{OwnerKind, Reference};
use kube::Api;
use kube::api::{DynamicObject, ListParams};

pub use self::view::{Objects, View};
use super::global::{Format, Global};
use super::near::near;
use super::session::Session;
use super::{Error, Verdict, output, time};
use crate::clock;

/// Shows what is live, what is on its way, and why something is not.
///
/// Environments with the commit that is applied and the one at the head of the branch, and below each its apps with their
/// release, the step it is in, and for a failure the pod, the reason and the last lines of its log.
///
/// Ends with exit code 3 when something is not ready.
#[derive(Debug, Args)]
pub struct Status {
    /// Only this Environment with its apps, or this app.
    name: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Show it anew whenever something changes, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
}

/// Runs the command.
pub async fn run(command: Status, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    if command.watch {
        return follow::follow(&session, &command, global.output).await;
    }
    let objects = Box::pin(gather(&session, command.all_namespaces)).await?;
    let mut view = select(&session, &command, View::of(&objects, clock::now()))?;
    view.note(&progress::read(&session.client(), &view).await);
    output::print(&shown(&view, &command, &session, global.output))?;
    Ok(if view.ready { Verdict::Good } else { Verdict::NotReady })
}

/// Which objects are shown: those of one namespace, or of all.
fn api_of(kind: OwnerKind, session: &Session, all: bool) -> Api<DynamicObject> {
    // Untyped, so that one object that this version cannot read hides no other.
    let resource = kind.api_resource();
    if all {
        Api::all_with(session.client(), &resource)
    } else {
        Api::namespaced_with(session.client(), session.namespace(), &resource)
    }
}

async fn gather(session: &Session, all: bool) -> Result<Objects, Error> {
    let place = if all { "all namespaces".to_owned() } else { format!("namespace {}", session.namespace()) };
    let list = async |kind: OwnerKind| {
        let action = format!("list the {kind}s of {place}");
        let list = session.ask(&action, api_of(kind, session, all).list(&ListParams::default())).await?;
        Ok::<_, Error>(list.items)
    };
    let (environments, web_apps, queue_processors, data_syncs, databases) = tokio::try_join!(
        list(OwnerKind::Environment),
        list(OwnerKind::WebApp),
        list(OwnerKind::QueueProcessor),
        list(OwnerKind::DataSync),
        list(OwnerKind::Database)
    )?;
    Ok(Objects { environments, web_apps, queue_processors, data_syncs, databases })
}

/// What a person asked to see of it.
fn select(session: &Session, command: &Status, view: View) -> Result<View, Error> {
    let Some(name) = &command.name else { return Ok(view) };
    let names: Vec<String> = view.names().map(str::to_owned).collect();
    view.only(name).ok_or_else(|| Error::NotFound {
        kind: "Environment, WebApp, QueueProcessor, DataSync or Database",
        name: name.clone(),
        namespace: if command.all_namespaces { "any".to_owned() } else { session.namespace().to_owned() },
        near: near(name, names.iter().map(String::as_str)),
    })
}

fn shown(view: &View, command: &Status, session: &Session, format: Format) -> String {
    if format != Format::Text {
        return output::structured(view, format);
    }
    if view.is_empty() {
        let place = if command.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", session.namespace())
        };
        return format!("There is nothing of drover's in {place}: `drover init` makes the first.\n");
    }
    text::text(view, time::now())
}

/// "branch prod of https://…, folder deploy".
pub fn follows(reference: &Reference, url: &str, path: Option<&str>) -> String {
    let what = [
        ("branch", &reference.branch),
        ("tag", &reference.tag),
        ("versions", &reference.semver),
        ("commit", &reference.commit),
    ]
    .into_iter()
    .find_map(|(word, value)| value.as_ref().map(|value| format!("{word} {value}")))
    .unwrap_or_else(|| "nothing".to_owned());
    let folder = path.filter(|path| !path.is_empty()).map(|path| format!(", folder {path}")).unwrap_or_default();
    format!("{what} of {url}{folder}")
}
