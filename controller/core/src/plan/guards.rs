//! What a commit may remove, and the sentences that refuse it.

use drover_crds::{ANNOTATION_CONFIRM_PRUNE, DriftPolicy, Owner, OwnerKind};

use super::removal::Mandate;

use crate::trouble::{Mend, Trouble};

/// The part of the inventory that one commit may remove when the Environment does not say, in per cent.
pub const DEFAULT_MAX_PERCENT: u8 = 50;

/// From this many objects on, the fraction counts; fewer are refused only when they are all there are.
pub(super) const FEW: usize = 3;

/// The shortest part of a commit's id that confirms a removal.
const SHORTEST_COMMIT: usize = 7;

/// Why a plan is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The commit or the spec has not been applied in full yet: everything that differs is put right.
    Commit,
    /// It was; something in the cluster changed. The drift policy decides.
    Watch,
}

/// The owner that a plan is for, and what it allows.
#[derive(Clone, Debug)]
pub struct Guards {
    /// The owner's kind.
    pub kind: OwnerKind,
    /// Its namespace; never pruned.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its value of [`drover_crds::LABEL_OWNER`].
    pub owner_label: String,
    /// The folder or file of the repository that is followed; empty for all of it.
    pub path: String,
    /// The full id of the commit that is planned.
    pub commit: String,
    /// The value of [`ANNOTATION_CONFIRM_PRUNE`] on the Environment.
    pub confirmation: Option<String>,
    /// Whether objects that left git are deleted. Without, they are left in the cluster and forgotten: turning pruning on
    /// later deletes nothing that was left while it was off.
    pub prune: bool,
    /// The largest part of the inventory that one commit may remove, in per cent.
    pub max_percent: u8,
    /// What happens to drift.
    pub drift: DriftPolicy,
    /// Why the plan is made.
    pub occasion: Occasion,
}

impl Guards {
    /// Those of an owner whose objects are made from its spec: what that says is all that is wanted.
    pub fn of_children(owner: &Owner) -> Self {
        Self {
            kind: owner.kind,
            namespace: owner.key.namespace.clone(),
            name: owner.key.name.clone(),
            owner_label: owner.label(),
            path: String::new(),
            commit: String::new(),
            confirmation: None,
            prune: true,
            max_percent: 100,
            drift: DriftPolicy::Correct,
            occasion: Occasion::Commit,
        }
    }

    /// What may be deleted of that which is not wanted any more.
    pub(super) fn mandate(&self) -> Mandate {
        match self.kind {
            OwnerKind::Environment => Mandate::Git { confirmed: self.confirmed() },
            OwnerKind::WebApp | OwnerKind::QueueProcessor | OwnerKind::DataSync | OwnerKind::Database => {
                Mandate::Children { app_is_gone: false }
            }
        }
    }

    /// Whether a person confirmed the removals of this very commit: the annotation is its id, or at least 7 digits of it.
    pub fn confirmed(&self) -> bool {
        self.confirmation.as_deref().map(str::trim).is_some_and(|given| {
            given.len() >= SHORTEST_COMMIT && self.commit.to_ascii_lowercase().starts_with(&given.to_ascii_lowercase())
        })
    }

    /// The command that confirms the removals of this commit.
    pub(super) fn confirm_command(&self) -> String {
        format!(
            "kubectl annotate environment {} --namespace {} --overwrite {ANNOTATION_CONFIRM_PRUNE}={}",
            self.name, self.namespace, self.commit
        )
    }

    /// Where objects are looked for, in words.
    pub(super) fn place(&self) -> String {
        if self.path.is_empty() { "the repository".to_owned() } else { format!("the path {}", self.path) }
    }

    pub(super) fn short_commit(&self) -> String {
        self.commit.chars().take(12).collect()
    }
}

/// `50%` as a number of per cent; `None` when it is not one.
pub fn percent(text: &str) -> Option<u8> {
    text.strip_suffix('%')?.parse().ok().filter(|&percent| percent <= 100)
}

/// Why a whole plan is refused: nothing of it is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to apply, and nothing is applied.
    #[error(
        "commit {commit} contains no objects in {place}, so there is nothing to apply: push manifests (.yaml, .yml or .json), \
         or correct spec.source.path"
    )]
    Nothing {
        /// The commit's first digits.
        commit: String,
        /// Where they were looked for.
        place: String,
    },
    /// The commit has no objects at all, most often because of a wrong path.
    #[error(
        "commit {commit} contains no objects in {place} while {applied} {} applied, so nothing was changed: push them again, \
         correct spec.source.path, or confirm that they shall all go with `{command}`",
        if *.applied == 1 { "is" } else { "are" }
    )]
    Empty {
        /// The commit's first digits.
        commit: String,
        /// Where they were looked for.
        place: String,
        /// How many objects are applied.
        applied: usize,
        /// What to type.
        command: String,
    },
    /// The commit removes more than the Environment allows.
    #[error(
        "commit {commit} would remove {removed} of {applied} applied objects ({examples}), more than \
         spec.prune.maxFraction of {max_percent}% allows, so nothing was changed: bring them back in git, or confirm with \
         `{command}`"
    )]
    TooMany {
        /// The commit's first digits.
        commit: String,
        /// How many would go.
        removed: usize,
        /// How many are applied.
        applied: usize,
        /// The first few of those that would go.
        examples: String,
        /// The limit.
        max_percent: u8,
        /// What to type.
        command: String,
    },
}

impl Refusal {
    /// One word for conditions.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Nothing { .. } => "NoObjects",
            Self::Empty { .. } | Self::TooMany { .. } => "PruneRefused",
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.label(), refusal.to_string(), Mend::Spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_names_this_commit_and_no_other() {
        let commit = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";
        let confirmed = |annotation: Option<&str>| {
            let guards = Guards {
                kind: OwnerKind::Environment,
                namespace: "shop".into(),
                name: "prod".into(),
                path: String::new(),
                owner_label: "env.shop.prod".into(),
                commit: commit.into(),
                confirmation: annotation.map(str::to_owned),
                prune: true,
                max_percent: DEFAULT_MAX_PERCENT,
                drift: DriftPolicy::Correct,
                occasion: Occasion::Commit,
            };
            guards.confirmed()
        };
        assert!(confirmed(Some(commit)));
        assert!(confirmed(Some("1a2b3c4")));
        assert!(confirmed(Some(" 1A2B3C4D ")));
        assert!(!confirmed(Some("1a2b3c")), "six digits are too few");
        assert!(!confirmed(Some("2a2b3c4d")));
        assert!(!confirmed(Some("")));
        assert!(!confirmed(None));
    }

    #[test]
    fn percent_is_read_as_the_schema_allows() {
        assert_eq!(percent("50%"), Some(50));
        assert_eq!(percent("100%"), Some(100));
        assert_eq!(percent("101%"), None);
        assert_eq!(percent("50"), None);
    }
}
