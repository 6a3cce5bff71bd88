//! What a WebApp does itself while its releases are brought out: what others made is taken over, and its Service and Ingress are led to
//! pods that have proven themselves.

use std::borrow::Cow;
use std::time::Duration;

use drover_core::front::{Away, Sight, Terms, Upstreams};
use drover_core::trouble::Trouble;
use drover_core::workload::build::MakeAssets;
use drover_core::workload::exposure::{Allowance, Shortfall};
use drover_core::workload::pods::{Facts, Pods, ValidatedJob};
use drover_core::workload::takeover::{Found, Kept, Phase, Refusal};
use drover_core::workload::validate::{ValidatedWebApp, validate};
use drover_core::workload::{App, build};
use drover_crds::{ObjectFailure, Owner, WebApp, WebAppSpec};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use super::apply::{self, Due, Standing};
use super::front::{Front, Look};
use crate::cluster::{Acting, ingress_class};
use crate::owned::{Carried, Parent};
use crate::rollout::{Workload, dereference, key};
use crate::settings::Settings;

/// Seconds that the pods of an app which falls asleep stay for until its front says so.
const TOLD_WITHIN: i64 = 60;

/// The Deployment of a WebApp, and what stands around it.
pub struct WebServer<'a> {
    /// Whose children these are, and what they are brought about with.
    pub parent: Parent<'a>,
    /// The same.
    pub app: &'a App,
    /// The time of this turn.
    pub now: &'a Time,
    /// What there is of the app's name.
    pub found: Found,
    /// With what it was sent last.
    pub due: Due,
    /// What administrators say that ingress controllers let through.
    pub allowances: &'a [Allowance],
    /// What is known of the way to it.
    pub way: Way,
    /// What administrators say of fronts.
    pub terms: &'a Terms,
    /// Who tells when Services change that its routes lead to.
    pub watched: &'a Settings,
    /// What is known of its front.
    pub front: Front,
    /// What its front says while it is asleep or wakes, and since when.
    pub away: Option<(Away, Option<Time>)>,
}

/// What is known of the way of requests to an app.
#[derive(Debug, Default)]
pub enum Way {
    /// It was not looked at in this turn.
    #[default]
    Unknown,
    /// What the app asks is let through.
    Open,
    /// It is not.
    Limited(Shortfall),
}

impl WebServer<'_> {
    /// How far it is with taking over what others made.
    fn phase(&self, found: &Found) -> Phase {
        found.phase(&self.owner().label(), &self.owner().field_manager(), self.now.0.as_second())
    }

    /// What an app of that spec keeps of what others made.
    fn kept(&self, spec: &WebAppSpec) -> Result<Kept, Refusal> {
        let own = build::own_selector(self.app);
        self.found.kept(&own, &spec.ports, &self.owner().field_manager(), self.phase(&self.found))
    }

    async fn send_in(&mut self, app: &ValidatedWebApp, due: Due) -> Result<Carried, Trouble> {
        let app = self.exposed(app).await?;
        let app = self.fronted(app).await?;
        let due = Due { front: self.front.standing(), ..due };
        Ok(apply::apply(self.parent, &app, &self.found, due).await?)
    }

    /// The app, whose front knows where the Services are that it leads to.
    async fn fronted<'v>(&mut self, app: Cow<'v, ValidatedWebApp>) -> Result<Cow<'v, ValidatedWebApp>, Trouble> {
        let Some(front) = &app.front else {
            self.front = Front::Absent;
            return Ok(app);
        };
        let look = Look { acting: self.acting(), watched: self.watched, owner: self.owner(), app: self.app };
        let (upstreams, unavailable, again) = look.upstreams(front, self.found.service.as_ref()).await?;
        let known = upstreams.is_some();
        let away = self.away.as_ref().map(|(away, _)| away.clone());
        let leading = front.leading(Upstreams { away, ..upstreams.unwrap_or_default() });
        let key = key("apps", "Deployment", &self.app.namespace, &self.app.front_name());
        let is_there = known && self.parent.owned.cluster.index().live(&key).is_some();
        let (standing, finding) = if !known {
            (Standing::Waits, None)
        } else if is_there {
            look.standing(&leading, self.now.0.as_second()).await?
        } else {
            (Standing::Starts, None)
        };
        let (sight, look) = match standing {
            Standing::Serves => look.sight(&leading, self.now.0.as_second()).await,
            _ => (Sight::Unknown, None),
        };
        let again = again.into_iter().chain(look).min();
        self.front = Front::Seen { standing, finding, unavailable, sight, again };
        let asleep = app.asleep && !(standing == Standing::Starts && self.stays_until_it_is_told());
        Ok(Cow::Owned(ValidatedWebApp { front: Some(leading), asleep, ..app.into_owned() }))
    }

    /// Whether the pods that there are stay although the app falls asleep: until its front says so, and not much longer where that does not
    /// start.
    fn stays_until_it_is_told(&self) -> bool {
        let Some((_, Some(since))) = &self.away else { return false };
        let replicas = self.found.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref()?.replicas);
        replicas.is_some_and(|count| count > 0) && self.now.0.as_second() - since.0.as_second() < TOLD_WITHIN
    }

    /// The app, whose Ingress tells its controller what is asked of that.
    async fn exposed<'v>(&mut self, app: &'v ValidatedWebApp) -> Result<Cow<'v, ValidatedWebApp>, Trouble> {
        if app.routes.is_empty() || app.limits.is_none() {
            self.way = Way::Open;
            return Ok(Cow::Borrowed(app));
        }
        let class = ingress_class(&self.parent.owned.cluster.client(), app.ingress_class.as_deref()).await?;
        let shortfall = app.limits.shortfall(&class, self.allowances);
        self.way = shortfall.map_or(Way::Open, Way::Limited);
        Ok(Cow::Owned(app.behind(&class)))
    }

    fn owner(&self) -> &Owner {
        self.parent.owned.owner
    }

    fn acting(&self) -> &Acting {
        self.parent.owned.acting
    }
}

