//! Why a command could not do what it was asked: one sentence, and what to do about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};

/// The exit code when what was looked at is not ready, failed, or has findings.
pub const EXIT_NOT_READY: u8 = 3;
const EXIT_ERROR: u8 = 1;
const EXIT_USAGE: u8 = 2;

/// Why a command failed. The text is one sentence; [`Error::hint`] is what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Arguments that clap cannot judge.
    #[error("{sentence}")]
    Usage {
        /// What is wrong.
        sentence: String,
        /// What to write instead.
        hint: String,
    },
    /// No usable kubeconfig, and not in a pod.
    #[error("drover does not know which cluster to talk to, because {from} cannot be used: {detail}")]
    NoCluster {
        /// The kubeconfig file or context that was looked at.
        from: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The API server does not answer.
    #[error("the API server {server} (from {from}) cannot be reached: {detail}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Where the address comes from.
        from: String,
        /// What happened.
        detail: String,
    },
    /// The API server answers too slowly.
    #[error("the API server {server} (from {from}) did not answer within {seconds} s when asked to {action}")]
    Slow {
        /// Its address.
        server: String,
        /// Where the address comes from.
        from: String,
        /// What it was asked for, such as `list the WebApps of shop`.
        action: String,
        /// How long it had.
        seconds: u64,
    },
    /// The API server does not know who we are.
    #[error("the API server {server} does not accept the credential from {from}")]
    Unauthorized {
        /// Its address.
        server: String,
        /// Where the credential comes from.
        from: String,
    },
    /// The API server knows who we are and says no.
    #[error("you may not {action}: {detail}")]
    Forbidden {
        /// What was asked for.
        action: String,
        /// The API server's sentence.
        detail: String,
    },
    /// drover's kinds are not installed.
    #[error("the cluster at {server} does not know drover's kinds, because their definitions are not installed")]
    NoDefinitions {
        /// The API server's address.
        server: String,
    },
    /// There is no such object.
    #[error("there is no {kind} `{name}` in namespace {namespace}")]
    NotFound {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// Objects whose names are close.
        near: Vec<String>,
    },
    /// There is no such namespace.
    #[error("there is no namespace `{name}`")]
    NoNamespace {
        /// Its name.
        name: String,
        /// Namespaces whose names are close.
        near: Vec<String>,
    },
    /// Somebody else set a field to something else.
    #[error("{object} exists already and differs: {detail}")]
    Conflict {
        /// Which object.
        object: String,
        /// The API server's sentence.
        detail: String,
    },
    /// An object of that name is there and is not drover's.
    #[error("{object} was not made for drover, so it is left alone")]
    NotOurs {
        /// Which object.
        object: String,
    },
    /// The API server refused for a reason of its own.
    #[error("the API server refused to {action}: {detail}")]
    Refused {
        /// What was asked for.
        action: String,
        /// The API server's sentence.
        detail: String,
    },
    /// What a person had run has no exit code.
    #[error("{what} did not come to an end of its own: {why}")]
    CutShort {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// A file or a stream.
    #[error("{what} cannot be {done}: {source}")]
    Io {
        /// What, such as a path.
        what: String,
        /// `read` or `written`.
        done: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A file or an object that a person named is another than the command can use.
    #[error("{what} {problem}")]
    BadInput {
        /// Which file, stream or object.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// `drover crds --check` found another text.
    #[error("{} is not what this drover prints: line {line} differs", path.display())]
    Outdated {
        /// The file.
        path: PathBuf,
        /// The first line that differs, counted from 1.
        line: usize,
    },
    /// The files have findings.
    #[error("{}", findings.join("\n"))]
    Findings {
        /// One sentence each, beginning with `file:line`.
        findings: Vec<String>,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::BadInput { hint, .. } => Some(hint.clone()),
            Self::NoCluster { .. } => {
                Some("name a kubeconfig with --kubeconfig FILE or KUBECONFIG, and a context in it with --context".into())
            }
            Self::Unreachable { from, .. } | Self::Slow { from, .. } => Some(format!(
                "check that the cluster runs and that {from} is the one you mean; --context and --kubeconfig choose another"
            )),
            Self::Unauthorized { .. } => Some("log in to the cluster again, or choose another --context".into()),
            Self::Forbidden { .. } => Some(
                "ask an administrator of the cluster; `kubectl auth can-i --list -n NAMESPACE` shows what you may do".into(),
            ),
            Self::NoDefinitions { .. } => Some(
                "install drover with `helm install drover charts/drover -n drover-system --create-namespace`, or only the \
                 definitions with `drover crds | kubectl apply -f -`"
                    .into(),
            ),
            Self::NotFound { near, namespace, .. } => Some(match near.as_slice() {
                [] => format!("`drover status -n {namespace}` shows what is there, `drover status -A` what is elsewhere"),
                near => format!("there is {}", quoted(near)),
            }),
            Self::NoNamespace { name, near } => Some(match near.as_slice() {
                [] => format!("make it with `kubectl create namespace {name}`"),
                near => format!("there is {}; or make it with `kubectl create namespace {name}`", quoted(near)),
            }),
            Self::Conflict { object, .. } => Some(format!(
                "whoever set these fields looks after {object}: change them there, or delete it and try again"
            )),
            Self::NotOurs { object } => Some(format!("look at {object} and remove it yourself if nobody needs it")),
            Self::Outdated { path, .. } => Some(format!("write it anew with `drover crds > {}`", path.display())),
            Self::Refused { .. } | Self::CutShort { .. } | Self::Io { .. } | Self::Findings { .. } => None,
        }
    }

    /// How the process ends.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => EXIT_USAGE,
            Self::Findings { .. } => EXIT_NOT_READY,
            _ => EXIT_ERROR,
        }
    }

    /// Whether the reader of our output has gone.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// `error: …` and `hint: …`, each on lines of its own, in colour.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.to_string().lines() {
            let style = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
            let _ = writeln!(text, "{style}error:{style:#} {line}");
        }
        if let Some(hint) = self.hint() {
            let style = Style::new().fg_color(Some(AnsiColor::Cyan.into())).bold();
            let _ = writeln!(text, "{style}hint:{style:#} {hint}");
        }
        text
    }
}

/// "`a`, `b` and `c`".
fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_and_what_to_do() {
        let errors = [
            Error::NotFound {
                kind: "WebApp",
                name: "hella".into(),
                namespace: "shop".into(),
                near: vec!["hello".into(), "help".into()],
            },
            Error::NotFound { kind: "WebApp", name: "x".into(), namespace: "shop".into(), near: Vec::new() },
            Error::NoDefinitions { server: "https://cluster.example".into() },
            Error::Unreachable {
                server: "https://cluster.example".into(),
                from: "/home/ann/.kube/config, context prod".into(),
                detail: "connection refused".into(),
            },
            Error::Findings { findings: vec!["a.yaml:3: first".into(), "b.yaml:1: second".into()] },
        ];
        let texts: Vec<String> = errors.iter().map(Error::to_text).collect();
        let text = anstream::adapter::strip_str(&texts.join("\n")).to_string();
        insta::assert_snapshot!(text);
    }
}
