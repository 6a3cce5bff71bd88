//! A front before an app: what a gunicorn app of two workers serves at 64 connections, by itself and through nginx with the configuration
//! that drover writes for it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drover_core::front::{Front, ServicePort, Terms, Upstreams, configuration};
use drover_crds::{AppTarget, Route, RouteTarget, WebAppSpec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::figures::Row;

/// How often each is measured, in turns, and for how long.
const ROUNDS: usize = 3;
const FOR: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 64;

/// A page of some kilobytes that takes as much work as pages do.
const APP: &str = "
from flask import Flask, jsonify
app = Flask(__name__)
@app.get('/')
def index():
    return jsonify([{'sample': n, 'name': f'AF-{n:05}', 'related': [n * 7 % 101, n * 13 % 101]} for n in range(60)])
";

/// A program that ends with what is measured.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("pkill").args(["-P", &self.0.id().to_string()]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `None` without nginx in the path, or where pip cannot install gunicorn.
pub async fn before_gunicorn() -> Option<Vec<Row>> {
    let folder = tempfile::tempdir().expect("a folder");
    let lib = folder.path().join("lib");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&lib).args(["flask==3.1.0", "gunicorn==27.0.0"]);
    let installed = pip.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let has_nginx = Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok();
    if !installed || !has_nginx {
        return None;
    }
    fs::write(folder.path().join("wsgi.py"), APP).expect("the folder is ours");
    let [app, front] = [(); 2].map(|()| free_address());
    let mut gunicorn = Command::new("python3");
    gunicorn.args(["-m", "gunicorn", "wsgi:app", "--workers", "2", "--worker-class", "gthread", "--threads", "4"]);
    gunicorn.args(["--keep-alive", "30", "--bind", &app.to_string(), "--log-level", "error"]);
    gunicorn.current_dir(folder.path()).env("PYTHONPATH", &lib).env("HOME", folder.path());
    let gunicorn = Running(gunicorn.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("gunicorn starts"));
    let nginx = Running(nginx(folder.path(), app, front));
    answers(app);
    answers(front);
    let (mut alone, mut through) = (0, 0);
    for _ in 0..ROUNDS {
        alone += requests(app).await;
        through += requests(front).await;
    }
    drop((nginx, gunicorn));
    let seconds = FOR.as_secs() * u64::try_from(ROUNDS).unwrap_or(1);
    let ratio =
        f64::from(u32::try_from(through).unwrap_or(u32::MAX)) / f64::from(u32::try_from(alone).unwrap_or(u32::MAX));
    Some(vec![Row::new(
        format!("a gunicorn app at {CONNECTIONS} connections: through its front / by itself"),
        format!("{} / {} requests/s: {ratio:.2}", through / seconds, alone / seconds),
    )])
}

/// nginx as a front's image runs it, before the app at that address.
fn nginx(folder: &Path, app: SocketAddr, front: SocketAddr) -> Child {
    let to = RouteTarget { app: Some(AppTarget::default()), ..RouteTarget::default() };
    let headers = BTreeMap::from([("X-Frame-Options".to_owned(), "DENY".to_owned())]);
    let route = Route { host: "app.test".into(), path: "/".into(), to, headers, ..Route::default() };
    let spec = WebAppSpec { routes: vec![route], ..WebAppSpec::default() };
    let terms = Terms { image: Some("nginx".to_owned()), ..Terms::default() };
    let own = |_: &AppTarget| ServicePort { service: "app".to_owned(), port: 80 };
    let of = Front::of(&spec, &terms, own, (None, None)).expect("a spec").expect("headers ask for a front");
    let addresses = of.services().map(|to| (to.clone(), app)).collect();
    let at = folder.display().to_string();
    let text = configuration(&of, &Upstreams { addresses, ..Upstreams::default() })
        .replace("listen 8080", &format!("listen {front}"))
        .replace("listen 8081", &format!("listen {}", free_address()))
        .replace(" /tmp", &format!(" {at}/tmp"));
    fs::create_dir(folder.join("tmp")).expect("the folder is ours");
    fs::write(folder.join("nginx.conf"), text).expect("the folder is ours");
    let mut nginx = Command::new("nginx");
    nginx.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx starts")
}

/// How many pages 64 connections get.
async fn requests(address: SocketAddr) -> u64 {
    let until = Instant::now() + FOR;
    let each = (0..CONNECTIONS).map(|_| tokio::spawn(connection(address, until)));
    let counts = futures::future::join_all(each).await;
    counts.into_iter().map(|count| count.expect("no connection panics")).sum()
}

async fn connection(address: SocketAddr, until: Instant) -> u64 {
    let mut count = 0;
    let mut buffer = vec![0; 64 << 10];
    while Instant::now() < until {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        while Instant::now() < until {
            if stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await.is_err() {
                break;
            }
            if !page(&mut stream, &mut buffer).await {
                break;
            }
            count += 1;
        }
    }
    count
}

/// Reads one answer; whether there was one and another may be asked for.
async fn page(stream: &mut tokio::net::TcpStream, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(read) if read > 0 => filled += read,
            _ => return false,
        }
        let text = String::from_utf8_lossy(&buffer[..filled]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let is_whole = length.map_or_else(|| body.ends_with("0\r\n\r\n"), |length| body.len() >= length);
        if is_whole {
            return true;
        }
    }
}

fn answers(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{address} does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback has a free port")
}
