//! Labels, annotations and names that drover gives to objects, in one place, so that they are the same everywhere.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest as _, Sha256};

/// The API group of all kinds.
pub const GROUP: &str = "drover.dev";

/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// Label of Kubernetes' own: what an object is.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";

/// Label of Kubernetes' own: which app an object belongs to.
pub const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";

/// Label of Kubernetes' own: which tool made an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Label of Kubernetes' own: what an object is a part of.
pub const LABEL_PART_OF: &str = "app.kubernetes.io/part-of";

/// What [`LABEL_MANAGED_BY`] and [`LABEL_PART_OF`] say, and who reports events.
pub const DROVER: &str = "drover";

/// Label on every object that drover applied: who renders it (see [`Owner`]). It selects the watches, and because its value
/// differs per owner, two owners of one object meet a server-side apply conflict that cannot be missed. It is an index and a
/// lock, never a reason to delete.
pub const LABEL_OWNER: &str = "drover.dev/owner";

/// Label on the pods of a `WebApp`, and with [`LABEL_NAME`] and [`LABEL_INSTANCE`] what selects them. Its value for the web
/// server's own pods is [`COMPONENT_WEB`].
pub const LABEL_COMPONENT: &str = "drover.dev/component";

/// The value of [`LABEL_COMPONENT`] on the web server's own pods.
pub const COMPONENT_WEB: &str = "web";

/// The value of [`LABEL_COMPONENT`] on the Jobs that sync a `DataSync`, and on their pods.
pub const COMPONENT_SYNC: &str = "sync";

/// Label on pods that share claims which the pods of one node hold: such pods are all on the node where the first of them in the
/// namespace is.
pub const LABEL_ONE_NODE: &str = "drover.dev/one-node";

/// The value of [`LABEL_ONE_NODE`].
pub const SHARED_CLAIMS: &str = "shared-claims";

/// The value of [`LABEL_COMPONENT`] on the pods of jobs.
pub const COMPONENT_JOB: &str = "job";

/// The value of [`LABEL_COMPONENT`] on the pods of a `Database`.
pub const COMPONENT_DATABASE: &str = "database";

/// The value of [`LABEL_COMPONENT`] on the Jobs that back a `Database` up, and on their pods.
pub const COMPONENT_BACKUP: &str = "backup";

/// The value of [`LABEL_COMPONENT`] on the Jobs that restore a `Database`, and on their pods.
pub const COMPONENT_RESTORE: &str = "restore";

/// The value of [`LABEL_COMPONENT`] on the pods of a `QueueProcessor`.
pub const COMPONENT_WORKER: &str = "worker";

/// The value of [`LABEL_COMPONENT`] on the pods of a front.
pub const COMPONENT_FRONT: &str = "front";

/// Label on the pods of a job: the job's name; on those of a command that a person gave, [`BY_HAND`].
pub const LABEL_JOB: &str = "drover.dev/job";

/// What a command is called that a person has run in place of a job.
pub const BY_HAND: &str = "run";

/// Label on the pods of a `WebApp`: the number of the release that last changed them.
pub const LABEL_RELEASE: &str = "drover.dev/release";

/// Label on the `ConfigMap`s that hold what an owner has applied: the number of the part.
pub const LABEL_INVENTORY: &str = "drover.dev/inventory";

/// Label on an administrator's `ClusterRole`: with the value `true` its rules are added to every namespace's account.
pub const LABEL_AGGREGATE_TO_DEPLOYER: &str = "drover.dev/aggregate-to-deployer";

/// The field manager of what a person's `drover` writes. No owner's field manager is called that.
pub const CLI_MANAGER: &str = "drover-cli";

/// The field manager of all statuses. No owner's field manager is called that.
pub const STATUS_MANAGER: &str = "drover-status";

/// The field manager that is given the number of replicas of an object which git no longer says, or which an autoscaler has by
/// now: without a holder it would fall to the API's default of 1. No owner's field manager is called that.
pub const REPLICAS_MANAGER: &str = "drover-replicas";

/// The field manager of the values that drover made for keys of Secrets, so that no apply of what git says takes them away. No owner's field
/// manager is called that.
pub const GENERATED_MANAGER: &str = "drover-generated";

/// Annotation on every object that drover applied: a keyed hash of what was last sent.
pub const ANNOTATION_APPLIED: &str = "drover.dev/applied";

/// Annotation on every child of a `WebApp`, and on inventories: the uid of the `CustomResourceDefinition` under which it was
/// applied. A child goes with its `WebApp` only under the same definition: when that was deleted and made anew in between, every
/// `WebApp` went without anybody having meant the children.
pub const ANNOTATION_DEFINITION: &str = "drover.dev/definition";

