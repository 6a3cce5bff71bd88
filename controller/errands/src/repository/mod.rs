//! A repository of backups in restic's format: on a claim or in a bucket, so that restic's own programs read it too.
//!
//! Nobody locks it: what a backup writes has a name of its own, and what nobody needs any more is marked first and removed a day later, so
//! that a run that is killed leaves nothing behind that another would wait for. Only making it is one step that one can do.

use std::path::Path;
use std::sync::Arc;

use drover_core::backup::{BackupName, BackupOrder};
use drover_core::errand::{Reason, Refusal};
use rustic_core::repofile::SnapshotFile;
use rustic_core::{
    ConfigOptions, Credentials, FileType, Id, KeyOptions, OpenStatus, PruneOptions, Repository, RepositoryBackends,
    RepositoryOptions, RusticError, RusticResult,
};

use place::{Place, Store};

mod place;
mod snapshot;

pub use place::{Bucket, Folder};
pub use snapshot::{Proof, Snapshot};

/// What a repository on a claim opens by where no key is given: restic's format always wants one. It keeps nothing secret, and says so.
pub const NO_KEY: &str = "drover";

/// An open repository.
pub struct Backups {
    repository: Repository<OpenStatus>,
    credentials: Credentials,
    store: Arc<Store>,
    database: String,
}

/// A key, and how a sentence names it.
pub struct Key {
    password: String,
    secret: Option<String>,
}

impl Key {
    /// The key in the mounted Secret, where the order names one.
    pub fn read(order: &BackupOrder, folder: Option<&Path>) -> Result<Self, Refusal> {
        let Some(secret) = &order.encryption else { return Ok(Self { password: NO_KEY.to_owned(), secret: None }) };
        let bad = |why: &str| {
            let sentence = format!("the Secret {secret} {why}: it must have the key `password`, which you keep");
            Refusal::new(Reason::BadSecret, sentence)
        };
        let text = folder.and_then(|folder| std::fs::read(folder.join("password")).ok());
        let text = text.ok_or_else(|| bad("has no key `password`, or is not mounted"))?;
        let text = String::from_utf8(text).map_err(|_| bad("has a `password` that is no text"))?;
        // People end files with a newline, and restic leaves it out too.
        let password = text.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() || password.contains(char::is_control) {
            return Err(bad("has a `password` that is empty or not one line"));
        }
        Ok(Self { password, secret: Some(secret.clone()) })
    }

    fn wrong(&self, place: &str) -> Refusal {
        let sentence = match &self.secret {
            Some(secret) => format!(
                "the key in Secret {secret} does not open the backups in {place}: put the one back that they were made with, since without it nothing reads them; to begin anew, choose another place"
            ),
            None => format!(
                "the backups in {place} are encrypted and no key is given: name the Secret with their key in encryption.secretRef, or choose another place"
            ),
        };
        Refusal::new(Reason::WrongKey, sentence)
    }
}

impl Backups {
    /// Opens the repository. Without one, it is made where `make` is set and none is expected; that only one is made, whoever makes one at
    /// the same time, is the place's work.
    pub fn open(place: impl Place, order: &BackupOrder, key: &Key, make: bool) -> Result<Self, Refusal> {
        let store = Arc::new(Store::new(Box::new(place)));
        let is_there = store.place().is_there(FileType::Config)?;
        if !is_there {
            let what = store.place().name();
            if order.expected.is_some() {
                let sentence = format!(
                    "the backups in {what} are gone: nothing is there where they were; put them back, or take the place out of the spec and write it again to begin anew"
                );
                return Err(Refusal::new(Reason::RepositoryGone, sentence));
            }
            if store.place().holds_any()? {
                let sentence = format!(
                    "the repository in {what} has lost its file `config`: put that back from where you copy backups to, or choose another place"
                );
                return Err(Refusal::new(Reason::RepositoryDamaged, sentence));
            }
            if !make {
                return Err(Refusal::new(Reason::NotFound, format!("there are no backups in {what}: check the place")));
            }
            make_repository(&store, key)?;
        }
        let repository = open_by_a_key_that_fits(&store, key)?;
        let id = hex(&repository.config().id);
        if order.expected.as_ref().is_some_and(|expected| *expected != id) {
            let sentence = format!(
                "another repository is in {} than the one that was there before: put that back, or choose another place",
                store.place().name()
            );
            return Err(Refusal::new(Reason::RepositoryGone, sentence));
        }
        let credentials = Credentials::password(&key.password);
        Ok(Self { repository, credentials, store, database: order.database.clone() })
    }

    /// The same once more: whoever reads the library's index takes it over.
    fn again(&self) -> Result<Repository<OpenStatus>, Refusal> {
        self.done(new(&self.store)?.open(&self.credentials), "the repository cannot be opened")
    }

