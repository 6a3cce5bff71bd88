//! Each file of `golden/` is a live object and, in a second document, what is expected of it.

use rstest::rstest;
use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    verdict: String,
    reason: Option<String>,
    /// Part of the message.
    says: Option<String>,
}

#[rstest]
fn an_object_is_judged_as_expected(
    #[files("src/health/golden/*.yaml")]
    #[mode = str]
    case: &str,
) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(case).expect("two documents");
    let [object, expected] = documents.as_slice() else { panic!("a case has two documents") };
    let expected: Expected = serde_json::from_value(expected.clone()).expect("a verdict");
    let (verdict, reason, message) = match assess(object) {
        Health::Current => ("Current", None, String::new()),
        Health::InProgress { message } => ("InProgress", None, message),
        Health::Failed { reason, message } => ("Failed", Some(reason), message),
    };
    assert_eq!((verdict, reason), (expected.verdict.as_str(), expected.reason), "{message}");
    let says = expected.says.unwrap_or_default();
    assert!(message.contains(&says), "{message:?} does not say {says:?}");
    assert!(verdict == "Current" || !message.is_empty(), "a verdict that is not Current says why");
}

#[test]
fn what_a_status_says_is_quoted_in_part_when_it_is_long() {
    let status = |condition: &str, said: &str| {
        serde_json::json!({"apiVersion": "example.org/v1", "kind": "Anything", "status": {"conditions": [
            {"type": condition, "status": if condition == "Ready" { "False" } else { "True" }, "reason": said, "message": said},
        ]}})
    };
    let sentence = "waiting for ä: ".repeat(40);
    assert_eq!(assess(&status("Ready", &sentence)), Health::InProgress { message: sentence });
    let endless = "waiting for ä: ".repeat(5000);
    for condition in ["Ready", "Reconciling", "Stalled"] {
        let (Health::InProgress { message } | Health::Failed { message, .. }) = assess(&status(condition, &endless))
        else {
            panic!("it is not current");
        };
        assert!(message.chars().count() <= 801 && message.ends_with('…'), "{condition}: {} bytes", message.len());
    }
    let Health::Failed { reason, .. } = assess(&status("Stalled", &endless)) else { panic!("it failed") };
    assert!(reason.chars().count() <= 801, "{} bytes", reason.len());
}

#[test]
fn an_environment_waits_for_no_app_that_is_asleep() {
    let app = |kind: &str, reason: &str| {
        assess(
            &serde_json::json!({"apiVersion": kind, "kind": "WebApp", "metadata": {"generation": 2}, "status": {"observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "Unknown", "reason": reason, "message": "m"},
                {"type": "Reconciling", "status": "True", "reason": reason, "message": "m"}]}}),
        )
    };
    let in_progress = Health::InProgress { message: "m".into() };
    assert_eq!(app("drover.dev/v1alpha1", "WaitsForWindow"), Health::Current);
    assert_eq!(app("drover.dev/v1alpha1", "Rollout"), in_progress);
    assert_eq!(app("example.org/v1", "WaitsForWindow"), in_progress, "that is another's word");
}

#[test]
fn a_quota_keeps_pods_from_being_made() {
    let said = "pods \"web-1\" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=2, limited: cpu=2";
    let deployment = serde_json::json!({
        "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}]},
    });
    let finding = replica_failure(&deployment).expect("a finding");
    assert_eq!(finding.reason, "QuotaExceeded");
    assert!(finding.message.contains(said) && finding.message.contains("ResourceQuota"), "{}", finding.message);
    assert_eq!(replica_failure(&serde_json::json!({"status": {}})), None);
}

mod pods {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::super::*;

    /// Seconds since 1970 at which the pods below were started.
    const START: i64 = 1_767_225_600;

    fn pod(status: &serde_json::Value) -> Pod {
        let json = json!({
            "metadata": {"name": "web-1"},
            "spec": {"containers": [{
                "name": "web", "image": "registry.test/web:1",
                "resources": {"limits": {"memory": "64Mi"}},
                "readinessProbe": {"httpGet": {"path": "/login", "port": 3000,
                    "httpHeaders": [{"name": "Host", "value": "shop.test"}]}},
            }]},
            "status": status,
        });
        serde_json::from_value(json).expect("a pod")
    }

    /// A pod whose only container has that status.
    fn container(status: &serde_json::Value) -> Pod {
        let mut full =
            json!({"name": "web", "image": "registry.test/web:1", "imageID": "", "ready": false, "restartCount": 0});
        for (field, value) in status.as_object().expect("a mapping") {
            full[field] = value.clone();
        }
        pod(&json!({"phase": "Pending", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [full]}))
    }

