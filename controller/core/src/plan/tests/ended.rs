//! What runs once.

use super::*;

#[test]
fn what_ran_to_its_end_is_not_made_again_until_its_content_changes() {
    let ended = |hash: &str| Ended { hash: hash.into(), failed: false };
    // It is seen to end, and that is written down once.
    let done = present(|view| view.ended = Some(ended("h1")));
    let seen = plan(&[wanted(key("a"), "h1")], |_| done.clone(), &[entry(key("a"))], &guards()).expect("a plan");
    assert_eq!(seen.applies().count(), 0);
    let recorded = seen.finished(|_| None, |_| true).expect("something to write down");
    assert_eq!(recorded, [InventoryEntry { ended: Some(ended("h1")), ..entry(key("a")) }]);
    let again = plan(&[wanted(key("a"), "h1")], |_| done.clone(), &recorded, &guards()).expect("a plan");
    assert!(again.is_empty(), "and only once");

    // It is removed: before that was written down, and after.
    for drift in [DriftPolicy::Correct, DriftPolicy::Report, DriftPolicy::Ignore] {
        for occasion in [Occasion::Watch, Occasion::Commit] {
            let guards = Guards { drift, occasion, ..guards() };
            let gone = Knowledge::Ended(ended("h1"));
            let at_once =
                plan(&[wanted(key("a"), "h1")], |_| gone.clone(), &[entry(key("a"))], &guards).expect("a plan");
            assert_eq!(at_once.applies().count(), 0, "{guards:?}");
            assert_eq!(at_once.finished(|_| None, |_| true).as_ref(), Some(&recorded));
            let later = plan(&[wanted(key("a"), "h1")], |_| Knowledge::Absent, &recorded, &guards).expect("a plan");
            assert!(later.is_empty() && later.ended(&key("a")).is_some(), "{guards:?}");
        }
    }

    // Another content runs, and is a new story.
    for knowledge in [Knowledge::Absent, Knowledge::Ended(ended("h1"))] {
        let plan = plan(&[wanted(key("a"), "h2")], |_| knowledge.clone(), &recorded, &guards()).expect("a plan");
        let step = plan.applies().next().expect("it is sent");
        assert_eq!(step.action, apply(false, Why::Changed));
        let sent = plan
            .finished(|_| Some(Answer::Accepted(Seen { uid: "u2".into(), fields: Some(7) })), |_| true)
            .expect("written");
        assert_eq!(sent, [InventoryEntry { uid: Some("u2".into()), ..entry(key("a")) }]);
    }
}
