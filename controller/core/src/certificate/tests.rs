use drover_crds::condition::get;
use rstest::rstest;

use super::*;

// Made for these tests: the leaf ends on 2027-01-01, what signs it on 2030-01-01 or, the short one, on 2026-12-15.
const LEAF: &str = include_str!("samples/leaf.pem");
const ISSUING: &str = include_str!("samples/issuing.pem");
const SHORT: &str = include_str!("samples/short_issuing.pem");
const ROOT: &str = include_str!("samples/root.pem");

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn judged(hosts: &[&str], certificates: Option<&str>, key: Key, now: &str) -> WebAppStatus {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let held = Some(Held { certificates: certificates.map(str::as_bytes), key });
    let entry = Entry { secret: ("shop", "web-tls"), hosts: &hosts, held };
    let mut status = WebAppStatus::default();
    Certificates::judge([entry], at(now)).note(&mut status, Some(1), &Time(at(now)));
    status
}

fn said(status: &WebAppStatus, kind: &str) -> Option<(String, String)> {
    get(&status.conditions, kind).map(|found| (found.reason.clone(), found.message.clone()))
}

fn ends(status: &WebAppStatus) -> Option<String> {
    status.tls.as_ref().map(|tls| tls.not_after.0.to_string())
}

#[test]
fn the_first_end_of_the_chain_counts_and_is_told_thirty_days_before() {
    let chain = format!("{LEAF}{ISSUING}{ROOT}");
    let at_time = |now| judged(&["a.example.org", "x.b.example.org"], Some(&chain), Key::Fits, now);
    let fine = at_time("2026-12-01T23:59:59Z");
    assert_eq!((ends(&fine).as_deref(), fine.conditions.len()), (Some("2027-01-01T00:00:00Z"), 0));
    let soon = at_time("2026-12-02T00:00:00Z");
    let (reason, message) = said(&soon, CERTIFICATE_EXPIRING).expect("it is told");
    assert_eq!(reason, "CertificateExpiresSoon");
    assert_eq!(
        message,
        "the certificate of a.example.org, x.b.example.org in Secret shop/web-tls ends at 2027-01-01T00:00:00Z: put a new one there, or see to it that its issuer does"
    );
    // It says the same every day until it is over.
    assert_eq!(said(&at_time("2026-12-31T00:00:00Z"), CERTIFICATE_EXPIRING), Some((reason, message)));
    let over = said(&at_time("2027-01-01T00:00:00Z"), CERTIFICATE_EXPIRING).expect("it is told");
    assert!(over.0 == "CertificateExpired" && over.1.contains("ended at"), "{over:?}");
}

#[test]
fn what_signs_it_is_named_where_that_ends_first_in_whatever_order_it_stands() {
    for chain in [format!("{LEAF}{SHORT}{ROOT}"), format!("{LEAF}{ROOT}{SHORT}")] {
        let status = judged(&["a.example.org"], Some(&chain), Key::Fits, "2026-11-28T00:00:00Z");
        assert_eq!(ends(&status).as_deref(), Some("2026-12-15T00:00:00Z"));
        let (_, message) = said(&status, CERTIFICATE_EXPIRING).expect("it is told");
        assert!(
            message.starts_with("the certificate `CN=Test Issuing`, which signs that of a.example.org"),
            "{message}"
        );
    }
    // One that signs nothing of it does not count.
    let unrelated = judged(&["a.example.org"], Some(&format!("{LEAF}{ROOT}")), Key::Fits, "2026-11-28T00:00:00Z");
    assert_eq!(ends(&unrelated).as_deref(), Some("2027-01-01T00:00:00Z"));
}

#[test]
fn it_is_looked_at_again_when_something_else_is_to_be_said() {
    let hosts = ["a.example.org".to_owned()];
    let held = Some(Held { certificates: Some(LEAF.as_bytes()), key: Key::Fits });
    let entry = Entry { secret: ("shop", "web-tls"), hosts: &hosts, held };
    let again = |now| Certificates::judge([entry], at(now)).again.map(|time| time.to_string());
    assert_eq!(again("2026-06-01T00:00:00Z").as_deref(), Some("2026-12-02T00:00:00Z"));
    assert_eq!(again("2026-12-02T00:00:00Z").as_deref(), Some("2027-01-01T00:00:00Z"));
    assert_eq!(again("2027-01-01T00:00:00Z"), None);
    assert_eq!(Certificates::judge([Entry { held: None, ..entry }], at("2026-06-01T00:00:00Z")).again, None);
}

