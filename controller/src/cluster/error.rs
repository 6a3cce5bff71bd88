//! What can go wrong between drover and the API server, as a person reads it.

use drover_core::plan::forbidden;
use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{ANNOTATION_ADOPT, LABEL_OWNER};
use kube::core::Status;

use super::client::TimedOut;
use super::refusal::{Refusal, refusal};
use super::writes::NotLeader;

/// Why the API server did not do what drover asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody else's field manager holds fields that this object sets.
    #[error(
        "{object} is already managed by {by}, so drover does not touch it ({fields}): remove it from git, or delete it in the cluster, or annotate it in git with {ANNOTATION_ADOPT}: \"true\" to take it over"
    )]
    Conflict {
        /// The object.
        object: String,
        /// The other managers.
        by: String,
        /// The first fields in question.
        fields: String,
        /// Whether the owner label is among the fields: another of drover's owners has it.
        owned: bool,
    },
    /// Another of drover's owners applies this object.
    #[error("{object} is applied by {by}, so it was not touched: remove it from one of the two")]
    Owned {
        /// The object.
        object: String,
        /// The other owner.
        by: String,
    },
    /// Another Ingress answers for a host and path that this one claims.
    #[error(
        "{object} claims the route {route}, which {by} has already: give one of them another host or path, or delete that Ingress if it is no longer needed (two of different ingress classes may share a route when both name their class)"
    )]
    RouteTaken {
        /// The object.
        object: String,
        /// Host and path.
        route: String,
        /// The other Ingress, and whose it is.
        by: String,
    },
    /// The host is another namespace's.
    #[error(
        "{object} claims {route}, but the host {host} belongs to namespace {namespace}, where {by} has it: give it a host of its own, or delete that Ingress if it is no longer needed"
    )]
    HostTaken {
        /// The object.
        object: String,
        /// What it claims, as host and path.
        route: String,
        /// The host that it would take requests from.
        host: String,
        /// Whose that is.
        namespace: String,
        /// The Ingress there, and whose it is.
        by: String,
    },
    /// It asks for requests, and nobody can tell whose they are.
    #[error("{object} {what}")]
    Unclaimable {
        /// The object.
        object: String,
        /// What is wrong, why, and what to do.
        what: String,
    },
    /// The acting account lacks a right.
    #[error("{0}")]
    Forbidden(String),
    /// drover may not act as the account: nobody opted the namespace in.
    #[error(
        "namespace {namespace} has not let drover act as its service account {account}: run `drover allow {namespace}`, or create that account and its RoleBindings"
    )]
    NotAllowed {
        /// The namespace.
        namespace: String,
        /// The service account.
        account: String,
    },
    /// git says of an Environment what only a person may say.
    #[error(
        "{object} was refused, because git may not {what}: what guards an Environment is said by a person with kubectl, which git may then repeat, or by git where the namespace lets it, {way}"
    )]
    NotFromGit {
        /// The object.
        object: String,
        /// What git says, as what it would do.
        what: String,
        /// How the namespace lets git say it.
        way: String,
    },
    /// The namespace of an object does not exist.
    #[error("{object} cannot be applied because its namespace does not exist: create the namespace, or add it to git")]
    NoNamespace {
        /// The object.
        object: String,
    },
    /// The API server finds the object wrong, or an admission webhook or policy refuses it.
    #[error("{object} was refused by the API server: {message}: {advice}")]
    Refused {
        /// The object.
        object: String,
        /// The API server's words.
        message: String,
        /// What to do.
        advice: &'static str,
    },
    /// The cluster does not serve this kind.
    #[error(
        "{object} has a kind that the cluster does not know ({api_version}): install its CustomResourceDefinition, add that to git, or correct apiVersion and kind"
    )]
    UnknownKind {
        /// The object.
        object: String,
        /// Its `apiVersion`.
        api_version: String,
    },
    /// The object changed between reading and writing.
    #[error("{object} was changed by somebody else at the same moment; drover looks again")]
    Changed {
        /// The object.
        object: String,
    },
    /// Another replica may write now.
    #[error(transparent)]
    NotLeader(NotLeader),
    /// The API server is slow, busy or gone.
    #[error("the API server did not take {object}: {message}; drover tries again")]
    Unavailable {
        /// The object.
        object: String,
        /// Why.
        message: String,
    },
}

