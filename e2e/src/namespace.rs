//! A namespace for one test.

use std::fmt::Debug;
use std::process::Command;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::binary::binary;
use crate::command::{Finished, finish};
use crate::controller::Controller;
use crate::git_repo::GitRepo;
use crate::git_server::GitServer;
use crate::recent_log;
use crate::testbed::Testbed;

/// A namespace that is deleted at the end of the test; `DROVER_E2E_KEEP` in the environment leaves it there to look at.
pub struct Namespace {
    bed: &'static Testbed,
    git: GitServer,
    client: Client,
    name: String,
    kept: bool,
}

impl Namespace {
    /// A new namespace that has opted in by `drover allow`, on the shared cluster, with the shared controller at work.
    pub async fn new(topic: &str) -> Self {
        Controller::shared().await;
        Self::on(Testbed::shared(), topic).await
    }

    /// The same on a cluster of the test's own, where [`crate::install`] has been; the test starts controllers as it likes.
    pub async fn on(bed: &'static Testbed, topic: &str) -> Self {
        let namespace = Self::create(bed, topic).await;
        let allowed = namespace.drover(&["allow", &namespace.name]);
        assert_eq!(allowed.code, 0, "drover allow failed:\n{}", allowed.said());
        namespace
    }

    /// A new namespace on the shared cluster that has not opted in.
    pub async fn not_allowed(topic: &str) -> Self {
        Controller::shared().await;
        Self::create(Testbed::shared(), topic).await
    }

    async fn create(bed: &'static Testbed, topic: &str) -> Self {
        let name = format!("e2e-{topic}-{:06x}", rand::random_range(0..0x100_0000_u32));
        let client = bed.client().await;
        let mut made = core::Namespace::default();
        made.metadata.name = Some(name.clone());
        // What clusters that take care ask of all pods.
        made.metadata.labels =
            Some([("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())].into());
        let all: Api<core::Namespace> = Api::all(client.clone());
        all.create(&PostParams::default(), &made).await.unwrap_or_else(|error| panic!("namespace {name}: {error}"));
        share_the_processor(&client, &name).await;
        let git = GitServer::beside(bed);
        Self { bed, git, client, name, kept: std::env::var_os("DROVER_E2E_KEEP").is_some() }
    }

    /// Leaves it there at the end.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it is on.
    pub fn bed(&self) -> &'static Testbed {
        self.bed
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A host name that no other test uses.
    pub fn host(&self) -> String {
        format!("{}.test", self.name)
    }

    /// `ip:port` under which Ingress answers.
    pub fn ingress(&self) -> String {
        format!("{}:80", self.bed.node_ip())
    }

    /// A new repository.
    pub fn repository(&self, name: &str) -> GitRepo {
        GitRepo::create_on(self.git.clone(), &format!("{}-{name}", self.name))
    }

    /// The git server that its repositories are on.
    pub fn git_server(&self) -> &GitServer {
        &self.git
    }

    /// Objects of one kind in here.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The object of that kind and name, if it is there.
    pub async fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        self.api::<K>()
            .get_opt(name)
            .await
            .unwrap_or_else(|error| panic!("{name} in {} cannot be read: {error}", self.name))
    }

    /// Runs kubectl in here; it must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.bed.kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// Runs `kubectl apply` in here.
    pub fn apply(&self, yaml: &str) {
        let finished = finish(self.bed.program("kubectl").args(["--namespace", &self.name, "apply", "-f", "-"]), yaml);
        assert_eq!(finished.code, 0, "kubectl did not apply:\n{yaml}\n{}", finished.said());
    }

    /// Runs drover's command line as a person with all rights would.
    pub fn drover(&self, arguments: &[&str]) -> Finished {
        self.drover_with_input(arguments, "")
    }

    /// The same, with something on standard input.
    pub fn drover_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        finish(Command::new(binary()).args(arguments).env("KUBECONFIG", self.bed.kubeconfig()), input)
    }
}

/// Gives each container that asks for nothing a share of the processor, as namespaces do in clusters that take care. All pods without
/// one have together what the others leave of a busy node, which is next to nothing where many tests run at a time.
async fn share_the_processor(client: &Client, namespace: &str) {
    let ranges: Api<core::LimitRange> = Api::namespaced(client.clone(), namespace);
    let share = [("cpu".to_owned(), Quantity("10m".to_owned()))].into();
    let limits = vec![core::LimitRangeItem {
        type_: "Container".to_owned(),
        default_request: Some(share),
        ..Default::default()
    }];
    let mut range = core::LimitRange { spec: Some(core::LimitRangeSpec { limits }), ..Default::default() };
    range.metadata.name = Some("share".to_owned());
    ranges
        .create(&PostParams::default(), &range)
        .await
        .unwrap_or_else(|error| panic!("the shares of namespace {namespace}: {error}"));
}

impl Namespace {
    /// What a person would look at first when something in here went wrong.
    fn evidence(&self) -> String {
        let kubectl = |arguments: &[&str]| {
            finish(self.bed.program("kubectl").args(["--namespace", &self.name]).args(arguments), "").said()
        };
        let events = kubectl(&[
            "get",
            "events",
            "--sort-by=.metadata.creationTimestamp",
            "--output=custom-columns=FROM:.firstTimestamp,TO:.lastTimestamp,REASON:.reason,OBJECT:.involvedObject.name,SAID:.message",
        ]);
        let lines: Vec<&str> = events.lines().collect();
        let events = lines[lines.len().saturating_sub(20)..].join("\n");
        let pods = kubectl(&["get", "pods", "--output=wide"]);
        format!("{}\nIts last events:\n{events}\nIts pods:\n{pods}", recent_log::about(&self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.evidence());
        }
        if !self.kept {
            let _ = finish(self.bed.program("kubectl").args(["delete", "namespace", &self.name, "--wait=false"]), "");
        }
    }
}
