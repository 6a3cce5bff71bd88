//! Where a repository × credential is kept: one folder named by a hash of both, so that no credential ever serves another's
//! objects.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use drover_fetch::{Address, Auth, Credential};
use sha2::{Digest as _, Sha256};

/// Names a repository × credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CacheId(String);

impl CacheId {
    pub(super) fn of(address: &Address, credential: &Credential) -> Self {
        let mut hash = Sha256::new();
        hash.update(address.to_string());
        hash.update([0]);
        hash.update(credential.fingerprint());
        Self(hex::encode(hash.finalize()))
    }

    pub(super) fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// The folder: `repository` is the cache proper, `home` is what the child sees as its home, `next` is a cache being made anew.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(super) fn new(directory: &Path, id: &CacheId) -> Self {
        Self { root: directory.join(&id.0) }
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.root.join("repository")
    }

    pub(super) fn next(&self) -> PathBuf {
        self.root.join("next")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The private certificate authorities, where the credential brings its own.
    pub(super) fn authority(&self) -> PathBuf {
        self.home().join("ca.crt")
    }

    /// A folder without certificates.
    pub(super) fn no_certificates(&self) -> PathBuf {
        self.home().join("certificates")
    }

    /// Makes the folder and what the child finds in its home: nothing of the machine's, only `known_hosts`, from which libgit2
    /// takes the kinds of host key to ask for, and the certificate authority.
    pub(super) fn prepare(&self, credential: &Credential) -> io::Result<()> {
        fs::create_dir_all(self.no_certificates())?;
        fs::write(self.authority(), credential.authority().unwrap_or_default())?;
        if let Auth::Key { known_hosts, .. } = credential.auth() {
            fs::create_dir_all(self.home().join(".ssh"))?;
            fs::write(self.home().join(".ssh/known_hosts"), known_hosts)?;
        }
        self.discard_next()
    }

    pub(super) fn is_prepared(&self) -> bool {
        self.authority().exists()
    }

    pub(super) fn discard_next(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.next()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts the cache that was made anew in the place of the old one. A reader of the old one keeps its open files or finds
    /// its commit missing and asks again.
    pub(super) fn swap(&self) -> io::Result<()> {
        let old = self.root.join("old");
        match fs::rename(self.repository(), &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(self.next(), self.repository())?,
        }
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the folder out of use at once and returns what is left to delete.
    pub(super) fn retire(&self) -> Option<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let retired = self.root.with_extension(format!("retired-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::rename(&self.root, &retired).ok().map(|()| retired)
    }
}

/// Folders in `directory` that are drover's and belong to none of `used`: what an earlier run left.
pub(super) fn leftovers(directory: &Path, used: impl Fn(&CacheId) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let ours = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let id = name.split('.').next()?;
        let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id && !used(&CacheId(name))).then(|| entry.path())
    });
    ours.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(url: &str) -> CacheId {
        CacheId::of(&Address::parse(url, false).expect(url), &Credential::default())
    }

    #[test]
    fn only_folders_of_nobody_are_left_over() {
        let directory = tempfile::tempdir().expect("directory");
        let (used, unused) = (id("https://h/a"), id("https://h/b"));
        for id in [&used, &unused] {
            Cache::new(directory.path(), id).prepare(&Credential::default()).expect("prepared");
        }
        fs::create_dir(directory.path().join("somebody-elses")).expect("made");
        let retired = Cache::new(directory.path(), &id("https://h/c"));
        retired.prepare(&Credential::default()).expect("prepared");
        let retired = retired.retire().expect("retired");
        let mut left = leftovers(directory.path(), |id| *id == used);
        left.sort();
        let mut expected = vec![Cache::new(directory.path(), &unused).root, retired];
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_new_cache_takes_the_old_ones_place() {
        let directory = tempfile::tempdir().expect("directory");
        let cache = Cache::new(directory.path(), &id("https://h/a"));
        for content in ["first", "second"] {
            fs::create_dir_all(cache.next()).expect("made");
            fs::write(cache.next().join("HEAD"), content).expect("written");
            cache.swap().expect("swapped");
            assert_eq!(fs::read_to_string(cache.repository().join("HEAD")).expect("read"), content);
            assert!(!cache.next().exists());
        }
    }
}