/// Annotation on drover's own kinds when an `Environment` applies them: the commit that last changed the object.
pub const ANNOTATION_COMMIT: &str = "drover.dev/commit";

/// Annotation on an object in git: `"true"` lets drover take an object over that another tool applied before.
pub const ANNOTATION_ADOPT: &str = "drover.dev/adopt";

/// Annotation on an object in git: with the value `disabled` no variable is filled into it.
pub const ANNOTATION_SUBSTITUTE: &str = "drover.dev/substitute";

/// Annotation on a Secret in git: the keys that drover fills with random values where they are missing, with a blank between two.
pub const ANNOTATION_GENERATE: &str = "drover.dev/generate";

/// Annotation on an applied object: with the value `disabled` drover never deletes it.
pub const ANNOTATION_PRUNE: &str = "drover.dev/prune";

/// Annotation by which a person confirms a removal that the prune guard refused; its value is the commit.
pub const ANNOTATION_CONFIRM_PRUNE: &str = "drover.dev/confirm-prune";

/// Annotation that asks for a reconcile now; any new value counts. Written by `drover` and by people.
pub const ANNOTATION_RECONCILE_AT: &str = "drover.dev/reconcile-at";

/// Annotation on a `Database` that asks for a backup now; any new value counts.
pub const ANNOTATION_BACKUP_AT: &str = "drover.dev/backup-at";

/// Annotation on a `Database`, written by `drover restore`: the backup that takes the place of its data, and when that was asked for. It is a
/// person's word: git may not say it.
pub const ANNOTATION_RESTORE: &str = "drover.dev/restore";

/// Annotation on the pod of a `Database`: which restore it was last started anew for.
pub const ANNOTATION_RESTORED: &str = "drover.dev/restored";

/// Annotation on a Job that syncs a `DataSync`, or backs a `Database` up or restores it, because its spec or a person asked: which request it
/// is for.
pub const ANNOTATION_ASKED: &str = "drover.dev/asked";

/// Annotation on a `DataSync`, written for an app that could not run with a set of its files: that set is not published.
pub const ANNOTATION_REJECT_SET: &str = "drover.dev/reject-set";

/// Annotation on a `WebApp` that asks for new pods of the same release; any new value counts.
pub const ANNOTATION_RESTARTED_AT: &str = "drover.dev/restarted-at";

/// Annotation on the pods of an app that reads Secrets, or ConfigMaps that are too large for a copy: what differs when one of them has
/// changed.
pub const ANNOTATION_SETTINGS: &str = "drover.dev/settings";

/// Annotation on the record of a release: how its jobs ended.
pub const ANNOTATION_JOBS: &str = "drover.dev/jobs";

/// Annotation on a claim of an app: the jobs with `run: Once` that have succeeded there, each as `NAME=TIME`, with a blank between two.
pub const ANNOTATION_RAN_ONCE: &str = "drover.dev/ran-once";

/// Annotation on the pods of a front: what differs when its configuration has changed.
pub const ANNOTATION_CONFIGURATION: &str = "drover.dev/configuration";

/// Annotation on an app that follows a tag, written by `drover rollback`: the image that it keeps while the tag points to a bad one.
pub const ANNOTATION_HOLD_IMAGE: &str = "drover.dev/hold-image";

/// Annotation on an app with `uptime`, written by `drover wake`: until when it is awake whatever its windows say, in RFC 3339.
pub const ANNOTATION_AWAKE_UNTIL: &str = "drover.dev/awake-until";

/// Annotation on an app with `uptime`, written by `drover sleep`: until when it is asleep whatever its windows say, in RFC 3339.
pub const ANNOTATION_ASLEEP_UNTIL: &str = "drover.dev/asleep-until";

/// Annotation on an inventory: what the deletion of its owner means.
pub const ANNOTATION_DELETION_POLICY: &str = "drover.dev/deletion-policy";

/// Annotation on an inventory: the service account that its objects were applied as.
pub const ANNOTATION_SERVICE_ACCOUNT: &str = "drover.dev/service-account";

/// Annotation on the Lease: where its holder takes webhooks, as `HOST:PORT`.
pub const ANNOTATION_FORWARD_TO: &str = "drover.dev/forward-to";

/// The Lease by which replicas agree on a leader, in drover's own namespace.
pub const LEASE: &str = "drover-controller";

/// The service account that drover acts as in a namespace which opted in, when a spec names no other.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "drover";

/// The longest value a label may have, and the longest name that all kinds accept (RFC 1123 label), in bytes.
const MAX_LABEL: usize = 63;

/// How many digits of the hash stand at the end of a name that was cut.
const CUT_DIGITS: usize = 10;