impl ApiError {
    /// Whether trying again cannot help before a person changes something.
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Changed { .. } | Self::NotLeader(_) | Self::Unavailable { .. })
    }

    /// Whether the request certainly made nothing: it was refused, by the API server or before it was sent.
    pub fn made_nothing(&self) -> bool {
        match self {
            Self::Conflict { .. }
            | Self::Owned { .. }
            | Self::RouteTaken { .. }
            | Self::NotFromGit { .. }
            | Self::HostTaken { .. }
            | Self::Unclaimable { .. }
            | Self::Forbidden(_)
            | Self::NotAllowed { .. }
            | Self::NoNamespace { .. }
            | Self::Refused { .. }
            | Self::UnknownKind { .. } => true,
            Self::Changed { .. } | Self::NotLeader(_) | Self::Unavailable { .. } => false,
        }
    }

    /// Whether it is about what the object says, and so best told with the place where that is written. An owner's conflict is
    /// not: the plan tells the same without knowing the place.
    pub fn is_of_the_object(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::RouteTaken { .. }
                | Self::NotFromGit { .. }
                | Self::HostTaken { .. }
                | Self::Unclaimable { .. }
                | Self::Forbidden(_)
                | Self::NoNamespace { .. }
                | Self::Refused { .. }
                | Self::UnknownKind { .. }
        )
    }

    /// One word for conditions and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "Conflict",
            Self::Owned { .. } => "OwnedByAnother",
            Self::RouteTaken { .. } => "RouteTaken",
            Self::HostTaken { .. } => "HostTaken",
            Self::Unclaimable { .. } => "RouteUnclear",
            Self::Forbidden(_) => "Forbidden",
            Self::NotAllowed { .. } => "NamespaceNotAllowed",
            Self::NotFromGit { .. } => "NotFromGit",
            Self::NoNamespace { .. } => "NamespaceMissing",
            Self::Refused { .. } => "Refused",
            Self::UnknownKind { .. } => "UnknownKind",
            Self::Changed { .. } => "Changed",
            Self::NotLeader(_) => "NotLeader",
            Self::Unavailable { .. } => "ApiUnavailable",
        }
    }

    /// Reads kube's error. `account` is `NAMESPACE/NAME` of the service account that asked, if it was one.
    pub fn of(error: kube::Error, verb: &'static str, key: &ObjectKey, account: Option<(&str, &str)>) -> Self {
        let object = key.to_string();
        match error {
            kube::Error::Api(status) => Self::of_status(&status, verb, key, account),
            kube::Error::Service(inner) => match inner.downcast::<NotLeader>() {
                Ok(not_leader) => Self::NotLeader(*not_leader),
                Err(inner) => match inner.downcast::<TimedOut>() {
                    Ok(late) => Self::Unavailable { object, message: late.to_string() },
                    Err(inner) => Self::Unavailable { object, message: root_cause(&*inner) },
                },
            },
            other => Self::Unavailable { object, message: root_cause(&other) },
        }
    }

    fn refused(object: String, said: &str) -> Self {
        Self::Refused { object, message: readable(said), advice: advice(said) }
    }

    fn of_status(status: &Status, verb: &'static str, key: &ObjectKey, account: Option<(&str, &str)>) -> Self {
        let (object, message) = (key.to_string(), status.message.clone());
        match Refusal::of(status) {
            Some(Refusal::Conflict) if status.reason == "Conflict" && !causes(status).is_empty() => {
                let causes = causes(status);
                let by: Vec<String> = causes.iter().map(|(by, _)| by.clone()).collect();
                Self::Conflict {
                    object,
                    by: shortened(by),
                    owned: causes.iter().any(|(_, field)| field.contains(LABEL_OWNER)),
                    fields: shortened(causes.into_iter().map(|(_, field)| field).collect()),
                }
            }
            Some(Refusal::Conflict) => Self::Changed { object },
            Some(Refusal::Forbidden) if message.contains("cannot impersonate") => {
                let (namespace, account) = account.unwrap_or_default();
                Self::NotAllowed { namespace: namespace.to_owned(), account: account.to_owned() }
            }
            // An admission plugin answers 403 as well; RBAC's own sentence says what the user cannot do.
            Some(Refusal::Forbidden) if message.contains(" cannot ") => {
                let resource = status.details.as_ref().map_or("", |details| details.kind.as_str());
                Self::Forbidden(match account {
                    Some((namespace, account)) => forbidden(key, verb, resource, namespace, account),
                    None => format!(
                        "drover's own account may not {verb} {object}: install the chart's roles of this version"
                    ),
                })
            }
            Some(Refusal::NotFound) if message.starts_with("namespaces ") => Self::NoNamespace { object },
            Some(Refusal::Internal) if !message.starts_with(UNREADABLE) => {
                Self::Unavailable { object, message: first_line(&message) }
            }
            Some(_) => Self::refused(object, &message),
            None => Self::Unavailable { object, message: first_line(&message) },
        }
    }
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        let mended_by = if error.is_terminal() { Mend::Person } else { Mend::Time };
        Self::new(error.label(), error.to_string(), mended_by)
    }
}

