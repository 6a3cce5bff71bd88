//! The Ingress: one per app, all its hosts and paths.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::metadata;
use crate::workload::validate::{ValidatedRoute, ValidatedWebApp};

pub fn ingress(app: &ValidatedWebApp) -> Option<Ingress> {
    if app.routes.is_empty() {
        return None;
    }
    let mut rules: Vec<IngressRule> = Vec::new();
    for route in &app.routes {
        let known = rules.iter_mut().find(|r| r.host.as_deref() == Some(&route.host)).and_then(|r| r.http.as_mut());
        match known {
            Some(http) => http.paths.push(path(route)),
            None => rules.push(IngressRule {
                host: Some(route.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path(route)] }),
            }),
        }
    }
    let tls: Vec<IngressTLS> = (app.tls.iter())
        .map(|t| IngressTLS { hosts: Some(t.hosts.clone()), secret_name: Some(t.secret.clone()) })
        .collect();
    let mut meta = metadata::child(&app.pods.app, app.pods.app.object_name());
    if !app.ingress_annotations.is_empty() {
        meta.annotations = Some(app.ingress_annotations.clone());
    }
    Some(Ingress {
        metadata: meta,
        spec: Some(IngressSpec {
            ingress_class_name: app.ingress_class.clone(),
            rules: Some(rules),
            tls: (!tls.is_empty()).then_some(tls),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn path(route: &ValidatedRoute) -> HTTPIngressPath {
    HTTPIngressPath {
        path: Some(route.path.clone()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(IngressServiceBackend {
                name: route.service.clone(),
                port: Some(ServiceBackendPort { number: Some(route.port), name: None }),
            }),
            resource: None,
        },
    }
}
