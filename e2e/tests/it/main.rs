//! drover on a real cluster: a git server, a push, pods, an Ingress; and everything that goes wrong on the way.

mod apply;
mod chart;
mod docs;
mod git;
mod git_faults;
mod image;
mod isolation;
mod quickstart;
mod spine;
mod testbed;
mod webapp;
