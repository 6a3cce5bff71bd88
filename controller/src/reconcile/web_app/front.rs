//! The front of an app: where the Services are that it leads to, and whether it serves.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_core::front::{ServicePort, Sight as Seen, Unreachable, Upstreams, address, reach};
use drover_core::health::{Finding, Patience, diagnose, replica_failure};
use drover_core::workload::validate::ValidatedFront;
use drover_core::workload::{App, build};
use drover_crds::condition::{self, Outcome};
use drover_crds::{ANNOTATION_CONFIGURATION, Owner, WebAppStatus};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, LogParams};
use kube::core::Resource as _;

use super::apply::Standing;
use crate::cluster::{Acting, ApiError, Sight};
use crate::driver::Next;
use crate::rollout::dereference;
use crate::settings::{self, Settings, UNSEEN, Watched};

/// How often a front is looked at that does not serve yet.
const STARTING: Duration = Duration::from_secs(10);

/// How often it is asked whether a front sees who asks it, while that is not known: often while somebody is trying it out, then seldom.
const SOON: Duration = Duration::from_secs(20);
const SELDOM: Duration = Duration::from_mins(10);
/// For how many seconds a front is new.
const NEW: i64 = 1800;

/// What a turn came to know of a front.
#[derive(Debug, Default)]
pub enum Front {
    /// It was not looked at.
    #[default]
    Unknown,
    /// The app has none.
    Absent,
    /// It was looked at.
    Seen {
        /// How far it is.
        standing: Standing,
        /// What is wrong with its pods.
        finding: Option<Finding>,
        /// Routes that lead nowhere, and why.
        unavailable: Vec<(String, Unreachable)>,
        /// Whether it sees who asks.
        sight: Seen,
        /// When to look again all the same, where changes are not told.
        again: Option<Duration>,
    },
}

impl Front {
    /// How far it is.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Unknown | Self::Absent => Standing::Absent,
            Self::Seen { standing, .. } => *standing,
        }
    }

    /// Writes down which routes lead nowhere, and whether it sees who asks.
    pub fn note(&self, status: &mut WebAppStatus, generation: Option<i64>, now: &Time) {
        let (unavailable, sight) = match self {
            Self::Unknown => return,
            Self::Absent => (&[][..], Seen::Unasked),
            Self::Seen { unavailable, sight, .. } => (&**unavailable, *sight),
        };
        match (sight, sight.sentence()) {
            (Seen::Unknown, _) => {}
            (_, None) => condition::clear(&mut status.conditions, condition::ADDRESSES_HIDDEN),
            (_, Some(said)) => {
                let (name, reason) = (condition::ADDRESSES_HIDDEN, "OnlyProxiesSeen");
                condition::set(&mut status.conditions, name, "True", reason, &said, generation, now);
            }
        }
        let Some((_, first)) = unavailable.first() else {
            return condition::clear(&mut status.conditions, condition::ROUTES_UNAVAILABLE);
        };
        let sentence = |(route, why): &(String, Unreachable)| format!("{route} answers 503, because {why}");
        let sentences: Vec<String> = unavailable.iter().map(sentence).collect();
        let (name, reason) = (condition::ROUTES_UNAVAILABLE, first.reason());
        condition::set(&mut status.conditions, name, "True", reason, &sentences.join("; "), generation, now);
    }

    /// What the app came to, whose requests go through it.
    pub fn judge(&self, outcome: Outcome, next: Next) -> (Outcome, Next) {
        let Self::Seen { standing, finding, again, .. } = self else { return (outcome, next) };
        let next = again.map_or(next, |again| next.sooner(again));
        if *standing == Standing::Serves || !matches!(outcome, Outcome::Ready { .. }) {
            return (outcome, next);
        }
        let outcome = match finding {
            Some(Finding { reason, message, definite, .. }) => {
                let (reason, message) = (reason.clone(), format!("The app runs, and its front does not: {message}"));
                if *definite { Outcome::Failed { reason, message } } else { Outcome::InProgress { reason, message } }
            }
            None => Outcome::InProgress {
                reason: "FrontStarting".to_owned(),
                message: "The app runs, and its front is starting".to_owned(),
            },
        };
        (outcome, next.sooner(STARTING))
    }
}

/// What is looked at, as whom, and for whom.
pub struct Look<'a> {
    /// The namespace's account.
    pub acting: &'a Acting,
    /// Who tells when Services change.
    pub watched: &'a Settings,
    /// Who is told.
    pub owner: &'a Owner,
    /// The same.
    pub app: &'a App,
}

/// Where a front leads, `None` until the app's own Service has an address; which routes lead nowhere; and when to look again where nobody
/// tells of changes.
type Found = (Option<Upstreams>, Vec<(String, Unreachable)>, Option<Duration>);

