//! Labels, annotations and field managers are written in one file.

use std::fs;
use std::path::{Path, PathBuf};

/// The one file.
const NAMES: &str = "crds/src/names.rs";

#[test]
fn labels_annotations_and_field_managers_are_written_in_one_file() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut found, mut known) = (Vec::new(), 0);
    for file in ["controller/core/src", "controller/src", "crds/src", "e2e"]
        .into_iter()
        .flat_map(|folder| sources(&workspace.join(folder)))
    {
        let text = fs::read_to_string(&file).expect("a readable source file");
        let file = file.strip_prefix(&workspace).expect("a file of the workspace").display().to_string();
        if file == NAMES {
            known = text.lines().filter(|line| has_name(line)).count();
            continue;
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| has_name(line)) {
            found.push(format!("{file}:{}: {}", number + 1, line.trim()));
        }
    }
    assert!(known >= 20, "only {known} names were found in {NAMES}: the test looks in the wrong place");
    assert!(found.is_empty(), "these belong in {NAMES}:\n{}", found.join("\n"));
}

/// Whether a string in this line is a name by itself; within a sentence, or in the YAML that somebody would type, it is written out.
fn has_name(line: &str) -> bool {
    let is_name = |text: &str| {
        let labels = ["drover.dev/", "app.kubernetes.io/"].into_iter().find_map(|prefix| text.strip_prefix(prefix));
        let word = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        labels.is_some_and(word)
            || matches!(
                text,
                "drover-cli" | "drover-status" | "drover-replicas" | "drover-generated" | "drover-controller"
            )
    };
    line.split('"').skip(1).step_by(2).any(is_name)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
