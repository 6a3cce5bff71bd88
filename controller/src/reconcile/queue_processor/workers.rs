//! What a QueueProcessor does itself while its releases are brought out: its children are sent, and as many workers run as are wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use drover_core::render::{Object, ObjectKey};
use drover_core::trouble::{Mend, Trouble};
use drover_core::worker::{self, Count, ValidatedWorkers};
use drover_core::workload::App;
use drover_core::workload::build::MakeAssets;
use drover_core::workload::pods::{Errands, Facts, Pods, ValidatedJob};
use drover_crds::{ObjectFailure, Owner, QueueProcessor, QueueProcessorSpec};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use crate::cluster::Acting;
use crate::metrics;
use crate::owned::{Carried, Parent};
use crate::rollout::{Workload, dereference, key};

/// The workers of a QueueProcessor, and what stands around them.
pub struct Workers<'a> {
    /// Whose children these are, and what they are brought about with.
    pub parent: Parent<'a>,
    /// The same.
    pub app: &'a App,
    /// The image that has jobs wait for their databases.
    pub errands: Option<&'a Errands>,
    /// The Deployment as it was seen last.
    pub deployment: Option<Deployment>,
    /// Why none of them runs where none does.
    pub scaled: Option<String>,
    /// Whether what was sent last has proven itself: until then what runs by a schedule stays that of the release before.
    pub proven: bool,
}

impl Workers<'_> {
    fn owner(&self) -> &Owner {
        self.parent.owned.owner
    }

    fn acting(&self) -> &Acting {
        self.parent.owned.acting
    }

    /// Sends these objects as all that there are, but for those that are `left_alone`. None is sent before the API server was asked about
    /// all of them, and all of them were written down.
    async fn bring_about(
        &self,
        mut objects: Vec<Object>,
        mut left_alone: BTreeSet<ObjectKey>,
        proven: bool,
    ) -> Result<Carried, Trouble> {
        left_alone.retain(|key| objects.iter().all(|object| object.key() != *key));
        self.parent.mark(&mut objects);
        let intent = self.parent.plan(&objects, &left_alone).await?;
        self.parent.owned.refuse_foreign(&objects, |_| true).await?;
        let is_due = |object: &Object| proven || object.kind() != "CronJob";
        self.parent.rehearse(&intent, objects.iter().filter(|object| is_due(object))).await?;
        self.parent.write_ahead(&intent).await?;
        objects.retain(is_due);
        Ok(self.parent.carry_out(&intent, &objects).await?)
    }

    /// Sends all children of `workers`, and what `new` needs for its jobs.
    async fn send_all(
        &mut self,
        workers: &ValidatedWorkers,
        new: Option<&ValidatedWorkers>,
        proven: bool,
    ) -> Result<Carried, Trouble> {
        let mut objects = new.map(worker::needed_by_jobs).unwrap_or_default();
        let needed: BTreeSet<ObjectKey> = objects.iter().map(Object::key).collect();
        let all = worker::build(workers, self.deployment.is_some());
        objects.extend(all.into_iter().filter(|object| !needed.contains(&object.key())));
        let left_alone = left_alone(workers).chain(new.into_iter().flat_map(left_alone)).collect();
        let carried = self.bring_about(objects, left_alone, proven).await?;
        self.scale(workers).await?;
        Ok(carried)
    }

    /// Has as many workers run as are wanted, where the queue decides that.
    async fn scale(&mut self, workers: &ValidatedWorkers) -> Result<(), Trouble> {
        if workers.count == Count::Fixed {
            return Ok(());
        }
        let key = key("apps", "Deployment", &self.app.namespace, &self.app.object_name());
        if self.acting().autoscaled(self.owner(), &key).await? {
            let sentence = format!(
                "A HorizontalPodAutoscaler scales {key}, and so does the queue in spec.scaling: remove one of them; until then the number stays as the autoscaler has it"
            );
            return Err(Trouble::new("ScaledByAnother", sentence, Mend::Event));
        }
        let Some(now) = super::replicas(self.deployment.as_ref()).filter(|now| *now != workers.wanted) else {
            return Ok(());
        };
        self.acting().scale(&key, workers.wanted).await?;
        metrics::scaled(workers.wanted > now);
        tracing::info!(owner = %self.owner(), from = now, to = workers.wanted, "scaled");
        self.look_again().await
    }
}

