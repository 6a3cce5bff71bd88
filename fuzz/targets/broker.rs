//! What a broker answers for a queue, and the URL by which a spec names one.
#![no_main]

use drover_core::queue::{Broker, Reading, answer};
use drover_fuzz::assert_sentence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match answer(data, "DataReady", "http://amq.shop.svc:8161") {
        Ok(Reading::Numbers(numbers)) => {
            let counts = [numbers.ready, numbers.in_flight, numbers.consumers, numbers.dead.unwrap_or(0)];
            assert!(counts.iter().all(|count| *count >= 0), "{numbers:?}");
        }
        Ok(Reading::Undeclared) => {}
        Err(why) => assert_sentence(&why.to_string()),
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
