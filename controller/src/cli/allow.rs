//! `drover allow`: a namespace opts in.

use clap::Args;
use drover_core::render::Object;

use super::global::{Format, Global};
use super::opt_in::{self, Subject};
use super::session::Session;
use super::{Error, Verdict, apply, deployer, output};

/// Lets drover work in a namespace, as an account of that namespace.
///
/// Makes the service account `drover` in the namespace, binds it to the ClusterRole `drover-deployer` there, and lets the
/// controller act as this one account. drover can then do in the namespace what the account can, and nothing more; give the
/// account further RoleBindings to let it do more. The chart's value `namespaces` makes the same objects.
///
/// Where the ClusterRole `drover-deployer` does not exist, because drover was not installed with its chart, it is made too.
#[derive(Debug, Args)]
pub struct Allow {
    /// The namespace that opts in.
    #[arg(value_name = "NAMESPACE")]
    pub tenant: String,
    /// Who the controller is.
    #[command(flatten)]
    pub controller: ControllerIdentity,
    /// Also let what is in git say what otherwise only a person says of the namespace's Environments: their guards
    /// (`deletionPolicy`, `prune`, the confirmation of a removal), Secrets, hosts and service accounts.
    #[arg(long)]
    pub environments_from_git: bool,
    /// Print the objects (with -o yaml or json) and ask no cluster.
    #[arg(long)]
    pub dry_run: bool,
    /// Take the opt-in back. What is applied in the namespace stays, and nobody looks after it.
    #[arg(long)]
    pub revoke: bool,
}

/// Who the controller is to the API server.
#[derive(Clone, Debug, Args)]
pub struct ControllerIdentity {
    /// The service account that the controller runs as.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "drover-system/drover")]
    pub controller_service_account: Subject,
    /// The user that a controller outside the cluster is; wins over --controller-service-account.
    #[arg(long, value_name = "NAME")]
    pub controller_user: Option<String>,
}

impl ControllerIdentity {
    /// The subject of the role binding.
    pub fn subject(&self) -> Subject {
        match &self.controller_user {
            Some(user) => Subject::User(user.clone()),
            None => self.controller_service_account.clone(),
        }
    }
}

/// Runs the command.
pub async fn run(command: Allow, global: &Global) -> Result<Verdict, Error> {
    let mut objects = opt_in::objects(&command.tenant, &command.controller.subject());
    if command.environments_from_git || command.revoke {
        objects.extend(opt_in::environments_from_git(&command.tenant));
    }
    if command.dry_run {
        output::print(&output::objects(&objects, global.output))?;
        return Ok(Verdict::Good);
    }
    let session = Session::open(&global.target).await?;
    let text = if command.revoke {
        revoke(&session, &command.tenant, &objects).await?
    } else {
        let made = grant(&session, &objects).await?;
        match global.output {
            Format::Text => said(&command, &made),
            format => output::objects(&made, format),
        }
    };
    output::print(&text)?;
    Ok(Verdict::Good)
}

/// Applies the opt-in, and before it the ClusterRole where that is missing; what was applied.
pub(super) async fn grant(session: &Session, opt_in: &[Object]) -> Result<Vec<Object>, Error> {
    let roles = deployer::cluster_roles();
    let mut wanted = Vec::new();
    for role in &roles {
        if role.name() == opt_in::DEPLOYER && deployer_is_missing(session, role).await? {
            wanted.extend(roles.iter().cloned());
        }
    }
    wanted.extend(opt_in.iter().cloned());
    for object in &wanted {
        if let Err(error) = apply::apply(session, object).await {
            return Err(apply::suggest_namespaces(session, error).await);
        }
    }
    Ok(wanted)
}

