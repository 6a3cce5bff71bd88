//! A Job that makes a set of an image's files and copies it to its claim: the app's own container makes them in an empty folder that both
//! see, and then an errand of drover's takes them over. So the image needs nothing but its own program, and nothing of it writes to the
//! claim.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, ResourceRequirements,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{container, job, metadata, pod};
use crate::front::assets_volume;
use crate::workload::pods::{Access, Pods};
use crate::workload::validate::{ValidatedAssets, ValidatedFront, ValidatedWebApp};

/// Where the image's own files are copied to, where no command makes them.
const COPIED: &str = "/drover-assets";
/// Where the claim is mounted.
const CLAIM: &str = "/claim";
/// The volumes.
const MADE: &str = "drover-made";
const SETS: &str = "drover-assets";

/// A run that makes a set.
#[derive(Clone, Copy, Debug)]
pub struct MakeAssets<'a> {
    /// What it is called among the jobs of the release.
    pub name: &'a str,
    /// The name of the Job.
    pub job: &'a str,
    /// What the set is called.
    pub set: &'a str,
    /// The sets that stay beside it.
    pub keep: &'a [String],
}

/// The Job of that run, which goes with the release's `record`. It is watched by its owner's label. `None` where the app has no such assets.
pub fn assets_job(app: &ValidatedWebApp, run: &MakeAssets<'_>, record: OwnerReference) -> Option<Job> {
    let front = app.front.as_ref()?;
    let assets = front.assets.iter().find(|assets| assets.job_name == run.name)?;
    let own = &app.pods.app;
    let owner = crds::Owner::new(own.kind, &*own.namespace, &*own.name);
    let mut labels = job::labels(own, run.name);
    labels.insert(crds::LABEL_OWNER.to_owned(), owner.label());
    Some(Job {
        metadata: ObjectMeta {
            name: Some(run.job.to_owned()),
            namespace: Some(own.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![record]),
            ..Default::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: Some(assets.deadline_seconds),
            template: template(app, front, assets, run),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn template(
    app: &ValidatedWebApp,
    front: &ValidatedFront,
    assets: &ValidatedAssets,
    run: &MakeAssets<'_>,
) -> PodTemplateSpec {
    let pods = &without_assets(&app.pods, front);
    let mut labels = job::labels(&pods.app, run.name);
    labels.insert(crds::LABEL_RELEASE.to_owned(), pods.release.number.to_string());
    let joined = front.is_of_one_node() || pods.share_one_node();
    let shares = pods.volumes.iter().any(|volume| volume.access != Access::AnyPods);
    let made = if assets.command.is_empty() { COPIED } else { assets.path.trim_end_matches('/') };
    let mut spec = PodSpec {
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(job::GRACE),
        affinity: shares.then(|| job::near(&metadata::label_selector(app))),
        init_containers: Some(vec![maker(pods, assets, made)]),
        ..pod::spec(pods, keeper(pods, front, made, run))
    };
    let (_, pull_secrets) = &front.errands;
    pod::pull_with(&mut spec, pods, pull_secrets);
    let claim = PersistentVolumeClaimVolumeSource { claim_name: assets.claim.name.clone(), read_only: None };
    spec.volumes.get_or_insert_default().extend([
        Volume { name: MADE.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Default::default() },
        Volume { name: SETS.to_owned(), persistent_volume_claim: Some(claim), ..Default::default() },
    ]);
    pod::completed(joined, labels, BTreeMap::new(), spec)
}

/// The app's pods without what they see of sets: this one is made here.
fn without_assets(pods: &Pods, front: &ValidatedFront) -> Pods {
    let mut pods = pods.clone();
    pods.volumes.retain(|volume| front.assets.iter().all(|assets| volume.name != assets_volume(&assets.name)));
    pods
}

/// What makes the files in the folder `made`.
fn maker(pods: &Pods, assets: &ValidatedAssets, made: &str) -> Container {
    let command = if assets.command.is_empty() {
        let all = format!("{}/.", assets.path.trim_end_matches('/'));
        vec!["cp".to_owned(), "-RL".to_owned(), all, format!("{made}/")]
    } else {
        assets.command.clone()
    };
    let mut container = Container {
        command: Some(command),
        args: None,
        working_dir: assets.working_dir.clone(),
        ..container::container(pods)
    };
    container.volume_mounts.get_or_insert_default().push(mount(MADE, made, false));
    container
}

/// What takes them over from the folder `made`. It sees that under the same path, so that links hold.
fn keeper(pods: &Pods, front: &ValidatedFront, made: &str, run: &MakeAssets<'_>) -> Container {
    let identity = &pods.identity;
    let mut command = ["drover-errands", "keep-assets", "--from", made, "--claim", CLAIM, "--set", run.set]
        .map(str::to_owned)
        .to_vec();
    for set in run.keep {
        command.extend(["--keep".to_owned(), set.clone()]);
    }
    // Where the app is root its files may be root's alone, and so is the claim.
    let as_root = identity.root && identity.user.is_none();
    Container {
        name: "errand".to_owned(),
        image: Some(front.errands.0.clone()),
        command: Some(command),
        resources: Some(ResourceRequirements {
            requests: Some(container::amounts("10m", "16Mi")),
            limits: Some(container::amounts("1", "128Mi")),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            read_only_root_filesystem: Some(true),
            run_as_user: as_root.then_some(0),
            ..container::security(identity.root)
        }),
        volume_mounts: Some(vec![mount(MADE, made, true), mount(SETS, CLAIM, false)]),
        ..Default::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..Default::default()
    }
}
