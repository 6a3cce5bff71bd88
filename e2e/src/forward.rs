//! A port of a Service, past the Ingress: what `kubectl port-forward` gives.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::namespace::Namespace;

/// A port that is forwarded until this is dropped.
pub struct Forward {
    kubectl: Child,
    address: String,
}

impl Forward {
    /// Where it is reached on this machine.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Namespace {
    /// Forwards a port of this machine to that port of `what`, such as `service/web`.
    pub fn forward(&self, what: &str, port: u16) -> Forward {
        let mut command = self.bed().program("kubectl");
        command.args(["--namespace", self.name(), "port-forward", what, &format!(":{port}")]);
        let mut kubectl = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("kubectl is there");
        let mut lines = BufReader::new(kubectl.stdout.take().expect("it is piped")).lines();
        let line = lines.next().and_then(Result::ok).unwrap_or_else(|| panic!("kubectl forwards no port to {what}"));
        // It says more with each connection, which somebody has to read.
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.split_whitespace().nth(2).unwrap_or_else(|| panic!("`{line}` names no address"));
        Forward { kubectl, address: address.to_owned() }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