/// Whether the ClusterRole is not there. Who may not look is told nothing about it: binding it will say.
async fn deployer_is_missing(session: &Session, role: &Object) -> Result<bool, Error> {
    match apply::live(session, role).await {
        Ok(live) => Ok(live.is_none()),
        Err(Error::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn revoke(session: &Session, tenant: &str, objects: &[Object]) -> Result<String, Error> {
    let mut gone = Vec::new();
    // The right to act as the account goes first, the account last.
    for object in objects.iter().rev() {
        if apply::delete(session, object).await? {
            gone.push(object.key());
        }
    }
    Ok(if gone.is_empty() {
        format!("Namespace {tenant} had not opted in: there is nothing to take back.\n")
    } else {
        format!(
            "drover no longer works in namespace {tenant}; what it applied stays as it is. Deleted: {}.\n",
            apply::listed(&gone)
        )
    })
}

fn said(command: &Allow, made: &[Object]) -> String {
    let role = if made.iter().any(|object| object.namespace().is_none()) {
        "The ClusterRole drover-deployer did not exist and was made.\n"
    } else {
        ""
    };
    format!(
        "{role}drover may work in namespace {tenant}: the {controller} acts there as service account {tenant}/drover.\n",
        tenant = command.tenant,
        controller = command.controller.subject(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::testing::{Asked, refusal, server};

    fn controller() -> Subject {
        "drover-system/drover".parse().expect("a subject")
    }

    /// Answers as a cluster that has everything: what is applied comes back.
    fn kind_cluster(asked: &Asked) -> (u16, serde_json::Value) {
        match asked.method.as_str() {
            "PATCH" => (200, asked.body.clone()),
            _ => (
                200,
                json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "uid": "u", "labels": opt_in::labels()}}),
            ),
        }
    }

    #[tokio::test]
    async fn the_opt_in_is_applied_without_force_by_one_field_manager() {
        let (client, asked) = server(kind_cluster);
        let session = Session::over(client, "default");
        let made = grant(&session, &opt_in::objects("shop", &controller())).await.expect("granted");
        assert_eq!(made.len(), 4);
        let asked = asked.lock().expect("no panic").clone();
        let lines: Vec<String> = asked.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[tokio::test]
    async fn a_cluster_without_the_chart_gets_the_cluster_role_first() {
        let (client, asked) = server(|asked| match asked.method.as_str() {
            "GET" => refusal(404, "not found", "drover-deployer", "clusterroles"),
            _ => kind_cluster(asked),
        });
        let session = Session::over(client, "default");
        let made = grant(&session, &opt_in::objects("shop", &controller())).await.expect("granted");
        assert_eq!(made.iter().filter(|object| object.kind() == "ClusterRole").count(), 2);
        assert!(asked.lock().expect("no panic")[1].path.contains("/clusterroles/drover-deployer-builtin?"));
    }

    #[tokio::test]
    async fn a_missing_namespace_is_told_with_the_one_that_was_meant() {
        let (client, _) = server(|asked| {
            match (asked.method.as_str(), asked.path.starts_with("/api/v1/namespaces?")) {
                ("GET", true) => {
                    let items = json!([{"metadata": {"name": "shop"}}, {"metadata": {"name": "kube-system"}}]);
                    (
                        200,
                        json!({"apiVersion": "v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items}),
                    )
                }
                ("PATCH", _) => refusal(404, "namespaces \"shpo\" not found", "shpo", "namespaces"),
                _ => kind_cluster(asked),
            }
        });
        let session = Session::over(client, "default");
        let error = grant(&session, &opt_in::objects("shpo", &controller())).await.expect_err("no such namespace");
        assert_eq!(error.to_string(), "there is no namespace `shpo`");
        assert!(error.hint().is_some_and(|hint| hint.starts_with("there is `shop`")), "{error:?}");
    }

    #[tokio::test]
    async fn what_others_set_otherwise_is_a_conflict_and_not_overwritten() {
        let (client, _) = server(|asked| match asked.method.as_str() {
            "PATCH" => {
                refusal(409, "conflict with \"kubectl\": .automountServiceAccountToken", "drover", "serviceaccounts")
            }
            _ => kind_cluster(asked),
        });
        let session = Session::over(client, "default");
        let error = grant(&session, &opt_in::objects("shop", &controller())).await.expect_err("a conflict");
        assert!(error.to_string().starts_with("ServiceAccount shop/drover exists already and differs: "), "{error}");
    }

    #[test]
    fn git_may_guard_environments_only_where_that_is_asked_for() {
        let rules: Vec<_> = opt_in::environments_from_git("shop")
            .iter()
            .map(|object| object.json()["metadata"]["name"].clone())
            .collect();
        assert_eq!(rules, [opt_in::ENVIRONMENTS, opt_in::ENVIRONMENTS]);
        let without = opt_in::objects("shop", &controller());
        assert!(
            without
                .iter()
                .all(|object| !object.json().get("rules").is_some_and(|rules| rules.to_string().contains("guards")))
        );
    }

    #[tokio::test]
    async fn taking_back_deletes_the_very_objects_and_leaves_strangers_alone() {
        let (client, asked) = server(kind_cluster);
        let session = Session::over(client, "default");
        let text = revoke(&session, "shop", &opt_in::objects("shop", &controller())).await.expect("revoked");
        assert!(text.contains("RoleBinding shop/drover-impersonate, Role shop/drover-impersonate"), "{text}");
        let asked = asked.lock().expect("no panic").clone();
        let deleted: Vec<_> = asked.iter().filter(|asked| asked.method == "DELETE").collect();
        assert_eq!(deleted.len(), 4);
        assert!(deleted.iter().all(|asked| asked.body["preconditions"]["uid"] == "u"), "{deleted:?}");

        let (client, asked) =
            server(|_| (200, json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "uid": "u"}})));
        let error = revoke(&Session::over(client, "default"), "shop", &opt_in::objects("shop", &controller())).await;
        assert!(matches!(error, Err(Error::NotOurs { .. })), "{error:?}");
        assert!(asked.lock().expect("no panic").iter().all(|asked| asked.method == "GET"));
    }
}
