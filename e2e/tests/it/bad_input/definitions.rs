//! `kubectl delete` of drover's own definitions. On a control plane of its own, because it ends drover for a whole cluster.

use std::fs;
use std::process::Command;
use std::time::Duration;

use drover_e2e::{
    Controller, Finished, GitRepo, GitServer, Testbed, binary, eventually, finish, install, repository, steadily,
};
use serde_json::{Value, json};

use super::{SOON, config_map, page};

/// A number that no other test uses.
const OWN: u32 = 46;

/// Every object that drover made for its users, as kubectl names it.
const THEIRS: [&str; 7] = [
    "configmap/page",
    "deployment/web",
    "service/web",
    "ingress/web",
    "serviceaccount/web",
    "networkpolicy/web",
    "persistentvolumeclaim/web-data",
];

/// The cluster, which ends with its value.
struct Cluster {
    bed: Testbed,
}

impl Cluster {
    fn start() -> Self {
        Testbed::control_plane(OWN).down();
        Self { bed: Testbed::control_plane(OWN) }
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.bed.kubectl(&[&["--namespace", "shop"], arguments].concat())
    }

    fn drover(&self, arguments: &[&str]) -> Finished {
        finish(Command::new(binary()).args(arguments).env("KUBECONFIG", self.bed.kubeconfig()), "")
    }

    fn apply(&self, yaml: &str) {
        let finished = finish(self.bed.program("kubectl").args(["--namespace", "shop", "apply", "-f", "-"]), yaml);
        assert_eq!(finished.code, 0, "kubectl did not apply:\n{yaml}\n{}", finished.said());
    }

    /// The uids of all of them, or which one is not there.
    fn uids(&self) -> Result<String, String> {
        let found = finish(
            self.bed
                .program("kubectl")
                .args(["--namespace", "shop", "get", "-o", "jsonpath={.items[*].metadata.uid}"])
                .args(THEIRS),
            "",
        );
        if found.code == 0 { Ok(found.stdout) } else { Err(found.said()) }
    }

    async fn keeps(&self, uids: &str, when: &str) {
        steadily(&format!("{when}, nothing of the users' is deleted"), Duration::from_secs(6), async || {
            match self.uids()? {
                now if now == uids => Ok(()),
                now => Err(format!("{uids}\nbecame\n{now}")),
            }
        })
        .await;
    }

    async fn is_ready_at(&self, commit: &str) {
        eventually(&format!("the Environment has applied {commit}"), SOON, async || {
            let environment: Value =
                serde_json::from_str(&self.kubectl(&["get", "environment", "prod", "-o", "json"])).expect("JSON");
            let status = &environment["status"];
            if status["applied"]["commit"] == commit { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }

    async fn loses(&self, name: &str) {
        eventually(&format!("{name} is deleted"), SOON, async || {
            match self.kubectl(&["get", name, "--ignore-not-found", "-o", "name"]) {
                none if none.is_empty() => Ok(()),
                some => Err(some),
            }
        })
        .await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        GitServer::beside(&self.bed).down();
        self.bed.down();
    }
}

/// A web app whose image nobody has to be asked for: there is no node that would run it.
fn web() -> String {
    let digest = "0".repeat(64);
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: WebApp
metadata: {{name: web}}
spec:
  image: registry.example.org/web@sha256:{digest}
  runAs: {{user: 1000}}
  ports: [{{name: http, port: 8080}}]
  routes: [{{host: web.test, path: /, to: {{app: {{}}}}}}]
  volumes:
  - name: data
    mounts: [{{mountPath: /data}}]
    claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: Delete}}
"
    )
}

fn environment(url: &str) -> String {
    json!({
        "apiVersion": "drover.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": "prod"},
        "spec": {
            "source": {"url": url, "ref": {"branch": "prod"}, "interval": "5s", "secretRef": {"name": "git-read"}},
            // The one that would take everything along.
            "deletionPolicy": "Delete",
        },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_definitions_of_drover_deletes_nothing_else() {
    let cluster = Cluster::start();
    install(&cluster.bed);
    let controller = Controller::on(&cluster.bed).start();
    let git = GitServer::beside(&cluster.bed);
    let repo = GitRepo::create_on(git.clone(), "definitions");
    let first = repo.push(&[("page.yaml", &page("one")), ("web.yaml", &web())], "First");
    cluster.bed.kubectl(&["create", "namespace", "shop"]);
    let allowed = cluster.drover(&["allow", "shop"]);
    assert_eq!(allowed.code, 0, "{}", allowed.said());
    cluster.apply(&git.secret_for_https("git-read"));
    cluster.apply(&environment(&repo.https()));
    cluster.is_ready_at(&first).await;
    let uids = eventually("all objects are there", SOON, async || cluster.uids()).await;

    // Somebody uninstalls drover as one would not.
    let definitions = repository().join("manifests/crds.yaml").display().to_string();
    cluster.bed.kubectl(&["delete", "-f", &definitions]);
    cluster.keeps(&uids, "while drover runs without its definitions").await;
    let log = controller.log();
    assert!(
        log.contains("the definition of Environments was deleted, and this one with it: its objects stay"),
        "{log}"
    );
    assert!(log.contains("the definition of WebApps was deleted, and this one with it: its objects stay"), "{log}");
    let told = cluster.drover(&["status", "--namespace", "shop"]);
    assert_ne!(told.code, 0);
    assert_eq!(
        told.stderr.trim(),
        format!(
            "error: the cluster at https://{}:6443 does not know drover's kinds, because their definitions are not installed\nhint: install drover with `helm install drover charts/drover -n drover-system --create-namespace`, or only the definitions with `drover crds | kubectl apply -f -`",
            cluster.bed.node_ip()
        )
    );

    // The definitions come back before anything else does, and drover starts anew meanwhile.
    controller.stop();
    let definitions = fs::read_to_string(definitions).expect("the definitions");
    cluster.bed.apply(&definitions);
    let controller = Controller::on(&cluster.bed).start();
    controller.ready().await;
    cluster.keeps(&uids, "with definitions of which nothing is left").await;

    // With its Environment everything goes on from where it was.
    cluster.apply(&environment(&repo.https()));
    cluster.is_ready_at(&first).await;
    eventually("the app has a release again", SOON, async || {
        match cluster.kubectl(&["get", "webapp", "web", "-o", "jsonpath={.status.release.step}"]) {
            step if step == "Rollout" => Ok(()),
            other => Err(other),
        }
    })
    .await;
    cluster.keeps(&uids, "when the Environment is back").await;
    let second = repo.push(&[("page.yaml", &page("two")), ("more.yaml", &config_map("more", "a"))], "Without the app");
    cluster.is_ready_at(&second).await;
    assert_eq!(cluster.kubectl(&["get", "configmap", "page", "-o", "jsonpath={.data.text}"]), "two");
    // And what leaves git now really goes.
    for name in ["webapp/web", "deployment/web", "service/web", "ingress/web", "persistentvolumeclaim/web-data"] {
        cluster.loses(name).await;
    }
}
