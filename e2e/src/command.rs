//! Running programs.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// A program that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Both outputs, for a failure message or a search in all that was said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs `command` to its end with `input` on its standard input.
pub fn finish(command: &mut Command, input: &str) -> Finished {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown} could not be started: {error}"));
    // A program that does not read its input closes the pipe; that is its right.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{shown} was lost: {error}"));
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `command`, which must succeed, and returns what it wrote to standard output.
pub fn run(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let finished = finish(command, "");
    assert_eq!(finished.code, 0, "{shown} failed:\n{}", finished.said());
    finished.stdout
}
