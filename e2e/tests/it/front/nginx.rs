//! What nginx makes of a front's configuration, on this machine and without a cluster.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drover_core::front::{Front, ServicePort, SetName, Sight, Terms, Upstreams, configuration};
use drover_crds::{AppTarget, WebAppSpec};
use drover_e2e::{Answer, ask, eventually, repository};
use tempfile::TempDir;

/// A browser's wish for a page.
const A_PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// A server that answers with what it was asked; below `/admin` it redirects and sets a cookie, as servers do that know their path.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let location = match path {
                "/admin" => "/admin/".to_owned(),
                "/admin/absolute" => "http://app.test/admin/login?next=/admin/".to_owned(),
                "/admin/away" => "https://login.test/admin/".to_owned(),
                _ => String::new(),
            };
            let more = if location.is_empty() {
                "HTTP/1.1 200 OK\r\n".to_owned()
            } else {
                format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n")
            };
            let body = head.join("\n");
            let answer = format!(
                "{more}Content-Type: text/plain\r\nCache-Control: private\r\nSet-Cookie: s=1; Path=/admin\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // Whoever asked may have gone.
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    address
}

/// A front that runs here.
struct Running {
    nginx: Child,
    folder: TempDir,
    address: String,
    probe: String,
}

impl Running {
    /// With these routes; the app is [`server`], and all other Services but `gone` are too.
    async fn start(spec: &str) -> Self {
        Self::start_with(spec, &[]).await
    }

