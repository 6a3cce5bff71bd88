//! The manifests below a folder on disk, read as those of a commit are.

use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use drover_core::render::{Entry, EntryKind, Limits, SourceFile, Store, Unreadable, read_file, read_folder};

use crate::cli::Error;

/// Reads every manifest below `path`, in the order of their paths.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<SourceFile>, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| cannot_read(path, source))?;
    let node = path.to_owned();
    if metadata.is_dir() {
        // As in a commit, where nothing stands before a path.
        let below: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let root = path.to_string_lossy();
        return Ok(read_folder(&Disk, &node, &below.to_string_lossy(), &root, limits)?.files);
    }
    // A file that a person names is read whatever it is called.
    Ok(vec![read_file(&Disk, &node, &path.to_string_lossy(), limits)?])
}

struct Disk;

impl Store for Disk {
    type Node = PathBuf;
    type Error = Error;

    fn entries(&self, folder: &PathBuf, most: usize) -> Result<Vec<Entry<PathBuf>>, Error> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|source| cannot_read(folder, source))?.take(most) {
            let entry = entry.map_err(|source| cannot_read(folder, source))?;
            let node = entry.path();
            let found = entry.file_type().map_err(|source| cannot_read(&node, source))?;
            let kind = match found {
                found if found.is_dir() && node.join(".git").exists() => EntryKind::Submodule,
                found if found.is_dir() => EntryKind::Folder,
                found if found.is_symlink() => EntryKind::Link,
                found if found.is_file() => EntryKind::File,
                // No commit holds a socket or a device.
                _ => continue,
            };
            entries.push(Entry { name: entry.file_name().into_vec(), kind, node });
        }
        Ok(entries)
    }

    fn size(&self, file: &PathBuf) -> Result<u64, Error> {
        Ok(std::fs::metadata(file).map_err(|source| cannot_read(file, source))?.len())
    }

    fn bytes(&self, file: &PathBuf, _: &str, _: u64) -> Result<Vec<u8>, Error> {
        std::fs::read(file).map_err(|source| cannot_read(file, source))
    }

    fn target(&self, link: &PathBuf) -> String {
        std::fs::read_link(link).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::Findings { findings: vec![unreadable.to_string()] }
    }
}

fn cannot_read(path: &Path, source: io::Error) -> Error {
    Error::Io { what: path.display().to_string(), done: "read", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_manifests_in_order_and_follows_no_symlink() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.yaml", "a/z.json", "a/c.yml", "notes.txt", ".hidden.yaml", ".git/x.yaml"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, name).expect("written");
        }
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link.yaml")).expect("a link");
        let refused = read(folder.path(), &Limits::default()).expect_err("a link in place of a manifest").to_string();
        assert!(
            refused.contains("link.yaml is a symbolic link to /etc/hostname, and links are not followed"),
            "{refused}"
        );
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).expect("a link");
        std::fs::remove_file(folder.path().join("link.yaml")).expect("ours");
        std::fs::create_dir_all(folder.path().join("nested/.git")).expect("a folder");
        std::fs::write(folder.path().join("nested/theirs.yaml"), "no").expect("written");
        let files = read(folder.path(), &Limits::default()).expect("read");
        let names: Vec<String> = files.iter().map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).collect();
        assert_eq!(names, ["a/c.yml", "a/z.json", "b.yaml"]);
        assert!(files[0].path.ends_with("a/c.yml"));
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let error = read(Path::new("no/such/folder"), &Limits::default()).expect_err("absent");
        assert!(error.to_string().starts_with("no/such/folder cannot be read"), "{error}");
    }
}
