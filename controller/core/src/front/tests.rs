#[path = "tests/tokens.rs"]
mod tokens;

use std::collections::BTreeMap;

use drover_crds::{self as crds, Route, RouteTarget, WebAppSpec};
use proptest::prelude::*;
use rstest::rstest;

use super::value::{Header, Host, Path};
use super::{Away, Cidr, Front, Refused, ServicePort, Terms, Upstreams, configuration};

fn terms() -> Terms {
    Terms { image: Some("nginx".into()), trusted: vec!["10.42.0.0/16".parse().expect("a range")], ..Terms::default() }
}

fn front(spec: &WebAppSpec) -> Result<Option<Front>, Refused> {
    let app = |_: &crds::AppTarget| ServicePort { service: "web".into(), port: 8080 };
    Front::of(spec, &terms(), app, (None, None))
}

fn written(spec: &WebAppSpec) -> Result<String, Refused> {
    let front = front(spec)?.expect("its routes ask for one");
    let addresses = front.services().map(|service| (service.clone(), "10.96.0.7:8080".parse().expect("an address")));
    let upstreams = Upstreams { addresses: addresses.collect(), ..Upstreams::default() };
    Ok(configuration(&front, &upstreams))
}

fn yaml(routes: &str) -> WebAppSpec {
    let routes = serde_saphyr::from_str(routes).unwrap_or_else(|error| panic!("{routes}: {error}"));
    WebAppSpec { routes, ..WebAppSpec::default() }
}

#[test]
fn an_app_without_such_routes_has_no_front() {
    for routes in ["[{host: h, to: {app: {}}}]", "[{host: h, path: /a, to: {service: {name: s, port: 1}}}]", "[]"] {
        assert_eq!(front(&yaml(routes)), Ok(None), "{routes}");
    }
}

#[rstest]
#[case("host: h, path: '/a;b{c}', to: {app: {}}", "cannot compare")]
#[case("host: h, path: /a%20b, to: {app: {}}", "without %")]
#[case("host: h, path: /a/../b, to: {app: {}}", "/./ and /../")]
#[case("host: h, path: \"/a\\nb\", to: {app: {}}", "the path \"/a\\nb\"")]
#[case("host: 'h;', to: {app: {}}", "is no host name")]
#[case("host: H, to: {app: {}}", "is no host name")]
#[case("host: '*.*.h', to: {app: {}}", "is no host name")]
#[case("host: h, rewritePath: '/x y', to: {app: {}}", "the rewritePath \"/x y\"")]
#[case("host: h, headers: {'A;b': c}, to: {app: {}}", "no name of a header")]
#[case("host: h, headers: {A: \"b\\r\\nSet-Cookie: c\"}, to: {app: {}}", "line breaks")]
#[case("host: h, headers: {A: '$host'}, to: {app: {}}", "without $")]
#[case("host: h, headers: {A: b, a: c}, to: {app: {}}", "twice, since capitals")]
#[case("host: h, headers: {Content-Length: '1'}, to: {app: {}}", "made by the server")]
#[case("host: h, to: {address: {host: kibana, port: 1}}", "write an IP address")]
#[case("host: h, to: {address: {host: 127.0.0.1, port: 1}}", "the front's own machine")]
#[case("host: h, to: {address: {host: 169.254.169.254, port: 80}}", "keep their credentials")]
#[case("host: h, to: {address: {host: 10.0.0.1, port: 65536}}", "from 1 to 65535")]
#[case("host: h, to: {static: {volume: '../x'}}", "which is no name")]
#[case("host: h, to: {static: {dataSync: 'a;b'}}", "no name")]
#[case("host: h, to: {static: {assets: 'a;b'}}", "no name")]
#[case("host: h, to: {static: {assets: a, volume: b}}", "exactly one of volume, dataSync and assets")]
#[case("host: h, to: {static: {dataSync: a, volume: b}}", "exactly one of volume, dataSync and assets")]
#[case("host: h, to: {static: {}}", "exactly one of volume, dataSync and assets")]
#[case("host: h, rewritePath: /x, to: {static: {volume: x}}", "below its path")]
#[case("host: h, allowFrom: [], to: {app: {}}", "empty allowFrom")]
#[case("host: h, allowFrom: null, to: {app: {}}", "empty allowFrom")]
#[case("host: h, allowFrom: , to: {app: {}}", "empty allowFrom")]
#[case("host: h, allowFrom: [10.0.0.0/33], to: {app: {}}", "\"10.0.0.0/33\" is no range")]
#[case("host: h, allowFrom: [all], to: {app: {}}", "\"all\" is no range")]
#[case("host: h, to: {app: {}, address: {host: 10.0.0.1, port: 1}}", "exactly one")]
fn what_cannot_stand_there_is_refused_with_a_sentence(#[case] route: &str, #[case] said: &str) {
    // Asks for a front whatever the route says.
    let spec = yaml(&format!("[{{host: z, headers: {{A: b}}, to: {{app: {{}}}}}}, {{{route}}}]"));
    let error = front(&spec).expect_err(route).to_string();
    assert!(error.contains(said) && !error.contains(char::is_control), "{error}");
}

