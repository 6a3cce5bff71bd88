//! Whether an object that its owner applied may be deleted. One guard for all owners, whether the object is not wanted any more or the
//! owner itself was deleted: what must not go in the one way must not go in the other.

use super::inventory::InventoryEntry;
use super::live::{Elsewhere, Knowledge};
use crate::render::ObjectKey;

/// Who wants to delete.
#[derive(Clone, Copy, Debug)]
pub struct Remover<'a> {
    /// The owner's namespace.
    pub namespace: &'a str,
    /// The owner's value of [`drover_crds::LABEL_OWNER`].
    pub owner_label: &'a str,
    /// What it may delete.
    pub mandate: Mandate,
}

/// What an owner may delete of that which its inventory names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mandate {
    /// What was in git, wherever it is. What takes more with it goes only where a person said so.
    Git {
        /// Whether a person said so.
        confirmed: bool,
    },
    /// The children of an app: what is in its namespace, has its label, and is the object that was recorded or has fields that the
    /// app's field manager wrote. An edit of the spec takes no data: claims go only with the app.
    Children {
        /// Whether the app itself was deleted.
        app_is_gone: bool,
    },
}

impl Mandate {
    /// Whether the loss of more than the object itself is meant.
    fn means_loss(self) -> bool {
        matches!(self, Self::Git { confirmed: true } | Self::Children { app_is_gone: true })
    }
}

/// What becomes of an applied object that its owner does not want any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not deleted, and nobody need decide anything: it is gone or going, another's by now, or never to be deleted.
    Leave,
    /// It is deleted, if it still has this uid.
    Delete(String),
    /// It is not deleted before a person says so: what would be lost with it.
    Guarded(&'static str),
    /// It is not deleted, because another Environment wants it, which takes it over.
    HandOver(String),
    /// Another Environment has taken it over: what this one still holds of the object with this uid is let go of.
    Release(String),
    /// It is known in a moment whether this other Environment wants it.
    AskAgain(String),
    /// It is not deleted, because this other Environment may want it and cannot be read.
    MayBeWanted(String),
    /// It could not be asked whether it is there and ours.
    CannotAsk,
}

/// What becomes of one applied object.
pub fn fate(entry: &InventoryEntry, live: &Knowledge, remover: &Remover<'_>) -> Fate {
    // What is in it besides was made by people, and by drover's own opt-in.
    if entry.key.group.is_empty() && entry.key.kind == "Namespace" && entry.key.name == remover.namespace {
        return Fate::Leave;
    }
    let view = match live {
        Knowledge::Present(view) => view,
        Knowledge::Unknown => return Fate::CannotAsk,
        Knowledge::Absent | Knowledge::Ended(_) => return Fate::Leave,
    };
    let same_object = entry.uid.as_ref() == Some(&view.uid);
    let labelled = view.owner_label.as_deref() == Some(remover.owner_label);
    let ours = match remover.mandate {
        // What carries our label, or what lost every owner's label and still is the object that we applied.
        Mandate::Git { .. } => labelled || view.owner_label.is_none() && same_object,
        Mandate::Children { .. } => {
            let is_at_home = entry.key.namespace.as_deref() == Some(remover.namespace);
            if !(is_at_home && labelled && (same_object || view.fields.is_some())) {
                return Fate::Leave;
            }
            true
        }
    };
    if !ours && same_object && !view.deleting {
        return Fate::Release(view.uid.clone());
    }
    if !ours || view.deleting || view.prune_disabled {
        return Fate::Leave;
    }
    let means_loss = remover.mandate.means_loss();
    match &view.elsewhere {
        Elsewhere::Wanted(by) => return Fate::HandOver(by.clone()),
        Elsewhere::NotYetKnown(by) => return Fate::AskAgain(by.clone()),
        Elsewhere::Unreadable(by) if !means_loss => return Fate::MayBeWanted(by.clone()),
        Elsewhere::Unreadable(_) | Elsewhere::LetGo | Elsewhere::Nothing => {}
    }
    match loss(&entry.key.group, &entry.key.kind, view.generated.has_some) {
        Some(loss) if !means_loss => Fate::Guarded(loss),
        _ => Fate::Delete(view.uid.clone()),
    }
}

