//! Certificates of a WebApp's hosts, at other times.

use std::process::Command;
use std::time::Duration;

use drover_crds::condition::{CERTIFICATE_EXPIRING, CERTIFICATE_INVALID, get};
use drover_crds::{WebApp, WebAppStatus};
use drover_e2e::{Namespace, Stage, eventually, run, steadily};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use crate::moved_clock::MovedClock;

/// The testbed of the tests with a moved clock, which take turns.
const NUMBER: u32 = 51;
const SOON: Duration = Duration::from_secs(50);

/// A certificate for that host, which signs itself and is good for so many days, and its key.
pub fn certificate(host: &str, days: u32) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
    let name = format!("subjectAltName=DNS:{host}");
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=a"])
        .args(["-days", &days.to_string(), "-addext", &name, "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate));
    let read = |path| std::fs::read_to_string(path).expect("what openssl wrote");
    (read(certificate), read(key))
}

fn give(namespace: &Namespace, certificate: &str, key: &str) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-tls"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key}});
    namespace.apply(&secret.to_string());
}

async fn app(namespace: &Namespace) -> WebApp {
    namespace.get::<WebApp>("web").await.expect("the app is there")
}

/// Waits until the app's condition of that kind has that reason, and its message those words; without a reason, until there is none.
async fn says(namespace: &Namespace, kind: &str, reason: Option<&str>, words: &[&str]) -> WebAppStatus {
    eventually(&format!("{kind} is {reason:?}"), SOON, async || {
        let status = app(namespace).await.status.unwrap_or_default();
        let found = get(&status.conditions, kind);
        let fits = match (reason, found) {
            (None, None) => status.observed_generation.is_some_and(|generation| generation > 0),
            (Some(reason), Some(found)) => {
                found.reason == reason && words.iter().all(|word| found.message.contains(word))
            }
            _ => false,
        };
        if fits { Ok(status.clone()) } else { Err(format!("{found:?} {:?}", status.tls)) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_is_told_thirty_days_before_and_one_that_does_not_fit_at_once() {
    let stage = Stage::enter(NUMBER).await;
    let clock = MovedClock::new();
    let drover = clock.drover(&stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let namespace = Namespace::on(stage.bed(), "certificates").await;
    let host = namespace.host();
    namespace.apply(&format!(
        "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: web}}\nspec:\n  image: a.test/web:1\n  imagePullPolicy: Never\n  ports: [{{name: http, port: 8080}}]\n  replicas: 0\n  routes: [{{host: {host}, to: {{app: {{}}}}}}]\n  tls: [{{hosts: [{host}], secretName: web-tls}}]\n"
    ));
    says(&namespace, CERTIFICATE_INVALID, Some("CertificateMissing"), &["web-tls, which spec.tls names, is not there"])
        .await;

    let (first, key) = certificate(&host, 100);
    give(&namespace, &first, &key);
    let status = says(&namespace, CERTIFICATE_INVALID, None, &[]).await;
    let ends = status.tls.expect("it is seen").not_after.0;
    let wanted = Timestamp::now() + SignedDuration::from_hours(100 * 24);
    assert!(ends <= wanted && ends > wanted - SignedDuration::from_mins(10), "{ends}");
    assert!(get(&status.conditions, CERTIFICATE_EXPIRING).is_none());
    let metric = drover.metric("drover_certificate_first_end_timestamp_seconds").await.expect("metrics are served");
    assert_eq!(metric.map(|seconds| format!("{seconds:.0}")), Some(ends.as_second().to_string()));

    // It is looked at again by itself, and what is said is written once.
    let days = |count: u64| Duration::from_secs(count * 24 * 3600);
    clock.set_ahead(days(71));
    says(&namespace, CERTIFICATE_EXPIRING, Some("CertificateExpiresSoon"), &[&host, &ends.to_string(), "web-tls"])
        .await;
    let written = app(&namespace).await.metadata.resource_version;
    steadily("it is said once", Duration::from_secs(6), async || {
        match app(&namespace).await.metadata.resource_version {
            now if now == written => Ok(()),
            now => Err(format!("{now:?}")),
        }
    })
    .await;
    let events = namespace.kubectl(&["get", "events.events.k8s.io", "--output=json"]);
    assert!(events.contains("CertificateExpiresSoon"), "{events}");
    clock.set_ahead(days(101));
    says(&namespace, CERTIFICATE_EXPIRING, Some("CertificateExpired"), &["ended at"]).await;

    // A new one ends that at once; and what does not fit is told at once.
    let (second, own) = certificate(&host, 300);
    give(&namespace, &second, &own);
    let status = says(&namespace, CERTIFICATE_EXPIRING, None, &[]).await;
    assert!(status.tls.expect("it is seen").not_after.0 > ends);
    give(&namespace, &second, &key);
    says(&namespace, CERTIFICATE_INVALID, Some("CertificateKeyUnfit"), &["the private key of another certificate"])
        .await;
    let (other, key) = certificate("other.example.org", 300);
    give(&namespace, &other, &key);
    says(&namespace, CERTIFICATE_INVALID, Some("CertificateOfOthers"), &[&host, "it is for other.example.org"]).await;
    namespace.kubectl(&["delete", "secret", "web-tls"]);
    says(&namespace, CERTIFICATE_INVALID, Some("CertificateMissing"), &[]).await;
    assert!(namespace.get::<Secret>("web-tls").await.is_none(), "nobody makes one");
    drover.stop();
}
