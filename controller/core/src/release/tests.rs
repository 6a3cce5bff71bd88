//! What holds for the names and the releases of any app.

use std::collections::BTreeMap;

use drover_crds::{self as crds, OwnerKind, RolloutStatus, WebAppSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::front::Terms;
use crate::workload::pods::{Copies, Facts, ImageUser, PodRelease, Settings, Shrinking};
use crate::workload::takeover::Kept;
use crate::workload::validate::validate;
use crate::workload::{App, build};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn two_names_never_collide(a in "[a-z][a-z0-9-]{0,120}[a-z0-9]", b in "[a-z][a-z0-9-]{0,120}[a-z0-9]", release in 1..1_000_000_i64) {
        prop_assume!(a != b);
        let of = |name: &str| App { kind: OwnerKind::WebApp, namespace: "shop".into(), name: name.to_owned(), uid: None };
        prop_assert_ne!(of(&a).object_name(), of(&b).object_name());
        prop_assert_ne!(record_name(&of(&a), release), record_name(&of(&b), release));
        prop_assert_ne!(build::pull_pod_name(&of(&a), release), build::pull_pod_name(&of(&b), release));
    }
}

fn data(spec: WebAppSpec, image: &str) -> ReleaseData<WebAppSpec> {
    ReleaseData {
        spec,
        image: image.to_owned(),
        user: ImageUser::Known("33".into()),
        origin: None,
        settings: None,
        commit: Some("c2".into()),
        pods: PodRelease { number: 1, commit: Some("c1".into()) },
        asked: None,
        jobs: Vec::new(),
        last_run: None,
    }
}

fn release(number: i64, data: ReleaseData<WebAppSpec>) -> Release<WebAppSpec> {
    Release { number, data, ends: JobEnds::default() }
}

fn plain_spec() -> WebAppSpec {
    let ports = vec![crds::Port { name: "http".into(), port: 8000, metrics: None }];
    WebAppSpec { pod: crds::PodSpec { image: "web:1".into(), ..Default::default() }, ports, ..Default::default() }
}

#[test]
fn only_a_release_that_changes_the_pods_renews_them() {
    let identity = App { kind: OwnerKind::WebApp, namespace: "shop".into(), name: "web".into(), uid: Some("u".into()) };
    let previous = self::release(4, data(plain_spec(), "web:1@sha256:aa"));
    let template = |data: &ReleaseData<WebAppSpec>, pods: &PodRelease| {
        let (image, claims) = (data.image(), BTreeMap::new());
        let shrinking = Shrinking::Refuse;
        let data_sets = &BTreeMap::new();
        let (settings, copies) = (&data.settings.clone().unwrap_or_default(), &Copies::default());
        let facts = Facts {
            image: &image,
            pods,
            restarted_at: None,
            claims: &claims,
            shrinking,
            data_sets,
            asset_sets: &BTreeMap::new(),
            own_sets: &BTreeMap::new(),
            settings,
            copies,
        };
        validate(&identity, &data.spec, &facts, &Terms::default(), &Kept::default())
            .map(|app| build::pod_template(&app))
    };
    let carried = |new: &ReleaseData<WebAppSpec>| carried_pods(5, new, Some(&previous), template).expect("valid");
    let mut routed = plain_spec();
    let to = crds::RouteTarget { app: Some(crds::AppTarget::default()), ..Default::default() };
    routed.routes = vec![crds::Route { host: "a.example.org".into(), path: "/".into(), to, ..Default::default() }];
    assert_eq!(carried(&data(routed, "web:1@sha256:aa")), previous.data.pods);
    let own = PodRelease { number: 5, commit: Some("c2".into()) };
    assert_eq!(carried(&data(plain_spec(), "web:1@sha256:bb")), own);
    assert_eq!(carried_pods(5, &previous.data, None, template), Ok(own));
}

#[test]
fn a_release_is_read_back_as_it_was_written_and_only_by_its_owner() {
    let identity = |uid: &str| App {
        kind: OwnerKind::WebApp,
        namespace: "shop".into(),
        name: "web".into(),
        uid: Some(uid.into()),
    };
    let release = self::release(7, data(plain_spec(), "web:1"));
    let record = release.to_record(&identity("u"));
    assert_eq!(Release::from_record(&identity("u"), &record), Some(release));
    assert_eq!(Release::<WebAppSpec>::from_record(&identity("another"), &record), None);
}

#[test]
fn a_new_release_begins_with_a_new_spec_a_new_commit_or_a_second_try() {
    let release = self::release(7, data(plain_spec(), "web:1"));
    let (spec, mut other) = (plain_spec(), plain_spec());
    other.pod.allow_root = Some("needs raw sockets".into());
    let wanted = |spec, commit, asked| Wanted { spec, commit: Some(commit), asked, digest: None, settings: None };
    let is_superseded = |wanted, failed| release.is_superseded_by(&wanted, release.standing(), failed);
    assert!(!is_superseded(wanted(&spec, "c2", None), false));
    assert!(!is_superseded(wanted(&spec, "c2", Some("now")), false));
    assert!(is_superseded(wanted(&spec, "c2", Some("now")), true));
    assert!(is_superseded(wanted(&spec, "c3", None), false));
    assert!(is_superseded(wanted(&other, "c2", None), false));
}