#[test]
fn two_routes_of_the_same_requests_are_refused() {
    let spec = yaml("[{host: h, path: /a, headers: {A: b}, to: {app: {}}}, {host: h, path: /a/, to: {app: {}}}]");
    assert_eq!(front(&spec), Err(Refused::Twice { host: "h".into(), path: "/a".into() }));
}

#[test]
fn who_may_ask_is_judged_only_where_somebody_is_trusted_to_say_who_asks() {
    let spec = yaml("[{host: h, allowFrom: [10.0.0.0/8], to: {app: {}}}]");
    let app = |_: &crds::AppTarget| ServicePort { service: "web".into(), port: 8080 };
    let with = |terms| Front::of(&spec, &terms, app, (None, None)).map(|front| front.is_some());
    let error = with(Terms { trusted: Vec::new(), ..terms() }).expect_err("nobody is trusted").to_string();
    assert!(error.contains("front.trustedProxies"), "{error}");
    let error = with(Terms { image: None, ..terms() }).expect_err("no image").to_string();
    assert!(error.starts_with("the route h/ needs a front") && error.contains("front.image"), "{error}");
    assert_eq!(with(Terms::unknown()), Ok(true));
}

#[test]
fn a_range_begins_at_its_first_address() {
    for (text, expected) in
        [("10.1.2.3/8", "10.0.0.0/8"), ("192.0.2.7", "192.0.2.7/32"), ("::1/0", "::/0"), ("0.0.0.0/0", "0.0.0.0/0")]
    {
        assert_eq!(text.parse::<Cidr>().map(|range| range.to_string()).as_deref(), Ok(expected));
    }
    for text in ["", "/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "10.0.0.0/8;", "10.0.0.0 /8"] {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
}

#[test]
fn while_the_app_is_away_its_routes_say_so_and_others_where_nobody_answers() {
    let spec = yaml(
        "[{host: h, to: {app: {}}, allowFrom: [10.0.0.0/8]}, {host: t, to: {service: {name: tree, port: 1}}}, {host: h, path: /k, to: {address: {host: 10.0.0.1, port: 1}}}]",
    );
    let front = front(&spec).expect("plain").expect("it has a front");
    let addresses: BTreeMap<_, _> =
        front.services().map(|service| (service.clone(), "10.96.0.7:8080".parse().expect("an address"))).collect();
    let with = |away| configuration(&front, &Upstreams { addresses: addresses.clone(), away, ..Upstreams::default() });
    let until = Some("2026-11-28T08:00:00Z".parse().expect("a time"));
    let away = Away { service: "web".into(), sentence: "It is asleep until 08:00 (Europe/London).".into(), until };
    let text = with(Some(away.clone()));
    assert_eq!(text.matches("try_files /.asleep @asleep;").count(), 1, "the app's own route: {text}");
    assert_eq!(text.matches("error_page 502 504 = @asleep;").count(), 1, "the other Service's: {text}");
    assert!(text.contains("Retry-After \"Sat, 28 Nov 2026 08:00:00 GMT\"") && text.contains("<p>It is asleep until"));
    let gate = text.find("deny all").zip(text.find("try_files /.asleep"));
    assert!(gate.is_some_and(|(deny, asleep)| deny < asleep), "{text}");
    let waking = with(Some(Away { until: None, ..away }));
    assert!(waking.contains("http-equiv=refresh") && !waking.contains("Retry-After"), "{waking}");
    assert!(!with(None).contains("@asleep"));
}

/// What is in each place of a spec that takes text.
#[derive(Clone, Debug)]
struct Texts {
    host: String,
    path: String,
    rewritten: String,
    name: String,
    value: String,
    range: String,
    address: String,
    volume: String,
}

fn spec(texts: &Texts) -> WebAppSpec {
    let Texts { host, path, rewritten, name, value, range, address, volume } = texts.clone();
    let headers = BTreeMap::from([(name, value)]);
    let route = |path: String, to: RouteTarget| Route {
        host: host.clone(),
        path,
        to,
        allow_from: Some(vec![range.clone()]),
        headers: headers.clone(),
        rewrite_path: None,
    };
    let below = |name: &str| format!("{}/{name}", path.trim_end_matches('/'));
    let service = crds::ServiceTarget { name: "amq".into(), port: 8161 };
    let files = crds::StaticTarget { volume: Some(volume), single_page: Some(true), ..Default::default() };
    let address = crds::AddressTarget { host: address, port: 5601 };
    let app = RouteTarget { app: Some(crds::AppTarget::default()), ..RouteTarget::default() };
    let mut service = route(below("b"), RouteTarget { service: Some(service), ..RouteTarget::default() });
    service.rewrite_path = Some(rewritten);
    let routes = vec![
        route(path.clone(), app),
        service,
        route(below("c"), RouteTarget { files: Some(files), ..RouteTarget::default() }),
        route(below("d"), RouteTarget { address: Some(address), ..RouteTarget::default() }),
    ];
    WebAppSpec { routes, ..WebAppSpec::default() }
}

fn texts() -> impl Strategy<Value = Texts> {
    let nasty = "[a-z;{}\"'\\\\$#/.~*\n\r\t %&()|^-]{1,12}|\\PC{0,12}";
    let or = |plain: &'static str| prop_oneof![3 => plain.prop_map(String::from), 2 => nasty.prop_map(String::from)];
    (
        or("[a-z]{1,8}(\\.[a-z]{1,5})?|\\*\\.[a-z]{1,5}"),
        or("(/[A-Za-z0-9._~!$&'()*+,;=:@-]{3,8}){1,2}/?"),
        or("(/[A-Za-z0-9._~!$&'()*+,;=:@-]{3,8}){1,2}/?"),
        or("[A-Z][a-z-]{1,9}"),
        or("[ -#%-~]{1,20}"),
        or("10\\.[0-9]\\.0\\.0/16"),
        or("10\\.0\\.0\\.[1-9]"),
        or("[a-z][a-z0-9-]{0,9}"),
    )
        .prop_map(|(host, path, rewritten, name, value, range, address, volume)| Texts {
            host,
            path,
            rewritten,
            name,
            value,
            range,
            address,
            volume,
        })
}

fn plain_texts() -> Texts {
    let text = |text: &str| text.to_owned();
    Texts {
        host: text("www"),
        path: text("/a"),
        rewritten: text("/b"),
        name: text("X-A"),
        value: text("b"),
        range: text("10.0.0.0/8"),
        address: text("10.0.0.1"),
        volume: text("plots"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// No text changes the form of a configuration.
    #[test]
    fn any_text_is_refused_or_stands_where_a_plain_word_would(texts in texts()) {
        let of_plain = tokens::read(&written(&spec(&plain_texts())).expect("plain words")).expect("nginx reads it");
        match written(&spec(&texts)) {
            Ok(text) => {
                let read = tokens::read(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
                let is_plain = !texts.name.eq_ignore_ascii_case("cache-control")
                    && !texts.path.trim_end_matches('/').is_empty() && !texts.rewritten.trim_end_matches('/').is_empty();
                prop_assert!(!is_plain || tokens::form(&read) == tokens::form(&of_plain), "{}", text);
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(!error.contains(char::is_control) && error.contains(':'), "{}", error);
            }
        }
    }

    /// What a value's type takes comes back as it was.
    #[test]
    fn values_are_taken_whole(host in "\\PC{0,20}", path in "/\\PC{0,20}", value in "\\PC{0,20}") {
        if let Ok(host_taken) = Host::new(&host) {
            prop_assert!(host_taken.server_name().starts_with('~') == host.starts_with("*."));
        }
        if let Some(taken) = Path::new(&path) {
            prop_assert_eq!(path.trim_end_matches('/'), taken.as_str());
        }
        if let Ok(taken) = Header::new("A", &value) {
            prop_assert_eq!(taken.value(), value);
        }
    }
}
