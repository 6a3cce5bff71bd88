use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        group: "networking.k8s.io".into(),
        kind: "Ingress".into(),
        namespace: Some(namespace.into()),
        name: name.into(),
    }
}

fn rule(host: &str, paths: &[&str]) -> Value {
    let paths: Vec<Value> = paths.iter().map(|path| json!({"path": path, "pathType": "Prefix"})).collect();
    json!({"host": host, "http": {"paths": paths}})
}

fn claims(class: Option<&str>, paths: &[&str]) -> Claims {
    Claims::of(&json!({"spec": {"ingressClassName": class, "rules": [rule("a.test", paths)]}}))
}

fn at(host: &str, path: &str) -> Claims {
    Claims::of(&json!({"spec": {"rules": [rule(host, &[path])]}}))
}

fn annotated(annotations: &Value, host: &str, path: &str) -> Claims {
    Claims::of(&json!({"metadata": {"annotations": annotations}, "spec": {"rules": [rule(host, &[path])]}}))
}

/// Whether `second` is refused where `first` was before, in another namespace; and the host that is named.
fn host_taken(first: &Claims, second: &Claims) -> Option<String> {
    let mut routes = Routes::default();
    routes.observed(&key("oak", "web"), first.clone());
    let taken = routes.taken(&key("elm", "web"), second, "elm")?;
    assert_eq!(taken.by, key("oak", "web"));
    Some(taken.host.expect("it is another namespace").to_string())
}

#[test]
fn who_came_first_keeps_a_route_and_the_other_is_told_when_it_is_free() {
    let mut routes = Routes::default();
    let (oak, elm) = (key("shop", "oak"), key("shop", "elm"));
    assert_eq!(routes.taken(&oak, &claims(None, &["/"]), "oak"), None);
    routes.reserve(&oak, &claims(None, &["/"]));
    let taken = routes.taken(&elm, &claims(None, &["/api", "/"]), "elm").expect("taken");
    assert_eq!((taken.route.to_string().as_str(), taken.by, taken.host), ("a.test/", oak.clone(), None));
    routes.observed(&oak, claims(Some("public"), &["/"]));
    assert_eq!(routes.taken(&oak, &claims(None, &["/"]), "oak"), None, "its own");
    assert!(routes.taken(&elm, &claims(None, &["/"]), "elm").is_some());
    assert_eq!(routes.observed(&oak, claims(Some("public"), &["/oak"])), BTreeSet::from(["elm".to_owned()]));
    assert_eq!(routes.taken(&elm, &claims(None, &["/api", "/"]), "elm"), None);
}

#[test]
fn within_a_namespace_another_class_an_exact_path_and_a_canary_share_a_route() {
    let mut routes = Routes::default();
    let (oak, elm) = (key("shop", "oak"), key("shop", "elm"));
    routes.observed(&oak, claims(Some("public"), &["/", "/api/"]));
    assert_eq!(routes.taken(&elm, &claims(Some("internal"), &["/"]), "elm"), None);
    assert!(routes.taken(&elm, &claims(None, &["/"]), "elm").is_some(), "it may be the same class");
    assert!(routes.taken(&elm, &claims(Some("public"), &["/api"]), "elm").is_some(), "the slash is nothing");
    let exact =
        json!({"spec": {"rules": [{"host": "a.test", "http": {"paths": [{"path": "/", "pathType": "Exact"}]}}]}});
    assert_eq!(routes.taken(&elm, &Claims::of(&exact), "elm"), None);
    let canary = json!({"nginx.ingress.kubernetes.io/canary": "true"});
    assert_eq!(routes.taken(&elm, &annotated(&canary, "a.test", "/"), "elm"), None);
    let class = json!({"kubernetes.io/ingress.class": "public"});
    assert!(routes.taken(&elm, &annotated(&class, "a.test", "/"), "elm").is_some());
    // Nor does a redirect from www keep another Ingress from www.
    routes
        .observed(&oak, annotated(&json!({"nginx.ingress.kubernetes.io/from-to-www-redirect": "true"}), "a.test", "/"));
    assert_eq!(routes.taken(&elm, &at("www.a.test", "/"), "elm"), None);
}