impl Look<'_> {
    /// Finds where the Services are that `front` leads to; `own` is the app's.
    pub async fn upstreams(&self, front: &ValidatedFront, own: Option<&Service>) -> Result<Found, ApiError> {
        let Some(own) = own else { return Ok((None, Vec::new(), None)) };
        let (own_name, own_address) = (self.app.object_name(), address(own));
        let (mut addresses, mut unavailable, mut again) = (BTreeMap::new(), Vec::new(), None);
        let mut others: BTreeMap<&str, Option<Service>> = BTreeMap::new();
        for wanted in front.front.services() {
            let ServicePort { service, port } = wanted;
            let found = if *service == own_name {
                // Its ports are on their way with the Service itself.
                own_address.zip(u16::try_from(*port).ok()).map_or_else(|| reach(Some(own), wanted), |at| Ok(at.into()))
            } else {
                if !others.contains_key(service.as_str()) {
                    self.watched
                        .interest()
                        .wait(self.owner, &settings::key(Watched::Service, &self.app.namespace, service));
                    if self.watched.ensure(self.acting, &self.app.namespace, Watched::Service) == Sight::Blind {
                        again = Some(UNSEEN);
                    }
                    others.insert(service, dereference::service(self.acting, self.app, service).await?);
                }
                reach(others[service.as_str()].as_ref(), wanted)
            };
            match found {
                Ok(address) => drop(addresses.insert(wanted.clone(), address)),
                Err(why) => {
                    unavailable.extend(front.front.routes_to(wanted).into_iter().map(|route| (route, why.clone())));
                }
            }
        }
        for (route, data_sync) in front.front.routes_to_files(&front.upstreams.absent) {
            unavailable.push((route, Unreachable::Unpublished { data_sync }));
        }
        unavailable.sort_by(|(one, _), (other, _)| one.cmp(other));
        unavailable.dedup();
        let ipv6 = own_address.or_else(|| addresses.values().next().map(std::net::SocketAddr::ip));
        let upstreams =
            Upstreams { ipv6: ipv6.is_some_and(|address| address.is_ipv6()), addresses, ..Upstreams::default() };
        Ok((Some(upstreams), unavailable, again))
    }

    /// Whether the front, which serves, sees who asks, and when to look again.
    pub async fn sight(&self, front: &ValidatedFront, now: i64) -> (Seen, Option<Duration>) {
        if !front.front.judges_addresses() {
            return (Seen::Unasked, None);
        }
        let pods = match dereference::pods(self.acting, self.app, &build::front_selector(self.app)).await {
            Ok(pods) => pods,
            Err(error) => {
                tracing::debug!(owner = %self.owner, %error, "cannot look whether a front sees who asks");
                return (Seen::Unknown, Some(SELDOM));
            }
        };
        let (api, mut sight): (Api<Pod>, Seen) =
            (Api::namespaced(self.acting.client(), &self.app.namespace), Seen::Unknown);
        for pod in pods.iter().filter_map(|pod| pod.meta().name.as_deref()) {
            let params = LogParams { tail_lines: Some(2000), limit_bytes: Some(128 * 1024), ..LogParams::default() };
            // The log of a container that has not begun is no failure worth telling.
            let log = api.logs(pod, &params).await.unwrap_or_default();
            sight = sight.and(Seen::of(&log));
        }
        let born =
            pods.iter().filter_map(|pod| pod.meta().creation_timestamp.as_ref()).map(|at| at.0.as_second()).max();
        let is_new = born.is_some_and(|born| now - born < NEW);
        let again = (sight != Seen::Known).then_some(if is_new { SOON } else { SELDOM });
        (sight, again)
    }

    /// Whether the front serves as it is told in `front`, and else what is wrong with its pods.
    pub async fn standing(&self, front: &ValidatedFront, now: i64) -> Result<(Standing, Option<Finding>), ApiError> {
        let deployment = dereference::front(self.acting, self.app).await?;
        let Some(deployment) = deployment else { return Ok((Standing::Starts, None)) };
        if serves(&deployment, &build::configuration_hash(front)) {
            return Ok((Standing::Serves, None));
        }
        let pods = dereference::pods(self.acting, self.app, &build::front_selector(self.app)).await?;
        let found = diagnose(&pods, now, Patience::default());
        let found = found.or_else(|| replica_failure(&serde_json::to_value(&deployment).ok()?));
        Ok((Standing::Starts, found))
    }
}

/// Whether the front of an app serves as it was told last; where there is none, nobody waits for it.
pub async fn is_told(acting: &Acting, app: &App) -> Result<bool, ApiError> {
    let deployment = dereference::front(acting, app).await?;
    Ok(deployment.is_none_or(|deployment| is_rolled_out(&deployment)))
}

/// Whether all pods of that Deployment are told what `hash` stands for, and serve.
fn serves(deployment: &Deployment, hash: &str) -> bool {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.as_ref());
    let told = annotations.and_then(|annotations| annotations.get(ANNOTATION_CONFIGURATION));
    told.is_some_and(|told| told == hash) && is_rolled_out(deployment)
}

