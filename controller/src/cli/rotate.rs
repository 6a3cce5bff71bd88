//! `drover rotate`: give a Database another password.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use drover_core::database::PASSWORD;
use drover_crds::{CLI_MANAGER, Database, OwnerKind, connection_secret};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::annotate::found;
use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, output};
use crate::reconcile::database::new_password;

/// How long the controller may take to see it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives a Database another password: its server is started anew with it, and apps that read it get a release.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The Database.
    name: String,
}

/// Runs the command.
pub async fn run(command: Rotate, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let (namespace, name) = (session.namespace().to_owned(), &command.name);
    let databases: Api<Database> = Api::namespaced(session.client(), &namespace);
    let action = format!("read Database {namespace}/{name}");
    let answer = session.ask(&action, async { Ok(databases.get(name).await) }).await?;
    found(&session, OwnerKind::Database, name, &action, answer).await?;

    let (secrets, secret): (Api<Secret>, _) = (Api::namespaced(session.client(), &namespace), connection_secret(name));
    let password = new_password();
    let patch = Patch::Merge(json!({"data": {PASSWORD: STANDARD.encode(&password)}}));
    let params = PatchParams { field_manager: Some(CLI_MANAGER.to_owned()), ..PatchParams::default() };
    session.ask(&format!("patch Secret {namespace}/{secret}"), secrets.patch(&secret, &params, &patch)).await?;

    // The controller writes the password into the Secret's URL when it has taken it up.
    let began = Instant::now();
    let has = |secret: &Secret, key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value.is_some_and(|value| String::from_utf8_lossy(&value.0).contains(&password))
    };
    while began.elapsed() < PATIENCE {
        let now = session.ask(&format!("read Secret {namespace}/{secret}"), secrets.get(&secret)).await?;
        if has(&now, PASSWORD) && has(&now, "url") {
            output::print(&format!(
                "Database {namespace}/{name} has another password: its server is started anew with it, and apps that read it get a release.\n"
            ))?;
            return Ok(Verdict::Good);
        }
        sleep(Duration::from_secs(1)).await;
    }
    output::print(&format!(
        "The password of Database {namespace}/{name} is written to Secret {secret}, and no controller has taken it up within {} s: see `drover status {name}`.\n",
        PATIENCE.as_secs()
    ))?;
    Ok(Verdict::NotReady)
}
