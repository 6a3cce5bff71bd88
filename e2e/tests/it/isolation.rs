//! One bad object never stops the others.

use std::time::{Duration, Instant};

use drover_e2e::{Environment, Namespace};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

#[tokio::test(flavor = "multi_thread")]
async fn ten_failing_environments_do_not_delay_a_good_one() {
    let namespace = Namespace::new("crowd").await;
    let repo = namespace.repository("bad");
    repo.push(&[("map.yaml", "kind: [")], "Bad");
    let mut failing = Vec::new();
    for number in 0..10 {
        let environment = Environment::create(&namespace, &format!("bad-{number}"), &repo, |spec| match number % 3 {
            0 => {} // a file that cannot be read
            1 => spec.source.reference.branch = Some("no-such-branch".into()),
            // Nobody answers at this address, and nobody says so.
            _ => spec.source.url = "https://203.0.113.254/nobody.git".into(),
        })
        .await;
        failing.push(environment);
    }
    failing[0].complains_of(&["map.yaml"]).await;
    failing[1].complains_of(&["no-such-branch"]).await;

    let good = namespace.repository("good");
    let commit = good.push(&[("map.yaml", MAP)], "Good");
    let began = Instant::now();
    Environment::create(&namespace, "good", &good, |_| ()).await.is_ready_at(&commit).await;
    assert!(began.elapsed() < Duration::from_secs(15), "it took {:?} beside ten that fail", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_decoded_does_not_stop_the_others() {
    let namespace = Namespace::new("decode").await;
    let repo = namespace.repository("maps");
    let commit = repo.push(&[("map.yaml", MAP)], "One");
    let odd = Environment::create(&namespace, "odd", &repo, |spec| spec.suspend = Some(true)).await;
    // The API server takes this offset for a time; nobody who reads times does.
    let patch = r#"{"status":{"source":{"commit":"0","fetchedAt":"2026-01-01T00:00:00+99:00"}}}"#;
    namespace.kubectl(&["patch", "environment", "odd", "--subresource=status", "--type=merge", "--patch", patch]);
    let stored = namespace.kubectl(&["get", "environment", "odd", "-o", "jsonpath={.status.source.fetchedAt}"]);
    assert_eq!(
        stored, "2026-01-01T00:00:00+99:00",
        "the API server has become stricter: find another way to spoil an object"
    );
    drop(odd);

    let other = namespace.repository("other");
    let second = other.push(&[("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")], "Two");
    let environment = Environment::create(&namespace, "good", &other, |_| ()).await;
    environment.is_ready_at(&second).await;
    drop(commit);
}