/// What an owner's field manager has before the owner's label.
const MANAGER_PREFIX: &str = "drover-";

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
    cut(name, MAX_LABEL)
}

/// The same for the name of a `CronJob`, or of a `Job` that others are made from: Kubernetes adds up to eleven bytes to it.
pub fn bounded_cron_name(name: &str) -> String {
    cut(name, MAX_LABEL - 11)
}

fn cut(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    let mut keep = most - CUT_DIGITS - 1;
    while !name.is_char_boundary(keep) {
        keep -= 1;
    }
    let head = name[..keep].trim_end_matches(['-', '.', '_']);
    format!("{head}-{}", &digest[..CUT_DIGITS])
}

/// The name of the claim that a `DataSync` keeps its files on, and of what else stands around it. Its own name is short enough.
pub fn synced_claim(name: &str) -> String {
    format!("{name}-sync")
}

/// The name of the Secret that says how to connect to a `Database`, and of its claim and settings. Its own name is short enough.
pub fn connection_secret(name: &str) -> String {
    format!("{name}-database")
}

/// The name of what backs a `Database` up: its CronJob, its order, and the claim that backups go to.
pub fn backup_name(name: &str) -> String {
    format!("{name}-backup")
}

/// The name of what restores a `Database`: its order.
pub fn restore_name(name: &str) -> String {
    format!("{name}-restore")
}

/// Whether a name may be one that [`bounded_name`] cut. What it keeps of one can be short: it ends before a run of dashes.
fn may_be_cut(name: &str) -> bool {
    let digits = name.rsplit_once('-').map(|(_, digits)| digits);
    digits.is_some_and(|d| d.len() == CUT_DIGITS && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Namespace and name of an object of a kind that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of that namespace and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object, which has a namespace and a name when it comes from the API server.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

/// `NAMESPACE/NAME`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Which of drover's kinds owns an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnerKind {
    /// An `Environment`: the object is rendered from git.
    Environment,
    /// A `WebApp`: the object is one of its children.
    WebApp,
    /// A `QueueProcessor`: the object is its workers, or what they need.
    QueueProcessor,
    /// A `DataSync`: the object is its volume, or what keeps that filled.
    DataSync,
    /// A `Database`: the object is its server, or what that needs.
    Database,
}

/// What the names of a kind are.
struct Names {
    kind: &'static str,
    plural: &'static str,
    /// What its objects' owner labels begin with.
    short: &'static str,
    annotation: &'static str,
}

impl OwnerKind {
    /// All kinds, in the order in which they are documented.
    pub const ALL: [Self; 5] = [Self::Environment, Self::WebApp, Self::QueueProcessor, Self::DataSync, Self::Database];

    const fn names(self) -> Names {
        match self {
            Self::Environment => Names {
                kind: "Environment",
                plural: "environments",
                short: "env",
                annotation: "drover.dev/environment",
            },
            Self::WebApp => Names { kind: "WebApp", plural: "webapps", short: "app", annotation: "drover.dev/web-app" },
            Self::QueueProcessor => Names {
                kind: "QueueProcessor",
                plural: "queueprocessors",
                short: "qp",
                annotation: "drover.dev/queue-processor",
            },
            Self::DataSync => {
                Names { kind: "DataSync", plural: "datasyncs", short: "sync", annotation: "drover.dev/data-sync" }
            }
            Self::Database => {
                Names { kind: "Database", plural: "databases", short: "db", annotation: "drover.dev/database" }
            }
        }
    }

    /// The `kind` as it is written in manifests.
    pub const fn as_str(self) -> &'static str {
        self.names().kind
    }

    /// The kind as it is written in the API's paths and in rules of roles.
    pub const fn plural(self) -> &'static str {
        self.names().plural
    }

    /// Annotation on the inventory of one of its objects: the namespace and name of that, with a `/` in between.
    pub const fn annotation(self) -> &'static str {
        self.names().annotation
    }

    /// The name of its `CustomResourceDefinition`.
    pub fn definition(self) -> String {
        format!("{}.{GROUP}", self.plural())
    }

    /// The kind of drover's that is written so, if it is one.
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| group == GROUP && each.as_str() == kind)
    }
}

impl fmt::Display for OwnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who renders an object: one of drover's own objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The owner's kind.
    pub kind: OwnerKind,
    /// The owner's namespace and name.
    pub key: Key,
}

/// What a value of [`LABEL_OWNER`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// By this owner.
    By(Owner),
    /// By an owner of this kind, whose name may have been cut: who it is can only be found by making the labels of those that it
    /// may be.
    Cut(OwnerKind),
}

