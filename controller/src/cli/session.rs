//! The connection to a cluster: which one, in which namespace, and how its failures are told.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Error;
use super::api::{self, Server};

/// How long one ordinary request may take. The client itself would wait for ever.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which cluster, and which namespace in it.
#[derive(Clone, Debug, Default, Args)]
pub struct Target {
    /// The kubeconfig file; default: KUBECONFIG, then ~/.kube/config, then the account of the pod that drover runs in.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig; default: its current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace; default: the context's.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

impl Target {
    /// Where the address of the cluster comes from, for people.
    fn source(&self) -> String {
        let file = match &self.kubeconfig {
            Some(path) => path.display().to_string(),
            None => match std::env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty()) {
                Some(paths) => format!("KUBECONFIG={paths}"),
                None => "~/.kube/config".to_owned(),
            },
        };
        match &self.context {
            Some(context) => format!("{file}, context {context}"),
            None => file,
        }
    }

    /// The configuration of a client, and where it comes from.
    pub async fn config(&self) -> Result<(Config, String), Error> {
        let from = self.source();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => match Kubeconfig::read_from(path) {
                Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
                Err(error) => Err(error),
            },
            None => Config::from_kubeconfig(&options).await,
        };
        match config {
            Ok(config) => Ok((config, from)),
            // Nobody named a file or a context, so being in a pod counts.
            Err(error) => match Config::incluster() {
                Ok(config) if self.kubeconfig.is_none() && self.context.is_none() => {
                    Ok((config, "the pod's service account".to_owned()))
                }
                _ => Err(Error::NoCluster { from, detail: api::chain(&error) }),
            },
        }
    }
}

/// A connection to a cluster.
#[derive(Clone)]
pub struct Session {
    client: Client,
    namespace: String,
    server: Server,
}

impl Session {
    /// Connects; the first request is made by the first call.
    pub async fn open(target: &Target) -> Result<Self, Error> {
        let (mut config, from) = target.config().await?;
        config.connect_timeout = Some(Duration::from_secs(10));
        let namespace = target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = Server { address: config.cluster_url.to_string().trim_end_matches('/').to_owned(), from };
        let client = Client::try_from(config)
            .map_err(|error| Error::NoCluster { from: server.from.clone(), detail: api::chain(&error) })?;
        Ok(Self { client, namespace, server })
    }

    /// A session over a client that exists already.
    #[cfg(test)]
    pub fn over(client: Client, namespace: &str) -> Self {
        let server = Server { address: "https://cluster.example".to_owned(), from: "a test".to_owned() };
        Self { client, namespace: namespace.to_owned(), server }
    }

    /// The client, for watches and streams, which have no deadline.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The namespace that commands work in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Makes one request, within a deadline, and turns its failure into a sentence. `action` completes "the API server refused
    /// to …" and "you may not …", such as `list the pods of shop`.
    pub async fn ask<T>(&self, action: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        match tokio::time::timeout(DEADLINE, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(api::explain(&error, action, &self.server)),
            Err(_) => Err(Error::Slow {
                server: self.server.address.clone(),
                from: self.server.from.clone(),
                action: action.to_owned(),
                seconds: DEADLINE.as_secs(),
            }),
        }
    }

    /// The same for a failure that a watch or a stream gave.
    pub fn explain(&self, error: &kube::Error, action: &str) -> Error {
        api::explain(error, action, &self.server)
    }
}
