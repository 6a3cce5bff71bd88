//! Against a registry of the test's own, on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use drover_crds::OwnerKind;
use k8s_openapi::ByteString;
use serde_json::json;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// What the registry was asked: paths, and whether they carried an Authorization header.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

struct Fake {
    address: String,
    asked: Asked,
}

type Reply = Arc<dyn Fn(&str, &HeaderMap, &str) -> Response + Send + Sync>;

async fn serve(answer: impl Fn(&str, &HeaderMap, &str) -> Response + Send + Sync + 'static) -> Fake {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let asked = Asked::default();
    let state: (Reply, Asked, String) = (Arc::new(answer), asked.clone(), address.clone());
    let handle = |State((answer, asked, own)): State<(Reply, Asked, String)>, request: Request| async move {
        let is_head = request.method() == Method::HEAD;
        let path = format!("{}{}", if is_head { "HEAD " } else { "" }, request.uri());
        let authorization = request.headers().get("authorization").and_then(|v| v.to_str().ok()).map(str::to_owned);
        asked.lock().expect("no panic").push((path.clone(), authorization));
        answer(&path, request.headers(), &own)
    };
    let app = Router::new().fallback(handle).with_state(state);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Fake { address, asked }
}

fn app(name: &str) -> Owner {
    Owner::new(OwnerKind::WebApp, "shop", name)
}

fn with(settings: Settings) -> (Registry, UnboundedReceiver<Owner>) {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (notify, told) = unbounded_channel();
    (Registry::new(settings, notify).expect("a client"), told)
}

fn asking(insecure: &[&str]) -> (Registry, UnboundedReceiver<Owner>) {
    let insecure = insecure.iter().map(|address| (*address).to_owned()).collect();
    with(Settings { insecure, ..Settings::default() })
}

/// What does the asking, to be waited for.
fn registry(insecure: &[&Fake]) -> Arc<Shared> {
    let insecure: Vec<&str> = insecure.iter().map(|fake| fake.address.as_str()).collect();
    asking(&insecure).0.shared
}

fn config() -> Vec<u8> {
    json!({"config": {"User": "33:33", "Labels": {"org.opencontainers.image.revision": "1a2b3c"}}})
        .to_string()
        .into_bytes()
}

fn image_manifest() -> Vec<u8> {
    json!({"config": {"digest": digest_of(&config())}}).to_string().into_bytes()
}

fn index() -> Vec<u8> {
    json!({"manifests": [{"digest": digest_of(&image_manifest()), "platform": {"os": "linux", "architecture": "amd64"}}]})
        .to_string()
        .into_bytes()
}

