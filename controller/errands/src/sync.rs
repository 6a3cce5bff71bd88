//! The errand `sync`: a claim becomes equal to its source, whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drover_core::errand::{
    GitSource, HttpSource, Last, Manifest, Outcome, Publish, Reason, Refusal, S3Source, Source, SyncOrder, SyncResult,
    judge, place, settles_in,
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

use crate::claim::Claim;
use crate::clock;
use crate::failure::Final as _;
use crate::git::Tree;
use crate::page::Page;
use crate::progress::Progress;
use crate::s3::{self, Bucket};
use crate::secret::Secret;
use crate::web::Web;

/// After how many files that were linked others get their turn.
const LINKED_AT_ONCE: usize = 256;

struct Sync<'a> {
    order: &'a SyncOrder,
    /// The time of the schedule that is noted as done.
    slot: Option<String>,
    secret: &'a Secret,
    /// Where the Secret is mounted.
    mounted: Option<&'a Path>,
    web: &'a Web,
    allow_loopback: bool,
    claim: &'a Claim,
    /// What is published.
    before: Option<&'a Manifest>,
    progress: &'a Arc<Progress>,
    deadline: Instant,
}

/// What a sync came to.
struct Done {
    outcome: Outcome,
    manifest: Manifest,
    /// The commit whose files these are, of a git source.
    commit: Option<String>,
}

