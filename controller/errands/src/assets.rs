//! The errand `keep-assets`: copies the files of an image to a folder of their own on a claim, and removes the folders of releases that
//! nobody goes back to.
//!
//! ```text
//! SET/        the files of a release, whole: the front looks only there
//! .new-SET/   what is half done; the next run begins by removing it
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use drover_core::render::NAME_DIGITS;
use rustix::fs::syncfs;

/// Folders are writable for the group: the next release may run as another user, which shares that.
const FOLDER_MODE: u32 = 0o775;
const FILE_MODE: u32 = 0o644;

/// Folders within each other: more is a link that leads to its own folder.
const DEEPEST: usize = 32;

/// Why a set was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The operating system.
    #[error("{what} {path}: {error}{}", advice(.error))]
    Io {
        /// What did not work.
        what: &'static str,
        /// With which file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A link that leads out.
    #[error(
        "{path} is a link that leads out of the folder: have the command copy the file itself (collectstatic without --link)"
    )]
    Outside {
        /// The link.
        path: String,
    },
    /// Neither file nor folder.
    #[error("{path} is neither a file nor a folder, and so cannot be served: remove it from the folder")]
    Special {
        /// It.
        path: String,
    },
    /// A link to its own folder, most likely.
    #[error("{path} lies more than {DEEPEST} folders deep: look for a link that leads to its own folder")]
    TooDeep {
        /// It.
        path: String,
    },
    /// Nothing.
    #[error("{path} holds no file: correct the command, or the path")]
    Empty {
        /// The folder.
        path: String,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": ask for more in the claim of these assets",
        io::ErrorKind::PermissionDenied => ": let the command write files that others may read (umask 022)",
        _ => "",
    }
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Files of the set.
    pub files: u64,
    /// How many of them were there before, in another set.
    pub linked: u64,
    /// Sets that were removed.
    pub removed: u64,
}

/// Whether that is the name of a set.
pub fn is_set(name: &str) -> bool {
    name.len() == NAME_DIGITS && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Copies the files of `from` to the folder `set` of `claim`, where that is not there yet, and then removes all other sets but those of
/// `keep`.
pub fn keep(from: &Path, claim: &Path, set: &str, keep: &[String]) -> Result<Kept, Failure> {
    let (own, new) = (claim.join(set), claim.join(format!(".new-{set}")));
    let mut kept = Kept::default();
    // A pod that mounts a set which is not there has the node make an empty folder.
    if fs::remove_dir(&own).is_ok() || !own.exists() {
        remove(&new)?;
        let root = from.canonicalize().map_err(at("cannot read", from))?;
        let before = keep.iter().map(|other| claim.join(other)).filter(|other| other.is_dir()).collect();
        let mut copy = Copy { root: &root, before, kept: &mut kept };
        copy.folder(from, &new, Path::new(""), 0)?;
        if kept.files == 0 {
            remove(&new)?;
            return Err(Failure::Empty { path: from.display().to_string() });
        }
        // On the disk before it has its name.
        File::open(&new).and_then(|folder| Ok(syncfs(&folder)?)).map_err(at("cannot write", &new))?;
        fs::rename(&new, &own).map_err(at("cannot name", &own))?;
        File::open(claim).and_then(|folder| folder.sync_all()).map_err(at("cannot write", claim))?;
    }
    for entry in fs::read_dir(claim).map_err(at("cannot read", claim))? {
        let entry = entry.map_err(at("cannot read", claim))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_old = is_set(&name) && name != set && !keep.contains(&name);
        if is_old || name.strip_prefix(".new-").is_some_and(is_set) {
            remove(&entry.path())?;
            kept.removed += u64::from(is_old);
        }
    }
    Ok(kept)
}

struct Copy<'a> {
    /// The folder that links may not lead out of.
    root: &'a Path,
    /// The sets in which the same file may be.
    before: Vec<PathBuf>,
    kept: &'a mut Kept,
}

