//! The program from its arguments to its exit code; `main` and the tests' drover under faults begin here.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use drover_core::front::Terms;
use drover_core::sync::ErrandImage;
use tracing_subscriber::EnvFilter;

use crate::cli::{self, Cli, Command, Controller, Global, LogFormat, Work};
use crate::{clock, confined, git, run};

/// Runs what the command line asks for. `connect` makes the controller's client, and `read` tells the time.
pub fn main(connect: run::Connect, read: clock::Read) -> ExitCode {
    clock::go_by(read);
    let Cli { global, command } = Cli::parse();
    global.choose_colors();
    // Before anything that starts a thread: the child confines itself.
    if let Command::Child(child) = &command {
        return match &child.work {
            Work::Git => git::child_main(clock::now),
            Work::Tool { program, arguments } => confined::become_tool(program, arguments),
        };
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("error: the TLS provider is installed already, which only a defect in drover can do");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: drover cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match command {
        Command::Controller(options) => runtime.block_on(controller(options, &global, connect)),
        command => {
            // A person reads sentences; the client's own log is for whoever asks for it.
            let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
            runtime.block_on(cli::run(command, &global))
        }
    }
}

async fn controller(options: Controller, global: &Global, connect: run::Connect) -> ExitCode {
    let filter = match EnvFilter::try_new(&options.log_level) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: `{}` is not a log filter ({error}): write one such as info", options.log_level);
            return ExitCode::from(2);
        }
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
    let config = match global.target.config().await {
        Ok((config, _)) => config,
        Err(error) => return cli::report(&error),
    };
    let options = run::Options {
        namespace: options.own_namespace(global.target.namespace.as_deref()),
        cache_dir: options.cache_folder(|name| std::env::var_os(name)),
        identity: options.own_identity(),
        http_addr: options.http_addr,
        webhook_addr: options.webhook_addr,
        advertise: options.advertise,
        allow_http_git: options.allow_http_git,
        sops: options.sops,
        insecure_registries: options.insecure_registries,
        registry_mirrors: options.registry_mirrors,
        front: Terms {
            image: options.front_image.filter(|image| !image.is_empty()),
            pull_secrets: options.front_pull_credentials,
            trusted: options.front_trusted_proxies,
            errands: (options.errand_image.clone(), options.errand_pull_credentials.clone()),
            unknown: false,
        },
        errands: ErrandImage { reference: options.errand_image, pull_secrets: options.errand_pull_credentials },
        ingress_controllers: options.ingress_controllers,
        concurrency: options.concurrency.get(),
        resync: options.resync.into(),
        leader_election: !options.no_leader_election,
    };
    match run::run(options, config, connect).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the controller ends");
            ExitCode::FAILURE
        }
    }
}
