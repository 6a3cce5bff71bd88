//! `drover init`: a namespace follows a git branch.

mod login;
mod objects;
mod readiness;

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use drover_core::render::Object;
use drover_crds::{Duration, Environment, LEASE, Reference};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::ListParams;
use rand::Rng as _;

use self::objects::{Request, Token};
use self::readiness::Readiness;
use super::allow::{self, ControllerIdentity};
use super::global::{Format, Global};
use super::opt_in::Subject;
use super::session::Session;
use super::{Error, Verdict, apply, output, watch};

/// Lets a namespace follow a git branch: its Environment, the Secret, the opt-in.
///
/// Makes, in the namespace of -n (which is made too when it does not exist): the opt-in of `drover allow`, a Secret NAME-git
/// with what the repository asks for, with --webhook a Secret NAME-webhook with a random token, and the Environment NAME.
/// Then waits until the branch is live, and says in one line what happened. Running it again with other options changes the
/// same objects; the two Secrets are kept when nothing new is given for them.
///
/// Passwords and tokens are read from standard input, never from arguments, which other users of the machine can see:
///
///   pass git/shop | drover init prod -n shop --url https://git.example.org/shop.git --username ci --password-stdin
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[command(group = ArgGroup::new("follow").multiple(false))]
#[command(group = ArgGroup::new("credential").multiple(false).args(["username", "bearer_token_stdin", "identity_file"]))]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub struct Init {
    /// Name of the Environment, such as `prod`.
    name: String,
    /// Address of the repository: https://host/path, ssh://user@host/path or user@host:path.
    #[arg(long)]
    url: String,
    /// The branch to follow.
    #[arg(
        long,
        group = "follow",
        default_value = "prod",
        default_value_if("tag", clap::builder::ArgPredicate::IsPresent, None),
        default_value_if("semver", clap::builder::ArgPredicate::IsPresent, None),
        default_value_if("commit", clap::builder::ArgPredicate::IsPresent, None)
    )]
    branch: Option<String>,
    /// The tag to follow.
    #[arg(long, group = "follow")]
    tag: Option<String>,
    /// A range of versions, such as `>=1.2, <2`: the highest tag in it is followed.
    #[arg(long, group = "follow", value_name = "RANGE")]
    semver: Option<String>,
    /// The commit to stay at.
    #[arg(long, group = "follow", value_name = "ID")]
    commit: Option<String>,
    /// The folder in the repository that holds the manifests; default: the whole repository.
    #[arg(long, value_name = "FOLDER")]
    path: Option<String>,
    /// The user that reads the repository; its password comes from standard input.
    #[arg(long, requires = "password_stdin")]
    username: Option<String>,
    /// Read the password of --username from standard input.
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Read a bearer token from standard input.
    #[arg(long)]
    bearer_token_stdin: bool,
    /// The private SSH key that reads the repository.
    #[arg(long, value_name = "FILE", requires = "known_hosts")]
    identity_file: Option<PathBuf>,
    /// The host keys of the SSH server, as `ssh-keyscan HOST` prints them; compare the fingerprint first.
    #[arg(long, value_name = "FILE", requires = "identity_file")]
    known_hosts: Option<PathBuf>,
    /// The certificate authority that signed the git server's certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Make a webhook's secret, so that a push is applied at once.
    #[arg(long)]
    webhook: bool,
    /// Who the controller is.
    #[command(flatten)]
    controller: ControllerIdentity,
    /// Print the objects (with -o yaml or json, secrets included) and ask no cluster.
    #[arg(long)]
    dry_run: bool,
    /// Return once the objects are made.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until the branch is live.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: Duration,
}

impl Init {
    fn reference(&self) -> Reference {
        Reference {
            branch: self.branch.clone(),
            tag: self.tag.clone(),
            semver: self.semver.clone(),
            commit: self.commit.clone(),
        }
    }
}