#[test]
fn a_host_belongs_to_the_namespace_that_has_it() {
    let shop = at("a.test", "/shop");
    let canary =
        json!({"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "100"});
    let alias = json!({"nginx.ingress.kubernetes.io/server-alias": "x.test, a.test"});
    let www = json!({"nginx.ingress.kubernetes.io/from-to-www-redirect": "true"});
    let without_paths = json!({"spec": {"rules": [{"host": "a.test"}]}});
    for (second, host) in [
        (at("a.test", "/shop"), Some("a.test")),
        (at("a.test", "/shop/cart"), Some("a.test")),
        (at("a.test", "/api"), Some("a.test")),
        (at("*.test", "/"), Some("a.test")),
        (annotated(&canary, "a.test", "/shop"), Some("a.test")),
        (annotated(&alias, "b.test", "/"), Some("a.test")),
        (annotated(&www, "www.a.test", "/"), Some("a.test")),
        (claims(Some("internal"), &["/shop"]), Some("a.test")),
        (Claims::of(&without_paths), Some("a.test")),
        // A path without a host, which is longer than the host's rule.
        (at("", "/shop/of/the/other/namespace"), Some("a.test")),
        (at("", "/"), None),
        (at("b.test", "/shop"), None),
        (at("x.a.test", "/"), None),
        (at("*.a.test", "/"), None),
    ] {
        assert_eq!(host_taken(&shop, &second).as_deref(), host, "{second:?}");
    }
}

#[test]
fn a_wildcard_has_all_hosts_below_it_and_a_rule_without_host_has_none() {
    for (first, second, host) in [
        (at("*.a.test", "/"), at("x.a.test", "/"), Some("*.a.test")),
        (at("*.a.test", "/"), at("y.x.a.test", "/api"), Some("*.a.test")),
        (at("*.a.test", "/"), at("*.x.a.test", "/"), Some("*.a.test")),
        (at("*.x.a.test", "/"), at("*.a.test", "/"), Some("*.x.a.test")),
        (at("*.a.test", "/"), at("a.test", "/"), None),
        (at("*.a.test", "/"), at("xa.test", "/"), None),
        (at("", "/"), at("a.test", "/"), None),
        (at("", "/"), at("", "/api"), Some("*")),
        (at("", "/api"), at("", "/"), Some("*")),
        (at("", "/api"), at("", "/apis"), None),
        (
            annotated(&json!({"nginx.ingress.kubernetes.io/server-alias": "A.test"}), "b.test", "/"),
            at("a.test", "/"),
            Some("a.test"),
        ),
    ] {
        assert_eq!(host_taken(&first, &second).as_deref(), host, "{first:?} {second:?}");
    }
}

#[test]
fn what_an_ingress_has_already_it_keeps_and_no_more() {
    let mut routes = Routes::default();
    let (oak, elm) = (key("oak", "web"), key("elm", "web"));
    // Both were there before anybody looked.
    routes.observed(&oak, claims(None, &["/"]));
    routes.observed(&elm, claims(None, &["/api"]));
    assert_eq!(routes.taken(&elm, &claims(None, &["/api"]), "elm"), None);
    assert_eq!(routes.taken(&oak, &claims(None, &["/"]), "oak"), None);
    assert!(routes.taken(&elm, &claims(None, &["/api", "/more"]), "elm").is_some());
    assert_eq!(routes.gone(&oak), BTreeSet::from(["elm".to_owned()]));
    assert_eq!(routes.taken(&elm, &claims(None, &["/api", "/more"]), "elm"), None);
}

#[test]
fn what_was_never_accepted_or_is_gone_claims_nothing() {
    let mut routes = Routes::default();
    let (oak, elm, ash) = (key("oak", "web"), key("elm", "web"), key("ash", "web"));
    let wanted = claims(None, &["/"]);
    routes.reserve(&oak, &wanted);
    assert!(routes.taken(&elm, &wanted, "elm").is_some());
    assert_eq!(routes.give_back(&oak), BTreeSet::from(["elm".to_owned()]));
    routes.observed(&oak, wanted.clone());
    assert!(routes.give_back(&oak).is_empty(), "a live one keeps its claim");
    routes.reserve(&ash, &at("ash.test", "/"));
    assert!(routes.taken(&elm, &wanted, "elm").is_some());
    assert_eq!(routes.keep_only(&HashSet::new()), BTreeSet::from(["elm".to_owned()]));
    assert_eq!(routes.taken(&elm, &wanted, "elm"), None);
    let ash_holds = |routes: &mut Routes| routes.taken(&elm, &at("ash.test", "/"), "elm").is_some();
    assert!(ash_holds(&mut routes), "it is about to be sent");
    routes.accepted(&ash);
    routes.keep_only(&HashSet::new());
    assert!(ash_holds(&mut routes), "the listing began before it was accepted");
    routes.listing();
    routes.keep_only(&HashSet::new());
    assert!(!ash_holds(&mut routes), "the listing would have shown it");
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![9 => r"(\*\.)?[ab](\.[ab]){0,2}", 1 => Just(String::new())]
}

fn path() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("/"), Just("/a"), Just("/a/b"), Just("/ab")]
}

proptest! {
    #[test]
    fn hosts_meet_from_both_sides(one in host(), other in host()) {
        let (one, other) = (Host::parse(&one), Host::parse(&other));
        prop_assert_eq!(one.meets(&other), other.meets(&one));
        prop_assert!(one.meets(&one));
    }

    #[test]
    fn whoever_would_lose_requests_is_found(
        others in proptest::collection::vec((host(), path()), 0..6),
        new in (host(), path()),
    ) {
        let mut routes = Routes::default();
        let wanted = at(&new.0, new.1);
        let route = wanted.all().next().expect("a route");
        let mut loses = BTreeSet::new();
        for (number, (host, path)) in others.iter().enumerate() {
            let (key, claims) = (key("oak", &number.to_string()), at(host, path));
            if claims.all().any(|theirs| route.trespasses(&theirs)) {
                loses.insert(key.clone());
            }
            routes.observed(&key, claims);
        }
        let taken = routes.taken(&key("elm", "web"), &wanted, "elm").map(|taken| taken.by);
        prop_assert_eq!(taken, loses.into_iter().next());
    }
}
