//! Begins a release: its image is resolved, and what it is made of is written down before anything of it is sent.

use std::collections::BTreeMap;

use drover_core::release::status;
use drover_core::release::{Beginning, JobPlan, Release, ReleaseData, Rollout, Sight, State, carried_pods};
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::pods::Settings as PodSettings;
use drover_core::workload::pods::{AssetSets, Facts, Image, ImageUser, PodRelease, Shrinking};
use drover_crds::{self as crds, AppSpec as _, RefreshOn, ReleaseStep};

use super::machine::{Begun, JobsSeen, Known, Rolling};
use super::records::write_ahead;
use super::tag::Following;
use super::{Workload, databases, image, once};
use crate::cluster::{ApiError, current_uid};
use crate::registry::pinned;

impl<W: Workload> Rolling<'_, W> {
    /// Begins a release: its image is resolved, and it is written down.
    pub(super) async fn resolve(&mut self, number: i64, state: &State, known: &mut Known<W>) -> Result<Begun, Trouble> {
        let wanted = self.wanted;
        let reference = wanted.spec.pod().image.clone();
        let unresolved = Image { reference, user: ImageUser::Unknown, origin: None };
        let pods = PodRelease::default();
        let settings = known.settings.settings.clone().unwrap_or_default();
        let facts = Facts {
            image: &unresolved,
            pods: &pods,
            restarted_at: self.restarted_at,
            claims: &known.claims,
            shrinking: Shrinking::Refuse,
            data_sets: known.data.sets(),
            asset_sets: &AssetSets::new(),
            own_sets: &BTreeMap::new(),
            settings: &settings,
            copies: &known.copies,
        };
        // A spec that cannot be built begins no release, and what was applied before stays. Nor does one for a host that others have.
        let valid = self.workload.validate(wanted.spec, &facts)?;
        databases::refuse_without(self.acting, self.settings.interest(), self.owner, wanted.spec.pod()).await?;
        known.settings.required()?;
        known.data.refuse_without(wanted.spec.pod())?;
        self.workload.refuse(&valid).await?;
        status::begin(self.status, number, wanted.commit, &wanted.spec.pod().image, self.now);
        let image = self.image(known).await?;
        status::hinder(self.status, None);
        let Some(image) = image else { return Ok(Begun::Asked) };
        self.refresh_data(known).await?;
        let facts = Facts { image: &image, ..facts };
        let valid = self.workload.validate(wanted.spec, &facts)?;
        let beginning = Beginning {
            app: self.app,
            number,
            pods: wanted.spec.pod(),
            assets: wanted.spec.assets(),
            live: self.live(&known.releases),
            image: &image.reference,
            settings: &settings,
            ran_once: &once::ran(self.app, wanted.spec.pod(), &known.claims),
            is_held: self.is_held(),
        };
        let JobPlan { jobs, last_run, ends } = beginning.plan(&known.releases, |number| self.was_live(Some(number)));
        let runs = |job: &&crds::Job| jobs.iter().any(|planned| planned.assets.is_none() && planned.name == job.name);
        let running = wanted.spec.pod().jobs.iter().filter(runs);
        let (interest, now) = (self.settings.interest(), self.now.0.as_second());
        databases::refuse_without_backup(self.acting, interest, self.owner, running, now).await?;
        let mut data = ReleaseData {
            spec: wanted.spec.clone(),
            image: image.reference.clone(),
            user: image.user.clone(),
            origin: image.origin.clone(),
            settings: Some(settings.clone()),
            commit: wanted.commit.map(str::to_owned),
            pods: PodRelease::default(),
            asked: wanted.asked.map(str::to_owned),
            jobs,
            last_run,
        };
        // The pods that are there belong to the release that was put back, where one was; and while the newest has not taken over, to the
        // last good one: what is reverted needs no new pods.
        let before = state.last_good.filter(|_| !self.was_live(state.newest));
        for previous in [state.put_back.or(state.newest), before] {
            let previous = previous.and_then(|n| known.release(n));
            // What is newly known of an image that runs already is no reason for new pods.
            if let Some(same) = previous.filter(|previous| previous.data.image == data.image) {
                data.origin.clone_from(&same.data.origin);
            }
            data.pods = carried_pods(number, &data, previous, |data, pods| {
                let read = data.settings.clone().unwrap_or_default();
                let own_sets = &data.own_sets();
                let facts = Facts { image: &data.image(), pods, settings: &read, own_sets, ..facts.clone() };
                self.workload.template(&data.spec, &facts, &valid)
            })?;
            if data.pods.number != number {
                break;
            }
        }
        let release = Release { number, data, ends };
        self.is_still_there().await?;
        let uid = write_ahead(self.acting, self.app, &release).await?;
        if let Some(began) = &mut self.status.release {
            began.image.clone_from(&release.data.image);
            began.built_from = release.data.origin.as_ref().map(status::built_from);
            began.step = ReleaseStep::PullImage;
        }
        self.end_pull(known, state).await?;
        known.uids.insert(number, uid);
        known.releases.insert(0, release);
        self.forget_old(known).await?;
        known.applied = None;
        known.pull = None;
        known.jobs = JobsSeen::default();
        known.rollout = Rollout::Progressing(None);
        Ok(Begun::Written)
    }

    /// The image of a release that is to begin; `None` until the registry has answered.
    async fn image(&self, known: &Known<W>) -> Result<Option<Image>, Trouble> {
        let spec = self.wanted.spec.pod();
        let Following { sight, digest } = &known.following;
        // What changed is what the app reads: nobody asked for another image.
        if let Some(same) =
            known.newest().filter(|newest| sight.is_none() && newest.asks_for_the_same_image(&self.wanted))
        {
            return Ok(Some(same.data.image()));
        }
        let reference = match (sight, digest) {
            (None, _) => spec.image.clone(),
            (Some(_), Some(digest)) => pinned(&spec.image, digest),
            (Some(Sight::Asking | Sight::At(_)), None) => return Ok(None),
            // What the tag pointed to before serves better than nothing.
            (Some(Sight::Lost { trouble, .. }), None) => {
                let before = known.newest().filter(|newest| newest.data.spec.pod().image == spec.image);
                before.ok_or_else(|| trouble.clone())?.data.image.clone()
            }
        };
        // A record tells of an image what its registry would.
        let same = known.releases.iter().map(|release| &release.data).find(|data| data.image == reference);
        if let Some(known) = same.filter(|data| sight.is_some() && matches!(data.user, ImageUser::Known(_))) {
            return Ok(Some(known.image()));
        }
        image::resolved(self.acting, self.registry, self.owner, self.app, &self.wanted, &reference).await
    }

    /// Whether a person holds its image in place of another.
    fn is_held(&self) -> bool {
        self.status.image.as_ref().is_some_and(|image| image.hold.is_some())
    }

    /// Has the data brought up to date that the release is to see, where its DataSync asks for that. What a person holds does not wait.
    async fn refresh_data(&self, known: &Known<W>) -> Result<(), Trouble> {
        let began = self.status.release.as_ref().and_then(|release| release.started_at.as_ref());
        // The first release of all comes when the first files are there, which are as new as can be.
        let is_first = known.newest().is_none();
        let Some(began) = began.filter(|_| !is_first && !self.is_held() && !self.is_off()) else { return Ok(()) };
        let spec = self.wanted.spec.pod();
        known.data.refreshed(self.acting, self.owner, spec, (RefreshOn::Release, began), self.now).await
    }

    /// Refuses to send a release for the first time whose settings went before they were copied: its pods would not start, where those of
    /// before serve.
    pub(super) fn require_copies(&self, release: &Release<W::Spec>, known: &Known<W>) -> Result<(), Trouble> {
        known.settings.required()?;
        let is_there = |name: &String| {
            let key = super::key("", "ConfigMap", &self.app.namespace, name);
            known.copies.known.iter().any(|copy| copy.name == *name) || self.cluster.index().live(&key).is_some()
        };
        if release.data.settings.iter().flat_map(PodSettings::copies).all(is_there) {
            return Ok(());
        }
        let sentence = format!(
            "Release {} is not sent: what it reads of ConfigMaps changed before it was copied, so the next one begins in a moment",
            release.number
        );
        Err(Trouble { again: known.settles, ..Trouble::new("SettingsChanged", sentence, Mend::Event) })
    }

    /// A release whose record is missing is new, or its owner was deleted a moment ago and took the records along: then nothing is
    /// written for it any more.
    pub(super) async fn is_still_there(&self) -> Result<(), Trouble> {
        let found = current_uid::<W::Object>(&self.cluster.client(), &self.owner.key).await?;
        if found.is_some() && found == self.app.uid {
            Ok(())
        } else {
            Err(ApiError::Changed { object: self.owner.to_string() }.into())
        }
    }
}
