//! The jobs that run at moments of a release: which a release runs, and under which names. A Job's name tells of its image, what it does
//! and what it reads, so that no two are made for the same, whoever dies meanwhile. How it ended stands in an annotation of the release's
//! record, so that a Job which was cleaned up is not made again.

use drover_crds::{self as crds, AppSpec, JobMoment, JobOutcome, JobRun};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::assets::{KEPT, made};
use super::planned::{JobEnd, JobEnds, LastRun, PlannedAssets, PlannedJob};
use super::record::Release;
use super::reference;
use crate::render::name_hash;
use crate::workload::App;
use crate::workload::pods::{RanOnce, Settings};

/// What a spec says of its pods and does not change what a job does: how the image is pulled, how and when the app itself is run, and how
/// much it may take.
const OF_OTHERS: [&str; 11] = [
    "image",
    "imagePolicy",
    "imagePullPolicy",
    "imagePullSecrets",
    "command",
    "args",
    "resources",
    "singleton",
    "jobs",
    "volumes",
    "uptime",
];

/// What a release is to do about jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPlan {
    /// What makes its assets, and then those that it runs, in the order of the spec; none of these where it goes back to an earlier image.
    pub jobs: Vec<PlannedJob>,
    /// Whose `BeforeDeploy` jobs ran last before it.
    pub last_run: Option<LastRun>,
    /// How those ended that an earlier release ran for the same.
    pub ends: JobEnds,
}

/// A release that is to begin.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// Whose.
    pub app: &'a App,
    /// Its number.
    pub number: i64,
    /// What its pods are.
    pub pods: &'a crds::PodSpec,
    /// Files of its image that are served.
    pub assets: &'a [crds::Assets],
    /// The release that serves until then.
    pub live: Option<i64>,
    /// Its image, with its digest where that is known.
    pub image: &'a str,
    /// What it reads of ConfigMaps and Secrets.
    pub settings: &'a Settings,
    /// What has run once for its data.
    pub ran_once: &'a RanOnce,
    /// A person holds its image in place of another.
    pub is_held: bool,
}

impl Beginning<'_> {
    /// What it is to do about jobs, after `releases`, the newest first. `was_live` says it of the number of a release.
    ///
    /// A release that goes back runs none: the image is older than what its jobs would meet. It goes back where a person holds its image,
    /// or where it was live before another image's jobs ran.
    pub fn plan<S: AppSpec>(&self, releases: &[Release<S>], was_live: impl Fn(i64) -> bool) -> JobPlan {
        let last_run = releases.first().and_then(Release::last_run);
        let ran_another = last_run.as_ref().is_some_and(|last| !is_same_image(&last.image, self.image));
        let was_live = || releases.iter().any(|r| is_same_image(&r.data.image, self.image) && was_live(r.number));
        let goes_back = self.is_held || (ran_another && was_live());
        let mut plan = JobPlan { last_run, ..JobPlan::default() };
        for assets in self.assets {
            self.plan_assets(assets, releases, &mut plan);
        }
        if goes_back {
            return plan;
        }
        for job in &self.pods.jobs {
            let Some(at) = job.at.filter(|at| at.is_of_a_release()) else { continue };
            let content = if job.run == Some(JobRun::Once) { once(job) } else { self.content(job) };
            let earlier = releases.iter().find_map(|release| Some((release, release.job_for(&job.name, &content)?)));
            let name = match earlier {
                _ if job.run == Some(JobRun::Once) => self.plan_once(job, &content, earlier, &mut plan.ends),
                None => self.job_name(&job.name, &content),
                Some((release, earlier)) => match release.ends.get(&earlier.job) {
                    // What failed is tried again, by a Job of its own.
                    Some(end) if end.outcome == JobOutcome::Failed => {
                        self.job_name(&job.name, &name_hash(&json!([content, self.number])))
                    }
                    Some(end) => {
                        plan.ends.note(&earlier.job, end.clone());
                        earlier.job.clone()
                    }
                    None => earlier.job.clone(),
                },
            };
            plan.jobs.push(PlannedJob {
                name: job.name.clone(),
                at,
                content,
                job: name,
                once: job.run.is_some(),
                assets: None,
            });
        }
        plan
    }

    /// The name of the Job of one that runs once for the app's data. What the claims remember counts, and no record: these outlive a claim.
    fn plan_once<S: AppSpec>(
        &self,
        job: &crds::Job,
        content: &str,
        earlier: Option<(&Release<S>, &PlannedJob)>,
        ends: &mut JobEnds,
    ) -> String {
        let known = earlier.map(|(release, earlier)| (&earlier.job, release.ends.get(&earlier.job)));
        match (self.ran_once.of(&job.name), known) {
            (Some(at), known) => {
                let name = known.map_or_else(|| self.job_name(&job.name, content), |(name, _)| name.clone());
                let end = JobEnd {
                    outcome: JobOutcome::Succeeded,
                    release: self.number,
                    started_at: None,
                    finished_at: at.map(Time),
                    problem: None,
                };
                let told = known.and_then(|(_, end)| end).filter(|end| end.outcome == JobOutcome::Succeeded);
                ends.note(&name, told.cloned().unwrap_or(end));
                name
            }
            (None, None) => self.job_name(&job.name, content),
            // It may run yet.
            (None, Some((name, None))) => name.clone(),
            (None, Some((_, Some(_)))) => self.job_name(&job.name, &name_hash(&json!([content, self.number]))),
        }
    }

    /// What makes a set of files. One that is there still is not made again, whichever release made it.
    fn plan_assets<S: AppSpec>(&self, assets: &crds::Assets, releases: &[Release<S>], plan: &mut JobPlan) {
        let (name, content) = (assets.job_name(), self.content_of_assets(assets));
        let there = made(&assets.name, releases, self.live);
        let is_there = there.contains(&content);
        let mut keep: Vec<String> = there.into_iter().filter(|set| *set != content).collect();
        let earlier = releases.iter().find_map(|release| Some((release, release.job_for(&name, &content)?)));
        let job = match earlier {
            None => self.job_name(&name, &content),
            Some((release, earlier)) => match release.ends.get(&earlier.job) {
                Some(end) if end.outcome == JobOutcome::Succeeded && is_there => {
                    plan.ends.note(&earlier.job, end.clone());
                    earlier.job.clone()
                }
                None => earlier.job.clone(),
                Some(_) => self.job_name(&name, &name_hash(&json!([content, self.number]))),
            },
        };
        if plan.ends.get(&job).is_none() {
            keep.truncate(KEPT - 1);
        }
        let assets = Some(PlannedAssets { name: assets.name.clone(), keep });
        plan.jobs.push(PlannedJob { name, at: JobMoment::BeforeDeploy, content, job, once: false, assets });
    }

    fn job_name(&self, job: &str, hash: &str) -> String {
        self.app.child_name(&format!("{job}-{hash}"))
    }

    /// A hash of what a run of `job` does and reads. How long it may take and at which moment it runs is not part of that, nor which files
    /// a DataSync has published. What pods come to say besides is.
    fn content(&self, job: &crds::Job) -> String {
        self.content_with(json!({"name": job.name, "command": job.command, "workingDir": job.working_dir}))
    }

    /// The same for what makes a set of files.
    fn content_of_assets(&self, assets: &crds::Assets) -> String {
        let crds::Assets { name, path, command, working_dir, deadline: _, claim: _ } = assets;
        self.content_with(json!({"assets": name, "path": path, "command": command, "workingDir": working_dir}))
    }

    fn content_with(&self, mut what: Value) -> String {
        let mut pods = serde_json::to_value(self.pods).unwrap_or_default();
        if let Value::Object(fields) = &mut pods {
            fields.retain(|name, _| !OF_OTHERS.contains(&name.as_str()));
        }
        // How large a claim is to be is no matter of a job.
        let volumes = self.pods.volumes.iter().map(|volume| {
            let mut written = serde_json::to_value(volume).unwrap_or_default();
            if volume.claim.is_some() {
                written["claim"] = json!({});
            }
            written
        });
        what["image"] = digest_or_whole(self.image).into();
        what["pods"] = pods;
        what["volumes"] = volumes.collect();
        what["settings"] = serde_json::to_value(self.settings).unwrap_or_default();
        name_hash(&what)
    }
}

