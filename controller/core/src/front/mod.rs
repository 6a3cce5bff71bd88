//! The front of an app: an nginx between the ingress controller and what the routes lead to. Pure: routes → its configuration.
//!
//! [`Front::of`] turns what a spec says into types whose constructors refuse what cannot stand in a configuration ([`value`]), and
//! [`configuration`] takes only these. Where Services are is found out by others and comes in as [`Upstreams`].

mod configuration;
mod kinds;
mod reach;
mod refused;
mod routes;
mod sight;
#[cfg(test)]
mod tests;
mod value;
mod zone;

pub use configuration::{Away, FILES, LOGS, PORT, PROBE_PATH, PROBE_PORT, Upstreams, configuration};
pub use reach::{Unreachable, address, reach};
pub use refused::Refused;
pub use routes::{AccessLog, Files, Front, ServicePort, Terms, assets_volume};
pub use sight::Sight;
pub use value::{Cidr, SetName};
