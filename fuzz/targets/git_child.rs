//! The frames between drover and its git child, in both directions: a hostile server may have taken the child over.
#![no_main]

use drover::git::protocol::{MAX_MESSAGE, Request, Response, encode, read, trees};
use libfuzzer_sys::fuzz_target;

fn frame(json: &[u8]) -> Vec<u8> {
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], json].concat()
}

fuzz_target!(|data: &[u8]| {
    // As it comes, with a length of its own; and as JSON, so that the length does not stop every input.
    let _ = read::<Response>(&mut &data[..]);
    let _ = read::<Request>(&mut &data[..]);
    let (json, bytes) = match data.iter().position(|byte| *byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let framed = frame(json);
    if let Ok(request) = read::<Request>(&mut framed.as_slice()) {
        let written = encode(&request).expect("what was read can be written");
        let again: Request = read(&mut written.as_slice()).expect("what was written can be read");
        assert_eq!(encode(&again).expect("written"), written);
    }
    let mut rest = framed.as_slice();
    if let Ok(response) = read::<Response>(&mut rest) {
        assert!(rest.is_empty(), "a message ends where its length says");
        let written = encode(&response).expect("what was read can be written");
        assert!(written.len() <= MAX_MESSAGE as usize + 4);
        let again: Response = read(&mut written.as_slice()).expect("what was written can be read");
        assert_eq!(encode(&again).expect("written"), written);
        if let Response::Read(listings) = response {
            let answers = listings.len();
            if let Some(trees) = trees(listings, bytes) {
                assert_eq!(trees.len(), answers);
                let files = || trees.iter().flatten().filter_map(|tree| tree.files.as_ref());
                let read: usize = files().flatten().map(|file| file.bytes.len()).sum();
                assert!(read <= bytes.len(), "no byte is given out twice");
                assert!(files().all(|files| files.is_sorted_by(|a, b| a.path <= b.path)));
            }
        }
    }
    // Cut anywhere, it is refused.
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % framed.len());
    assert!(read::<Response>(&mut &framed[..cut]).is_err());
});
