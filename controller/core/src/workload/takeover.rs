//! How an app takes over a Deployment and a Service of its name that others made. Pure.
//!
//! No request may be lost on the way, whatever the pods of before do when they are told to stop. So all new pods start beside the
//! old ones first; when they have passed their probation the Service, which leads to both until then, is led to the new ones alone;
//! and when every proxy knows that, the old ones stop. Where each step stands is read from the objects, so a process that dies
//! anywhere and starts again goes on from there. A Deployment's selector can never change: it is kept, and so are the Service's
//! ports, because somebody may use them.

use std::collections::BTreeMap;

use drover_crds::{self as crds, LABEL_OWNER};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, LabelSelector, ManagedFieldsEntry, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};

use crate::trouble::{Mend, Trouble};

/// Seconds until every proxy of the cluster knows that a Service has changed.
const SETTLED: i64 = 5;

/// The surge by which a Deployment is known that starts all new pods beside the old ones. No app's own has it.
pub const BESIDE: &str = "100%";

/// A port of the live Service that others made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPort {
    /// Its number.
    pub port: i32,
    /// Its name: its own, unless the app has a port of that name.
    pub name: String,
    /// The name of the app's port that it leads to.
    pub target: String,
}

/// What is kept of objects that were there before the app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The selector of the Deployment, where it is not the app's own.
    pub selector: Option<LabelSelector>,
    /// The labels that pods have for it.
    pub pod_labels: BTreeMap<String, String>,
    /// Ports of the Service.
    pub ports: Vec<KeptPort>,
    /// Old pods may not stop yet.
    pub beside: bool,
}

/// The objects of the app's name as they are.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The Deployment.
    pub deployment: Option<Deployment>,
    /// The Service.
    pub service: Option<Service>,
    /// Pods of the Deployment, where the Service still leads to those of before: only they say what their ports are called.
    pub pods: Vec<Pod>,
    /// Whether the Ingress was handed over, and nothing of it is applied yet.
    pub ingress_waits: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is taken over, or all is.
    Done,
    /// The Service still leads to the pods of before.
    Beside,
    /// The Service leads to the new pods, but not every proxy may know.
    Settling,
}

/// Why it would lose requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The Service is reached in a way that drover's is not.
    #[error(
        "Service {service} has the type {kind}, and drover's Services have ClusterIP, so whoever uses its address would lose it: give the WebApp another name, and keep that Service beside it"
    )]
    Type {
        /// The Service.
        service: String,
        /// Its type.
        kind: String,
    },
    /// A port of the Service leads nowhere in the new pods.
    #[error(
        "Service {service} leads its port {port} to the port {target} of its pods, which is none of the app's ports ({known}): add it to spec.ports, or remove that port from the Service"
    )]
    Port {
        /// The Service.
        service: String,
        /// Its port.
        port: i32,
        /// Where it leads.
        target: String,
        /// The app's ports.
        known: String,
    },
}

/// The Service may be changed, and nobody is told of what another owns.
impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::new("TakeOverRefused", refusal.to_string(), Mend::Person)
    }
}

/// Whether the object was handed over to the owner of that label and field manager, who has not applied anything of it yet.
pub fn waits(meta: &ObjectMeta, label: &str, manager: &str) -> bool {
    meta.labels.as_ref().and_then(|l| l.get(LABEL_OWNER)).is_some_and(|owner| owner == label)
        && own_entry(meta, manager).is_none()
}

fn own_entry<'a>(meta: &'a ObjectMeta, manager: &str) -> Option<&'a ManagedFieldsEntry> {
    meta.managed_fields.iter().flatten().find(|e| is_own(e, manager))
}

fn is_own(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some("Apply")
}

impl Found {
    /// Whether it shows that the object of that kind is handed over. One that was handed over after this was read is not to be sent
    /// yet: everything else was decided as if it were not there. Of other kinds nothing needs to be known.
    pub fn shows_waiting(&self, kind: &str, label: &str, manager: &str) -> bool {
        match kind {
            "Deployment" => self.deployment.as_ref().is_some_and(|d| waits(&d.metadata, label, manager)),
            "Service" => self.service.as_ref().is_some_and(|s| waits(&s.metadata, label, manager)),
            "Ingress" => self.ingress_waits,
            _ => true,
        }
    }

