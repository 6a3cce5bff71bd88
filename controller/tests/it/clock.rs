//! The clock on the wall is read in one file, and drover itself goes by no other.

use std::fs;
use std::path::{Path, PathBuf};

/// The one file of each program.
const CLOCKS: [&str; 2] = ["controller/errands/src/clock.rs", "controller/src/clock.rs"];

/// What reads such a clock, however it was imported.
const READS: [&str; 5] = ["SystemTime::now", "Utc::now", "Local::now", "Timestamp::now", "Zoned::now"];

#[test]
fn the_clock_on_the_wall_is_read_in_one_file() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for file in ["controller/core/src", "controller/errands/src", "controller/src", "crds/src"]
        .into_iter()
        .flat_map(|folder| sources(&workspace.join(folder)))
    {
        let text = fs::read_to_string(&file).expect("a readable source file");
        let file = file.strip_prefix(&workspace).expect("a file of the workspace").display().to_string();
        let reads = text.lines().enumerate().filter(|(_, line)| READS.iter().any(|read| line.contains(read)));
        found.extend(reads.map(|(number, line)| format!("{file}:{}: {}", number + 1, line.trim())));
    }
    let is_known = |line: &String| CLOCKS.iter().any(|clock| line.starts_with(clock));
    let (known, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_known);
    assert_eq!(known.len(), CLOCKS.len(), "the test looks in the wrong place: {known:?}");
    assert!(others.is_empty(), "these take `clock::now`:\n{}", others.join("\n"));
}

#[test]
fn nothing_in_drover_sets_another_clock() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut set = Vec::new();
    for file in &sources {
        let text = fs::read_to_string(file).expect("a readable source file");
        let lines = text.lines().map(str::trim).filter(|line| line.contains("go_by(") || line.contains("clock::wall"));
        set.extend(lines.filter(|line| !line.starts_with("//")).map(str::to_owned));
    }
    set.sort();
    assert_eq!(
        set,
        [
            "clock::go_by(read);",
            "drover::program::main(drover::cluster::connect, drover::clock::wall)",
            "pub(crate) fn go_by(read: Read) {",
        ],
        "only a program that begins chooses a clock, and drover's is right"
    );
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