    fn waiting(reason: &str, message: &str) -> Pod {
        container(&json!({"state": {"waiting": {"reason": reason, "message": message}}}))
    }

    fn crashed(restarts: i32, last: &serde_json::Value) -> Pod {
        container(&json!({
            "restartCount": restarts,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": last},
        }))
    }

    fn at(pod: &Pod, seconds: i64) -> Option<Finding> {
        diagnose(std::slice::from_ref(pod), START + seconds, Patience::default())
    }

    fn found(pod: &Pod, seconds: i64) -> Finding {
        at(pod, seconds).expect("a finding")
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_definite_after_a_while() {
        let pod = waiting("ImagePullBackOff", "Back-off pulling image: registry.test/web:1: not found");
        let finding = found(&pod, 10);
        assert_eq!((finding.reason.as_str(), finding.definite), ("ImagePullBackOff", false));
        assert!(
            finding.message.starts_with("image registry.test/web:1 of container web of pod web-1 cannot be pulled")
        );
        assert!(finding.message.ends_with("push that tag, or correct the image's name"), "{}", finding.message);
        assert!(found(&pod, 61).definite);
        assert!(found(&waiting("ErrImagePull", "unauthorized"), 1).message.contains("imagePullSecrets"));
        assert!(found(&waiting("InvalidImageName", "couldn't parse"), 1).definite);
    }

    #[test]
    fn a_container_that_ends_again_and_again_tells_its_exit_code() {
        let finding = found(&crashed(3, &json!({"exitCode": 1, "reason": "Error"})), 30);
        assert_eq!(finding.message, "container web of pod web-1 exited with code 1, 3 restarts: its log says why");
        assert_eq!(finding.container.as_deref(), Some("web"));
        assert!(finding.definite);
        assert!(!found(&crashed(1, &json!({"exitCode": 1, "reason": "Error"})), 30).definite);
    }

    #[test]
    fn too_little_memory_names_the_limit() {
        let finding = found(&crashed(2, &json!({"exitCode": 137, "reason": "OOMKilled"})), 30);
        assert_eq!(finding.reason, "OOMKilled");
        assert!(finding.message.contains("its memory limit of 64Mi"), "{}", finding.message);
    }

    /// Judged as a pod on probation, whose condition `Ready` became `False` that many seconds after its start.
    fn on_probation(mut pod: Pod, ceased: i64) -> (bool, Option<Finding>) {
        let status = pod.status.as_mut().expect("a status");
        let since = jiff::Timestamp::from_second(START + ceased).expect("a time").to_string();
        status.conditions =
            serde_json::from_value(json!([{"type": "Ready", "status": "False", "lastTransitionTime": since}]))
                .expect("conditions");
        let patience = Patience { on_probation: true, ..Patience::default() };
        (has_served(&pod), diagnose(&[pod], START + 20, patience))
    }

    #[test]
    fn a_container_that_ends_after_it_served_has_failed_its_probation_at_once() {
        for code in [1, 0] {
            let (served, finding) = on_probation(crashed(1, &json!({"exitCode": code, "reason": "Error"})), 6);
            let finding = finding.expect("a finding");
            assert!(served && finding.definite, "{finding:?}");
            let said = format!(
                "container web of pod web-1 served and then exited with code {code}, 1 restart: its log says why"
            );
            assert_eq!((finding.reason.as_str(), finding.message), ("CrashLoopBackOff", said));
        }
        // It never served: perhaps what it needs is not there yet.
        let (served, finding) = on_probation(crashed(1, &json!({"exitCode": 1, "reason": "Error"})), 1);
        assert!(!served && !finding.expect("a finding").definite);
        // Once it is live, a restart is no verdict on the release.
        let pod = crashed(1, &json!({"exitCode": 1, "reason": "Error"}));
        assert!(!found(&pod, 20).definite);
    }

    #[test]
    fn between_two_restarts_the_last_end_is_told() {
        let pod = container(&json!({
            "restartCount": 1, "state": {"running": {"startedAt": "2026-01-01T00:00:20Z"}},
            "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
        }));
        assert!(found(&pod, 21).message.contains("exited with code 3, 1 restart:"));
    }

    #[test]
    fn what_cannot_be_configured_or_started_says_what_to_change() {
        let root =
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: x)");
        let finding = found(&root, 1);
        assert!(finding.definite && finding.message.contains("runAs.user") && finding.message.contains("allowRoot"));

        let secret = waiting("CreateContainerConfigError", "secret \"db\" not found");
        assert!(!found(&secret, 1).definite, "it may be created yet");
        assert!(found(&secret, 61).definite);

        let said = "exec: \"gunicorn\": executable file not found in $PATH: unknown";
        let start = crashed(1, &json!({"exitCode": 128, "reason": "StartError", "message": said}));
        let finding = found(&start, 1);
        assert_eq!((finding.reason.as_str(), finding.definite), ("StartError", true));
        assert!(finding.message.contains("does not contain that program"), "{}", finding.message);
    }

