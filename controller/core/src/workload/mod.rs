//! Pure: the spec of an app and what is known around it → the objects that run it.
//!
//! [`pods`] is what a kind says of its pods, with nothing missing; [`validate`] is a web server, which is pods and what leads to them;
//! so [`build`], one file per built kind, cannot fail. [`children`] names them all. [`exposure`] says what an ingress
//! controller is told of an app's limits. [`takeover`] says what is kept of objects that others made.

mod app;
pub mod build;
pub mod children;
mod error;
pub mod exposure;
pub mod pods;
pub mod takeover;
pub mod validate;

pub use app::App;
pub use error::Invalid;
