//! Keys of Secrets that drover fills.

use super::*;

#[test]
fn keys_that_are_missing_are_filled_whatever_is_done_about_drift() {
    let of = |guards: &Guards, change: fn(&mut LiveView)| {
        let knowledge = present(|view| {
            view.generated.lacks_some = true;
            change(view);
        });
        action(&knowledge, Some(entry(key("a"))), guards)
    };
    for drift in [DriftPolicy::Correct, DriftPolicy::Report, DriftPolicy::Ignore] {
        let guards = Guards { drift, occasion: Occasion::Watch, ..guards() };
        assert_eq!(of(&guards, |_| {}), apply(false, Why::Incomplete), "{drift:?}");
        // What git says goes with them only where the policy puts it back.
        let expected =
            if drift == DriftPolicy::Correct { apply(true, Why::Drifted) } else { apply(false, Why::Incomplete) };
        assert_eq!(of(&guards, |view| view.fields = Some(8)), expected, "{drift:?}");
    }
    assert_eq!(of(&guards(), |view| view.applied = Some("h0".into())), apply(true, Why::Changed));
    assert_eq!(of(&guards(), |view| view.deleting = true), Action::Await);
}

#[test]
fn filling_keys_changes_nothing_of_what_is_recorded() {
    let guards = Guards { drift: DriftPolicy::Report, occasion: Occasion::Watch, ..guards() };
    let knowledge = present(|view| (view.generated.lacks_some, view.fields) = (true, Some(8)));
    let plan = plan(&[wanted(key("a"), "h1")], |_| knowledge.clone(), &[entry(key("a"))], &guards).expect("a plan");
    assert_eq!((plan.write_ahead.clone(), plan.finished(|_| None, |_| false)), (None, None), "drift is not forgotten");
}