#[test]
fn a_followed_tag_that_moved_begins_a_release_and_nothing_else_of_it_does() {
    let spec = plain_spec();
    let release = self::release(7, data(plain_spec(), "web:1@sha256:aa"));
    let by_kubectl = self::release(7, data(plain_spec(), "web:1"));
    for (release, digest, superseded) in [
        (&release, None, false),
        (&release, Some("sha256:aa"), false),
        (&release, Some("sha256:bb"), true),
        (&by_kubectl, Some("sha256:aa"), true),
    ] {
        let wanted = Wanted { spec: &spec, commit: Some("c2"), asked: None, digest, settings: None };
        for failed in [false, true] {
            assert_eq!(release.is_superseded_by(&wanted, release.standing(), failed), superseded, "{digest:?}");
        }
    }
}

#[test]
fn another_number_of_pods_is_no_other_release_whichever_commit_asks_for_it() {
    let release = self::release(7, data(plain_spec(), "web:1"));
    let (one, none) = (plain_spec(), WebAppSpec { replicas: Some(0), ..plain_spec() });
    let off = Wanted { spec: &none, commit: Some("c3"), asked: None, digest: None, settings: None };
    let on = Wanted { spec: &one, commit: Some("c4"), asked: None, digest: None, settings: None };
    let again = Wanted { spec: &one, commit: Some("c5"), asked: None, digest: None, settings: None };
    let mut status = RolloutStatus::default();
    for (wanted, superseded) in [(off, false), (off, false), (on, false), (on, false), (again, true)] {
        for failed in [false, true] {
            let at = status::standing(&status, &release);
            assert_eq!(release.is_superseded_by(&wanted, at, failed), superseded, "{wanted:?} at {at:?}");
        }
        status::resume(&mut status, &release, &Time(jiff::Timestamp::UNIX_EPOCH));
        status::stand_for(&mut status, &wanted);
    }
    // Without a commit, as by kubectl.
    let mut by_hand = release.clone();
    by_hand.data.commit = None;
    let wanted = Wanted { spec: &none, commit: None, asked: None, digest: None, settings: None };
    assert!(!by_hand.is_superseded_by(&wanted, by_hand.standing(), false));
}

#[test]
fn pods_at_other_times_are_no_other_release_whichever_commit_asks_for_them() {
    let release = Release { number: 7, data: data(plain_spec(), "web:1"), ends: JobEnds::default() };
    let asleep = |windows: &[&str]| {
        let window = |from: &&str| crds::UptimeWindow { days: Vec::new(), from: (*from).into(), to: "22:00".into() };
        let uptime = crds::Uptime { windows: windows.iter().map(window).collect(), ..crds::Uptime::default() };
        let mut spec = plain_spec();
        spec.pod.uptime = Some(uptime);
        spec
    };
    let (always, early, late) = (plain_spec(), asleep(&["07:00"]), asleep(&["09:00"]));
    let mut status = RolloutStatus::default();
    for (spec, commit, superseded) in
        [(&early, "c3", false), (&late, "c4", false), (&late, "c4", false), (&late, "c5", true), (&always, "c5", false)]
    {
        let wanted = Wanted { spec, commit: Some(commit), asked: None, digest: None, settings: None };
        let at = status::standing(&status, &release);
        assert_eq!(release.is_superseded_by(&wanted, at, false), superseded, "{commit} at {at:?}");
        status::resume(&mut status, &release, &Time(jiff::Timestamp::UNIX_EPOCH));
        status::stand_for(&mut status, &wanted);
    }
}

#[test]
fn other_settings_begin_a_release_of_the_same_image_and_unknown_ones_none() {
    let settings =
        |hash: &str| -> Settings { serde_json::from_value(json!({"secrets": {"login": hash}})).expect("settings") };
    let (a, b) = (settings("a"), settings("b"));
    let of = |settings: Option<&Settings>| {
        let data = ReleaseData { settings: settings.cloned(), ..data(plain_spec(), "web:1@sha256:aa") };
        self::release(4, data)
    };
    let spec = plain_spec();
    let wanted = |settings| Wanted { spec: &spec, commit: Some("c2"), asked: None, digest: None, settings };
    let is_superseded = |release: &Release<WebAppSpec>, settings| {
        release.is_superseded_by(&wanted(settings), release.standing(), false)
    };
    assert!(is_superseded(&of(Some(&a)), Some(&b)));
    for (own, now) in [(Some(&a), Some(&a)), (Some(&a), None), (None, Some(&b)), (None, None)] {
        assert!(!is_superseded(&of(own), now), "{own:?} {now:?}");
    }
    let release = of(Some(&a));
    assert!(release.asks_for_the_same_image(&wanted(Some(&b))));
    assert!(!release.asks_for_the_same_image(&Wanted { commit: Some("c3"), ..wanted(Some(&b)) }));
    assert!(!release.asks_for_the_same_image(&Wanted { asked: Some("now"), ..wanted(Some(&b)) }));
    let other = WebAppSpec { pod: crds::PodSpec { image: "web:2".into(), ..Default::default() }, ..plain_spec() };
    assert!(!release.asks_for_the_same_image(&Wanted { spec: &other, ..wanted(Some(&b)) }));
}
