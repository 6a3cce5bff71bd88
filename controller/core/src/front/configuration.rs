//! The configuration of nginx. Whatever comes from a spec has a type of [`value`](super::value) by now, and stands in quotes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use core::net::SocketAddr;

use jiff::Timestamp;

use super::kinds::{KINDS, TEXTS, endings};
use super::routes::{Files, Front, Place, ServicePort, Site, Target};
use super::sight::{HIDDEN, KNOWN, SEES};
use super::value::{Header, Path, SetName};

/// The port for requests.
pub const PORT: i32 = 8080;
/// The port of the kubelet's question, where no route is in its way.
pub const PROBE_PORT: i32 = 8081;
/// The path of that question.
pub const PROBE_PATH: &str = "/healthz";
/// Where the volumes of static routes are mounted, each by its name.
pub const FILES: &str = "/files";
/// Where the log is mounted.
pub const LOGS: &str = "/logs";

/// Where it says that the app is asleep.
const ASLEEP: &str = "@asleep";
/// A name that no file has.
const NOTHING: &str = ".none/.none";
/// What the front says where it has nothing to say.
const MISSING: &str = "Not found\\n";
const AWAY: &str = "This part of the site is not available at the moment\\n";

/// Where Services are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstreams {
    /// Those that are known; the routes to others answer 503.
    pub addresses: BTreeMap<ServicePort, SocketAddr>,
    /// The volumes of static routes that have no files yet: those routes answer 503.
    pub absent: BTreeSet<String>,
    /// The folders of a volume in which files are looked for, the first first, where these are not at its top.
    pub sets: BTreeMap<String, Vec<SetName>>,
    /// Whether the cluster's pods are reached by IPv6.
    pub ipv6: bool,
    /// While the app itself has no pods.
    pub away: Option<Away>,
}

/// An app that is asleep, or wakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// The app's own Service.
    pub service: String,
    /// What people are told, in a sentence.
    pub sentence: String,
    /// When it is worth coming again, where that is known.
    pub until: Option<Timestamp>,
}

impl Away {
    fn is_of(&self, target: &Target) -> bool {
        matches!(target, Target::Service(to) if to.service == self.service)
    }

    fn page(&self) -> String {
        // Who waits for seconds need not ask.
        let again = if self.until.is_none() { "<meta http-equiv=refresh content=10>" } else { "" };
        format!("<!doctype html><meta charset=utf-8>{again}<title>{0}</title><p>{0}</p>\n", self.sentence)
    }
}

impl Upstreams {
    fn of(&self, target: &Target) -> Option<SocketAddr> {
        match target {
            Target::Service(service) => self.addresses.get(service).copied(),
            Target::Address(address) => Some(*address),
            Target::Files(_) => None,
        }
    }
}

/// Lines, indented by the blocks around them.
struct Text {
    text: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:width$}{line}", "", width = 2 * self.depth);
    }

    fn block(&mut self, head: &str, inner: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.line("}");
    }
}

/// One argument, whatever is in it: nginx reads `\"` and `\\` so in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A `map`, whose keys and values are arguments as they stand in the file.
fn map(text: &mut Text, from: &str, to: &str, pairs: &[(&str, &str)]) {
    text.block(&format!("map {from} ${to}"), |text| {
        for (key, value) in pairs {
            text.line(&format!("{key} {value};"));
        }
    });
}

/// The configuration of `front`, with Services where `upstreams` says.
pub fn configuration(front: &Front, upstreams: &Upstreams) -> String {
    let mut text = Text { text: String::new(), depth: 0 };
    for line in ["daemon off;", "worker_processes 2;", "pid /tmp/nginx.pid;", "error_log stderr warn;"] {
        text.line(line);
    }
    text.block("events", |text| text.line("worker_connections 4096;"));
    text.block("http", |text| http(text, front, upstreams));
    text.text
}

