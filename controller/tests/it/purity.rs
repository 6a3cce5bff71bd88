//! The direction of knowledge: the crate `drover-core` has no dependency that does I/O and names nothing of the standard library
//! that does, the crate `drover-errands` has no client of the cluster, and rooms name none of the rooms that use them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rooms of the controller that must not name rooms which use them, and which those are.
const INNER: [(&[&str], &[&str]); 5] = [
    (&["confined"], &["git", "tools", "driver", "owned", "turn", "rollout", "reconcile", "cli", "run", "web"]),
    (
        &["git", "tools", "cluster", "registry"],
        &["driver", "owned", "turn", "rollout", "reconcile", "cli", "run", "web"],
    ),
    (&["driver", "owned"], &["turn", "rollout", "reconcile", "cli", "run", "web"]),
    (&["turn"], &["rollout", "reconcile", "cli", "run", "web"]),
    (&["rollout"], &["turn", "reconcile", "cli", "run", "web"]),
];

/// Crates that the crate `drover-core` and its tests never link, not even by another crate.
const UNLINKED: [&str; 9] =
    ["git2", "hyper", "kube-client", "kube-runtime", "libgit2-sys", "reqwest", "rustls", "tokio", "tokio-util"];

/// Crates that nothing in the crate `drover-errands` links: inside a Job there is no cluster to talk to, and no right to.
const NO_CLUSTER: [&str; 3] = ["drover", "kube-client", "kube-runtime"];

/// Paths of the standard library that nothing in the crate `drover-core` may begin with.
const IMPURE: [&str; 7] =
    ["std::fs", "std::net", "std::env", "std::process", "std::thread", "std::time::SystemTime", "std::time::Instant"];

/// Ends of paths that read a clock, however they were imported.
const CLOCKS: [&str; 6] = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "Timestamp::now", "Zoned::now"];

#[test]
fn the_core_and_its_tests_link_no_client_no_runtime_and_no_git() {
    assert_links_none("drover-core", "normal,dev", &UNLINKED);
}

#[test]
fn errands_link_no_client_of_the_cluster() {
    assert_links_none("drover-errands", "normal", &NO_CLUSTER);
}

fn assert_links_none(package: &str, edges: &str, unlinked: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["tree", "--package", package, "--edges", edges, "--prefix", "none", "--format", "{p}"];
    let output = Command::new(cargo).args(arguments).args(["--locked", "--offline"]).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("names of crates");
    let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(linked.contains("drover-crds"), "not the dependencies of {package}:\n{tree}");
    let unwanted: Vec<_> = linked.into_iter().filter(|name| unlinked.contains(name)).collect();
    assert!(unwanted.is_empty(), "{package} would link {unwanted:?}: `cargo tree -p {package} -i NAME` says by what");
}

#[test]
fn the_core_names_nothing_that_does_io_and_no_clock() {
    let mut files = 0;
    let mut found = Vec::new();
    for file in sources(Path::new("core/src")) {
        files += 1;
        let text = fs::read_to_string(&file).expect("a readable source file");
        for (line, path) in paths(&text).into_iter().filter(|(_, path)| is_impure(path)) {
            found.push(format!("{}:{line}: {path}", file.display()));
        }
    }
    assert!(files >= 50, "only {files} source files were found: the test looks in the wrong place");
    assert!(found.is_empty(), "drover-core names what it must not know:\n{}", found.join("\n"));
}