fn content(path: &str) -> Response {
    if path == "/v2/team/app/manifests/prod" || path.ends_with(&digest_of(&index())) {
        index().into_response()
    } else if path.ends_with(&digest_of(&image_manifest())) {
        image_manifest().into_response()
    } else if path.ends_with(&digest_of(&config())) {
        config().into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

fn credentials(registry: &str) -> Credentials {
    let config = json!({"auths": {registry: {"username": "me", "password": "hunter2"}}}).to_string();
    let mut credentials = Credentials::default();
    credentials.add("pull", &BTreeMap::from([(".dockerconfigjson".to_owned(), ByteString(config.into_bytes()))]));
    credentials
}

/// Waits until the next who asked is told of an answer.
async fn told(told: &mut UnboundedReceiver<Owner>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(30), told.recv()).await;
    next.expect("somebody is told").expect("the registry is there").key.name
}

#[tokio::test]
async fn a_tag_becomes_the_index_digest_and_the_platforms_user() {
    let fake = serve(|path, _, _| content(path)).await;
    let registry = registry(&[&fake]);
    let image = format!("{}/team/app:prod", fake.address);
    let resolved = registry.resolve(&image, &Credentials::default()).await.expect("resolved");
    assert_eq!(resolved.digest, digest_of(&index()));
    assert_eq!(resolved.reference, format!("{image}@{}", resolved.digest));
    assert_eq!(resolved.user.as_deref(), Some("33:33"));
    assert_eq!(resolved.origin, Some(Origin { revision: "1a2b3c".into(), repository: None }));
    // A reference with a digest keeps it.
    let pinned = registry.resolve(&resolved.reference, &Credentials::default()).await.expect("resolved");
    assert_eq!(pinned, resolved);
}

#[tokio::test]
async fn a_mirror_is_asked_in_place_of_the_registry_that_pods_go_on_naming() {
    let fake = serve(|path, _, _| content(path)).await;
    let mirror = format!("registry.invalid=http://{}", fake.address).parse().expect("a mirror");
    let registry = with(Settings { mirrors: vec![mirror], ..Settings::default() }).0.shared;
    let image = "registry.invalid/team/app:prod";
    let resolved = registry.resolve(image, &Credentials::default()).await.expect("resolved");
    assert_eq!(resolved.reference, format!("{image}@{}", digest_of(&index())));
    // Only at that very address: a spec cannot go elsewhere on its host.
    let beside = format!("{}/team/app:prod", fake.address);
    let refused = registry.resolve(&beside, &Credentials::default()).await.expect_err("refused");
    assert_eq!(refused.label(), "RegistryRefused");
}

#[tokio::test]
async fn who_asks_is_told_and_the_registry_is_asked_once_per_commit() {
    let fake = serve(|path, _, _| content(path)).await;
    let (registry, mut answers) = asking(&[&fake.address]);
    let image = format!("{}/team/app:prod", fake.address);
    let credentials = Credentials::default();
    let look_up = |name: &str, commit| {
        let wanted = Wanted { image: &image, credentials: &credentials, commit, asked: None };
        registry.look_up(&app(name), &wanted)
    };
    let asked = || fake.asked.lock().expect("no panic").len();
    for name in ["web", "worker"] {
        assert_eq!(look_up(name, Some("c1")), Answer::Asking { before: None });
    }
    assert_eq!([told(&mut answers).await, told(&mut answers).await], ["web", "worker"]);
    let once = asked();
    for name in ["web", "worker", "late"] {
        assert!(matches!(look_up(name, Some("c1")), Answer::Known(_)), "{name}");
    }
    assert_eq!((once, asked()), (3, 3), "index, manifest and configuration");
    assert_eq!(look_up("web", Some("c2")), Answer::Asking { before: None });
    assert_eq!((told(&mut answers).await.as_str(), asked()), ("web", 6));
    // Without a commit the tag is resolved for each who asks, and each time.
    for asked_before in [6, 9] {
        assert_eq!((look_up("web", None), asked()), (Answer::Asking { before: None }, asked_before));
        told(&mut answers).await;
        assert!(matches!(look_up("web", None), Answer::Known(_)));
    }
}

#[tokio::test]
async fn a_tag_is_where_the_manifests_bytes_say_whatever_the_registry_answers_to_head() {
    let told = digest_of(&index());
    let tells = move |path: &str, _: &HeaderMap, _: &str| match path.strip_prefix("HEAD ") {
        Some(_) => [("docker-content-digest", told.clone())].into_response(),
        None => content(path),
    };
    let silent = |path: &str, _: &HeaderMap, _: &str| content(path.trim_start_matches("HEAD "));
    let lies = |path: &str, _: &HeaderMap, _: &str| match path.strip_prefix("HEAD ") {
        Some(_) => [("docker-content-digest", "sha256:../../x")].into_response(),
        None => content(path),
    };
    let refuses = |status: StatusCode| {
        move |path: &str, _: &HeaderMap, _: &str| match path.strip_prefix("HEAD ") {
            Some(_) => status.into_response(),
            None => content(path),
        }
    };
    for (fake, asked) in [
        (serve(tells).await, 1),
        (serve(silent).await, 2),
        (serve(lies).await, 2),
        (serve(refuses(StatusCode::NOT_FOUND)).await, 2),
        (serve(refuses(StatusCode::METHOD_NOT_ALLOWED)).await, 2),
    ] {
        let image = format!("{}/team/app:prod", fake.address);
        let digest = registry(&[&fake]).locate(&image, &Credentials::default()).await;
        assert_eq!(digest, Ok(digest_of(&index())));
        assert_eq!(fake.asked.lock().expect("no panic").len(), asked);
        let missing = format!("{}/team/app:gone", fake.address);
        let gone = registry(&[&fake]).locate(&missing, &Credentials::default()).await;
        assert!(asked == 1 || matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    }
}

#[tokio::test]
async fn who_follows_a_tag_is_told_when_it_moves_and_a_limit_is_kept_for_all() {
    let points_to = Arc::new(Mutex::new(Some(digest_of(b"one"))));
    let now = points_to.clone();
    let fake = serve(move |_, _, _| match &*now.lock().expect("no panic") {
        Some(digest) => [("docker-content-digest", digest.clone())].into_response(),
        None => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "900")]).into_response(),
    })
    .await;
    let moves = |to: Option<&[u8]>| *points_to.lock().expect("no panic") = to.map(digest_of);
    let asked = || fake.asked.lock().expect("no panic").len();
    let (registry, mut answers) = asking(&[&fake.address]);
    let (image, credentials) = (format!("{}/team/app:prod", fake.address), Credentials::default());
    let follow = |who: &str, commit| {
        let wanted = Wanted { image: &image, credentials: &credentials, commit: Some(commit), asked: None };
        registry.follow(&app(who), &wanted)
    };
    let at = |bytes: &[u8]| Pointing::At(digest_of(bytes));
    assert_eq!(follow("web", "c1"), Pointing::Asking);
    assert_eq!(told(&mut answers).await, "web");
    assert_eq!((follow("web", "c1"), follow("web", "c1"), asked()), (at(b"one"), at(b"one"), 1));

    // Another who follows it asks anew, and both are told.
    moves(Some(b"two"));
    assert_eq!(follow("worker", "c1"), Pointing::Asking);
    assert_eq!([told(&mut answers).await, told(&mut answers).await], ["web", "worker"]);
    assert_eq!((follow("web", "c1"), follow("worker", "c1"), asked()), (at(b"two"), at(b"two"), 2));

    moves(None);
    assert_eq!(follow("worker", "c2"), Pointing::Asking);
    assert_eq!([told(&mut answers).await, told(&mut answers).await], ["web", "worker"]);
    for (who, commit) in [("web", "c1"), ("worker", "c2"), ("web", "c3")] {
        let lost = follow(who, commit);
        assert!(matches!(&lost, Pointing::Lost { error: Error::RateLimited { .. }, ago: Some(_) }), "{lost:?}");
    }
    let other = format!("{}/team/other:prod", fake.address);
    let wanted = Wanted { image: &other, credentials: &credentials, commit: None, asked: Some("now") };
    assert!(matches!(registry.follow(&app("other"), &wanted), Pointing::Lost { ago: None, .. }));
    assert!(matches!(registry.look_up(&app("third"), &wanted), Answer::Failed { .. }));
    assert_eq!(asked(), 3, "it was asked although it wants to be left alone");
}

