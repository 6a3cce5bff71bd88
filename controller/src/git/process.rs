//! Starts the child, waits for it no longer than it may take, and reads its answer. One that needs more memory than usual is
//! started again with more, when it is its turn.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use drover_fetch::protocol::{self, MAX_MESSAGE, Operation, Request, Response};
use drover_fetch::references::Meaning;
use drover_fetch::{Error, Tree};
use tokio::sync::SemaphorePermit;

use super::cache::Cache;
use super::failed::Failed;
use super::shared::Shared;
use crate::confined::{Broken, Ended, Input, Task, exchange};

/// What a child answered: the message, and the files of each tree in it.
pub(super) struct Answer {
    pub response: Response,
    /// What a sync had to fetch for each reference.
    pub lacking: Option<Vec<Option<Meaning>>>,
    output: Vec<u8>,
    /// Where in the output the message ends and the files begin.
    files_from: usize,
}

/// Where OpenSSL finds the certificate authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those of the machine.
    System,
    /// Only those in the cache's `ca.crt`; none where that is empty, which also spares reading the machine's.
    Cache,
}

/// Runs one request in a child of its own, and again in one with more memory when that was too little: then `place` is given up,
/// so that nobody else waits for it. Dropping the future kills the child.
pub(super) async fn run(
    shared: &Shared,
    cache: &Cache,
    trust: Trust,
    mut request: Request,
    place: Option<SemaphorePermit<'_>>,
) -> Result<Answer, Failed> {
    let program = &shared.config.child;
    let most = request.limits.memory;
    request.limits.memory = request.limits.usual_memory.min(most);
    let answer = in_time(program, cache, trust, &request).await;
    if request.limits.memory == most || !lacks_memory(&answer) {
        return answer;
    }
    drop((answer, place));
    request.limits.memory = most;
    let _place = shared.pools.roomy().await;
    tracing::debug!(repository = %request.url, bytes = most, "needs more memory than usual");
    in_time(program, cache, trust, &request).await
}

fn lacks_memory(answer: &Result<Answer, Failed>) -> bool {
    fn lacks<T>(result: &Result<T, Error>) -> bool {
        matches!(result, Err(Error::OutOfMemory))
    }
    match answer {
        Err(failed) => failed.error == Error::OutOfMemory,
        Ok(Answer { response: Response::Synced { answers, .. }, .. }) => answers.iter().flatten().any(lacks),
        Ok(Answer { response: Response::Read(answers), .. }) => answers.iter().any(lacks),
        Ok(Answer { response: Response::Failed(_) | Response::Listed(_) | Response::Folders(_), .. }) => false,
    }
}

async fn in_time(program: &Path, cache: &Cache, trust: Trust, request: &Request) -> Result<Answer, Failed> {
    let timeout = match request.operation {
        Operation::Sync { .. } => request.limits.sync_timeout,
        Operation::Read { .. } | Operation::Folders { .. } => request.limits.read_timeout,
    };
    let url = &request.url;
    let mut output = Vec::new();
    let end = tokio::time::timeout(timeout, speak(program, cache, trust, request, &mut output))
        .await
        .unwrap_or_else(|_| Err(Error::TimedOut { url: url.clone(), seconds: timeout.as_secs() }));
    // Also of a child that did not end well: what it said before still holds.
    let mut rest = output.as_slice();
    let mut said = protocol::read(&mut rest);
    let mut lacking = None;
    if let (Ok(Response::Listed(listed)), Operation::Sync { references, .. }) = (&mut said, &request.operation)
        && listed.len() == references.len()
    {
        lacking = Some(std::mem::take(listed));
        said = protocol::read(&mut rest);
    }
    let files_from = output.len() - rest.len();
    let failed = |error| Failed { error, lacking: lacking.clone() };
    end.map_err(failed)?;
    match said {
        Ok(Response::Failed(error)) => Err(failed(error)),
        Ok(response) => Ok(Answer { response, lacking, output, files_from }),
        Err(error) => Err(failed(Error::Child { url: url.clone(), detail: format!("its answer: {error}") })),
    }
}