#[test]
fn rooms_do_not_know_who_uses_them() {
    let mut found = Vec::new();
    for (rooms, outer) in INNER {
        for file in rooms.iter().flat_map(|room| sources(&Path::new("src").join(room))) {
            let text = fs::read_to_string(&file).expect("a readable source file");
            for (line, path) in paths(&text).into_iter().filter(|(_, path)| names_room(path, outer)) {
                found.push(format!("{}:{line}: {path}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "these rooms name rooms that use them:\n{}", found.join("\n"));
}

#[test]
fn the_check_would_catch_what_it_looks_for() {
    let rooms = ["git", "cluster"];
    let caught = |text: &str| -> Vec<(usize, String)> {
        paths(text).into_iter().filter(|(_, path)| is_impure(path) || names_room(path, &rooms)).collect()
    };
    let at = |line: usize, path: &str| vec![(line, path.to_owned())];
    assert_eq!(caught("use std::fmt;\nuse std::fs::File;\n"), at(2, "std::fs::File"));
    assert_eq!(caught("use std::fs;\n"), at(1, "std::fs"));
    assert_eq!(caught("use std::{\n    fmt,\n    fs::File,\n};\n"), at(3, "std::fs::File"));
    assert_eq!(caught("use std::{time::{Duration, Instant}};"), at(1, "std::time::Instant"));
    assert_eq!(caught("use crate::{driver::Key, git::Fetch};"), at(1, "crate::git::Fetch"));
    assert_eq!(caught("let x = super::cluster::Index;"), at(1, "super::cluster::Index"));
    assert_eq!(caught("let now = chrono::Utc::now();"), at(1, "chrono::Utc::now"));
    assert_eq!(caught("let now = jiff::Timestamp::now();"), at(1, "jiff::Timestamp::now"));
    assert_eq!(caught("let x = std::env::var(\"HOME\");"), at(1, "std::env::var"));
    assert_eq!(caught("let c = ['\\n','\"', '\\'']; std::thread::spawn(x);"), at(1, "std::thread::spawn"));
    assert_eq!(caught("let s = \"//\"; std::thread::spawn(x);"), at(1, "std::thread::spawn"));

    assert!(caught("// std::fs::File is not known here\nuse std::time::Duration;\nuse crate::driver::Key;").is_empty());
    assert!(caught("let gitignore = crate::gitignore::read(); let text = \"std::fs::File\";").is_empty());
}

fn is_impure(path: &str) -> bool {
    let begins = |with: &str| path == with || path.strip_prefix(with).is_some_and(|rest| rest.starts_with("::"));
    let ends = |with: &str| path == with || path.strip_suffix(with).is_some_and(|rest| rest.ends_with("::"));
    IMPURE.into_iter().any(begins) || CLOCKS.into_iter().any(ends)
}

/// Whether a path from the crate's root, or from a parent module, enters one of the rooms.
fn names_room(path: &str, rooms: &[&str]) -> bool {
    let mut parts = path.split("::").skip_while(|part| *part == "super");
    let first = parts.next().unwrap_or_default();
    let room = if first == "crate" || first == "drover" { parts.next().unwrap_or_default() } else { first };
    (path.starts_with("super") || room != first) && rooms.contains(&room)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// All paths with `::` in a source text, and single names after `use`, with their lines; groups in braces are written out.
pub fn paths(text: &str) -> Vec<(usize, String)> {
    let code = without_comments_and_strings(text);
    let tokens = tokens(&code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let after_use = at > 0 && tokens[at - 1].1 == "use";
        if is_name(&tokens[at].1) && (after_use || tokens.get(at + 1).is_some_and(|(_, token)| token == "::")) {
            at = path(&tokens, at, "", &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path or group that begins at `at`; returns where it ends.
fn path(tokens: &[(usize, String)], mut at: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let mut path = prefix.to_owned();
    loop {
        let Some((line, token)) = tokens.get(at) else { return at };
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|(_, token)| token != "}") {
                at = if tokens[at].1 == "," { at + 1 } else { self::path(tokens, at, &path, found).max(at + 1) };
            }
            return at + 1;
        }
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(token);
        at += 1;
        if tokens.get(at).is_none_or(|(_, token)| token != "::") {
            found.push((*line, path));
            return at;
        }
        at += 1;
        if tokens.get(at).is_none_or(|(_, token)| !is_name(token) && token != "{") {
            found.push((*line, path));
            return at;
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((number + 1, rest[..length].to_owned()));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The text with comments and the insides of strings blanked out; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                while chars.peek().is_some_and(|&next| next != '\n') {
                    chars.next();
                }
            }
            // A character literal, such as '"', is no string.
            '\'' => {
                let mut ahead = chars.clone();
                let inner = ahead.next();
                if inner == Some('\\') {
                    chars.nth(1);
                    chars.by_ref().find(|&c| c == '\'');
                } else if ahead.next() == Some('\'') {
                    chars.nth(1);
                }
            }
            // A raw string ends at a quote with as many signs as it began with; all in this crate use one.
            'r' if chars.peek() == Some(&'#') && chars.clone().nth(1) == Some('"') => {
                chars.next();
                chars.next();
                while let Some(inner) = chars.next() {
                    if inner == '\n' {
                        out.push('\n');
                    } else if inner == '"' && chars.peek() == Some(&'#') {
                        chars.next();
                        break;
                    }
                }
            }
            '"' => {
                while let Some(inner) = chars.next() {
                    match inner {
                        '"' => break,
                        '\n' => out.push('\n'),
                        '\\' if chars.next() == Some('\n') => out.push('\n'),
                        _ => {}
                    }
                }
            }
            other => out.push(other),
        }
    }
    out
}
