//! `drover completions`: what a shell needs to complete drover's commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Error, Verdict, output};

/// Prints a script that completes drover's commands in a shell.
///
/// For bash: `drover completions bash > /etc/bash_completion.d/drover`, or `source <(drover completions bash)`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub fn run(command: &Completions) -> Result<Verdict, Error> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "drover", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Good)
}
