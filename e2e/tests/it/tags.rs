//! A tag that is followed: it moves, to what is good and to what is broken, and goes.

use std::time::Duration;

use drover_crds::{ReleaseStep, RolloutStatus, WebAppStatus};
use drover_e2e::{
    App, Controller, Environment, Hello, ImageRegistry, Manners, Namespace, Testbed, eventually, finish, install,
    ready, steadily,
};
use rustix::process::Signal;

/// The testbed of the tests that start controllers anew.
const PLAYED: u32 = 47;
const FOLLOWED: &str = "imagePolicy: {follow: Tag}";

/// Waits until a release with an image of that digest is live, and returns the status.
async fn runs(app: &App<'_>, digest: &str) -> WebAppStatus {
    app.comes_to(&format!("runs {digest}"), |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        let ready = ready(&status.conditions)?;
        if release.image.ends_with(digest) && release.step == ReleaseStep::Live && ready.status == "True" {
            Ok(status.clone())
        } else {
            Err(format!("{release:?}, {ready:?}, {:?}", status.rollout.image))
        }
    })
    .await
}

fn number(status: &WebAppStatus) -> i64 {
    status.rollout.release.as_ref().expect("a release").number
}

fn problem(status: &RolloutStatus) -> Result<String, String> {
    let image = status.image.as_ref().ok_or("no tag is followed")?;
    let problem = image.problem.as_ref().ok_or_else(|| format!("it is seen: {image:?}"))?;
    assert!(image.last_seen.is_some(), "it does not say when it was seen: {image:?}");
    Ok(problem.reason.clone())
}

fn is_held(status: &RolloutStatus) -> bool {
    status.image.as_ref().is_some_and(|image| image.hold.is_some())
}

fn rollback(namespace: &Namespace, arguments: &[&str]) -> drover_e2e::Finished {
    namespace.drover(&[&["rollback", "webapp/web", "--namespace", namespace.name()], arguments].concat())
}

