//! What an API server's refusal means to a person.

use super::Error;
use crate::cluster::Refusal;

/// Which API server, and how we know about it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address.
    pub address: String,
    /// Where the address comes from: a kubeconfig, a pod.
    pub from: String,
}

/// A failed request as a sentence. `action` completes "you may not …".
pub fn explain(error: &kube::Error, action: &str, server: &Server) -> Error {
    let refused = |detail: String| Error::Refused { action: action.to_owned(), detail };
    let (address, from) = (server.address.clone(), server.from.clone());
    let kube::Error::Api(status) = error else {
        return match error {
            kube::Error::SerdeError(problem) => refused(format!("its answer cannot be read ({problem})")),
            kube::Error::Auth(_) => Error::NoCluster { from, detail: chain(error) },
            other => Error::Unreachable { server: address, from, detail: chain(other) },
        };
    };
    match Refusal::of(status) {
        Some(Refusal::Unauthorized) => Error::Unauthorized { server: address, from },
        Some(Refusal::Forbidden) => Error::Forbidden { action: action.to_owned(), detail: status.message.clone() },
        // Not an object that is missing, but the whole kind: the path is unknown.
        Some(Refusal::NotFound) if is_unknown_kind(status) => Error::NoDefinitions { server: address },
        Some(Refusal::NotFound) => match missing_namespace(status) {
            Some(name) => Error::NoNamespace { name, near: Vec::new() },
            None => refused(status.message.clone()),
        },
        _ => refused(status.message.clone()),
    }
}

/// Whether the whole kind is unknown to the API server, rather than one object.
pub fn is_unknown_kind(status: &kube::core::Status) -> bool {
    Refusal::of(status) == Some(Refusal::NotFound)
        && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

/// The namespace that a 404 is about.
fn missing_namespace(status: &kube::core::Status) -> Option<String> {
    let details = status.details.as_ref()?;
    (details.kind == "namespaces").then(|| details.name.clone())
}

/// An error with all its causes, each said once: clients wrap "connection refused" three deep.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(code: u16, message: &str, details: &serde_json::Value) -> Error {
        let status: kube::core::Status =
            serde_json::from_value(json!({"status": "Failure", "code": code, "message": message, "details": details}))
                .expect("a status");
        let server = Server { address: "https://cluster.example".into(), from: "~/.kube/config".into() };
        explain(&kube::Error::Api(Box::new(status)), "list the WebApps of shop", &server)
    }

    #[test]
    fn a_missing_kind_is_not_a_missing_object() {
        assert!(matches!(told(404, "404 page not found", &json!(null)), Error::NoDefinitions { .. }));
        let object = told(404, "webapps \"a\" not found", &json!({"name": "a", "kind": "webapps"}));
        assert!(matches!(object, Error::Refused { .. }), "{object:?}");
        let namespace = told(404, "namespaces \"shop\" not found", &json!({"name": "shop", "kind": "namespaces"}));
        assert!(matches!(namespace, Error::NoNamespace { name, .. } if name == "shop"));
    }

    #[test]
    fn a_refusal_says_what_was_asked() {
        let error = told(403, "User \"ann\" cannot list", &json!(null)).to_string();
        assert_eq!(error, "you may not list the WebApps of shop: User \"ann\" cannot list");
        assert!(matches!(told(401, "Unauthorized", &json!(null)), Error::Unauthorized { .. }));
    }

    #[test]
    fn each_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Layer(&'static str, #[source] Option<Box<Layer>>);
        let error =
            Layer("client error", Some(Box::new(Layer("client error", Some(Box::new(Layer("refused", None)))))));
        assert_eq!(chain(&error), "client error: refused");
    }
}
