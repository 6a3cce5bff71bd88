use super::*;
use rstest::rstest;
use serde_json::json;

const LABEL: &str = "app.shop.shop";
const MANAGER: &str = "drover-app.shop.shop";

fn ports() -> Vec<crds::Port> {
    let port = |name: &str, port, metrics| crds::Port { name: name.into(), port, metrics };
    vec![port("metrics", 9090, Some(true)), port("http", 8080, None)]
}

fn own() -> BTreeMap<String, String> {
    [(crds::LABEL_NAME, "shop"), (crds::LABEL_COMPONENT, "web")].map(|(k, v)| (k.into(), v.into())).into()
}

/// A Deployment as `kubectl apply` makes it.
fn deployment(selector: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "shop", "labels": {LABEL_OWNER: LABEL}},
        "spec": {
            "selector": selector,
            "template": {
                "metadata": {"labels": {"app": "shop", "tier": "front"}},
                "spec": {"containers": [{"name": "shop", "ports": [{"name": "web", "containerPort": 8080}]}]},
            },
        },
    }))
    .expect("a Deployment")
}

/// A Service with these ports, all made by kubectl; `applied` is when drover applied it.
fn service(ports: &Value, applied: Option<i64>) -> Service {
    let held: Map<String, Value> = ports
        .as_array()
        .expect("a list")
        .iter()
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            (format!("k:{{\"port\":{},\"protocol\":\"{protocol}\"}}", port["port"]), json!({".": {}}))
        })
        .collect();
    let mut managers = vec![
        json!({"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {"f:ports": held}}}),
    ];
    managers.extend(applied.map(|at| {
        let time = jiff::Timestamp::from_second(at).expect("a time").to_string();
        json!({"manager": MANAGER, "operation": "Apply", "time": time, "fieldsV1": {"f:spec": {"f:ports": {"k:{\"port\":8080,\"protocol\":\"TCP\"}": {}}}}})
    }));
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "shop", "labels": {LABEL_OWNER: LABEL}, "managedFields": managers},
        "spec": {"type": "ClusterIP", "ports": ports},
    }))
    .expect("a Service")
}

fn found(ports: &Value, applied: Option<i64>) -> Found {
    let deployment = deployment(&json!({"matchLabels": {"app": "shop"}}));
    Found { deployment: Some(deployment), service: Some(service(ports, applied)), ..Found::default() }
}

fn kept(found: &Found, phase: Phase) -> Result<Kept, Refusal> {
    found.kept(&own(), &ports(), MANAGER, phase)
}

#[test]
fn what_is_handed_over_after_it_was_read_is_read_again() {
    let mut found = found(&json!([]), None);
    let shows = |found: &Found, kind| found.shows_waiting(kind, LABEL, MANAGER);
    assert_eq!(
        ["Deployment", "Service", "Ingress", "NetworkPolicy"].map(|k| shows(&found, k)),
        [true, true, false, true]
    );
    for meta in
        [&mut found.deployment.as_mut().expect("one").metadata, &mut found.service.as_mut().expect("one").metadata]
    {
        meta.labels = None;
    }
    assert_eq!(["Deployment", "Service"].map(|k| shows(&found, k)), [false, false]);
    assert_eq!(["Deployment", "Service"].map(|k| shows(&Found::default(), k)), [false, false]);
}

