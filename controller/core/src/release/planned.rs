//! What the record of a release keeps of its jobs.

use std::collections::BTreeMap;

use drover_crds::{JobMoment, JobOutcome, Problem};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// A job that a release runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Its name in the spec.
    pub name: String,
    /// The moment at which it runs.
    pub at: JobMoment,
    /// A hash of its image, what it does and what it reads.
    pub content: String,
    /// The name of its Job.
    pub job: String,
    /// It runs once for the app's data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// The files of the image that it makes, where it is none of the spec's jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<PlannedAssets>,
}

/// A set of files that a release makes of its image. It is called by the hash of what makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAssets {
    /// The name of the assets.
    pub name: String,
    /// The sets that stay beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// The release whose `BeforeDeploy` jobs ran last, so whose schema a database has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its number.
    pub release: i64,
    /// Its image.
    pub image: String,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobEnd {
    /// How.
    pub outcome: JobOutcome,
    /// The release that ran it.
    pub release: i64,
    /// When its program began, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How Jobs ended, by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobEnds(BTreeMap<String, JobEnd>);

impl JobEnds {
    /// Reads the annotation of a record. What cannot be read as it would be written counts as not there: the Jobs themselves still tell.
    pub fn parse(text: &str) -> Self {
        let read = |text: &str| serde_json::from_str::<Self>(text).ok();
        read(text).and_then(|ends| read(&ends.annotation()?)).unwrap_or_default()
    }

    /// As the annotation has it; `None` where there are none.
    pub fn annotation(&self) -> Option<String> {
        if self.0.is_empty() { None } else { serde_json::to_string(self).ok() }
    }

    /// How the Job of that name ended.
    pub fn get(&self, job: &str) -> Option<&JobEnd> {
        self.0.get(job)
    }

    /// Notes how a Job ended.
    pub fn note(&mut self, job: &str, end: JobEnd) {
        self.0.insert(job.to_owned(), end);
    }
}
