//! One connection: list, resolve, and fetch only what the cache lacks, without history.

use std::collections::BTreeSet;
use std::path::Path;

use drover_core::branch::{CommitId, CommitInfo};
use drover_core::render::short;
use drover_crds::Reference;
use git2::{Oid, Remote, Repository};
use jiff::Timestamp;

use super::remote::Connection;
use super::{damaged, open};
use crate::commit::{commit_id, oid, tree_id};
use crate::error::Error;
use crate::protocol::Response;
use crate::references::{Advertised, Meaning, Wanted, resolve};

/// Commits that are followed are kept under this prefix: they are what the next fetch tells the server we have.
const FOLLOWED: &str = "refs/drover/";
/// A name that no server has: downloading it connects, with all options, and transfers nothing.
const NOTHING: &str = "refs/drover/nothing";
/// libgit2's depth that turns a cache without history into one with.
const UNSHALLOW: i32 = i32::MAX;

/// `left_out` says for each reference what is not to be fetched for it; `listed` is told what will be.
pub(crate) fn sync(
    path: &Path,
    connection: &Connection<'_>,
    references: &[Reference],
    left_out: &[Option<Meaning>],
    listed: impl FnOnce(Vec<Option<Meaning>>),
) -> Result<Response, Error> {
    let repository = open(path)?;
    let (mut options, cause) = connection.options(1);
    let mut remote = repository.remote_anonymous(connection.url).map_err(|error| connection.explain(&error, &cause))?;
    remote.download(&[NOTHING], Some(&mut options)).map_err(|error| connection.explain(&error, &cause))?;
    let advertised = list(&remote).map_err(|error| connection.explain(&error, &cause))?;

    let resolved: Vec<Result<Wanted, Error>> =
        references.iter().map(|reference| resolve(reference, &advertised, connection.url)).collect();
    let states: Vec<State> = resolved
        .iter()
        .zip(left_out)
        .map(|(wanted, left_out)| match wanted {
            Ok(wanted) if !has(&repository, &wanted.commit) => {
                let meaning = wanted.meaning(&advertised);
                if *left_out == Some(meaning.clone()) { State::LeftOut } else { State::Missing(meaning) }
            }
            _ => State::Known,
        })
        .collect();
    listed(states.iter().map(State::lacking).collect());
    let missing: Vec<&Wanted> = resolved
        .iter()
        .zip(&states)
        .filter_map(|(wanted, state)| wanted.as_ref().ok().filter(|_| matches!(state, State::Missing(_))))
        .collect();

    let names: BTreeSet<&str> = missing.iter().filter_map(|wanted| wanted.name.as_deref()).collect();
    if !names.is_empty() {
        let names: Vec<&str> = names.into_iter().collect();
        remote.download(&names, Some(&mut options)).map_err(|error| connection.explain(&error, &cause))?;
    }
    let _ = remote.disconnect();
    for wanted in missing.iter().filter(|wanted| wanted.name.is_none()) {
        fetch_commit(&repository, connection, &wanted.commit)?;
    }

    let answers: Vec<Option<Result<CommitInfo, Error>>> = references
        .iter()
        .zip(resolved)
        .zip(&states)
        .map(|((reference, wanted), state)| match state {
            State::LeftOut => None,
            _ => Some(wanted.and_then(|wanted| describe(&repository, connection.url, reference, &wanted))),
        })
        .collect();
    if answers.iter().flatten().any(|answer| matches!(answer, Err(Error::DamagedCache { .. }))) {
        return Err(Error::DamagedCache { detail: "a commit that it should have cannot be read".into() });
    }
    follow(&repository, answers.iter().flatten().flatten()).map_err(|error| damaged(&error))?;
    Ok(Response::Synced { answers, packs: packs(path) })
}

/// What is to be done for a reference.
enum State {
    /// Nothing: its commit is in the cache, or it leads nowhere.
    Known,
    /// Its commit has to be fetched.
    Missing(Meaning),
    /// Its commit would have to be, and is not to be.
    LeftOut,
}

