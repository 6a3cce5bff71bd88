//! What a request to the API server asks for, in the terms of its audit log.

use http::{Method, Request};
use serde::{Deserialize, Serialize};

/// The verb of a request that only asks whether it may change something.
pub(crate) const REHEARSE: &str = "rehearse";
/// What makes a request one.
pub(crate) const DRY_RUN: &str = "dryRun=All";

/// A request: verb, resource and object. What a path does not have is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Call {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`; `rehearse` for what changes nothing,
    /// because it was only asked whether it may (`dryRun`).
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, such as `deployments`; empty for a path that is no resource, such as discovery.
    pub resource: String,
    /// `status`, `scale`, …
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The object.
    pub name: String,
}

impl Call {
    /// What `request` asks for.
    pub fn of<B>(request: &Request<B>) -> Self {
        let mut parts = request.uri().path().trim_matches('/').split('/').map(str::to_owned);
        let mut call = Self::default();
        match parts.next().as_deref() {
            Some("api") => drop(parts.next()),
            Some("apis") => {
                call.group = parts.next().unwrap_or_default();
                drop(parts.next());
            }
            _ => parts.by_ref().for_each(drop),
        }
        let mut rest: Vec<String> = parts.collect();
        if rest.len() > 2 && rest[0] == "namespaces" && !["status", "finalize"].contains(&rest[2].as_str()) {
            call.namespace.clone_from(&rest[1]);
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        call.resource = rest.next().unwrap_or_default();
        call.name = rest.next().unwrap_or_default();
        call.subresource = rest.next().unwrap_or_default();
        let asks =
            |wanted: &str| request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == wanted));
        let verb = match *request.method() {
            _ if asks(DRY_RUN) => REHEARSE,
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if call.name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ if asks("watch=true") => "watch",
            _ if call.name.is_empty() && !call.resource.is_empty() => "list",
            _ => "get",
        };
        verb.clone_into(&mut call.verb);
        call
    }

    /// Whether it changes the cluster: reviews are created, yet change nothing.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | REHEARSE)
            && !["authentication.k8s.io", "authorization.k8s.io"].contains(&self.group.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> String {
        let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
        let Call { verb, group, resource, subresource, namespace, name } = Call::of(&request);
        format!("{verb} {group}|{resource}|{subresource}|{namespace}|{name}")
    }

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        assert_eq!(call("GET", "/api/v1/namespaces/shop/pods?labelSelector=a"), "list |pods||shop|");
        assert_eq!(call("GET", "/api/v1/pods?watch=true&limit=5"), "watch |pods|||");
        assert_eq!(call("GET", "/api/v1/namespaces/shop"), "get |namespaces|||shop");
        assert_eq!(call("PATCH", "/api/v1/namespaces/shop/status"), "patch |namespaces|status||shop");
        assert_eq!(call("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web"), "patch apps|deployments||shop|web");
        assert_eq!(call("PATCH", "/api/v1/namespaces/shop/pods/a?force=true&dryRun=All"), "rehearse |pods||shop|a");
        assert_eq!(call("PUT", "/apis/a.dev/v1/namespaces/s/webapps/w/status"), "update a.dev|webapps|status|s|w");
        assert_eq!(call("DELETE", "/apis/apps/v1/namespaces/s/deployments"), "deletecollection apps|deployments||s|");
        assert_eq!(call("GET", "/apis/apps/v1"), "get apps||||");
        assert_eq!(call("GET", "/version"), "get ||||");
    }
}
