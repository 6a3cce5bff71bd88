//! Does what the release machine says, one step after the other, until there is something to wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drover_core::health::{Finding, Patience, diagnose, has_served, replica_failure};
use drover_core::release::status::{self, Reached};
use drover_core::release::{
    Asked, Ground, Harm, Jobs, Observation, Pull, Release, Rollout, Sight, State, Step, Uptime, Wanted, asset_sets,
    follow, is_late, next, node_to_pull_to, observe, of_release, overdue, proven, pull_state, served_since, uptime,
    wake,
};
use drover_core::trouble::{Mend, Trouble};
use drover_core::uptime::Word;
use drover_core::workload::build::PullTarget;
use drover_core::workload::pods::Settings as PodSettings;
use drover_core::workload::pods::settings::Missing;
use drover_core::workload::pods::{Copies, Facts, LiveClaim, Shrinking, needs_recreate};
use drover_core::workload::{App, Invalid};
use drover_crds::condition::Outcome;
use drover_crds::{
    self as crds, AppSpec as _, ImagePullPolicy, JobMoment, Owner, Problem, ReleaseOutcome, ReleaseStep, RolloutStatus,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::data::{self, Data};
use super::records::{Uids, forget_old, releases};
use super::settings::{self, Found, Since};
use super::tag::{self, Following};
use super::{Workload, dereference, once, pull};
use crate::cluster::{Acting, ApiError, Cluster};
use crate::driver::Next;
use crate::registry::Registry;
use crate::settings::Settings;

/// More steps than any release takes: a machine that does not come to rest is a defect, and must not spin.
const MOST_STEPS: usize = 16;

/// One turn of one app.
pub struct Rolling<'a, W: Workload> {
    /// What its kind does itself.
    pub workload: W,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Where images are resolved.
    pub registry: &'a Registry,
    /// The namespace's account.
    pub acting: &'a Acting,
    /// Who tells when data or settings that the app reads change.
    pub settings: &'a Settings,
    /// Whose pods these are.
    pub owner: &'a Owner,
    /// The same.
    pub app: &'a App,
    /// What it asks for.
    pub wanted: Wanted<'a, W::Spec>,
    /// When a person last asked for new pods.
    pub restarted_at: Option<&'a str>,
    /// The image that a person holds in place of the one that its tag points to: the value of `drover.dev/hold-image`.
    pub hold: Option<&'a str>,
    /// Until when a person wants it awake or asleep.
    pub word: &'a Word,
    /// Whether it is awake in this turn, which is found out at its begin.
    pub uptime: Uptime,
    /// What it waits for without pods although it is to wake, which is found out in the turn.
    pub still_asleep: Option<Trouble>,
    /// Its pods stay for now although it is to sleep, which is found out in the turn.
    pub lingers: bool,
    /// The time of this turn.
    pub now: &'a Time,
    /// The status, as it grows.
    pub status: &'a mut RolloutStatus,
    /// What the spec reads and is not there; `None` where that was not looked at.
    pub missing: Option<Option<Missing>>,
    /// Since when what it reads is as it is.
    pub settings_since: &'a mut Since,
}

/// How a turn ended that met no failure.
pub struct Ended<V> {
    /// What the status says.
    pub outcome: Outcome,
    /// What was applied.
    pub applied: Option<V>,
    /// When to look again.
    pub next: Next,
}

/// How far a release came that is to begin.
pub(super) enum Begun {
    /// It is written down.
    Written,
    /// The registry is asked for its image.
    Asked,
}

/// What is known of the releases while the steps are done.
pub(super) struct Known<W: Workload> {
    pub(super) following: Following,
    pub(super) releases: Vec<Release<W::Spec>>,
    /// The uids of their records.
    pub(super) uids: Uids,
    pub(super) claims: BTreeMap<String, LiveClaim>,
    pub(super) data: Data,
    pub(super) settings: Found,
    /// In how long a change of what is read begins a release.
    pub(super) settles: Option<Duration>,
    pub(super) copies: Copies,
    pub(super) applied: Option<(i64, W::Valid)>,
    pub(super) rollout: Rollout,
    /// A pod that the newest release brought has served.
    served: bool,
    pub(super) pull: Option<Pull>,
    assumed_user: bool,
    pub(super) jobs: JobsSeen,
}

