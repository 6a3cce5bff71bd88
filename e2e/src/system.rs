//! The examples of `manifests/examples/`: the text that people read is the text that tests, the demo and campaigns deploy.

use std::fs;

use crate::git_repo::{Commit, GitRepo};
use crate::namespace::Namespace;
use crate::testbed::{Testbed, repository};

/// Where the examples' images would be, and below which domain their hosts.
const REGISTRY: &str = "registry.example.org/";
const DOMAIN: &str = "example.org";

/// The files of an example, with their names: a system in one of its two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    files: Vec<(String, String)>,
}

impl System {
    /// The example `name` as it stands, in its first version.
    pub fn first(name: &str) -> Self {
        Self::read(name, "first")
    }

    /// The same in its second version, which a push brings out after the first.
    pub fn second(name: &str) -> Self {
        Self::read(name, "second")
    }

    fn read(name: &str, version: &str) -> Self {
        let folder = repository().join("manifests/examples").join(name).join(version);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<(String, String)> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let text = fs::read_to_string(entry.path()).expect("an example's file is text");
                (entry.file_name().into_string().expect("an example's file has a plain name"), text)
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} is empty", folder.display());
        Self { files }
    }

    /// With the testbed's images, reached under the host of `namespace`: `NAME.example.org` is that for the system's own name.
    #[must_use]
    pub fn in_namespace(self, namespace: &Namespace, name: &str) -> Self {
        self.with(REGISTRY, &format!("{}/", Testbed::shared().registry()))
            .with(&format!("{name}.{DOMAIN}"), &namespace.host())
    }

    /// With `new` for `old` wherever that stands, which must be somewhere.
    #[must_use]
    pub fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.files.iter().any(|(_, text)| text.contains(old)), "`{old}` stands nowhere in {:?}", self.files);
        for (_, text) in &mut self.files {
            *text = text.replace(old, new);
        }
        self
    }

    /// With one file more.
    #[must_use]
    pub fn and(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// The text of its only file.
    pub fn text(&self) -> &str {
        let [(_, text)] = &*self.files else { panic!("not one file: {:?}", self.files) };
        text
    }

    /// Its files, with their names.
    pub fn into_files(self) -> Vec<(String, String)> {
        self.files
    }

    /// Commits it to the branch that is followed.
    pub fn push(&self, repo: &GitRepo, message: &str) -> Commit {
        let files: Vec<(&str, &str)> = self.files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        repo.push(&files, message)
    }
}
