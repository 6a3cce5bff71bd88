//! What end-to-end tests are written with: a real cluster, a real git server, the real binary.
//!
//! A test reads like prose: it takes a [`Namespace`], makes a [`GitRepo`], lets the namespace follow it, pushes, and says with
//! [`eventually`] what a person would then see. Nothing here knows how drover works inside; it talks to the API server, the
//! git server, the Ingress and the command line as people do.
//!
//! Everything that goes wrong in here is a failed test, so functions panic with a sentence rather than return errors.
#![allow(clippy::missing_panics_doc)]

mod audit;
mod binary;
mod broker;
mod browser;
mod bucket_server;
pub mod campaign;
mod cheese;
mod command;
mod controller;
mod data_server;
mod environment;
mod errands;
mod eventually;
pub mod fault;
mod forestry;
mod forward;
mod front;
mod git_repo;
mod git_server;
mod hello;
mod http;
mod image_registry;
mod mariadb;
mod namespace;
mod postgres;
mod prober;
mod pushed;
mod quickstart;
mod recent_log;
mod stage;
mod status;
mod system;
mod testbed;
mod tls_server;
mod web_app;

pub use audit::{Asked, Audit};
pub use binary::binary;
pub use broker::{Broker, ServiceAddress, ServiceAddresses, image as activemq_image, worker_image};
pub use browser::Browser;
pub use bucket_server::BucketServer;
pub use cheese::Cheese;
pub use command::{Finished, finish, run};
pub use controller::{Controller, Start, install};
pub use data_server::DataServer;
pub use environment::Environment;
pub use errands::image as errand_image;
pub use eventually::{eventually, steadily, within};
pub use forestry::Forestry;
pub use forward::Forward;
pub use front::image as front_image;
pub use git_repo::{Commit, GitRepo};
pub use git_server::GitServer;
pub use hello::Hello;
pub use http::{Answer, Response, ask, delete, get, post, signature};
pub use image_registry::{ImageRegistry, Manners};
pub use mariadb::image as mariadb_image;
pub use namespace::Namespace;
pub use postgres::image as postgres_image;
pub use prober::{Prober, Service};
pub use quickstart::commands_of;
pub use stage::Stage;
pub use status::{Ready, ready};
pub use system::System;
pub use testbed::{Testbed, repository};
pub use tls_server::{Manner, TlsServer};
pub use web_app::App;