impl Copy<'_> {
    fn folder(&mut self, from: &Path, to: &Path, below: &Path, depth: usize) -> Result<(), Failure> {
        if depth > DEEPEST {
            return Err(Failure::TooDeep { path: from.display().to_string() });
        }
        fs::create_dir(to).map_err(at("cannot make", to))?;
        set_mode(to, FOLDER_MODE)?;
        for entry in fs::read_dir(from).map_err(at("cannot read", from))? {
            let entry = entry.map_err(at("cannot read", from))?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().map_err(at("cannot read", &path))?.is_symlink() {
                let inside = path.canonicalize().is_ok_and(|leads| leads.starts_with(self.root));
                if !inside {
                    return Err(Failure::Outside { path: path.display().to_string() });
                }
            }
            let (to, below) = (to.join(&name), below.join(&name));
            let kind = fs::metadata(&path).map_err(at("cannot read", &path))?.file_type();
            if kind.is_dir() {
                self.folder(&path, &to, &below, depth + 1)?;
            } else if kind.is_file() {
                self.file(&path, &to, &below)?;
            } else {
                return Err(Failure::Special { path: path.display().to_string() });
            }
        }
        Ok(())
    }

    /// What did not change is a second name for the same file: it takes no room, and browsers that have it are told so by its time.
    fn file(&mut self, from: &Path, to: &Path, below: &Path) -> Result<(), Failure> {
        self.kept.files += 1;
        for other in self.before.iter().map(|set| set.join(below)) {
            let same = is_same(from, &other).map_err(at("cannot read", from))?;
            if same && fs::hard_link(&other, to).is_ok() {
                self.kept.linked += 1;
                return Ok(());
            }
        }
        let mut source = File::open(from).map_err(at("cannot read", from))?;
        let mut target = File::create_new(to).map_err(at("cannot write", to))?;
        io::copy(&mut source, &mut target).and_then(|_| target.flush()).map_err(at("cannot write", to))?;
        set_mode(to, FILE_MODE)
    }
}