    /// The same, with these sets of the volumes of assets, each a volume and its sets in order.
    async fn start_with(spec: &str, sets: &[(&str, &[&str])]) -> Self {
        let spec: WebAppSpec =
            serde_saphyr::from_str(&format!("{{image: a, ports: [{{name: http, port: 80}}], {spec}}}"))
                .unwrap_or_else(|error| panic!("{spec}: {error}"));
        let terms = Terms {
            image: Some("nginx".to_owned()),
            trusted: vec!["127.0.0.0/8".parse().expect("a range")],
            ..Terms::default()
        };
        let app = |_: &AppTarget| ServicePort { service: "web".to_owned(), port: 80 };
        let front = Front::of(&spec, &terms, app, (None, None)).expect("a spec").expect("it needs a front");
        let address = server();
        let known = front.services().filter(|to| to.service != "gone").map(|to| (to.clone(), address));
        let sets = sets.iter().map(|(volume, sets)| {
            let sets = sets.iter().map(|set| SetName::new(set).expect("the name of a set"));
            ((*volume).to_owned(), sets.collect())
        });
        let addresses = known.collect();
        let text = configuration(&front, &Upstreams { addresses, sets: sets.collect(), ..Upstreams::default() });
        let folder = tempfile::tempdir().expect("a folder");
        let [listens, probe] = [(); 2].map(|()| free_address());
        let at = folder.path().display().to_string();
        // One process: a worker would outlive its master, and hold open whatever reads the tests' output.
        let text = text
            .replace("daemon off;", "daemon off; master_process off;")
            .replace("listen 8080", &format!("listen {listens}"))
            .replace("listen 8081", &format!("listen {probe}"))
            .replace(" /tmp", &format!(" {at}/tmp"))
            .replace(" /files", &format!(" {at}/files"))
            .replace(" /logs", &format!(" {at}/logs"))
            .replace("/dev/stdout", &format!("{at}/stdout"));
        for name in ["tmp", "files", "logs"] {
            fs::create_dir(folder.path().join(name)).expect("the folder is ours");
        }
        fs::write(folder.path().join("nginx.conf"), text).expect("the folder is ours");
        let mut nginx = command(folder.path());
        let nginx = nginx.env("TZ", "XST-14").spawn().expect("nginx is installed by `make setup`");
        let running = Self { nginx, folder, address: listens, probe };
        eventually("the front answers its probe", Duration::from_secs(10), async || {
            let answer = ask(&running.probe, "x", "/healthz", &[]).await?;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        running
    }

    fn file(&self, path: &str, text: &str) {
        let file = self.folder.path().join("files").join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("the folder is ours");
        fs::write(file, text).expect("the folder is ours");
    }

    async fn ask(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.address, host, path, headers).await.unwrap_or_else(|error| panic!("{host}{path}: {error}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut nginx = Command::new("nginx");
    nginx.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    nginx
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it listens").to_string()
}

/// The configurations of the golden children, as nginx gets them.
fn golden() -> Vec<(PathBuf, String)> {
    let folder = repository().join("controller/core/tests/golden/web_app");
    let cases = fs::read_dir(folder).expect("golden cases").map(|entry| entry.expect("an entry").path());
    let of_case = |case: PathBuf| {
        let children = fs::read_to_string(case.join("children.yaml")).ok()?;
        let documents: Vec<serde_json::Value> = children
            .split("\n---\n")
            .filter_map(|text| serde_saphyr::from_str(text.trim_start_matches("---\n")).ok())
            .collect();
        let text = documents.iter().find_map(|document| document["data"]["nginx.conf"].as_str())?;
        Some((case, text.to_owned()))
    };
    cases.filter_map(of_case).collect()
}

#[test]
fn nginx_takes_every_configuration_of_the_golden_folders() {
    let all = golden();
    assert!(all.len() >= 2, "{all:?}");
    for (case, text) in all {
        let folder = tempfile::tempdir().expect("a folder");
        let text = text.replace(" /tmp", &format!(" {}", folder.path().display()));
        fs::write(folder.path().join("nginx.conf"), text).expect("the folder is ours");
        let mut nginx = command(folder.path());
        let output = nginx.arg("-t").stderr(Stdio::piped()).output().expect("nginx is installed by `make setup`");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("[warn]"), "{}: {said}", case.display());
    }
}

#[tokio::test]
async fn a_path_is_whole_segments_and_the_longest_wins() {
    let front = Running::start(
        "routes: [{host: app.test, to: {app: {}}, headers: {X-From: root}}, {host: app.test, path: /api/, to: {app: {}}, headers: {X-From: api}}, {host: app.test, path: /api/v2, to: {service: {name: gone, port: 1}}}, {host: '*.wild.test', path: /only, to: {app: {}}}]",
    )
    .await;
    for (path, from) in [
        ("/", "root"),
        ("/apix", "root"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/v1?x=%2F", "api"),
        ("/api/v20", "api"),
    ] {
        let answer = front.ask("app.test", path, &[]).await;
        assert_eq!((answer.status, answer.headers("X-From")), (200, vec![from]), "{path}");
        assert!(answer.body.starts_with(&format!("GET {path} HTTP/1.1\nHost: app.test")), "{}", answer.body);
    }
    for path in ["/api/v2", "/api/v2/x.js"] {
        let answer = front.ask("app.test", path, &[]).await;
        assert_eq!((answer.status, answer.headers("Content-Type")), (503, vec!["text/plain"]), "{path}: {answer:?}");
        assert_eq!(answer.headers("Cache-Control"), ["no-store"]);
    }
    for (host, path, status) in [
        ("other.test", "/", 404),
        ("a.wild.test", "/only/x", 200),
        ("a.wild.test", "/", 404),
        ("a.b.wild.test", "/only", 404),
        ("wild.test", "/only", 404),
    ] {
        assert_eq!(front.ask(host, path, &[]).await.status, status, "{host}{path}");
    }
}

#[tokio::test]
async fn a_rewritten_path_comes_back_in_redirects_and_cookies() {
    let front = Running::start(
        "routes: [{host: app.test, path: /amq, to: {service: {name: amq, port: 1}}, rewritePath: /admin}, {host: app.test, path: /strip, to: {app: {}}, rewritePath: /}]",
    )
    .await;
    for (path, asked) in [
        ("/amq/x%20y?q=1", "/admin/x%20y?q=1"),
        ("/strip", "/"),
        ("/strip/a/b?c", "/a/b?c"),
        ("/amq/%0Aa", "/admin/%0Aa"),
    ] {
        let answer = front.ask("app.test", path, &[]).await;
        assert!(answer.body.starts_with(&format!("GET {asked} HTTP/1.1\n")), "{path}: {}", answer.body);
    }
    for (path, location) in
        [("/amq", "/amq/"), ("/amq/absolute", "/amq/login?next=/admin/"), ("/amq/away", "https://login.test/admin/")]
    {
        let answer = front.ask("app.test", path, &[]).await;
        assert_eq!((answer.status, answer.headers("Location")), (302, vec![location]), "{path}");
        assert_eq!(answer.headers("Set-Cookie"), ["s=1; Path=/amq"]);
    }
}

#[tokio::test]
async fn headers_stand_in_place_of_the_servers_on_every_answer() {
    let front = Running::start(
        "routes: [{host: app.test, to: {app: {}}, headers: {Cache-Control: no-store, X-Quoted: 'a \"b\"; \\c {d}'}}, {host: app.test, path: /gone, to: {service: {name: gone, port: 1}}, headers: {X-Frame-Options: DENY}}]",
    )
    .await;
    let answer = front.ask("app.test", "/", &[]).await;
    assert_eq!(answer.headers("Cache-Control"), ["no-store"]);
    assert_eq!(answer.headers("X-Quoted"), ["a \"b\"; \\c {d}"]);
    assert_eq!(front.ask("app.test", "/gone", &[]).await.headers("X-Frame-Options"), ["DENY"]);
}

#[tokio::test]
async fn who_may_ask_is_judged_by_what_trusted_proxies_say_and_nobody_is_not_let_in() {
    let front = Running::start(
        "routes: [{host: app.test, to: {app: {}}, allowFrom: [10.0.0.0/8, 127.0.0.1]}, {host: app.test, path: /files, to: {static: {volume: f}}, allowFrom: [10.0.0.0/8], headers: {X-A: b}}], logs: {mountPath: /logs, claim: {resources: {requests: {storage: 1Gi}}}}",
    )
    .await;
    front.file("f/a.txt", "a");
    let said = || fs::read_to_string(front.folder.path().join("stdout")).expect("it tells what it sees");
    assert_eq!(Sight::of(&said()), Sight::Unknown);
    front.ask("app.test", "/", &[]).await;
    assert_eq!(Sight::of(&said()), Sight::Hidden("127.0.0.1".parse().expect("an address")));
    for (forwarded, status) in [
        (Some("10.1.2.3"), 200),
        (Some("192.0.2.7"), 403),
        // What the last untrusted one says of itself counts for nothing.
        (Some("10.1.2.3, 192.0.2.7"), 403),
        (Some("192.0.2.7, 10.1.2.3"), 200),
        (Some("192.0.2.7, 10.1.2.3, 127.0.0.1"), 200),
        // Only proxies are seen: whoever stands behind them may be anybody.
        (Some("127.0.0.1"), 403),
        (Some("garbage"), 403),
        (None, 403),
    ] {
        let headers: Vec<_> = forwarded.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        for path in ["/", "/files/a.txt"] {
            let answer = front.ask("app.test", path, &headers).await;
            assert_eq!(answer.status, status, "{path} {forwarded:?}: {answer:?}");
        }
    }
    let denied = front.ask("app.test", "/files/a.txt", &[]).await;
    assert_eq!(denied.headers("X-A"), ["b"]);
    // Each is told once a minute, of which the end may have come between two.
    assert!((2..=4).contains(&said().lines().count()) && Sight::of(&said()) == Sight::Known, "{}", said());
    let logs =
        fs::read_dir(front.folder.path().join("logs")).expect("the folder is ours").map(|log| log.expect("a log"));
    let logged: usize = logs.map(|log| fs::read_to_string(log.path()).expect("a log").lines().count()).sum();
    assert_eq!(logged, 18, "each request is in the access log as well");
    let told = [("X-Forwarded-For", "10.1.2.3"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443")];
    let body = front.ask("app.test", "/", &told).await.body;
    for line in [
        "X-Forwarded-For: 10.1.2.3, 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Host: app.test",
        "X-Real-IP: 10.1.2.3",
    ] {
        assert!(body.lines().any(|said| said == line), "no {line}: {body}");
    }
}

#[tokio::test]
async fn a_missing_file_is_no_page_and_a_page_that_is_no_file_is_the_first_one() {
    let front = Running::start(
        "routes: [{host: app.test, to: {static: {volume: ui, singlePage: true}}, headers: {Content-Security-Policy: \"default-src 'self'\"}}, {host: app.test, path: /plots, to: {static: {volume: plots}}}, {host: app.test, path: /api, to: {service: {name: gone, port: 1}}}]",
    )
    .await;
    front.file("ui/index.html", "<p>first page</p>");
    front.file("ui/assets/index-1a2b3c4d.js", "1");
    front.file("ui/logo.png", "2");
    front.file("ui/docs/index.html", "<p>docs</p>");
    front.file("ui/.env", "secret");
    front.file("ui/.well-known/security.txt", "3");
    front.file("plots/a-12345678.csv", "x,y");
    front.file("plots/sub/b.txt", "4");
    front.file("plots/report/index.html", "<p>report</p>");
    let policy = ["default-src 'self'"];

    for path in ["/", "/app/1.0.2/details", "/sample/10.5281/x.12", "/verify/ab.cd.ef", "/deep?x=1.js"] {
        let answer = front.ask("app.test", path, &[A_PAGE]).await;
        assert_eq!((answer.status, &*answer.body), (200, "<p>first page</p>"), "{path}: {answer:?}");
        assert_eq!(answer.headers("Cache-Control"), ["no-cache"], "{path}");
        assert_eq!(answer.headers("Content-Security-Policy"), policy, "{path}");
        assert!(answer.headers("Content-Type")[0].starts_with("text/html") && answer.headers("ETag").len() == 1);
    }
    for (path, headers) in
        [("/assets/old.abc123.js", &[A_PAGE][..]), ("/app/1.0.2/details", &[]), ("/x.png", &[A_PAGE])]
    {
        let answer = front.ask("app.test", path, headers).await;
        assert_eq!((answer.status, answer.headers("Cache-Control")), (404, vec!["no-store"]), "{path}");
        assert!(answer.headers("Content-Type")[0].starts_with("text/plain"), "{answer:?}");
        assert_eq!(answer.headers("Content-Security-Policy"), policy, "{path}");
    }
    let api = front.ask("app.test", "/api/x", &[A_PAGE]).await;
    assert_eq!(api.status, 503);
    for (path, cache) in [
        ("/assets/index-1a2b3c4d.js", "public, max-age=31536000, immutable"),
        ("/logo.png", "no-cache"),
        ("/plots/a-12345678.csv", "no-cache"),
    ] {
        let answer = front.ask("app.test", path, &[]).await;
        assert_eq!((answer.status, answer.headers("Cache-Control")), (200, vec![cache]), "{path}");
    }
    // A folder's slash, and its page.
    for (path, location) in
        [("/docs", "/docs/"), ("/plots", "/plots/"), ("/plots/report", "/plots/report/"), ("/docs?a=b", "/docs/?a=b")]
    {
        let answer = front.ask("app.test", path, &[A_PAGE]).await;
        assert_eq!((answer.status, answer.headers("Location")), (301, vec![location]), "{path}");
    }
    assert_eq!(front.ask("app.test", "/docs/", &[]).await.body, "<p>docs</p>");
    assert_eq!(front.ask("app.test", "/plots/report/", &[]).await.body, "<p>report</p>");
    assert_eq!(front.ask("app.test", "/.well-known/security.txt", &[]).await.body, "3");
    for path in
        ["/.env", "/plots/", "/plots/sub", "/plots/sub/", "/plots/x", "/plots/..%2fui/logo.png", "/plots../ui/logo.png"]
    {
        let answer = front.ask("app.test", path, &[]).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    let etag = front.ask("app.test", "/logo.png", &[]).await.headers("ETag")[0].to_owned();
    assert_eq!(front.ask("app.test", "/logo.png", &[("If-None-Match", &etag)]).await.status, 304);
}

#[tokio::test]
async fn a_name_comes_from_the_first_set_that_has_it() {
    let front = Running::start_with(
        "routes: [{host: app.test, to: {app: {}}}, {host: app.test, path: /static, to: {static: {assets: files}}, headers: {X-A: b}}, {host: app.test, path: /static/api, to: {app: {}}}, {host: ui.test, to: {static: {assets: ui, singlePage: true}}}], assets: [{name: files, path: /s}, {name: ui, path: /u}]",
        &[("drover-assets-files", &["bb", "aa", "00"]), ("drover-assets-ui", &["cc", "dd"])],
    )
    .await;
    for (path, text) in [
        ("drover-assets-files/aa/manifest.json", "old"),
        ("drover-assets-files/bb/manifest.json", "live"),
        ("drover-assets-files/aa/css/app.0123abcd.css", "old hash"),
        ("drover-assets-files/bb/css/app.4567cdef.css", "live hash"),
        ("drover-assets-files/bb/css/plain.css", "plain"),
        ("drover-assets-files/aa/docs/index.html", "old docs"),
        ("drover-assets-files/aa/.env", "secret"),
        ("drover-assets-files/bb/a$b.txt", "odd"),
        ("drover-assets-ui/cc/index.html", "<p>live page</p>"),
        ("drover-assets-ui/dd/index.html", "<p>old page</p>"),
        ("drover-assets-ui/dd/app-89ab0123.js", "old script"),
    ] {
        front.file(path, text);
    }
    let hashed = "public, max-age=31536000, immutable";
    for (path, body, cache) in [
        ("/static/manifest.json", "live", "no-cache"),
        ("/static/css/app.0123abcd.css?v=1", "old hash", hashed),
        ("/static/css/app.4567cdef.css", "live hash", hashed),
        ("/static/css/plain.css", "plain", "no-cache"),
        ("/static/docs/", "old docs", "no-cache"),
        ("/static/a$b.txt", "odd", "no-cache"),
        ("/static//css/../manifest.json", "live", "no-cache"),
    ] {
        let answer = front.ask("app.test", path, &[]).await;
        assert_eq!((answer.status, &*answer.body), (200, body), "{path}: {answer:?}");
        assert_eq!(answer.headers("Cache-Control"), [cache], "{path}");
        assert_eq!((answer.headers("X-A"), answer.headers("ETag").len()), (vec!["b"], 1), "{path}");
    }
    let css = front.ask("app.test", "/static/css/plain.css", &[]).await;
    assert!(css.headers("Content-Type")[0].starts_with("text/css"), "{css:?}");
    let etag = css.headers("ETag")[0].to_owned();
    assert_eq!(front.ask("app.test", "/static/css/plain.css", &[("If-None-Match", &etag)]).await.status, 304);
    for path in
        ["/static/", "/static/none.js", "/static/css", "/static/css/", "/static/.env", "/static/bb/manifest.json"]
    {
        let answer = front.ask("app.test", path, &[A_PAGE]).await;
        assert_eq!((answer.status, answer.headers("Cache-Control")), (404, vec!["no-store"]), "{path}: {answer:?}");
    }
    let slash = front.ask("app.test", "/static", &[]).await;
    assert_eq!((slash.status, slash.headers("Location")), (301, vec!["/static/"]));
    assert!(front.ask("app.test", "/static/api/x.css", &[]).await.body.starts_with("GET /static/api/x.css"));
    assert!(front.ask("app.test", "/staticx", &[]).await.body.starts_with("GET /staticx"));

    for path in ["/", "/deep/link", "/v1.2/x"] {
        let answer = front.ask("ui.test", path, &[A_PAGE]).await;
        assert_eq!((answer.status, &*answer.body), (200, "<p>live page</p>"), "{path}: {answer:?}");
        assert_eq!(answer.headers("Cache-Control"), ["no-cache"], "{path}");
    }
    assert_eq!(front.ask("ui.test", "/app-89ab0123.js", &[]).await.body, "old script");
    assert_eq!(front.ask("ui.test", "/app-gone0123.js", &[A_PAGE]).await.status, 404);
}

#[tokio::test]
async fn each_local_day_has_a_log_without_addresses() {
    let front = Running::start(
        "routes: [{host: a.test, to: {app: {}}}, {host: b.test, to: {app: {}}}], logs: {mountPath: /logs, claim: {resources: {requests: {storage: 1Gi}}}}",
    )
    .await;
    for host in ["a.test", "b.test"] {
        front.ask(host, &format!("/{host}"), &[("X-Forwarded-For", "10.1.2.3"), ("User-Agent", "me")]).await;
    }
    // The zone of TZ, 14 hours ahead.
    let day = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(14))).date();
    let file = front.folder.path().join(format!("logs/access-{day}.log"));
    let log = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for host in ["a.test", "b.test"] {
        let line = log.lines().find(|line| line.contains(&format!("\"GET /{host} HTTP/1.1\" 200 ")));
        let line = line.unwrap_or_else(|| panic!("no line of {host}: {log}"));
        assert!(line.starts_with("- - - [") && line.ends_with("\"-\" \"me\"") && !line.contains("10.1.2.3"), "{line}");
    }
    assert_eq!(log.lines().count(), 2, "the probe is no request: {log}");
}
