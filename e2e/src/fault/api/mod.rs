//! Faults between drover and the API server, driven by a plan file, so that every capability can be run under them.
//!
//! The program `drover-faulty` is drover with a [`Layer`] under its Kubernetes client, below all of drover's own rules: what a
//! broken network or a struggling API server does happens here. It reads the plan from the file that [`PLAN`] names, again
//! whenever the file changes, and writes one line of JSON for each request to the file that [`JOURNAL`] names.
//!
//! ```json
//! {"rules": [
//!   {"match": {"verb": "patch", "resource": "deployments", "name": "web", "nth": 2}, "do": {"kill": "after"}},
//!   {"match": {"verb": "list"}, "do": {"fail": {"status": 429, "retryAfter": 3600}}}
//! ]}
//! ```

mod call;
mod events;
mod journal;
mod layer;
mod plan;

pub use call::Call;
pub(crate) use call::{DRY_RUN, REHEARSE};
pub use events::Events;
pub use journal::{Entry, Journal};
pub use layer::Layer;
pub use plan::{Fault, Match, Plan, Rule, When};

/// Environment variable: the file with the plan.
pub const PLAN: &str = "DROVER_FAULT_PLAN";
/// Environment variable: the file that gets a line for each request.
pub const JOURNAL: &str = "DROVER_FAULT_JOURNAL";
