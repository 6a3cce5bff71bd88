//! Pure: the spec of an app and what is known around it → the objects that run it.
//!
//! [`validate`] turns the spec into a type in which nothing can be missing, so [`build`], one file per built kind, cannot fail.
//! [`children`] names them all. [`takeover`] says what is kept of objects that others made.

pub mod build;
pub mod children;
pub mod takeover;
pub mod validate;