    /// The id of the repository, 64 hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.repository.config().id)
    }

    /// Removes these backups and what runs left behind that were killed, and then what no backup needs any more, by and by.
    pub fn forget(&self, all: &[Snapshot], gone: &[usize]) -> Result<(), Refusal> {
        let twice = all.iter().flat_map(|snapshot| snapshot.twice.iter().copied());
        let ids: Vec<_> = gone.iter().map(|place| all[*place].file.id).chain(twice).collect();
        self.done(self.repository.delete_snapshots(&ids), "old backups cannot be removed")?;
        let options = PruneOptions::default();
        let plan = self.done(self.repository.prune_plan(&options), "what old backups leave behind cannot be found")?;
        self.done(self.repository.prune(&options, plan), "what old backups leave behind cannot be removed")
    }

    /// The backups of this database, the oldest first. What a run wrote anew to mark it as proven, and was killed before it removed what
    /// was there before, is there once.
    pub fn list(&self) -> Result<Vec<Snapshot>, Refusal> {
        let mut all = self.all()?;
        all.sort_by(|one, other| (&one.name, one.proof.is_none()).cmp(&(&other.name, other.proof.is_none())));
        all.dedup_by(|later, first| {
            let is_same = later.name == first.name && later.file.tree == first.file.tree;
            if is_same {
                first.twice.push(later.file.id);
            }
            is_same
        });
        Ok(all)
    }

    /// The snapshots of this database, as they are there.
    fn all(&self) -> Result<Vec<Snapshot>, Refusal> {
        let is_ours = |snapshot: &SnapshotFile| snapshot.hostname == self.database;
        let files = self.done(self.repository.get_matching_snapshots(is_ours), "the backups cannot be listed")?;
        Ok(files.into_iter().filter_map(Snapshot::of).collect())
    }

    /// The backup of that name.
    pub fn find(&self, name: &BackupName) -> Result<Snapshot, Refusal> {
        let found = self.list()?.into_iter().rfind(|snapshot| snapshot.name == *name);
        found.ok_or_else(|| {
            let sentence = format!("there is no backup {name} of {} in {}", self.database, self.store.place().name());
            Refusal::new(Reason::NotFound, sentence)
        })
    }

    /// The result, or why there is none: what the place said, where it did.
    fn done<T>(&self, result: RusticResult<T>, what: &str) -> Result<T, Refusal> {
        result.map_err(|error| self.store.refusal(&error, what))
    }
}

fn new(store: &Arc<Store>) -> Result<Repository<()>, Refusal> {
    let options = RepositoryOptions::default().no_cache(true);
    let backends = RepositoryBackends::new(Arc::clone(store) as Arc<_>, None);
    Repository::new(&options, &backends).map_err(|error| store.refusal(&error, "the repository cannot be opened"))
}

/// Makes the repository, or finds that somebody else did just now.
fn make_repository(store: &Arc<Store>, key: &Key) -> Result<(), Refusal> {
    // What is stored is read again and compared at once, so nothing has to be read while it is written.
    let config = ConfigOptions::default().set_extra_verify(false);
    let keys = KeyOptions::default().hostname("drover".to_owned()).with_created(true);
    let made = new(store)?.init(&Credentials::password(&key.password), &keys, &config);
    match made {
        Ok(_) => tracing::info!(place = store.place().name(), "a repository is made"),
        Err(_) if store.somebody_else_made_it() => {
            tracing::info!(place = store.place().name(), "somebody else made the repository");
            store.remove_own_keys()?;
        }
        Err(error) => return Err(store.refusal(&error, "the repository cannot be made")),
    }
    store.settle()?;
    Ok(())
}

/// Tries each key by itself: one that was left behind by a run that was killed while it made the repository opens by the same password, and
/// fits nothing. It is removed where another fits, because restic's own programs stop at it.
fn open_by_a_key_that_fits(store: &Arc<Store>, key: &Key) -> Result<Repository<OpenStatus>, Refusal> {
    let credentials = Credentials::password(&key.password);
    let ids = store.place().list(FileType::Key)?;
    let (mut opened, mut strays) = (None, Vec::new());
    for (id, _) in &ids {
        store.show_only_key(Some(*id));
        match new(store)?.open(&credentials) {
            Ok(repository) => opened = opened.or(Some((*id, repository))),
            Err(error) if error.is_incorrect_password() => {}
            Err(error) => {
                if let Some(refusal) = store.take_fault() {
                    return Err(refusal);
                }
                tracing::warn!("a key of the repository fits nothing: {}", error.display_log());
                strays.push(*id);
            }
        }
    }
    let what = store.place().name();
    match opened {
        Some((fitting, repository)) => {
            store.show_only_key(Some(fitting));
            for id in strays {
                store.place().remove(FileType::Key, &id)?;
            }
            Ok(repository)
        }
        None if ids.is_empty() || !strays.is_empty() => {
            let sentence = format!(
                "the repository in {what} has a damaged file `config`, or has lost its keys: put these back from where you copy backups to, or choose another place"
            );
            Err(Refusal::new(Reason::RepositoryDamaged, sentence))
        }
        None => Err(key.wrong(&what)),
    }
}

/// What went wrong in the library, in its own words.
fn words(error: &RusticError) -> String {
    let text = error.display_log();
    text.trim_start_matches("Error: ").chars().take(400).collect()
}

/// The id as its file is called.
fn hex(id: &Id) -> String {
    id.to_hex().as_str().to_owned()
}