/// Runs the command.
pub async fn run(command: Init, global: &Global) -> Result<Verdict, Error> {
    let login = login::read(&command)?;
    if command.dry_run {
        let namespace = global.target.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let request = Request {
            namespace,
            login,
            keeps_login: false,
            webhook: if command.webhook { Token::New(random_token()) } else { Token::Absent },
            command: &command,
        };
        output::print(&output::objects(&request.objects(), global.output))?;
        return Ok(Verdict::Good);
    }
    let session = Session::open(&global.target).await?;
    check(&session, &command).await?;
    make_namespace(&session).await?;
    let request = Request {
        namespace: session.namespace().to_owned(),
        keeps_login: login.is_empty() && has_secret(&session, &objects::git_secret(&command.name)).await?,
        login,
        webhook: webhook(&session, &command).await?,
        command: &command,
    };
    let environment = make(&session, &request).await?;
    if let Token::New(token) = &request.webhook {
        // On standard error, so that a pipe from standard output does not carry the secret on.
        output::progress(&format!("Secret of the webhook, shown only now: {token}"));
    }
    let readiness = if command.no_wait { None } else { Some(wait(&session, &command, &environment).await?) };
    tell(&session, &command, global.output, readiness).await
}

/// Looks before anything is written: drover's kinds must be there, and its controller should be.
async fn check(session: &Session, command: &Init) -> Result<(), Error> {
    let environments: Api<Environment> = Api::namespaced(session.client(), session.namespace());
    let looked =
        session.ask("list the Environments", environments.list_metadata(&ListParams::default().limit(1))).await;
    match looked {
        // Who may not list may still be allowed to create: the API server will say.
        Ok(_) | Err(Error::Forbidden { .. }) => {}
        Err(error) => return Err(error),
    }
    if let Subject::ServiceAccount { namespace, .. } = command.controller.subject() {
        let leases: Api<Lease> = Api::namespaced(session.client(), &namespace);
        let lease = session.ask("read the controller's Lease", leases.get_opt(LEASE)).await;
        if matches!(lease, Ok(None)) {
            output::warn(&format!(
                "no drover controller has ever run in namespace {namespace}, so nothing will be applied until one does: \
                 install it with `helm install`, or name its account with --controller-service-account"
            ));
        }
    }
    Ok(())
}

async fn make_namespace(session: &Session) -> Result<(), Error> {
    let name = session.namespace();
    let namespaces: Api<Namespace> = Api::all(session.client());
    match session.ask(&format!("read Namespace {name}"), namespaces.get_opt(name)).await {
        Ok(Some(_)) | Err(Error::Forbidden { .. }) => return Ok(()),
        Ok(None) => {}
        Err(error) => return Err(error),
    }
    apply::apply(session, &objects::namespace(name)).await?;
    output::progress(&format!("Namespace {name} did not exist and was made."));
    Ok(())
}

/// The webhook's token: a new one, or none to write where the Secret has one already.
async fn webhook(session: &Session, command: &Init) -> Result<Token, Error> {
    Ok(if has_secret(session, &objects::webhook_secret(&command.name)).await? {
        Token::Kept
    } else if command.webhook {
        Token::New(random_token())
    } else {
        Token::Absent
    })
}

/// Whether the Secret is there. Only its metadata is asked for.
async fn has_secret(session: &Session, name: &str) -> Result<bool, Error> {
    let secrets: Api<Secret> = Api::namespaced(session.client(), session.namespace());
    let there = session.ask(&format!("read Secret {name}"), secrets.get_metadata_opt(name)).await?;
    Ok(there.is_some())
}

/// Applies everything; the Environment as it is then.
async fn make(session: &Session, request: &Request<'_>) -> Result<kube::api::DynamicObject, Error> {
    let made = allow::grant(session, &request.opt_in()).await?;
    output::progress(&format!("Namespace {} has opted in ({} objects).", session.namespace(), made.len()));
    for secret in request.secrets() {
        apply::apply(session, &secret).await?;
        output::progress(&format!("{} holds what you gave.", secret.key()));
    }
    let environment: Object = request.environment();
    let live = apply::apply(session, &environment).await?;
    output::progress(&format!("{} follows {}.", environment.key(), command_source(request.command)));
    Ok(live)
}

fn command_source(command: &Init) -> String {
    super::status::follows(&command.reference(), &command.url, command.path.as_deref())
}

