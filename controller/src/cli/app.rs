//! The kinds that run pods, as commands name them.

use std::fmt::Debug;

use drover_core::front::Terms;
use drover_core::worker;
use drover_core::workload::pods::{Facts, Pods};
use drover_core::workload::takeover::Kept;
use drover_core::workload::validate::validate;
use drover_core::workload::{self, Invalid, build};
use drover_crds::condition::HasHead;
use drover_crds::{
    AppSpec, COMPONENT_WEB, COMPONENT_WORKER, OwnerKind, PodSpec, QueueProcessor, QueueProcessorSpec, RolloutStatus,
    WebApp, WebAppSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::session::Session;
use super::{Error, annotate};

/// An object of a kind that runs pods.
pub trait App:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static
{
    /// Its kind.
    const KIND: OwnerKind;
    /// What its own pods are called among all of them.
    const COMPONENT: &'static str;

    /// Its spec, as the records of releases have it.
    type Spec: AppSpec + Serialize + DeserializeOwned;

    /// The pods of a release with that spec, and what selects them.
    fn pods(app: &workload::App, spec: &Self::Spec, facts: &Facts<'_>) -> Result<(Pods, LabelSelector), Invalid>;

    /// What it says of its pods.
    fn pod(&self) -> &PodSpec;

    /// What the controller says of it.
    fn conditions(&self) -> &[Condition];

    /// The same of its releases.
    fn rollout(&self) -> Option<&RolloutStatus>;
}

impl App for WebApp {
    const KIND: OwnerKind = OwnerKind::WebApp;
    const COMPONENT: &'static str = COMPONENT_WEB;

    type Spec = WebAppSpec;

    fn pods(app: &workload::App, spec: &WebAppSpec, facts: &Facts<'_>) -> Result<(Pods, LabelSelector), Invalid> {
        let valid = validate(app, spec, facts, &Terms::unknown(), &Kept::default())?;
        let selector = build::label_selector(&valid);
        Ok((valid.pods, selector))
    }

    fn pod(&self) -> &PodSpec {
        &self.spec.pod
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(HasHead::conditions).unwrap_or_default()
    }

    fn rollout(&self) -> Option<&RolloutStatus> {
        self.status.as_ref().map(|status| &status.rollout)
    }
}

impl App for QueueProcessor {
    const KIND: OwnerKind = OwnerKind::QueueProcessor;
    const COMPONENT: &'static str = COMPONENT_WORKER;

    type Spec = QueueProcessorSpec;

    fn pods(
        app: &workload::App,
        spec: &QueueProcessorSpec,
        facts: &Facts<'_>,
    ) -> Result<(Pods, LabelSelector), Invalid> {
        Ok((worker::validate(app, spec, facts)?.pods, worker::label_selector(app)))
    }

    fn pod(&self) -> &PodSpec {
        &self.spec.pod
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(HasHead::conditions).unwrap_or_default()
    }

    fn rollout(&self) -> Option<&RolloutStatus> {
        self.status.as_ref().map(|status| &status.rollout)
    }
}

/// Which of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppKind {
    /// A web server.
    WebApp,
    /// Workers.
    QueueProcessor,
}

/// What a person wrote: `NAME`, `webapp/NAME` or `queueprocessor/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName {
    kind: Option<AppKind>,
    /// Its name.
    pub name: String,
}

impl AppName {
    /// Reads it.
    pub fn read(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            None => (None, text),
            Some(("webapp" | "webapps" | "wa", name)) => (Some(AppKind::WebApp), name),
            Some(("queueprocessor" | "queueprocessors" | "qp", name)) => (Some(AppKind::QueueProcessor), name),
            Some((kind, _)) => {
                return Err(format!("`{kind}` runs no pods of an app: only a webapp and a queueprocessor do"));
            }
        };
        if name.is_empty() {
            return Err("write the name of a WebApp or a QueueProcessor".to_owned());
        }
        Ok(Self { kind, name: name.to_owned() })
    }

    /// Which kind it is: as it was written, else a WebApp where there is one of that name, else a QueueProcessor where there is one.
    pub async fn kind(&self, session: &Session) -> Result<AppKind, Error> {
        if let Some(kind) = self.kind {
            return Ok(kind);
        }
        let apps: Api<WebApp> = Api::namespaced(session.client(), session.namespace());
        let id = format!("{}/{}", session.namespace(), self.name);
        if session.ask(&format!("read WebApp {id}"), apps.get_metadata_opt(&self.name)).await?.is_some() {
            return Ok(AppKind::WebApp);
        }
        let processors: Api<QueueProcessor> = Api::namespaced(session.client(), session.namespace());
        // Where that kind cannot be asked for, what is not there is a WebApp.
        let found = session.ask(&format!("read QueueProcessor {id}"), processors.get_metadata_opt(&self.name)).await;
        match found {
            Ok(Some(_)) => Ok(AppKind::QueueProcessor),
            Ok(None) | Err(_) => Err(annotate::not_found(session, &apps, OwnerKind::WebApp, &self.name).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_say_its_kind() {
        let read = |text: &str| AppName::read(text).map(|app| (app.kind, app.name));
        assert_eq!(read("web"), Ok((None, "web".into())));
        assert_eq!(read("wa/web"), Ok((Some(AppKind::WebApp), "web".into())));
        assert_eq!(read("queueprocessor/reduce"), Ok((Some(AppKind::QueueProcessor), "reduce".into())));
        for wrong in ["database/db", "webapp/", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
