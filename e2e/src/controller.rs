//! The controller that tests share: the real binary, outside the cluster, with the rights that the chart gives it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::binary;
use crate::command::{finish, run};
use crate::errands;
use crate::eventually::eventually;
use crate::front;
use crate::git_server::GitServer;
use crate::http::{Response, get};
use crate::recent_log;
use crate::testbed::{Testbed, cluster, repository};

/// The namespace of the controller's own account, lease and inventory.
pub(crate) const HOME: &str = "drover-system";

static SHARED: OnceLock<Controller> = OnceLock::new();

/// A running `drover controller`.
pub struct Controller {
    /// Ends the controller when its standard input closes: that happens however this process ends.
    keeper: Mutex<Child>,
    pid_file: PathBuf,
    kubeconfig: PathBuf,
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
            // To who names no authority of its own the git server is as trustworthy as a host that everybody knows.
            let controller = Self::on(bed)
                .variable("SSL_CERT_FILE", GitServer::beside(bed).authority())
                .arguments(&["--errand-image", &errands::image(bed), "--front-image", &front::name(bed)])
                // The pods' network, in which the node is that Traefik runs on.
                .arguments(&["--front-trusted-proxy", "10.244.0.0/16"])
                .start();
            recent_log::is_at(controller.log.clone());
            controller
        });
        controller.ready().await;
        controller
    }

    /// A controller for `bed` with the rights of the chart's service account, which [`install`] made.
    pub fn on(bed: &Testbed) -> Start<'_> {
        Start {
            bed,
            name: "controller".to_owned(),
            program: binary().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
        }
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

    /// What it says of itself: `/readyz`.
    pub async fn readyz(&self) -> Result<Response, String> {
        get(&self.http(), "localhost", "/readyz").await
    }

    /// The sum of a metric over all its labels; `None` for one that it does not show.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>, String> {
        let text = get(&self.http(), "localhost", "/metrics").await?.body;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        Ok(values.reduce(|a, b| a + b))
    }

    /// Waits until it says that it leads, for at most that long, and returns how long it took.
    pub async fn leads_within(&self, limit: Duration) -> Duration {
        let began = Instant::now();
        eventually("the controller leads", limit, async || match self.metric("drover_leading").await? {
            Some(leading) if leading > 0.0 => Ok(()),
            other => Err(format!("drover_leading {other:?}\n{}", self.log())),
        })
        .await;
        began.elapsed()
    }

    /// The credential that the audit log knows it by; each start has its own.
    pub fn credential(&self, bed: &Testbed) -> String {
        let mut whoami = bed.program("kubectl");
        whoami.env("KUBECONFIG", &self.kubeconfig).args(["auth", "whoami", "-o", "json"]);
        let review: serde_json::Value = serde_json::from_str(&run(&mut whoami)).expect("kubectl prints JSON");
        let id = &review["status"]["userInfo"]["extra"]["authentication.kubernetes.io/credential-id"][0];
        id.as_str().unwrap_or_else(|| panic!("the token has no id: {review}")).to_owned()
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
        for _ in 0..500 {
            match fs::read_to_string(&self.pid_file).ok().and_then(|text| text.trim().parse().ok()) {
                Some(pid) => return pid,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        panic!("the controller did not start\n{}", self.log())
    }

    /// Memory that it has in RAM now, in MiB.
    pub fn resident_mebibytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that it ever had in RAM, in MiB.
    pub fn peak_mebibytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The processor time that it has taken so far, of all its threads.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the controller runs");
        // Behind the program's name, which stands in parentheses: proc(5) counts the state as the third field, utime as the 14th.
        let (_, fields) = stat.rsplit_once(") ").expect("the kernel writes its name");
        let ticks =
            fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("the kernel writes a number"));
        // Whatever the machine, the kernel tells it in hundredths of a second.
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the controller runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel says how much is used");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("the kernel writes a number");
        kibibytes / 1024
    }

    /// Whether the process is gone.
    pub fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z'))
    }

    /// Waits until it has ended by itself, or by a signal.
    pub async fn ends_within(&self, limit: Duration) {
        eventually("the controller ends", limit, async || if self.has_ended() { Ok(()) } else { Err(self.log()) })
            .await;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("the kernel gives such numbers");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("the controller is gone ({error})\n{}", self.log()));
    }
}

