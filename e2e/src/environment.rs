//! An `Environment`, and what its status comes to say.

use std::time::Duration;

use drover_crds::{
    Environment as Resource, EnvironmentSpec, EnvironmentStatus, LocalObjectReference, Reference, Source, Webhook,
};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::git_repo::GitRepo;
use crate::http::{Response, post, signature};
use crate::namespace::Namespace;
use crate::status::{Ready, ready};
use crate::{Commit, Controller};

/// How long drover may take to notice and apply a commit: the poll's five seconds, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// The secret that [`Environment::webhook_spec`] sets.
const WEBHOOK_TOKEN: &str = "only-the-git-host-knows-this";

/// An `Environment` of a namespace.
pub struct Environment<'a> {
    namespace: &'a Namespace,
    name: String,
}

impl Namespace {
    /// Lets this namespace follow the branch `prod` of `repo`, over TLS, looking every five seconds.
    pub async fn follow(&self, repo: &GitRepo) -> Environment<'_> {
        Environment::create(self, "prod", repo, |_| ()).await
    }
}

impl<'a> Environment<'a> {
    /// Makes one that follows the branch `prod` of `repo` over TLS with the right credential, looking every five seconds;
    /// `change` may alter the spec first.
    pub async fn create(
        namespace: &'a Namespace,
        name: &str,
        repo: &GitRepo,
        change: impl FnOnce(&mut EnvironmentSpec),
    ) -> Self {
        namespace.apply(&namespace.git_server().secret_for_https("git-read"));
        let mut spec = Self::spec(repo);
        change(&mut spec);
        namespace
            .api::<Resource>()
            .create(&PostParams::default(), &Resource::new(name, spec))
            .await
            .unwrap_or_else(|error| panic!("Environment {name} was refused: {error}"));
        Self::named(namespace, name)
    }

    /// What it says when nothing is changed; the Secret `git-read` is to be there.
    pub fn spec(repo: &GitRepo) -> EnvironmentSpec {
        Self::spec_of(repo.https())
    }

    /// The same for the repository at that address.
    pub fn spec_of(url: String) -> EnvironmentSpec {
        EnvironmentSpec {
            source: Source {
                url,
                reference: Reference { branch: Some("prod".into()), ..Reference::default() },
                path: None,
                interval: Some(drover_crds::Duration::from_secs(5)),
                secret_ref: Some(LocalObjectReference { name: "git-read".into() }),
                webhook: None,
            },
            substitute: None,
            substitute_from: Vec::new(),
            decryption: None,
            depends_on: Vec::new(),
            service_account_name: None,
            prune: None,
            deletion_policy: None,
            drift: None,
            suspend: None,
            suspend_reason: None,
        }
    }

    /// One that is there already.
    pub fn named(namespace: &'a Namespace, name: &str) -> Self {
        Self { namespace, name: name.to_owned() }
    }

    /// One that is looked at once an hour, so that only its webhook can bring a commit soon.
    pub async fn with_webhook(namespace: &'a Namespace, name: &str, repo: &GitRepo) -> Self {
        let webhook = Self::webhook_spec(namespace);
        Self::create(namespace, name, repo, |spec| {
            spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
            spec.source.webhook = Some(webhook);
        })
        .await
    }