/// On real pods: what people see of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tag_is_rolled_out_and_a_broken_one_rolled_back_by_one_command() {
    let namespace = Namespace::new("tags").await;
    let bed = namespace.bed();
    let image = format!("{}/{}:prod", bed.registry(), namespace.name());
    let push = |version: &str, more: &[&str]| {
        bed.push_hello(&image, &[&["--env", &format!("VERSION={version}")], more].concat())
    };
    let hello = |greeting: &str| {
        let hello = Hello::new("web", "1", &namespace.host()).of(&image);
        hello.env("GREETING", greeting).health("startupTimeout: 30s").spec(FOLLOWED).yaml()
    };
    let one = push("1", &[]);
    let repo = namespace.repository("web");
    let first = repo.push(&[("web.yaml", &hello("hello"))], "Serve");
    let environment = namespace.follow(&repo).await;
    let app = namespace.app("web");
    let status = runs(&app, &one).await;
    assert_eq!(number(&status), 1);
    environment.is_ready_at(&first).await;
    app.answers("/", "hello from version 1").await;

    // Nobody says a word: the registry is asked once a minute.
    let prober = app.probe();
    let revision = format!("org.opencontainers.image.revision={first}");
    let source = format!("org.opencontainers.image.source={}", repo.https().trim_end_matches(".git"));
    let two = push("2", &["--label", &revision, "--label", &source]);
    let status = runs(&app, &two).await;
    let release = status.rollout.release.as_ref().expect("a release");
    let built_from = release.built_from.as_ref().expect("the image says so");
    assert_eq!((release.number, &*built_from.revision, &built_from.git_is_at), (2, &*first, &None));
    assert_eq!(release.commit.as_deref(), Some(&*first), "no commit brought it");
    app.answers("/", "hello from version 2").await;
    let template = app.deployment().await.spec.and_then(|spec| spec.template.spec).expect("pods have a spec");
    let variables = template.containers[0].env.clone().unwrap_or_default();
    let revision = variables.iter().find(|variable| variable.name == "DROVER_IMAGE_REVISION");
    assert_eq!(revision.and_then(|variable| variable.value.as_deref()), Some(&*first));

    let broken = push("3", &["--env", "EXIT_CODE=1"]);
    namespace.app("web").look_now("broken").await;
    app.fails_with(&["CrashLoopBackOff", "Error"]).await;
    let back = rollback(&namespace, &[]);
    assert_eq!(back.code, 0, "{}", back.said());
    assert!(back.stdout.contains("runs the image of release 2, as release 4"), "{}", back.said());
    let status = runs(&app, &two).await;
    assert!(ready(&status.conditions).expect("Ready").message.contains("the image of release 2 is held"), "{status:?}");

    // What git brings meanwhile comes with the image that is held.
    let second = repo.push(&[("web.yaml", &hello("good day"))], "Greet");
    app.is_live_at(&second).await;
    app.answers("/", "good day from version 2").await;
    let status = runs(&app, &two).await;
    assert_eq!(status.rollout.image.as_ref().and_then(|image| image.digest.as_deref()), Some(&*broken));
    assert!(is_held(&status.rollout), "{status:?}");
    app.comes_to("says that git has gone on", |status| {
        let built_from = status.rollout.release.as_ref().and_then(|release| release.built_from.as_ref());
        let git_is_at = built_from.and_then(|built| built.git_is_at.as_deref());
        if git_is_at == Some(&*second) { Ok(()) } else { Err(format!("{built_from:?}")) }
    })
    .await;

    // A second time goes one further back, a third has nowhere to go.
    let further = rollback(&namespace, &[]);
    assert_eq!(further.code, 0, "{}", further.said());
    runs(&app, &one).await;
    let nowhere = rollback(&namespace, &[]);
    assert!(
        nowhere.code == 1 && nowhere.stderr.contains("the image of release 1 is held already"),
        "{}",
        nowhere.said()
    );

    // The hold ends by itself.
    let four = push("4", &[]);
    namespace.app("web").look_now("mended").await;
    let status = runs(&app, &four).await;
    assert!(!is_held(&status.rollout), "{status:?}");
    app.answers("/", "good day from version 4").await;

    // A tag that is gone takes nothing along.
    let name = namespace.name();
    let gone = drover_e2e::delete(bed.registry(), &format!("/v2/{name}/manifests/{four}")).await;
    assert_eq!(gone.map(|answer| answer.status), Ok(202));
    namespace.app("web").look_now("gone").await;
    let status = app
        .comes_to("says that the tag is gone", |status| {
            let reason = problem(&status.rollout)?;
            if reason == "ImageNotFound" { Ok(status.clone()) } else { Err(reason) }
        })
        .await;
    let ready = ready(&status.conditions).expect("Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "Live"));
    let seen = prober.until_it_serves().await;
    assert!(seen.failures.is_empty(), "{:?}", seen.failures);
}

/// A namespace on played nodes, with a registry of the test's own.
struct Site {
    namespace: Namespace,
    registry: ImageRegistry,
}

impl Site {
    async fn new() -> Self {
        let bed: &'static Testbed = Box::leak(Box::new(Testbed::with_fake_nodes(PLAYED, 1)));
        install(bed);
        Self { namespace: Namespace::on(bed, "tags").await, registry: ImageRegistry::start().await }
    }

    async fn led(&self) -> Controller {
        let bed = self.namespace.bed();
        let drover = Controller::on(bed).arguments(&["--insecure-registry", &self.registry.address()]).start();
        drover.leads_within(Duration::from_secs(40)).await;
        drover
    }

    fn app(&self, greeting: &str) -> String {
        let hello = Hello::new("web", "1", &self.namespace.host()).of(&self.registry.image());
        hello.env("GREETING", greeting).spec(FOLLOWED).yaml()
    }

