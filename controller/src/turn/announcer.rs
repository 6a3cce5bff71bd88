//! Events: what a person sees in `kubectl describe`.
//!
//! kube's own recorder takes an event for a repetition of an earlier one that differs only in its note, and goes on showing the
//! first: a second failing push would be told in the words of the first. Here only the same words are a repetition.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use drover_core::news::{News, Tone};
use drover_crds::{DROVER, Key, bounded_name};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::cluster::{is_not_found, namespace_ends};
use crate::unpoisoned;

/// Bytes of a note; the API server takes at most 1024.
const LONGEST: usize = 1000;
/// The same within this time is counted rather than told again, as Kubernetes' own components do.
const SERIES: SignedDuration = SignedDuration::from_mins(6);

/// Writes events about objects of one kind. One that cannot be written is only logged: the status says the same.
pub struct Announcer {
    client: Client,
    action: &'static str,
    told: Mutex<HashMap<Told, Series>>,
}

/// What makes two events the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Told {
    uid: Option<String>,
    reason: String,
    note: String,
}

/// An event that was written, and how often it has been told.
struct Series {
    event: String,
    count: i32,
    last: Timestamp,
}

impl Announcer {
    /// Events about `action`, a CamelCase verb.
    pub fn new(client: Client, action: &'static str) -> Self {
        Self { client, action, told: Mutex::default() }
    }

    /// An event about `object`, and a line of the log.
    pub async fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, mut news: News, now: Timestamp) {
        let (kind, owner, News { reason, note, .. }) = (K::kind(&()), Key::of(object.meta()), &news);
        match news.tone {
            Tone::Normal => tracing::info!(%kind, namespace = %owner.namespace, name = %owner.name, %reason, "{note}"),
            Tone::Warning => tracing::warn!(%kind, namespace = %owner.namespace, name = %owner.name, %reason, "{note}"),
        }
        news.note.truncate(news.note.floor_char_boundary(LONGEST));
        match self.write(object, news, now).await {
            Ok(()) => {}
            // Whoever deletes a namespace need not be told that nothing is told there any more.
            Err(error) if namespace_ends(&error) => tracing::debug!(%error, "cannot write an event"),
            Err(error) => tracing::warn!(%error, "cannot write an event"),
        }
    }

    async fn write<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        News { tone, reason, note }: News,
        now: Timestamp,
    ) -> kube::Result<()> {
        let namespace = object.meta().namespace.as_deref().unwrap_or("default");
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let told = Told { uid: object.meta().uid.clone(), reason, note };
        let before = self.recent(now).get(&told).map(|series| (series.event.clone(), series.count + 1));
        if let Some((event, count)) = before {
            let series = EventSeries { count, last_observed_time: MicroTime(now) };
            match events.patch(&event, &PatchParams::default(), &Patch::Merge(json!({"series": series}))).await {
                // Events are deleted after a while, by Kubernetes or by people.
                Err(error) if is_not_found(&error) => {}
                answer => {
                    answer?;
                    self.recent(now).insert(told, Series { event, count, last: now });
                    return Ok(());
                }
            }
        }
        let event = event(object, namespace, self.action, tone, &told, now);
        events.create(&PostParams::default(), &event).await?;
        let series = Series { event: event.metadata.name.unwrap_or_default(), count: 1, last: now };
        self.recent(now).insert(told, series);
        Ok(())
    }

    /// What was told so recently that its repetition is counted. A plain map that no panic can leave half-written.
    fn recent(&self, now: Timestamp) -> MutexGuard<'_, HashMap<Told, Series>> {
        let mut told = unpoisoned::lock(&self.told);
        told.retain(|_, series| now.duration_since(series.last) < SERIES);
        told
    }
}

fn event<K: Resource<DynamicType = ()>>(
    object: &K,
    namespace: &str,
    action: &str,
    tone: Tone,
    told: &Told,
    now: Timestamp,
) -> Event {
    // Cut where it is long: the time follows, and both together may have 253 bytes.
    let name = bounded_name(object.meta().name.as_deref().unwrap_or(DROVER));
    Event {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        type_: Some(type_of(tone).to_owned()),
        reason: Some(told.reason.clone()),
        note: Some(told.note.clone()),
        action: Some(action.to_owned()),
        regarding: Some(object.object_ref(&())),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(DROVER.to_owned()),
        reporting_instance: Some(DROVER.to_owned()),
        ..Event::default()
    }
}

