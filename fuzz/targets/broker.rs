//! What a broker answers for a queue, and the URL by which a spec names one.
#![no_main]

use drover_core::queue::{Broker, Reading, answer, first, found};
use drover_fuzz::assert_sentence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match answer(data, "DataReady", "http://amq.shop.svc:8161") {
        Ok(Reading::Numbers(numbers, counters)) => {
            let counts = [numbers.ready, numbers.in_flight, numbers.consumers, numbers.dead.unwrap_or(0)];
            let counters = [counters.handed_out, counters.done, counters.dead].map(|count| count.unwrap_or(0));
            assert!(counts.iter().chain(&counters).all(|count| *count >= 0), "{numbers:?} {counters:?}");
        }
        Ok(Reading::Undeclared) => {}
        Err(why) => assert_sentence(&why.to_string()),
    }
    let _ = found(data);
    if let Some(letter) = first(data, "DataReady") {
        assert!(!letter.id.is_empty() && letter.id.len() <= 200 && !letter.id.contains(char::is_control));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Broker::read(text, "shop") {
        Ok(broker) => {
            let again = Broker::read(&broker.origin(), "shop").expect("what is written is read");
            assert_eq!((again.host, again.port), (broker.host, broker.port));
        }
        Err(why) => assert_sentence(&why.to_string()),
    }
});
