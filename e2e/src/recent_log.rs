//! What the shared controller logged about a test that fails.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

static LOG: OnceLock<PathBuf> = OnceLock::new();

/// Where it is, from the controller's start.
pub(crate) fn is_at(log: PathBuf) {
    let _ = LOG.set(log);
}

/// Its last lines that name `namespace`; nothing before the controller was started.
pub(crate) fn about(namespace: &str) -> String {
    let Some(log) = LOG.get() else { return String::new() };
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(namespace)).collect();
    let end = &lines[lines.len().saturating_sub(12)..];
    format!("The controller's last lines about {namespace} ({}):\n{}", log.display(), end.join("\n"))
}