/// What is known of the jobs of the newest release.
#[derive(Default)]
pub(super) struct JobsSeen {
    /// What their pods need was sent.
    pub(super) prepared: bool,
    /// Since when Jobs run.
    pub(super) started: BTreeMap<String, Option<Time>>,
    /// What keeps one from beginning, or why it is being ended.
    pub(super) hindrance: Option<Problem>,
    /// A newer release waits for one that runs.
    newer_waits: bool,
}

impl<W: Workload> Known<W> {
    /// The uids of all records.
    pub(super) fn records(&self) -> Vec<&str> {
        self.uids.values().map(String::as_str).collect()
    }

    pub(super) fn release(&self, number: i64) -> Option<&Release<W::Spec>> {
        self.releases.iter().find(|r| r.number == number)
    }

    /// What is read, where it may begin a release now.
    fn settled(&self) -> Option<&PodSettings> {
        self.settings.settings.as_ref().filter(|_| self.settles.is_none())
    }

    pub(super) fn newest(&self) -> Option<&Release<W::Spec>> {
        self.releases.first()
    }
}

impl<W: Workload> Rolling<'_, W> {
    /// Does what is to be done now.
    pub async fn run(&mut self) -> Result<Ended<W::Valid>, Trouble> {
        self.uptime = uptime(self.status, self.wanted.spec, self.word, self.now.0);
        let since = self.status.uptime.as_ref().and_then(|uptime| uptime.since.as_ref());
        self.workload.away(self.uptime.away.clone(), since);
        let ended = self.steps().await;
        let ended = ended.and_then(|ended| self.still_asleep.take().map_or(Ok(ended), Err));
        ended.map_err(|trouble| self.in_time(trouble))
    }

    async fn steps(&mut self) -> Result<Ended<W::Valid>, Trouble> {
        let (acting, app) = (self.acting, self.app);
        let (releases, uids): (Vec<Release<W::Spec>>, Uids) = releases(acting, app).await?;
        // What the spec, the newest release and the one before mount.
        let mut specs: Vec<&crds::PodSpec> = releases.iter().take(2).map(|r| r.data.spec.pod()).collect();
        specs.push(self.wanted.spec.pod());
        let known = || releases.iter().take(2).map(|r| &r.data.spec).chain([self.wanted.spec]);
        let syncs: BTreeSet<&String> = known().flat_map(W::Spec::further_data_syncs).collect();
        let own = known().flat_map(W::Spec::further_claims).map(|name| app.child_name(&name));
        let own = own.chain(once::databases(self.wanted.spec.pod()));
        let further: BTreeSet<String> = own.chain(syncs.iter().map(|name| crds::synced_claim(name))).collect();
        let claims = async { Ok::<_, Trouble>(dereference::claims(acting, app, &specs, &further).await?) };
        let data = data::published(acting, self.settings.interest(), self.owner, &specs, &syncs);
        let pods = self.wanted.spec.pod();
        let read = async { Ok::<_, Trouble>(settings::read(acting, self.settings, self.owner, app, pods).await?) };
        let sight = async { Ok::<_, Trouble>(tag::sight(acting, self.registry, self.owner, app, &self.wanted).await?) };
        let (claims, data, settings, sight, ()) = tokio::try_join!(claims, data, read, sight, self.workload.look())?;
        self.missing = Some(settings.missing.clone());
        let reads_others =
            releases.first().is_some_and(|newest| newest.reads_other_settings(settings.settings.as_ref()));
        let settles = settings.settles(reads_others, self.settings_since);
        let read = releases.iter().filter_map(|release| release.data.settings.as_ref());
        let needed = read.flat_map(PodSettings::copies).cloned().collect();
        let copies = Copies { known: settings.copies.clone(), needed };
        let mut known = Known {
            following: self.follow(sight),
            releases,
            uids,
            claims,
            data,
            settings,
            settles,
            copies,
            applied: None,
            rollout: Rollout::Progressing(None),
            served: false,
            pull: None,
            assumed_user: false,
            jobs: JobsSeen::default(),
        };
        self.still_asleep = self.wakes_for(&known).await?;
        self.lingers = self.has_to_do_before_sleep(&known).await?;
        if let Some(refused) = self.uptime.refused.clone() {
            let state = self.state(&mut known).await?;
            self.hold(&state, &known).await?;
            return Err(Invalid::from(refused).into());
        }
        for _ in 0..MOST_STEPS {
            let state = self.state(&mut known).await?;
            match next(&state) {
                Step::Resolve { number } => {
                    let begun = self.resolve(number, &state, &mut known).await;
                    if matches!(begun, Ok(Begun::Written)) {
                        continue;
                    }
                    if let Err(error) = self.hold(&state, &known).await {
                        tracing::warn!(owner = %self.owner, %error, "cannot put back what others changed");
                    }
                    return begun.map(|_| self.end_asking(&known));
                }
                Step::StartPull { node } => {
                    self.start_pull(&known, node).await?;
                    status::advance(self.status, ReleaseStep::PullImage);
                    return Ok(self.end(&state, known));
                }
                Step::Prepare => self.prepare(&state, &mut known).await?,
                Step::RunJob { at } => {
                    self.run_job(at, &known).await?;
                    self.is_at(at, state.failed);
                }
                Step::AwaitJob { at } => {
                    self.is_at(at, state.failed);
                    known.jobs.newer_waits = state.superseded;
                    status::hinder(self.status, known.jobs.hindrance.clone());
                    return Ok(self.end(&state, known));
                }
                Step::CancelJob { at } => {
                    if !self.cancel_job(at, &known).await? {
                        return Ok(self.end(&state, known));
                    }
                }
                Step::GiveUpJob { at, problem } => {
                    if !self.give_up_job(at, problem, &mut known).await? {
                        return Ok(self.end(&state, known));
                    }
                }
                Step::Apply { release } => {
                    if let Err(trouble) = self.apply(release, &state, &mut known).await {
                        // More pods than its volume allows, for one: what was sent last stays in force.
                        if trouble.mended_by == Mend::Spec {
                            self.hold(&state, &known).await?;
                        }
                        return Err(trouble);
                    }
                }
                Step::Fail { step, problem, restore } => {
                    self.end_pull(&known, &state).await?;
                    status::fail(self.status, step, problem, restore, self.now);
                    // Apply again: what is put back, or what goes on.
                    known.applied = known.applied.filter(|_| restore.is_none());
                    if restore.is_none() && known.applied.is_some() {
                        return Ok(self.end_failed(&state, known));
                    }
                }
                Step::Live => {
                    status::live(self.status, self.now);
                    self.end_pull(&known, &state).await?;
                    self.forget_old(&known).await?;
                    // Its files come first from now on.
                    let serves_files = |release: &Release<W::Spec>| !release.data.spec.assets().is_empty();
                    known.applied = known.applied.filter(|_| !known.releases.first().is_some_and(serves_files));
                }
                Step::Restored { release } => status::restored(self.status, release),
                Step::AwaitPull | Step::AwaitRollout | Step::Rest => return Ok(self.end(&state, known)),
            }
        }
        let state = self.state(&mut known).await?;
        Ok(self.end(&state, known))
    }

    /// Whether no pods are asked for.
    pub(super) fn is_off(&self) -> bool {
        self.wanted.spec.replicas() == 0 || self.is_asleep()
    }

    /// What its tag asks for, if one is followed; the status says so.
    fn follow(&mut self, sight: Option<Sight>) -> Following {
        let image = &self.wanted.spec.pod().image;
        let Some(sight) = sight else {
            self.status.image = None;
            return Following { sight: None, digest: None };
        };
        let digest = follow(self.status, image, &sight, self.hold, self.now);
        Following { sight: Some(sight), digest }
    }

    /// Where the newest release stands.
    async fn state(&mut self, known: &mut Known<W>) -> Result<State, Trouble> {
        let Some(newest) = known.newest().cloned() else { return Ok(State::none_yet()) };
        let number = newest.number;
        let failed = status::outcome_of(self.status, number) == Some(ReleaseOutcome::Failed);
        let digest = known.following.digest.as_deref();
        let wanted = Wanted { digest, settings: known.settled(), ..self.wanted };
        let superseded = newest.is_superseded_by(&wanted, status::standing(self.status, &newest), failed);
        if !superseded {
            status::resume(self.status, &newest, self.now);
            // What is refused is not what it stands for.
            if self.uptime.refused.is_none() {
                status::stand_for(self.status, &self.wanted);
            }
        }
        let recreate = needs_recreate(newest.data.spec.pod(), &known.claims);
        let step = self.status.release.as_ref().map_or(ReleaseStep::PullImage, |r| r.step);
        let before_apply = matches!(step, ReleaseStep::ResolveImage | ReleaseStep::PullImage);
        if before_apply && recreate && !failed && !superseded && known.pull.is_none() {
            known.pull = Some(self.pull(&newest).await?);
        }
        let (mut before, mut after) = (Jobs::Done, Jobs::Done);
        let put_back = status::put_back(self.status, number).filter(|n| known.release(*n).is_some());
        let serves = known.rollout == Rollout::Complete && known.applied.as_ref().is_some_and(|(n, _)| *n == number);
        if step <= ReleaseStep::BeforeDeploy && !failed {
            before = self.jobs(JobMoment::BeforeDeploy, known).await?;
            if before == Jobs::Done && !superseded && !self.knows_assets(known).await? {
                before = Jobs::Waiting;
            }
        } else if serves && step != ReleaseStep::Live && put_back.is_none() {
            after = self.jobs(JobMoment::AfterDeploy, known).await?;
        }
        if let Some(newest) = known.newest() {
            status::note_jobs(self.status, newest, &known.jobs.started);
        }
        let others_serve = self.status.replicas.as_ref().is_some_and(|seen| seen.ready > 0);
        Ok(State {
            newest: Some(number),
            superseded,
            last_good: status::last_live(self.status, number).find(|n| known.release(*n).is_some()),
            recreate,
            step,
            failed,
            put_back,
            harm: if !known.served && others_serve { Harm::None } else { Harm::Felt },
            pull: known.pull.clone().unwrap_or(Pull::NotNeeded),
            ground: match (known.jobs.prepared, self.is_off()) {
                (false, _) => Ground::Unprepared,
                (true, false) => Ground::Prepared,
                (true, true) => Ground::Off,
            },
            before,
            after,
            applied: known.applied.as_ref().map(|(number, _)| *number),
            rollout: known.rollout.clone(),
        })
    }

    /// Whether the image of a release has to be brought to the node of the running pod, and how far that is.
    async fn pull(&self, newest: &Release<W::Spec>) -> Result<Pull, Trouble> {
        if newest.data.spec.pod().image_pull_policy == Some(ImagePullPolicy::Never) || self.is_off() {
            return Ok(Pull::NotNeeded);
        }
        if let Some(pod) = pull::found(self.acting, self.app, newest.number).await? {
            return Ok(pull_state(&pod, &newest.data.image, self.now.0.as_second()));
        }
        let selector = self.workload.selector(&newest.data.spec)?;
        let pods = dereference::pods(self.acting, self.app, &selector).await?;
        Ok(node_to_pull_to(&pods, &newest.data.image).map_or(Pull::NotNeeded, |node| Pull::Needed { node }))
    }

    /// The release whose pods serve: the newest, where it is live.
    pub(super) fn live(&self, releases: &[Release<W::Spec>]) -> Option<i64> {
        let newest = releases.first()?.number;
        let is_known = |number: &i64| releases.iter().any(|release| release.number == *number);
        let put_back = status::put_back(self.status, newest);
        let live = put_back.or_else(|| Some(newest).filter(|_| self.was_live(Some(newest))));
        live.or_else(|| status::last_live(self.status, newest).find(is_known))
    }

    /// Whether that release has served.
    pub(super) fn was_live(&self, release: Option<i64>) -> bool {
        release.is_some_and(|number| status::outcome_of(self.status, number) == Some(ReleaseOutcome::Live))
    }

    /// Deletes the records that nobody goes back to, and with the next plan the copies of ConfigMaps that only they named.
    pub(super) async fn forget_old(&self, known: &Known<W>) -> Result<(), ApiError> {
        let named = self.status.history.iter().map(|record| record.number).collect();
        forget_old(self.acting, self.app, &known.releases, &named).await
    }

    /// A release with every default filled in, and as many pods as the spec asks for now, none while it is asleep: that is no part of a
    /// release.
    pub(super) fn validated(
        &self,
        release: &Release<W::Spec>,
        newest: bool,
        known: &Known<W>,
    ) -> Result<W::Valid, Trouble> {
        let mut spec = release.data.spec.with_replicas_of(self.wanted.spec);
        if !newest && needs_recreate(spec.pod(), &known.claims) {
            // It was made for one pod, and is better than none.
            spec = spec.with_one_pod_at_most();
        }
        let facts = Facts {
            image: &release.data.image(),
            pods: &release.data.pods,
            restarted_at: self.restarted_at,
            claims: &known.claims,
            shrinking: if newest { Shrinking::Refuse } else { Shrinking::KeepSize },
            data_sets: known.data.sets(),
            asset_sets: &asset_sets(&known.releases, self.live(&known.releases)),
            own_sets: &release.data.own_sets(),
            settings: &release.data.settings.clone().unwrap_or_default(),
            copies: &known.copies,
        };
        known.data.refuse_without(spec.pod())?;
        let valid = self.workload.validate(&spec, &facts)?;
        Ok(if self.is_asleep() { W::asleep(valid) } else { valid })
    }

    async fn start_pull(&self, known: &Known<W>, node: String) -> Result<(), Trouble> {
        let Some(newest) = known.newest() else { return Ok(()) };
        let valid = self.validated(newest, true, known)?;
        let target = PullTarget { release: newest.number, node };
        Ok(pull::start(self.acting, W::pods(&valid), &target).await?)
    }

    /// Deletes the pod that pulled, where there may be one.
    pub(super) async fn end_pull(&self, known: &Known<W>, state: &State) -> Result<(), Trouble> {
        match known.newest() {
            Some(newest) if state.recreate => Ok(pull::end(self.acting, self.app, newest.number).await?),
            _ => Ok(()),
        }
    }

    /// Applies a release, and looks at what becomes of its pods.
    async fn apply(&mut self, number: i64, state: &State, known: &mut Known<W>) -> Result<(), Trouble> {
        let Some(release) = known.release(number).cloned() else { return Ok(()) };
        let valid = self.validated(&release, state.newest == Some(number), known)?;
        let in_progress = !state.failed && state.step != ReleaseStep::Live;
        if in_progress && !status::was_applied(self.status, number) {
            self.require_copies(&release, known)?;
        }
        if in_progress {
            status::advance(self.status, ReleaseStep::Apply);
        }
        // What was live once, and what is put back because it was, has nothing to prove.
        let on_trial = state.newest == Some(number) && state.step != ReleaseStep::Live;
        let sent = self.workload.send(&valid, !on_trial).await?;
        if in_progress {
            status::advance(self.status, ReleaseStep::Rollout);
        }
        if sent.sent().any(|key| key.kind == "Deployment") {
            self.workload.look_again().await?;
        }
        let deployment = self.workload.deployment().cloned();
        let mut seen = deployment.as_ref().map(Observation::of).unwrap_or_default();
        let asked = if on_trial { Asked::Probation } else { Asked::Service };
        known.rollout = observe(deployment.as_ref(), asked, None);
        // Asleep it proves nothing.
        let mut has_proven_itself = !(on_trial && self.is_asleep());
        if !matches!(known.rollout, Rollout::Complete | Rollout::Off) {
            let pods = dereference::pods(self.acting, self.app, &self.workload.selector_of(&valid)).await?;
            seen.up_since = seen.up_since.or_else(|| served_since(&pods));
            let pods = of_release(pods, release.data.pods.number);
            let proven = proven(&pods, W::probation_seconds(&valid), self.now.0.as_second());
            has_proven_itself = usize::try_from(seen.desired).is_ok_and(|desired| desired > 0 && proven >= desired);
            // Pods that were there before this release tell nothing of it.
            let on_probation = on_trial && release.data.pods.number == number;
            known.served = on_probation && pods.iter().any(has_served);
            let finding = self.finding(&pods, deployment.as_ref(), on_probation);
            known.rollout = observe(deployment.as_ref(), asked, finding.as_ref());
            if let Some(deployment) = deployment.as_ref().filter(|_| on_trial) {
                let began = self.status.release.as_ref().and_then(|release| release.started_at.as_ref());
                let woke = self.status.uptime.as_ref().and_then(|uptime| uptime.woke_at.as_ref());
                let since = began.into_iter().chain(woke).map(|at| at.0.as_second()).max().unwrap_or_default();
                let now = self.now.0.as_second();
                known.rollout = overdue(known.rollout.clone(), deployment, &pods, since, now);
            }
            if let (Rollout::Failing(problem) | Rollout::Progressing(Some(problem)), Some(_)) =
                (&mut known.rollout, &finding)
            {
                problem.log = dereference::log(self.acting, self.app, release.data.spec.pod(), problem).await;
                // Between two restarts there is no log to be had: what was read last still says why.
                let before = self.status.release.as_ref().and_then(|release| release.problem.as_ref());
                if let Some(before) = before.filter(|before| problem.log.is_empty() && before.pod == problem.pod) {
                    problem.log.clone_from(&before.log);
                }
            }
            if in_progress && known.served {
                status::advance(self.status, ReleaseStep::Probation);
            }
        }
        let is_settled = self.workload.settle(&valid, has_proven_itself).await?;
        if !is_settled && matches!(known.rollout, Rollout::Complete | Rollout::Off) {
            known.rollout = Rollout::Progressing(None);
        }
        status::count(self.status, &seen, self.now);
        wake(self.status, self.wanted.spec.replicas(), self.uptime.again.is_some());
        if !state.failed {
            let problem = match &known.rollout {
                Rollout::Progressing(problem) => problem.clone(),
                Rollout::Failing(problem) => Some(problem.clone()),
                Rollout::Complete | Rollout::Off => None,
            };
            status::hinder(self.status, problem);
        }
        self.judge_data(&release, known).await?;
        known.assumed_user = W::pods(&valid).identity.assumed;
        known.applied = Some((number, valid));
        Ok(())
    }

    /// What served before and does not with new data does not run with these: the sets before are put back for all.
    async fn judge_data(&mut self, release: &Release<W::Spec>, known: &Known<W>) -> Result<(), Trouble> {
        let spec = release.data.spec.pod();
        match &known.rollout {
            Rollout::Complete => self.status.data_sets = known.data.mounted(spec),
            Rollout::Failing(problem) if self.was_live(Some(release.number)) => {
                let served = &self.status.data_sets;
                known.data.reject(self.acting, self.owner, spec, served, &problem.message).await?;
            }
            Rollout::Failing(_) | Rollout::Progressing(_) | Rollout::Off => {}
        }
        Ok(())
    }

    /// Puts back what others changed of the release that serves, while the one that the spec asks for cannot begin.
    async fn hold(&mut self, state: &State, known: &Known<W>) -> Result<(), Trouble> {
        let applied = state.put_back.or(state.newest).filter(|number| status::was_applied(self.status, *number));
        if let Some(release) = applied.and_then(|number| known.release(number)) {
            let valid = self.validated(release, false, known)?;
            let proven = state.put_back.is_some() || self.was_live(state.newest);
            self.workload.send(&valid, proven).await?;
        }
        Ok(())
    }

    /// What is wrong with the pods of a release, or with making any.
    fn finding(&self, pods: &[Pod], deployment: Option<&Deployment>, on_probation: bool) -> Option<Finding> {
        // When the time is over, whatever the pods still wait for is what they wait for in vain.
        let patience = if deployment.is_some_and(is_late) { Patience::over() } else { Patience::default() };
        let found = diagnose(pods, self.now.0.as_second(), Patience { on_probation, ..patience });
        found.or_else(|| replica_failure(&serde_json::to_value(deployment?).ok()?))
    }

    /// The registry is asked, and says so to this app when it has answered.
    fn end_asking(&self, known: &Known<W>) -> Ended<W::Valid> {
        let changed_secrets = &BTreeSet::new();
        let (rollout, asleep) = (&known.rollout, self.uptime.asleep.as_deref());
        let scaled = self.workload.scaled();
        let scaled = scaled.as_deref();
        let reached = Reached { failed: false, rollout, assumed_user: false, changed_secrets, asleep, scaled };
        Ended { outcome: status::outcome(self.status, reached), applied: None, next: self.next(None) }
    }

    fn end_failed(&self, state: &State, known: Known<W>) -> Ended<W::Valid> {
        self.end(&State { failed: true, ..state.clone() }, known)
    }

    fn end(&self, state: &State, known: Known<W>) -> Ended<W::Valid> {
        let failed = state.failed;
        let good = state.put_back.or(state.last_good).and_then(|good| known.release(good));
        let [now, before] = [known.newest(), good].map(|release| release.and_then(|r| r.data.settings.as_ref()));
        let changed_secrets = now.zip(before).map(|(now, before)| now.changed_secrets(before)).unwrap_or_default();
        let (rollout, assumed_user) = (&known.rollout, known.assumed_user);
        let asleep = self.uptime.asleep.as_deref();
        let scaled = self.workload.scaled();
        let scaled = scaled.as_deref();
        let reached = Reached { failed, rollout, assumed_user, changed_secrets: &changed_secrets, asleep, scaled };
        let (contested, again) = self.workload.wars();
        let war = contested.first().map(|war| war.message.as_str());
        let outcome = status::contested(status::outcome(self.status, reached), war);
        let outcome = if known.jobs.newer_waits { status::newer_waits(outcome) } else { outcome };
        let outcome = if known.settles.is_some() { status::about_to_change(outcome) } else { outcome };
        let has_ended = matches!(state.after, Jobs::Done | Jobs::Failed(_));
        let is_at_rest = (state.applied.is_some() && has_ended) || (self.is_off() && state.before == Jobs::Due);
        let settled = matches!(known.rollout, Rollout::Complete | Rollout::Off) && is_at_rest;
        let pace = (!settled).then(|| status::pace(self.status, failed, self.now));
        let lingers = self.looks_again();
        let soonest =
            again.into_iter().chain(known.settings.again).chain(known.settles).chain(pace).chain(lingers).min();
        Ended { outcome, applied: known.applied.map(|(_, valid)| valid), next: self.next(soonest) }
    }

    /// When to look again, where nothing else is to be done before that pause is over.
    fn next(&self, pause: Option<Duration>) -> Next {
        match self.uptime.again {
            Some(time) => Next::At { time, judged: self.now.0, pause },
            None => pause.map_or(Next::Await, Next::After),
        }
    }
}
