//! The controller that tests share: the real binary, outside the cluster, with the rights that the chart gives it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::command::{finish, run};
use crate::eventually::eventually;
use crate::http::get;
use crate::testbed::{Testbed, repository};

/// The namespace of the controller's own account, lease and inventory.
const HOME: &str = "drover-system";

static SHARED: OnceLock<Controller> = OnceLock::new();

/// A running `drover controller`.
pub struct Controller {
    /// Ends the controller when its standard input closes: that happens however this process ends.
    keeper: Mutex<Child>,
    log: PathBuf,
    http: SocketAddr,
    webhook: SocketAddr,
}

impl Controller {
    /// The controller of the shared testbed, started at the first call; its resource definitions and rights come first.
    pub async fn shared() -> &'static Self {
        let controller = SHARED.get_or_init(|| {
            let bed = Testbed::shared();
            install(bed);
            Self::start(bed, &[])
        });
        controller.ready().await;
        controller
    }

    /// Starts a controller for `bed` with the rights of the chart's service account, which [`install`] made.
    pub fn start(bed: &Testbed, arguments: &[&str]) -> Self {
        let folder = bed.state().join("controller");
        fs::create_dir_all(&folder).expect("the testbed's folder is ours to write");
        let log = folder.join("log");
        let (http, webhook) = (free_address(), free_address());
        let keeper = Command::new("bash")
            .args(["-c", r#""$@" & pid=$!; cat >/dev/null; kill -TERM $pid; wait $pid"#, "keeper"])
            .arg(binary())
            .args(["controller", "--namespace", HOME])
            .args(["--http-addr", &http.to_string(), "--webhook-addr", &webhook.to_string()])
            .arg("--cache-dir")
            .arg(folder.join("cache"))
            .args(["--insecure-registry", bed.registry()])
            // The proxy that tests put before the git server has no certificate.
            .arg("--allow-http-git")
            .args(arguments)
            .env("KUBECONFIG", account_kubeconfig(bed, &folder))
            // The tests' git server has a certificate authority of its own, and these would beat the Environment's.
            .env_remove("GIT_SSL_CAINFO")
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::piped())
            .stdout(fs::File::create(&log).expect("the log can be written"))
            .stderr(fs::OpenOptions::new().append(true).open(&log).expect("the log can be written"))
            .spawn()
            .expect("bash is there");
        Self { keeper: Mutex::new(keeper), log, http, webhook }
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) {
        let address = self.http.to_string();
        eventually("the controller answers /readyz with 200", Duration::from_secs(60), async || {
            match get(&address, "localhost", "/readyz").await? {
                response if response.status == 200 => Ok(()),
                response => Err(format!("{} {}", response.status, response.body)),
            }
        })
        .await;
    }

    /// `ip:port` of `/healthz`, `/readyz` and `/metrics`.
    pub fn http(&self) -> String {
        self.http.to_string()
    }

    /// `ip:port` of the webhook receiver.
    pub fn webhook(&self) -> String {
        self.webhook.to_string()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id of the controller itself.
    pub fn pid(&self) -> u32 {
        let keeper = self.keeper.lock().expect("no holder of this lock panics").id();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
        let first =
            children.split_whitespace().next().unwrap_or_else(|| panic!("the controller is gone\n{}", self.log()));
        first.parse().expect("the kernel lists numbers")
    }
}

impl Controller {
    /// Asks it to end and waits until it has.
    pub fn stop(&self) {
        let mut keeper = self.keeper.lock().expect("no holder of this lock panics");
        drop(keeper.stdin.take());
        let _ = keeper.wait();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The `drover` binary that is tested: `DROVER_BIN`, or what this workspace builds, brought up to date first.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("DROVER_BIN") {
            return given.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--workspace", "--bin", "drover"]).current_dir(repository());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        run(&mut build);
        // This program lies in the same target folder: PROFILE/deps/it-… for a test, PROFILE/bench for a program.
        let here = std::env::current_exe().expect("a running program has a path");
        here.ancestors()
            .map(|folder| folder.join("drover"))
            .find(|candidate| candidate.is_file())
            .expect("cargo has just built the binary beside this program")
    })
}

/// Brings drover's resource definitions and the rights of its controller into the cluster, as the chart does, without the
/// controller itself.
pub fn install(bed: &Testbed) {
    bed.apply(&run(Command::new(binary()).arg("crds")));
    bed.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {HOME}}}}}"));
    let rights = run(bed.program("helm").args(["template", "drover"]).arg(repository().join("charts/drover")).args([
        "--namespace",
        HOME,
        "-s",
        "templates/rbac-*.yaml",
        "-s",
        "templates/serviceaccount.yaml",
    ]));
    let finished = finish(bed.program("kubectl").args(["apply", "-n", HOME, "-f", "-"]), &rights);
    assert_eq!(finished.code, 0, "the chart's rights were refused:\n{rights}\n{}", finished.said());
}

/// A kubeconfig with the rights of the controller's service account and no others.
fn account_kubeconfig(bed: &Testbed, folder: &Path) -> PathBuf {
    let token = bed.kubectl(&["create", "token", "drover", "--namespace", HOME, "--duration", "24h"]);
    let server = bed.kubectl(&["config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let authority =
        bed.kubectl(&["config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}"]);
    let path = folder.join("kubeconfig");
    let text = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "drover", "user": {"token": token.trim()}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "drover"}}],
        "current-context": "testbed",
    });
    fs::write(&path, text.to_string()).expect("the testbed's folder is ours to write");
    path
}

fn free_address() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    probe.local_addr().expect("a bound socket has an address")
}

/// The end of the shared controller's log, for a failed test.
pub(crate) fn recent_log() -> String {
    let Some(controller) = SHARED.get() else { return String::new() };
    let log = controller.log();
    let lines: Vec<&str> = log.lines().collect();
    let end = &lines[lines.len().saturating_sub(40)..];
    format!("The controller's last lines ({}):\n{}", controller.log.display(), end.join("\n"))
}