fn http(text: &mut Text, front: &Front, upstreams: &Upstreams) {
    for folder in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        text.line(&format!("{folder}_temp_path /tmp/{folder};"));
    }
    for line in [
        "server_tokens off;",
        // Whoever asked knows the scheme, the host and the port; this nginx knows its own only.
        "absolute_redirect off;",
        "sendfile on;",
        "tcp_nopush on;",
        // Longer than ingress controllers keep connections, so that none is closed that they are about to use.
        "keepalive_timeout 120s;",
        "keepalive_requests 10000;",
        "large_client_header_buffers 8 32k;",
        "server_names_hash_bucket_size 512;",
        "server_names_hash_max_size 2048;",
        "map_hash_bucket_size 256;",
        "proxy_headers_hash_bucket_size 256;",
        "proxy_headers_hash_max_size 2048;",
        "gzip on;",
        "gzip_proxied any;",
        "gzip_vary on;",
        "gzip_min_length 1024;",
        "root /tmp;",
        "default_type application/octet-stream;",
    ] {
        text.line(line);
    }
    text.line(&format!("gzip_types {TEXTS};"));
    text.block("types", |text| KINDS.iter().for_each(|(kind, endings)| text.line(&format!("{kind} {endings};"))));
    text.block("geo $front_dollar", |text| text.line("default \"$\";"));
    if front.files().next().is_some() {
        files_maps(text, front);
    }
    proxies(text, front);
    proxying(text, front);
    log(text, front);
    for (address, name) in numbered(front, upstreams) {
        text.block(&format!("upstream {name}"), |text| {
            text.line(&format!("server {address};"));
            // A pod that is to stop goes on for longer than a connection to it is used.
            for line in ["keepalive 32;", "keepalive_time 5s;", "keepalive_timeout 4s;"] {
                text.line(line);
            }
        });
    }
    let any = if upstreams.ipv6 { "[::]:" } else { "" };
    text.block("server", |text| {
        text.line(&format!("listen {any}{PROBE_PORT};"));
        text.line("access_log off;");
        text.block(&format!("location = {PROBE_PATH}"), |text| text.line("return 200 \"ok\\n\";"));
        text.block("location /", |text| text.line("return 404;"));
    });
    text.block("server", |text| {
        text.line(&format!("listen {any}{PORT} default_server;"));
        text.line("server_name \"\";");
        text.line("return 404;");
    });
    let names = numbered(front, upstreams);
    let mut number = 0;
    for site in &front.sites {
        text.block("server", |text| server(text, front, upstreams, site, &names, &mut number, any));
    }
}

/// The names of upstreams.
fn numbered(front: &Front, upstreams: &Upstreams) -> BTreeMap<SocketAddr, String> {
    let places = front.sites.iter().flat_map(|site| &site.places);
    let addresses: BTreeSet<SocketAddr> = places.filter_map(|place| upstreams.of(&place.to)).collect();
    addresses.into_iter().enumerate().map(|(number, address)| (address, format!("to_{number}"))).collect()
}

/// What static routes go by.
fn files_maps(text: &mut Text, front: &Front) {
    let endings = endings();
    map(text, "$uri", "front_names_a_file", &[("default", "0"), (&quoted(&format!(r"~*\.(?:{endings})$")), "1")]);
    map(text, "$http_accept", "front_wants_a_page", &[("default", "0"), ("\"~*text/html\"", "1")]);
    let page = [("default", "0"), ("01", "1")];
    map(text, "$front_names_a_file$front_wants_a_page", "front_is_a_page", &page);
    let places = front.sites.iter().flat_map(|site| &site.places);
    let of_files = places.filter(|place| matches!(place.to, Target::Files(_)));
    for (number, place) in of_files.enumerate() {
        let first = literal(&format!("{}/index.html", place.path.as_str()));
        map(text, "$front_is_a_page", &format!("front_page_{number}"), &[("default", "$uri"), ("1", &first)]);
        if matches!(&place.to, Target::Files(files) if files.assets.is_some()) {
            below(text, &place.path, number);
        }
    }
    map(text, "$uri", "front_is_hidden", &[("default", "0"), (&quoted(r"~/\.(?!well-known(?:/|$))"), "1")]);
    // What may change under its name is asked for again, by its ETag; what is not there is not kept at all.
    let cache = [("default", "no-cache"), ("\"~^[45]\"", "no-store")];
    map(text, "$status", "front_cache", &cache);
    // A hash in a name: eight or more letters and digits, of both.
    let hashed = quoted(&format!(
        r"~^(?:200|206|304) .*[.-](?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{{8,}}\.(?:{endings})$"
    ));
    let hashed = [("default", "$front_cache"), (&*hashed, "\"public, max-age=31536000, immutable\"")];
    map(text, "\"$status $uri\"", "front_cache_hashed", &hashed);
}