    #[test]
    fn a_container_that_is_not_ready_names_its_probe() {
        let pod = container(&json!({"started": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}));
        assert_eq!(at(&pod, 30), None, "it may still be starting");
        let finding = found(&pod, 45);
        assert_eq!((finding.reason.as_str(), finding.definite), ("ProbeFailing", false));
        let expected =
            "has run for 45 s and does not answer its readiness probe GET /login on port 3000 with Host shop.test";
        assert!(finding.message.contains(expected) && finding.message.contains("127.0.0.1"), "{}", finding.message);
    }

    #[test]
    fn who_did_not_start_in_the_time_that_it_may_take_has_had_it() {
        let ended = |seconds: i64| {
            let mut pod = container(&json!({
                "restartCount": 1, "started": false, "state": {"running": {"startedAt": "2026-01-01T00:00:13Z"}},
                "lastState": {"terminated": {"exitCode": 143, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z",
                    "finishedAt": format!("2026-01-01T00:00:{seconds:02}Z")}},
            }));
            let spec = pod.spec.as_mut().expect("a spec");
            spec.containers[0].startup_probe =
                serde_json::from_value(json!({"tcpSocket": {"port": 3000}, "periodSeconds": 2, "failureThreshold": 5}))
                    .expect("a probe");
            pod
        };
        let finding = found(&ended(11), 14);
        assert_eq!((finding.reason.as_str(), finding.definite), ("ProbeFailing", true));
        assert!(
            finding
                .message
                .contains("ran for 11 s, did not answer its startup probe on TCP port 3000 and was ended, 1 restart"),
            "{}",
            finding.message
        );
        // It may only have been slow, where nothing of the processor is its own.
        assert!(finding.message.contains("it asks for no CPU (resources.requests.cpu)"), "{}", finding.message);
        let mut with_share = ended(11);
        with_share.spec.as_mut().expect("a spec").containers[0].resources =
            serde_json::from_value(json!({"requests": {"cpu": "10m"}})).expect("resources");
        assert!(found(&with_share, 14).message.ends_with("its log says more"));
        // It ended by itself, and may have waited for something that comes.
        assert!(!found(&ended(3), 14).definite);
    }

    #[test]
    fn trouble_of_the_whole_pod() {
        let unschedulable = pod(&json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient memory.",
        }]}));
        let finding = found(&unschedulable, 1);
        assert_eq!((finding.reason.as_str(), finding.definite), ("Unschedulable", false));
        assert!(finding.message.contains("“0/1 nodes are available: 1 Insufficient memory”"), "{}", finding.message);

        let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory."}));
        assert_eq!(found(&evicted, 1).reason, "Evicted");

        let creating = waiting("ContainerCreating", "");
        assert_eq!(at(&creating, 60), None);
        assert!(found(&creating, 61).message.contains("volume"));
    }

    #[test]
    fn an_init_container_is_named() {
        let json = json!({
            "metadata": {"name": "web-1"},
            "spec": {"initContainers": [{"name": "prepare"}], "containers": [{"name": "web"}]},
            "status": {
                "startTime": "2026-01-01T00:00:00Z",
                "initContainerStatuses": [{
                    "name": "prepare", "image": "", "imageID": "", "ready": false, "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 127}},
                }],
                "containerStatuses": [{
                    "name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"waiting": {"reason": "PodInitializing"}},
                }],
            },
        });
        let finding = found(&serde_json::from_value(json).expect("a pod"), 100);
        assert_eq!(finding.container.as_deref(), Some("prepare"));
        assert!(finding.message.contains("127 (a program that does not exist)"), "{}", finding.message);
    }

    #[test]
    fn the_most_telling_pod_wins_and_pods_that_go_do_not_count() {
        let unready = container(&json!({"started": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}));
        let crash = crashed(5, &json!({"exitCode": 1}));
        let mut going = waiting("InvalidImageName", "");
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time");
        let finding = diagnose(&[unready, going, crash], START + 100, Patience::default()).expect("a finding");
        assert_eq!(finding.reason, "CrashLoopBackOff");
        let healthy = container(&json!({"ready": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}));
        assert_eq!(diagnose(&[healthy], START + 100, Patience::default()), None);
    }
}
