//! What was asked is not asked again: a bounded memory, the oldest answer goes first. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::Resolved;

/// How many answers are kept.
const KEPT: usize = 2048;

/// Answers of registries.
pub struct Cache<K> {
    by_key: HashMap<K, Resolved>,
    order: VecDeque<K>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash> Cache<K> {
    pub fn get(&self, key: &K) -> Option<Resolved> {
        self.by_key.get(key).cloned()
    }

    pub fn put(&mut self, key: K, resolved: Resolved) {
        if self.by_key.insert(key.clone(), resolved).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answer_goes_first() {
        let mut cache = Cache::default();
        let answer = Resolved { reference: String::new(), digest: String::new(), user: None, origin: None };
        for i in 0..=KEPT {
            cache.put(i, answer.clone());
        }
        assert_eq!((cache.get(&0), cache.get(&1).is_some()), (None, true));
        assert_eq!(cache.by_key.len(), KEPT);
    }
}
