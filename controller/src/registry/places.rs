//! Pure: how many images are looked up at a time. What holds its places, such as a registry that takes connections and says
//! nothing, leaves those of others free.

use std::collections::HashMap;

/// At one registry, for all.
const REGISTRY: usize = 16;
/// For one namespace, at all registries.
const NAMESPACE: usize = 32;
/// For one namespace at one registry.
const BOTH: usize = 4;

/// The places that are taken.
#[derive(Default)]
pub(super) struct Places {
    registries: HashMap<String, usize>,
    namespaces: HashMap<String, usize>,
    both: HashMap<(String, String), usize>,
}

impl Places {
    /// Takes a place where there is one.
    pub(super) fn take(&mut self, namespace: &str, registry: &str) -> bool {
        let both = (namespace.to_owned(), registry.to_owned());
        let taken = |count: Option<&usize>| count.copied().unwrap_or(0);
        let free = taken(self.registries.get(registry)) < REGISTRY
            && taken(self.namespaces.get(namespace)) < NAMESPACE
            && taken(self.both.get(&both)) < BOTH;
        if free {
            *self.registries.entry(registry.to_owned()).or_default() += 1;
            *self.namespaces.entry(namespace.to_owned()).or_default() += 1;
            *self.both.entry(both).or_default() += 1;
        }
        free
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, namespace: &str, registry: &str) {
        give_back(&mut self.registries, &registry.to_owned());
        give_back(&mut self.namespaces, &namespace.to_owned());
        give_back(&mut self.both, &(namespace.to_owned(), registry.to_owned()));
    }
}

fn give_back<K: Eq + std::hash::Hash>(taken: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = taken.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            taken.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_holds_its_places_leaves_those_of_others() {
        let mut places = Places::default();
        let taken = |places: &mut Places, namespace: &str, registry: &str| {
            (0..100).take_while(|_| places.take(namespace, registry)).count()
        };
        assert_eq!(taken(&mut places, "oak", "silent"), 4);
        assert_eq!(taken(&mut places, "elm", "silent"), 4, "another namespace at the same registry");
        assert_eq!(taken(&mut places, "oak", "healthy"), 4, "the same namespace at another");
        let rest: usize = (0..10).map(|n| taken(&mut places, &format!("n{n}"), "silent")).sum();
        assert_eq!(rest, 8, "all namespaces together");
        let rest: usize = (0..100).map(|n| taken(&mut places, "oak", &format!("r{n}"))).sum();
        assert_eq!(rest, 24, "all registries together");
        places.give_back("oak", "silent");
        assert!(places.take("oak", "silent") && !places.take("oak", "silent"));
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let mut places = Places::default();
        assert!(places.take("oak", "r"));
        places.give_back("oak", "r");
        assert!(places.registries.is_empty() && places.namespaces.is_empty() && places.both.is_empty());
    }
}