/// Runs a child to its end; what it says goes to `output`.
async fn speak(
    program: &Path,
    cache: &Cache,
    trust: Trust,
    request: &Request,
    output: &mut Vec<u8>,
) -> Result<(), Error> {
    let failed = |what: &str, error: std::io::Error| Error::Child {
        url: request.url.clone(),
        detail: format!("{what}: {error}"),
    };
    let message = protocol::encode(request).map_err(|error| failed("its request", error))?;
    let task = Task {
        program,
        arguments: ["child", "git"].map(OsStr::new).to_vec(),
        environment: environment(cache, trust),
        folder: &cache.home(),
        // The child ends when this pipe does.
        input: Input::Open(&message),
        most: u64::from(MAX_MESSAGE) + bytes_at_most(request),
    };
    let Ended { status, complaint } =
        exchange(task, output).await.map_err(|Broken { what, error }| failed(what, error))?;
    if status.success() { Ok(()) } else { Err(ended(request, status, &complaint)) }
}

fn bytes_at_most(request: &Request) -> u64 {
    match &request.operation {
        Operation::Sync { .. } | Operation::Folders { .. } => 0,
        Operation::Read { reads } => request.limits.manifests.total_bytes.saturating_mul(reads.len() as u64),
    }
}

/// How Rust ends a process that gets no memory, and what it says then; libgit2 makes that an error.
const SIGABRT: i32 = 6;
const NO_MEMORY: &str = "memory allocation of ";
/// The signals of the limits on processor time and on the size of a file.
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

/// What the end of a child that gave no answer means.
fn ended(request: &Request, status: std::process::ExitStatus, complaint: &[u8]) -> Error {
    let url = request.url.clone();
    match status.signal() {
        Some(SIGXFSZ) => Error::TooLarge { url, detail: "a pack is larger than the git process may write".into() },
        Some(SIGXCPU) => {
            Error::TooLarge { url, detail: "it needs more processor time than the git process may use".into() }
        }
        Some(SIGABRT) if String::from_utf8_lossy(complaint).contains(NO_MEMORY) => Error::OutOfMemory,
        _ => {
            let said = String::from_utf8_lossy(complaint);
            let detail = said.lines().last().map_or(status.to_string(), |line| format!("{status}: {line}"));
            Error::Child { url, detail }
        }
    }
}

/// The child's whole environment. Nothing of the machine's git, SSH or TLS settings reaches it except the proxy and, where the
/// credential brings no authority of its own, the certificate authorities.
fn environment(cache: &Cache, trust: Trust) -> Vec<(&'static str, OsString)> {
    let home = cache.home().into_os_string();
    let mut environment = vec![
        ("HOME", home.clone()),
        ("XDG_CONFIG_HOME", home),
        ("PATH", OsString::new()),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
    ];
    let inherited: &[&str] = match trust {
        Trust::System => &[
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "https_proxy",
            "HTTPS_PROXY",
            "http_proxy",
            "HTTP_PROXY",
            "no_proxy",
            "NO_PROXY",
        ],
        Trust::Cache => {
            environment.push(("SSL_CERT_FILE", cache.authority().into_os_string()));
            environment.push(("SSL_CERT_DIR", cache.no_certificates().into_os_string()));
            &["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"]
        }
    };
    environment.extend(inherited.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
    environment
}

impl Answer {
    /// The trees of a reading, with their files in the order of their paths.
    pub(super) fn trees(self, url: &str) -> Result<Vec<Result<Tree, Error>>, Error> {
        let trees = match self.response {
            Response::Read(listings) => protocol::trees(listings, &self.output[self.files_from..]),
            _ => None,
        };
        trees.ok_or_else(|| Error::Child { url: url.to_owned(), detail: "its answer is too short".to_owned() })
    }
}