    /// How far the owner is with taking over; `now` is in seconds since 1970.
    pub fn phase(&self, label: &str, manager: &str, now: i64) -> Phase {
        let Some(service) = &self.service else { return Phase::Done };
        if waits(&service.metadata, label, manager) {
            return Phase::Beside;
        }
        let applied = own_entry(&service.metadata, manager).and_then(|entry| entry.time.as_ref());
        let is_settled = applied.is_none_or(|at| now - at.0.as_second() >= SETTLED);
        if (self.ingress_waits || self.has_pods_beside()) && !is_settled { Phase::Settling } else { Phase::Done }
    }

    fn has_pods_beside(&self) -> bool {
        let strategy =
            self.deployment.as_ref().and_then(|d| d.spec.as_ref()?.strategy.as_ref()?.rolling_update.as_ref());
        strategy.is_some_and(|s| s.max_surge == Some(IntOrString::String(BESIDE.to_owned())))
    }

    /// What an app with these ports, whose own selector is `own`, keeps of them.
    pub fn kept(
        &self,
        own: &BTreeMap<String, String>,
        ports: &[crds::Port],
        manager: &str,
        phase: Phase,
    ) -> Result<Kept, Refusal> {
        let selector = (self.deployment.as_ref().and_then(|d| d.spec.as_ref()).map(|s| &s.selector))
            .filter(|s| s.match_labels.as_ref() != Some(own) || s.match_expressions.is_some());
        let ports = match &self.service {
            Some(service) => self.kept_ports(service, ports, manager, phase)?,
            None => Vec::new(),
        };
        Ok(Kept {
            selector: selector.cloned(),
            pod_labels: selector.map(|s| self.labels_for(s)).unwrap_or_default(),
            ports,
            beside: phase != Phase::Done,
        })
    }

    /// The labels by which pods are found that the selector asks for; those of an expression are the ones that pods have.
    fn labels_for(&self, selector: &LabelSelector) -> BTreeMap<String, String> {
        let mut labels = selector.match_labels.clone().unwrap_or_default();
        let template =
            self.deployment.as_ref().and_then(|d| d.spec.as_ref()?.template.metadata.as_ref()?.labels.as_ref());
        for asked in selector.match_expressions.iter().flatten() {
            if let Some(value) = template.and_then(|labels| labels.get(&asked.key)) {
                labels.insert(asked.key.clone(), value.clone());
            }
        }
        labels
    }

