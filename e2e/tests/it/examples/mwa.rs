//! `manifests/examples/mwa-transients`, used as its people do: they sign in, ask for what is near a place in the sky, and push.

use std::process::Command;
use std::time::Duration;

use drover_crds::condition::{READY, get as condition};
use drover_crds::{Database, ReleaseStep};
use drover_e2e::{DataServer, Namespace, System, eventually, front_image, get, postgres_image, run};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use serde_json::Value;
use tempfile::TempDir;

const LOGIN: &str = "/accounts/login/";
/// What a page says to the administrator.
const SIGNED_IN: &str = "signed in as admin";
const SOON: Duration = Duration::from_secs(120);

/// The names of what is near the Crab nebula, as the page says them.
async fn near_the_crab(namespace: &Namespace) -> Result<Value, String> {
    let answer = get(&namespace.ingress(), &namespace.host(), "/near/?ra=83.5&dec=22.1&radius=1").await?;
    serde_json::from_str::<Value>(&answer.body).map_err(|error| format!("{answer:?}: {error}"))
}

async fn jobs(namespace: &Namespace) -> Vec<String> {
    let jobs = namespace.api::<Job>().list(&ListParams::default()).await.expect("Jobs can be listed").items;
    jobs.into_iter().filter_map(|job| job.metadata.name).collect()
}

