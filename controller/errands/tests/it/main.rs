//! The errands' binary against servers that behave, and servers that do not.

mod backup;
mod bucket;
mod claim;
mod databases;
mod errand;
mod git;
mod http;
mod s3;
mod server;
