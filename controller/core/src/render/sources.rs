//! Which file each object of a commit was read from: so that one that is to be sent again can be had without all the others.

use std::collections::{BTreeSet, HashMap};

use super::Object;

/// The files of some objects, in their order.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<String>,
    /// For each object, the place of its file in `files`; beyond its end where it came from none.
    of: Vec<u32>,
}

impl Sources {
    /// Of these objects, which are in the order of their files or nearly so.
    pub fn of(objects: &[Object]) -> Self {
        let mut sources = Self::default();
        let mut places = HashMap::new();
        for object in objects {
            let place = object.origin.as_ref().map_or(u32::MAX, |origin| {
                *places.entry(origin.file.clone()).or_insert_with(|| {
                    sources.files.push(origin.file.clone());
                    u32::try_from(sources.files.len() - 1).unwrap_or(u32::MAX)
                })
            });
            sources.of.push(place);
        }
        sources
    }

    /// The files of the objects at these places; `None` where one came from no file.
    pub fn files_of(&self, objects: impl IntoIterator<Item = usize>) -> Option<BTreeSet<&str>> {
        let file = |object: usize| {
            let place = usize::try_from(*self.of.get(object)?).ok()?;
            self.files.get(place).map(String::as_str)
        };
        objects.into_iter().map(file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Origin;

    #[test]
    fn objects_are_found_in_their_files() {
        let object = |name: &str, file: Option<&str>| {
            let json = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
            Object::new(json, file.map(|file| Origin { file: file.to_owned(), line: 1 })).expect("an object")
        };
        let objects = [
            object("a", Some("one.yaml")),
            object("b", Some("two.yaml")),
            object("c", Some("one.yaml")),
            object("d", None),
        ];
        let sources = Sources::of(&objects);
        assert_eq!(sources.files_of([0, 2]), Some(["one.yaml"].into()));
        assert_eq!(sources.files_of([1, 2]), Some(["one.yaml", "two.yaml"].into()));
        assert_eq!(sources.files_of([]), Some(BTreeSet::new()));
        assert_eq!(sources.files_of([0, 3]), None, "it came from no file");
        assert_eq!(sources.files_of([4]), None, "there is no such object");
    }
}