#[rstest]
#[case(None, Key::Fits, "CertificateUnreadable", "has nothing under tls.crt")]
#[case(Some(" \n"), Key::Fits, "CertificateUnreadable", "has nothing under tls.crt")]
#[case(Some("hunter2"), Key::Fits, "CertificateUnreadable", "has no certificate in PEM")]
#[case(
    Some("-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n"),
    Key::Fits,
    "CertificateUnreadable",
    "has no certificate in PEM"
)]
#[case(Some(LEAF), Key::Missing, "CertificateKeyUnfit", "has nothing under tls.key")]
#[case(Some(LEAF), Key::Unreadable, "CertificateKeyUnfit", "has no private key in PEM")]
#[case(Some(LEAF), Key::Other, "CertificateKeyUnfit", "the private key of another certificate")]
#[case(
    Some(ISSUING),
    Key::Fits,
    "CertificateOfOthers",
    "no certificate for a.example.org, which spec.tls has it for: it is for none"
)]
fn what_is_wrong_is_one_sentence(
    #[case] certificates: Option<&str>,
    #[case] key: Key,
    #[case] reason: &str,
    #[case] expected: &str,
) {
    let status = judged(&["a.example.org"], certificates, key, "2026-06-01T00:00:00Z");
    let (found, message) = said(&status, CERTIFICATE_INVALID).expect("it is told");
    assert_eq!((found.as_str(), &status.tls), (reason, &None));
    assert!(
        message.starts_with("Secret shop/web-tls, which spec.tls names, has ") && message.contains(expected),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_host_is_one_of_its_names_or_one_label_below_a_star() {
    let told = |host| said(&judged(&[host], Some(LEAF), Key::Fits, "2026-06-01T00:00:00Z"), CERTIFICATE_INVALID);
    for host in ["a.example.org", "A.example.org", "x.b.example.org"] {
        assert_eq!(told(host), None, "{host}");
    }
    for host in ["b.example.org", "x.y.b.example.org", "example.org"] {
        let (_, message) = told(host).expect(host);
        assert!(message.ends_with("it is for a.example.org, *.b.example.org"), "{message}");
    }
}

#[test]
fn too_many_are_not_read_and_one_that_is_not_there_is_told() {
    let many = LEAF.repeat(MOST + 1);
    let status = judged(&["a.example.org"], Some(&many), Key::Fits, "2026-06-01T00:00:00Z");
    assert!(said(&status, CERTIFICATE_INVALID).expect("it is told").1.contains("or 16 certificates"));
    let mut status = WebAppStatus::default();
    let entry = Entry { secret: ("shop", "web-tls"), hosts: &[], held: None };
    let now = at("2026-06-01T00:00:00Z");
    Certificates::judge([entry], now).note(&mut status, Some(1), &Time(now));
    assert!(said(&status, CERTIFICATE_INVALID).expect("it is told").1.contains("is not there: create it"));
    // And is forgotten when there is no more to say.
    Certificates::judge([], now).note(&mut status, Some(1), &Time(now));
    assert!(status.conditions.is_empty() && status.tls.is_none());
}

#[test]
fn a_person_is_told_once() {
    let soon = judged(&["a.example.org"], Some(LEAF), Key::Fits, "2026-12-02T00:00:00Z").conditions;
    let later = judged(&["a.example.org"], Some(LEAF), Key::Fits, "2026-12-03T00:00:00Z").conditions;
    let over = judged(&["a.example.org"], Some(LEAF), Key::Fits, "2027-01-03T00:00:00Z").conditions;
    let told = |before: &[Condition], after: &[Condition]| -> Vec<String> {
        news(before, after).into_iter().map(|news| news.reason).collect()
    };
    assert_eq!(told(&[], &soon), ["CertificateExpiresSoon"]);
    assert_eq!(told(&soon, &later), Vec::<String>::new());
    assert_eq!(told(&later, &over), ["CertificateExpired"]);
    assert_eq!(told(&over, &[]), Vec::<String>::new());
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), cut in 0..900_usize) {
        let hosts = ["a.example.org".to_owned()];
        let cut = &LEAF.as_bytes()[..cut.min(LEAF.len())];
        for certificates in [&bytes[..], cut, &[cut, &bytes].concat()] {
            let held = Some(Held { certificates: Some(certificates), key: Key::Fits });
            let _ = Certificates::judge([Entry { secret: ("a", "b"), hosts: &hosts, held }], Timestamp::UNIX_EPOCH);
        }
    }
}