/// Whether both are files of the same bytes. One that is not there, or cannot be read, is not the same.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let Ok(known) = fs::symlink_metadata(other) else { return Ok(false) };
    if !known.is_file() || known.len() != fs::metadata(one)?.len() {
        return Ok(false);
    }
    let Ok(other) = File::open(other) else { return Ok(false) };
    let (mut one, mut other) = (io::BufReader::new(File::open(one)?), io::BufReader::new(other));
    let (mut left, mut right) = ([0_u8; 16 << 10], [0_u8; 16 << 10]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        if other.read_exact(&mut right[..count]).is_err() || left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Failure> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at("cannot write", path))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::Io { what, path, error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    const SETS: [&str; 3] = ["0000000001", "0000000002", "0000000003"];

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            fs::create_dir(folder.path().join("claim")).expect("a claim");
            Self { folder }
        }

        /// The folder that an image has, with these files and no others.
        fn image(&self, files: &[(&str, &str)]) -> PathBuf {
            let from = self.folder.path().join("image");
            remove(&from).expect("it is ours");
            for (name, text) in files {
                let path = from.join(name);
                fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                fs::write(path, text).expect("a file");
            }
            from
        }

        fn claim(&self) -> PathBuf {
            self.folder.path().join("claim")
        }

        fn read(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.claim().join(path)).ok()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.claim()).expect("a claim");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn each_set_is_whole_and_those_that_are_not_kept_go() {
        let place = Place::new();
        let from = place.image(&[("app.1.css", "one"), ("admin/base.css", "same")]);
        let first = keep(&from, &place.claim(), SETS[0], &[]).expect("kept");
        assert_eq!(first, Kept { files: 2, linked: 0, removed: 0 });
        let from = place.image(&[("app.2.css", "two"), ("admin/base.css", "same")]);
        fs::create_dir(place.claim().join("lost+found")).expect("a file system has it");
        let second = keep(&from, &place.claim(), SETS[1], &[SETS[0].to_owned()]).expect("kept");
        assert_eq!(second, Kept { files: 2, linked: 1, removed: 0 });
        let inode = |set: &str| fs::metadata(place.claim().join(set).join("admin/base.css")).expect("a file").ino();
        assert_eq!(inode(SETS[0]), inode(SETS[1]), "what did not change takes no room");
        let mode = |path: &str| fs::metadata(place.claim().join(path)).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode("0000000002/admin"), mode("0000000002/app.2.css")), (0o775, 0o644));

        let third = keep(&from, &place.claim(), SETS[2], &[SETS[1].to_owned()]).expect("kept");
        assert_eq!(third.removed, 1);
        assert_eq!(place.names(), [SETS[1], SETS[2], "lost+found"]);
        assert_eq!(place.read("0000000002/app.2.css").as_deref(), Some("two"));
    }

    #[test]
    fn a_set_that_is_there_is_left_alone_and_what_is_half_done_begins_anew() {
        let place = Place::new();
        fs::create_dir_all(place.claim().join(".new-0000000001/half")).expect("what a killed one left");
        fs::create_dir_all(place.claim().join(".new-0000000002")).expect("what another left");
        let from = place.image(&[("a", "one")]);
        keep(&from, &place.claim(), SETS[0], &[]).expect("kept");
        assert_eq!(place.names(), [SETS[0]]);
        keep(&place.image(&[("a", "two")]), &place.claim(), SETS[0], &[]).expect("kept");
        assert_eq!(place.read("0000000001/a").as_deref(), Some("one"));
        fs::create_dir(place.claim().join(SETS[1])).expect("what a mount made");
        keep(&place.image(&[("a", "two")]), &place.claim(), SETS[1], &[SETS[0].to_owned()]).expect("kept");
        assert_eq!(place.read("0000000002/a").as_deref(), Some("two"));
        assert!(!place.claim().join("0000000001/half").exists());
    }

    #[test]
    fn links_lead_inside_or_are_refused_and_nothing_of_that_is_kept() {
        let place = Place::new();
        let from = place.image(&[("a/file", "one")]);
        symlink("a/file", from.join("inside")).expect("a link");
        symlink(from.join("a"), from.join("folder")).expect("a link");
        keep(&from, &place.claim(), SETS[0], &[]).expect("kept");
        assert_eq!(place.read("0000000001/inside").as_deref(), Some("one"));
        assert_eq!(place.read("0000000001/folder/file").as_deref(), Some("one"));

        for leads in ["/etc/hostname", "../../claim", "nowhere"] {
            let from = place.image(&[("a", "one")]);
            symlink(leads, from.join("out")).expect("a link");
            let said = keep(&from, &place.claim(), SETS[1], &[SETS[0].to_owned()]).expect_err(leads).to_string();
            assert!(said.contains("out is a link that leads out of the folder"), "{said}");
        }
        let from = place.image(&[("a/b", "one")]);
        symlink(".", from.join("a/again")).expect("a link");
        let said = keep(&from, &place.claim(), SETS[1], &[SETS[0].to_owned()]).expect_err("a circle").to_string();
        assert!(said.contains("folders deep"), "{said}");
        assert!(!place.claim().join(SETS[1]).exists());
    }

    #[test]
    fn a_folder_without_files_or_that_is_not_there_is_said() {
        let place = Place::new();
        let from = place.image(&[]);
        let said = keep(&from, &place.claim(), SETS[0], &[]).expect_err("there is none").to_string();
        assert!(said.contains("cannot read") && said.contains("image"), "{said}");
        fs::create_dir_all(from.join("empty")).expect("a folder");
        let said = keep(&from, &place.claim(), SETS[0], &[]).expect_err("it is empty").to_string();
        assert!(said.contains("holds no file"), "{said}");
        assert_eq!(place.names(), Vec::<String>::new());
    }

    #[test]
    fn files_that_differ_in_one_byte_are_not_the_same() {
        let place = Place::new();
        let long = "x".repeat(40_000);
        let other = format!("{}y", &long[1..]);
        keep(&place.image(&[("a", &long)]), &place.claim(), SETS[0], &[]).expect("kept");
        let second = keep(&place.image(&[("a", &other)]), &place.claim(), SETS[1], &[SETS[0].to_owned()]);
        assert_eq!(second.expect("kept").linked, 0);
        assert_eq!(place.read("0000000002/a"), Some(other));
    }
}
