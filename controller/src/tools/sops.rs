//! `sops`: decrypts what people encrypted before they committed it. A file goes in by a pipe and comes out by one, and the age keys stand in
//! the program's environment alone.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use drover_core::branch::{AgeKeys, not_applied, several};
use drover_core::render::{Limits, MAX_ERRORS, Opened, RenderError, Sealed, SourceFile, sealed};
use drover_core::trouble::{Mend, Trouble};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout, timeout_at};

use crate::confined::{Broken, Ended, Input, Task, exchange, tool};

/// Encrypted files of one commit.
const FILES: usize = 256;
/// Files that are decrypted at once, of all commits: each takes some ten MiB, and may take more.
const AT_ONCE: usize = 2;
/// For one file, and for all of a commit, whoever else has some.
const EACH: Duration = Duration::from_secs(15);
const ALL: Duration = Duration::from_secs(90);
/// A folder that nobody has, where the program looks for keys of its user.
const NOWHERE: &str = "/nonexistent";
/// The code with which drover's child ends that could not begin the program.
const NOT_BEGUN: i32 = 126;
/// The code of SOPS for a file that it cannot read, and of any program of Go that ends by a fault.
const FAULT: i32 = 2;

/// Decrypts files.
pub struct Sops {
    program: PathBuf,
    child: PathBuf,
    places: Semaphore,
}

/// Why files were not decrypted. Nothing of them is in it.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// What is wrong with files.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Wrong(Vec<RenderError>),
    /// There is no such program.
    #[error(
        "files are encrypted with SOPS, and there is no program `{0}` where drover runs: install it there (`drover controller` takes its path with --sops)"
    )]
    Missing(String),
    /// More than are decrypted.
    #[error(
        "{0} files are encrypted, and at most {FILES} of one commit are decrypted: put several Secrets into one file, or spread them over several Environments"
    )]
    TooMany(usize),
    /// It did not come to an end.
    #[error("{file} was not decrypted in time, or SOPS could not be run ({detail}); drover tries again")]
    Interrupted {
        /// Which file.
        file: String,
        /// What happened.
        detail: String,
    },
}

impl Unopened {
    /// What it means for a commit.
    pub fn trouble(&self, commit: &str) -> Trouble {
        let (reason, mended_by) = match self {
            Self::Wrong(errors) => {
                let each = errors.iter().map(|error| (error.origin.to_string(), error.to_string()));
                return several("DecryptionFailed", Mend::Spec, commit, each);
            }
            Self::TooMany(_) => ("TooManyFiles", Mend::Spec),
            Self::Missing(_) => ("SopsMissing", Mend::Person),
            Self::Interrupted { .. } => ("DecryptionInterrupted", Mend::Time),
        };
        Trouble::new(reason, not_applied(commit, self), mended_by)
    }
}

impl Sops {
    /// By `program`, a path or a name that is looked for in PATH, which `child`, drover itself, becomes.
    pub fn new(program: PathBuf, child: PathBuf) -> Self {
        Self { program, child, places: Semaphore::new(AT_ONCE) }
    }

    /// Decrypts those of `files` that are encrypted; where there are none no program is looked for.
    ///
    /// # Errors
    /// All that is wrong with them, or why nothing is known of that.
    pub async fn open(&self, files: &[SourceFile], keys: &AgeKeys, limits: &Limits) -> Result<Opened, Unopened> {
        let (mut encrypted, mut wrong) = (Vec::new(), Vec::new());
        block_in_place(|| {
            for file in files {
                match sealed(file, limits) {
                    Ok(Some(sealed)) => encrypted.push((file, sealed)),
                    Ok(None) => {}
                    Err(errors) => wrong.extend(errors),
                }
            }
        });
        if encrypted.len() > FILES {
            return Err(Unopened::TooMany(encrypted.len()));
        }
        let mut opened = Opened::default();
        if !encrypted.is_empty() {
            let program = self.found().ok_or_else(|| Unopened::Missing(self.program.display().to_string()))?;
            let deadline = Instant::now() + ALL;
            for (file, sealed) in &encrypted {
                let decrypted = timeout_at(deadline, self.decrypt(&program, file, sealed, keys)).await;
                match decrypted.unwrap_or_else(|_| Err(late(file, ALL))) {
                    Ok(text) => wrong.extend(opened.add(&file.path, sealed, &text, limits).err()),
                    Err(Unopened::Wrong(errors)) => wrong.extend(errors),
                    Err(other) => return Err(other),
                }
                if wrong.len() >= MAX_ERRORS {
                    break;
                }
            }
        }
        wrong.truncate(MAX_ERRORS);
        if wrong.is_empty() { Ok(opened) } else { Err(Unopened::Wrong(wrong)) }
    }

