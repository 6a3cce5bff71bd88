//! Labels, annotations and names that drover gives to objects, in one place, so that they are the same everywhere.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The API group of all kinds.
pub const GROUP: &str = "drover.dev";

/// Label on every object that drover applied: who renders it (see [`Owner`]). It selects the watches, and because its value
/// differs per owner, two owners of one object meet a server-side apply conflict that cannot be missed. It is an index and a
/// lock, never a reason to delete.
pub const LABEL_OWNER: &str = "drover.dev/owner";

/// The field manager that is given the number of replicas of an object which git no longer says, or which an autoscaler has by
/// now: without a holder it would fall to the API's default of 1. No owner's field manager is called that.
pub const REPLICAS_MANAGER: &str = "drover-replicas";

/// Annotation on every object that drover applied: a keyed hash of what was last sent.
pub const ANNOTATION_APPLIED: &str = "drover.dev/applied";

/// Annotation on every child of a `WebApp`: the uid of the `CustomResourceDefinition` under which it was applied. A child goes
/// with its `WebApp` only under the same definition: when that was deleted and made anew in between, every `WebApp` went without
/// anybody having meant the children.
pub const ANNOTATION_DEFINITION: &str = "drover.dev/definition";

/// Annotation on drover's own kinds when an `Environment` applies them: the commit that last changed the object.
pub const ANNOTATION_COMMIT: &str = "drover.dev/commit";

/// Annotation on an object in git: `"true"` lets drover take an object over that another tool applied before.
pub const ANNOTATION_ADOPT: &str = "drover.dev/adopt";

/// Annotation on an applied object: with the value `disabled` drover never deletes it.
pub const ANNOTATION_PRUNE: &str = "drover.dev/prune";

/// Annotation by which a person confirms a removal that the prune guard refused; its value is the commit.
pub const ANNOTATION_CONFIRM_PRUNE: &str = "drover.dev/confirm-prune";

/// Annotation that asks for a reconcile now; any new value counts. Written by `drover` and by people.
pub const ANNOTATION_FORCE: &str = "drover.dev/reconcile-at";

/// Annotation on a `WebApp` that asks for new pods of the same release; any new value counts.
pub const ANNOTATION_RESTARTED_AT: &str = "drover.dev/restarted-at";

/// The service account that drover acts as in a namespace which opted in, when a spec names no other.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "drover";

/// The longest value a label may have, and the longest name that all kinds accept (RFC 1123 label), in bytes.
const MAX_LABEL: usize = 63;

/// Cuts `name` to what a label allows. A name that is too long keeps its beginning and gets ten hexadecimal digits of its
/// SHA-256, so that two long names never collide and the same name always gives the same result.
///
/// ```
/// # use drover_crds::bounded_name;
/// assert_eq!(bounded_name("web"), "web");
/// let long = "a".repeat(80);
/// assert_eq!(bounded_name(&long).len(), 63);
/// assert_ne!(bounded_name(&long), bounded_name(&"a".repeat(81)));
/// ```
pub fn bounded_name(name: &str) -> String {
    if name.len() <= MAX_LABEL {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    let mut keep = MAX_LABEL - 11;
    while !name.is_char_boundary(keep) {
        keep -= 1;
    }
    let head = name[..keep].trim_end_matches(['-', '.', '_']);
    format!("{head}-{}", &digest[..10])
}

/// Which of drover's kinds owns an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnerKind {
    /// An `Environment`: the object is rendered from git.
    Environment,
    /// A `WebApp`: the object is one of its children.
    WebApp,
}

impl OwnerKind {
    /// The `kind` as it is written in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "Environment",
            Self::WebApp => "WebApp",
        }
    }

    const fn short(self) -> &'static str {
        match self {
            Self::Environment => "env",
            Self::WebApp => "app",
        }
    }
}

/// Who renders an object: one of drover's own objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The owner's kind.
    pub kind: OwnerKind,
    /// The owner's namespace.
    pub namespace: String,
    /// The owner's name.
    pub name: String,
}

impl Owner {
    /// The owner of that kind, namespace and name.
    pub fn new(kind: OwnerKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The value of [`LABEL_OWNER`]: `env.NAMESPACE.NAME` or `app.NAMESPACE.NAME`, cut by [`bounded_name`].
    /// A namespace has no dot, so two owners never share a value.
    pub fn label(&self) -> String {
        bounded_name(&format!("{}.{}.{}", self.kind.short(), self.namespace, self.name))
    }

    /// The field manager of this owner's server-side applies, at most 128 bytes as the API server asks.
    pub fn field_manager(&self) -> String {
        format!("drover-{}", self.label())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_stays_a_valid_label() {
        let name = format!("{}-{}", "x".repeat(51), "y".repeat(40));
        let cut = bounded_name(&name);
        assert!(cut.len() <= 63 && !cut.contains("--"), "{cut}");
    }

    #[test]
    fn owners_differ_by_kind_namespace_and_name() {
        let label = |kind, ns, name| Owner::new(kind, ns, name).label();
        assert_eq!(label(OwnerKind::Environment, "shop", "prod"), "env.shop.prod");
        assert_ne!(label(OwnerKind::Environment, "shop", "prod"), label(OwnerKind::WebApp, "shop", "prod"));
        assert_ne!(label(OwnerKind::WebApp, "a-b", "c"), label(OwnerKind::WebApp, "a", "b-c"));
    }
}
