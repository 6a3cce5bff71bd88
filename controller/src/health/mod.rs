//! health

pub mod pods;