/// The path of the style sheet that the login page names.
async fn style_of_the_login_page(namespace: &Namespace) -> String {
    let page = namespace.app("web").page(LOGIN).await;
    let (_, rest) = page.split_once("href=\"").unwrap_or_else(|| panic!("no style: {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Somebody's browser, with its cookies.
struct Visitor {
    folder: TempDir,
}

impl Visitor {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// What the page says, where it leads to in the end.
    fn page(&self, namespace: &Namespace, path: &str, arguments: &[&str]) -> String {
        let jar = self.folder.path().join("cookies");
        let (host, address) = (namespace.host(), namespace.ingress());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--location", "--connect-to", &format!("{host}:80:{address}")]);
        curl.arg("--cookie-jar").arg(&jar).arg("--cookie").arg(&jar).args(arguments);
        run(curl.arg(format!("http://{host}{path}")))
    }

    /// What the administrator sees who signs in with that password.
    fn sign_in(&self, namespace: &Namespace, password: &str) -> String {
        let page = self.page(namespace, LOGIN, &[]);
        let (_, token) =
            page.split_once("csrfmiddlewaretoken\" value=\"").unwrap_or_else(|| panic!("no token: {page}"));
        let token = token.split('"').next().unwrap_or_default();
        let form = format!("csrfmiddlewaretoken={token}&username=admin&password={password}");
        self.page(namespace, LOGIN, &["--data", &form])
    }

    /// The cookies are another host's from now on, as where a name leads to another server.
    fn host_is_now(&self, before: &Namespace, after: &Namespace) {
        let jar = self.folder.path().join("cookies");
        let cookies = std::fs::read_to_string(&jar).expect("cookies");
        std::fs::write(jar, cookies.replace(&before.host(), &after.host())).expect("ours to write");
    }
}

/// A value of the Secret that drover filled.
async fn generated(namespace: &Namespace, key: &str) -> String {
    let secret = namespace.get::<Secret>("django").await.and_then(|secret| secret.data).expect("the Secret");
    String::from_utf8(secret[key].0.clone()).expect("text")
}

fn restarts(pods: &[Pod]) -> i32 {
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref());
    statuses.flatten().map(|container| container.restart_count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn mwa_runs_from_git_and_is_used_as_its_people_do() {
    let namespace = Namespace::new("mwa").await;
    let bed = namespace.bed();
    front_image(bed);
    let postgres = postgres_image(bed);
    let image = |number: u32| format!("{}/{}:{number}", bed.registry(), namespace.name());
    let push = |number: u32| {
        let style = move |folder: &std::path::Path| {
            let text = format!("body {{ order: {number}; }}\n");
            std::fs::write(folder.join("candidates/static/candidates/site.css"), text).expect("ours to write");
        };
        bed.push_python(&image(number), "mwa", style, &["--workdir", "/app"])
    };
    push(1);
    let settled = |system: System, number: u32| {
        system
            .with("registry.example.org/postgres-q3c:15", &postgres)
            .with(&format!("registry.example.org/gleamxgp:{number}"), &image(number))
            .with("mwa.example.org", &namespace.host())
            .with("storage: 10Gi", "storage: 500Mi")
            .with("storage: 11Gi", "storage: 200Mi")
            .with("storage: 20Gi", "storage: 100Mi")
    };

    // One push, and it is live: the database first, then its migration, then the app.
    let repo = namespace.repository("mwa");
    let first = settled(System::first("mwa-transients"), 1).push(&repo, "Find transients");
    let environment = namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    environment.is_ready_at(&first).await;
    app.answers(LOGIN, "<form").await;
    let found = near_the_crab(&namespace).await.expect("the page answers");
    assert_eq!(found["names"], serde_json::json!(["crab"]), "{found}");
    let ran = async |job: &str| jobs(&namespace).await.into_iter().filter(|name| name.contains(job)).count();
    assert_eq!((ran("migrate").await, ran("superuser").await, ran("assets-static").await), (1, 1, 1));

    // Somebody signs in whose password drover made, and the page has its style.
    let style = style_of_the_login_page(&namespace).await;
    assert!(namespace.app("web").page(&style).await.contains("order: 1"), "{style}");
    let password = generated(&namespace, "DJANGO_SUPERUSER_PASSWORD").await;
    let visitor = Visitor::new();
    let signed_in = visitor.sign_in(&namespace, &password);
    assert!(signed_in.contains(SIGNED_IN), "{signed_in}");

    // The first backup was restored and compared.
    eventually("a backup is verified", 2 * SOON, async || {
        let status = namespace.get::<Database>("db").await.and_then(|db| db.status).unwrap_or_default();
        match condition(&status.conditions, "BackupVerified") {
            Some(verified) if verified.status == "True" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // Its health goes bad, and after three minutes of that it is restarted.
    app.page("/fail/").await;
    eventually("the pod is restarted", 2 * SOON, async || match restarts(&app.pods().await) {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    app.answers(LOGIN, "<form").await;

    // Another password, another release; the rows are there.
    let secret = async || namespace.get::<Secret>("db-database").await.and_then(|secret| secret.data);
    let before = secret().await;
    namespace.kubectl(&["delete", "secret", "db-database"]);
    eventually("the app is live with another password", SOON, async || {
        let database = namespace.get::<Database>("db").await.and_then(|db| db.status).unwrap_or_default();
        let ready = condition(&database.conditions, READY).is_some_and(|ready| ready.status == "True");
        let release = app.status().await.rollout.release.map(|release| (release.number, release.step));
        let is_live = release.is_some_and(|(number, step)| number >= 2 && step == ReleaseStep::Live);
        let is_other = secret().await.is_some_and(|now| Some(now) != before);
        match near_the_crab(&namespace).await {
            Ok(found) if ready && is_other && is_live && found["names"][0] == "crab" => Ok(()),
            other => Err(format!("{other:?} {release:?} {is_other}")),
        }
    })
    .await;

    // A second version.
    push(2);
    let second = settled(System::second("mwa-transients"), 2).push(&repo, "Look better");
    app.is_live_at(&second).await;
    let found = near_the_crab(&namespace).await.expect("the page answers");
    assert_eq!(found["names"], serde_json::json!(["crab"]), "{found}");
    let new = style_of_the_login_page(&namespace).await;
    assert_ne!(new, style);
    assert!(app.page(&new).await.contains("order: 2"), "{new}");
    assert!(app.page(&style).await.contains("order: 1"), "a page that is open in a browser finds its old style");
    assert_eq!(ran("superuser").await, 1, "once");

    // Somebody deletes everything that drover makes it of. Git has it back, with its rows, its passwords and who was signed in.
    let before = secret().await;
    namespace.kubectl(&["delete", "webapp/web", "database/db", "--wait"]);
    eventually("all is back", 2 * SOON, async || match near_the_crab(&namespace).await {
        Ok(found) if found["names"][0] == "crab" && visitor.page(&namespace, "/", &[]).contains(SIGNED_IN) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    app.is_live_at(&second).await;
    assert_eq!(secret().await, before, "a password lives as long as the data");

    moves_in(&namespace, &visitor, &password, |system| settled(system, 1)).await;
}

/// A deployment elsewhere moves in, with a dump of its database as compose's `pg_dump` makes it, and with its secret key: its people sign in
/// as before, and who was signed in still is.
async fn moves_in(from: &Namespace, visitor: &Visitor, password: &str, settled: impl Fn(System) -> System) {
    let dump = [
        "exec",
        "db-0",
        "--",
        "/usr/lib/postgresql/15/bin/pg_dump",
        "--host=/run/drover",
        "--username=postgres",
        "--clean",
        "gleamx",
    ];
    let dump = from.kubectl(&dump);
    let server = DataServer::start("mwamove");
    server.put("gleamx.sql", &dump);
    let key = generated(from, "DJANGO_SECRET_KEY").await;
    let namespace = Namespace::new("mwamove").await;
    namespace.kubectl(&["create", "secret", "generic", "django", &format!("--from-literal=DJANGO_SECRET_KEY={key}")]);
    let init = format!("  init: {{fromDump: {{http: {{url: \"{}\"}}}}}}\n", server.url("gleamx.sql"));
    let superuser = "  - {name: superuser, at: AfterDeploy, run: Once, command: [python3, manage.py, createsuperuser, --noinput]}\n";
    let repo = namespace.repository("mwamove");
    let commit = settled(System::first("mwa-transients"))
        .with(&from.host(), &namespace.host())
        .with("  user: gleamer\n", &format!("  user: gleamer\n{init}"))
        // There is one already, as it says in the dump.
        .with(superuser, "")
        .push(&repo, "Move in");
    namespace.follow(&repo).await;
    namespace.app("web").is_live_at(&commit).await;
    assert_eq!(generated(&namespace, "DJANGO_SECRET_KEY").await, key, "what is there is never changed");
    visitor.host_is_now(from, &namespace);
    let page = visitor.page(&namespace, "/", &[]);
    assert!(page.contains(SIGNED_IN), "a cookie of before is good: {page}");
    let page = Visitor::new().sign_in(&namespace, password);
    assert!(page.contains(SIGNED_IN), "an old password is good: {page}");
    let found = near_the_crab(&namespace).await.expect("the page answers");
    assert_eq!(found["names"], serde_json::json!(["crab"]), "{found}");
}
