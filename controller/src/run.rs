//! The controller process from start to end: client, leader election, servers, controllers, graceful stop.

mod announce;
mod kinds;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use drover_core::front::Terms;
use drover_core::sync::ErrandImage;
use drover_core::workload::exposure::Allowance;
use drover_core::workload::pods::Errands;
use drover_crds::{Owner, OwnerKind};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::cluster::lease::{Election, Ended, Leadership, Loss, Role};
use crate::cluster::{self, Cluster, Restarts, client, crds, inventory::Inventories};
use crate::git::{self, Repositories};
use crate::interest::Interest;
use crate::queues::{self, Queues};
use crate::reconcile::data_sync::{self, DataSyncs};
use crate::reconcile::database::Databases;
use crate::reconcile::environment::{self, Environments};
use crate::reconcile::queue_processor::QueueProcessors;
use crate::reconcile::web_app::WebApps;
use crate::registry::{self, Registry};
use crate::settings::Settings;
use crate::tools::Sops;
use crate::web::{self, Readiness};

use self::kinds::Kinds;

/// How long work under way may go on after the signal to stop. Kubernetes' own grace period is 30 s by default.
const GRACE: Duration = Duration::from_secs(20);
/// Pause before the start is tried again while the API server cannot be reached.
const START_PAUSE: Duration = Duration::from_secs(2);

/// What the command line sets.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where probes and metrics are served.
    pub http_addr: SocketAddr,
    /// Where the git hosts' webhooks arrive.
    pub webhook_addr: SocketAddr,
    /// Folder for copies of repositories; may vanish at any time.
    pub cache_dir: PathBuf,
    /// drover's own namespace: the lease, the inventories, the hash key.
    pub namespace: String,
    /// Name of this replica in the election.
    pub identity: String,
    /// `HOST:PORT` under which the other replicas reach this one's webhook receiver.
    pub advertise: Option<String>,
    /// Take plain `http://` repositories: for tests on loopback.
    pub allow_http_git: bool,
    /// What decrypts files: a path, or a name.
    pub sops: PathBuf,
    /// Registries that are spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// What is asked in place of a registry.
    pub registry_mirrors: Vec<registry::Mirror>,
    /// What the Jobs of errands run from.
    pub errands: ErrandImage,
    /// What fronts are made of, and whom they trust.
    pub front: Terms,
    /// What ingress controllers let through.
    pub ingress_controllers: Vec<Allowance>,
    /// Reconciles of one kind at the same time.
    pub concurrency: usize,
    /// How often each watch lists anew.
    pub resync: Duration,
    /// Whether several replicas may run.
    pub leader_election: bool,
}

