//! What was asked is not asked again: a bounded memory, the oldest answer goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Resolved;

/// How many answers are kept.
const KEPT: usize = 2048;

#[derive(Default)]
struct Answers {
    by_key: HashMap<String, Resolved>,
    order: VecDeque<String>,
}

/// Answers of registries.
#[derive(Default)]
pub struct Cache(Mutex<Answers>);

impl Cache {
    // Plain data that no panic can leave half-written.
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, key: &str) -> Option<Resolved> {
        self.answers().by_key.get(key).cloned()
    }

    pub fn put(&self, key: String, resolved: Resolved) {
        let mut answers = self.answers();
        if answers.by_key.insert(key.clone(), resolved).is_none() {
            answers.order.push_back(key);
        }
        while answers.order.len() > KEPT {
            if let Some(oldest) = answers.order.pop_front() {
                answers.by_key.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answer_goes_first() {
        let cache = Cache::default();
        let answer = Resolved { reference: String::new(), digest: String::new(), user: None };
        for i in 0..=KEPT {
            cache.put(i.to_string(), answer.clone());
        }
        assert_eq!((cache.get("0"), cache.get("1").is_some()), (None, true));
        assert_eq!(cache.answers().by_key.len(), KEPT);
    }
}
