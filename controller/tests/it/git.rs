//! The git room against the testbed's real git server.

mod apart;
mod caching;
mod folders;
mod followed;
mod following;
mod hostile;
mod pool;
mod reading;
mod refusals;
mod server;
mod webhooks;
