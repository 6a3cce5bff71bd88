//! What the errands of a backup are asked to do.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::keep::Keep;
use crate::engine::Engine;
use crate::errand::{Reason, Refusal, S3Source};
use crate::schedule::time_zone;

/// The longest that a backup may take, in seconds: less than the 23 hours for which a repository keeps what nobody needs any more, so that
/// a slow run never loses what it counts on.
pub(super) const LONGEST: u64 = 20 * 3600;

/// An order, as the JSON file that the errands read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupOrder {
    /// Whose backups these are: `namespace/name`. A repository may hold those of others too, which are left alone.
    pub database: String,
    /// What kind of server that is.
    #[serde(default, skip_serializing_if = "Engine::is_first")]
    pub engine: Engine,
    /// Where they are.
    pub repository: Repository,
    /// The Secret with the key, where one encrypts the backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// The id of the repository that was there before: without it one is made where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Which backups stay.
    pub keep: Keep,
    /// By whose days and weeks.
    pub time_zone: String,
    /// What a restored database must answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The longest that all of it may take, in seconds, the wait for the claim included.
    pub timeout_seconds: u64,
}

/// Where backups are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Repository {
    /// The mounted claim.
    Claim,
    /// A bucket.
    S3(BucketPlace),
}

/// A place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketPlace {
    /// `http://` or `https://` with host and port; without it, AWS's own of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// What all keys begin with, without a slash at its end.
    pub prefix: String,
}

/// What a restored database must answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// A query of one number.
    pub query: String,
    /// The least that it may be.
    pub min: i64,
}

impl BackupOrder {
    /// Reads an order and checks it.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let order: Self = serde_json::from_slice(json)
            .map_err(|error| bad(format!("the order cannot be read ({error}): it is not one of this version's")))?;
        order.check()?;
        Ok(order)
    }

    /// Refuses what makes no sense, without a look at the repository.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Repository::S3(place) = &self.repository {
            if self.encryption.is_none() {
                return Err(bad(
                    "backups in S3 are encrypted: name a Secret with the key `password` in encryption.secretRef",
                ));
            }
            place.as_source().check_place()?;
            if place.prefix.is_empty() || place.prefix.ends_with('/') {
                return Err(bad("the prefix is empty or ends in a slash"));
            }
        }
        if self.keep.is_empty() {
            return Err(bad(
                "keep names nothing to keep: write at least one of last, hourly, daily, weekly, monthly or yearly",
            ));
        }
        if self.timeout_seconds == 0 || self.timeout_seconds > LONGEST {
            return Err(bad(format!("timeout must be more than nothing and no more than {} hours", LONGEST / 3600)));
        }
        self.zone().map(|_| ())
    }

    /// By whose days and weeks backups are kept.
    pub fn zone(&self) -> Result<TimeZone, Refusal> {
        let rules = time_zone(&self.time_zone).map_err(|error| bad(error.to_string()))?;
        TimeZone::tzif(&self.time_zone, rules).map_err(|error| bad(error.to_string()))
    }
}

impl BucketPlace {
    /// As what an errand connects to.
    pub fn as_source(&self) -> S3Source {
        S3Source {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            prefix: Some(self.prefix.clone()),
            paths: Vec::new(),
            signed: true,
        }
    }
}

fn bad(sentence: impl Into<String>) -> Refusal {
    Refusal::new(Reason::BadOrder, sentence)
}
