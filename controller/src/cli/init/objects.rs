//! The objects that `drover init` makes, from what a person asked for.

use drover_core::render::Object;
use drover_crds::{Environment, EnvironmentSpec, LocalObjectReference, Source, Webhook};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::ObjectMeta;

use super::Init;
use super::login::Login;
use crate::cli::opt_in;

/// The webhook's secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// No webhook is asked for.
    Absent,
    /// The Secret is there already and is kept: the git host knows it.
    Kept,
    /// To be written.
    New(String),
}

/// Everything that decides what is made.
pub struct Request<'a> {
    /// Where.
    pub namespace: String,
    /// What the repository asks for.
    pub login: Login,
    /// Nothing was given for the Secret NAME-git, and it is there already.
    pub keeps_login: bool,
    /// The webhook's secret.
    pub webhook: Token,
    /// The options.
    pub command: &'a Init,
}

impl Request<'_> {
    /// All objects in the order of applying, the namespace left out.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = self.opt_in();
        objects.extend(self.secrets());
        objects.push(self.environment());
        objects
    }

    /// What `drover allow` makes.
    pub fn opt_in(&self) -> Vec<Object> {
        opt_in::objects(&self.namespace, &self.command.controller.subject())
    }

    /// The Secrets to write.
    pub fn secrets(&self) -> Vec<Object> {
        let mut secrets = Vec::new();
        if !self.login.is_empty() {
            secrets.push(self.secret(&git_secret(&self.command.name), &self.login));
        }
        if let Token::New(token) = &self.webhook {
            let data = [("token".to_owned(), token.clone())].into();
            secrets.push(self.secret(&webhook_secret(&self.command.name), &data));
        }
        secrets
    }

    fn secret(&self, name: &str, data: &Login) -> Object {
        Object::built(&Secret {
            metadata: opt_in::metadata(Some(&self.namespace), name),
            type_: Some("Opaque".to_owned()),
            data: Some(data.iter().map(|(key, text)| (key.clone(), ByteString(text.clone().into_bytes()))).collect()),
            ..Secret::default()
        })
    }

    /// The Environment. It has no labels: it may move into git later, where others label it.
    pub fn environment(&self) -> Object {
        let reference = |name: String| LocalObjectReference { name };
        let name = &self.command.name;
        let spec = EnvironmentSpec {
            source: Source {
                url: self.command.url.clone(),
                reference: self.command.reference(),
                path: self.command.path.clone(),
                interval: None,
                secret_ref: (self.keeps_login || !self.login.is_empty()).then(|| reference(git_secret(name))),
                webhook: (self.webhook != Token::Absent)
                    .then(|| Webhook { secret_ref: reference(webhook_secret(name)) }),
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
        };
        let mut environment = Environment::new(name, spec);
        environment.metadata.namespace = Some(self.namespace.clone());
        Object::built(&environment)
    }
}

/// The namespace itself.
pub fn namespace(name: &str) -> Object {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Object::built(&Namespace { metadata, ..Namespace::default() })
}

/// The Secret with what the repository asks for.
pub fn git_secret(environment: &str) -> String {
    format!("{environment}-git")
}

/// The Secret with the webhook's token.
pub fn webhook_secret(environment: &str) -> String {
    format!("{environment}-webhook")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::global::Format;
    use crate::cli::{Cli, Command, output};

    fn command(line: &str) -> Init {
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        match cli.command {
            Command::Init(command) => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_secret_and_the_environment_that_names_it() {
        let command = command(
            "drover init prod --url https://git.example.org/shop.git --path deploy --username ci --password-stdin --webhook",
        );
        let login = [("username", "ci"), ("password", "hunter2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let request = Request {
            namespace: "shop".to_owned(),
            login,
            keeps_login: false,
            webhook: Token::New("t0k3n".to_owned()),
            command: &command,
        };
        let objects = request.objects();
        assert_eq!(objects.len(), 7);
        insta::assert_snapshot!(output::objects(&objects[4..], Format::Yaml));
    }

    #[test]
    fn a_public_repository_needs_no_secret() {
        let command = command("drover init prod --url https://git.example.org/shop.git --path deploy");
        let request = Request {
            namespace: "shop".to_owned(),
            login: crate::cli::init::login::read(&command).expect("nothing is asked for"),
            keeps_login: false,
            webhook: Token::Absent,
            command: &command,
        };
        assert!(request.secrets().is_empty());
        let source = request.environment().json()["spec"]["source"].clone();
        let expected = serde_json::json!({
            "url": "https://git.example.org/shop.git", "ref": {"branch": "prod"}, "path": "deploy",
        });
        assert_eq!(source, expected);
    }

    #[test]
    fn kept_secrets_are_named_and_not_written() {
        let command = command("drover init prod --url https://git.example.org/shop.git --webhook --tag v1");
        let request = Request {
            namespace: "shop".to_owned(),
            login: Login::new(),
            keeps_login: true,
            webhook: Token::Kept,
            command: &command,
        };
        assert!(request.secrets().is_empty());
        let source = request.environment().json()["spec"]["source"].clone();
        let expected = serde_json::json!({
            "url": "https://git.example.org/shop.git",
            "ref": {"tag": "v1"},
            "secretRef": {"name": "prod-git"},
            "webhook": {"secretRef": {"name": "prod-webhook"}},
        });
        assert_eq!(source, expected);
    }

    #[test]
    fn exactly_one_thing_is_followed_and_one_credential_used() {
        let base = "drover init prod --url https://h/a";
        assert_eq!(command(base).reference().branch.as_deref(), Some("prod"));
        assert_eq!(command(&format!("{base} --branch main")).reference().branch.as_deref(), Some("main"));
        for wrong in [
            "--branch a --tag b",
            "--tag a --semver 1",
            "--username u",
            "--password-stdin",
            "--username u --password-stdin --bearer-token-stdin",
            "--identity-file k",
            "--known-hosts k",
        ] {
            assert!(Cli::try_parse_from(format!("{base} {wrong}").split(' ')).is_err(), "{wrong}");
        }
    }
}
