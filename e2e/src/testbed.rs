//! The cluster that tests run on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::audit::Audit;
use crate::bucket_server::BucketServer;
use crate::command::{finish, run};

/// The folder of the project.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a folder of the project")
}

/// A running cluster, as `cluster env` describes it.
#[derive(Clone, Debug)]
pub struct Testbed {
    variables: BTreeMap<String, String>,
}

/// The cluster that [`Testbed::shared`] gives.
static SHARED: OnceLock<Testbed> = OnceLock::new();

impl Testbed {
    /// The cluster that tests share, with a node, DNS, volumes, Ingress and a registry. It is started when it is not up
    /// yet, and stays up for the next run: `make cluster-down` ends it. `TESTBED` in the environment chooses another.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::with_node(number()))
    }

    /// The same for a program that needs no pods: a new cluster of the given number with nothing but etcd, the API server and
    /// the controller manager, which logs drover's requests. To be called before anything else uses the shared one.
    pub fn share_control_plane(number: u32) -> &'static Self {
        SHARED.get_or_init(|| {
            cluster(number, &["down"]);
            cluster(number, &["up", "--registry", "--audit"]);
            Self::describe(number)
        })
    }

    /// A new cluster of the given number for the whole test program: a control plane that logs drover's requests, and a node that
    /// only says that its pods run.
    pub fn share_fake_node(number: u32) -> &'static Self {
        SHARED.get_or_init(|| Self::with_fake_nodes(number, 1))
    }

    /// A new cluster of the given number with `count` nodes that only say that their pods run, and a log of drover's requests.
    pub fn with_fake_nodes(number: u32, count: u32) -> Self {
        cluster(number, &["down"]);
        cluster(number, &["up", &format!("--fake-nodes={count}"), "--audit"]);
        Self::describe(number)
    }

    /// A cluster of the given number, with a node and all of the above.
    pub fn with_node(number: u32) -> Self {
        cluster(number, &["up", "--node", "--audit"]);
        cluster(number, &["addons"]);
        Self::describe(number)
    }

    /// A cluster of the given number with nothing but etcd, the API server and the controller manager.
    pub fn control_plane(number: u32) -> Self {
        cluster(number, &["up"]);
        Self::describe(number)
    }

    pub(crate) fn describe(number: u32) -> Self {
        let variables = cluster(number, &["env"])
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { variables }
    }

    /// What the tool `cluster` can do to it: `stop apiserver`, `snapshot`, …
    pub fn suffers(&self, what: &[&str]) {
        cluster(self.number(), what);
    }

    /// The same for a test that may have failed, and left it as it was then.
    pub(crate) fn suffers_if_it_can(&self, what: &[&str]) {
        finish(&mut tool(self.number(), what), "");
    }

    /// Ends a container of the node as `kill -9` does, without a word to it; one that has ended stays so.
    pub fn kill(&self, container: &str) {
        let socket = self.state().join("run/containerd.sock");
        let mut kill = self.program("ctr");
        kill.arg("--address").arg(socket).args(["--namespace", "k8s.io", "task", "kill", "--signal", "SIGKILL"]);
        finish(kill.arg(container), "");
    }

    /// The audit log so far.
    pub fn audit(&self) -> Audit {
        Audit::read(&self.state().join("log/audit.log"))
    }

    /// Imports an image from an archive into the node.
    pub fn load_image(&self, archive: &Path) {
        cluster(self.number(), &["load", &archive.display().to_string()]);
    }

    /// Makes an image of the tests' web server with these options of the tool `image`, and pushes it as `name`, which leads to it from
    /// now on. Its digest.
    pub fn push_hello(&self, name: &str, options: &[&str]) -> String {
        let program = format!("{}/hello:/hello", self.variable("TESTBED_BIN"));
        let fixed = ["image", name, "--push", "--user", "65532:65532", "--entrypoint", "/hello"];
        let told = cluster(self.number(), &[&fixed, options, &[&program]].concat());
        told.trim().rsplit(' ').next().expect("name and digest").to_owned()
    }

    /// Makes an image of a Python program of `e2e/testbed/apps/`, whose files may be changed first, with these options of the tool
    /// `image`, and pushes it as `name`. Its digest.
    pub fn push_python(&self, name: &str, program: &str, change: impl Fn(&Path), options: &[&str]) -> String {
        // Tests that run at once may make images of one program.
        let own = tempfile::tempdir_in(self.state()).expect("the testbed's folder is ours");
        let folder = own.path().join(program);
        let from = repository().join("e2e/testbed/apps").join(program);
        run(Command::new("cp").arg("-r").arg(from).arg(&folder));
        change(&folder);
        let tool = repository().join("e2e/testbed/python-app");
        let mut make = Command::new(tool);
        make.arg(name).arg(&folder).arg("--push").args(options).env("TESTBED", self.number().to_string());
        let told = run(&mut make);
        told.trim().rsplit(' ').next().expect("name and digest").to_owned()
    }

    /// The versions 1 and 2 of such a program, which differ in a label, as tags of `repository`.
    pub fn push_python_versions(&self, repository: &str, program: &str) {
        for version in ["1", "2"] {
            let label = format!("version={version}");
            let options = ["--workdir", "/app", "--label", &label];
            self.push_python(&format!("{repository}:{version}"), program, |_| (), &options);
        }
    }

    /// Ends the cluster and removes all of it.
    pub fn down(&self) {
        cluster(self.number(), &["down"]);
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("`cluster env` prints no {name}: {:?}", self.variables))
    }

    /// Which of the clusters on this machine it is.
    pub fn number(&self) -> u32 {
        self.variable("TESTBED").parse().expect("TESTBED is a number")
    }

    /// A kubeconfig with all rights.
    pub fn kubeconfig(&self) -> PathBuf {
        self.variable("KUBECONFIG").into()
    }

    /// The folder with the cluster's data, logs and certificates.
    pub fn state(&self) -> PathBuf {
        self.variable("TESTBED_STATE").into()
    }

    /// The address of the node: Ingress answers on its ports 80 and 443.
    pub fn node_ip(&self) -> &str {
        self.variable("TESTBED_NODE_IP")
    }

    /// The address of this machine as the node and its pods reach it.
    pub fn host_ip(&self) -> &str {
        self.variable("TESTBED_HOST_IP")
    }

    /// `host:port` of the registry on the node; it speaks plain HTTP.
    pub fn registry(&self) -> &str {
        self.variable("TESTBED_REGISTRY")
    }

    /// A program that the testbed built: `kubectl`, `helm`, `ctr`.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(Path::new(self.variable("TESTBED_BIN")).join(name));
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// An S3 server where the pods reach it, with a store of that name.
    pub fn bucket_server(&self, name: &str) -> BucketServer {
        cluster(self.number(), &["build", "versitygw"]);
        let program = Path::new(self.variable("TESTBED_BIN")).join("versitygw");
        BucketServer::start(
            &program,
            self.host_ip(),
            &self.state().join(format!("bucket-{name}-{}", std::process::id())),
        )
    }

    /// Where SOPS is, once [`Self::encrypts`] has seen to it.
    pub fn sops(&self) -> PathBuf {
        Path::new(self.variable("TESTBED_BIN")).join("sops")
    }

    /// Sees to it that SOPS is there.
    pub fn encrypts(&self) {
        cluster(self.number(), &["build", "sops"]);
    }

    /// Runs kubectl, which must succeed, and returns what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        run(self.program("kubectl").args(arguments))
    }

    /// `kubectl apply`, of YAML.
    pub fn apply(&self, yaml: &str) {
        let finished = finish(self.program("kubectl").args(["apply", "-f", "-"]), yaml);
        assert_eq!(finished.code, 0, "kubectl did not apply:\n{yaml}\n{}", finished.said());
    }

    /// A client with all rights, for the runtime that calls this.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).expect("the testbed writes a kubeconfig");
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("the testbed's kubeconfig is complete");
        config.connect_timeout = Some(Duration::from_secs(5));
        Client::try_from(config).expect("a client needs nothing but its configuration")
    }
}

/// The number of the cluster that this run of the tests uses.
fn number() -> u32 {
    let text = std::env::var("TESTBED").unwrap_or_else(|_| "0".to_owned());
    text.parse().unwrap_or_else(|_| panic!("TESTBED is `{text}`: it must be a number"))
}

pub(crate) fn cluster(number: u32, arguments: &[&str]) -> String {
    run(&mut tool(number, arguments))
}

fn tool(number: u32, arguments: &[&str]) -> Command {
    let mut tool = Command::new(repository().join("e2e/testbed/cluster"));
    tool.args(arguments).env("TESTBED", number.to_string());
    tool
}