/// What a request asks for below a path: the file, or the page of a folder. What is no such thing is called as nothing is.
fn below(text: &mut Text, path: &Path, number: usize) {
    let (file, folder) = (format!("front_file_{number}"), format!("front_folder_{number}"));
    let of = |what: &str, rest: &str| quoted(&format!("~^{}/(?<{what}>{rest})$", path.pattern()));
    let (below, own) = (of(&format!("{file}_own"), "(?s:.*[^/])"), format!("${file}_own"));
    map(text, "$uri", &file, &[("default", NOTHING), (&below, &own)]);
    let (below, page) = (of(&format!("{folder}_own"), "(?s:(?:.*/)?)"), format!("\"${{{folder}_own}}index.html\""));
    map(text, "$uri", &folder, &[("default", NOTHING), (&below, &page)]);
    map(text, "$front_is_a_page", &format!("front_first_{number}"), &[("default", NOTHING), ("1", "index.html")]);
}

/// From where a request came, and what is told of it.
fn proxies(text: &mut Text, front: &Front) {
    let chain = [("\"\"", "$realip_remote_addr"), ("default", "\"$http_x_forwarded_for, $realip_remote_addr\"")];
    map(text, "$http_x_forwarded_for", "front_chain", &chain);
    let told = |text: &mut Text, header: &str, to: &str, own: &str| {
        map(text, header, to, &[("\"\"", own), ("default", header)]);
    };
    told(text, "$http_x_forwarded_proto", "front_proto", "$scheme");
    told(text, "$http_x_forwarded_host", "front_host", "$http_host");
    if front.trusted.is_empty() {
        // The server stood where the front stands: what it was told, it is told.
        text.block("geo $front_is_told", |text| text.line("default 1;"));
    } else {
        let mut ranges = vec!["default 0;".to_owned()];
        ranges.extend(front.trusted.iter().map(|range| format!("{range} 1;")));
        for head in ["geo $realip_remote_addr $front_is_told", "geo $front_is_a_proxy"] {
            text.block(head, |text| ranges.iter().for_each(|range| text.line(range)));
        }
        for range in &front.trusted {
            text.line(&format!("set_real_ip_from {range};"));
        }
        text.line("real_ip_header X-Forwarded-For;");
        text.line("real_ip_recursive on;");
    }
    if front.judges_addresses() {
        sight(text);
    }
    for (name, told, own) in [
        ("for", "$front_chain", "$realip_remote_addr"),
        ("proto", "$front_proto", "$scheme"),
        ("host", "$front_host", "$http_host"),
        ("port", "$http_x_forwarded_port", "\"\""),
    ] {
        map(text, "$front_is_told", &format!("front_forwarded_{name}"), &[("1", told), ("default", own)]);
    }
}

/// Whether it sees who asks it says itself, once a minute: nobody is limited, but counted.
fn sight(text: &mut Text) {
    for line in ["limit_req_zone $front_is_a_proxy zone=front_sees:64k rate=1r/m;", "limit_req_dry_run on;"] {
        text.line(line);
    }
    text.line("limit_req_log_level info;");
    map(text, "$limit_req_status", "front_tells", &[("default", "0"), ("PASSED", "1")]);
    let hidden = quoted(&format!("{HIDDEN}$remote_addr"));
    map(text, "$front_is_a_proxy", "front_sees", &[("default", KNOWN), ("1", &hidden)]);
    text.line(&format!("log_format front_sees \"{SEES}$front_sees\";"));
}