/// Whether all pods of that Deployment are as it says, and serve.
fn is_rolled_out(deployment: &Deployment) -> bool {
    let Some((spec, status)) = deployment.spec.as_ref().zip(deployment.status.as_ref()) else { return false };
    let replicas = spec.replicas.unwrap_or(1);
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) >= replicas
        && status.available_replicas.unwrap_or(0) >= replicas
        && status.replicas.unwrap_or(0) <= replicas
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(hash: &str, change: &[(&str, Value)]) -> Deployment {
        let mut status = json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
        for (field, value) in change {
            status[field] = value.clone();
        }
        let annotations = json!({ANNOTATION_CONFIGURATION: hash});
        let deployment = json!({
            "metadata": {"generation": 3},
            "spec": {"replicas": 1, "selector": {}, "template": {"metadata": {"annotations": annotations}}},
            "status": status,
        });
        serde_json::from_value(deployment).expect("a Deployment")
    }

    #[test]
    fn a_front_serves_when_all_its_pods_are_told_what_it_is_told() {
        assert!(serves(&deployment("a", &[]), "a"));
        assert!(!serves(&deployment("b", &[]), "a"), "it is told something else");
        for (field, value) in
            [("observedGeneration", 2), ("updatedReplicas", 0), ("availableReplicas", 0), ("replicas", 2)]
        {
            assert!(!serves(&deployment("a", &[(field, json!(value))]), "a"), "{field} {value}");
        }
        assert!(!serves(&Deployment::default(), "a"));
    }

    #[test]
    fn an_app_is_ready_only_when_its_front_serves() {
        let ready = || Outcome::Ready { reason: "Live".into(), message: "Release 1 is live".into() };
        let finding = |definite| Finding {
            reason: "ImagePullBackOff".into(),
            message: "the node cannot pull it: correct it".into(),
            pod: None,
            container: None,
            definite,
        };
        let seen = |standing, finding| {
            let (unavailable, sight) = (Vec::new(), Seen::Unasked);
            Front::Seen { standing, finding, unavailable, sight, again: None }
        };
        assert_eq!(Front::Absent.judge(ready(), Next::Await), (ready(), Next::Await));
        assert_eq!(seen(Standing::Serves, None).judge(ready(), Next::Await), (ready(), Next::Await));
        let (outcome, next) = seen(Standing::Starts, None).judge(ready(), Next::Await);
        assert!(matches!(outcome, Outcome::InProgress { reason, .. } if reason == "FrontStarting"));
        assert_eq!(next, Next::After(STARTING));
        let (outcome, _) = seen(Standing::Starts, Some(finding(true))).judge(ready(), Next::Await);
        assert!(
            matches!(outcome, Outcome::Failed { reason, message } if reason == "ImagePullBackOff" && message.contains("its front does not"))
        );
        let (outcome, _) = seen(Standing::Starts, Some(finding(false))).judge(ready(), Next::Await);
        assert!(matches!(outcome, Outcome::InProgress { .. }));
        // What hinders the app itself is told first.
        let failed = Outcome::Failed { reason: "OOMKilled".into(), message: String::new() };
        assert_eq!(seen(Standing::Starts, None).judge(failed.clone(), Next::Retry), (failed, Next::Retry));
    }

    #[test]
    fn routes_that_lead_nowhere_are_said_and_taken_back() {
        let (mut status, now) = (WebAppStatus::default(), Time(a_time()));
        let why = Unreachable::Missing { service: "tree".into() };
        let front = |unavailable, sight| {
            let standing = Standing::Serves;
            Front::Seen { standing, finding: None, unavailable, sight, again: None }
        };
        let seen = |unavailable| front(unavailable, Seen::Unasked);
        seen(vec![("a.test/".to_owned(), why.clone()), ("b.test/x".to_owned(), why)]).note(&mut status, None, &now);
        let said = condition::get(&status.conditions, condition::ROUTES_UNAVAILABLE).expect("a condition");
        assert_eq!((said.status.as_str(), said.reason.as_str()), ("True", "ServiceMissing"));
        assert!(said.message.contains("a.test/ answers 503, because there is no Service tree"), "{}", said.message);
        Front::Unknown.note(&mut status, None, &now);
        assert_eq!(status.conditions.len(), 1, "nothing is known, and nothing changes");
        seen(Vec::new()).note(&mut status, None, &now);
        assert_eq!(status.conditions, []);

        let said = |status: &WebAppStatus| condition::get(&status.conditions, condition::ADDRESSES_HIDDEN).is_some();
        let proxy = "10.244.0.1".parse().expect("an address");
        front(Vec::new(), Seen::Hidden(proxy)).note(&mut status, None, &now);
        assert!(said(&status), "{status:?}");
        front(Vec::new(), Seen::Unknown).note(&mut status, None, &now);
        assert!(said(&status), "a front that was just started has seen nobody yet");
        front(Vec::new(), Seen::Known).note(&mut status, None, &now);
        assert!(!said(&status), "{status:?}");
    }

    fn a_time() -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_700_000_000).expect("a time")
    }
}
