//! No two files of a crate import each other, also by way of others. A folder's first file speaks for what is below it, so that it
//! names these does not count; that they name it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::purity::paths;

/// The crates, from the workspace's root.
const CRATES: [&str; 6] =
    ["crds/src", "controller/core/src", "controller/errands/src", "controller/fetch/src", "controller/src", "e2e/src"];

/// The names from a crate's root to a module.
type Module = Vec<String>;

struct File {
    path: PathBuf,
    /// All paths in it, without its tests.
    paths: Vec<String>,
    /// What others may take from it although it is elsewhere: one thing, or all of a module.
    passed_on: Vec<(String, bool)>,
    text: String,
}

#[test]
fn no_two_files_import_each_other() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for folder in CRATES {
        let files = read(&workspace.join(folder));
        assert!(files.len() >= 5, "only {} files were found in {folder}", files.len());
        found.extend(
            circles(&files)
                .into_iter()
                .map(|circle| circle.iter().map(|file| format!("{folder}/{}", file.display())).collect::<Vec<_>>()),
        );
    }
    assert_eq!(found, BTreeSet::new(), "circles of files");
}

#[test]
fn a_circle_is_found_through_what_a_folder_passes_on() {
    let file = |module: &str, text: &str| {
        let module: Module = module.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let path = PathBuf::from(format!("{}.rs", module.join("/")));
        (module, parse(path, text))
    };
    let of = |b: &str, tests: &str| {
        let files = [
            file("", "mod a;\npub mod b;\n"),
            file("a", "pub use one::{self, One};\nmod one;\nmod two;\n"),
            file("a/one", "use crate::b::B;\npub struct One;\n"),
            file("a/two", "use super::One;\n"),
            file("b", &format!("{b}\npub struct B;\n#[cfg(test)]\nmod tests {{ {tests} }}")),
        ];
        circles(&files.into()).into_iter().flatten().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("use crate::a::One;", ""), ["a/one.rs", "b.rs"]);
    assert_eq!(of("fn f() { super::a::one::f() }", ""), ["a/one.rs", "b.rs"]);
    assert!(of("use crate::a;", "use crate::a::One;").is_empty());
}

/// The groups of files of which each leads to each.
fn circles(files: &BTreeMap<Module, File>) -> BTreeSet<BTreeSet<PathBuf>> {
    let imports: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .map(|(module, file)| {
            let named = file.paths.iter().filter_map(|path| home(files, module, path, 0));
            (module, named.filter(|named| !named.starts_with(module)).collect())
        })
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        files.keys().map(|module| (module, reached(&imports, module))).collect();
    let circle = |module: &&Module| -> BTreeSet<PathBuf> {
        let both = reach[module].iter().filter(|other| reach[*other].contains(module));
        both.map(|other| files[*other].path.clone()).collect()
    };
    reach.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

fn reached<'a>(imports: &'a BTreeMap<&Module, BTreeSet<Module>>, from: &'a Module) -> BTreeSet<&'a Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        next.extend(imports[module].iter().filter(|named| reached.insert(*named)));
    }
    reached
}

/// The module whose file has what `path` names, seen from `module`; `None` for what is not of this crate.
fn home(files: &BTreeMap<Module, File>, module: &[String], path: &str, passed: usize) -> Option<Module> {
    let mut names = path.split("::").peekable();
    let mut at = match *names.peek()? {
        "crate" => Module::new(),
        "self" | "super" => module.to_vec(),
        name => {
            let child = [module, &[name.to_owned()]].concat();
            return files
                .contains_key(&child)
                .then(|| format!("self::{path}"))
                .and_then(|path| home(files, module, &path, passed));
        }
    };
    while names
        .next_if(|name| matches!(*name, "crate" | "self" | "super"))
        .is_some_and(|name| name != "super" || at.pop().is_some())
    {}
    while let Some(name) = names.peek() {
        at.push((*name).to_owned());
        if !files.contains_key(&at) {
            at.pop();
            break;
        }
        names.next();
    }
    let Some(item) = names.next() else { return Some(at) };
    let file = files.get(&at)?;
    for (other, all) in file.passed_on.iter().filter(|_| passed < 5) {
        if *all || other.rsplit("::").next() == Some(item) {
            let Some(home) = home(files, &at, other, passed + 1) else { continue };
            if !all || makes(&files[&home].text, item) {
                return Some(home);
            }
        }
    }
    Some(at)
}

fn makes(text: &str, item: &str) -> bool {
    ["fn", "struct", "enum", "type", "trait", "const", "static"].iter().any(|word| {
        let made = format!("{word} {item}");
        text.match_indices(&made)
            .any(|(at, _)| !text[at + made.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn parse(path: PathBuf, text: &str) -> File {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut passed_on = Vec::new();
    for statement in text.split(';') {
        let statement = statement.rsplit("\npub").next().map_or(statement, str::trim_start);
        let exported = statement.strip_prefix("pub").unwrap_or(statement).trim_start();
        let exported =
            exported.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(exported, |(_, rest)| rest);
        if exported.trim_start().starts_with("use ") && !exported.contains('=') {
            let all = exported.trim_end().ends_with("::*");
            passed_on
                .extend(paths(exported).into_iter().map(|(_, path)| (path.trim_end_matches("::self").to_owned(), all)));
        }
    }
    let paths = paths(text).into_iter().map(|(_, path)| path.trim_end_matches("::self").to_owned()).collect();
    File { path, paths, passed_on, text: text.to_owned() }
}

/// The files of a crate, without those that are only tests.
fn read(root: &Path) -> BTreeMap<Module, File> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "tests" || path == root.join("bin") || path == root.join("main.rs") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(root).expect("below the root").to_owned();
                let mut module: Module =
                    inside.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                    module.pop();
                }
                let text = fs::read_to_string(&path).expect("a readable source file");
                files.insert(module, parse(inside, &text));
            }
        }
    }
    files
}
