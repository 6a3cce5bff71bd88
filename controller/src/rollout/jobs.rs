//! Runs jobs, each once under its name: that is what keeps a second from being made, whoever dies meanwhile.

use drover_core::release::{JobState, job_state};
use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::App;
use drover_crds::{self as crds, Owner};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::{dereference, key};
use crate::cluster::{Acting, ApiError, is_conflict, is_not_found};

/// Seconds for which a Job stays after its end once that is written down: its log may still be of use.
const KEPT: i32 = 7 * 24 * 3600;
/// Seconds that Kubernetes may take to make the pod of a Job: until then it may begin at any moment.
const UNMADE: i64 = 10;

/// Jobs of one app, as the namespace's account runs them.
pub struct JobRuns<'a> {
    /// The namespace's account.
    pub acting: &'a Acting,
    /// Whose they are.
    pub owner: &'a Owner,
    /// The same.
    pub app: &'a App,
    /// The pods, whose Secrets are masked in what programs wrote.
    pub pods: &'a crds::PodSpec,
    /// The uids of those that Jobs of this app may go with.
    pub records: &'a [&'a str],
    /// The one that counts on them now.
    pub record: &'a OwnerReference,
    /// The time of this turn.
    pub now: &'a Time,
}

impl JobRuns<'_> {
    /// Where the run called `job` of the app's job `name` stands; of one that failed, with the last lines of its log. One that goes on
    /// stays for as long as the record which counts on it.
    ///
    /// # Errors
    /// Also where the Job is somebody else's.
    pub async fn look(&self, name: &str, job: &str) -> Result<JobState, Trouble> {
        let Some(found) = self.found(job).await? else { return Ok(JobState::NotThere) };
        let owners = found.metadata.owner_references.clone().unwrap_or_default();
        if !owners.iter().any(|owner| self.records.contains(&owner.uid.as_str())) {
            let sentence = format!(
                "{} exists already and is not this release's, so its job {name} is not run: delete it, and drover makes its own",
                self.key(job)
            );
            return Err(Trouble::new("OwnedByAnother", sentence, Mend::Time));
        }
        let mut state = job_state(name, &found, &self.pods_of(job).await?, self.now.0.as_second());
        match &mut state {
            JobState::Waiting { .. } | JobState::Running { problem: None, .. } => self.count_on(&found, owners).await?,
            JobState::Running { problem: Some(problem), .. } | JobState::Ended { problem: Some(problem), .. } => {
                problem.log = dereference::log(self.acting, self.app, self.pods, problem).await;
            }
            JobState::Ended { .. } | JobState::NotThere => {}
        }
        Ok(state)
    }

    /// Makes a Job, if it is not there.
    pub async fn start(&self, job: &Job) -> Result<(), ApiError> {
        let params = PostParams { field_manager: Some(self.owner.field_manager()), ..PostParams::default() };
        match self.jobs().create(&params, job).await {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => {
                Err(self.acting.error(error, "create", &self.key(job.metadata.name.as_deref().unwrap_or_default())))
            }
        }
    }

    /// Removes a Job whose program has not begun; whether it is gone. Its pod goes first, and only as it was seen: the API server takes no
    /// deletion of a pod that has been given to a node, or been begun, since.
    pub async fn cancel(&self, job: &str) -> Result<bool, ApiError> {
        let Some(found) = self.found(job).await? else { return Ok(true) };
        let pods = self.pods_of(job).await?;
        if !matches!(job_state("", &found, &pods, self.now.0.as_second()), JobState::Waiting { .. }) {
            return Ok(false);
        }
        let made = found.metadata.creation_timestamp.as_ref().map_or(i64::MIN, |at| at.0.as_second());
        if pods.is_empty() && self.now.0.as_second() - made < UNMADE {
            return Ok(false);
        }
        let api: Api<Pod> = Api::namespaced(self.acting.client(), &self.app.namespace);
        for pod in &pods {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let (uid, resource_version) = (pod.metadata.uid.clone(), pod.metadata.resource_version.clone());
            let params = DeleteParams {
                preconditions: Some(Preconditions { uid, resource_version }),
                ..DeleteParams::background()
            };
            match api.delete(&name, &params).await {
                Ok(_) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) if is_conflict(&error) => return Ok(false),
                Err(error) => {
                    return Err(self.acting.error(error, "delete", &key("", "Pod", &self.app.namespace, &name)));
                }
            }
        }
        let preconditions = Some(Preconditions { uid: found.metadata.uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::background() };
        match self.jobs().delete(job, &params).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(true),
            Err(error) => Err(self.acting.error(error, "delete", &self.key(job))),
        }
    }

    /// Has Kubernetes remove a Job some time after its end, which is written down.
    pub async fn leave(&self, job: &str) -> Result<(), ApiError> {
        let patch = Patch::Merge(json!({"spec": {"ttlSecondsAfterFinished": KEPT}}));
        match self.jobs().patch(job, &self.params(), &patch).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(self.acting.error(error, "patch", &self.key(job))),
        }
    }

    /// Has a Job that an earlier release made go with the record which counts on it as well.
    async fn count_on(&self, job: &Job, mut owners: Vec<OwnerReference>) -> Result<(), ApiError> {
        if owners.iter().any(|owner| owner.uid == self.record.uid) || job.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        owners.push(self.record.clone());
        let name = job.metadata.name.clone().unwrap_or_default();
        let metadata = json!({
            "uid": job.metadata.uid, "resourceVersion": job.metadata.resource_version, "ownerReferences": owners,
        });
        let patched = self.jobs().patch(&name, &self.params(), &Patch::Merge(json!({"metadata": metadata}))).await;
        patched.map(drop).map_err(|error| self.acting.error(error, "patch", &self.key(&name)))
    }

    async fn found(&self, job: &str) -> Result<Option<Job>, ApiError> {
        self.jobs().get_opt(job).await.map_err(|error| self.acting.error(error, "get", &self.key(job)))
    }

    /// The pods of a Job, those that are being ended among them.
    async fn pods_of(&self, job: &str) -> Result<Vec<Pod>, ApiError> {
        let api: Api<Pod> = Api::namespaced(self.acting.client(), &self.app.namespace);
        let params = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        let list = api.list(&params).await;
        Ok(list.map_err(|error| self.acting.error(error, "list", &key("", "Pod", &self.app.namespace, job)))?.items)
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.acting.client(), &self.app.namespace)
    }

    fn params(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.owner.field_manager()), ..PatchParams::default() }
    }

    fn key(&self, job: &str) -> ObjectKey {
        key("batch", "Job", &self.app.namespace, job)
    }
}
