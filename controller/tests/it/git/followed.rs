//! A repository with one branch that a pool follows already.

use drover::git::{Error, Limits, Tree};
use drover_core::branch::{CommitId, TreeId};

use super::pool::{Pool, branch, team};
use super::server::{GitServer, Repo};

pub struct Followed {
    pub server: GitServer,
    pub repo: Repo,
    pub pool: Pool,
    pub head: CommitId,
}

impl Followed {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let server = GitServer::start();
        let repo = server.repo("demo");
        let head = repo.git(&["rev-parse", "HEAD"]);
        let mut pool = Pool::with(limits);
        pool.follow("app", &server.https("demo"), branch("prod"), server.password());
        pool.until_at("app", &head).await;
        Self { server, repo, pool, head: CommitId::parse(&head).expect("id") }
    }

    /// Another commit, when the pool has found it.
    pub async fn push(&mut self, files: &[(&str, &str)]) -> CommitId {
        let id = self.repo.push("prod", files, "more");
        self.pool.repositories.sync_now(&team("app"));
        self.pool.until_at("app", &id).await;
        self.head = CommitId::parse(&id).expect("id");
        self.head.clone()
    }

    pub async fn read(&self, commit: &CommitId, path: &str, known: Option<&TreeId>) -> Result<Tree, Error> {
        self.pool.repositories.read(&team("app"), commit, path, known).await
    }
}
