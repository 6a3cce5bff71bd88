//! The head of the last HTTP response, which libgit2 keeps to itself: it says what it reads only to who traces it.

use std::cell::RefCell;

use git2::TraceLevel;

/// Longer heads than this are no git server's.
const LONGEST: usize = 16 << 10;
const SENT: &[u8] = b"Sending request:\n";
const RECEIVED: &[u8] = b"Received:\n";

thread_local! {
    // libgit2 traces on the thread that asks it, so a connection hears only itself.
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// From now on [`head`] knows what the server said last. Nothing of what is sent is kept: it holds the credential.
pub(super) fn listen() {
    HEAD.with_borrow_mut(Vec::clear);
    // It fails in builds of libgit2 without tracing only, and there no response is known.
    let _ = git2::trace_set(TraceLevel::Trace, |_, message| HEAD.with_borrow_mut(|head| hear(head, message)));
}

/// The head of the last response, and perhaps a little of its body; empty when there was none, or no HTTP.
pub(super) fn head() -> Vec<u8> {
    HEAD.with_borrow(Clone::clone)
}

fn hear(head: &mut Vec<u8>, message: &[u8]) {
    if message.starts_with(SENT) {
        head.clear();
    } else if let Some(received) = message.strip_prefix(RECEIVED)
        && !head.windows(4).any(|end| end == b"\r\n\r\n")
    {
        let room = LONGEST.saturating_sub(head.len());
        head.extend_from_slice(&received[..received.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_of_the_last_response_is_kept() {
        let mut head = Vec::new();
        for message in [
            &b"Sending request:\nGET /one HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"[..],
            b"Received:\nHTTP/1.1 200 OK\r\n\r\nbody",
            b"Received:\nmore of the body",
            b"Sending request:\nGET /two HTTP/1.1\r\n\r\n",
            b"Received:\nHTTP/1.1 429 Too Many",
            b"Connecting to remote",
            b"Received:\n Requests\r\nRetry-After: 5\r\n\r\n",
        ] {
            hear(&mut head, message);
        }
        assert_eq!(head, b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\n");
        hear(&mut head, b"Sending request:\n");
        hear(&mut head, &[RECEIVED, &vec![b'x'; 2 * LONGEST]].concat());
        assert_eq!(head.len(), LONGEST);
    }
}
