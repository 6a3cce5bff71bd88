//! What is wrong with a web app.

use std::time::Duration;

use drover_e2e::{App, Environment, Hello, Namespace, Testbed, eventually, get, ready};
use k8s_openapi::api::networking::v1::Ingress;

use super::{Team, config_map, one_sentence, short, text};

/// How long a bad release may take to be judged: its start-up time and some restarts.
const A_VERDICT: Duration = Duration::from_secs(180);

fn hello(namespace: &Namespace, tag: &str) -> Hello {
    Hello::new("web", tag, &namespace.host())
}

/// A namespace with a web app that serves, so that there is something to lose.
struct Shop {
    namespace: Namespace,
    repo: drover_e2e::GitRepo,
    hello: Hello,
}

impl Shop {
    async fn open(topic: &str) -> Self {
        let namespace = Namespace::new(topic).await;
        let repo = namespace.repository("web");
        let hello = hello(&namespace, "1");
        let commit = repo.push(&[("web.yaml", &hello.yaml())], "Serve");
        namespace.follow(&repo).await.is_ready_at(&commit).await;
        namespace.app("web").answers("/", "hello from version 1").await;
        Self { namespace, repo, hello }
    }

    fn push(&self, hello: &Hello) {
        self.repo.push(&[("web.yaml", &hello.yaml())], "Bad");
        Environment::named(&self.namespace, "prod").look_now();
    }

    /// What ran before still runs, a second Environment goes live beside it, and a revert is all that it takes.
    async fn goes_on(&self) {
        assert!(self.namespace.app("web").page("/").await.contains("hello from version 1"));
        let repo = self.namespace.repository("other");
        let commit = repo.push(&[("other.yaml", &config_map("other", "fine"))], "Fine");
        Environment::create(&self.namespace, "other", &repo, |_| ()).await.is_ready_at(&commit).await;
        let healed = self.repo.revert(1);
        let environment = Environment::named(&self.namespace, "prod");
        environment.look_now();
        environment.is_ready_at(&healed).await;
        assert!(self.namespace.app("web").page("/").await.contains("hello from version 1"));
    }
}