impl Workload for WebServer<'_> {
    type Object = WebApp;
    type Spec = WebAppSpec;
    type Valid = ValidatedWebApp;

    /// The Deployment and the Service as they are, and whether the Ingress waits to be taken over.
    async fn look(&mut self) -> Result<(), Trouble> {
        let (acting, name) = (self.acting(), self.app.object_name());
        let (deployment, service) =
            tokio::try_join!(dereference::deployment(acting, self.app), dereference::service(acting, self.app, &name))?;
        let ingress = key("networking.k8s.io", "Ingress", &self.app.namespace, &self.app.object_name());
        let live = self.parent.owned.cluster.index().live(&ingress);
        let ingress_waits = live.is_some_and(|live| live.owner == self.owner().label() && live.fields == 0);
        let mut found = Found { deployment, service, ingress_waits, ..Found::default() };
        if self.phase(&found) == Phase::Beside {
            let selector = found.deployment.as_ref().and_then(|d| d.spec.as_ref()?.selector.match_labels.clone());
            let kept = Kept { pod_labels: selector.unwrap_or_default(), ..Kept::default() };
            found.pods = dereference::pods(self.acting(), self.app, &build::selector_text(self.app, &kept)).await?;
        }
        self.found = found;
        Ok(())
    }

    async fn look_again(&mut self) -> Result<(), Trouble> {
        self.found.deployment = dereference::deployment(self.acting(), self.app).await?;
        Ok(())
    }

    fn deployment(&self) -> Option<&Deployment> {
        self.found.deployment.as_ref()
    }

    fn validate(&self, spec: &WebAppSpec, facts: &Facts<'_>) -> Result<ValidatedWebApp, Trouble> {
        let kept = self.kept(spec)?;
        Ok(validate(self.app, spec, facts, self.terms, &kept)?)
    }

    fn away(&mut self, told: Option<(String, Option<Timestamp>)>, since: Option<&Time>) {
        let service = self.app.object_name();
        self.away = told.map(|(sentence, until)| (Away { service, sentence, until }, since.cloned()));
    }

    fn asleep(app: ValidatedWebApp) -> ValidatedWebApp {
        app.asleep()
    }

    fn pods(app: &ValidatedWebApp) -> &Pods {
        &app.pods
    }

    fn template(
        &self,
        spec: &WebAppSpec,
        facts: &Facts<'_>,
        new: &ValidatedWebApp,
    ) -> Result<PodTemplateSpec, Trouble> {
        Ok(build::pod_template(&validate(self.app, spec, facts, self.terms, &new.kept)?))
    }

    fn probation_seconds(app: &ValidatedWebApp) -> i64 {
        app.probation_seconds
    }

    fn selector(&self, spec: &WebAppSpec) -> Result<String, Trouble> {
        Ok(build::selector_text(self.app, &self.kept(spec)?))
    }

    fn selector_of(&self, app: &ValidatedWebApp) -> String {
        build::selector_text(self.app, &app.kept)
    }

    async fn refuse(&self, app: &ValidatedWebApp) -> Result<(), Trouble> {
        Ok(apply::refuse_taken_routes(self.acting(), self.owner(), app).await?)
    }

    fn job(app: &ValidatedWebApp, job: &ValidatedJob, name: &str, record: OwnerReference, day: Option<&str>) -> Job {
        build::release_job(app, job, name, record, day)
    }

    fn assets_job(app: &ValidatedWebApp, run: &MakeAssets<'_>, record: OwnerReference) -> Option<Job> {
        build::assets_job(app, run, record)
    }

    async fn is_told(&self) -> Result<bool, Trouble> {
        Ok(super::front::is_told(self.acting(), self.app).await?)
    }

    async fn prepare(&mut self, new: &ValidatedWebApp, serving: Option<&ValidatedWebApp>) -> Result<Carried, Trouble> {
        self.due = Due { phase: self.phase(&self.found), proven: true, front: Standing::Absent };
        let serving = match serving {
            Some(app) => {
                let app = self.exposed(app).await?;
                Some(self.fronted(app).await?)
            }
            None => None,
        };
        self.due.front = self.front.standing();
        Ok(apply::prepare(self.parent, new, serving.as_deref(), &self.found, self.due).await?)
    }

    async fn send(&mut self, app: &ValidatedWebApp, proven: bool) -> Result<Carried, Trouble> {
        self.due = Due { phase: self.phase(&self.found), proven, front: Standing::Absent };
        self.send_in(app, self.due).await
    }

    async fn settle(&mut self, app: &ValidatedWebApp, have_proven_themselves: bool) -> Result<bool, Trouble> {
        let Due { phase, proven, .. } = self.due;
        let leads = phase == Phase::Beside;
        let begins_jobs = !proven && app.pods.jobs.iter().any(|job| job.times.is_some());
        if have_proven_themselves && (leads || begins_jobs) {
            let phase = if leads { Phase::Settling } else { phase };
            self.send_in(app, Due { phase, proven: true, ..self.due }).await?;
        }
        Ok(phase == Phase::Done)
    }

    fn wars(&self) -> (Vec<ObjectFailure>, Option<Duration>) {
        self.parent.wars()
    }
}
