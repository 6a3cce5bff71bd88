use std::collections::VecDeque;

use drover_crds::condition::{self, Outcome};
use drover_crds::{RolloutStatus, WebApp, WebAppStatus};
use http::{Request, Response};
use kube::client::{Body, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::cluster::lease::Leadership;

/// A kind whose turns come to what the test says, and count how many there were.
#[derive(Default)]
struct Told {
    ends: Mutex<VecDeque<Result<Ended, Trouble>>>,
}

impl Kind for Told {
    type Object = WebApp;
    type Status = WebAppStatus;
    type Memory = u32;

    const OWNER: OwnerKind = OwnerKind::WebApp;
    const ACTION: &'static str = "Test";

    async fn turn(
        &self,
        it: &It<'_, Self>,
        turns: &mut u32,
        draft: &mut Draft<WebAppStatus>,
    ) -> Result<Ended, Trouble> {
        *turns += 1;
        draft.status.rollout.serving = Some(i64::from(*turns));
        if it.annotation("did").is_some() {
            draft.done.push(News::normal("Did", "It did something"));
        }
        self.ends.lock().expect("a lock").pop_front().expect("the test says what the turn comes to")
    }

    fn show(status: &mut WebAppStatus, owner: &Owner, trouble: Option<&Trouble>) {
        status.url = trouble.map(|trouble| format!("{owner}: {trouble}"));
    }

    fn news(before: &WebAppStatus, after: &WebAppStatus) -> Vec<News> {
        let message =
            |status: &WebAppStatus| Some(condition::get(&status.conditions, condition::READY)?.message.clone());
        let (before, after) = (message(before), message(after));
        after
            .filter(|after| before.as_ref() != Some(after))
            .map(|note| News::warning("Told", note))
            .into_iter()
            .collect()
    }

    async fn clean_up(&self, _: &Gone<'_, Self>) -> Result<(), Trouble> {
        self.ends.lock().expect("a lock").pop_front().expect("the test says what it comes to").map(drop)
    }

    async fn left_behind(&self, _: &Cluster) -> Vec<Key> {
        Vec::new()
    }
}

/// What the API server was asked: the method, what it was about, and the body.
type Asked = mpsc::UnboundedReceiver<(String, Value)>;

/// The turns of objects whose ends are `ends`. The API server takes what it is sent; of what is read it has what `found` says.
fn turns(ends: Vec<Result<Ended, Trouble>>, status: u16, found: Value) -> (Turn<Told>, Asked) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "default");
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some((request, reply)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let sent = body.collect_bytes().await.expect("a body");
            let what = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
            let (status, answer) = match parts.method.as_str() {
                "GET" if found.is_null() => (404, refusal(404)),
                "GET" => (200, found.clone()),
                _ if status != 200 => (status, refusal(status)),
                // An event is answered by one, a status by its object: this is read as either.
                _ => (200, with_event_time(&web_app("1"))),
            };
            let _ = tell.send((format!("{} {what}", parts.method), serde_json::from_slice(&sent).unwrap_or_default()));
            let body = Body::from(answer.to_string().into_bytes());
            reply.send_response(Response::builder().status(status).body(body).expect("a response"));
        }
    });
    let resync = Duration::from_secs(3600);
    let cluster = Cluster::new(client, Leadership::sole(), resync, [0; 32], mpsc::unbounded_channel().0);
    let kind = Told { ends: Mutex::new(ends.into()) };
    (Turn::new(kind, cluster, Arc::default(), Interest::new(mpsc::unbounded_channel().0)), asked)
}

fn refusal(code: u16) -> Value {
    let reason = if code == 404 { "NotFound" } else { "" };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": reason, "code": code})
}

fn with_event_time(app: &WebApp) -> Value {
    let mut object = serde_json::to_value(app).expect("JSON");
    object["eventTime"] = Value::Null;
    object
}

fn web_app(uid: &str) -> WebApp {
    serde_json::from_value(json!({"apiVersion": "drover.dev/v1alpha1", "kind": "WebApp",
        "metadata": {"namespace": "shop", "name": "web", "uid": uid, "generation": 3},
        "spec": {"image": "shop/web:1", "ports": [{"name": "http", "port": 80}]}}))
    .expect("a WebApp")
}

async fn turn(turns: &Turn<Told>, object: &WebApp) -> Next {
    turns.reconcile(Arc::new(object.clone())).await
}

fn ready() -> Ended {
    let outcome = Outcome::Ready { reason: "Well".into(), message: "All is well".into() };
    Ended::Said { outcome, next: Next::Await }
}

fn trouble(mended_by: Mend) -> Result<Ended, Trouble> {
    Err(Trouble::new("Broken", "It is broken", mended_by))
}

/// What was asked by now.
fn asked(asked: &mut Asked) -> Vec<(String, Value)> {
    std::iter::from_fn(|| asked.try_recv().ok()).collect()
}

fn words(asked: &[(String, Value)]) -> Vec<&str> {
    asked.iter().map(|(what, _)| what.as_str()).collect()
}