impl Labelled {
    /// The owner's kind.
    pub fn kind(&self) -> OwnerKind {
        match self {
            Self::By(owner) => owner.kind,
            Self::Cut(kind) => *kind,
        }
    }
}

impl Owner {
    /// The owner of that kind, namespace and name.
    pub fn new(kind: OwnerKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, key: Key::new(namespace, name) }
    }

    /// The owner of that kind and key.
    pub fn of(kind: OwnerKind, key: &Key) -> Self {
        Self { kind, key: key.clone() }
    }

    /// The value of [`LABEL_OWNER`]: `env.NAMESPACE.NAME` or `app.NAMESPACE.NAME`, cut by [`bounded_name`].
    /// A namespace has no dot, so two owners never share a value. [`Self::parse`] reads it.
    pub fn label(&self) -> String {
        bounded_name(&format!("{}.{}.{}", self.kind.names().short, self.key.namespace, self.key.name))
    }

    /// What a value of [`LABEL_OWNER`] says; `None` for one that [`Self::label`] does not make.
    pub fn parse(label: &str) -> Option<Labelled> {
        let (short, key) = label.split_once('.')?;
        let kind = OwnerKind::ALL.into_iter().find(|kind| kind.names().short == short)?;
        if may_be_cut(label) {
            return Some(Labelled::Cut(kind));
        }
        let (namespace, name) = key.split_once('.')?;
        let whole = label.len() <= MAX_LABEL && !namespace.is_empty() && !name.is_empty();
        whole.then(|| Labelled::By(Self::new(kind, namespace, name)))
    }

    /// The field manager of this owner's server-side applies, at most 128 bytes as the API server asks.
    pub fn field_manager(&self) -> String {
        format!("{MANAGER_PREFIX}{}", self.label())
    }

    /// The value of [`LABEL_OWNER`] of the owner whose field manager that is; `None` for somebody else's.
    pub fn label_of_manager(manager: &str) -> Option<&str> {
        manager.strip_prefix(MANAGER_PREFIX).filter(|label| Self::parse(label).is_some())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_label_is_read_as_it_was_made() {
        let by = |kind, name| Some(Labelled::By(Owner::new(kind, "shop", name)));
        assert_eq!(Owner::parse("env.shop.prod.eu"), by(OwnerKind::Environment, "prod.eu"));
        assert_eq!(Owner::parse("app.shop.web"), by(OwnerKind::WebApp, "web"));
        for other in ["", "env", "env.", "env.shop", "env.shop.", "env..prod", "job.shop.prod", "somebody"] {
            assert_eq!(Owner::parse(other), None, "{other}");
        }
        assert_eq!(Owner::label_of_manager("drover-app.shop.web"), Some("app.shop.web"));
        assert_eq!(Owner::label_of_manager(REPLICAS_MANAGER), None);
        assert_eq!(Owner::label_of_manager(GENERATED_MANAGER), None);
        assert_eq!(Owner::label_of_manager("kubectl"), None);
    }

    /// What is cut may be far shorter than the limit, so its length does not tell that it was.
    #[test]
    fn a_cut_label_is_never_read_as_somebody_s() {
        let name = format!("a{}b", "-".repeat(60));
        let label = Owner::new(OwnerKind::WebApp, "shop", name).label();
        assert!(label.len() < 25, "{label}");
        assert_eq!(Owner::parse(&label), Some(Labelled::Cut(OwnerKind::WebApp)));
    }

    proptest! {
        #[test]
        fn every_owner_is_read_back_or_known_to_be_cut(
            kind in prop::sample::select(OwnerKind::ALL.to_vec()),
            namespace in "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
            name in "[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?){0,3}",
        ) {
            let owner = Owner::new(kind, namespace, name);
            let label = owner.label();
            let whole = format!("{}.{}.{}", kind.names().short, owner.key.namespace, owner.key.name) == label;
            match Owner::parse(&label) {
                Some(Labelled::By(read)) => prop_assert_eq!(read, owner.clone()),
                Some(Labelled::Cut(read)) => prop_assert!(read == kind && (!whole || may_be_cut(&label))),
                None => prop_assert!(false, "{} is not read", label),
            }
            prop_assert!(whole || matches!(Owner::parse(&label), Some(Labelled::Cut(_))));
            let manager = owner.field_manager();
            prop_assert_eq!(Owner::label_of_manager(&manager), Some(label.as_str()));
        }

        #[test]
        fn no_text_makes_reading_a_label_panic(label in "(env|app)?[.a-z0-9-]{0,70}|.{0,80}") {
            if let Some(Labelled::By(owner)) = Owner::parse(&label) {
                prop_assert_eq!(owner.label(), label);
            }
        }
    }
}