/// What the API server says of everything that is new in a namespace that is being deleted.
const NAMESPACE_ENDS: &str = "because it is being terminated";

/// Whether the namespace is being deleted in which something was to be made.
pub fn namespace_ends(error: &kube::Error) -> bool {
    refusal(error) == Some(Refusal::Forbidden)
        && matches!(error, kube::Error::Api(status) if status.message.contains(NAMESPACE_ENDS))
}

/// How server-side apply begins its complaint about a field of the wrong type or an unknown one.
const UNREADABLE: &str = "failed to create typed patch object (";

/// The API server's words without what only its authors need: the type names of the Go program.
fn readable(message: &str) -> String {
    let mut line = first_line(message);
    if line.starts_with(UNREADABLE)
        && let Some((_, said)) = line.split_once("): ")
    {
        line = said.to_owned();
    }
    if let Some(at) = line.find("&value.valueUnstructured{") {
        let what = match &line[at..] {
            value if value.contains("{Value:[]interface") => "a list",
            value if value.contains("{Value:map[") => "a mapping",
            _ => "something else",
        };
        line.replace_range(at.., what);
    }
    line.trim_end_matches('.').to_owned()
}

/// What helps most often against a refusal in these words.
fn advice(said: &str) -> &'static str {
    let says = |part: &str| said.contains(part);
    if says("spec.ports") && says("Duplicate value") {
        "if somebody changed a port of the live Service, change it back there (`kubectl edit service`), else give each port in git its own name and number"
    } else if says("field is immutable") || says("Forbidden: updates to ") {
        "what cannot be changed is made anew when you delete the object in the cluster, or put it into git under another name"
    } else if says(NAMESPACE_ENDS) {
        "that namespace is being deleted, so make it anew once it is gone, or remove the object from git"
    } else if says("exceeded quota") {
        "ask for less, or have the quota raised"
    } else if says("denied the request") || says("denied request") || says("violates PodSecurity") {
        "change what it names, or ask who set that policy"
    } else {
        "correct it in git"
    }
}

/// Who holds which field, from the causes of a server-side apply conflict.
fn causes(status: &Status) -> Vec<(String, String)> {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let conflicts = causes.iter().filter(|c| c.reason == "FieldManagerConflict");
    conflicts
        .map(|c| {
            // "conflict with "kubectl" using apps/v1"
            let by = c.message.split('"').nth(1).unwrap_or(&c.message).to_owned();
            (by, c.field.clone())
        })
        .collect()
}

