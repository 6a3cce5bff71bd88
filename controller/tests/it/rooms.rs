//! `docs/src/architecture.md` describes each room, with its invariant and what is absent from it, and no others; and no kind's folder is
//! too large to be read in one go.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where rooms are: a folder or a file each.
const PLACES: [&str; 2] = ["core/src", "src"];
/// Files that are no rooms: the beginnings of a crate.
const BEGINNINGS: [&str; 2] = ["lib", "main"];
/// Lines of one kind's folder, its tests included.
const MOST_LINES: usize = 1500;

#[test]
fn each_room_is_described_and_nothing_else_is() {
    let text = fs::read_to_string("../docs/src/architecture.md").expect("the architecture is described");
    let (_, rooms) = text.split_once("\n## Rooms\n").expect("a part on rooms");
    let rooms = rooms.split("\n## ").next().unwrap_or_default();
    let mut described = BTreeSet::new();
    for section in rooms.split("\n### ").skip(1) {
        let name = section.lines().next().unwrap_or_default().trim_matches('`').to_owned();
        for word in ["**Invariant", "**Absent**"] {
            assert!(section.contains(word), "of the room `{name}` no {word} is told");
        }
        assert!(described.insert(name.clone()), "`{name}` is described twice");
    }
    let mut built = BTreeSet::from(["crds", "errands", "fetch"].map(str::to_owned));
    for place in PLACES {
        let entries = fs::read_dir(place).unwrap_or_else(|error| panic!("{place}: {error}"));
        let names = entries.map(|entry| Path::new(&entry.expect("an entry").file_name()).with_extension(""));
        built.extend(names.map(|name| name.display().to_string()).filter(|name| !BEGINNINGS.contains(&name.as_str())));
    }
    let missing: Vec<_> = built.difference(&described).collect();
    let left: Vec<_> = described.difference(&built).collect();
    assert!(missing.is_empty() && left.is_empty(), "not described: {missing:?}; described and not there: {left:?}");
}

#[test]
fn the_folder_of_a_kind_is_not_too_large() {
    let mut kinds = 0;
    for entry in fs::read_dir("src/reconcile").expect("the kinds") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            kinds += 1;
            let lines = lines(&path);
            assert!(lines <= MOST_LINES, "{} has {lines} lines: what is no kind's own goes below it", path.display());
        }
    }
    assert!(kinds >= 2, "only {kinds} kinds were found: the test looks in the wrong place");
}

fn lines(path: &Path) -> usize {
    if path.is_dir() {
        return fs::read_dir(path).expect("a folder").map(|entry| lines(&entry.expect("an entry").path())).sum();
    }
    fs::read_to_string(path).expect("a source file").lines().count()
}
