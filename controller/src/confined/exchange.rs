//! The parent's half: what goes in, what comes out, and how it ended.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// Bytes of its standard error that are kept: the first ones.
const COMPLAINT: u64 = 4096;

/// A child to be run.
pub struct Task<'a> {
    /// The program, which limits itself.
    pub program: &'a Path,
    /// What any process of the machine may read.
    pub arguments: Vec<&'a OsStr>,
    /// Its whole environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where it begins.
    pub folder: &'a Path,
    /// What goes in.
    pub input: Input<'a>,
    /// The most bytes of its output that are read.
    pub most: u64,
}

/// What a child is told by its standard input.
pub enum Input<'a> {
    /// This, and the end of it when the parent is gone.
    Open(&'a [u8]),
    /// This, and then the end of it.
    Whole(&'a [u8]),
}

/// What failed of an exchange.
#[derive(Debug)]
pub struct Broken {
    /// Which part.
    pub what: &'static str,
    /// The system's reason.
    pub error: io::Error,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its code or signal.
    pub status: ExitStatus,
    /// The beginning of what it said on its standard error.
    pub complaint: Vec<u8>,
}

/// Runs a child to its end; what it says goes to `output`. Dropping the future kills it.
///
/// # Errors
/// It could not be started or spoken with.
pub async fn exchange(task: Task<'_>, output: &mut Vec<u8>) -> Result<Ended, Broken> {
    let failed = |what| move |error| Broken { what, error };
    let mut child = Command::new(task.program)
        .args(task.arguments)
        .env_clear()
        .envs(task.environment)
        .current_dir(task.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("it could not be started"))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Broken { what: "its pipes", error: io::ErrorKind::BrokenPipe.into() });
    };
    let (bytes, stays) = match task.input {
        Input::Open(bytes) => (bytes, true),
        Input::Whole(bytes) => (bytes, false),
    };
    let tell = async {
        // A child that died already says more by its status than by the broken pipe.
        let _ = stdin.write_all(bytes).await;
        stays.then_some(stdin)
    };
    let (mut stdout, mut stderr) = (stdout.take(task.most), stderr.take(COMPLAINT));
    let mut complaint = Vec::new();
    let (stdin, read, _) = tokio::join!(tell, stdout.read_to_end(output), stderr.read_to_end(&mut complaint));
    read.map_err(failed("its answer"))?;
    // Who says more than anybody reads is told by the broken pipes.
    drop((stdout, stderr));
    let status = child.wait().await.map_err(failed("its end"))?;
    drop(stdin); // not before: the child may end when this pipe does
    Ok(Ended { status, complaint })
}
