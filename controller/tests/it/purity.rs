//! The direction of knowledge: the pure rooms name no client, no git, no runtime, no clock and no room outside them, and the
//! rooms that do I/O name none of the rooms that use them.

use std::fs;
use std::path::{Path, PathBuf};

const PURE: [&str; 3] = ["render", "plan", "health"];
const INPUT_OUTPUT: [&str; 4] = ["git", "cluster", "registry", "tools"];
const OUTER: [&str; 5] = ["reconcile", "driver", "cli", "run", "web"];

/// Paths that nothing in a pure room may begin with.
const IMPURE: [&str; 15] = [
    "kube",
    "git2",
    "tokio",
    "tokio_util",
    "reqwest",
    "hyper",
    "oci_client",
    "rand",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// Ends of paths that read a clock, however they were imported.
const CLOCKS: [&str; 6] = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "Timestamp::now", "Zoned::now"];

#[test]
fn the_pure_rooms_stay_pure() {
    let rooms: Vec<&str> = INPUT_OUTPUT.into_iter().chain(OUTER).collect();
    let mut files = 0;
    let mut found = Vec::new();
    for room in PURE {
        for file in sources(room) {
            files += 1;
            let text = fs::read_to_string(&file).expect("a readable source file");
            for (line, path) in paths(&text) {
                if is_impure(&path) || names_room(&path, &rooms) {
                    found.push(format!("{}:{line}: {path}", file.display()));
                }
            }
        }
    }
    assert!(files >= 20, "only {files} source files were found: the test looks in the wrong place");
    assert!(found.is_empty(), "the pure rooms name what they must not know:\n{}", found.join("\n"));
}

#[test]
fn rooms_that_do_io_do_not_know_who_uses_them() {
    let mut found = Vec::new();
    for room in INPUT_OUTPUT {
        for file in sources(room) {
            let text = fs::read_to_string(&file).expect("a readable source file");
            for (line, path) in paths(&text).into_iter().filter(|(_, path)| names_room(path, &OUTER)) {
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
    assert_eq!(caught("use std::fmt;\nuse kube::Client;\n"), at(2, "kube::Client"));
    assert_eq!(caught("use kube;\n"), at(1, "kube"));
    assert_eq!(caught("fn f() { kube_client::x() }"), at(1, "kube_client::x"));
    assert_eq!(caught("use std::{\n    fmt,\n    fs::File,\n};\n"), at(3, "std::fs::File"));
    assert_eq!(caught("use std::{time::{Duration, Instant}};"), at(1, "std::time::Instant"));
    assert_eq!(caught("use crate::{render::Object, git::Fetch};"), at(1, "crate::git::Fetch"));
    assert_eq!(caught("let x = super::cluster::Index;"), at(1, "super::cluster::Index"));
    assert_eq!(caught("let now = chrono::Utc::now();"), at(1, "chrono::Utc::now"));
    assert_eq!(caught("let now = jiff::Timestamp::now();"), at(1, "jiff::Timestamp::now"));
    assert_eq!(caught("let x = std::env::var(\"HOME\");"), at(1, "std::env::var"));
    assert_eq!(caught("let s = \"//\"; tokio::spawn(x);"), at(1, "tokio::spawn"));

    assert!(
        caught("// kube::Client is not known here\nuse std::time::Duration;\nuse crate::render::Object;").is_empty()
    );
    assert!(caught("let gitignore = crate::gitignore::read(); let text = \"kube::Client\";").is_empty());
}

fn is_impure(path: &str) -> bool {
    let begins = |with: &str| path == with || path.strip_prefix(with).is_some_and(|rest| rest.starts_with("::"));
    let ends = |with: &str| path == with || path.strip_suffix(with).is_some_and(|rest| rest.ends_with("::"));
    path.starts_with("kube_") || IMPURE.into_iter().any(begins) || CLOCKS.into_iter().any(ends)
}

/// Whether a path from the crate's root, or from a parent module, enters one of the rooms.
fn names_room(path: &str, rooms: &[&str]) -> bool {
    let mut parts = path.split("::").skip_while(|part| *part == "super");
    let first = parts.next().unwrap_or_default();
    let room = if first == "crate" || first == "drover" { parts.next().unwrap_or_default() } else { first };
    (path.starts_with("super") || room != first) && rooms.contains(&room)
}

fn sources(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
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
fn paths(text: &str) -> Vec<(usize, String)> {
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
                    chars.next();
                    chars.next();
                } else if ahead.next() == Some('\'') {
                    chars.next();
                    chars.next();
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
                        '\\' => {
                            if chars.next() == Some('\n') {
                                out.push('\n');
                            }
                        }
                        _ => {}
                    }
                }
            }
            other => out.push(other),
        }
    }
    out
}