/// How servers are asked.
fn proxying(text: &mut Text, front: &Front) {
    // No other protocol: a server that spoke HTTP/2 would be asked past the routes.
    map(text, "$http_upgrade", "front_upgrade", &[("default", "\"\""), ("\"~*^websocket$\"", "websocket")]);
    map(text, "$http_upgrade", "front_connection", &[("default", "\"\""), ("\"~*^websocket$\"", "upgrade")]);
    for (name, value) in [
        ("Host", "$http_host"),
        ("Upgrade", "$front_upgrade"),
        ("Connection", "$front_connection"),
        ("X-Real-IP", "$remote_addr"),
        ("X-Forwarded-For", "$front_forwarded_for"),
        ("X-Forwarded-Proto", "$front_forwarded_proto"),
        ("X-Forwarded-Host", "$front_forwarded_host"),
        ("X-Forwarded-Port", "$front_forwarded_port"),
    ] {
        text.line(&format!("proxy_set_header {name} {value};"));
    }
    for line in [
        "proxy_http_version 1.1;",
        "proxy_redirect off;",
        "proxy_connect_timeout 5s;",
        "proxy_buffer_size 16k;",
        "proxy_buffers 8 16k;",
        "proxy_busy_buffers_size 32k;",
        "proxy_max_temp_file_size 64m;",
    ] {
        text.line(line);
    }
    text.line(&format!("proxy_read_timeout {}s;", front.seconds));
    text.line(&format!("proxy_send_timeout {}s;", front.seconds));
    match front.body_bytes {
        Some(bytes) => text.line(&format!("client_max_body_size {bytes};")),
        None => {
            text.line("client_max_body_size 0;");
            text.line("proxy_request_buffering off;");
        }
    }
}

fn log(text: &mut Text, front: &Front) {
    if front.log.is_none() {
        text.line("access_log off;");
        return;
    }
    let day = [("default", "unknown"), ("\"~^(?<front_date>[0-9-]+)T\"", "$front_date")];
    map(text, "$time_iso8601", "front_day", &day);
    text.line(
        "log_format front '- - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"';",
    );
    text.line(&access_log());
    text.line("open_log_file_cache max=4 inactive=60s valid=60s min_uses=1;");
}

/// A log for each day.
fn access_log() -> String {
    format!("access_log {LOGS}/access-$front_day.log front;")
}

fn server(
    text: &mut Text,
    front: &Front,
    upstreams: &Upstreams,
    site: &Site,
    names: &BTreeMap<SocketAddr, String>,
    number: &mut usize,
    any: &str,
) {
    text.line(&format!("listen {any}{PORT};"));
    text.line(&format!("server_name {};", quoted(&site.host.server_name())));
    for place in &site.places {
        match &place.to {
            Target::Files(files) => {
                if upstreams.absent.contains(files.volume()) {
                    place_of_server(text, front, site, place, None, None);
                } else if let Some(sets) = upstreams.sets.get(files.volume()) {
                    place_of_sets(text, front, place, (files, sets), *number);
                } else {
                    place_of_files(text, front, place, files, *number);
                }
                *number += 1;
            }
            Target::Service(_) | Target::Address(_) => {
                let upstream = upstreams.of(&place.to).and_then(|address| names.get(&address));
                place_of_server(text, front, site, place, upstream, upstreams.away.as_ref());
            }
        }
    }
    if let Some(away) = &upstreams.away {
        text.block(&format!("location {ASLEEP}"), |text| {
            text.line("internal;");
            text.line("types { }");
            text.line("default_type text/html;");
            text.line("add_header Cache-Control no-store always;");
            if let Some(until) = away.until {
                let date = until.strftime("%a, %d %b %Y %H:%M:%S GMT");
                text.line(&format!("add_header Retry-After \"{date}\" always;"));
            }
            text.line(&format!("return 503 {};", literal(&away.page())));
        });
    }
    // The longest path wins, so this answers where no route is.
    if !site.places.iter().any(|place| place.path.is_root()) {
        text.block("location /", |text| text.line("return 404;"));
    }
}

