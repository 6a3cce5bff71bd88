//! The child process: everything that touches a repository happens here, under limits, and can be killed at any moment.

mod files;
mod heard;
mod remote;
mod sync;

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use git2::{ErrorClass, Repository, RepositoryInitOptions, RepositoryOpenFlags};
use jiff::Timestamp;

pub(crate) use remote::Connection;
pub(crate) use sync::sync;

use super::error::Error;
use super::limits::Limits;
use super::protocol::{self, Operation, Request, Response};
use super::references::Meaning;
use crate::confine;

/// The main function of `drover child git`: one request from stdin, one response to stdout. `now` says what time it is.
pub fn child_main(now: fn() -> Timestamp) -> ExitCode {
    match serve(now) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "drover child git: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(now: fn() -> Timestamp) -> io::Result<()> {
    let mut input = io::stdin();
    let request: Request = protocol::read(&mut input)?;
    confine(&request)?;
    // The parent keeps the pipe open while it lives. When it is gone nobody wants the answer, nor would anybody end us.
    std::thread::spawn(move || {
        let _ = input.read(&mut [0]);
        std::process::exit(1);
    });
    let mut output = io::stdout().lock();
    let listed = |lacking| {
        // Who does not hear it does not hear the answer either.
        let _ = protocol::write(&mut output, &Response::Listed(lacking)).and_then(|()| output.flush());
    };
    match answer(&request, now, listed) {
        Ok((response, bytes)) => {
            protocol::write(&mut output, &response)?;
            for part in bytes {
                output.write_all(&part)?;
            }
        }
        Err(error) => protocol::write(&mut output, &Response::Failed(error))?,
    }
    output.flush()
}

fn answer(
    request: &Request,
    now: fn() -> Timestamp,
    listed: impl FnOnce(Vec<Option<Meaning>>),
) -> Result<(Response, Vec<Vec<u8>>), Error> {
    match &request.operation {
        Operation::Sync { host, port, user, auth, references, left_out } => {
            let connection =
                Connection { url: &request.url, host, port: *port, user, auth, limits: &request.limits, now };
            Ok((sync(&request.repository, &connection, references, left_out, listed)?, Vec::new()))
        }
        Operation::Read { reads } => files::read(&request.repository, &request.url, reads, &request.limits),
        Operation::Folders { commit, paths } => {
            Ok((files::folders(&request.repository, &request.url, commit, paths)?, Vec::new()))
        }
    }
}

fn confine(request: &Request) -> io::Result<()> {
    let Limits { sync_timeout, read_timeout, memory, download, .. } = &request.limits;
    let seconds = match request.operation {
        Operation::Sync { .. } => sync_timeout.as_secs(),
        Operation::Read { .. } | Operation::Folders { .. } => read_timeout.as_secs(),
    };
    confine::limit(&confine::Limits {
        memory: *memory,
        file: download.saturating_mul(2), // a pack and, for thin packs, what is added to it
        processor: seconds + 2,
    })
}

/// Opens the cache, or makes it. `FROM_ENV` is what makes libgit2 honour `GIT_CONFIG_NOSYSTEM`, so that no setting of the
/// machine, such as `url.insteadOf`, changes where we connect to.
pub(crate) fn open(path: &Path) -> Result<Repository, Error> {
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE | RepositoryOpenFlags::FROM_ENV;
    let opened = Repository::open_ext(path, flags, &[] as &[&Path]);
    match opened {
        Ok(repository) => Ok(repository),
        Err(error) if error.code() == git2::ErrorCode::NotFound && !path.join("HEAD").exists() => {
            let mut options = RepositoryInitOptions::new();
            options.bare(true).no_reinit(true).external_template(false);
            Repository::init_opts(path, &options).map_err(|error| damaged(&error))?;
            Repository::open_ext(path, flags, &[] as &[&Path]).map_err(|error| damaged(&error))
        }
        Err(error) => Err(damaged(&error)),
    }
}

pub(crate) fn damaged(error: &git2::Error) -> Error {
    if error.class() == ErrorClass::NoMemory {
        return Error::OutOfMemory;
    }
    Error::DamagedCache { detail: error.message().to_owned() }
}