    fn kept_ports(
        &self,
        service: &Service,
        ports: &[crds::Port],
        manager: &str,
        phase: Phase,
    ) -> Result<Vec<KeptPort>, Refusal> {
        let spec = service.spec.clone().unwrap_or_default();
        let name = || {
            let ObjectMeta { namespace, name, .. } = &service.metadata;
            format!("{}/{}", namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
        };
        let kind = spec.type_.unwrap_or_else(|| "ClusterIP".to_owned());
        // What was begun is brought to its end.
        let begun = self.deployment.as_ref().is_some_and(|d| own_entry(&d.metadata, manager).is_some());
        let is_new = phase == Phase::Beside && !begun;
        if is_new && kind != "ClusterIP" {
            return Err(Refusal::Type { service: name(), kind });
        }
        let mut kept = Vec::new();
        for port in spec.ports.iter().flatten() {
            let target = self.target(port, ports);
            if target.is_none() && is_new {
                let known: Vec<String> = ports.iter().map(|p| p.port.to_string()).collect();
                let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
                let target = match target {
                    IntOrString::Int(number) => number.to_string(),
                    IntOrString::String(name) => name,
                };
                return Err(Refusal::Port { service: name(), port: port.port, target, known: known.join(", ") });
            }
            if ports.iter().any(|own| own.port == port.port) || !is_held_by_others(service, port, manager) {
                continue;
            }
            // Where the port that it led to is gone from the spec, it leads where people are answered.
            let main = || ports.iter().find(|p| !p.is_metrics()).map(|p| p.name.clone());
            let Some(target) = target.or_else(main) else { continue };
            let own_name = port.name.clone().filter(|name| ports.iter().all(|own| own.name != *name));
            let name = own_name.unwrap_or_else(|| format!("port-{}", port.port));
            kept.push(KeptPort { port: port.port, name, target });
        }
        Ok(kept)
    }

    /// The app's port that a port of the Service leads to, by its number or by the name that the pods of before have for it.
    fn target(&self, port: &ServicePort, ports: &[crds::Port]) -> Option<String> {
        if port.protocol.as_deref().is_some_and(|protocol| protocol != "TCP") {
            return None;
        }
        let numbered = |number: i32| ports.iter().find(|p| p.port == number).map(|p| p.name.clone());
        match port.target_port.clone().unwrap_or(IntOrString::Int(port.port)) {
            IntOrString::Int(number) => numbered(number),
            IntOrString::String(name) => {
                let template = self.deployment.as_ref().and_then(|d| d.spec.as_ref()?.template.spec.as_ref());
                let pods = self.pods.iter().filter_map(|pod| pod.spec.as_ref()).chain(template);
                let mut live = pods.flat_map(|pod| &pod.containers).flat_map(|c| c.ports.iter().flatten());
                let number = live.find(|p| p.name.as_deref() == Some(&name)).map(|p| p.container_port);
                number.and_then(numbered).or_else(|| ports.iter().find(|p| p.name == name).map(|p| p.name.clone()))
            }
        }
    }
}

fn is_held_by_others(service: &Service, port: &ServicePort, manager: &str) -> bool {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let is_it = |key: &str| {
        let key = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok());
        key.is_some_and(|key| key["port"] == port.port && key["protocol"].as_str().is_none_or(|p| p == protocol))
    };
    let others = service.metadata.managed_fields.iter().flatten().filter(|entry| !is_own(entry, manager));
    let fields = others.filter_map(|entry| entry.fields_v1.as_ref()?.0.pointer("/f:spec/f:ports")?.as_object());
    fields.flat_map(Map::keys).any(|key| is_it(key))
}

/// Who manages what of a Deployment that is handed over to `manager`: all of the spec is now his, so that what he does not apply
/// goes, such as a container of another name. Labels of pods stay with whoever set them, because Services may go by them, and so does
/// the number of replicas, which may be an autoscaler's.
pub fn handed_over(entries: &[ManagedFieldsEntry], manager: &str) -> Vec<ManagedFieldsEntry> {
    let mut left = Vec::new();
    let mut taken = Map::new();
    let mut api_version = None;
    for entry in entries {
        let mut entry = entry.clone();
        let fields = entry.fields_v1.as_mut().and_then(|fields| fields.0.as_object_mut());
        let spec = fields.filter(|_| entry.subresource.as_deref().unwrap_or_default().is_empty()).and_then(|fields| {
            let mut spec = fields.remove("f:spec")?;
            let labels = spec.pointer_mut("/f:template/f:metadata").and_then(|m| m.as_object_mut()?.remove("f:labels"));
            let labels = labels.map(|labels| ("f:template".into(), json!({"f:metadata": {"f:labels": labels}})));
            let replicas = spec.as_object_mut().and_then(|spec| spec.remove("f:replicas"));
            let stays: Map<String, Value> =
                labels.into_iter().chain(replicas.map(|r| ("f:replicas".into(), r))).collect();
            if !stays.is_empty() {
                fields.insert("f:spec".into(), Value::Object(stays));
            }
            Some(spec)
        });
        if let Some(spec) = spec {
            merge(&mut taken, Map::from_iter([("f:spec".to_owned(), spec)]));
            api_version.clone_from(&entry.api_version);
        }
        if entry.fields_v1.as_ref().is_none_or(|fields| fields.0.as_object().is_none_or(|fields| !fields.is_empty())) {
            left.push(entry);
        }
    }
    left.push(ManagedFieldsEntry {
        api_version,
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(Value::Object(taken))),
        manager: Some(manager.to_owned()),
        operation: Some("Apply".to_owned()),
        ..Default::default()
    });
    left
}

fn merge(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(more)) => merge(into, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests;