/// The copies of ConfigMaps that stay as they are, because pods of other releases read them.
fn left_alone(workers: &ValidatedWorkers) -> impl Iterator<Item = ObjectKey> {
    let pods = &workers.pods;
    pods.left_alone.iter().map(|name| key("", "ConfigMap", &pods.app.namespace, name))
}

impl Workload for Workers<'_> {
    type Object = QueueProcessor;
    type Spec = QueueProcessorSpec;
    type Valid = ValidatedWorkers;

    /// The Deployment was looked at before it was decided how many workers are wanted.
    async fn look(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn look_again(&mut self) -> Result<(), Trouble> {
        self.deployment = dereference::deployment(self.acting(), self.app).await?;
        Ok(())
    }

    fn deployment(&self) -> Option<&Deployment> {
        self.deployment.as_ref()
    }

    fn validate(&self, spec: &QueueProcessorSpec, facts: &Facts<'_>) -> Result<ValidatedWorkers, Trouble> {
        Ok(worker::validate(self.app, spec, facts)?.awaiting(self.errands.cloned()))
    }

    /// Nobody asks for them.
    fn away(&mut self, _told: Option<(String, Option<Timestamp>)>, _since: Option<&Time>) {}

    fn asleep(workers: ValidatedWorkers) -> ValidatedWorkers {
        workers.asleep()
    }

    fn pods(workers: &ValidatedWorkers) -> &Pods {
        &workers.pods
    }

    fn template(
        &self,
        spec: &QueueProcessorSpec,
        facts: &Facts<'_>,
        _new: &ValidatedWorkers,
    ) -> Result<PodTemplateSpec, Trouble> {
        Ok(worker::pod_template(&worker::validate(self.app, spec, facts)?))
    }

    fn probation_seconds(workers: &ValidatedWorkers) -> i64 {
        workers.probation_seconds
    }

    fn selector(&self, _spec: &QueueProcessorSpec) -> Result<String, Trouble> {
        Ok(worker::selector(self.app))
    }

    fn selector_of(&self, _workers: &ValidatedWorkers) -> String {
        worker::selector(self.app)
    }

    async fn refuse(&self, _workers: &ValidatedWorkers) -> Result<(), Trouble> {
        Ok(())
    }

    fn job(
        workers: &ValidatedWorkers,
        job: &ValidatedJob,
        name: &str,
        record: OwnerReference,
        day: Option<&str>,
    ) -> Job {
        worker::release_job(workers, job, name, record, day)
    }

    fn assets_job(_workers: &ValidatedWorkers, _run: &MakeAssets<'_>, _record: OwnerReference) -> Option<Job> {
        None
    }

    async fn is_told(&self) -> Result<bool, Trouble> {
        Ok(true)
    }

    async fn prepare(
        &mut self,
        new: &ValidatedWorkers,
        serving: Option<&ValidatedWorkers>,
    ) -> Result<Carried, Trouble> {
        if let Some(serving) = serving {
            return self.send_all(serving, Some(new), true).await;
        }
        let record = self.parent.owned.inventories.confirmed(self.owner()).await?.unwrap_or_default();
        let written = record.entries.iter().map(|entry| entry.key.clone());
        let left_alone = left_alone(new).chain(written).collect();
        self.bring_about(worker::needed_by_jobs(new), left_alone, true).await
    }

    async fn send(&mut self, workers: &ValidatedWorkers, proven: bool) -> Result<Carried, Trouble> {
        self.proven = proven;
        self.send_all(workers, None, proven).await
    }

    async fn settle(&mut self, workers: &ValidatedWorkers, have_proven_themselves: bool) -> Result<bool, Trouble> {
        let begins_jobs = !self.proven && workers.pods.jobs.iter().any(|job| job.times.is_some());
        if have_proven_themselves && begins_jobs {
            self.send(workers, true).await?;
        }
        Ok(true)
    }

    fn scaled(&self) -> Option<String> {
        self.scaled.clone()
    }

    fn wars(&self) -> (Vec<ObjectFailure>, Option<Duration>) {
        self.parent.wars()
    }
}
