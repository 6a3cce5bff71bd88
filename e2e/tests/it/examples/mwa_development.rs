//! `manifests/examples/mwa-development`: whoever works on the catalogue pushes code, and looks at it.

use std::path::Path;
use std::time::{Duration, Instant};

use drover_crds::DataSync;
use drover_e2e::{GitRepo, Namespace, System, eventually, get, postgres_image};

const LOGIN: &str = "/accounts/login/";
const SOON: Duration = Duration::from_secs(60);
/// What the page says that people sign in at.
const TITLE: &str = "candidates/templates/registration/login.html";

/// The files of the program, with their paths in it.
fn program() -> Vec<(String, String)> {
    fn add(folder: &Path, before: &str, files: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("the program's folder") {
            let path = entry.expect("an entry").path();
            let name = format!("{before}{}", path.file_name().and_then(|name| name.to_str()).expect("text"));
            if path.is_dir() {
                add(&path, &format!("{name}/"), files);
            } else {
                files.push((name, std::fs::read_to_string(&path).expect("text")));
            }
        }
    }
    let mut files = Vec::new();
    add(Path::new("testbed/apps/mwa"), "", &mut files);
    files
}

fn push(code: &GitRepo, files: &[(String, String)], message: &str) -> String {
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    code.push_to("dev", &files, message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_code_is_live_without_an_image_and_a_broken_one_leaves_what_ran() {
    let namespace = Namespace::new("mwadev").await;
    let bed = namespace.bed();
    let postgres = postgres_image(bed);
    let image = format!("{}/{}:1", bed.registry(), namespace.name());
    bed.push_python(&image, "mwa", |_| (), &["--workdir", "/app"]);
    let code = namespace.repository("code");
    let mut files = program();
    let first = push(&code, &files, "Begin");
    let settled = |system: System| {
        system
            .with("registry.example.org/postgres-q3c:15", &postgres)
            .with("registry.example.org/gleamxgp:1", &image)
            .with("https://git.example.org/mwa/gleam-webapp.git", &code.https())
            .with("mwa-dev.example.org", &namespace.host())
            .with("storage: 2Gi", "storage: 200Mi")
    };
    let repo = namespace.repository("mwadev");
    let manifests = settled(System::first("mwa-development")).push(&repo, "Work on it");
    let environment = namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.is_live_at(&manifests).await;
    environment.is_ready_at(&manifests).await;
    app.answers(LOGIN, "<form").await;
    let commit = async || namespace.get::<DataSync>("code").await?.status?.last_sync?.commit;
    assert_eq!(commit().await, Some(first));
    // Verbose pages of errors, which production never shows.
    let missing = get(&namespace.ingress(), &namespace.host(), "/nowhere/").await.expect("an answer");
    assert!(missing.status == 404 && missing.body.contains("DEBUG = True"), "{missing:?}");

    // A push to the branch of the code alone.
    let page = files.iter_mut().find(|(name, _)| name == TITLE).expect("the page");
    page.1 = page.1.replace("<form", "<p>New words</p><form");
    let began = Instant::now();
    let second = push(&code, &files, "Say more");
    app.answers(LOGIN, "New words").await;
    println!("a push of code was answered after {:?}", began.elapsed());
    assert_eq!(commit().await, Some(second));

    // Code that does not start: the old pods serve, and it is said which set was put back and why.
    let good = files.clone();
    let settings = files.iter_mut().find(|(name, _)| name.ends_with("settings.py")).expect("the settings");
    settings.1.insert_str(0, "import a_module_that_is_not_there\n");
    push(&code, &files, "Break it");
    eventually("the broken code is put back", 2 * SOON, async || {
        let failure = namespace.get::<DataSync>("code").await.and_then(|sync| sync.status?.failure);
        match &failure {
            Some(failure) if failure.reason == "SetRejected" && failure.message.contains("WebApp") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(app.page(LOGIN).await.contains("New words"), "what ran goes on");
    // And code that goes on from there.
    let mended: Vec<_> =
        good.into_iter().map(|(name, text)| (name, text.replace("New words", "Other words"))).collect();
    push(&code, &mended, "Mend it");
    app.answers(LOGIN, "Other words").await;
    eventually("nothing is wrong any more", SOON, async || {
        let failure = namespace.get::<DataSync>("code").await.and_then(|sync| sync.status?.failure);
        failure.map_or(Ok(()), |failure| Err(format!("{failure:?}")))
    })
    .await;
}
