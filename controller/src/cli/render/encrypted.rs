//! Files that SOPS encrypted, for who has a key and for who has none.

use std::path::{Path, PathBuf};

use drover_core::branch::AgeKeys;
use drover_core::render::{Limits, Opened, SourceFile, sealed};

use super::findings;
use crate::cli::Error;
use crate::tools::{Sops, Unopened};

/// Decrypts what is encrypted of `files`, with the age keys of the file at `path`.
pub(super) async fn open(files: &[SourceFile], path: &Path) -> Result<Opened, Error> {
    let bad = |problem: String, hint: &str| Error::BadInput {
        what: path.display().to_string(),
        problem,
        hint: hint.to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
        what: path.display().to_string(),
        done: "read",
        source,
    })?;
    let keys = AgeKeys::read(&text).map_err(|line| {
        let problem = if line == 0 { "holds no age key".to_owned() } else { format!("has no age key in line {line}") };
        bad(problem, "name the file that `age-keygen` wrote")
    })?;
    let child = std::env::current_exe().map_err(|source| Error::Io {
        what: "the path of this program".to_owned(),
        done: "read",
        source,
    })?;
    let opened = Sops::new(PathBuf::from("sops"), child).open(files, &keys, &Limits::default()).await;
    opened.map_err(|unopened| match unopened {
        Unopened::Wrong(errors) => findings(&errors),
        other => Error::Findings { findings: vec![other.to_string()] },
    })
}

/// Takes the encrypted files out of `files`, and says which these are. What can be seen without a key to be wrong with them is an error.
pub(super) fn leave_out(files: &mut Vec<SourceFile>) -> Result<Vec<String>, Error> {
    let (mut left, mut wrong) = (Vec::new(), Vec::new());
    files.retain(|file| match sealed(file, &Limits::default()) {
        Ok(None) => true,
        Ok(Some(_)) => {
            left.push(file.path.clone());
            false
        }
        Err(errors) => {
            wrong.extend(errors);
            false
        }
    });
    if wrong.is_empty() { Ok(left) } else { Err(findings(&wrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    const SECRET: &str =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nsops: {mac: x, age: [{recipient: age1a}]}\n";

    #[test]
    fn without_a_key_encrypted_files_are_left_out_and_those_that_no_age_key_opens_are_told() {
        let plain = file("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
        let mut files = vec![file("a.yaml", SECRET), plain.clone()];
        assert_eq!(leave_out(&mut files).expect("nothing is wrong"), ["a.yaml"]);
        assert_eq!(files, [plain]);
        let mut foreign = vec![file("c.yaml", &SECRET.replace("age: [", "pgp: ["))];
        let error = leave_out(&mut foreign).expect_err("not with age").to_string();
        assert!(error.starts_with("c.yaml:1: this file is encrypted for PGP"), "{error}");
    }
}