async fn wait(session: &Session, command: &Init, made: &kube::api::DynamicObject) -> Result<Readiness, Error> {
    output::progress(&format!("Waiting until it is live, for at most {} …", command.timeout));
    let generation = made.metadata.generation.unwrap_or_default();
    let api: Api<Environment> = Api::namespaced(session.client(), session.namespace());
    let mut last = Readiness::Waiting(None);
    let action = "watch the Environment";
    let answer = watch::until(session, api, &command.name, action, command.timeout.into(), |environment| {
        let now = environment.map_or(Readiness::Waiting(None), |environment| readiness::of(environment, generation));
        if now != last
            && let Readiness::Waiting(Some(message)) = &now
        {
            output::progress(message);
        }
        last = now.clone();
        now.is_final().then_some(now)
    })
    .await?;
    Ok(answer.unwrap_or(last))
}

/// The result: one line, or the Environment.
async fn tell(
    session: &Session,
    command: &Init,
    format: Format,
    readiness: Option<Readiness>,
) -> Result<Verdict, Error> {
    let api: Api<Environment> = Api::namespaced(session.client(), session.namespace());
    let mut environment = session.ask("read the Environment", api.get(&command.name)).await?;
    let id = format!("{}/{}", session.namespace(), command.name);
    let mut text = match &readiness {
        None => format!("Environment {id} is made; `drover status` shows how it gets on.\n"),
        Some(readiness) => format!("{}\n", readiness.sentence(&id, command.timeout)),
    };
    if command.webhook {
        let address = match environment.status.as_ref().and_then(|status| status.webhook_path.as_deref()) {
            Some(path) => format!("Give the git host the webhook address https://HOST{path}, where HOST reaches drover's webhook service.\n"),
            None => "The path of the webhook's address is not known yet: `drover status` shows it once the controller has seen the Environment.\n".to_owned(),
        };
        text.push_str(&address);
    }
    if format != Format::Text {
        environment.metadata.managed_fields = None;
        text = output::structured(&environment, format);
    }
    output::print(&text)?;
    Ok(match readiness {
        None | Some(Readiness::Ready(_)) => Verdict::Good,
        Some(_) => Verdict::NotReady,
    })
}

/// 32 random bytes as text: what nobody guesses.
fn random_token() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::cli::testing::{refusal, server};
    use crate::cli::{Cli, Command};

    fn command(line: &str) -> Init {
        match Cli::try_parse_from(line.split(' ')).expect(line).command {
            Command::Init(command) => command,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn nothing_is_written_where_drover_s_kinds_are_not_installed() {
        let (client, asked) = server(|_| refusal(404, "404 page not found", "", ""));
        let session = Session::over(client, "shop");
        let error = check(&session, &command("drover init prod --url https://h/a")).await.expect_err("no definitions");
        assert!(matches!(error, Error::NoDefinitions { .. }), "{error:?}");
        assert!(asked.lock().expect("no panic").iter().all(|asked| asked.method == "GET"));
    }

    #[tokio::test]
    async fn what_an_environment_refers_to_is_written_before_it() {
        let (client, asked) = server(|asked| match asked.method.as_str() {
            "PATCH" => (200, asked.body.clone()),
            _ => (200, json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}})),
        });
        let session = Session::over(client, "shop");
        let command = command("drover init prod --url https://h/a --webhook");
        let login = [("bearerToken".to_owned(), "t".to_owned())].into();
        let webhook = Token::New(random_token());
        let request = Request { namespace: "shop".to_owned(), login, keeps_login: false, webhook, command: &command };
        make(&session, &request).await.expect("made");
        let asked = asked.lock().expect("no panic").clone();
        let written = asked.iter().filter(|asked| asked.method == "PATCH").map(|asked| asked.body["kind"].clone());
        let order = ["ServiceAccount", "RoleBinding", "Role", "RoleBinding", "Secret", "Secret", "Environment"];
        assert_eq!(written.collect::<Vec<_>>(), order);
        assert!(asked.iter().all(|asked| !asked.path.contains("force=true")));
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (one, other) = (random_token(), random_token());
        assert!(one.len() == 64 && one != other, "{one} {other}");
    }
}