#[tokio::test]
async fn a_trouble_is_told_and_written_once() {
    let (turns, mut api) = turns(vec![trouble(Mend::Person), trouble(Mend::Person)], 200, Value::Null);
    assert_eq!(turn(&turns, &web_app("1")).await, Next::After(Told::LOOK_AGAIN));
    let first = asked(&mut api);
    assert_eq!(words(&first), ["POST events", "PATCH status"]);
    assert_eq!((&first[0].1["reason"], &first[0].1["note"]), (&json!("Told"), &json!("It is broken")));
    let status = &first[1].1["status"];
    assert_eq!((&status["observedGeneration"], &status["url"]), (&json!(3), &json!("WebApp shop/web: It is broken")));
    assert_eq!(status["conditions"][1]["type"], condition::STALLED);

    assert_eq!(turn(&turns, &web_app("1")).await, Next::After(Told::LOOK_AGAIN));
    let second = asked(&mut api);
    assert_eq!(words(&second), ["PATCH status"], "the number of turns");
    assert_eq!(second[0].1["status"]["serving"], 2);
}

#[tokio::test]
async fn a_turn_that_changes_nothing_asks_nothing() {
    let mut app = web_app("1");
    let (turns, mut api) = turns(vec![Ok(ready())], 200, Value::Null);
    assert_eq!(turn(&turns, &app).await, Next::Await);
    let written = asked(&mut api).pop().expect("a write").1;
    // A new process, which has seen that status.
    app.status = serde_json::from_value(written["status"].clone()).expect("a status");
    let (turns, mut api) = self::turns(vec![Ok(ready())], 200, Value::Null);
    assert_eq!(turn(&turns, &app).await, Next::Await);
    assert_eq!(words(&asked(&mut api)), Vec::<&str>::new());
}

#[tokio::test]
async fn while_there_is_nothing_to_say_nothing_is_written_and_what_was_done_is_told() {
    let soon = Next::After(Duration::from_secs(5));
    let (turns, mut api) = turns(vec![Ok(Ended::Unsaid(soon))], 200, Value::Null);
    let mut app = web_app("1");
    app.metadata.annotations = Some([("did".to_owned(), String::new())].into());
    assert_eq!(turn(&turns, &app).await, soon);
    let told = asked(&mut api);
    assert_eq!(words(&told), ["POST events"]);
    assert_eq!((&told[0].1["reason"], &told[0].1["type"]), (&json!("Did"), &json!("Normal")));
}

#[tokio::test]
async fn waiting_for_others_is_no_trouble() {
    let (turns, mut api) = turns(vec![trouble(Mend::Turn)], 200, Value::Null);
    assert_eq!(turn(&turns, &web_app("1")).await, Next::Later(TURN));
    let written = asked(&mut api).pop().expect("a write").1;
    assert_eq!(
        (&written["status"]["url"], &written["status"]["conditions"][0]["status"]),
        (&Value::Null, &json!("Unknown"))
    );
}

#[tokio::test]
async fn what_is_remembered_is_of_one_object_and_not_of_the_next_of_that_name() {
    let (turns, mut api) = turns(vec![Ok(ready()), Ok(ready()), Ok(ready())], 200, Value::Null);
    let mut counts = Vec::new();
    for uid in ["1", "1", "2"] {
        turn(&turns, &web_app(uid)).await;
        counts.push(asked(&mut api).pop().expect("a write").1["status"]["serving"].clone());
    }
    assert_eq!(counts, [1, 2, 1]);
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_tried_again() {
    let (turns, _api) = turns(vec![Ok(ready())], 500, Value::Null);
    assert_eq!(turn(&turns, &web_app("1")).await, Next::Retry);
}

#[tokio::test]
async fn an_object_that_is_being_deleted_has_no_turn() {
    let (turns, mut api) = turns(Vec::new(), 200, Value::Null);
    let mut app = web_app("1");
    app.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(turn(&turns, &app).await, Next::Await);
    assert_eq!(words(&asked(&mut api)), Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_left_is_cleaned_up_until_it_is_gone_and_never_while_the_object_is_there() {
    let ends = vec![trouble(Mend::Turn), trouble(Mend::Person), Ok(Ended::Unsaid(Next::Await))];
    let (turns, _api) = turns(ends, 200, Value::Null);
    let key = Key::new("shop", "web");
    let owner = Owner::of(OwnerKind::WebApp, &key);
    turns.owners.note(&owner);
    assert_eq!(turns.gone(&key).await, Next::Later(TURN));
    assert_eq!(turns.gone(&key).await, Next::Retry);
    assert_eq!(turns.owners.get(&owner.label()), Some(owner.clone()), "events of what it left are its own");
    assert_eq!(turns.gone(&key).await, Next::Await);
    assert_eq!(turns.owners.get(&owner.label()), None);

    let found = serde_json::to_value(web_app("1")).expect("JSON");
    let (turns, _api) = self::turns(Vec::new(), 200, found);
    assert_eq!(turns.gone(&key).await, Next::Retry, "nothing was asked of the kind");
}

#[tokio::test]
async fn of_what_cannot_be_read_only_the_conditions_change() {
    let mut app = web_app("1");
    let rollout = RolloutStatus { serving: Some(7), ..RolloutStatus::default() };
    app.status = Some(WebAppStatus { rollout, ..WebAppStatus::default() });
    let (turns, mut api) = turns(Vec::new(), 200, serde_json::to_value(&app).expect("JSON"));
    turns.unreadable(&Key::new("shop", "web"), "unknown field").await;
    let asked = asked(&mut api);
    assert_eq!(words(&asked), ["GET web", "PATCH status"]);
    let status = &asked[1].1["status"];
    assert_eq!((&status["serving"], &status["observedGeneration"]), (&json!(7), &json!(3)));
    let said = "WebApp shop/web cannot be read by this version of drover: unknown field";
    let stalled = &status["conditions"][1];
    assert_eq!(
        (&stalled["type"], &stalled["reason"], &stalled["message"]),
        (&json!("Stalled"), &json!(condition::UNREADABLE), &json!(said))
    );
}