/// Why the controller ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken, or may not be used.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// What for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The client cannot be made from this configuration.
    #[error("cannot use this Kubernetes configuration: {0}")]
    Config(kube::Error),
    /// The cluster's definitions do not fit.
    #[error(transparent)]
    Crds(#[from] crds::CrdError),
    /// The registry client cannot be made.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The client for brokers cannot be made.
    #[error(transparent)]
    Queues(#[from] queues::NoClient),
    /// Signals cannot be received.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    /// A new process starts clean.
    #[error(transparent)]
    LeadershipLost(#[from] Loss),
    /// A defect.
    #[error("the election ended by a defect in drover, so this process ends too: {0}")]
    Election(tokio::task::JoinError),
    /// The path of this very program is not known.
    #[error("cannot find this program's own file, which it runs as a child: {0}")]
    OwnPath(std::io::Error),
}

/// Makes the client out of its configuration: [`cluster::connect`], or one with something between it and the wire.
pub type Connect = fn(Config) -> kube::Result<Client>;

/// Runs the controller until a signal asks it to stop, or leadership is lost.
pub async fn run(options: Options, config: Config, connect: Connect) -> Result<(), Error> {
    let api_server = config.cluster_url.clone();
    let raw = connect(config).map_err(Error::Config)?;
    let (stop, stopped) = watch::channel(false);
    let stopping = tokio::spawn(stop_on_signal(stop.clone())?);

    let readiness = Readiness::not_yet("the Kubernetes API was not asked yet");
    let http = listen("probes and metrics", options.http_addr).await?;
    let webhooks = listen("webhooks", options.webhook_addr).await?;
    let mut servers = vec![tokio::spawn(web::serve(http, web::router(readiness.clone()), until(stopped.clone())))];

    // The lease is given up last, when nothing is being written any more.
    let (retire, retired) = watch::channel(false);
    let (leadership, mut role, election) = if options.leader_election {
        // The lease's own requests are bounded like all others.
        let client = client::with_policy(raw.clone(), Leadership::sole());
        let (election, leadership, role) =
            Election::new(client, &options.namespace, &options.identity, options.advertise.as_deref());
        (leadership, role, Some(tokio::spawn(election.run(retired))))
    } else {
        let (_, role) = watch::channel(Role::Leader);
        (Leadership::sole(), role, None)
    };
    let client = client::with_policy(raw, leadership.clone());

    let (heads_changed, mut heads) = mpsc::unbounded_channel();
    let repositories = Repositories::new(
        git::Config {
            cache_dir: options.cache_dir.clone(),
            child: std::env::current_exe().map_err(Error::OwnPath)?,
            limits: git::Limits::default(),
            allow_http: options.allow_http_git,
            max_children: options.concurrency,
        },
        heads_changed,
    );
    let cluster = Arc::new(OnceLock::new());
    let (leads, forward) = watch::channel(git::webhook::Leadership::Standby { forward_to: None });
    tokio::spawn(announce::announce(role.clone(), readiness, leads));
    servers.push(tokio::spawn(web::serve(
        webhooks,
        git::webhook::router(git::webhook::Receiver::new(
            repositories.clone(),
            forward,
            refresh(repositories.clone(), cluster.clone()),
        )),
        until(stopped.clone()),
    )));

    let mut asked_to_stop = stopped.clone();
    tokio::select! {
        // Without the election there is no role to wait for: `election` below tells why it ended.
        _ = role.wait_for(|role| *role == Role::Leader) => {}
        _ = asked_to_stop.wait_for(|stop| *stop) => {
            retire.send_replace(true);
            return finish(stopping, servers).await;
        }
    }

    let api = ApiServer { client, leadership, address: api_server };
    let work = lead(&options, &api, repositories, &cluster, &mut heads, stopped.clone());
    match election {
        None => work.await?,
        Some(mut election) => {
            let ended = tokio::select! {
                ended = work => {
                    ended?;
                    retire.send_replace(true);
                    election.await
                }
                ended = &mut election => ended,
            };
            if let Ended::Lost(loss) = ended.map_err(Error::Election)? {
                return Err(loss.into());
            }
        }
    }
    finish(stopping, servers).await
}

/// The API server, as the leader talks to it.
struct ApiServer {
    client: Client,
    leadership: Leadership,
    address: http::Uri,
}

/// Everything that only the leader does.
async fn lead(
    options: &Options,
    api: &ApiServer,
    repositories: Repositories,
    shared: &OnceLock<Cluster>,
    heads: &mut mpsc::UnboundedReceiver<Owner>,
    stopped: watch::Receiver<bool>,
) -> Result<(), Error> {
    let ApiServer { client, leadership, address } = api;
    again("the CustomResourceDefinitions", || crds::check(client.clone())).await?;
    let hash_key = again("the hash key", || cluster::hash_key(client.clone(), &options.namespace)).await;
    let inventories = again("the inventories", || Inventories::load(client.clone(), &options.namespace)).await;
    let inventories = Arc::new(inventories);
    let (tell_owner, mut owners_told) = mpsc::unbounded_channel();
    let interest = Interest::new(tell_owner.clone());
    let cluster = Cluster::new(client.clone(), leadership.clone(), options.resync, hash_key, tell_owner.clone());
    let cluster = shared.get_or_init(|| cluster);
    let refused = addresses_of(address).await;
    let registries = registry::Settings {
        insecure: options.insecure_registries.clone(),
        mirrors: options.registry_mirrors.clone(),
        refused: refused.clone(),
    };
    let (answered, mut answers) = mpsc::unbounded_channel();
    let registry = Registry::new(registries, answered.clone())?;
    let queues = Queues::new(refused, answered)?;
    let mut kinds = Kinds::new(options, cluster.clone(), leadership.clone(), stopped, tell_owner, interest.clone());
    let settings = Settings::new(interest, Restarts::new(leadership.clone(), options.resync));
    let sops = Sops::new(options.sops.clone(), std::env::current_exe().map_err(Error::OwnPath)?);
    kinds.register(Environments::new(
        cluster.clone(),
        repositories.clone(),
        inventories.clone(),
        settings.clone(),
        sops,
    ));
    let allowances = options.ingress_controllers.clone();
    kinds.register(WebApps::new(
        registry.clone(),
        inventories.clone(),
        settings.clone(),
        allowances,
        options.front.clone(),
    ));
    let errands = Errands::of(&options.errands.reference, &options.errands.pull_secrets);
    kinds.register(QueueProcessors::new(registry, inventories.clone(), settings.clone(), queues, errands));
    kinds.register(DataSyncs::new(options.errands.clone(), repositories, inventories.clone()));
    kinds.register(Databases::new(options.errands.clone(), inventories, settings));
    let mut running = kinds.run();
    loop {
        tokio::select! {
            _ = &mut running => return Ok(()),
            Some(owner) = heads.recv() => kinds.push(&owner),
            Some(owner) = answers.recv() => kinds.push(&owner),
            Some(label) = owners_told.recv() => kinds.tell(&label),
        }
    }
}

/// How the webhook receiver has tokens read again; nothing before this process leads.
fn refresh(repositories: Repositories, cluster: Arc<OnceLock<Cluster>>) -> git::webhook::Refresh {
    Arc::new(move |owners: Vec<Owner>| {
        let (repositories, cluster) = (repositories.clone(), cluster.clone());
        Box::pin(async move {
            let Some(cluster) = cluster.get() else { return };
            let refreshed = owners.iter().map(async |owner| match owner.kind {
                OwnerKind::DataSync => data_sync::refresh(cluster, &repositories, owner).await,
                OwnerKind::Environment => environment::refresh(cluster, &repositories, owner).await,
                // They follow no repository.
                OwnerKind::WebApp | OwnerKind::QueueProcessor | OwnerKind::Database => {}
            });
            futures::future::join_all(refreshed).await;
        })
    })
}

/// The API server's addresses, where no image registry can be.
async fn addresses_of(api_server: &http::Uri) -> Vec<SocketAddr> {
    let port = api_server.port_u16().unwrap_or(443);
    let host = api_server.host().unwrap_or_default().trim_matches(['[', ']']);
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found.collect(),
        Err(error) => {
            tracing::warn!(%error, host, "cannot resolve the API server's name, so image registries are not kept from it");
            Vec::new()
        }
    }
}

/// Tries until it succeeds: at the start an API server may not be there yet.
async fn again<T, F: Future<Output = Result<T, kube::Error>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => tracing::warn!(%error, "cannot read {what}; trying again"),
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<tokio::net::TcpListener, Error> {
    web::bind(what, address).await.map_err(|source| Error::Listen { what, address, source })
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn stop_on_signal(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.send_replace(true);
    })
}

async fn finish(stopping: JoinHandle<()>, servers: Vec<JoinHandle<()>>) -> Result<(), Error> {
    stopping.abort();
    for server in servers {
        // A client that keeps its connection open does not keep the process.
        let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    }
    Ok(())
}
