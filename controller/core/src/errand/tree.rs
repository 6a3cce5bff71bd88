//! Which entry of a commit's folder becomes which file. Nothing is left out in silence: what no set can hold is refused, by name.

use std::collections::BTreeMap;
use std::fmt;

use super::manifest::{File, Manifest};
use super::path::check_path;
use super::place::LARGEST_SET;
use super::reason::{Reason, Refusal};

/// How many links may lead to each other.
const LINKS: usize = 8;
/// How a pointer of Git LFS begins, and the most bytes that one has.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";
const LARGEST_LFS: u64 = 1024;

/// What is in a folder of a commit, and is no folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its path below the folder, which need not be text.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: LeafKind,
    /// In bytes.
    pub size: u64,
    /// Git's name for its content, in hexadecimal.
    pub id: String,
}

/// What an entry of a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeafKind {
    /// A file.
    File,
    /// A file that may be executed.
    Program,
    /// A symbolic link, and what stands in it.
    Link(Vec<u8>),
    /// A repository within the repository.
    Submodule,
}

impl Leaf {
    /// Its path for people.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).escape_debug().to_string()
    }
}

/// The files that a set of these entries holds, each with the entry that its bytes are of. A link to a file of the folder becomes that
/// file. `folder` is what the order calls them all.
///
/// # Errors
/// What is no file, and cannot become one.
pub fn place_tree<'a>(folder: &str, leaves: &'a [Leaf]) -> Result<(Manifest, BTreeMap<String, &'a Leaf>), Refusal> {
    if leaves.len() > LARGEST_SET {
        let sentence = format!("the folder holds more than {LARGEST_SET} files: sync a part of it, by path");
        return Err(Refusal::new(Reason::TooManyFiles, sentence));
    }
    let all: BTreeMap<&[u8], &Leaf> = leaves.iter().map(|leaf| (&leaf.path[..], leaf)).collect();
    let (mut files, mut contents) = (Vec::with_capacity(leaves.len()), BTreeMap::new());
    for leaf in leaves {
        let Ok(path) = std::str::from_utf8(&leaf.path) else { return Err(no_file(leaf, "is no text")) };
        check_path(path).map_err(|why| no_file(leaf, why))?;
        let content = content(leaf, &all)?;
        let mode = if content.kind == LeafKind::Program { "100755" } else { "100644" };
        files.push(File {
            entry: folder.to_owned(),
            key: path.to_owned(),
            path: path.to_owned(),
            size: content.size,
            etag: Some(format!("{mode} {}", content.id)),
            modified: None,
            sha256: None,
            content_type: None,
        });
        contents.insert(path.to_owned(), content);
    }
    Ok((Manifest::new(files), contents))
}

/// Refuses what stands in a file's place: nobody who reads it as data would find out.
///
/// # Errors
/// It is a pointer of Git LFS.
pub fn refuse_pointer(path: &str, bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() as u64 > LARGEST_LFS || !bytes.starts_with(LFS) {
        return Ok(());
    }
    let sentence = format!(
        "{} is a pointer of Git LFS and not the file, which is stored elsewhere: commit the file itself, or sync it from where it is stored by an s3 or http source",
        path.escape_debug()
    );
    Err(Refusal::of(Reason::WrongType, path, sentence))
}

/// The file that it is, or leads to.
fn content<'a>(leaf: &'a Leaf, all: &BTreeMap<&[u8], &'a Leaf>) -> Result<&'a Leaf, Refusal> {
    let mut at = leaf;
    for _ in 0..LINKS {
        let target = match &at.kind {
            LeafKind::File | LeafKind::Program => return Ok(at),
            LeafKind::Submodule => {
                return Err(no_file(leaf, "is a submodule, whose files are in another repository"));
            }
            LeafKind::Link(target) => target,
        };
        let found = resolve(&at.path, target).and_then(|path| all.get(&path[..]).copied());
        at = found.ok_or_else(|| {
            let target = String::from_utf8_lossy(target);
            no_file(leaf, format!("is a link to {}, which is no file of the synced folder", target.escape_debug()))
        })?;
    }
    Err(no_file(leaf, "is a link in a chain of links that does not end"))
}

/// Where a link in that place leads; `None` where that is outside.
fn resolve(from: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> = from.split(|b| *b == b'/').collect();
    parts.pop();
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

fn no_file(leaf: &Leaf, why: impl fmt::Display) -> Refusal {
    let name = leaf.name();
    let sentence = format!("{name} {why}: remove it from the folder, commit the file itself, or sync another folder");
    Refusal::of(Reason::BadKey, &name, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(path: &str, kind: LeafKind) -> Leaf {
        Leaf { path: path.into(), size: 3, id: format!("id of {path}"), kind }
    }

    fn link(path: &str, target: &str) -> Leaf {
        leaf(path, LeafKind::Link(target.into()))
    }

    #[test]
    fn files_keep_their_mode_and_links_become_what_they_lead_to() {
        let leaves = [
            leaf("manage.py", LeafKind::Program),
            leaf("site/views.py", LeafKind::File),
            link("site/run", "../manage.py"),
            link("again", "./site/run"),
        ];
        let (manifest, contents) = place_tree("app", &leaves).expect("files");
        let etags: Vec<_> = manifest.files().iter().map(|file| (file.path.as_str(), file.identity())).collect();
        let program = "100755 id of manage.py";
        assert_eq!(
            etags,
            [
                ("again", program),
                ("manage.py", program),
                ("site/run", program),
                ("site/views.py", "100644 id of site/views.py")
            ]
        );
        assert_eq!(contents["again"].id, "id of manage.py");
        let (other, _) = place_tree("app", &[leaf("manage.py", LeafKind::File)]).expect("files");
        let before = manifest.at("manage.py").expect("it is there");
        assert!(!other.files()[0].is_same_as(before), "another mode is another file");
    }

    #[test]
    fn what_cannot_be_a_file_is_refused_by_name() {
        for (leaves, said) in [
            (vec![leaf("lib", LeafKind::Submodule)], "lib is a submodule"),
            (vec![link("out", "../../etc/passwd")], "out is a link to ../../etc/passwd, which is no file"),
            (vec![link("abs", "/etc/passwd")], "abs is a link to /etc/passwd"),
            (vec![link("gone", "nothing")], "gone is a link to nothing"),
            (vec![link("folder", "site"), leaf("site/a", LeafKind::File)], "folder is a link to site"),
            (vec![link("a", "b"), link("b", "a")], "does not end"),
            (vec![leaf(".drover/x", LeafKind::File)], "kept for the volume"),
            (vec![leaf("a\nb", LeafKind::File)], "control character"),
            (vec![Leaf { path: vec![0xff], ..leaf("", LeafKind::File) }], "is no text"),
        ] {
            let refusal = place_tree("", &leaves).expect_err(said);
            assert!(refusal.sentence.contains(said), "{}", refusal.sentence);
            assert_eq!(refusal.reason, Reason::BadKey);
        }
        let many = vec![leaf("a", LeafKind::File); LARGEST_SET + 1];
        assert_eq!(place_tree("", &many).expect_err("too many").reason, Reason::TooManyFiles);
    }

    #[test]
    fn a_pointer_is_not_taken_for_the_file() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let refusal = refuse_pointer("data.fits", pointer).expect_err("a pointer");
        assert!(refusal.sentence.starts_with("data.fits is a pointer of Git LFS"), "{refusal}");
        refuse_pointer("notes", b"we use version https://git-lfs.github.com/spec/v1").expect("a text");
    }
}
