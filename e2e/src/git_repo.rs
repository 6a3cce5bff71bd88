//! A repository on the real git server, and a clone of it in which a team works.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::command::{Finished, finish, run};
use crate::git_server::GitServer;

/// A commit's full id.
pub type Commit = String;

/// A repository and a clone of it.
pub struct GitRepo {
    server: GitServer,
    name: String,
    clone: TempDir,
}

impl GitRepo {
    /// A new, empty repository on the shared server; `name` must be new too.
    pub fn create(name: &str) -> Self {
        Self::create_on(GitServer::shared().clone(), name)
    }

    /// The same, on that server.
    pub fn create_on(server: GitServer, name: &str) -> Self {
        server.create(name);
        let clone = tempfile::tempdir().expect("the temporary folder is ours to write");
        let repo = Self { server, name: name.to_owned(), clone };
        repo.git(&["init", "--quiet", "--initial-branch", "prod"]);
        repo.git(&["config", "user.name", "Robin"]);
        repo.git(&["config", "user.email", "robin@example.org"]);
        repo.git(&["remote", "add", "origin", &repo.https()]);
        repo
    }

    /// Its address over TLS.
    pub fn https(&self) -> String {
        self.server.https(&self.name)
    }

    /// Its address over TLS where anybody may read it.
    pub fn public(&self) -> String {
        self.server.public(&self.name)
    }

    /// Its address over SSH.
    pub fn ssh(&self) -> String {
        self.server.ssh(&self.name)
    }

    /// Writes files, in place of all that were there, commits them and pushes them to `prod`.
    pub fn push(&self, files: &[(&str, &str)], message: &str) -> Commit {
        self.push_to("prod", files, message)
    }

    /// The same, to another branch.
    pub fn push_to(&self, branch: &str, files: &[(&str, &str)], message: &str) -> Commit {
        let commit = self.commit(files, message);
        self.git(&["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
        commit
    }

    /// Replaces the branch `prod` by a history of one commit with these files.
    pub fn force_push(&self, files: &[(&str, &str)], message: &str) -> Commit {
        self.git(&["checkout", "--quiet", "--orphan", "rewritten"]);
        let commit = self.commit(files, message);
        self.git(&["branch", "-M", "prod"]);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:refs/heads/prod"]);
        commit
    }

    /// Undoes the newest `count` commits by new ones and pushes them to `prod`.
    pub fn revert(&self, count: usize) -> Commit {
        self.git(&["revert", "--no-edit", &format!("HEAD~{count}..HEAD")]);
        self.git(&["push", "--quiet", "origin", "HEAD:refs/heads/prod"]);
        self.head()
    }

    /// Tags the newest commit and pushes the tag; a tag of that name is moved.
    pub fn tag(&self, tag: &str) {
        self.git(&["tag", "--force", tag]);
        self.git(&["push", "--quiet", "--force", "origin", &format!("refs/tags/{tag}")]);
    }

    /// Deletes a branch on the server.
    pub fn delete_branch(&self, branch: &str) {
        self.git(&["push", "--quiet", "origin", "--delete", branch]);
    }

    /// Adds a symbolic link to what is there, and pushes it to `prod`.
    pub fn push_link(&self, link: &str, target: &str, message: &str) -> Commit {
        std::os::unix::fs::symlink(target, self.clone.path().join(link)).expect("the clone is ours");
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["push", "--quiet", "origin", "HEAD:refs/heads/prod"]);
        self.head()
    }

    /// Writes files, in place of all that were there, and commits them here only.
    fn commit(&self, files: &[(&str, &str)], message: &str) -> Commit {
        for entry in fs::read_dir(self.clone.path()).expect("the clone can be read") {
            let path = entry.expect("the clone can be read").path();
            if path.is_dir() && !path.is_symlink() && !path.ends_with(".git") {
                fs::remove_dir_all(&path).expect("the clone is ours");
            } else if path.is_file() || path.is_symlink() {
                fs::remove_file(&path).expect("the clone is ours");
            }
        }
        for (name, content) in files {
            let path = self.clone.path().join(name);
            fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the clone is ours");
            fs::write(path, content).expect("the clone is ours");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// The newest commit of the clone.
    pub fn head(&self) -> Commit {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// The clone's folder.
    pub fn folder(&self) -> &Path {
        self.clone.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        run(self.command().args(arguments))
    }

    /// Runs git in the clone, whether it succeeds or not.
    pub fn try_git(&self, arguments: &[&str]) -> Finished {
        finish(self.command().args(arguments), "")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(self.clone.path());
        self.server.let_in(&mut command);
        command
    }
}
