//! Which object of a bucket becomes which file. Nothing is left out in silence: what no folder can hold is refused, by name.

use std::collections::HashMap;
use std::fmt;

use super::manifest::{File, Manifest};
use super::order::{PathPair, S3Source};
use super::path::{check_names, check_path};
use super::reason::{Reason, Refusal};

/// The most files that a set may hold: all of them are known at once while it is made.
pub const LARGEST_SET: usize = 100_000;

/// An object, as the listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The whole key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// With its quotes.
    pub etag: Option<String>,
    /// When it last changed, as the listing writes it.
    pub modified: Option<String>,
}

/// An entry of a source's paths, with the source's prefix before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// A key or what keys begin with.
    pub from: String,
    /// Whether it is what keys begin with.
    pub is_prefix: bool,
    /// Where in the set: a folder, without a slash at its end, or a file.
    to: String,
    into_folder: bool,
}

impl S3Source {
    /// What is asked for, entry by entry.
    pub fn selections(&self) -> Vec<Selection> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        self.paths.iter().map(|pair| Selection::new(prefix, pair)).collect()
    }
}

impl Selection {
    fn new(prefix: &str, pair: &PathPair) -> Self {
        let between = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        Self {
            from: format!("{prefix}{between}{}", pair.from),
            is_prefix: pair.is_prefix(),
            to: pair.to.trim_end_matches('/').to_owned(),
            into_folder: pair.is_into_folder(),
        }
    }

    /// Where the object belongs; `None` for one that stands for a folder and holds nothing.
    fn path_of(&self, object: &Object) -> Result<Option<String>, Refusal> {
        if object.key.ends_with('/') || object.key.is_empty() {
            return if object.size == 0 {
                Ok(None)
            } else {
                Err(no_file(&object.key, "has the name of a folder and holds bytes"))
            };
        }
        let rest = if self.is_prefix {
            object.key.strip_prefix(self.from.as_str()).unwrap_or(&object.key)
        } else if self.into_folder {
            object.key.rsplit('/').next().unwrap_or(&object.key)
        } else {
            ""
        };
        let path = join(&self.to, rest);
        check_names(&object.key).and_then(|()| check_path(&path)).map_err(|why| no_file(&object.key, why))?;
        Ok(Some(path))
    }
}

/// A path below a folder; either may be empty.
fn join(folder: &str, rest: &str) -> String {
    let between = if folder.is_empty() || rest.is_empty() { "" } else { "/" };
    format!("{folder}{between}{rest}")
}

/// The files that a set of these objects holds. `listed` are the entries of the source's paths, each with what is there.
pub fn place(listed: &[(Selection, Vec<Object>)]) -> Result<Manifest, Refusal> {
    let mut files = Vec::new();
    for (selection, objects) in listed {
        for object in objects {
            let Some(path) = selection.path_of(object)? else { continue };
            if files.len() == LARGEST_SET {
                let sentence = format!("the source holds more than {LARGEST_SET} files: sync a part of it");
                return Err(Refusal::new(Reason::TooManyFiles, sentence));
            }
            if object.etag.is_none() && object.modified.is_none() {
                let key = object.key.escape_debug();
                let sentence =
                    format!("`{key}` has neither ETag nor time in the listing: nothing tells when it changes");
                return Err(Refusal::of(Reason::SourceFails, &object.key, sentence));
            }
            files.push(File {
                entry: selection.from.clone(),
                key: object.key.clone(),
                path,
                size: object.size,
                etag: object.etag.clone(),
                modified: object.modified.clone(),
                sha256: None,
                content_type: None,
            });
        }
    }
    refuse_clashes(&files)?;
    Ok(Manifest::new(files))
}

/// No two may be one file, and none a file and a folder.
fn refuse_clashes(files: &[File]) -> Result<(), Refusal> {
    let mut keys: HashMap<&str, &str> = HashMap::with_capacity(files.len());
    for file in files {
        if let Some(other) = keys.insert(&file.path, &file.key) {
            return Err(clash(file, other, "would be the same file"));
        }
    }
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            if let Some(other) = keys.get(&file.path[..at]) {
                return Err(clash(file, other, "would be a file and a folder of one name"));
            }
        }
    }
    Ok(())
}

fn clash(file: &File, other: &str, why: &str) -> Refusal {
    let sentence = format!(
        "the keys `{}` and `{}` {why} ({}): rename one, or give them different places in paths",
        other.escape_debug(),
        file.key.escape_debug(),
        file.path.escape_debug()
    );
    Refusal::of(Reason::BadKey, &file.key, sentence)
}

fn no_file(key: &str, why: impl fmt::Display) -> Refusal {
    let sentence = format!("the key `{}` {why}, so no file can be made of it: rename it", key.escape_debug());
    Refusal::of(Reason::BadKey, key, sentence)
}
