//! The manifests below a folder, as a commit would hold them.

use std::path::Path;

use drover_core::render::{SourceFile, is_manifest};

use crate::cli::Error;

/// Reads every manifest below `path`, in the order of their names. As in a commit, symlinks are not followed.
pub fn read(path: &Path) -> Result<Vec<SourceFile>, Error> {
    let mut files = Vec::new();
    let metadata = std::fs::metadata(path).map_err(|source| cannot_read(path, source))?;
    if metadata.is_dir() {
        descend(path, path, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
    } else {
        // A file that a person names is read whatever it is called.
        files.push(file(path)?);
    }
    Ok(files)
}

fn descend(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(|source| cannot_read(folder, source))? {
        let entry = entry.map_err(|source| cannot_read(folder, source))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| cannot_read(&path, source))?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !hidden {
            descend(root, &path, files)?;
        } else if kind.is_file() && path.strip_prefix(root).is_ok_and(|inside| is_manifest(&inside.to_string_lossy())) {
            files.push(file(&path)?);
        }
    }
    Ok(())
}

fn file(path: &Path) -> Result<SourceFile, Error> {
    let bytes = std::fs::read(path).map_err(|source| cannot_read(path, source))?;
    Ok(SourceFile { path: path.display().to_string(), bytes })
}

fn cannot_read(path: &Path, source: std::io::Error) -> Error {
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
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).expect("a link");
        let files = read(folder.path()).expect("read");
        let names: Vec<String> = files.iter().map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).collect();
        assert_eq!(names, ["a/c.yml", "a/z.json", "b.yaml"]);
        assert!(files[0].path.ends_with("a/c.yml"));
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let error = read(Path::new("no/such/folder")).expect_err("absent");
        assert!(error.to_string().starts_with("no/such/folder cannot be read"), "{error}");
    }
}