/// Does what is asked, until it is done, or `stop` is, or the time is up. Whatever comes of it, the claim is left as it was or
/// with a new set. `slot` is the time of the schedule that this is for: one that was done already is not done again.
pub async fn run(
    order: &SyncOrder,
    slot: Option<String>,
    (secret, mounted): (&Secret, Option<&Path>),
    root: &Path,
    allow_loopback: bool,
    stop: impl Future,
) -> SyncResult {
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(order.timeout_seconds);
    let progress = Arc::new(Progress::default());
    let mut published = None;
    let work = async {
        let asked = clock::millis();
        let web = Web::new(secret, allow_loopback)?;
        let claim = Claim::lock(root, deadline).await?;
        let (last, before) = claim.last()?.unzip();
        published.clone_from(&before);
        // The claim may have been another's when this was asked for: what that one found since then need not be found again.
        let is_done = |last: &Last| last.at >= asked || (slot.is_some() && last.slot == slot);
        if let Some((manifest, last)) = before.clone().zip(last.as_ref()).filter(|(_, last)| is_done(last)) {
            return Ok(Done { outcome: Outcome::Unchanged, manifest, commit: last.commit.clone() });
        }
        // What could not go when the last sync ended may go by now, and this one needs the room.
        if let Some(last) = &last {
            claim.prune(&last.set, &order.in_use, order.keep, order.keep_for_seconds);
        }
        // A sync that somebody asked for takes no slot's place.
        let slot = slot.or_else(|| last.and_then(|last| last.slot));
        let before = before.as_ref();
        let sync = Sync {
            order,
            slot,
            secret,
            mounted,
            web: &web,
            allow_loopback,
            claim: &claim,
            before,
            progress: &progress,
            deadline,
        };
        let done = match &order.source {
            Source::S3(source) => sync.sync_bucket(source).await,
            Source::Http(source) => sync.sync_page(source).await,
            Source::Git(source) => sync.sync_tree(source).await,
        };
        // Also what a failure left half done.
        if let Err(refusal) = claim.clear_staging() {
            tracing::warn!("{refusal}");
        }
        done
    };
    let stopped = async {
        stop.await;
        Refusal::new(Reason::Stopped, "the sync was told to stop, and what was published stays")
    };
    let done = tokio::select! {
        biased;
        refusal = stopped => Err(refusal),
        done = timeout_at(deadline, work) => done.unwrap_or_else(|_| Err(timed_out(order, &progress))),
        () = progress.tell() => unreachable!("it tells until it is dropped"),
    };
    let mut result = match done {
        Ok(Done { outcome, manifest, commit }) => {
            let mut result = SyncResult::refused(&Refusal::new(Reason::Stopped, ""));
            result.outcome = outcome;
            result.reason = format!("{outcome:?}");
            result.commit = commit;
            result.message = match outcome {
                Outcome::Published => {
                    let (files, bytes) = (manifest.files().len(), manifest.bytes());
                    format!("set {} is published: {bytes} bytes in {files} file{}", manifest.id(), plural(files))
                }
                _ => format!("the source holds what is published, set {}", manifest.id()),
            };
            published = Some(manifest);
            result
        }
        Err(refusal) => SyncResult::refused(&refusal),
    };
    if let Some(manifest) = published {
        result.set = Some(manifest.id());
        result.digest = Some(manifest.digest());
        result.files = manifest.files().len() as u64;
        result.bytes = manifest.bytes();
    }
    (result.fetched_files, result.fetched_bytes) = progress.fetched();
    result.took_seconds = begun.elapsed().as_secs();
    result
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

fn timed_out(order: &SyncOrder, progress: &Progress) -> Refusal {
    let (files, bytes) = progress.fetched();
    let seconds = order.timeout_seconds;
    let sentence = format!("not done within {seconds} s, with {files} files and {bytes} bytes fetched: raise timeout");
    Refusal::new(Reason::TimedOut, sentence)
}

impl Sync<'_> {
    async fn sync_bucket(&self, source: &S3Source) -> Result<Done, Refusal> {
        let bucket = Bucket::new(self.web, source, self.secret, self.deadline)?;
        match self.sync_listing(&bucket, source).await {
            Err(refusal) if refusal.reason == Reason::SourceChanged => {
                tracing::info!("listing anew: {refusal}");
                self.claim.clear_staging()?;
                self.sync_listing(&bucket, source).await
            }
            done => done,
        }
    }

    async fn sync_listing(&self, bucket: &Bucket, source: &S3Source) -> Result<Done, Refusal> {
        let mut seen = clock::millis();
        let mut manifest = place(&bucket.list().await?)?;
        if self.settle(&manifest).await? {
            seen = clock::millis();
            manifest = place(&bucket.list().await?)?;
            self.refuse_unsettled(&manifest)?;
        }
        let entries: Vec<String> = source.selections().into_iter().map(|selection| selection.from).collect();
        if let Some(done) = self.judge_and_find(&entries, &mut manifest, None, seen)? {
            return Ok(done);
        }
        let (staging, places) = self.prepare(&manifest).await?;
        let types = s3::fetch(bucket, &self.order.guard, &manifest, &places, &staging, self.progress).await?;
        manifest.set_content_types(types);
        self.claim.keep(&manifest).await?;
        self.publish(manifest, Outcome::Published, None, seen)
    }

    async fn sync_tree(&self, source: &GitSource) -> Result<Done, Refusal> {
        let seen = clock::millis();
        let tree = Tree::fetch(source, self.mounted, self.allow_loopback).await?;
        let (mut manifest, commit) = (tree.manifest.clone(), Some(tree.commit.clone()));
        if let Some(done) =
            self.judge_and_find(std::slice::from_ref(&source.path), &mut manifest, commit.as_ref(), seen)?
        {
            return Ok(done);
        }
        let (staging, places) = self.prepare(&manifest).await?;
        tree.write(&manifest, &places, staging, Arc::clone(self.progress)).await?;
        self.claim.keep(&manifest).await?;
        self.publish(manifest, Outcome::Published, commit, seen)
    }

    /// Makes the folders of the new set and links into them what did not change: where the set is, and which of its files are to be fetched.
    async fn prepare(&self, manifest: &Manifest) -> Result<(PathBuf, Vec<usize>), Refusal> {
        let staging = self.claim.staging();
        s3::make_folders(manifest, &staging)?;
        let places = self.link_unchanged(manifest, &staging).await?;
        let bytes = places.iter().fold(0_u64, |sum, at| sum.saturating_add(manifest.files()[*at].size));
        self.claim.refuse_without_room(bytes, places.len() as u64)?;
        self.progress.begin(places.len() as u64, bytes);
        Ok((staging, places))
    }

    async fn sync_page(&self, source: &HttpSource) -> Result<Done, Refusal> {
        let page = Page::new(self.web, source, &self.order.guard, self.secret)?;
        let into = self.claim.staging().join(&source.to);
        let mut seen = clock::millis();
        let mut manifest = self.read_page(&page, source, &into).await?;
        if self.settle(&manifest).await? {
            seen = clock::millis();
            manifest = self.read_page(&page, source, &into).await?;
            self.refuse_unsettled(&manifest)?;
        }
        if let Some(done) = self.judge_and_find(&[page.entry()], &mut manifest, None, seen)? {
            return Ok(done);
        }
        self.claim.keep(&manifest).await?;
        self.publish(manifest, Outcome::Published, None, seen)
    }

    async fn read_page(&self, page: &Page<'_>, source: &HttpSource, into: &Path) -> Result<Manifest, Refusal> {
        let before = self.before.filter(|before| before.files().len() == 1);
        let had = before.and_then(|before| before.at(&source.to));
        let file = page.fetch(had, into, self.claim, self.progress, self.deadline).await?;
        Ok(Manifest::new(file.or_else(|| had.cloned()).into_iter().collect()))
    }

    /// Waits until the source has been left alone for as long as the guard asks; `false` where it has been already.
    async fn settle(&self, manifest: &Manifest) -> Result<bool, Refusal> {
        let wait = Duration::from_secs(self.settles_in(manifest));
        if wait.is_zero() {
            return Ok(false);
        }
        if wait >= self.deadline.saturating_duration_since(Instant::now()) {
            self.refuse_unsettled(manifest)?;
        }
        tracing::info!(wait_seconds = wait.as_secs(), "the source was changed a moment ago");
        sleep(wait).await;
        Ok(true)
    }

    fn refuse_unsettled(&self, manifest: &Manifest) -> Result<(), Refusal> {
        match self.settles_in(manifest) {
            0 => Ok(()),
            left => {
                let sentence = format!(
                    "the source was changed a moment ago and settles in {left} s: it is taken when nobody writes"
                );
                Err(Refusal::new(Reason::NotSettled, sentence))
            }
        }
    }

    fn settles_in(&self, manifest: &Manifest) -> u64 {
        let newest = manifest.files().iter().filter_map(|file| seconds(file.modified.as_deref()?)).max();
        settles_in(&self.order.guard, newest, clock::now().as_second())
    }

    /// Judges what will be published, and publishes it where the claim has that set already.
    fn judge_and_find(
        &self,
        entries: &[String],
        manifest: &mut Manifest,
        commit: Option<&String>,
        seen: u64,
    ) -> Result<Option<Done>, Refusal> {
        let known = self.claim.manifest(&manifest.id())?;
        for known in known.as_ref().into_iter().chain(self.before) {
            manifest.inherit_content_types(known);
        }
        judge(&self.order.guard, entries, self.before, manifest)?;
        if self.order.publish == Publish::Live {
            self.claim.refuse_taken_names(manifest)?;
        }
        let Some(known) = known else { return Ok(None) };
        let manifest = manifest.clone();
        let outcome = if self.before.is_some_and(|before| before.id() == known.id()) {
            if manifest != known {
                self.claim.note_names(&manifest)?;
            }
            Outcome::Unchanged
        } else {
            self.claim.note_again(&manifest)?;
            Outcome::Published
        };
        self.publish(manifest, outcome, commit.cloned(), seen).map(Some)
    }

    /// Links what did not change from the published set. Returns the places of all else in the manifest.
    async fn link_unchanged(&self, manifest: &Manifest, into: &Path) -> Result<Vec<usize>, Refusal> {
        let Some(before) = self.before else { return Ok((0..manifest.files().len()).collect()) };
        let from = self.claim.set(&before.id());
        let mut others = Vec::new();
        for (at, file) in manifest.files().iter().enumerate() {
            if at % LINKED_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            let is_same = before.at(&file.path).is_some_and(|had| had.is_same_as(file));
            let linked = is_same
                && link(&from.join(&file.path), &into.join(&file.path), file.size).or_else(|error| {
                    if error.kind() == io::ErrorKind::AlreadyExists {
                        return Err(s3::folded(&file.key));
                    }
                    Err(error).or_final(Reason::ClaimFails, "what did not change cannot be taken from the last set")
                })?;
            if !linked {
                others.push(at);
            }
        }
        Ok(others)
    }

    /// From here on nothing is waited for, so that a signal finds it done or not begun.
    fn publish(
        &self,
        manifest: Manifest,
        outcome: Outcome,
        commit: Option<String>,
        seen: u64,
    ) -> Result<Done, Refusal> {
        if self.order.publish == Publish::Live {
            self.claim.switch_to(&manifest)?;
        }
        let set = manifest.id();
        self.claim.note_last(&Last { set: set.clone(), at: seen, commit: commit.clone(), slot: self.slot.clone() })?;
        self.claim.prune(&set, &self.order.in_use, self.order.keep, self.order.keep_for_seconds);
        Ok(Done { outcome, manifest, commit })
    }
}

/// A second name for a published file, or a copy where the volume knows no second names; `false` where it is not what was published.
fn link(from: &Path, to: &Path, size: u64) -> io::Result<bool> {
    match fs::symlink_metadata(from) {
        Ok(found) if found.is_file() && found.len() == size => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            let copied = io::copy(&mut fs::File::open(from)?, &mut fs::File::create_new(to)?)?;
            Ok(copied == size)
        }
    }
}

/// Seconds since 1970 of a time as a listing or a header writes it.
fn seconds(time: &str) -> Option<i64> {
    let listed = time.parse::<Timestamp>().ok();
    listed.or_else(|| Timestamp::try_from(httpdate::parse_http_date(time).ok()?).ok()).map(Timestamp::as_second)
}