/// The locations of a path: itself, and what is below it.
fn locations(path: &Path) -> Vec<String> {
    let path = path.as_str();
    let below = format!("location {}", quoted(&format!("{path}/")));
    if path.is_empty() { vec![below] } else { vec![format!("location = {}", quoted(path)), below] }
}

/// Who may ask. What shows no address but a proxy's is nobody's: whoever is behind it.
fn gate(text: &mut Text, front: &Front, place: &Place) {
    let Some(allowed) = &place.allowed else { return };
    if front.judges_addresses() {
        text.line("limit_req zone=front_sees;");
        text.line("access_log /dev/stdout front_sees if=$front_tells;");
        // What a location says of logs stands in place of all that was said before.
        if front.log.is_some() {
            text.line(&access_log());
        }
    }
    for range in &front.trusted {
        text.line(&format!("deny {range};"));
    }
    for range in allowed {
        text.line(&format!("allow {range};"));
    }
    text.line("deny all;");
}

/// The headers of every answer. nginx forgets all of them where a location has one of its own, so each has all.
fn headers(text: &mut Text, place: &Place, own: Option<(&str, &str)>) {
    for header in &place.headers {
        text.line(&format!("add_header {} {} always;", header.name(), quoted(header.value())));
    }
    if let Some((name, value)) = own
        && !place.headers.iter().any(|header| header.is(&name.to_ascii_lowercase()))
    {
        text.line(&format!("add_header {name} {value} always;"));
    }
}

fn place_of_server(
    text: &mut Text,
    front: &Front,
    site: &Site,
    place: &Place,
    upstream: Option<&String>,
    away: Option<&Away>,
) {
    for head in locations(&place.path) {
        text.block(&head, |text| {
            if away.is_some_and(|away| away.is_of(&place.to)) {
                // Looked for after it is judged who may ask, and never there.
                gate(text, front, place);
                text.line(&format!("try_files /.asleep {ASLEEP};"));
                return;
            }
            let Some(upstream) = upstream else {
                headers(text, place, Some(("Cache-Control", "no-store")));
                text.line("types { }");
                text.line("default_type text/plain;");
                text.line(&format!("return 503 \"{AWAY}\";"));
                return;
            };
            gate(text, front, place);
            place.headers.iter().map(Header::name).for_each(|name| text.line(&format!("proxy_hide_header {name};")));
            headers(text, place, None);
            if let Some(rewritten) = &place.rewritten {
                rewrite(text, site, &place.path, rewritten);
            }
            if away.is_some() && matches!(place.to, Target::Service(_)) {
                // What else it leads to may sleep as well.
                text.line(&format!("error_page 502 504 = {ASLEEP};"));
            }
            text.line(&format!("proxy_pass http://{upstream};"));
        });
    }
}

/// The server gets another path, and what it says of that path comes back with the browser's.
fn rewrite(text: &mut Text, site: &Site, path: &Path, rewritten: &Path) {
    let (theirs, ours) = (rewritten.as_str(), path.as_str());
    let (their_pattern, our_pattern, host) = (rewritten.pattern(), path.pattern(), site.host.pattern());
    let root = |path: &Path| if path.is_root() { "/".to_owned() } else { path.as_str().to_owned() };
    if !path.is_root() {
        text.line(&format!("rewrite {} {} break;", quoted(&format!("^{our_pattern}$")), literal(&root(rewritten))));
    }
    let below = quoted(&format!("(?s)^{our_pattern}/(.*)$"));
    text.line(&format!("rewrite {below} {} break;", quoted(&format!("{}/$1", plain(theirs)))));
    let origin = format!("^(?:https?://{host}(?::[0-9]+)?)?{their_pattern}");
    let (below, itself) = (quoted(&format!("~{origin}/(?!/)(.*)$")), quoted(&format!("~{origin}((?:[?#].*)?)$")));
    text.line(&format!("proxy_redirect {below} {};", quoted(&format!("{}/$1", plain(ours)))));
    if !rewritten.is_root() {
        text.line(&format!("proxy_redirect {itself} {};", quoted(&format!("{}$1", plain(&root(path))))));
        let (below, itself) = (format!("~^{their_pattern}/(.*)$"), format!("~^{their_pattern}$"));
        text.line(&format!("proxy_cookie_path {} {};", quoted(&below), quoted(&format!("{}/$1", plain(ours)))));
        text.line(&format!("proxy_cookie_path {} {};", quoted(&itself), literal(&root(path))));
    }
}

