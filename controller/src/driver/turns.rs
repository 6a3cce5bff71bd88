//! Whose large tree may be in memory: a few at a time, first come, first served.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drover_core::branch::CommitId;
use drover_crds::Key;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::unpoisoned;

/// Who has not asked for that long has other things to do, and is passed over.
const PATIENCE: Duration = Duration::from_secs(15);

/// Places for large trees, and who waits for one.
pub struct Turns {
    places: Arc<Semaphore>,
    queue: Mutex<Vec<Waiting>>,
}

struct Waiting {
    key: Key,
    commit: CommitId,
    asked: Instant,
}

impl Turns {
    /// With that many places.
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), queue: Mutex::default() }
    }

    /// Whether it was told to wait with that commit.
    pub fn waits(&self, key: &Key, commit: &CommitId) -> bool {
        self.queue().iter().any(|waiting| waiting.key == *key && waiting.commit == *commit)
    }

    /// A place, free again when it is dropped; `None` when others come first, who are asked to ask again within a few seconds.
    pub fn take(&self, key: &Key, commit: &CommitId, now: Instant) -> Option<OwnedSemaphorePermit> {
        let mut queue = self.queue();
        queue.retain(|waiting| waiting.key == *key || now.duration_since(waiting.asked) < PATIENCE);
        let before = queue.iter().position(|waiting| waiting.key == *key).unwrap_or(queue.len());
        let its_turn = before < self.places.available_permits();
        if let Some(place) = its_turn.then(|| self.places.clone().try_acquire_owned().ok()).flatten() {
            queue.retain(|waiting| waiting.key != *key);
            return Some(place);
        }
        let waiting = Waiting { key: key.clone(), commit: commit.clone(), asked: now };
        match queue.get_mut(before) {
            Some(entry) => *entry = waiting,
            None => queue.push(waiting),
        }
        None
    }

    /// It does not wait any more.
    pub fn forget(&self, key: &Key) {
        self.queue().retain(|waiting| waiting.key != *key);
    }

    // A plain list that no panic can leave half-written.
    fn queue(&self) -> MutexGuard<'_, Vec<Waiting>> {
        unpoisoned::lock(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("shop", name)
    }

    fn commit(digit: char) -> CommitId {
        CommitId::parse(&digit.to_string().repeat(40)).expect("40 digits")
    }

    #[test]
    fn who_came_first_is_first() {
        let (turns, now, a) = (Turns::new(1), Instant::now(), commit('a'));
        let first = turns.take(&key("first"), &a, now).expect("nobody is there");
        assert!(turns.take(&key("second"), &a, now).is_none());
        assert!(turns.take(&key("third"), &a, now).is_none());
        assert!(turns.waits(&key("second"), &a) && !turns.waits(&key("second"), &commit('b')));
        drop(first);
        assert!(turns.take(&key("third"), &a, now).is_none(), "the second one comes before");
        let second = turns.take(&key("second"), &a, now).expect("it is its turn");
        assert!(turns.take(&key("third"), &a, now).is_none());
        drop(second);
        assert!(turns.take(&key("third"), &a, now).is_some());
        assert!(!turns.waits(&key("third"), &a));
    }

    #[test]
    fn who_does_not_come_back_keeps_nobody_waiting() {
        let (turns, now, a) = (Turns::new(1), Instant::now(), commit('a'));
        let first = turns.take(&key("first"), &a, now);
        assert!(turns.take(&key("gone"), &a, now).is_none() && turns.take(&key("silent"), &a, now).is_none());
        drop(first);
        turns.forget(&key("gone"));
        assert!(turns.take(&key("next"), &a, now).is_none());
        assert!(turns.take(&key("next"), &a, now + PATIENCE).is_some());
    }
}