/// The type of an event, as Kubernetes calls it.
fn type_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Normal => "Normal",
        Tone::Warning => "Warning",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drover_crds::WebApp;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::Value;

    type Handle = tower_test::mock::Handle<Request<Body>, Response<Body>>;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn announcer() -> (Announcer, Handle) {
        let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        (Announcer::new(Client::new(service, "default"), "Release"), handle)
    }

    fn web_app(name: &str) -> WebApp {
        serde_json::from_value(json!({"apiVersion": "drover.dev/v1alpha1", "kind": "WebApp",
            "metadata": {"namespace": "shop", "name": name, "uid": "1"},
            "spec": {"image": "shop/web:1", "ports": [{"name": "http", "port": 80}]}}))
        .expect("a WebApp")
    }

    /// The request that is made, answered with `status`.
    async fn asked(handle: &mut Handle, status: u16) -> (String, Value) {
        let (request, reply) = handle.next_request().await.expect("a request");
        let asked = format!("{} {}", request.method(), request.uri().path());
        let body = request.into_body().collect_bytes().await.expect("a body");
        let sent = serde_json::from_slice(&body).expect("JSON");
        let answer = match status {
            200 => json!({"metadata": {"name": "a"}, "eventTime": null}),
            code => json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "code": code}),
        };
        let body = Body::from(answer.to_string().into_bytes());
        reply.send_response(Response::builder().status(status).body(body).expect("a response"));
        (asked, sent)
    }

    async fn tell(announcer: &Announcer, note: &str, seconds: i64) {
        let now = START + SignedDuration::from_secs(seconds);
        let told = announcer.write(&web_app("web"), News::normal("ReleaseLive", note), now).await;
        told.expect("it is written");
    }

    const ALL: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

    #[tokio::test]
    async fn other_words_are_another_event_and_the_same_are_counted() {
        let (announcer, mut handle) = announcer();
        let ((), (asked_for, sent)) = tokio::join!(tell(&announcer, "Release 1", 1), asked(&mut handle, 200));
        assert_eq!(asked_for, format!("POST {ALL}"));
        assert_eq!((&sent["note"], &sent["type"]), (&json!("Release 1"), &json!("Normal")));
        assert_eq!((&sent["regarding"]["uid"], &sent["action"]), (&json!("1"), &json!("Release")));
        let first = sent["metadata"]["name"].as_str().expect("a name").to_owned();
        let ((), (asked_for, sent)) = tokio::join!(tell(&announcer, "Release 2", 2), asked(&mut handle, 200));
        assert_eq!((asked_for.as_str(), &sent["note"]), (format!("POST {ALL}").as_str(), &json!("Release 2")));
        let ((), (asked_for, sent)) = tokio::join!(tell(&announcer, "Release 1", 3), asked(&mut handle, 200));
        assert_eq!(asked_for, format!("PATCH {ALL}/{first}"));
        assert_eq!((&sent["series"]["count"], sent.get("note")), (&json!(2), None));
        let ((), (asked_for, _)) = tokio::join!(tell(&announcer, "Release 1", 1000), asked(&mut handle, 200));
        assert_eq!(asked_for, format!("POST {ALL}"), "that is long ago");
    }

    #[tokio::test]
    async fn an_event_that_was_deleted_is_told_anew() {
        let (announcer, mut handle) = announcer();
        tokio::join!(tell(&announcer, "Release 1", 1), asked(&mut handle, 200));
        let ((), asked_for) = tokio::join!(tell(&announcer, "Release 1", 2), async {
            let (patch, _) = asked(&mut handle, 404).await;
            let (create, _) = asked(&mut handle, 200).await;
            [patch, create]
        });
        assert!(asked_for[0].starts_with("PATCH") && asked_for[1].starts_with("POST"), "{asked_for:?}");
    }

    #[test]
    fn the_name_of_an_event_is_one_however_long_the_object_s_is() {
        let told = Told { uid: None, reason: "a".into(), note: "b".into() };
        let named = |name: &str| {
            let event = event(&web_app(name), "shop", "Release", Tone::Warning, &told, START);
            event.metadata.name.expect("it has one")
        };
        let long = named(&format!("{}{}", "a.".repeat(100), "b".repeat(53)));
        assert!(long.len() <= 253 && !long.contains(".."), "{long}");
        assert!(named("web").starts_with("web."));
    }
}
