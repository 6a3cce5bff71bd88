//! `drover controller`: the options of the controller. `main` starts it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use drover_core::front::Cidr;
use drover_core::workload::exposure::Allowance;

use crate::registry::Mirror;

/// How the controller writes its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a person.
    Text,
}

/// Runs the controller.
///
/// In a cluster the chart starts it. It also runs outside, with a kubeconfig: apply `drover crds`, and let each namespace opt
/// in with `drover allow NAMESPACE --controller-user NAME`, where NAME is the user of the kubeconfig.
///
/// --namespace is the controller's own namespace, where it keeps its Lease and its inventories; default: POD_NAMESPACE, then
/// drover-system. It ends with code 0 on SIGTERM and SIGINT, after it finished what it was writing.
#[derive(Debug, Args)]
pub struct Controller {
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_addr: SocketAddr,
    /// Where webhooks are received.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9292")]
    pub webhook_addr: SocketAddr,
    /// Folder of the clones; it may be empty at any start. Default: `drover` in XDG_CACHE_HOME, ~/.cache or the temporary folder.
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// The namespace of the pod; set by the chart.
    #[arg(long, env = "POD_NAMESPACE", hide = true)]
    pub pod_namespace: Option<String>,
    /// The name under which it asks to lead; default: host name and process id.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,
    /// The address (host:port) of this process's webhook receiver, to which others forward webhooks while this one leads.
    #[arg(long, value_name = "ADDRESS")]
    pub advertise: Option<String>,
    /// Accept repositories over plain http. Everyone on the way can then change what is deployed: for tests only.
    #[arg(long)]
    pub allow_http_git: bool,
    /// The program that decrypts files of Environments with spec.decryption: a path, or a name that is looked for in PATH.
    #[arg(long, value_name = "PROGRAM", default_value = "sops")]
    pub sops: PathBuf,
    /// A registry (host:port) that is spoken to without TLS; may be given several times.
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub insecure_registries: Vec<String>,
    /// What is asked in place of a registry, as REGISTRY=ADDRESS, where the nodes have such a mirror too; may be given several times.
    #[arg(long = "registry-mirror", value_name = "REGISTRY=ADDRESS")]
    pub registry_mirrors: Vec<Mirror>,
    /// The image from which the Jobs of a DataSync run, which has the program drover-errands; set by the chart to drover's own.
    #[arg(long, value_name = "IMAGE", default_value = concat!("drover:", env!("CARGO_PKG_VERSION")))]
    pub errand_image: String,
    /// A Secret of the namespaces concerned with which that image is pulled; may be given several times.
    #[arg(long = "errand-pull-credential", value_name = "NAME")]
    pub errand_pull_credentials: Vec<String>,
    /// The image of the fronts of WebApps, which has the program nginx.
    #[arg(long, value_name = "IMAGE")]
    pub front_image: Option<String>,
    /// A Secret of the namespaces concerned with which that image is pulled; may be given several times.
    #[arg(long = "front-pull-credential", value_name = "NAME")]
    pub front_pull_credentials: Vec<String>,
    /// A range of addresses of proxies that may say from where a request came, such as that of the ingress controller's pods; may be
    /// given several times.
    #[arg(long = "front-trusted-proxy", value_name = "RANGE")]
    pub front_trusted_proxies: Vec<Cidr>,
    /// What an ingress controller lets through, as CONTROLLER,timeout=DURATION,maxBodySize=SIZE, where CONTROLLER is what
    /// `kubectl get ingressclass` shows; may be given several times.
    #[arg(long = "ingress-controller", value_name = "CONTROLLER,LIMITS")]
    pub ingress_controllers: Vec<Allowance>,
    /// How many objects are worked on at once.
    #[arg(long, value_name = "N", default_value = "16")]
    pub concurrency: NonZeroUsize,
    /// How often each watch lists anew, such as 30m: what an event would have told that was lost on its way is seen then.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = resync)]
    pub resync: drover_crds::Duration,
    /// Work without asking to lead. Two controllers then work against each other: for a single process only.
    #[arg(long)]
    pub no_leader_election: bool,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,drover::git=debug`.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
    /// How it is logged.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Reads a pause between two listings.
fn resync(text: &str) -> Result<drover_crds::Duration, String> {
    let least = drover_crds::Duration::from_secs(10);
    let asked: drover_crds::Duration = text.parse()?;
    if asked < least {
        Err(format!("every {asked} is too often for the API server: {least} is the least"))
    } else {
        Ok(asked)
    }
}

impl Controller {
    /// The controller's own namespace; `asked` is the value of --namespace.
    pub fn own_namespace(&self, asked: Option<&str>) -> String {
        let given = |text: &&str| !text.is_empty();
        asked.filter(given).or(self.pod_namespace.as_deref().filter(given)).unwrap_or("drover-system").to_owned()
    }

    /// Where the clones are. `variable` reads the environment.
    pub fn cache_folder(&self, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> PathBuf {
        if let Some(folder) = &self.cache_dir {
            return folder.clone();
        }
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("drover")
    }

    /// Under which name it asks to lead.
    pub fn own_identity(&self) -> String {
        match &self.identity {
            Some(identity) if !identity.is_empty() => identity.clone(),
            _ => {
                let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
                format!("{host}-{}", std::process::id())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> (Controller, Option<String>) {
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        match cli.command {
            Command::Controller(controller) => (controller, cli.global.target.namespace),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn its_namespace_is_the_given_one_or_the_pod_s_or_the_usual_one() {
        let (mut controller, asked) = parse("drover controller --namespace ops --pod-namespace pod");
        assert_eq!(controller.own_namespace(asked.as_deref()), "ops");
        assert_eq!(controller.own_namespace(None), "pod");
        controller.pod_namespace = None;
        assert_eq!(controller.own_namespace(None), "drover-system");
    }

    #[test]
    fn clones_go_where_caches_go() {
        let (mut controller, _) = parse("drover controller");
        let home = |name: &str| (name == "HOME").then(|| "/home/ann".into());
        assert_eq!(controller.cache_folder(home), PathBuf::from("/home/ann/.cache/drover"));
        assert!(controller.cache_folder(|_| None).ends_with("drover"));
        controller.cache_dir = Some("/var/cache/x".into());
        assert_eq!(controller.cache_folder(home), PathBuf::from("/var/cache/x"));
    }

    #[test]
    fn the_options_of_the_chart_are_understood() {
        let line = "drover controller --http-addr=0.0.0.0:8080 --webhook-addr=0.0.0.0:9292 --cache-dir=/var/cache/drover \
                    --namespace=ops --identity=a --advertise=10.0.0.1:9292 --insecure-registry=r:5000 \
                    --insecure-registry=s:5000 --registry-mirror=docker.io=https://m:5000 --allow-http-git \
                    --front-image=nginx --front-trusted-proxy=10.42.0.0/16 --front-trusted-proxy=fd00::/8";
        let (controller, _) = parse(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(controller.insecure_registries, ["r:5000", "s:5000"]);
        assert_eq!(controller.registry_mirrors, ["docker.io=https://m:5000".parse().expect("a mirror")]);
        assert_eq!(controller.own_identity(), "a");
        assert_eq!(controller.front_trusted_proxies.len(), 2);
        assert!(Cli::try_parse_from(["drover", "controller", "--front-trusted-proxy", "10.0.0.0/40"]).is_err());
        assert!(Cli::try_parse_from(["drover", "controller", "--concurrency", "0"]).is_err());
        assert!(Cli::try_parse_from(["drover", "controller", "--resync", "0s"]).is_err());
    }
}