impl State {
    fn lacking(&self) -> Option<Meaning> {
        match self {
            Self::Missing(meaning) => Some(meaning.clone()),
            Self::Known | Self::LeftOut => None,
        }
    }
}

fn list(remote: &Remote<'_>) -> Result<Vec<Advertised>, git2::Error> {
    let heads = remote.list()?;
    Ok(heads.iter().map(|head| Advertised { name: head.name().to_owned(), id: commit_id(head.oid()) }).collect())
}

fn has(repository: &Repository, commit: &CommitId) -> bool {
    repository.odb().is_ok_and(|odb| odb.exists(oid(commit)))
}

/// A commit that no name points to: servers that allow it send it alone; from the others everything has to be fetched.
/// That it is nowhere to be found is no error here: `describe` says so.
fn fetch_commit(repository: &Repository, connection: &Connection<'_>, commit: &CommitId) -> Result<(), Error> {
    let (mut options, cause) = connection.options(1);
    let mut remote = repository.remote_anonymous(connection.url).map_err(|error| connection.explain(&error, &cause))?;
    let alone = remote.download(&[commit.as_str()], Some(&mut options));
    let _ = remote.disconnect();
    if alone.is_ok() && has(repository, commit) {
        return Ok(());
    }
    if let Some(cause) = cause.borrow_mut().take() {
        return Err(cause);
    }
    let (mut options, cause) = connection.options(UNSHALLOW);
    let mut remote = repository.remote_anonymous(connection.url).map_err(|error| connection.explain(&error, &cause))?;
    let everything = ["refs/heads/*:refs/drover/all/heads/*", "refs/tags/*:refs/drover/all/tags/*"];
    remote.download(&everything, Some(&mut options)).map_err(|error| connection.explain(&error, &cause))
}

fn describe(repository: &Repository, url: &str, reference: &Reference, wanted: &Wanted) -> Result<CommitInfo, Error> {
    let commit = match repository.find_commit(oid(&wanted.commit)) {
        Ok(commit) => commit,
        Err(error) if error.code() == git2::ErrorCode::NotFound && reference.commit.is_some() => {
            if repository.find_object(oid(&wanted.commit), None).is_ok() {
                return Err(Error::NotACommit { url: url.to_owned(), name: wanted.commit.to_string() });
            }
            return Err(Error::NoSuchCommit { url: url.to_owned(), commit: wanted.commit.to_string() });
        }
        Err(_) if repository.find_object(oid(&wanted.commit), None).is_ok() => {
            let name = wanted.name.as_deref().map_or_else(|| wanted.commit.to_string(), short);
            return Err(Error::NotACommit { url: url.to_owned(), name });
        }
        Err(error) => return Err(damaged(&error)),
    };
    // The server chose these texts; they are shown in a status.
    let text = |bytes: &[u8], most: usize| -> String {
        let lossy = String::from_utf8_lossy(bytes);
        lossy.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).take(most).collect()
    };
    commit.tree().map_err(|error| damaged(&error))?;
    Ok(CommitInfo {
        id: wanted.commit.clone(),
        tree: tree_id(commit.tree_id()),
        message: text(commit.message_bytes(), 200),
        author: text(commit.author().name_bytes(), 100),
        time: Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
    })
}

fn follow<'a>(repository: &Repository, commits: impl Iterator<Item = &'a CommitInfo>) -> Result<(), git2::Error> {
    let followed: BTreeSet<String> = commits.map(|commit| format!("{FOLLOWED}{}", commit.id)).collect();
    let mut there = BTreeSet::new();
    for reference in repository.references_glob(&format!("{FOLLOWED}*"))? {
        let mut reference = reference?;
        let name = reference.name()?.to_owned();
        if followed.contains(&name) {
            there.insert(name);
        } else {
            reference.delete()?;
        }
    }
    for name in followed.difference(&there) {
        let id = Oid::from_str(&name[FOLLOWED.len()..])?;
        repository.reference(name, id, true, "followed")?;
    }
    Ok(())
}

fn packs(path: &Path) -> usize {
    let entries = std::fs::read_dir(path.join("objects/pack")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack")).count()
}
