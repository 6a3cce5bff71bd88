//! What can happen to the events of a watch on their way.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tower::BoxError;

/// How long an event is held back for one to overtake it.
const OVERTAKEN_WITHIN: Duration = Duration::from_millis(300);

/// What happens to a watch's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Events {
    /// That many are lost, from the first one on.
    Drop(usize),
    /// Each comes twice.
    Repeat,
    /// Each second one comes before the first.
    Reorder,
    /// After that many the API server says that the version is too old, and closes.
    Expire(usize),
    /// After that many the connection closes without a word.
    End(usize),
}

/// A line of the stream, which is one event.
type Line = Result<Bytes, BoxError>;

/// `body` with its events treated so.
pub(super) fn treat(
    body: impl Stream<Item = Line> + Send + Unpin + 'static,
    events: Events,
) -> impl Stream<Item = Line> + Send {
    let state =
        State { lines: Lines { body, rest: BytesMut::new() }, events, seen: 0, ready: VecDeque::new(), over: false };
    futures::stream::unfold(state, |mut state| async move {
        let line = state.next().await?;
        Some((line, state))
    })
}

struct State<S> {
    lines: Lines<S>,
    events: Events,
    seen: usize,
    ready: VecDeque<Line>,
    over: bool,
}

impl<S: Stream<Item = Line> + Unpin> State<S> {
    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            match self.events {
                Events::End(count) | Events::Expire(count) if self.over || self.seen >= count => {
                    let says = !self.over && matches!(self.events, Events::Expire(_));
                    self.over = true;
                    return says.then(|| Ok(expired()));
                }
                _ => {}
            }
            let line = self.lines.next().await?;
            self.seen += 1;
            match self.events {
                Events::Drop(count) if self.seen <= count => {}
                Events::Repeat => {
                    if let Ok(line) = &line {
                        self.ready.push_back(Ok(line.clone()));
                    }
                    return Some(line);
                }
                Events::Reorder => {
                    if let Ok(Some(next)) = tokio::time::timeout(OVERTAKEN_WITHIN, self.lines.next()).await {
                        self.ready.push_back(next);
                    }
                    self.ready.push_back(line);
                }
                _ => return Some(line),
            }
        }
    }
}

/// Cuts a body into its lines.
struct Lines<S> {
    body: S,
    rest: BytesMut,
}

impl<S: Stream<Item = Line> + Unpin> Lines<S> {
    /// The next line, with its end. Nothing is lost when this is dropped while it waits.
    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                return Some(Ok(self.rest.split_to(end + 1).freeze()));
            }
            match self.body.next().await? {
                Ok(chunk) => self.rest.extend_from_slice(&chunk),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn expired() -> Bytes {
    let event = serde_json::json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410}});
    Bytes::from(format!("{event}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(events: Events) -> String {
        let chunks: Vec<Line> = ["1\n2", "\n3\n", "4\n"].into_iter().map(|text| Ok(Bytes::from(text))).collect();
        let lines: Vec<Line> = treat(futures::stream::iter(chunks), events).collect().await;
        lines.into_iter().map(|line| String::from_utf8_lossy(&line.expect("a line")).trim().to_owned() + " ").collect()
    }

    #[tokio::test]
    async fn events_are_lost_repeated_and_swapped() {
        assert_eq!(through(Events::Drop(2)).await, "3 4 ");
        assert_eq!(through(Events::Repeat).await, "1 1 2 2 3 3 4 4 ");
        assert_eq!(through(Events::Reorder).await, "2 1 4 3 ");
        assert_eq!(through(Events::End(1)).await, "1 ");
        let expired = through(Events::Expire(2)).await;
        assert!(expired.starts_with("1 2 {") && expired.contains("410"), "{expired}");
    }
}