/// A text in which nothing is a variable.
fn plain(text: &str) -> String {
    text.replace('$', "${front_dollar}")
}

fn literal(text: &str) -> String {
    quoted(&plain(text))
}

fn place_of_files(text: &mut Text, front: &Front, place: &Place, files: &Files, number: usize) {
    let path = place.path.as_str();
    let cache = if files.single_page { "$front_cache_hashed" } else { "$front_cache" };
    if !place.path.is_root() {
        text.block(&format!("location = {}", quoted(path)), |text| {
            gate(text, front, place);
            headers(text, place, Some(("Cache-Control", "no-cache")));
            text.line(&format!("alias {FILES}/{}/;", files.volume()));
        });
    }
    let page = format!("$front_page_{number}");
    let missing = format!("@missing_{number}");
    text.block(&format!("location {}", quoted(&format!("{path}/"))), |text| {
        gate(text, front, place);
        headers(text, place, Some(("Cache-Control", cache)));
        text.line(&format!("alias {FILES}/{}/;", files.volume()));
        text.line("if ($front_is_hidden) { return 404; }");
        // A folder with a page of its own is nginx's work: the slash at its end, and its page.
        text.line("if (-f \"$request_filename/index.html\") { break; }");
        let first_page = if files.single_page { format!(" {page}") } else { String::new() };
        text.line(&format!("try_files $uri{first_page} {missing};"));
    });
    place_of_nothing(text, place, &missing);
}

/// Files that are in several sets: the first that has a name has it for all.
fn place_of_sets(text: &mut Text, front: &Front, place: &Place, (files, sets): (&Files, &[SetName]), number: usize) {
    let path = place.path.as_str();
    if !place.path.is_root() {
        text.block(&format!("location = {}", quoted(path)), |text| {
            headers(text, place, Some(("Cache-Control", "no-cache")));
            text.line(&format!("return 301 {};", literal(&format!("{path}/"))));
        });
    }
    let missing = format!("@missing_{number}");
    let in_each = |name: &str| sets.iter().map(|set| format!("/{set}/${name}_{number}")).collect::<Vec<_>>().join(" ");
    // The pages of a program go together: those of others would ask for its files.
    let first_page = sets.first().filter(|_| files.single_page);
    let first_page = first_page.map(|set| format!(" /{set}/$front_first_{number}")).unwrap_or_default();
    text.block(&format!("location {}", quoted(&format!("{path}/"))), |text| {
        gate(text, front, place);
        headers(text, place, Some(("Cache-Control", "$front_cache_hashed")));
        text.line(&format!("root {FILES}/{};", files.volume()));
        text.line("if ($front_is_hidden) { return 404; }");
        text.line(&format!("try_files {} {}{first_page} {missing};", in_each("front_file"), in_each("front_folder")));
    });
    place_of_nothing(text, place, &missing);
}

fn place_of_nothing(text: &mut Text, place: &Place, missing: &str) {
    text.block(&format!("location {missing}"), |text| {
        headers(text, place, Some(("Cache-Control", "no-store")));
        text.line("types { }");
        text.line("default_type text/plain;");
        text.line(&format!("return 404 \"{MISSING}\";"));
    });
}