/// The sentence for an object that stays when its owner is deleted, because of `why`.
pub fn left_behind(key: &ObjectKey, why: &str) -> String {
    let place = key.namespace.as_ref().map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default();
    format!(
        "{key} was left, because {why}: delete it with `kubectl delete {} {}{place}`",
        key.kind.to_lowercase(),
        key.name
    )
}

/// What is lost with an object of this kind beside the object itself. Flux and Argo CD prune these like any other, and
/// people lost data by it: a renamed folder, a bundle that dropped its definitions. So a person has to say so.
fn loss(group: &str, kind: &str, has_generated: bool) -> Option<&'static str> {
    match (group, kind) {
        ("", "Secret") if has_generated => Some("the values that drover made for it are nowhere else"),
        ("", "Namespace") => Some("deleting a namespace deletes everything in it"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            Some("deleting a definition deletes every object of its kind in the cluster")
        }
        ("", "PersistentVolumeClaim") => Some("deleting a claim can delete its data"),
        ("", "PersistentVolume") => Some("deleting a volume can lose its data"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::LiveView;
    use crate::render::Generated;

    fn key(group: &str, kind: &str, name: &str) -> ObjectKey {
        ObjectKey { group: group.into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    fn ours() -> LiveView {
        LiveView { uid: "u1".into(), owner_label: Some("env.shop.prod".into()), ..LiveView::default() }
    }

    fn of(key: ObjectKey, view: LiveView, confirmed: bool) -> Fate {
        let remover = Remover { namespace: "shop", owner_label: "env.shop.prod", mandate: Mandate::Git { confirmed } };
        fate(&InventoryEntry::ahead(key), &Knowledge::Present(view), &remover)
    }

    #[test]
    fn the_own_namespace_never_goes() {
        for confirmed in [false, true] {
            assert_eq!(of(key("", "Namespace", "shop"), ours(), confirmed), Fate::Leave);
        }
        assert_eq!(of(key("example.org", "Namespace", "shop"), ours(), false), Fate::Delete("u1".into()));
    }

    #[test]
    fn what_takes_more_with_it_goes_only_by_a_person_s_word() {
        for (group, kind) in [
            ("", "Namespace"),
            ("", "PersistentVolumeClaim"),
            ("", "PersistentVolume"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ] {
            assert!(matches!(of(key(group, kind, "other"), ours(), false), Fate::Guarded(_)), "{kind}");
            assert_eq!(of(key(group, kind, "other"), ours(), true), Fate::Delete("u1".into()), "{kind}");
        }
    }

    #[test]
    fn a_secret_whose_values_drover_made_goes_only_by_a_person_s_word() {
        let made = || LiveView { generated: Generated { has_some: true, lacks_some: false }, ..ours() };
        assert!(matches!(of(key("", "Secret", "django"), made(), false), Fate::Guarded(_)));
        assert_eq!(of(key("", "Secret", "django"), made(), true), Fate::Delete("u1".into()));
        assert_eq!(of(key("", "Secret", "django"), ours(), false), Fate::Delete("u1".into()));
    }

    #[test]
    fn what_is_never_to_be_deleted_stays_in_both_ways() {
        let protected = LiveView { prune_disabled: true, ..ours() };
        assert_eq!(of(key("", "ConfigMap", "a"), protected, true), Fate::Leave);
    }

    #[test]
    fn what_another_environment_wants_is_handed_over_and_not_deleted() {
        let by = || "Environment shop/b".to_owned();
        for kind in ["ConfigMap", "PersistentVolumeClaim"] {
            let of = |elsewhere, confirmed| of(key("", kind, "a"), LiveView { elsewhere, ..ours() }, confirmed);
            for confirmed in [false, true] {
                assert_eq!(of(Elsewhere::Wanted(by()), confirmed), Fate::HandOver(by()), "{kind}");
                assert_eq!(of(Elsewhere::NotYetKnown(by()), confirmed), Fate::AskAgain(by()), "{kind}");
            }
            assert_eq!(of(Elsewhere::Unreadable(by()), false), Fate::MayBeWanted(by()), "{kind}");
            assert_eq!(of(Elsewhere::Unreadable(by()), true), Fate::Delete("u1".into()), "{kind}");
        }
        let theirs = LiveView { owner_label: Some("env.shop.b".into()), ..ours() };
        let entry = InventoryEntry { uid: Some("u1".into()), ..InventoryEntry::ahead(key("", "ConfigMap", "a")) };
        let mandate = Mandate::Git { confirmed: false };
        let remover = Remover { namespace: "shop", owner_label: "env.shop.prod", mandate };
        assert_eq!(fate(&entry, &Knowledge::Present(theirs.clone()), &remover), Fate::Release("u1".into()));
        let made_anew = InventoryEntry { uid: Some("u0".into()), ..entry };
        assert_eq!(fate(&made_anew, &Knowledge::Present(theirs), &remover), Fate::Leave);
    }

    /// What becomes of an object in a namespace, which the app shop/web recorded.
    fn of_child(kind: &str, namespace: &str, uid: Option<&str>, view: &LiveView, app_is_gone: bool) -> Fate {
        let key = ObjectKey { namespace: Some(namespace.into()), ..key("", kind, "web") };
        let entry = InventoryEntry { uid: uid.map(str::to_owned), ..InventoryEntry::ahead(key) };
        let mandate = Mandate::Children { app_is_gone };
        let remover = Remover { namespace: "shop", owner_label: "app.shop.web", mandate };
        fate(&entry, &Knowledge::Present(view.clone()), &remover)
    }

    fn child() -> LiveView {
        LiveView { uid: "u1".into(), owner_label: Some("app.shop.web".into()), fields: Some(7), ..LiveView::default() }
    }

    #[test]
    fn a_label_alone_makes_no_child() {
        let goes = Fate::Delete("u1".into());
        for app_is_gone in [false, true] {
            let of = |namespace, uid, view: &LiveView| of_child("Ingress", namespace, uid, view, app_is_gone);
            assert_eq!(of("shop", None, &child()), goes);
            assert_eq!(of("shop", Some("u0"), &child()), goes, "made anew by the app");
            assert_eq!(of("other", Some("u1"), &child()), Fate::Leave, "of another namespace");
            // Somebody labelled what is theirs, perhaps to hand it over.
            let theirs = LiveView { fields: None, ..child() };
            assert_eq!(of("shop", None, &theirs), Fate::Leave);
            assert_eq!(of("shop", Some("u0"), &theirs), Fate::Leave);
            assert_eq!(of("shop", Some("u1"), &theirs), goes, "others took all fields of what the app made");
            for label in [None, Some("app.shop.web2".to_owned())] {
                let relabelled = LiveView { owner_label: label, ..child() };
                assert_eq!(of("shop", Some("u1"), &relabelled), Fate::Leave);
            }
            assert_eq!(of("shop", Some("u1"), &LiveView { prune_disabled: true, ..child() }), Fate::Leave);
            assert_eq!(of("shop", Some("u1"), &LiveView { deleting: true, ..child() }), Fate::Leave);
        }
    }

    #[test]
    fn a_claim_goes_with_its_app_and_never_by_an_edit_and_a_retained_one_stays() {
        let of = |view: &LiveView, app_is_gone| of_child("PersistentVolumeClaim", "shop", None, view, app_is_gone);
        assert!(matches!(of(&child(), false), Fate::Guarded(_)));
        assert_eq!(of(&child(), true), Fate::Delete("u1".into()));
        let retained = LiveView { prune_disabled: true, ..child() };
        for app_is_gone in [false, true] {
            assert_eq!(of(&retained, app_is_gone), Fate::Leave);
        }
    }

    #[test]
    fn what_is_left_is_told_with_the_command_that_deletes_it() {
        let claim = ObjectKey { namespace: Some("shop".into()), ..key("", "PersistentVolumeClaim", "data") };
        assert_eq!(
            left_behind(&claim, "deleting a claim can delete its data"),
            "PersistentVolumeClaim shop/data was left, because deleting a claim can delete its data: delete it with \
             `kubectl delete persistentvolumeclaim data --namespace shop`"
        );
    }
}
