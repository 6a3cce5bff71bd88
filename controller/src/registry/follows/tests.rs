use drover_crds::OwnerKind;

use super::*;

fn name(name: &str) -> Owner {
    Owner::new(OwnerKind::WebApp, "shop", name)
}

fn tag(image: &str) -> Tag {
    Tag { image: image.to_owned(), registry: "r.test".to_owned(), credentials: "nobody".to_owned() }
}

fn at(digest: &str) -> Pointing {
    Pointing::At(digest.to_owned())
}

fn gone() -> Error {
    Error::NotFound { image: "web".into(), registry: "r.test".into() }
}

fn limited(seconds: u64) -> Error {
    let retry_after = Some(Duration::from_secs(seconds));
    Error::RateLimited { image: "web".into(), registry: "r.test".into(), retry_after }
}

struct Asked {
    follows: Follows,
    now: Instant,
}

impl Asked {
    fn new() -> Self {
        Self { follows: Follows::default(), now: Instant::now() }
    }

    fn follow(&mut self, who: &str, tag: &Tag, commit: &str) -> Pointing {
        let occasion = Occasion { commit: Some(commit.to_owned()), asked: None };
        self.follows.follow(&name(who), (tag, occasion), &Credentials::default(), None, self.now)
    }

    fn started(&mut self) -> Vec<String> {
        self.follows.start(self.now, |_, _| true).into_iter().map(|(tag, ..)| tag.image).collect()
    }

