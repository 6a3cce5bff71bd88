//! A folder of a git repository: fetched beside the claim, and written into the staging folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use drover_core::errand::{
    File, GitSource, LARGEST_SET, Leaf, LeafKind, Manifest, Reason, Refusal, place_tree, refuse_pointer,
};
use drover_fetch::checkout::{Checkout, Wish};
use drover_fetch::{Address, Credential, Error, Limits};

use crate::clock;
use crate::failure::Final as _;
use crate::progress::Progress;
use crate::s3::folded;

/// Set where nothing of the machine's settings of git counts; libgit2 looks at it.
const PREPARED: &str = "GIT_CONFIG_NOSYSTEM";

/// The most bytes that one fetch may bring: a volume of the pod holds them meanwhile.
const DOWNLOAD: u64 = 4 << 30;

/// Begins this program anew with the certificate authority of the Secret, where it names one, and without any settings of the machine:
/// libgit2 takes both from the environment only. Returns at once where that was done.
pub fn prepare(secret: Option<&Path>) -> Result<(), Refusal> {
    if std::env::var_os(PREPARED).is_some() {
        return Ok(());
    }
    let failed = "the program cannot be begun anew for git";
    let program = std::env::current_exe().or_final(Reason::ClaimFails, failed)?;
    let home = std::env::temp_dir();
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(PREPARED, "1").env("HOME", &home).env("XDG_CONFIG_HOME", &home);
    let authority = secret.map(|folder| folder.join("ca.crt")).filter(|file| file.exists());
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority).env("SSL_CERT_DIR", OsString::new());
    }
    Err(command.exec()).or_final(Reason::ClaimFails, failed)
}

/// A commit that was fetched.
pub struct Tree {
    /// Its name.
    pub commit: String,
    /// What a set of it holds.
    pub manifest: Manifest,
    checkout: Checkout,
    /// By path, whose bytes each file has.
    contents: BTreeMap<String, Leaf>,
    _folder: Folder,
}

/// Where it was fetched to; removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "what was fetched cannot be removed");
        }
    }
}

impl Tree {
    /// Fetches the newest commit that `source` means, with what the mounted Secret holds. `allow_http` is for tests.
    pub async fn fetch(source: &GitSource, secret: Option<&Path>, allow_http: bool) -> Result<Self, Refusal> {
        let address = Address::parse(&source.url, allow_http).map_err(|error| refused(&error))?;
        let credential = secret.map(credential).transpose()?.unwrap_or_default();
        let limits = Limits { download: DOWNLOAD, ..Limits::default() };
        let (reference, path) = (source.reference.clone(), source.path.clone());
        let wish = Wish { address, credential, reference, path, limits };
        let fetched = tokio::task::spawn_blocking(move || {
            let folder = Folder(std::env::temp_dir().join(format!("drover-git-{}", std::process::id())));
            fs::create_dir_all(&folder.0).or_final(Reason::ClaimFails, "no folder for the repository can be made")?;
            let checkout =
                Checkout::fetch(&wish, &folder.0, LARGEST_SET, clock::now).map_err(|error| refused(&error))?;
            let (manifest, contents) = place_tree(&wish.path, &checkout.leaves)?;
            let contents = contents.into_iter().map(|(path, leaf)| (path, leaf.clone())).collect();
            Ok(Self { commit: checkout.commit.id.to_string(), manifest, checkout, contents, _folder: folder })
        });
        ended(fetched.await)
    }

    /// Writes the files at these places of `manifest`, which is its own.
    pub async fn write(
        self,
        manifest: &Manifest,
        places: &[usize],
        into: PathBuf,
        progress: Arc<Progress>,
    ) -> Result<(), Refusal> {
        let files: Vec<File> = places.iter().map(|at| manifest.files()[*at].clone()).collect();
        ended(
            tokio::task::spawn_blocking(move || files.iter().try_for_each(|file| self.file(file, &into, &progress)))
                .await,
        )
    }

    fn file(&self, file: &File, into: &Path, progress: &Progress) -> Result<(), Refusal> {
        let leaf = &self.contents[&file.path];
        let bytes = self.checkout.read(leaf).map_err(|error| refused(&error))?;
        refuse_pointer(&file.path, &bytes)?;
        let mode = if leaf.kind == LeafKind::Program { 0o777 } else { 0o666 };
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(into.join(&file.path));
        let written = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(folded(&file.key)),
            opened => opened.and_then(|mut target| target.write_all(&bytes)),
        };
        written.or_final(Reason::ClaimFails, "the claim cannot be written")?;
        progress.add_bytes(file.size);
        progress.add_file();
        Ok(())
    }
}

fn ended<T>(task: Result<Result<T, Refusal>, tokio::task::JoinError>) -> Result<T, Refusal> {
    task.map_err(io::Error::other).or_final(Reason::SourceFails, "reading the repository broke off")?
}

fn credential(folder: &Path) -> Result<Credential, Refusal> {
    let unreadable = "the mounted Secret cannot be read";
    let mut data = BTreeMap::new();
    for entry in fs::read_dir(folder).or_final(Reason::BadSecret, unreadable)? {
        let entry = entry.or_final(Reason::BadSecret, unreadable)?;
        // The keys are links; what they lead to lies in a folder beside them.
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.path().is_file()) {
            data.insert(name, fs::read(entry.path()).or_final(Reason::BadSecret, unreadable)?);
        }
    }
    Credential::from_secret(&data)
        .map_err(|wrong| Refusal::new(Reason::BadSecret, format!("the Secret cannot be used: {wrong}")))
}

/// What went wrong with a repository, as the reason and the sentence of a sync.
fn refused(error: &Error) -> Refusal {
    let reason = match error {
        Error::BadAddress { .. } | Error::BadReference | Error::BadRange { .. } => Reason::BadOrder,
        Error::UnsuitableCredential { .. } | Error::NoCredential { .. } => Reason::BadSecret,
        Error::AuthenticationFailed { .. } | Error::Forbidden { .. } => Reason::Denied,
        Error::UnresolvedHost { .. }
        | Error::Unreachable { .. }
        | Error::UntrustedCertificate { .. }
        | Error::UnknownHostKey { .. }
        | Error::ChangedHostKey { .. }
        | Error::TimedOut { .. } => Reason::Unreachable,
        Error::Redirected { .. } => Reason::Redirected,
        Error::Throttled { .. } => Reason::RateLimited,
        Error::NotARepository { .. }
        | Error::NoSuchBranch { .. }
        | Error::NoSuchTag { .. }
        | Error::NoMatchingVersion { .. }
        | Error::NoSuchCommit { .. }
        | Error::NotACommit { .. }
        | Error::NoSuchPath { .. } => Reason::NotFound,
        Error::TooLarge { .. }
        | Error::OutOfMemory
        | Error::Server { .. }
        | Error::BrokeOff { .. }
        | Error::Unsound { .. }
        | Error::Unreadable(_)
        | Error::MissingCommit { .. }
        | Error::DamagedCache { .. }
        | Error::NotSubscribed { .. }
        | Error::Child { .. } => Reason::SourceFails,
    };
    Refusal::new(reason, error.below("spec.source.git"))
}
