//! A pool of repositories with the real child process, and waiting for what it finds.

use std::path::PathBuf;
use std::time::Duration;

use drover::git::{Config, Credential, Error, Head, Limits, Repositories, Subscription};
use drover_crds::{Owner, OwnerKind, Reference};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Nothing here takes that long, not even on a busy machine.
pub const DEADLINE: Duration = Duration::from_mins(1);

pub struct Pool {
    pub repositories: Repositories,
    pub news: UnboundedReceiver<Owner>,
    pub cache: TempDir,
}

impl Pool {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self::of(limits, PathBuf::from(env!("CARGO_BIN_EXE_drover")))
    }

    /// The same with another program as the child.
    pub fn of(limits: Limits, child: PathBuf) -> Self {
        let cache = tempfile::tempdir().expect("folder");
        let (notify, news) = unbounded_channel();
        let config = Config { cache_dir: cache.path().to_owned(), child, limits, allow_http: true, max_children: 4 };
        Self { repositories: Repositories::new(config, notify), news, cache }
    }

    pub fn follow(&self, name: &str, url: &str, reference: Reference, credential: Credential) {
        let interval = Duration::from_hours(1);
        let url = url.to_owned();
        let subscription = Subscription { url, reference, credential, interval, webhook_token: None };
        self.repositories.subscribe(&team(name), subscription);
    }

    /// Waits for news until the head of `name` is as wanted.
    pub async fn until(&mut self, name: &str, wanted: impl Fn(&Head) -> bool) -> Head {
        let waiting = async {
            loop {
                let head = self.repositories.head(&team(name));
                if wanted(&head) {
                    return head;
                }
                self.news.recv().await.expect("the pool lives");
            }
        };
        let found = tokio::time::timeout(DEADLINE, waiting).await;
        found.unwrap_or_else(|_| panic!("the head of {name} stayed {:?}", self.repositories.head(&team(name))))
    }

    /// Waits until `name` is at that commit.
    pub async fn until_at(&mut self, name: &str, id: &str) -> Head {
        self.until(name, |head| matches!(head, Head::At { commit, .. } if commit.id.as_str() == id)).await
    }

    /// Waits until `name` fails, and returns why.
    pub async fn until_failed(&mut self, name: &str) -> Error {
        match self.until(name, |head| matches!(head, Head::Failed { .. })).await {
            Head::Failed { error, .. } => error,
            _ => unreachable!("waited for a failure"),
        }
    }
}

/// Waits for a condition that nobody announces.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !condition() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}

/// The Environment of that name.
pub fn team(name: &str) -> Owner {
    Owner::new(OwnerKind::Environment, "team", name)
}

pub fn branch(name: &str) -> Reference {
    Reference { branch: Some(name.to_owned()), ..Reference::default() }
}

pub fn tag(name: &str) -> Reference {
    Reference { tag: Some(name.to_owned()), ..Reference::default() }
}

pub fn semver(range: &str) -> Reference {
    Reference { semver: Some(range.to_owned()), ..Reference::default() }
}

pub fn commit(id: &str) -> Reference {
    Reference { commit: Some(id.to_owned()), ..Reference::default() }
}