    fn answered(&mut self, tag: &Tag, answer: Result<&str, Error>) -> Vec<String> {
        let (told, _) = self.follows.answered(tag, answer.map(str::to_owned), self.now, 0.5);
        told.into_iter().map(|owner| owner.key.name).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

#[test]
fn a_tag_is_asked_about_once_a_minute_and_only_what_moves_is_told() {
    let (mut asked, web) = (Asked::new(), tag("web"));
    assert_eq!(asked.follow("web", &web, "c1"), Pointing::Asking);
    assert_eq!(asked.started(), ["web"]);
    assert_eq!(asked.answered(&web, Ok("sha256:a")), ["web"]);
    for _ in 0..10 {
        assert_eq!(asked.follow("web", &web, "c1"), at("sha256:a"));
        asked.pass(59);
        assert!(asked.started().is_empty(), "it was asked a second ago");
        asked.pass(1);
        assert_eq!(asked.follows.next(), Some(asked.now));
        assert_eq!(asked.started(), ["web"]);
        assert!(asked.answered(&web, Ok("sha256:a")).is_empty(), "it has not moved");
    }
    asked.pass(60);
    asked.started();
    assert_eq!(asked.answered(&web, Ok("sha256:b")), ["web"]);
    assert_eq!(asked.follow("web", &web, "c1"), at("sha256:b"));
}

#[test]
fn with_another_commit_what_was_seen_before_is_too_old() {
    let (mut asked, web) = (Asked::new(), tag("web"));
    asked.follow("web", &web, "c1");
    asked.started();
    asked.answered(&web, Ok("sha256:a"));
    asked.pass(20);
    assert_eq!(asked.follow("web", &web, "c2"), Pointing::Asking);
    assert_eq!(asked.started(), ["web"]);
    // Another comes while it is asked: the answer may be of before its image was pushed.
    asked.pass(1);
    assert_eq!(asked.follow("web", &web, "c3"), Pointing::Asking);
    assert!(asked.answered(&web, Ok("sha256:a")).is_empty());
    assert_eq!(asked.follow("web", &web, "c3"), Pointing::Asking);
    assert_eq!(asked.started(), ["web"]);
    assert_eq!(asked.answered(&web, Ok("sha256:a")), ["web"], "it waits for that, though nothing moved");
    assert_eq!(asked.follow("web", &web, "c3"), at("sha256:a"));
}

#[test]
fn all_who_follow_a_tag_share_the_question() {
    let (mut asked, web) = (Asked::new(), tag("web"));
    for who in ["web", "worker"] {
        assert_eq!(asked.follow(who, &web, "c1"), Pointing::Asking);
    }
    assert_eq!(asked.started(), ["web"]);
    assert!(asked.started().is_empty());
    assert_eq!(asked.answered(&web, Ok("sha256:a")), ["web", "worker"]);
    asked.follows.forget(&name("web"));
    asked.pass(60);
    assert_eq!(asked.started(), ["web"]);
    asked.follows.forget(&name("worker"));
    assert!(asked.answered(&web, Ok("sha256:b")).is_empty());
    assert!(asked.follows.tags.is_empty() && asked.follows.followers.is_empty(), "nobody follows it any more");
}

#[test]
fn a_tag_that_is_gone_is_told_once_and_again_when_it_is_back() {
    let (mut asked, web) = (Asked::new(), tag("web"));
    asked.follow("web", &web, "c1");
    asked.started();
    asked.answered(&web, Ok("sha256:a"));
    for told in [vec!["web".to_owned()], Vec::new()] {
        asked.pass(60);
        assert_eq!(asked.started(), ["web"]);
        assert_eq!(asked.answered(&web, Err(gone())), told);
    }
    let ago = Some(Duration::from_secs(120));
    assert_eq!(asked.follow("web", &web, "c1"), Pointing::Lost { error: gone(), ago });
    asked.pass(60);
    asked.started();
    assert_eq!(asked.answered(&web, Ok("sha256:a")), ["web"]);
    assert_eq!(asked.follow("web", &web, "c1"), at("sha256:a"));
}

#[test]
fn a_registry_is_asked_about_one_tag_after_the_other() {
    let mut asked = Asked::new();
    let tags: Vec<Tag> = (0..3).map(|n| tag(&format!("web-{n}"))).collect();
    for tag in &tags {
        asked.follow(&tag.image, tag, "c1");
        asked.now += Duration::from_millis(1);
    }
    let elsewhere = Tag { registry: "elsewhere.test".to_owned(), ..tag("other") };
    asked.follow("other", &elsewhere, "c1");
    assert_eq!(asked.started(), ["web-0", "other"]);
    assert_eq!(asked.follows.next(), Some(asked.now + SPACING));
    asked.now += SPACING;
    assert_eq!(asked.started(), ["web-1"]);
    asked.now += SPACING;
    assert_eq!(asked.follows.start(asked.now, |_, _| false).len(), 0, "no place is free");
    assert_eq!(asked.started(), ["web-2"]);
}

#[test]
fn a_registry_that_limits_requests_is_left_alone_for_all_its_tags() {
    let mut asked = Asked::new();
    let (web, other) = (tag("web"), tag("other"));
    for tag in [&web, &other] {
        asked.follow(&tag.image, tag, "c1");
        asked.started();
        asked.now += SPACING;
        asked.answered(tag, Ok("sha256:a"));
    }
    asked.pass(70);
    assert_eq!(asked.started(), ["web"]);
    let (told, until) = asked.follows.answered(&web, Err(limited(600)), asked.now, 0.5);
    assert_eq!((told.len(), until), (1, Some(asked.now + Duration::from_secs(600))));
    let until = until.expect("a time");
    assert_eq!(asked.follows.limit(&web.at(), until).into_iter().collect::<Vec<_>>(), [name("other")]);
    let elsewhere = Tag { credentials: "somebody".to_owned(), ..other.clone() };
    assert!(asked.follows.limit(&elsewhere.at(), until).is_empty(), "limits are a user's");
    for tag in [&web, &other] {
        let Pointing::Lost { error, ago: Some(_) } = asked.follow(&tag.image, tag, "c1") else { panic!("it is known") };
        assert!(matches!(&error, Error::RateLimited { image, retry_after: None, .. } if *image == tag.image));
    }
    // Nor does a commit or a new follower ask.
    let occasion = Occasion { commit: Some("c2".to_owned()), asked: Some("now".to_owned()) };
    let now = asked.now;
    let follows = |follows: &mut Follows, who: &str, tag: &Tag| {
        follows.follow(&name(who), (tag, occasion.clone()), &Credentials::default(), Some(until), now)
    };
    for (who, tag) in [("web", &web), ("late", &tag("late"))] {
        assert!(matches!(follows(&mut asked.follows, who, tag), Pointing::Lost { .. }), "{who}");
    }
    asked.pass(599);
    assert!(asked.started().is_empty());
    asked.pass(1);
    assert_eq!(asked.started().len(), 1);
}
