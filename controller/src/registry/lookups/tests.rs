use drover_crds::OwnerKind;

use super::*;

fn name(namespace: &str, name: &str) -> Owner {
    Owner::new(OwnerKind::WebApp, namespace, name)
}

fn question(image: &str) -> Question {
    Question {
        image: image.to_owned(),
        registry: "r.test".to_owned(),
        credentials: "nobody".to_owned(),
        scope: Scope::Commit(Some("c1".to_owned())),
    }
}

fn resolved(digest: &str) -> Resolved {
    Resolved { reference: format!("app@{digest}"), digest: digest.to_owned(), user: None, origin: None }
}

fn away() -> Error {
    Error::Unreachable { image: "app".into(), registry: "r.test".into(), why: "away".into() }
}

fn limited(seconds: u64) -> Error {
    let retry_after = Some(Duration::from_secs(seconds));
    Error::RateLimited { image: "app".into(), registry: "r.test".into(), retry_after }
}

const ASKING: Answer = Answer::Asking { before: None };

struct Asked {
    lookups: Lookups,
    now: Instant,
}

impl Asked {
    fn new() -> Self {
        Self { lookups: Lookups::default(), now: Instant::now() }
    }

    fn ask(&mut self, who: &Owner, question: &Question, asked: Option<&str>) -> Answer {
        self.lookups.ask(who, question, &Credentials::default(), asked, self.now)
    }

    fn started(&mut self) -> Vec<String> {
        self.lookups.start().into_iter().map(|(question, _)| question.image).collect()
    }

    fn answered(&mut self, question: &Question, answer: Result<Resolved, Error>) -> Vec<String> {
        self.lookups.answered(question, answer, self.now, 0.5).into_iter().map(|owner| owner.key.name).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn holds_nothing(&self) -> bool {
        self.lookups.questions.is_empty() && self.lookups.asked.is_empty() && self.lookups.waiting.is_empty()
    }
}

#[test]
fn one_question_is_asked_once_and_all_who_wait_are_told() {
    let (mut asked, app) = (Asked::new(), question("app"));
    let (web, worker) = (name("shop", "web"), name("shop", "worker"));
    assert_eq!(asked.ask(&web, &app, None), ASKING);
    assert_eq!(asked.started(), ["app"]);
    assert_eq!(asked.ask(&worker, &app, None), ASKING);
    assert_eq!(asked.ask(&web, &app, None), ASKING);
    assert!(asked.started().is_empty(), "it is under way");
    assert_eq!(asked.answered(&app, Ok(resolved("sha256:a"))), ["web", "worker"]);
    assert_eq!(asked.ask(&web, &app, None), Answer::Known(resolved("sha256:a")));
    assert_eq!(asked.ask(&worker, &app, None), Answer::Known(resolved("sha256:a")));
    assert!(asked.holds_nothing());
}

#[test]
fn a_tag_without_a_commit_is_resolved_for_each_who_asks_and_each_time() {
    let mut asked = Asked::new();
    let web = name("shop", "web");
    let app = Question { scope: Scope::Asker(web.clone()), ..question("app") };
    for digest in ["sha256:a", "sha256:b"] {
        assert_eq!(asked.ask(&web, &app, None), ASKING);
        assert_eq!(asked.started(), ["app"]);
        assert_eq!(asked.answered(&app, Ok(resolved(digest))), ["web"]);
        assert_eq!(asked.ask(&web, &app, None), Answer::Known(resolved(digest)));
        assert!(asked.holds_nothing());
    }
}

#[test]
fn a_failure_is_remembered_until_it_is_asked_again_and_while_it_is() {
    let (mut asked, app) = (Asked::new(), question("app"));
    let web = name("shop", "web");
    let failed = |seconds| Answer::Failed { error: away(), again: Duration::from_secs(seconds) };
    asked.ask(&web, &app, None);
    asked.started();
    assert_eq!(asked.answered(&app, Err(away())), ["web"]);
    assert_eq!(asked.ask(&web, &app, None), failed(1));
    assert!(asked.started().is_empty(), "an event does not ask sooner");
    asked.pass(1);
    assert_eq!(asked.ask(&web, &app, None), Answer::Asking { before: Some(away()) });
    assert_eq!(asked.started(), ["app"]);
    asked.answered(&app, Err(away()));
    assert_eq!(asked.ask(&web, &app, None), failed(2), "ever less often");
    // A person asks.
    assert_eq!(asked.ask(&web, &app, Some("now")), Answer::Asking { before: Some(away()) });
    assert_eq!(asked.started(), ["app"]);
    asked.answered(&app, Err(away()));
    assert_eq!(asked.ask(&web, &app, Some("now")), failed(4), "once");
}

#[test]
fn a_registry_that_limits_requests_is_left_alone_for_all_images() {
    let mut asked = Asked::new();
    let of = |n: usize| (name("shop", &format!("app-{n}")), question(&format!("app-{n}")));
    for n in 0..6 {
        let (who, image) = of(n);
        assert_eq!(asked.ask(&who, &image, None), ASKING);
    }
    assert_eq!(asked.started().len(), 4);
    // Who waits for a place is answered as well.
    assert_eq!(asked.answered(&of(0).1, Err(limited(90))), ["app-0", "app-4", "app-5"]);
    assert!(asked.started().is_empty());
    let (late, image) = of(7);
    let Answer::Failed { error, again } = asked.ask(&late, &image, Some("now")) else { panic!("it was asked") };
    assert!(error.to_string().contains("app-7"), "{error}");
    assert_eq!(again, Duration::from_secs(90));
    assert!(asked.started().is_empty());
    let other = Question { credentials: "somebody".to_owned(), ..image.clone() };
    assert_eq!(asked.ask(&name("elm", "web"), &other, None), ASKING, "limits are a user's");
    asked.pass(90);
    assert!(matches!(asked.ask(&late, &image, Some("now")), Answer::Asking { before: Some(_) }));
    assert_eq!(asked.started(), ["app-7", "app-7"]);
}

#[test]
fn what_nobody_wants_to_know_any_more_is_dropped() {
    let mut asked = Asked::new();
    let (web, worker) = (name("shop", "web"), name("shop", "worker"));
    let (old, new) = (question("old"), question("new"));
    asked.ask(&web, &old, None);
    asked.ask(&worker, &old, None);
    asked.ask(&web, &new, None);
    asked.lookups.forget(&worker);
    assert_eq!(asked.started(), ["new"], "nobody asks for the old one");
    asked.lookups.forget(&web);
    assert!(asked.answered(&new, Err(away())).is_empty());
    assert!(asked.holds_nothing());
    // Its place is free again.
    for n in 0..4 {
        asked.ask(&name("shop", &format!("app-{n}")), &question(&format!("app-{n}")), None);
    }
    assert_eq!(asked.started().len(), 4);
}
