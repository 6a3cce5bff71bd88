//! The documentation keeps up with what it describes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use drover_e2e::{Testbed, commands_of, finish, repository};

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            checked += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            let headings = if anchor.is_empty() { Vec::new() } else { anchors(&read(&file)) };
            if !file.exists() || !(anchor.is_empty() || headings.iter().any(|heading| heading == anchor)) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(checked > 30, "only {checked} links were found");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// The API server takes them, in place of whoever would apply them.
#[test]
fn the_objects_that_ship_logs_and_metrics_can_be_applied() {
    let page = read(&repository().join("docs/src/howto/shipping.md"));
    let blocks = commands_of(&page, "yaml applied");
    assert_eq!(blocks.len(), 1);
    // A dry run makes no namespace that what follows could be in.
    let yaml = blocks[0].replace("namespace: logging", "namespace: default");
    let mut kubectl = Testbed::shared().program("kubectl");
    let applied = finish(kubectl.args(["apply", "--server-side", "--dry-run=server", "--filename", "-"]), &yaml);
    assert_eq!(applied.code, 0, "{}", applied.said());
    assert_eq!(applied.stdout.lines().count(), blocks[0].matches("\nkind: ").count(), "{}", applied.stdout);
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read(&repository().join("docs/src/SUMMARY.md"));
    for page in pages().iter().filter_map(|page| page.strip_prefix(repository().join("docs/src")).ok()) {
        let name = page.display().to_string();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not in SUMMARY.md");
    }
}

#[test]
fn the_runbooks_know_every_reason() {
    let runbooks = read(&repository().join("docs/src/runbooks.md"));
    let mut reasons = BTreeSet::new();
    let crates = ["controller/core/src", "controller/fetch/src", "controller/src"];
    let sources: Vec<_> = crates.iter().flat_map(|sources| files(&repository().join(sources), "rs")).collect();
    // What tests make up is no reason.
    for file in sources.iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = read(file);
        reasons.extend(reasons_in(text.split("#[cfg(test)]").next().unwrap_or("")));
    }
    assert!(reasons.len() > 20, "only these reasons were found: {reasons:?}");
    let unknown: Vec<_> = reasons.iter().filter(|reason| !runbooks.contains(&format!("`{reason}`"))).collect();
    assert!(unknown.is_empty(), "docs/src/runbooks.md does not explain {unknown:?}");
}

/// The words that become the reason of a condition: written there, or the label of an error.
fn reasons_in(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for before in ["reason: \"", "Trouble::new(\"", "several(\""] {
        found.extend(source.split(before).skip(1).filter_map(word));
    }
    for function in source.split("fn label(").skip(1) {
        let body = function.split("\n    }\n").next().unwrap_or("");
        found.extend(body.split("=> \"").skip(1).filter_map(word));
    }
    found
}

/// The CamelCase word that ends at the next quote.
fn word(text: &str) -> Option<String> {
    let word = text.split('"').next()?;
    let is_word = word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric());
    is_word.then(|| word.to_owned())
}

/// The anchors of a page's headings, as mdBook and git hosts make them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// All pages of the documentation, and those at the top of the project.
fn pages() -> Vec<PathBuf> {
    let mut pages = files(&repository().join("docs/src"), "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| repository().join(name)));
    pages
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_where_they_are_written() {
        let source = r#"
            Outcome::Ready { reason: "Applied".into(), message }
            Trouble::new("PruneRefused", text, Mend::Spec)
    fn label(&self) -> &'static str {
        match self {
            Self::A => "Conflict",
        }
    }
        "#;
        assert_eq!(reasons_in(source), ["Applied", "PruneRefused", "Conflict"]);
    }
}
