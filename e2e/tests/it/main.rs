//! drover on a real cluster: a git server, a push, pods, an Ingress; and everything that goes wrong on the way.

mod api_faults;
mod apply;
mod bad_input;
mod chart;
mod clock;
mod data_sync;
mod docs;
mod examples;
mod front;
mod git;
mod git_faults;
mod image;
mod isolation;
mod jobs;
mod leadership;
mod quickstart;
mod release_jobs;
mod removal;
mod settings;
mod spine;
mod tags;
mod testbed;
mod uptime;
mod variables;
mod wars;
mod webapp;