/// The sentence that a person reads about the app `web`, once it holds `words`: the same in its status, in `drover status`, and
/// in the status of the Environment that applied it.
async fn reads(namespace: &Namespace, words: &str) -> String {
    let app: App = namespace.app("web");
    let what = format!("WebApp {}/web says `{words}`", namespace.name());
    let said = eventually(&what, A_VERDICT, async || {
        let ready = ready(&app.status().await.conditions)?;
        if ready.status == "False" && ready.message.contains(words) {
            Ok(ready.message)
        } else {
            Err(format!("{ready:?}"))
        }
    })
    .await;
    one_sentence(&said);
    let of_app = format!("WebApp {}/web", namespace.name());
    Environment::named(namespace, "prod")
        .comes_to("says of which app that is", |status| match ready(&status.conditions)? {
            ready if ready.status != "True" && ready.message.contains(&of_app) && ready.message.ends_with(&said) => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        })
        .await;
    let shown = namespace.drover(&["status", "--namespace", namespace.name()]);
    assert_eq!(shown.stdout.matches(&said).count(), 1, "drover status does not say once `{said}`:\n{}", shown.said());
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_root_runs_as_somebody_else() {
    let namespace = Namespace::new("root").await;
    let repo = namespace.repository("web");
    let commit = repo.push(&[("web.yaml", &hello(&namespace, "root").with_volume("Delete").yaml())], "Serve");
    namespace.follow(&repo).await.has_applied(&commit).await;
    let app = namespace.app("web");
    let status = app.is_live_at(&commit).await;
    let said = ready(&status.conditions).expect("a condition").message;
    assert_eq!(said, format!("Release 1 ({}) is live: 1 of 1 pods ready", short(&commit)));
    app.answers("/data", "version root").await;
    let users: Vec<_> =
        app.pods().await.into_iter().filter_map(|pod| pod.spec?.security_context?.run_as_user).collect();
    assert_eq!(users, [1000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_needs_root_is_told_how_to_ask_for_it() {
    let namespace = Namespace::new("needs-root").await;
    let repo = namespace.repository("web");
    // It writes beside its code.
    let needs_root = hello(&namespace, "root").env("DATA_DIR", "/").health("startupTimeout: 30s");
    repo.push(&[("web.yaml", &needs_root.yaml())], "Serve");
    namespace.follow(&repo).await;
    let said = reads(&namespace, "Release 1 failed in step Rollout: ").await;
    let hint = ": its log says why (the image names no user but root, so it runs as user 1000: if it has to write beside its code, set runAs.user or allowRoot); no earlier release can be put back; push a correction";
    assert!(said.contains("exited with code 1") && said.ends_with(hint), "{said}");
    let log =
        namespace.app("web").status().await.rollout.release.and_then(|release| release.problem).expect("a problem").log;
    assert!(log.iter().any(|line| line.contains("cannot write my data")), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_listens_on_loopback_only_is_told_so() {
    let shop = Shop::open("loopback").await;
    shop.push(&shop.hello.clone().env("LISTEN_LOCAL", "1").health("path: /healthz, startupTimeout: 10s"));
    let said = reads(&shop.namespace, "Release 2 failed in step Rollout: ").await;
    assert!(
        said.contains("answer its startup probe GET /healthz on port ")
            && said.contains("listen on another port or on 127.0.0.1 only")
            && said.ends_with("; release 1 goes on serving; push a correction"),
        "{said}"
    );
    shop.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_answers_only_its_own_host_is_asked_for_that_host() {
    let shop = Shop::open("host").await;
    let picky = shop.hello.clone().env("ALLOWED_HOSTS", &shop.namespace.host());
    let commit = shop.repo.push(&[("web.yaml", &picky.clone().health("path: /healthz").yaml())], "Be picky");
    Environment::named(&shop.namespace, "prod").is_ready_at(&commit).await;
    let app = shop.namespace.app("web");
    app.is_live_at(&commit).await;
    app.answers("/", "hello from version 1").await;

    // Asked for another host it answers 400; the sentence names that host while the old pod serves on.
    shop.push(&picky.health("path: /healthz, host: other.test, startupTimeout: 10s"));
    let said = reads(&shop.namespace, "Release 3 failed in step Rollout: ").await;
    assert!(
        said.contains("answer its startup probe GET /healthz on port ")
            && said.contains(" with Host other.test")
            && said.contains("or refuse the Host header")
            && said.ends_with("; release 2 goes on serving; push a correction"),
        "{said}"
    );
    shop.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_named() {
    let shop = Shop::open("missing").await;
    let missing = shop.hello.clone().tag("no-such-tag");
    shop.push(&missing);
    assert_eq!(
        reads(&shop.namespace, "no-such-tag").await,
        format!(
            "the image {} is not there: the registry {} knows no such repository or tag; push the image, or correct spec.image",
            missing.image(),
            Testbed::shared().registry()
        )
    );

    // Meanwhile what others change of the release that serves is put back.
    shop.namespace.kubectl(&["delete", "service", "web"]);
    shop.namespace.app("web").answers("/", "hello from version 1").await;
    shop.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_another_app_has_is_left_to_it() {
    let first = Shop::open("first").await;
    let second = Namespace::new("second").await;
    let repo = second.repository("web");
    let taken = Hello::new("web", "2", &first.namespace.host());
    repo.push(&[("web.yaml", &taken.yaml())], "The same host");
    second.follow(&repo).await;
    let (one, two, host) = (first.namespace.name(), second.name(), first.namespace.host());
    assert_eq!(
        reads(&second, "claims").await,
        format!(
            "Ingress {two}/web claims {host}/, but the host {host} belongs to namespace {one}, where Ingress {one}/web of WebApp {one}/web has it: give it a host of its own, or delete that Ingress if it is no longer needed"
        )
    );
    assert!(second.get::<Ingress>("web").await.is_none(), "two Ingresses claim {host}");
    assert!(second.app("web").pods().await.is_empty(), "a release began that nobody could reach");
    assert!(first.namespace.app("web").page("/").await.contains("hello from version 1"));

    // Nor does a longer path take a part of its requests, nor a wildcard, nor an annotation. Its own namespace shares it by path.
    let other = second.repository("other");
    let wildcard = format!("'*.{}'", host.split_once('.').expect("a host of two labels").1);
    let alias = format!("expose: {{annotations: {{nginx.ingress.kubernetes.io/server-alias: {host}}}}}");
    let forged = "expose: {annotations: {traefik.ingress.kubernetes.io/router.pathmatcher: 'Host(`x`) || PathPrefix'}}";
    let others = [
        ("path", Hello::new("path", "2", &host).yaml().replace("path: /,", "path: /api,"), "HostTaken"),
        ("wildcard", Hello::new("wildcard", "2", &wildcard).yaml(), "HostTaken"),
        ("alias", Hello::new("alias", "2", &format!("alias.{}", second.host())).spec(&alias).yaml(), "HostTaken"),
        ("forged", Hello::new("forged", "2", &format!("forged.{}", second.host())).spec(forged).yaml(), "RouteUnclear"),
    ];
    let files: Vec<(String, &str)> = others.iter().map(|(name, yaml, _)| (format!("{name}.yaml"), &**yaml)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (&**name, *yaml)).collect();
    let commit = other.push(&files, "The same host in other words");
    let beside = Environment::create(&second, "other", &other, |_| ()).await;
    beside.has_applied(&commit).await;
    for (name, _, reason) in &others {
        let app = second.app(name);
        app.comes_to(&format!("is refused for {reason}"), |status| {
            let ready = drover_e2e::ready(&status.conditions)?;
            if ready.reason == *reason { Ok(()) } else { Err(format!("{ready:?}")) }
        })
        .await;
        assert!(second.get::<Ingress>(name).await.is_none(), "{name} has an Ingress");
    }
    beside.delete().await;
    second.kubectl(&["delete", "webapps", "path", "wildcard", "alias", "forged"]);
    let api = Hello::new("api", "2", &host).yaml().replace("path: /,", "path: /api,");
    let commit = first.repo.push(&[("web.yaml", &first.hello.yaml()), ("api.yaml", &api)], "Another path");
    first.namespace.app("api").is_live_at(&commit).await;

    // Once the first lets go of the host, the second has it, and nobody has to wait for it.
    let moved = format!("www.{host}");
    let api = api.replace(&host, &moved);
    first.repo.push(&[("web.yaml", &Hello::new("web", "1", &moved).yaml()), ("api.yaml", &api)], "Move");
    Environment::named(&first.namespace, "prod").look_now();
    eventually("the second app answers", A_VERDICT, async || {
        let response = get(&second.ingress(), &host, "/").await?;
        if response.body.contains("hello from version 2") { Ok(()) } else { Err(format!("{response:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_an_ingress_of_another_tool_has_is_left_to_it() {
    let theirs = Namespace::new("theirs").await;
    let host = theirs.host();
    let ingress = |name: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  rules:\n  - host: {host}\n    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}\n"
        )
    };
    theirs.apply(&ingress("old"));
    let team = Team::live("ours").await;
    let bad = team.push(&[("web.yaml", &ingress("web")), ("box.yaml", &config_map("box", "a"))]);
    let (one, two) = (theirs.name(), team.name());
    assert_eq!(
        team.reads("HostTaken").await,
        format!(
            "web.yaml:1: Ingress {two}/web claims {host}/, but the host {host} belongs to namespace {one}, where Ingress {one}/old has it: give it a host of its own, or delete that Ingress if it is no longer needed"
        )
    );
    assert!(team.namespace.get::<Ingress>("web").await.is_none());
    assert_eq!(text(&team.namespace, "box").await.as_deref(), Some("a"), "the rest of the commit was not applied");
    team.has_lost_nothing().await;
    team.delays_nobody().await;

    theirs.kubectl(&["delete", "ingress", "old"]);
    team.environment().is_ready_at(&bad).await;
}
