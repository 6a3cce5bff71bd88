//! What an image was built from, and whether git has gone on since.

use serde::{Deserialize, Serialize};

/// What the labels of an image say that it was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The revision: a commit, mostly.
    pub revision: String,
    /// The address of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

/// What an Environment has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The address of the repository.
    pub repository: String,
    /// The commit, in full.
    pub commit: String,
}

impl Origin {
    /// Whether the image was built from another commit than the one that is applied, as far as both are known and of one repository.
    pub fn is_another_than(&self, applied: &Applied) -> bool {
        let is_same_repository = self.repository.as_deref().is_some_and(|own| place(own) == place(&applied.repository));
        is_same_repository && is_commit(&self.revision) && !applied.commit.starts_with(&self.revision)
    }
}

/// Whether `text` is a commit's id, perhaps a short one. Versions and branches are revisions too, of which git is asked nothing here.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Host and path of a repository, however it is reached.
fn place(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or((None, address), |(scheme, rest)| (Some(scheme), rest));
    // The user of ssh; a path may hold an @ as well.
    let rest = match rest.split_once('@') {
        Some((user, rest)) if !user.contains('/') => rest,
        _ => rest,
    };
    // `host:path`, as ssh has it, or `host:port/path`.
    let (host, path) = match (scheme, rest.split_once(':')) {
        (None, Some((host, path))) if !host.contains('/') => (host, path),
        _ => rest.split_once('/').unwrap_or((rest, "")),
    };
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let path = path.trim_matches('/');
    format!("{host}/{}", path.strip_suffix(".git").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_the_same_however_it_is_reached() {
        for address in [
            "https://git.example.org/team/shop",
            "https://me@Git.example.org/team/shop.git",
            "ssh://git@git.example.org:2222/team/shop.git",
            "git@git.example.org:team/shop.git",
            "git.example.org/team/shop/",
        ] {
            assert_eq!(place(address), "git.example.org/team/shop", "{address}");
        }
        assert_ne!(place("https://git.example.org/team/shop"), place("https://git.example.org/team/other"));
    }

    #[test]
    fn only_another_commit_of_the_same_repository_differs() {
        let commit = "1a2b3c4d5e6f7890123456789012345678901234";
        let applied = Applied { repository: "git@git.example.org:team/shop.git".into(), commit: commit.into() };
        let shop = Some("https://git.example.org/team/shop");
        for (revision, repository, differs) in [
            (commit, shop, false),
            (&commit[..8], shop, false),
            ("4d5e6f7", shop, true),
            ("4d5e6f7", Some("https://git.example.org/team/base"), false),
            ("4d5e6f7", None, false),
            ("v1.4", shop, false),
        ] {
            let origin = Origin { revision: revision.into(), repository: repository.map(str::to_owned) };
            assert_eq!(origin.is_another_than(&applied), differs, "{origin:?}");
        }
    }
}
