//! Does what the release machine says, one step after the other, until there is something to wait for.

use std::collections::BTreeMap;

use drover_core::health::{Finding, Patience, diagnose, has_served, replica_failure};
use drover_core::release::status::{self, Reached};
use drover_core::release::{
    Asked, Harm, Observation, Pull, Release, ReleaseData, Rollout, State, Step, Wanted, carried_pods, is_late, next,
    node_to_pull_to, observe, of_release, proven, pull_state, served_since,
};
use drover_core::workload::build::{self, PullTarget};
use drover_core::workload::takeover::{Found, Kept, Phase, Refusal};
use drover_core::workload::validate::{
    App, Facts, Image, ImageUser, LiveClaim, PodRelease, Shrinking, ValidatedWebApp, needs_recreate, validate,
};
use drover_crds::condition::Outcome;
use drover_crds::{self as crds, ImagePullPolicy, Owner, ReleaseOutcome, ReleaseStep, WebApp, WebAppStatus};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Failure, apply, dereference};
use crate::cluster::inventory::Inventories;
use crate::cluster::{Acting, ApiError, Cluster, current_uid};
use crate::driver::Next;
use crate::owned::{Carried, Owned, Parent};
use crate::registry::{self, Answer, Registry, has_digest};

/// More steps than any release takes: a machine that does not come to rest is a defect, and must not spin.
const MOST_STEPS: usize = 12;

/// One reconcile of one WebApp.
pub struct Work<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Where images are resolved.
    pub registry: &'a Registry,
    /// Where the children are written down.
    pub inventories: &'a Inventories,
    /// The namespace's account.
    pub acting: Acting,
    /// Whose children these are.
    pub owner: &'a Owner,
    /// Which WebApp.
    pub app: App,
    /// What it asks for.
    pub wanted: Wanted<'a>,
    /// The uid of the definition of WebApps.
    pub definition: &'a str,
    /// When a person last asked for new pods.
    pub restarted_at: Option<&'a str>,
    /// The time of this reconcile.
    pub now: Time,
    /// The status, as it grows.
    pub status: WebAppStatus,
}

/// How a reconcile ended that met no failure.
pub struct Ended {
    /// What the status says.
    pub outcome: Outcome,
    /// Address of the first route.
    pub url: Option<String>,
    /// When to look again.
    pub next: Next,
}

/// How far a release came that is to begin.
enum Begun {
    /// It is written down.
    Written,
    /// The registry is asked for its image.
    Asked,
}

/// What is known of the releases while the steps are done.
struct Known {
    releases: Vec<Release>,
    claims: BTreeMap<String, LiveClaim>,
    /// What there is of the app's name.
    found: Found,
    applied: Option<(i64, ValidatedWebApp)>,
    rollout: Rollout,
    /// A pod that the newest release brought has served.
    served: bool,
    pull: Option<Pull>,
    assumed_user: bool,
}

impl Known {
    fn release(&self, number: i64) -> Option<&Release> {
        self.releases.iter().find(|r| r.number == number)
    }

    fn newest(&self) -> Option<&Release> {
        self.releases.first()
    }
}

