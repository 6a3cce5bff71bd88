//! What stands in a Secret of certificates.
#![no_main]

use drover_core::certificate::{Certificates, Entry, Held, Key};
use drover_crds::WebAppStatus;
use drover_fuzz::assert_sentence;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let hosts = ["a.example.org".to_owned()];
    let now: Timestamp = "2026-12-02T00:00:00Z".parse().expect("a time");
    let held = Some(Held { certificates: Some(data), key: Key::Fits });
    let told = Certificates::judge([Entry { secret: ("shop", "web-tls"), hosts: &hosts, held }], now);
    let mut status = WebAppStatus::default();
    told.note(&mut status, Some(1), &Time(now));
    status.conditions.iter().for_each(|condition| assert_sentence(&condition.message));
    // A time is known, or it is said why not.
    assert!(status.tls.is_some() || !status.conditions.is_empty());
    assert!(told.again.is_none_or(|again| again > now));
});
