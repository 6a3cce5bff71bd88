use std::collections::{BTreeMap, BTreeSet};

use drover_crds::{OwnerKind, QueueProcessorSpec};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::render::Object;
use crate::workload::pods::{AssetSets, Copies, Facts, Image, ImageUser, PodRelease, Settings, Shrinking};
use crate::workload::{App, Invalid};

fn app(name: &str) -> App {
    App { kind: OwnerKind::QueueProcessor, namespace: "shop".into(), name: name.into(), uid: None }
}

fn valid(name: &str, spec: &Value) -> Result<ValidatedWorkers, Invalid> {
    let mut all = json!({"image": "worker:1"});
    all.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    let spec: QueueProcessorSpec = serde_json::from_value(all).expect("a spec");
    let facts = Facts {
        image: &Image { reference: "worker:1".into(), user: ImageUser::Unknown, origin: None },
        pods: &PodRelease { number: 3, commit: None },
        restarted_at: None,
        claims: &BTreeMap::new(),
        shrinking: Shrinking::Refuse,
        data_sets: &BTreeMap::new(),
        asset_sets: &AssetSets::new(),
        own_sets: &BTreeMap::new(),
        settings: &Settings::default(),
        copies: &Copies::default(),
    };
    validate(&app(name), &spec, &facts)
}

fn workers(spec: &Value) -> ValidatedWorkers {
    valid("reduce", spec).expect("valid")
}

fn deployment(workers: &ValidatedWorkers, exists: bool) -> Value {
    let all = build(workers, exists);
    let found = all.iter().find(|object| object.kind() == "Deployment").expect("a Deployment");
    Value::Object(found.json().clone())
}

#[test]
fn a_fixed_number_of_workers_is_the_spec_s() {
    let fixed = workers(&json!({"replicas": 3}));
    for exists in [false, true] {
        assert_eq!(deployment(&fixed, exists)["spec"]["replicas"], 3);
        assert_eq!(deployment(&fixed.clone().asleep(), exists)["spec"]["replicas"], 0);
    }
    assert_eq!(deployment(&workers(&json!({})), true)["spec"]["replicas"], 1);
}

#[test]
fn a_scaled_deployment_begins_with_its_number_and_is_then_left_alone() {
    let source = json!({"activemq": {"url": "http://amq:8161", "queue": "a"}});
    let scaled = workers(&json!({"replicas": 4, "source": source, "scaling": {"maxReplicas": 8}}));
    assert_eq!((scaled.wanted, scaled.count), (4, Count::Scaled));
    assert_eq!(deployment(&scaled, false)["spec"]["replicas"], 4);
    assert_eq!(deployment(&scaled, true)["spec"]["replicas"], Value::Null);
    assert_eq!(deployment(&scaled.asleep(), true)["spec"]["replicas"], Value::Null);
    let none = workers(&json!({"replicas": 0, "source": source, "scaling": {"maxReplicas": 8}}));
    assert_eq!(deployment(&none, false)["spec"]["replicas"], 0, "not the API's default of 1");
}

#[test]
fn nobody_reaches_workers_and_all_children_belong_to_them() {
    let all = build(&workers(&json!({"replicas": 2})), false);
    let kinds: BTreeSet<&str> = all.iter().map(Object::kind).collect();
    assert_eq!(kinds, ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"].into());
    let policy = all.iter().find(|object| object.kind() == "NetworkPolicy").expect("a policy").json();
    assert_eq!((&policy["spec"]["ingress"], &policy["spec"]["policyTypes"]), (&Value::Null, &json!(["Ingress"])));
    let pods = &deployment(&workers(&json!({})), false)["spec"];
    let labels = pods["template"]["metadata"]["labels"].as_object().expect("labels");
    for (name, value) in pods["selector"]["matchLabels"].as_object().expect("a selector") {
        assert_eq!(labels.get(name), Some(value));
    }
    assert_eq!(
        selector(&app("reduce")),
        "app.kubernetes.io/instance=reduce,app.kubernetes.io/name=reduce,drover.dev/component=worker"
    );
    assert!(all.iter().all(|object| WorkerChildren::rank(&object.key()) < 7));
}

#[test]
fn a_singleton_stops_before_the_next_starts_and_is_never_two() {
    let one = deployment(&workers(&json!({"singleton": true, "drain": {"timeout": "10m"}})), false);
    assert_eq!((&one["spec"]["strategy"]["type"], &one["spec"]["replicas"]), (&json!("Recreate"), &json!(1)));
    // Its start, its probation, the time that the old one may take, and what Kubernetes takes.
    assert_eq!(one["spec"]["progressDeadlineSeconds"], 120 + 10 + 600 + 30);
    let refused = valid("reduce", &json!({"singleton": true, "replicas": 2})).expect_err("two");
    assert!(refused.to_string().contains("never more than one pod"), "{refused}");
}

#[test]
fn a_worker_is_given_its_time_and_what_runs_before_it_is_told_to_stop() {
    let drain = json!({"timeout": "45m", "preStop": {"exec": {"command": ["sh", "-c", "while [ -e /tmp/busy ]; do sleep 1; done"]}}});
    let pod = &deployment(&workers(&json!({"drain": drain})), false)["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 45 * 60 + 5);
    let container = &pod["containers"][0];
    assert_eq!(container["lifecycle"]["preStop"]["exec"]["command"][0], "sh");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe", "ports"] {
        assert_eq!(container[probe], Value::Null, "{probe}");
    }
    let plain = &deployment(&workers(&json!({})), false)["spec"]["template"]["spec"];
    assert_eq!(
        (&plain["terminationGracePeriodSeconds"], &plain["containers"][0]["lifecycle"]),
        (&json!(35), &Value::Null)
    );
}

#[test]
fn a_command_tells_whether_a_worker_lives() {
    let health = json!({"command": ["alive"], "startupTimeout": "1m", "restartAfter": "10m", "probation": "0s"});
    let spec = &deployment(&workers(&json!({"health": health})), false)["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["exec"]["command"], json!(["alive"]), "{probe}");
    }
    assert_eq!(container["livenessProbe"]["failureThreshold"], 60);
    assert_eq!(container["startupProbe"]["failureThreshold"], 30);
    assert_eq!((&spec["minReadySeconds"], &spec["progressDeadlineSeconds"]), (&Value::Null, &json!(60 + 120)));
}

#[rstest]
#[case::name("Reduce", json!({}), "the QueueProcessor's name")]
#[case::root("reduce", json!({"runAs": {"user": 0}}), "allowRoot")]
#[case::writers("reduce", json!({"scaling": {"maxReplicas": 2}, "volumes": [{"name": "data", "mounts": [{"mountPath": "/data"}], "claim": {"resources": {"requests": {"storage": "1Gi"}}}}]}), "only one pod may hold")]
fn what_cannot_be_built_is_refused(#[case] name: &str, #[case] spec: Value, #[case] said: &str) {
    let refused = valid(name, &spec).expect_err(said).to_string();
    assert!(refused.contains(said), "{refused}");
}

#[test]
fn jobs_need_no_deployment() {
    let job = json!([{"name": "migrate", "at": "BeforeDeploy", "command": ["migrate"]}]);
    let needed = needed_by_jobs(&workers(&json!({"jobs": job})));
    assert_eq!(needed.iter().map(Object::kind).collect::<Vec<_>>(), ["ServiceAccount"]);
}
