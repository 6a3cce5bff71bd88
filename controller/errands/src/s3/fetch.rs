//! Fetching many objects at once, large ones in parts.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use drover_core::errand::{self, Guard, Manifest, Reason, Refusal};
use futures::stream::{self, TryStreamExt as _};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use super::Bucket;
use crate::failure::Final as _;
use crate::progress::Progress;
use crate::retry::{Fault, patiently};
use crate::web;

/// How many requests are under way at once.
const CONCURRENCY: usize = 48;

/// Objects larger than this are fetched in parts of this size, in bytes.
const PART: u64 = 8 << 20;

/// A part of an object; all of it where it is not large.
struct Part<'a> {
    file: &'a errand::File,
    /// Its place in the list of files.
    at: usize,
    offset: u64,
    length: u64,
}

impl Part<'_> {
    fn range(&self) -> Option<(u64, u64)> {
        (self.length < self.file.size).then_some((self.offset, self.length))
    }
}

/// Fetches the files of a manifest at these places in it. Returns the types that the server gives them, place by place.
pub async fn fetch(
    bucket: &Bucket,
    guard: &Guard,
    manifest: &Manifest,
    places: &[usize],
    into: &Path,
    progress: &Progress,
) -> Result<Vec<(usize, String)>, Refusal> {
    let types = RefCell::new(Vec::new());
    let missing: Vec<Cell<u64>> = places.iter().map(|at| Cell::new(manifest.files()[*at].size)).collect();
    let parts = places.iter().enumerate().flat_map(|(nth, at)| {
        let file = &manifest.files()[*at];
        let count = file.size.div_ceil(PART).max(1);
        (0..count).map(move |part| {
            let offset = part * PART;
            (nth, Part { file, at: *at, offset, length: (file.size - offset).min(PART) })
        })
    });
    stream::iter(parts.map(Ok::<_, Refusal>))
        .try_for_each_concurrent(CONCURRENCY, |(nth, part)| {
            let (types, missing) = (&types, &missing[nth]);
            async move {
                let target = open(&into.join(&part.file.path), &part)?;
                let kind =
                    patiently(bucket.deadline, async || read(bucket, guard, &part, &target, progress).await).await?;
                if part.offset == 0 {
                    types.borrow_mut().extend(kind.map(|kind| (part.at, kind)));
                }
                missing.set(missing.get() - part.length);
                if missing.get() == 0 {
                    progress.add_file();
                }
                Ok(())
            }
        })
        .await?;
    Ok(types.into_inner())
}

/// The first part makes the file; the others, which are begun after it, find it.
fn open(path: &Path, part: &Part) -> Result<File, Refusal> {
    let opened = OpenOptions::new().write(true).create_new(part.offset == 0).open(path);
    match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(folded(&part.file.key)),
        opened => opened.or_final(Reason::ClaimFails, "the claim cannot be written"),
    }
}

/// Everything in the staging folder is new: what is there already is of another name, which this volume takes for the same.
pub fn folded(key: &str) -> Refusal {
    let sentence = format!(
        "the key `{}` and another differ only in what the claim's file system takes for the same name: rename one",
        key.escape_debug()
    );
    Refusal::of(Reason::BadKey, key, sentence)
}

async fn read(
    bucket: &Bucket,
    guard: &Guard,
    part: &Part<'_>,
    target: &File,
    progress: &Progress,
) -> Result<Option<String>, Fault> {
    let key = &part.file.key;
    let response = bucket.get(key, part.file.etag.as_deref(), part.range()).await?;
    if web::length(response.headers()).is_some_and(|length| length != part.length) {
        return Err(bucket.changed(key).into());
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    if !guard.content_types.is_empty() {
        errand::judge_content_type(guard, &part.file.path, kind.as_deref())?;
    }
    let mut written = 0;
    let outcome = copy(response, part, target, &mut written, progress).await;
    let why = match outcome {
        Ok(()) if written == part.length => return Ok(kind),
        Ok(()) => "its end is missing".to_owned(),
        Err(Broken::Answer(why)) => why,
        Err(Broken::Claim(refusal)) => return Err(refusal.into()),
    };
    progress.take_back(written);
    let sentence = format!("{} broke off after {written} of {} bytes ({why})", bucket.name(key), part.length);
    let mut fault = Fault::passing(Reason::SourceFails, sentence);
    fault.refusal.path = Some(key.clone());
    Err(fault)
}

enum Broken {
    Answer(String),
    Claim(Refusal),
}

async fn copy(
    mut response: Response,
    part: &Part<'_>,
    target: &File,
    written: &mut u64,
    progress: &Progress,
) -> Result<(), Broken> {
    while let Some(chunk) = response.chunk().await.map_err(|error| Broken::Answer(web::why(&error)))? {
        let length = chunk.len() as u64;
        if *written + length > part.length {
            return Err(Broken::Answer("it is longer than was asked for".to_owned()));
        }
        let done = target.write_all_at(&chunk, part.offset + *written);
        done.or_final(Reason::ClaimFails, "the claim cannot be written").map_err(Broken::Claim)?;
        *written += length;
        progress.add_bytes(length);
    }
    Ok(())
}

/// Makes the folders of all files, each once.
pub fn make_folders(manifest: &Manifest, into: &Path) -> Result<(), Refusal> {
    let mut made = std::collections::HashSet::new();
    for file in manifest.files() {
        for (end, _) in file.path.match_indices('/') {
            let folder = &file.path[..end];
            if made.insert(folder) {
                match fs::create_dir(into.join(folder)) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(folded(&file.key)),
                    made => made.or_final(Reason::ClaimFails, "the claim cannot be written")?,
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> errand::File {
        let (path, key) = (path.to_owned(), format!("k/{path}"));
        let (etag, modified, sha256, content_type) = (Some("\"e\"".into()), None, None, None);
        errand::File { entry: "k/".into(), key, path, size: 1, etag, modified, sha256, content_type }
    }

    /// What a file system that folds names says of the second of two: that it is there, although nobody made it.
    #[test]
    fn names_that_the_volume_takes_for_one_are_refused_and_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("README"), "of another key").expect("a file");
        fs::create_dir(folder.path().join("docs")).expect("a folder");
        let readme = file("README");
        let part = Part { file: &readme, at: 0, offset: 0, length: 1 };
        let refusal = open(&folder.path().join("README"), &part).expect_err("it is there");
        assert_eq!((refusal.reason, refusal.path.as_deref()), (Reason::BadKey, Some("k/README")));
        assert_eq!(fs::read_to_string(folder.path().join("README")).expect("a file"), "of another key");
        let refusal = make_folders(&Manifest::new(vec![file("docs/a")]), folder.path()).expect_err("it is there");
        assert_eq!(refusal.path.as_deref(), Some("k/docs/a"));
    }
}
