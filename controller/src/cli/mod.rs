//! The command line: one file or folder per command, and the few things that all of them need.
//!
//! A command reads its arguments, asks the API server, and lets a pure function decide what is printed. Results go to standard
//! output, progress and warnings to standard error; every failure is one sentence and a hint.

mod allow;
mod annotate;
mod api;
mod app;
mod apply;
mod backup;
mod completions;
mod controller;
mod crds;
mod deployer;
mod error;
mod global;
mod init;
mod logs;
mod near;
pub mod opt_in;
mod output;
mod reconcile;
mod render;
mod restart;
mod restore;
mod rollback;
mod rollout;
mod rotate;
mod run;
mod session;
mod status;
mod sync;
#[cfg(test)]
mod testing;
mod time;
mod wake;
mod watch;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use controller::{Controller, LogFormat};
pub use error::Error;
pub use global::Global;
pub use session::Target;

const EXIT_CODES: &str = "Exit codes:\n  \
    0  done\n  \
    1  an error; one sentence on standard error says which\n  \
    2  the command line is wrong\n  \
    3  what was looked at is not ready, failed, or has findings (status, init, restart, rollback, wake, render)\n  \
     *  `drover run` ends with the code of what it ran, and with 130 after Ctrl-C";

/// drover: what a team pushes to a branch becomes a running system on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "drover", version, after_help = EXIT_CODES, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let a namespace follow a git branch: its Environment, the Secret, the opt-in.
    Init(init::Init),
    /// Let drover work in a namespace, as an account of that namespace.
    Allow(allow::Allow),
    /// Show what is live, what is on its way, and why something is not.
    Status(status::Status),
    /// Show the logs of an app's pods, crashed ones included.
    Logs(logs::Logs),
    /// Run a job of an app, or a command, in a pod of its own.
    Run(run::Run),
    /// Replace the pods of an app by new ones of the same release.
    Restart(restart::Restart),
    /// Bring a WebApp that follows a tag back to its last good image.
    Rollback(rollback::Rollback),
    /// Wake an app that is asleep by its windows.
    Wake(wake::Wake),
    /// Put an app to sleep until its next window.
    Sleep(wake::Sleep),
    /// Look at the git repository of an Environment now.
    Reconcile(reconcile::Reconcile),
    /// Bring the files of a DataSync up to date now.
    Sync(sync::Sync),
    /// Back a Database up now.
    Backup(backup::Backup),
    /// Restore a backup of a Database: into a new one, or in place of its data.
    Restore(restore::Restore),
    /// Give a Database another password.
    Rotate(rotate::Rotate),
    /// Print what the controller would apply from a folder, without a cluster.
    Render(render::Render),
    /// Print the custom resource definitions, for `kubectl apply -f -`.
    Crds(crds::Crds),
    /// Print a script that completes drover's commands in a shell.
    Completions(completions::Completions),
    /// Run the controller.
    Controller(Controller),
    /// The confined processes that the controller starts.
    #[command(hide = true)]
    Child(Child),
}

/// A confined process that the controller starts; not for people.
#[derive(Debug, Args)]
pub struct Child {
    /// Which.
    #[command(subcommand)]
    pub work: Work,
}

/// What a confined process does.
#[derive(Clone, Debug, Subcommand)]
pub enum Work {
    /// Talks to a git server.
    Git,
    /// Becomes another program, without files and network.
    Tool {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// What a command concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Good,
    /// The command did its work, and what it looked at is not as it should be.
    NotReady,
    /// What was run ended with this code.
    Ended(u8),
}

/// Does what a person asked for and prints any failure. `Controller` and `Child` are not commands of a person: `main`
/// runs them.
pub async fn run(command: Command, global: &Global) -> ExitCode {
    let done = match command {
        Command::Init(command) => init::run(command, global).await,
        Command::Allow(command) => allow::run(command, global).await,
        Command::Status(command) => status::run(command, global).await,
        Command::Logs(command) => logs::run(command, global).await,
        Command::Run(command) => Box::pin(run::run(command, global)).await,
        Command::Restart(command) => restart::run(command, global).await,
        Command::Rollback(command) => rollback::run(command, global).await,
        Command::Wake(command) => wake::wake(command, global).await,
        Command::Sleep(command) => wake::sleep(command, global).await,
        Command::Reconcile(command) => reconcile::run(command, global).await,
        Command::Sync(command) => sync::run(command, global).await,
        Command::Backup(command) => backup::run(command, global).await,
        Command::Restore(command) => restore::run(command, global).await,
        Command::Rotate(command) => rotate::run(command, global).await,
        Command::Render(command) => render::run(&command, global).await,
        Command::Crds(command) => crds::run(&command, global),
        Command::Completions(command) => completions::run(&command),
        Command::Controller(_) | Command::Child(_) => Err(Error::Usage {
            sentence: "this process serves a person's commands, not the controller's".to_owned(),
            hint: "start it as `drover controller`".to_owned(),
        }),
    };
    match done {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Ended(code)) => ExitCode::from(code),
        Ok(Verdict::NotReady) => ExitCode::from(error::EXIT_NOT_READY),
        Err(error) => report(&error),
    }
}

/// Prints a failure as `error: …` and `hint: …`, and says how the process ends.
pub fn report(error: &Error) -> ExitCode {
    // Whoever reads our output has gone, as in `drover status | head`: nothing to say.
    if error.is_closed_pipe() {
        return ExitCode::SUCCESS;
    }
    anstream::eprint!("{}", error.to_text());
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_are_taken_before_and_after_the_command() {
        for line in ["drover -n shop -o json status", "drover status -n shop -o json"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(cli.global.target.namespace.as_deref(), Some("shop"));
            assert_eq!(cli.global.output, global::Format::Json);
        }
    }

    #[test]
    fn a_secret_is_never_an_argument() {
        let mut secret = Vec::new();
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments().filter(|a| a.get_action().takes_values()) {
                let name = argument.get_id().as_str().to_owned();
                if ["password", "token", "secret", "key"].iter().any(|word| name.contains(word)) {
                    secret.push(name);
                }
            }
        }
        assert_eq!(secret, Vec::<String>::new());
    }
}
