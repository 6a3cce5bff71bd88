//! What lets drover work in a namespace: an account, what the account may do, and that drover may act as it.
//!
//! The chart makes the same objects for the namespaces in its values; a test there compares them with `drover allow`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use drover_crds::{DEFAULT_SERVICE_ACCOUNT, DROVER, GROUP, LABEL_MANAGED_BY, LABEL_PART_OF};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject as RbacSubject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use drover_core::render::Object;

/// The ClusterRole that says what a namespace's account may do there.
pub const DEPLOYER: &str = "drover-deployer";
/// The Role, and its binding, that lets git say what guards an Environment.
pub const ENVIRONMENTS: &str = "drover-environments-from-git";
/// The Role, and its binding, that lets the controller act as the account.
pub const IMPERSONATE: &str = "drover-impersonate";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Who the controller is to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// It runs in the cluster, as this service account.
    ServiceAccount {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
    },
    /// It runs elsewhere, with the credential of this user.
    User(String),
}

impl FromStr for Subject {
    type Err = String;

    /// Reads a service account as `NAMESPACE/NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write the service account as NAMESPACE/NAME, such as drover-system/drover".to_owned()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount { namespace, name } => write!(f, "service account {namespace}/{name}"),
            Self::User(name) => write!(f, "user {name}"),
        }
    }
}

/// The labels of everything that the command line makes.
pub fn labels() -> BTreeMap<String, String> {
    [(LABEL_MANAGED_BY, DROVER), (LABEL_PART_OF, DROVER)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Metadata of an object that the command line makes; cluster-scoped without a namespace.
pub fn metadata(namespace: Option<&str>, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels()),
        ..ObjectMeta::default()
    }
}

/// The objects that let the controller, which is `controller` to the API server, work in `namespace`, in the order of applying.
pub fn objects(namespace: &str, controller: &Subject) -> Vec<Object> {
    let named = |name: &str| metadata(Some(namespace), name);
    let account = ServiceAccount {
        metadata: named(DEFAULT_SERVICE_ACCOUNT),
        // The controller acts as this account by impersonation; no pod needs its token.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let deployer = RoleBinding {
        metadata: named(DEPLOYER),
        role_ref: role_ref("ClusterRole", DEPLOYER),
        subjects: Some(vec![account_of(namespace)]),
    };
    let impersonate = Role {
        metadata: named(IMPERSONATE),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["serviceaccounts".to_owned()]),
            resource_names: Some(vec![DEFAULT_SERVICE_ACCOUNT.to_owned()]),
            verbs: vec!["impersonate".to_owned()],
            ..PolicyRule::default()
        }]),
    };
    let may_impersonate = RoleBinding {
        metadata: named(IMPERSONATE),
        role_ref: role_ref("Role", IMPERSONATE),
        subjects: Some(vec![subject(controller)]),
    };
    vec![
        Object::built(&account),
        Object::built(&deployer),
        Object::built(&impersonate),
        Object::built(&may_impersonate),
    ]
}

/// The objects that let what is in git say what otherwise a person says of the namespace's Environments: their guards, credentials
/// and accounts.
pub fn environments_from_git(namespace: &str) -> Vec<Object> {
    let role = Role {
        metadata: metadata(Some(namespace), ENVIRONMENTS),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![GROUP.to_owned()]),
            resources: Some(vec!["environments/guards".to_owned()]),
            verbs: vec!["update".to_owned()],
            ..PolicyRule::default()
        }]),
    };
    let binding = RoleBinding {
        metadata: metadata(Some(namespace), ENVIRONMENTS),
        role_ref: role_ref("Role", ENVIRONMENTS),
        subjects: Some(vec![account_of(namespace)]),
    };
    vec![Object::built(&role), Object::built(&binding)]
}

/// The namespace's account, as the subject of a binding.
fn account_of(namespace: &str) -> RbacSubject {
    let name = DEFAULT_SERVICE_ACCOUNT.to_owned();
    subject(&Subject::ServiceAccount { namespace: namespace.to_owned(), name })
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC.to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

fn subject(subject: &Subject) -> RbacSubject {
    match subject {
        Subject::ServiceAccount { namespace, name } => RbacSubject {
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(namespace.clone()),
            api_group: None,
        },
        Subject::User(name) => RbacSubject {
            kind: "User".to_owned(),
            name: name.clone(),
            api_group: Some(RBAC.to_owned()),
            namespace: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::global::Format;
    use crate::cli::output;

    #[test]
    fn the_account_may_deploy_and_the_controller_may_act_as_it() {
        let controller = "drover-system/drover".parse().expect("a subject");
        insta::assert_snapshot!(output::objects(&objects("shop", &controller), Format::Yaml));
    }

    #[test]
    fn a_controller_outside_the_cluster_is_a_user() {
        let objects = objects("shop", &Subject::User("ann".to_owned()));
        let subject = &objects[3].json()["subjects"][0];
        assert_eq!(subject, &serde_json::json!({"kind": "User", "name": "ann", "apiGroup": RBAC}));
    }

    #[test]
    fn a_subject_is_a_namespace_and_a_name() {
        for text in ["drover", "/drover", "a/", "a/b/c", ""] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
