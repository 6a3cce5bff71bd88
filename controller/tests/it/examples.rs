//! Each folder of `manifests/examples/` is a system in two versions, and both can be applied.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use drover_core::render::{Limits, Object, SourceFile, Variables, render_with};

fn within(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The variables that an example's own comment says an Environment has.
fn variables(files: &[SourceFile]) -> Option<Variables> {
    let text = files.iter().map(|file| String::from_utf8_lossy(&file.bytes)).collect::<String>();
    let said = text.lines().find_map(|line| line.strip_prefix("#   substitute: "))?;
    let values: BTreeMap<String, String> =
        serde_saphyr::from_str(said).unwrap_or_else(|error| panic!("{said}: {error}"));
    Some(Variables::new(values))
}

#[test]
fn an_example_has_two_versions_of_the_same_objects_without_a_finding() {
    let examples = within(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples"));
    assert!(!examples.is_empty(), "there is no example");
    for example in examples {
        let [first, second] = ["first", "second"].map(|version| {
            let files: Vec<SourceFile> = within(&example.join(version))
                .iter()
                .map(|path| SourceFile { path: path.display().to_string(), bytes: fs::read(path).expect("readable") })
                .collect();
            let rendered = render_with(&files, &Limits::default(), variables(&files).as_ref(), None);
            rendered.unwrap_or_else(|errors| panic!("{}", errors[0]))
        });
        let keys = |objects: &[Object]| objects.iter().map(Object::key).collect::<BTreeSet<_>>();
        assert_eq!(keys(&first), keys(&second), "{}", example.display());
        let json = |objects: &[Object]| objects.iter().map(|object| object.json().clone()).collect::<Vec<_>>();
        assert_ne!(json(&first), json(&second), "{}: a push changes nothing", example.display());
    }
}
