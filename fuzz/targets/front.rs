//! Routes of a spec, as the configuration of the nginx before the app: whatever is written in them, its form is that of plain words.
#![no_main]

use std::collections::BTreeMap;

use drover_core::front::{Front, ServicePort, Terms, Upstreams, configuration};
use drover_crds::{self as crds, Route, RouteTarget, WebAppSpec};
use drover_fuzz::{assert_sentence, texts};
use libfuzzer_sys::fuzz_target;

#[path = "../../controller/core/src/front/tests/tokens.rs"]
mod tokens;

fn spec([host, path, rewritten, name, value, range, address, volume]: [&str; 8]) -> WebAppSpec {
    let text = str::to_owned;
    let route = |end: &str, to: RouteTarget| Route {
        host: text(host),
        path: format!("{}{end}", path.trim_end_matches('/')),
        to,
        allow_from: Some(vec![text(range)]),
        headers: BTreeMap::from([(text(name), text(value))]),
        rewrite_path: None,
    };
    let app = RouteTarget { app: Some(crds::AppTarget::default()), ..RouteTarget::default() };
    let service = crds::ServiceTarget { name: text("amq"), port: 8161 };
    let files = crds::StaticTarget { volume: Some(text(volume)), single_page: Some(true), ..Default::default() };
    let address = crds::AddressTarget { host: text(address), port: 5601 };
    let mut service = route("/b", RouteTarget { service: Some(service), ..RouteTarget::default() });
    service.rewrite_path = Some(format!("/r{rewritten}"));
    let routes = vec![
        route("/a", app),
        service,
        route("/c", RouteTarget { files: Some(files), ..RouteTarget::default() }),
        route("/d", RouteTarget { address: Some(address), ..RouteTarget::default() }),
    ];
    WebAppSpec { routes, ..WebAppSpec::default() }
}

fn written(spec: &WebAppSpec) -> Result<String, String> {
    let trusted = vec!["10.42.0.0/16".parse().expect("a range")];
    let terms = Terms { image: Some("nginx".to_owned()), trusted, ..Terms::default() };
    let app = |_: &crds::AppTarget| ServicePort { service: "web".to_owned(), port: 8080 };
    let front = Front::of(spec, &terms, app, (None, None)).map_err(|error| error.to_string())?;
    let front = front.expect("its routes ask for one");
    let known = front.services().map(|to| (to.clone(), "10.96.0.7:8080".parse().expect("an address")));
    Ok(configuration(&front, &Upstreams { addresses: known.collect(), ..Upstreams::default() }))
}

fuzz_target!(|text: &str| {
    let parts = texts::<8>(text);
    match written(&spec(parts)) {
        Ok(text) => {
            let read = tokens::read(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
            // Of this header alone a front has one of its own, where the route has none.
            let name = if parts[3].eq_ignore_ascii_case("cache-control") { parts[3] } else { "X-A" };
            let plain = spec(["www", "/p", "x", name, "v", "10.0.0.0/8", "10.0.0.1", "plots"]);
            let plain = written(&plain).expect("plain words");
            assert_eq!(tokens::form(&read), tokens::form(&tokens::read(&plain).expect("nginx reads it")), "{text}");
        }
        Err(said) => assert_sentence(&said),
    }
});
