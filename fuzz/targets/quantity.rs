//! Durations, sizes, quantities and schedules, as people write them.
#![no_main]

use drover_core::schedule::Schedule;
use drover_crds::{Duration, Size, milli_units};
use drover_fuzz::assert_sentence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Duration>() {
        Ok(duration) => {
            let written = duration.to_string();
            assert_eq!(written.parse(), Ok(duration), "{text} became {written}");
        }
        Err(said) => assert_sentence(&said),
    }
    let thousandths = milli_units(text);
    assert!(thousandths.is_none_or(|value| (0..=i128::from(i64::MAX) * 1000).contains(&value)));
    match text.parse::<Size>() {
        Ok(size) => {
            assert_eq!(size.as_str(), text, "it is kept as it was written");
            assert_eq!(Some(size.milli_bytes()), thousandths);
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
    if let Err(error) = Schedule::read(text, Some(text)) {
        assert_sentence(&error.to_string());
    }
    assert!(Schedule::read(text, None).is_err() || text.starts_with('@') || text.split_whitespace().count() == 5);
    if let Some(value) = thousandths
        && let Some(whole) = milli_units(&format!("{}m", value))
    {
        assert_eq!(whole, value, "{text}");
    }
});