    /// A webhook as a spec names it, with its Secret in the namespace: [`Self::webhook`] signs with that.
    pub fn webhook_spec(namespace: &Namespace) -> Webhook {
        namespace.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: hook}}\nstringData: {{token: {WEBHOOK_TOKEN}}}\n"
        ));
        Webhook { secret_ref: LocalObjectReference { name: "hook".into() } }
    }

    /// What the API server has.
    pub async fn resource(&self) -> Resource {
        let found = self.namespace.get::<Resource>(&self.name).await;
        found.unwrap_or_else(|| panic!("Environment {} of {} is gone", self.name, self.namespace.name()))
    }

    /// Its status; empty before drover wrote one.
    pub async fn status(&self) -> EnvironmentStatus {
        self.resource().await.status.unwrap_or_default()
    }

    /// The same, if the API server can be asked now.
    pub async fn try_status(&self) -> Option<EnvironmentStatus> {
        self.namespace.api::<Resource>().get(&self.name).await.ok()?.status
    }

    /// Waits until that commit is applied in full and all its objects are healthy.
    pub async fn is_ready_at(&self, commit: &Commit) -> EnvironmentStatus {
        self.comes_to(&format!("is Ready at {commit}"), |status| {
            let ready = ready(&status.conditions)?;
            let applied = status.applied.as_ref().map_or("no commit", |applied| &applied.commit);
            if applied == commit && ready.status == "True" {
                Ok(status.clone())
            } else {
                Err(format!("applied {applied}, {ready:?}, failures {:?}", status.failures))
            }
        })
        .await
    }

    /// Waits until that commit is applied in full, healthy or not.
    pub async fn has_applied(&self, commit: &Commit) -> EnvironmentStatus {
        self.comes_to(&format!("has applied {commit}"), |status| match &status.applied {
            Some(applied) if applied.commit == *commit => Ok(status.clone()),
            _ => Err(format!("applied {:?}, {:?}", status.applied, ready(&status.conditions))),
        })
        .await
    }

    /// Waits until it is not Ready, and its status, in a sentence or a failure, names all of `words`.
    pub async fn complains_of(&self, words: &[&str]) -> Ready {
        self.comes_to(&format!("is not Ready and names {words:?}"), |status| {
            let ready = ready(&status.conditions)?;
            let failures: Vec<String> =
                status.failures.iter().map(|failure| format!("{}: {}", failure.object, failure.message)).collect();
            let said = format!("{} {}", ready.message, failures.join(" "));
            if ready.status == "False" && words.iter().all(|word| said.contains(word)) {
                Ok(ready)
            } else {
                Err(format!("{ready:?}, failures {failures:?}"))
            }
        })
        .await
    }

    /// Waits until `look` finds in the status what it looks for.
    pub async fn comes_to<T>(&self, what: &str, look: impl Fn(&EnvironmentStatus) -> Result<T, String>) -> T {
        let what = format!("Environment {}/{} {what}", self.namespace.name(), self.name);
        eventually(&what, SOON, async || look(&self.status().await)).await
    }

    /// Waits until it is not Ready for that reason, for at most `patience`, and returns what it says.
    pub async fn fails_with(&self, reason: &str, patience: Duration) -> Ready {
        let what = format!("Environment {}/{} is not Ready because of {reason}", self.namespace.name(), self.name);
        eventually(&what, patience, async || {
            let ready = ready(&self.status().await.conditions)?;
            if ready.status == "False" && ready.reason == reason { Ok(ready) } else { Err(format!("{ready:?}")) }
        })
        .await
    }

    /// Asks drover to look at the repository now, as a person would who does not want to wait for the next poll.
    pub fn look_now(&self) {
        let asked = self.namespace.drover(&["reconcile", &self.name, "--namespace", self.namespace.name()]);
        assert_eq!(asked.code, 0, "drover reconcile failed:\n{}", asked.said());
    }

    /// Sends its repository's webhook as GitHub would for a push to `prod`, and returns the answer.
    pub async fn webhook(&self, repo: &GitRepo) -> Response {
        self.webhook_signed_with(repo, WEBHOOK_TOKEN).await
    }

    /// The same, sent to a controller of the test's own.
    pub async fn webhook_to(&self, controller: &Controller, repo: &GitRepo) -> Response {
        self.send_webhook(&controller.webhook(), repo, Some(WEBHOOK_TOKEN)).await
    }

    /// The same to the shared controller, signed with a secret that may be wrong.
    pub async fn webhook_signed_with(&self, repo: &GitRepo, secret: &str) -> Response {
        self.send_webhook(&Controller::shared().await.webhook(), repo, Some(secret)).await
    }

    /// The same, as anybody could send it who knows the address.
    pub async fn webhook_unsigned(&self, repo: &GitRepo) -> Response {
        self.send_webhook(&Controller::shared().await.webhook(), repo, None).await
    }

    async fn send_webhook(&self, address: &str, repo: &GitRepo, secret: Option<&str>) -> Response {
        let path = self
            .comes_to("has a webhook path", |status| status.webhook_path.clone().ok_or("no webhook path".to_owned()))
            .await;
        let body = json!({
            "ref": "refs/heads/prod",
            "after": repo.head(),
            "repository": {"clone_url": repo.https(), "ssh_url": repo.ssh()},
        })
        .to_string();
        let signed = secret.map(|secret| signature(secret, &body));
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("X-GitHub-Event", "push"),
            ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ];
        headers.extend(signed.as_deref().map(|signed| ("X-Hub-Signature-256", signed)));
        post(address, &path, &headers, &body).await.expect("the webhook receiver answers")
    }

    /// Changes it by a merge patch.
    pub async fn patch(&self, change: Value) {
        self.namespace
            .api::<Resource>()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap_or_else(|error| panic!("Environment {} was not changed: {error}", self.name));
    }

    /// Deletes it and waits until it is gone.
    pub async fn delete(&self) {
        let api = self.namespace.api::<Resource>();
        api.delete(&self.name, &DeleteParams::default()).await.expect("an Environment can be deleted");
        eventually(&format!("Environment {} is gone", self.name), SOON, async || {
            match api.get_opt(&self.name).await.expect("Environments can be read") {
                None => Ok(()),
                Some(left) => Err(format!("finalizers {:?}", left.metadata.finalizers)),
            }
        })
        .await;
    }
}