    /// Waits until the registry was asked since `before`, and whoever is called by the answer had time to act.
    async fn was_asked(&self, before: usize) {
        eventually("the registry is asked", Duration::from_secs(60), async || match self.registry.asked() {
            asked if asked > before => Ok(()),
            asked => Err(format!("{asked} questions")),
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_outlives_the_controller_and_an_unmoved_tag_begins_no_release() {
    let site = Site::new().await;
    let Site { namespace, registry } = &site;
    let mut drover = site.led().await;
    let one = registry.push("one");
    let repo = namespace.repository("web");
    repo.push(&[("web.yaml", &site.app("hello"))], "Serve");
    Environment::create(namespace, "prod", &repo, |_| ()).await;
    let app = namespace.app("web");
    runs(&app, &one).await;

    // However the registry answers, a tag that has not moved has not moved.
    for (n, manners) in [Manners::Good, Manners::NoHead(404), Manners::NoHead(405), Manners::NoDigest]
        .into_iter()
        .cycle()
        .take(10)
        .enumerate()
    {
        registry.has(manners);
        let before = registry.asked();
        namespace.app("web").look_now(&format!("look-{n}")).await;
        site.was_asked(before).await;
        assert_eq!(number(&runs(&app, &one).await), 1, "{manners:?}");
    }
    let two = registry.push("two");
    namespace.app("web").look_now("moved").await;
    assert_eq!(number(&runs(&app, &two).await), 2);
    registry.has(Manners::Good);

    let back = rollback(namespace, &[]);
    assert_eq!(back.code, 0, "{}", back.said());
    assert_eq!(number(&runs(&app, &one).await), 3);
    let stays = async |what: &str, release: i64| {
        steadily(what, Duration::from_secs(10), async || {
            let status = app.status().await;
            let held = is_held(&status.rollout);
            if number(&status) == release && held { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    };
    for signal in [Signal::KILL, Signal::TERM] {
        drover.signal(signal);
        drover.ends_within(Duration::from_secs(30)).await;
        let before = registry.asked();
        drover = site.led().await;
        site.was_asked(before).await;
        stays("the image is held after a start of the controller", 3).await;
    }
    let pushed = repo.push(&[("web.yaml", &site.app("good day"))], "Greet");
    app.is_live_at(&pushed).await;
    assert_eq!(number(&runs(&app, &one).await), 4);
    stays("the image is held after a push", 4).await;

    let end = rollback(namespace, &["--end"]);
    assert_eq!(end.code, 0, "{}", end.said());
    assert_eq!(number(&runs(&app, &two).await), 5);

    // The tag goes, the registry wants to be left alone: the app is as it was, and a commit is brought out all the same.
    registry.delete_tag();
    for (manners, reason) in [(Manners::NoHead(404), "ImageNotFound"), (Manners::Limited(600), "RegistryRateLimited")] {
        registry.has(manners);
        namespace.app("web").look_now(reason).await;
        let status = app
            .comes_to(&format!("says {reason}"), |status| match problem(&status.rollout)? {
                told if told == reason => Ok(status.clone()),
                other => Err(other),
            })
            .await;
        assert_eq!(ready(&status.conditions).expect("Ready").status, "True");
        assert_eq!(number(&status), 5);
    }
    let asked = registry.asked();
    let pushed = repo.push(&[("web.yaml", &site.app("good night"))], "Greet again");
    app.is_live_at(&pushed).await;
    assert_eq!(number(&runs(&app, &two).await), 6);
    assert_eq!(registry.asked(), asked, "it was asked although it wants to be left alone");
    drover.stop();
    namespace.bed().down();
}

/// What could never be followed is refused when it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_tag_whose_registry_is_asked_can_be_followed() {
    let namespace = Namespace::new("unfollowed").await;
    let hello = Hello::new("web", "1", &namespace.host()).spec(FOLLOWED);
    let by_digest = hello.clone().of(&format!("{}@sha256:{}", hello.image(), "0".repeat(64)));
    for (app, said) in [
        (by_digest, "the image is named by digest, which never moves"),
        (hello.clone().spec("imagePullPolicy: Never"), "with imagePullPolicy Never no registry is asked"),
    ] {
        let mut kubectl = namespace.bed().program("kubectl");
        kubectl.args(["--namespace", namespace.name(), "apply", "--dry-run=server", "-f", "-"]);
        let refused = finish(&mut kubectl, &app.yaml());
        assert!(refused.code != 0 && refused.stderr.contains(said), "{}", refused.said());
    }
}

/// For an app that follows no tag the command says what to do instead.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_follows_no_tag_is_rolled_back_in_git() {
    let namespace = Namespace::new("untagged").await;
    let repo = namespace.repository("web");
    let commit = repo.push(&[("web.yaml", &Hello::new("web", "1", &namespace.host()).yaml())], "Serve");
    namespace.follow(&repo).await;
    namespace.app("web").is_live_at(&commit).await;
    let refused = rollback(&namespace, &[]);
    let advice = format!("git revert --no-edit {}", &commit[..12]);
    assert!(refused.code == 1 && refused.stderr.contains(&advice), "{}", refused.said());
}