    /// The program's file, as a shell finds it.
    fn found(&self) -> Option<PathBuf> {
        let is_there = |path: &PathBuf| path.is_file();
        if self.program.components().count() > 1 {
            return Some(self.program.clone()).filter(is_there);
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(&self.program)).find(is_there)
    }

    async fn decrypt(
        &self,
        program: &Path,
        file: &SourceFile,
        sealed: &Sealed,
        keys: &AgeKeys,
    ) -> Result<Vec<u8>, Unopened> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        let format =
            OsStr::new(if Path::new(&file.path).extension() == Some(OsStr::new("json")) { "json" } else { "yaml" });
        let order = ["decrypt", "--input-type"].map(OsStr::new);
        let arguments = [&tool(program)[..], &order, &[format, OsStr::new("--output-type"), format]].concat();
        // What is decrypted is shorter than what it was in Base64, and aliases are none any more.
        let most = 2 * file.bytes.len() + 4096;
        let task = Task {
            program: &self.child,
            arguments,
            environment: environment(keys),
            folder: Path::new("/"),
            input: Input::Whole(&file.bytes),
            most: most as u64,
        };
        let mut output = Vec::new();
        let ended = timeout(EACH, exchange(task, &mut output)).await.map_err(|_| late(file, EACH))?;
        let Ended { status, complaint } = ended.map_err(|Broken { what, error }| Unopened::Interrupted {
            file: file.path.clone(),
            detail: format!("{what}: {error}"),
        })?;
        let wrong = |error| Err(Unopened::Wrong(vec![error]));
        match status.code() {
            _ if output.len() >= most => wrong(sealed.excessive(&file.path)),
            Some(0) => Ok(output),
            Some(NOT_BEGUN) => {
                // drover's own words, and the system's.
                let detail = String::from_utf8_lossy(&complaint).trim().to_owned();
                Err(Unopened::Interrupted { file: file.path.clone(), detail })
            }
            Some(FAULT) if has_fault(&complaint) => wrong(sealed.excessive(&file.path)),
            Some(code) => wrong(sealed.unopened(&file.path, code)),
            // By the kernel, at a limit.
            None => wrong(sealed.excessive(&file.path)),
        }
    }
}

/// All that the program finds around it: no home, no other program, no more threads than it is worth.
fn environment(keys: &AgeKeys) -> Vec<(&'static str, OsString)> {
    vec![
        ("SOPS_AGE_KEY", keys.as_str().into()),
        ("SOPS_DISABLE_VERSION_CHECK", "true".into()),
        ("HOME", NOWHERE.into()),
        ("PATH", OsString::new()),
        ("GOMAXPROCS", "1".into()),
    ]
}

/// Whether Go's runtime ended the program, which it does where there is no memory.
fn has_fault(complaint: &[u8]) -> bool {
    let said = String::from_utf8_lossy(complaint);
    ["fatal error: ", "runtime: out of memory", "cannot allocate memory"].iter().any(|words| said.contains(words))
}

fn late(file: &SourceFile, limit: Duration) -> Unopened {
    Unopened::Interrupted { file: file.path.clone(), detail: format!("after {} s", limit.as_secs()) }
}