/// The distinct words of a list, at most three.
fn shortened(mut words: Vec<String>) -> String {
    words.sort();
    words.dedup();
    let more = words.len().saturating_sub(3);
    words.truncate(3);
    let list = words.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

fn first_line(message: &str) -> String {
    let mut line: String = message.lines().next().unwrap_or_default().chars().take(600).collect();
    if line.is_empty() {
        line.push_str("no reason given");
    }
    line
}

/// The innermost error: kube's outer ones only say that something went wrong.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(status: serde_json::Value) -> ApiError {
        let key = ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        let status: Status = serde_json::from_value(status).expect("a status");
        ApiError::of(kube::Error::Api(status.boxed()), "patch", &key, Some(("shop", "drover")))
    }

    #[test]
    fn a_conflict_names_the_other_and_the_way_out() {
        let error = of(
            json!({"status": "Failure", "reason": "Conflict", "code": 409, "message": "Apply failed with 1 conflict",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.replicas"}]}}),
        );
        assert!(matches!(error, ApiError::Conflict { owned: false, .. }));
        let text = error.to_string();
        assert!(
            text.contains("Deployment shop/web") && text.contains("kubectl") && text.contains(".spec.replicas"),
            "{text}"
        );
        assert!(error.is_terminal());
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_told_apart_from_a_missing_right() {
        let ends = |message: &str| {
            let status = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": message});
            let status: Status = serde_json::from_value(status).expect("a status");
            namespace_ends(&kube::Error::Api(status.boxed()))
        };
        assert!(ends(
            "events.events.k8s.io \"web.18\" is forbidden: unable to create new content in namespace shop because it is being terminated"
        ));
        assert!(!ends(
            "events.events.k8s.io is forbidden: User \"drover\" cannot create resource \"events\" in the namespace \"shop\""
        ));
    }

    #[test]
    fn a_namespace_that_did_not_opt_in_is_told_apart_from_a_missing_right() {
        let error = of(json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message":
            "serviceaccounts \"drover\" is forbidden: User \"system:serviceaccount:drover-system:drover\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"shop\""}));
        assert!(error.to_string().contains("drover allow shop"), "{error}");
        let error = of(json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message":
            "deployments.apps \"web\" is forbidden: User \"system:serviceaccount:shop:drover\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\"",
            "details": {"name": "web", "group": "apps", "kind": "deployments"}}));
        assert!(
            error.to_string().contains("service account shop/drover may not patch deployments.apps in namespace shop"),
            "{error}"
        );
        let error = of(json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message":
            "pods \"web\" is forbidden: violates PodSecurity \"restricted\": …"}));
        assert!(matches!(error, ApiError::Refused { .. }), "{error}");
    }

    #[test]
    fn a_refusal_is_told_in_words_and_with_what_to_do() {
        let told = |code: u16, message: &str| {
            of(json!({"status": "Failure", "reason": "Invalid", "code": code, "message": message})).to_string()
        };
        assert_eq!(
            told(
                500,
                "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string"
            ),
            "Deployment shop/web was refused by the API server: .spec.replicas: expected numeric (int or float), got string: correct it in git"
        );
        assert!(
            told(500, "failed to create typed patch object (a): .data.x: expected string, got &value.valueUnstructured{Value:[]interface {}{1}}")
                .contains(".data.x: expected string, got a list: correct it in git")
        );
        for (said, do_this) in [
            (
                "admission webhook \"a\" denied the request: no.",
                ": no: change what it names, or ask who set that policy",
            ),
            ("exceeded quota: q", "ask for less, or have the quota raised"),
            (
                "spec.selector: field is immutable",
                "delete the object in the cluster, or put it into git under another name",
            ),
            (
                "spec.ports[1].name: Duplicate value: \"http\"",
                "change it back there (`kubectl edit service`), else give each port in git its own name and number",
            ),
        ] {
            assert!(told(422, said).ends_with(do_this), "{}", told(422, said));
        }
    }

    #[test]
    fn a_server_that_is_busy_is_no_verdict() {
        let error = of(json!({"status": "Failure", "reason": "InternalError", "code": 500, "message": "etcd is gone"}));
        assert!(!error.is_terminal());
    }
}