impl<S: AppSpec> Release<S> {
    /// The jobs that it runs at that moment, in order.
    pub fn jobs_at(&self, at: JobMoment) -> impl Iterator<Item = &PlannedJob> {
        self.data.jobs.iter().filter(move |job| job.at == at)
    }

    /// Whether a job of that moment has not succeeded.
    pub fn lacks(&self, at: JobMoment) -> bool {
        let is_done = |job: &PlannedJob| self.ends.get(&job.job).is_some_and(|e| e.outcome == JobOutcome::Succeeded);
        !self.jobs_at(at).all(is_done)
    }

    /// Whether a job of that moment has failed.
    pub fn failed_at(&self, at: JobMoment) -> bool {
        let has_failed = |job: &PlannedJob| self.ends.get(&job.job).is_some_and(|e| e.outcome == JobOutcome::Failed);
        self.jobs_at(at).any(has_failed)
    }

    /// Whether it runs none of the jobs of its spec, because it goes back to an earlier image.
    pub fn goes_back(&self) -> bool {
        self.data.jobs.iter().all(|job| job.assets.is_some())
            && self.data.spec.pod().jobs.iter().any(|job| job.at.is_some_and(JobMoment::is_of_a_release))
    }

    fn job_for(&self, name: &str, content: &str) -> Option<&PlannedJob> {
        self.data.jobs.iter().find(|job| job.name == name && job.content == content)
    }

    /// The release whose `BeforeDeploy` jobs ran last, up to this one.
    fn last_run(&self) -> Option<LastRun> {
        let jobs = self.jobs_at(JobMoment::BeforeDeploy).filter(|job| job.assets.is_none() && !job.once);
        let ends = jobs.filter_map(|job| self.ends.get(&job.job));
        let own = ends.map(|end| end.release).max();
        own.map_or_else(
            || self.data.last_run.clone(),
            |release| Some(LastRun { release, image: self.data.image.clone() }),
        )
    }
}

/// Whether both name one image: by the digest, where they say it.
fn is_same_image(one: &str, other: &str) -> bool {
    digest_or_whole(one) == digest_or_whole(other)
}

fn digest_or_whole(image: &str) -> &str {
    reference::digest(image).unwrap_or(image)
}

/// What stands for all that a job does which runs once for the app's data, whatever it does.
fn once(job: &crds::Job) -> String {
    name_hash(&json!({"once": job.name}))
}

#[cfg(test)]
mod tests;