/// A registry that takes connections and says nothing, and how many it has taken.
async fn silent() -> (String, Arc<Mutex<Vec<tokio::net::TcpStream>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let held = taken.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            held.lock().expect("no panic").push(connection);
        }
    });
    (address, taken)
}

#[tokio::test]
async fn a_registry_that_says_nothing_holds_up_nobody() {
    let healthy = serve(|path, _, _| content(path)).await;
    let (silent, taken) = silent().await;
    let (registry, mut answers) = asking(&[&healthy.address, &silent]);
    let look_up = |name: &str, registry_at: &str| {
        let (image, credentials) = (format!("{registry_at}/team/app:prod"), Credentials::default());
        let wanted = Wanted { image: &image, credentials: &credentials, commit: None, asked: None };
        registry.look_up(&app(name), &wanted)
    };
    let began = std::time::Instant::now();
    for n in 0..64 {
        assert_eq!(look_up(&format!("held-{n}"), &silent), Answer::Asking { before: None });
    }
    assert_eq!(look_up("good", &healthy.address), Answer::Asking { before: None });
    assert_eq!(told(&mut answers).await, "good", "of the same namespace, and asked last");
    assert!(matches!(look_up("good", &healthy.address), Answer::Known(_)));
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert!(taken.lock().expect("no panic").len() <= 4, "one namespace asks one registry for four images at a time");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_says_nothing_is_told_and_asked_again_later() {
    let (silent, _taken) = silent().await;
    let (registry, mut answers) = asking(&[&silent]);
    let look_up = |asked| {
        let (image, credentials) = (format!("{silent}/team/app:prod"), Credentials::default());
        let wanted = Wanted { image: &image, credentials: &credentials, commit: Some("c1"), asked };
        registry.look_up(&app("web"), &wanted)
    };
    assert_eq!(look_up(None), Answer::Asking { before: None });
    assert_eq!(told(&mut answers).await, "web");
    let Answer::Failed { error, again } = look_up(None) else { panic!("it said nothing") };
    assert!(error.to_string().contains("did not answer within 10 seconds"), "{error}");
    assert_eq!(error.label(), "RegistryUnreachable");
    tokio::time::advance(again).await;
    assert_eq!(look_up(None), Answer::Asking { before: Some(error.clone()) }, "what is known of it stays known");
    assert_eq!(told(&mut answers).await, "web");
    assert!(matches!(look_up(None), Answer::Failed { .. }));
    assert_eq!(look_up(Some("now")), Answer::Asking { before: Some(error) }, "a person asked");
}

#[tokio::test]
async fn a_token_is_fetched_with_the_secrets_password_and_refusals_name_the_secret() {
    let fake = serve(|path, headers, own| {
        let authorization = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if path.starts_with("/token") {
            return if authorization == "Basic bWU6aHVudGVyMg==" {
                json!({"token": "good"}).to_string().into_response()
            } else {
                StatusCode::UNAUTHORIZED.into_response()
            };
        }
        if authorization != "Bearer good" {
            let challenge = format!(r#"Bearer realm="http://{own}/token",service="r""#);
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
        }
        content(path)
    })
    .await;
    let registry = registry(&[&fake]);
    let image = format!("{}/team/app:prod", fake.address);
    let resolved = registry.resolve(&image, &credentials(&fake.address)).await.expect("resolved");
    assert_eq!(resolved.user.as_deref(), Some("33:33"));
    let scope = "/token?service=r&scope=repository%3Ateam%2Fapp%3Apull";
    assert!(fake.asked.lock().expect("no panic").iter().any(|(path, _)| path == scope));
    let refused = registry.resolve(&image, &Credentials::default()).await.expect_err("refused").to_string();
    assert!(refused.contains("no credentials") && refused.contains("spec.imagePullSecrets"), "{refused}");
}

#[tokio::test]
async fn a_redirect_to_another_host_loses_the_credentials() {
    let elsewhere = serve(|_, _, _| config().into_response()).await;
    let target = elsewhere.address.clone();
    let fake = serve(move |path, headers, _| {
        if headers.get("authorization").is_none() {
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"r\"")]).into_response();
        }
        if path.contains("/blobs/") {
            return (StatusCode::TEMPORARY_REDIRECT, [("location", format!("http://{target}/blob"))]).into_response();
        }
        content(path)
    })
    .await;
    let image = format!("{}/team/app:prod", fake.address);
    let allowed = registry(&[&fake, &elsewhere]);
    allowed.resolve(&image, &credentials(&fake.address)).await.expect("resolved");
    assert_eq!(*elsewhere.asked.lock().expect("no panic"), [("/blob".to_owned(), None)]);
    // The same redirect, to an address that nobody listed, is not followed at all.
    let refusal = registry(&[&fake]).resolve(&image, &credentials(&fake.address)).await.expect_err("refused");
    assert!(matches!(refusal, Error::Refused { .. }), "{refusal}");
    assert_eq!(elsewhere.asked.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn what_a_registry_answers_is_told_apart() {
    let fake = serve(|path, _, _| {
        if path.contains("/busy/") {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "90")], "hunter2").into_response()
        } else if path.contains("/ill/") {
            (StatusCode::BAD_GATEWAY, "hunter2").into_response()
        } else if path.contains("/large/") {
            vec![b' '; LARGEST + 1].into_response()
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    })
    .await;
    let registry = registry(&[&fake]);
    let ask = async |name: &str| {
        let image = format!("{}/{name}/app:prod", fake.address);
        registry.resolve(&image, &Credentials::default()).await.expect_err("an error")
    };
    assert!(matches!(ask("none").await, Error::NotFound { .. }));
    assert!(matches!(ask("busy").await, Error::RateLimited { retry_after: Some(after), .. } if after.as_secs() == 90));
    let ill = ask("ill").await;
    assert!(matches!(&ill, Error::Unreachable { .. }) && !ill.to_string().contains("hunter2"), "{ill}");
    assert!(matches!(ask("large").await, Error::Unreachable { .. }));
}

#[tokio::test]
async fn this_machine_is_not_asked_unless_it_is_listed() {
    let fake = serve(|path, _, _| content(path)).await;
    let port = fake.address.rsplit_once(':').expect("a port").1;
    for host in
        [fake.address.clone(), format!("localhost:{port}"), "169.254.169.254".to_owned(), format!("[::1]:{port}")]
    {
        let image = format!("{host}/team/app:prod");
        let refusal = registry(&[]).resolve(&image, &Credentials::default()).await.expect_err("refused");
        assert!(matches!(refusal, Error::Refused { .. } | Error::Invalid { .. }), "{host}: {refusal}");
    }
    assert!(fake.asked.lock().expect("no panic").is_empty());
}