#[test]
fn a_selector_is_kept_with_the_labels_that_pods_need_for_it() {
    let of = |selector: Value| {
        let found = Found { deployment: Some(deployment(&selector)), ..Found::default() };
        let kept = kept(&found, Phase::Done).expect("no refusal");
        (kept.selector.is_some(), kept.pod_labels.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>())
    };
    assert_eq!(of(json!({"matchLabels": {"app": "shop"}})), (true, vec!["app=shop".to_owned()]));
    let by_expression =
        json!({"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]});
    assert_eq!(of(by_expression), (true, vec!["app=shop".to_owned(), "tier=front".to_owned()]));
    // Its own is nothing to keep.
    assert_eq!(of(json!({"matchLabels": own()})), (false, vec![]));
    assert_eq!(kept(&Found::default(), Phase::Done), Ok(Kept::default()));
}

#[rstest]
#[case::of_the_same_name(json!([{"name": "http", "port": 80, "targetPort": 8080}]), "port-80")]
#[case::without_a_name(json!([{"port": 80, "targetPort": 8080}]), "port-80")]
#[case::by_the_name_that_old_pods_have(json!([{"name": "www", "port": 80, "targetPort": "web"}]), "www")]
fn a_port_that_others_made_stays_and_leads_to_the_app(#[case] ports: Value, #[case] name: &str) {
    let wanted = vec![KeptPort { port: 80, name: name.to_owned(), target: "http".to_owned() }];
    let mut found = found(&ports, None);
    assert_eq!(kept(&found, Phase::Beside).expect("no refusal").ports, wanted);
    // As it is afterwards: the same again, or it would be changed at every look.
    let live =
        json!([{"name": name, "port": 80, "targetPort": "http"}, {"name": "http", "port": 8080, "targetPort": "http"}]);
    found.service = Some(service(&live, Some(0)));
    assert_eq!(kept(&found, Phase::Done).expect("no refusal").ports, wanted);
}

#[test]
fn what_old_pods_call_their_ports_is_asked_of_them_once_the_template_is_another() {
    let mut found = found(&json!([{"name": "http", "port": 80, "targetPort": "web"}]), None);
    let template = found.deployment.as_mut().and_then(|d| d.spec.as_mut()).expect("a spec");
    let old = Pod { spec: template.template.spec.take(), ..Pod::default() };
    found.pods = vec![old];
    let kept = kept(&found, Phase::Beside).expect("no refusal");
    assert_eq!(kept.ports, [KeptPort { port: 80, name: "port-80".into(), target: "http".into() }]);
}

#[test]
fn a_port_that_only_drover_made_goes_with_the_spec() {
    let mut found = found(&json!([{"name": "http", "port": 8080}]), Some(0));
    let managers = found.service.as_mut().and_then(|s| s.metadata.managed_fields.as_mut()).expect("managers");
    managers.remove(0);
    let none = found.kept(&own(), &[], MANAGER, Phase::Done).expect("no refusal").ports;
    assert_eq!(none, []);
}

#[test]
fn what_would_lose_requests_is_refused_before_anything_is_sent() {
    let said = |found: &Found| kept(found, Phase::Beside).expect_err("a refusal").to_string();
    assert_eq!(
        said(&found(&json!([{"port": 80, "targetPort": 8000}]), None)),
        "Service shop/shop leads its port 80 to the port 8000 of its pods, which is none of the app's ports (9090, 8080): add it to spec.ports, or remove that port from the Service"
    );
    let mut balancer = found(&json!([{"port": 80, "targetPort": 8080}]), None);
    balancer.service.as_mut().and_then(|s| s.spec.as_mut()).expect("a spec").type_ = Some("LoadBalancer".into());
    assert!(said(&balancer).contains("has the type LoadBalancer"));
    // What was begun, and what was taken over long ago, is no reason to stop.
    let managers = vec![ManagedFieldsEntry {
        manager: Some(MANAGER.into()),
        operation: Some("Apply".into()),
        ..Default::default()
    }];
    let mut begun = balancer.clone();
    begun.deployment.as_mut().expect("a Deployment").metadata.managed_fields = Some(managers);
    assert!(kept(&begun, Phase::Beside).is_ok());
    assert!(kept(&balancer, Phase::Done).is_ok());
}

#[test]
fn old_pods_stop_when_every_proxy_knows_the_new_ones() {
    let phase = |found: &Found, now| found.phase(LABEL, MANAGER, now);
    let port = || json!([{"port": 80, "targetPort": 8080}]);
    assert_eq!(phase(&found(&port(), None), 100), Phase::Beside);
    let mut settling = found(&port(), Some(100));
    assert_eq!(phase(&settling, 101), Phase::Done, "nothing was taken over");
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": BESIDE, "maxUnavailable": 0}});
    settling.deployment.as_mut().and_then(|d| d.spec.as_mut()).expect("a spec").strategy =
        serde_json::from_value(strategy).expect("a strategy");
    assert_eq!((phase(&settling, 104), phase(&settling, 105)), (Phase::Settling, Phase::Done));
    let ingress = Found { ingress_waits: true, ..found(&port(), Some(100)) };
    assert_eq!((phase(&ingress, 104), phase(&ingress, 105)), (Phase::Settling, Phase::Done));
    // Another's Service is not looked at, and none at all is no reason to wait.
    let mut theirs = found(&port(), None);
    theirs.service.as_mut().expect("a Service").metadata.labels = None;
    assert_eq!((phase(&theirs, 100), phase(&Found::default(), 100)), (Phase::Done, Phase::Done));
}

#[test]
fn the_spec_of_a_deployment_is_handed_over_and_neither_the_labels_of_pods_nor_their_number() {
    let entry = |manager: &str, operation: &str, subresource: &str, fields: Value| {
        serde_json::from_value::<ManagedFieldsEntry>(
            json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields, "subresource": subresource}),
        )
        .expect("an entry")
    };
    let kubectl = entry(
        "kubectl-client-side-apply",
        "Update",
        "",
        json!({
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"shop\"}": {".": {}, "f:image": {}}}}}},
        }),
    );
    let edit = entry(
        "kubectl-edit",
        "Update",
        "",
        json!({
            "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"shop\"}": {"f:env": {}}}}}},
        }),
    );
    let status = entry("kube-controller-manager", "Update", "status", json!({"f:status": {"f:replicas": {}}}));
    let entries = handed_over(&[kubectl, edit, status.clone()], MANAGER);
    let fields = |at: usize| entries[at].fields_v1.as_ref().expect("fields").0.clone();
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert_eq!(
        fields(0),
        json!({
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}}}},
        })
    );
    assert_eq!(entries[1], status);
    assert_eq!((entries[2].manager.as_deref(), entries[2].operation.as_deref()), (Some(MANAGER), Some("Apply")));
    assert_eq!(entries[2].api_version.as_deref(), Some("apps/v1"));
    assert_eq!(
        fields(2),
        json!({"f:spec": {
            "f:template": {"f:metadata": {}, "f:spec": {"f:containers": {"k:{\"name\":\"shop\"}": {".": {}, "f:image": {}, "f:env": {}}}}},
        }})
    );
    // Who finds it so knows that it was handed over.
    let meta = ObjectMeta { labels: Some([(LABEL_OWNER.to_owned(), LABEL.to_owned())].into()), ..Default::default() };
    assert!(waits(&meta, LABEL, MANAGER) && !waits(&meta, "app.shop.other", MANAGER));
    assert!(!waits(&ObjectMeta { managed_fields: Some(entries), ..meta }, LABEL, MANAGER));
}