impl Controller {
    /// Asks it to end, by closing its keeper's standard input, and waits until it has.
    pub fn stop(&self) {
        let mut keeper = self.keeper.lock().expect("no holder of this lock panics");
        drop(keeper.stdin.take());
        let _ = keeper.wait();
    }
}

/// A controller that is about to start.
pub struct Start<'a> {
    bed: &'a Testbed,
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, OsString)>,
}

impl Start<'_> {
    /// Its name in the election, and that of its folder. A later one of the same name takes the lease over at once.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Runs another program than the plain binary.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it; its log goes on where that of an earlier one of this name ended.
    pub fn start(self) -> Controller {
        refuse_other_runs(self.bed);
        let folder = self.bed.state().join(&self.name);
        fs::create_dir_all(&folder).expect("the testbed's folder is ours to write");
        let log = folder.join("log");
        let append = || fs::OpenOptions::new().create(true).append(true).open(&log).expect("the log can be written");
        let pid_file = folder.join("pid");
        let _ = fs::remove_file(&pid_file);
        let kubeconfig = account_kubeconfig(self.bed, &folder);
        let (http, webhook) = (free_address(), free_address());
        let keeper = Command::new("bash")
            .args([
                "-c",
                r#"pid_file=$1; shift; "$@" & echo $! >"$pid_file"; cat >/dev/null; kill -TERM %1; kill -CONT %1; wait"#,
                "keeper",
            ])
            .arg(&pid_file)
            .arg(self.program)
            .args(["controller", "--namespace", HOME, "--identity", &self.name])
            .args(["--http-addr", &http.to_string(), "--webhook-addr", &webhook.to_string()])
            .args(["--advertise", &webhook.to_string()])
            .arg("--cache-dir")
            .arg(folder.join("cache"))
            .args(["--insecure-registry", self.bed.registry()])
            .arg("--sops")
            .arg(self.bed.sops())
            // The proxy that tests put before the git server has no certificate.
            .arg("--allow-http-git")
            .args(self.arguments)
            // Whom the shell trusts that runs the tests is no part of them.
            .env_remove("GIT_SSL_CAINFO")
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .envs(self.variables)
            .env("KUBECONFIG", &kubeconfig)
            .stdin(Stdio::piped())
            .stdout(append())
            .stderr(append())
            .spawn()
            .expect("bash is there");
        Controller { keeper: Mutex::new(keeper), pid_file, kubeconfig, log, http, webhook }
    }
}

/// Two runs of tests on one testbed would take the lease from each other's controllers, and the second one's fail far from here.
fn refuse_other_runs(bed: &Testbed) {
    static HELD: Mutex<BTreeMap<PathBuf, fs::File>> = Mutex::new(BTreeMap::new());
    let state = bed.state();
    let mut held = HELD.lock().expect("no holder of this lock panics");
    if held.contains_key(&state) {
        return;
    }
    let file = fs::File::create(state.join("in-use")).expect("the testbed's folder is ours to write");
    if let Err(error) = file.try_lock() {
        drop(held);
        let state = state.display();
        panic!(
            "another run of tests uses the testbed in {state} ({error}): wait for its end, or choose another one with TESTBED=NUMBER"
        );
    }
    held.insert(state, file);
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop();
    }
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

impl Testbed {
    /// A new cluster of the given number with nothing but a control plane that logs drover's requests, and where drover is
    /// installed; for tests that hurt it.
    pub fn victim(number: u32) -> Self {
        cluster(number, &["down"]);
        cluster(number, &["up", "--audit"]);
        let bed = Self::describe(number);
        install(&bed);
        bed
    }
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
