//! What moves between two Environments.

use super::*;

#[test]
fn a_move_is_a_hand_over_and_no_removal() {
    let by = || "Environment shop/b".to_owned();
    let wanted_elsewhere = present(|view| view.elsewhere = Elsewhere::Wanted(by()));
    // All but one leave: that many may not be removed, but all may move.
    let keys = [key("a"), key("b"), of_kind("", "PersistentVolumeClaim", "data")];
    let inventory = keys.clone().map(entry);
    let moved = plan(&[wanted(key("x"), "h1")], |_| wanted_elsewhere.clone(), &inventory, &guards()).expect("a plan");
    assert!(moved.prune.is_empty() && keys.iter().all(|key| remembered(&moved, key)));
    assert!(moved.held.iter().all(|held| !held.to_string().contains("kubectl")), "no advice that deletes what moves");
    assert_eq!(moved.unsettled(), None);

    let unread = present(|view| view.elsewhere = Elsewhere::NotYetKnown(by()));
    let waits = plan(&[wanted(key("x"), "h1")], |_| unread.clone(), &inventory, &guards()).expect("a plan");
    assert!(waits.prune.is_empty());
    assert_eq!(waits.unsettled(), Some(("Environment shop/b", &key("a"))));

    let taken = present(|view| view.owner_label = Some(OTHER.into()));
    let plan = leaves(&key("old"), &taken, &guards());
    assert_eq!(plan.release, [Removal { key: key("old"), uid: "u1".into() }]);
    assert!(plan.prune.is_empty() && !remembered(&plan, &key("old")));
    assert!(plan.finished(|_| None, |_| false).is_none(), "what could not be let go of is tried again");
}

#[test]
fn what_another_let_go_of_is_taken_over_and_nothing_else() {
    let theirs = |elsewhere| present(|view| (view.owner_label, view.elsewhere) = (Some(OTHER.into()), elsewhere));
    let of = |elsewhere| action(&theirs(elsewhere), None, &guards());
    assert_eq!(of(Elsewhere::LetGo), apply(true, Why::HandedOver));
    assert_eq!(
        of(Elsewhere::NotYetKnown("Environment other/prod".into())),
        Action::Settle("Environment other/prod".into())
    );
    assert!(matches!(of(Elsewhere::Nothing), Action::Conflict(_)));
}