impl Work<'_> {
    /// Does what is to be done now.
    pub async fn run(&mut self) -> Result<Ended, Failure> {
        let releases = dereference::releases(&self.acting, &self.app).await?;
        let (claims, found) = tokio::try_join!(self.claims(&releases), self.found())?;
        let mut known = Known {
            releases,
            claims,
            found,
            applied: None,
            rollout: Rollout::Progressing(None),
            served: false,
            pull: None,
            assumed_user: false,
        };
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
                    status::advance(&mut self.status, ReleaseStep::PullImage);
                    return Ok(self.end(&state, &known));
                }
                Step::Apply { release } => {
                    if let Err(failure) = self.apply(release, &state, &mut known).await {
                        // More pods than its volume allows, for one: what was sent last stays in force.
                        if matches!(failure, Failure::Invalid(_)) {
                            self.hold(&state, &known).await?;
                        }
                        return Err(failure);
                    }
                }
                Step::Fail { step, problem, restore } => {
                    self.end_pull(&known, &state).await?;
                    status::fail(&mut self.status, step, problem, restore, &self.now);
                    // Apply again: what is put back, or what goes on.
                    known.applied = known.applied.filter(|_| restore.is_none());
                    if restore.is_none() && known.applied.is_some() {
                        return Ok(self.end_failed(&state, &known));
                    }
                }
                Step::Live => {
                    status::live(&mut self.status, &self.now);
                    self.end_pull(&known, &state).await?;
                    apply::forget_old(&self.acting, &self.app, &known.releases, state.newest).await?;
                }
                Step::Restored { release } => status::restored(&mut self.status, release),
                Step::AwaitPull | Step::AwaitRollout | Step::Rest => return Ok(self.end(&state, &known)),
            }
        }
        let state = self.state(&mut known).await?;
        Ok(self.end(&state, &known))
    }

    /// The claims that the spec, the newest release and the one before mount.
    async fn claims(&self, releases: &[Release]) -> Result<BTreeMap<String, LiveClaim>, Failure> {
        let mut specs: Vec<&crds::WebAppSpec> = releases.iter().take(2).map(|r| &r.data.spec).collect();
        specs.push(self.wanted.spec);
        Ok(dereference::claims(&self.acting, &self.app, &specs).await?)
    }

    /// The Deployment and the Service as they are, and whether the Ingress waits to be taken over.
    async fn found(&self) -> Result<Found, Failure> {
        let (deployment, service) = tokio::try_join!(
            dereference::deployment(&self.acting, &self.app),
            dereference::service(&self.acting, &self.app)
        )?;
        let ingress = dereference::key("networking.k8s.io", "Ingress", &self.app.namespace, &self.app.object_name());
        let live = self.cluster.index().live(&ingress);
        let ingress_waits = live.is_some_and(|live| live.owner == self.owner.label() && live.fields == 0);
        let mut found = Found { deployment, service, ingress_waits, ..Found::default() };
        if self.phase(&found) == Phase::Beside {
            let selector = found.deployment.as_ref().and_then(|d| d.spec.as_ref()?.selector.match_labels.clone());
            let kept = Kept { pod_labels: selector.unwrap_or_default(), ..Kept::default() };
            found.pods = dereference::pods(&self.acting, &self.app, &kept).await?;
        }
        Ok(found)
    }

    /// How far it is with taking over what others made.
    fn phase(&self, found: &Found) -> Phase {
        found.phase(&self.owner.label(), &self.owner.field_manager(), self.now.0.as_second())
    }

    /// What an app of that spec keeps of what others made.
    fn kept(&self, spec: &crds::WebAppSpec, known: &Known) -> Result<Kept, Refusal> {
        let own = build::own_selector(&self.app);
        known.found.kept(&own, &spec.ports, &self.owner.field_manager(), self.phase(&known.found))
    }

    /// Where the newest release stands.
    async fn state(&mut self, known: &mut Known) -> Result<State, Failure> {
        let Some(newest) = known.newest().cloned() else { return Ok(none_yet()) };
        let number = newest.number;
        let failed = status::outcome_of(&self.status, number) == Some(ReleaseOutcome::Failed);
        let superseded = newest.is_superseded_by(&self.wanted, status::standing(&self.status, &newest), failed);
        if !superseded {
            status::resume(&mut self.status, &newest, &self.now);
            status::stand_for(&mut self.status, &self.wanted);
        }
        let recreate = needs_recreate(&newest.data.spec, &known.claims);
        let step = self.status.release.as_ref().map_or(ReleaseStep::PullImage, |r| r.step);
        let before_apply = matches!(step, ReleaseStep::ResolveImage | ReleaseStep::PullImage);
        if before_apply && recreate && !failed && !superseded && known.pull.is_none() {
            known.pull = Some(self.pull(&newest, known).await?);
        }
        let others_serve = self.status.replicas.as_ref().is_some_and(|seen| seen.ready > 0);
        Ok(State {
            newest: Some(number),
            superseded,
            last_good: status::last_live(&self.status, number).find(|n| known.release(*n).is_some()),
            recreate,
            step,
            failed,
            put_back: status::put_back(&self.status, number).filter(|n| known.release(*n).is_some()),
            harm: if !known.served && others_serve { Harm::None } else { Harm::Felt },
            pull: known.pull.clone().unwrap_or(Pull::NotNeeded),
            applied: known.applied.as_ref().map(|(number, _)| *number),
            rollout: known.rollout.clone(),
        })
    }

    /// Whether the image of a release has to be brought to the node of the running pod, and how far that is.
    async fn pull(&self, newest: &Release, known: &Known) -> Result<Pull, Failure> {
        if newest.data.spec.image_pull_policy == Some(ImagePullPolicy::Never) || self.wanted.replicas() == 0 {
            return Ok(Pull::NotNeeded);
        }
        if let Some(pod) = dereference::pull_pod(&self.acting, &self.app, newest.number).await? {
            return Ok(pull_state(&pod, &newest.data.image, self.now.0.as_second()));
        }
        let kept = self.kept(&newest.data.spec, known)?;
        let pods = dereference::pods(&self.acting, &self.app, &kept).await?;
        Ok(node_to_pull_to(&pods, &newest.data.image).map_or(Pull::NotNeeded, |node| Pull::Needed { node }))
    }

    /// Begins a release: its image is resolved, and it is written down.
    async fn resolve(&mut self, number: i64, state: &State, known: &mut Known) -> Result<Begun, Failure> {
        let wanted = self.wanted;
        let unresolved = Image { reference: wanted.spec.image.clone(), user: ImageUser::Unknown };
        let pods = PodRelease::default();
        let kept = self.kept(wanted.spec, known)?;
        let facts = Facts {
            image: &unresolved,
            pods: &pods,
            restarted_at: self.restarted_at,
            claims: &known.claims,
            shrinking: Shrinking::Refuse,
            kept: &kept,
        };
        // A spec that cannot be built begins no release, and what was applied before stays. Nor does one for a host that others have.
        let valid = validate(&self.app, wanted.spec, &facts)?;
        apply::refuse_taken_routes(&self.acting, self.owner, &valid).await?;
        status::begin(&mut self.status, number, wanted.commit, &wanted.spec.image, &self.now);
        let image = self.image().await?;
        status::hinder(&mut self.status, None);
        let Some(image) = image else { return Ok(Begun::Asked) };
        let facts = Facts { image: &image, ..facts };
        validate(&self.app, wanted.spec, &facts)?;
        let mut data = ReleaseData {
            spec: wanted.spec.clone(),
            image: image.reference.clone(),
            user: image.user.clone(),
            commit: wanted.commit.map(str::to_owned),
            pods: PodRelease::default(),
            asked: wanted.asked.map(str::to_owned),
        };
        // The pods that are there belong to the release that was put back, where one was.
        let previous = state.put_back.or(state.newest).and_then(|n| known.release(n));
        data.pods = carried_pods(&self.app, number, &data, previous, &facts)?;
        let release = Release { number, data };
        self.is_still_there().await?;
        apply::write_ahead(&self.acting, &self.app, &release).await?;
        if let Some(began) = &mut self.status.release {
            began.image.clone_from(&release.data.image);
            began.step = ReleaseStep::PullImage;
        }
        self.end_pull(known, state).await?;
        known.releases.insert(0, release);
        known.applied = None;
        known.pull = None;
        known.rollout = Rollout::Progressing(None);
        Ok(Begun::Written)
    }

    /// A release whose record is missing is new, or its WebApp was deleted a moment ago and took the records along: then nothing is
    /// written for it any more.
    async fn is_still_there(&self) -> Result<(), Failure> {
        let found = current_uid::<WebApp>(&self.cluster.client(), &self.owner.key).await?;
        if found.is_some() && found == self.app.uid {
            Ok(())
        } else {
            Err(ApiError::Changed { object: self.owner.to_string() }.into())
        }
    }

    /// The image as the registry knows it now; `None` until it has answered for the first time. None is asked where nothing would
    /// be learnt.
    async fn image(&self) -> Result<Option<Image>, Failure> {
        let spec = self.wanted.spec;
        let user_is_said = spec.allow_root.is_some() || spec.run_as.is_some_and(|r| r.user.is_some());
        if spec.image_pull_policy == Some(ImagePullPolicy::Never) || (has_digest(&spec.image) && user_is_said) {
            return Ok(Some(Image { reference: spec.image.clone(), user: ImageUser::Unknown }));
        }
        let credentials = dereference::credentials(&self.acting, &self.app, spec).await?;
        let Wanted { commit, asked, .. } = self.wanted;
        let wanted = registry::Wanted { image: &spec.image, credentials: &credentials, commit, asked };
        match self.registry.look_up(&self.owner.key, &wanted) {
            Answer::Known(resolved) => {
                let user = ImageUser::Known(resolved.user.unwrap_or_default());
                Ok(Some(Image { reference: resolved.reference, user }))
            }
            Answer::Asking { before: None } => Ok(None),
            // Until it is known that something has changed, what is said of it stays.
            Answer::Asking { before: Some(error) } => Err(Failure::Registry { error, next: Next::Await }),
            Answer::Failed { error, .. } if error.is_terminal() => Err(Failure::Registry { error, next: Next::Await }),
            Answer::Failed { error, again } => Err(Failure::Registry { error, next: Next::After(again) }),
        }
    }

    /// A release with every default filled in, and as many pods as the spec asks for now: that is no part of a release.
    fn validated(&self, release: &Release, newest: bool, known: &Known) -> Result<ValidatedWebApp, Failure> {
        let image = release.data.image();
        let mut spec = crds::WebAppSpec { replicas: self.wanted.spec.replicas, ..release.data.spec.clone() };
        if !newest && needs_recreate(&spec, &known.claims) {
            // It was made for one pod, and is better than none.
            spec.replicas = spec.replicas.map(|asked| asked.min(1));
        }
        let facts = Facts {
            image: &image,
            pods: &release.data.pods,
            restarted_at: self.restarted_at,
            claims: &known.claims,
            shrinking: if newest { Shrinking::Refuse } else { Shrinking::KeepSize },
            kept: &self.kept(&spec, known)?,
        };
        Ok(validate(&self.app, &spec, &facts)?)
    }

    async fn start_pull(&self, known: &Known, node: String) -> Result<(), Failure> {
        let Some(newest) = known.newest() else { return Ok(()) };
        let app = self.validated(newest, true, known)?;
        Ok(apply::start_pull(&self.acting, &app, &PullTarget { release: newest.number, node }).await?)
    }

    /// Deletes the pod that pulled, where there may be one.
    async fn end_pull(&self, known: &Known, state: &State) -> Result<(), Failure> {
        match known.newest() {
            Some(newest) if state.recreate => Ok(apply::end_pull(&self.acting, &self.app, newest.number).await?),
            _ => Ok(()),
        }
    }

    /// Applies a release, and looks at what becomes of its pods.
    async fn apply(&mut self, number: i64, state: &State, known: &mut Known) -> Result<(), Failure> {
        let Some(release) = known.release(number).cloned() else { return Ok(()) };
        let app = self.validated(&release, state.newest == Some(number), known)?;
        let in_progress = !state.failed && state.step != ReleaseStep::Live;
        if in_progress {
            status::advance(&mut self.status, ReleaseStep::Apply);
        }
        let phase = self.phase(&known.found);
        let sent = self.send(&app, known, phase).await?;
        if in_progress {
            status::advance(&mut self.status, ReleaseStep::Rollout);
        }
        if sent.sent().any(|key| key.kind == "Deployment") {
            known.found.deployment = dereference::deployment(&self.acting, &self.app).await?;
        }
        let deployment = known.found.deployment.clone();
        let mut seen = deployment.as_ref().map(Observation::of).unwrap_or_default();
        // What was live once, and what is put back because it was, has nothing to prove.
        let on_trial = state.newest == Some(number) && state.step != ReleaseStep::Live;
        let asked = if on_trial { Asked::Probation } else { Asked::Service };
        known.rollout = observe(deployment.as_ref(), asked, None);
        let mut may_be_led_to = true;
        if !matches!(known.rollout, Rollout::Complete | Rollout::Off) {
            let pods = dereference::pods(&self.acting, &self.app, &app.kept).await?;
            seen.up_since = seen.up_since.or_else(|| served_since(&pods));
            let pods = of_release(pods, release.data.pods.number);
            let proven = proven(&pods, app.probation_seconds, self.now.0.as_second());
            may_be_led_to = usize::try_from(seen.desired).is_ok_and(|desired| desired > 0 && proven >= desired);
            // Pods that were there before this release tell nothing of it.
            let on_probation = on_trial && release.data.pods.number == number;
            known.served = on_probation && pods.iter().any(has_served);
            let finding = self.finding(&pods, deployment.as_ref(), on_probation);
            known.rollout = observe(deployment.as_ref(), asked, finding.as_ref());
            if let (Rollout::Failing(problem) | Rollout::Progressing(Some(problem)), Some(finding)) =
                (&mut known.rollout, &finding)
            {
                problem.log = dereference::log(&self.acting, &self.app, &release.data.spec, finding).await;
                // Between two restarts there is no log to be had: what was read last still says why.
                let before = self.status.release.as_ref().and_then(|release| release.problem.as_ref());
                if let Some(before) = before.filter(|before| problem.log.is_empty() && before.pod == problem.pod) {
                    problem.log.clone_from(&before.log);
                }
            }
            if in_progress && known.served {
                status::advance(&mut self.status, ReleaseStep::Probation);
            }
        }
        if phase == Phase::Beside && may_be_led_to {
            self.send(&app, known, Phase::Settling).await?;
        }
        if phase != Phase::Done && matches!(known.rollout, Rollout::Complete | Rollout::Off) {
            known.rollout = Rollout::Progressing(None);
        }
        status::count(&mut self.status, &seen, &self.now);
        if !state.failed {
            let problem = match &known.rollout {
                Rollout::Progressing(problem) => problem.clone(),
                Rollout::Failing(problem) => Some(problem.clone()),
                Rollout::Complete | Rollout::Off => None,
            };
            status::hinder(&mut self.status, problem);
        }
        known.assumed_user = app.identity.assumed;
        known.applied = Some((number, app));
        Ok(())
    }

    async fn send(&self, app: &ValidatedWebApp, known: &Known, phase: Phase) -> Result<Carried, Failure> {
        Ok(apply::apply(self.parent(), app, &known.found, phase).await?)
    }

    fn parent(&self) -> Parent<'_> {
        let &Self { cluster, inventories, ref acting, owner, definition, .. } = self;
        Parent { owned: Owned { cluster, inventories, acting, owner }, definition }
    }

    /// Puts back what others changed of the release that serves, while the one that the spec asks for cannot begin.
    async fn hold(&self, state: &State, known: &Known) -> Result<(), Failure> {
        let applied = state.put_back.or(state.newest).filter(|number| status::was_applied(&self.status, *number));
        if let Some(release) = applied.and_then(|number| known.release(number)) {
            self.send(&self.validated(release, false, known)?, known, self.phase(&known.found)).await?;
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

    /// The registry is asked, and says so to this WebApp when it has answered.
    fn end_asking(&self, known: &Known) -> Ended {
        let reached = Reached { failed: false, rollout: &known.rollout, assumed_user: false };
        Ended { outcome: status::outcome(&self.status, reached), url: self.status.url.clone(), next: Next::Await }
    }

    fn end_failed(&self, state: &State, known: &Known) -> Ended {
        self.end(&State { failed: true, ..state.clone() }, known)
    }

    fn end(&self, state: &State, known: &Known) -> Ended {
        let failed = state.failed;
        let reached = Reached { failed, rollout: &known.rollout, assumed_user: known.assumed_user };
        let url = known.applied.as_ref().and_then(|(_, app)| app.url()).or_else(|| self.status.url.clone());
        let url = if known.applied.as_ref().is_some_and(|(_, app)| app.routes.is_empty()) { None } else { url };
        let (contested, again) = self.parent().wars();
        let outcome = status::contested(status::outcome(&self.status, reached), &contested);
        let settled = matches!(known.rollout, Rollout::Complete | Rollout::Off) && state.applied.is_some();
        let next = match again {
            None if settled => Next::Await,
            Some(again) if settled => Next::After(again),
            _ => Next::After(status::pace(&self.status, failed, &self.now)),
        };
        Ended { outcome, url, next }
    }
}

fn none_yet() -> State {
    State {
        newest: None,
        superseded: false,
        last_good: None,
        recreate: false,
        step: ReleaseStep::ResolveImage,
        failed: false,
        put_back: None,
        harm: Harm::None,
        pull: Pull::NotNeeded,
        applied: None,
        rollout: Rollout::Progressing(None),
    }
}
