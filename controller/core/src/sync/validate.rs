//! A DataSync's spec, with every default filled in.

use std::collections::BTreeMap;

use drover_crds as crds;
use drover_crds::{DataGuard, DataSyncSpec, Duration};

use super::Invalid;
use crate::errand::{GitSource, Guard, HttpSource, PathPair, Publish, S3Source, Source, SyncOrder, region};
use crate::plan::percent;
use crate::schedule::Schedule;
use crate::workload::App;
use crate::workload::pods::{LiveClaim, Shrinking, ValidatedClaim};

/// The longest name: a CronJob's has 52 characters at most, because its Jobs' names have eleven more.
const LONGEST_NAME: usize = 47;
/// Sets that are kept, for how long one is kept at least, and how long a sync may take, in seconds, where the spec does not say.
const KEEP: u32 = 3;
const KEEP_FOR: u64 = 3600;
const TIMEOUT: u64 = 3600;

/// A DataSync in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedSync {
    /// Whose objects are made.
    pub app: App,
    /// What a sync is told.
    pub order: SyncOrder,
    /// The Secret that the source is read with.
    pub secret: Option<String>,
    /// The storage.
    pub claim: ValidatedClaim,
    /// When it syncs.
    pub schedule: Option<Schedule>,
    /// How old the last good sync may be, in seconds.
    pub max_stale: Option<i64>,
    /// Nothing is synced.
    pub is_suspended: bool,
}

/// Checks a spec. `claims` are those of the namespace that it may mount, as they are.
///
/// # Errors
/// What is wrong with it.
pub fn validate(
    app: &App,
    spec: &DataSyncSpec,
    claims: &BTreeMap<String, LiveClaim>,
) -> Result<ValidatedSync, Invalid> {
    if app.name.len() > LONGEST_NAME {
        return Err(Invalid::Name(app.name.clone()));
    }
    let schedule = spec.schedule.as_ref().map(|written| Schedule::read(written, spec.time_zone.as_deref()));
    let schedule = schedule.transpose()?;
    let crds::DataSource { s3, http, git } = &spec.source;
    let (source, secret) = match (s3, http, git) {
        (Some(s3), None, None) => (Source::S3(bucket(s3)), &s3.secret_ref),
        (None, Some(http), None) => {
            let (url, to) = (http.url.clone(), http.to.clone());
            (Source::Http(HttpSource { url, to, authenticated: http.secret_ref.is_some() }), &http.secret_ref)
        }
        (None, None, Some(git)) => {
            let (url, reference, path) = (git.url.clone(), git.reference.clone(), git.path.clone().unwrap_or_default());
            (Source::Git(GitSource { url, reference, path }), &git.secret_ref)
        }
        _ => {
            return Err(Invalid::Sources(
                [s3.is_some(), http.is_some(), git.is_some()].iter().filter(|is| **is).count(),
            ));
        }
    };
    let seconds = |duration: Option<Duration>, default| duration.map_or(default, Duration::as_secs);
    let order = SyncOrder {
        source,
        publish: match spec.publish {
            crds::Publish::Live => Publish::Live,
            crds::Publish::Rollout => Publish::Rollout,
        },
        guard: spec.guard.as_ref().map(guard).transpose()?.unwrap_or_default(),
        keep: spec.keep.and_then(|keep| keep.try_into().ok()).unwrap_or(KEEP),
        keep_for_seconds: seconds(spec.keep_for, KEEP_FOR),
        timeout_seconds: seconds(spec.timeout, TIMEOUT),
        in_use: Vec::new(),
    };
    order.check()?;
    Ok(ValidatedSync {
        claim: ValidatedClaim::new(crds::synced_claim(&app.name), &spec.claim, claims, Shrinking::Refuse)?,
        app: app.clone(),
        order,
        secret: secret.as_ref().map(|secret| secret.name.clone()),
        schedule,
        max_stale: spec.max_stale.map(|stale| i64::try_from(stale.as_secs()).unwrap_or(i64::MAX)),
        is_suspended: spec.suspend == Some(true),
    })
}

fn bucket(s3: &crds::S3Data) -> S3Source {
    let pair = |path: &crds::DataPath| PathPair { from: path.from.clone(), to: path.to.clone() };
    let all = || vec![PathPair { from: String::new(), to: String::new() }];
    S3Source {
        endpoint: s3.endpoint.clone(),
        region: region(s3.region.as_ref()),
        bucket: s3.bucket.clone(),
        prefix: s3.prefix.clone(),
        paths: if s3.paths.is_empty() { all() } else { s3.paths.iter().map(pair).collect() },
        signed: s3.secret_ref.is_some(),
    }
}

fn guard(guard: &DataGuard) -> Result<Guard, Invalid> {
    let max_shrink = match &guard.max_shrink {
        Some(text) => Some(percent(text).ok_or_else(|| Invalid::Percentage(text.clone()))?),
        None => None,
    };
    Ok(Guard {
        require: guard.require.clone(),
        max_shrink,
        settle_seconds: guard.settle.map(Duration::as_secs),
        min_bytes: guard.min_bytes.and_then(|bytes| bytes.try_into().ok()),
        content_types: guard.content_types.clone(),
    })
}
