//! Pure: from the references that a server advertises to the commit that a spec follows.

use drover_core::branch::CommitId;
use drover_core::render::short;
use drover_crds::Reference;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::Error;

/// A reference of the server; `refs/tags/x^{}` is what the annotated tag `x` points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// Its full name, such as `refs/heads/main`.
    pub name: String,
    /// What it points to.
    pub id: CommitId,
}

/// What has to be in the cache for a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The commit; for a tag perhaps another object, which is found out when it is there.
    pub commit: CommitId,
    /// The server's name that leads to it; `None` for a commit that no name points to.
    pub name: Option<String>,
}

const BRANCHES: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";
const PEELED: &str = "^{}";

/// What a reference means at a server, to tell whether it still means the same. What a commit means that no name leads to depends
/// on all that the server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning(String);

impl Wanted {
    /// What was resolved among `advertised`.
    pub fn meaning(&self, advertised: &[Advertised]) -> Meaning {
        let Some(name) = &self.name else {
            let mut hash = Sha256::new();
            for known in advertised {
                hash.update(format!("{} {}\n", known.id, known.name));
            }
            return Meaning(format!("{} among {}", self.commit, hex::encode(hash.finalize())));
        };
        Meaning(format!("{} {name}", self.commit))
    }
}

/// The commit that `reference` means now, at the server of `url`.
pub fn resolve(reference: &Reference, advertised: &[Advertised], url: &str) -> Result<Wanted, Error> {
    match reference {
        Reference { branch: Some(branch), tag: None, semver: None, commit: None } => {
            find(advertised, &format!("{BRANCHES}{branch}")).ok_or_else(|| Error::NoSuchBranch {
                url: url.to_owned(),
                branch: short(branch),
                advice: others("branch", advertised, BRANCHES),
            })
        }
        Reference { branch: None, tag: Some(tag), semver: None, commit: None } => {
            find(advertised, &format!("{TAGS}{tag}")).ok_or_else(|| Error::NoSuchTag {
                url: url.to_owned(),
                tag: short(tag),
                advice: others("tag", advertised, TAGS),
            })
        }
        Reference { branch: None, tag: None, semver: Some(range), commit: None } => highest(range, advertised, url),
        Reference { branch: None, tag: None, semver: None, commit: Some(commit) } => {
            let commit = CommitId::parse(commit).ok_or(Error::BadReference)?;
            let name = advertised.iter().find(|known| known.id == commit && known.name.starts_with("refs/"));
            let name = name.map(|known| known.name.trim_end_matches(PEELED).to_owned());
            Ok(Wanted { commit, name })
        }
        _ => Err(Error::BadReference),
    }
}

fn find(advertised: &[Advertised], name: &str) -> Option<Wanted> {
    let peeled = format!("{name}{PEELED}");
    let known = advertised.iter().find(|known| known.name == peeled);
    let known = known.or_else(|| advertised.iter().find(|known| known.name == name))?;
    Some(Wanted { commit: known.id.clone(), name: Some(name.to_owned()) })
}

/// The highest version in the range; of two tags that are the same version the one without a leading `v`.
fn highest(range: &str, advertised: &[Advertised], url: &str) -> Result<Wanted, Error> {
    let wanted = VersionReq::parse(range)
        .map_err(|error| Error::BadRange { range: short(range), detail: short(&error.to_string()) })?;
    let best = advertised
        .iter()
        .filter_map(|known| known.name.strip_prefix(TAGS))
        .filter(|tag| !tag.ends_with(PEELED))
        .filter_map(|tag| {
            Some((Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?, !tag.starts_with('v'), tag))
        })
        .filter(|(version, ..)| wanted.matches(version))
        .max();
    best.and_then(|(_, _, tag)| find(advertised, &format!("{TAGS}{tag}"))).ok_or_else(|| Error::NoMatchingVersion {
        url: url.to_owned(),
        range: short(range),
        advice: others("tag", advertised, TAGS),
    })
}

/// Up to five that do exist.
fn others(what: &str, advertised: &[Advertised], prefix: &str) -> String {
    let mut names: Vec<&str> = advertised
        .iter()
        .filter_map(|known| known.name.strip_prefix(prefix))
        .filter(|name| !name.ends_with(PEELED))
        .collect();
    if names.is_empty() {
        return format!("the repository has no {what} at all, so push one");
    }
    names.sort_unstable();
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    names.truncate(5);
    let names: Vec<String> = names.into_iter().map(short).collect();
    format!("push it, or name another in spec.source.ref, such as {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> CommitId {
        CommitId::parse(&format!("{n:040x}")).expect("40 digits")
    }

    fn advertised(names: &[(&str, u8)]) -> Vec<Advertised> {
        names.iter().map(|(name, n)| Advertised { name: (*name).to_owned(), id: id(*n) }).collect()
    }

    fn semver(range: &str) -> Reference {
        Reference { semver: Some(range.into()), ..Reference::default() }
    }

    #[test]
    fn finds_branches_tags_and_commits() {
        let all = advertised(&[
            ("HEAD", 1),
            ("refs/heads/prod", 1),
            ("refs/tags/v1", 2),
            ("refs/tags/v1^{}", 3),
            ("refs/tags/plain", 4),
        ]);
        let wanted = |reference: Reference| resolve(&reference, &all, "https://h/a").expect("there");
        let branch = wanted(Reference { branch: Some("prod".into()), ..Reference::default() });
        assert_eq!(branch, Wanted { commit: id(1), name: Some("refs/heads/prod".into()) });
        let annotated = wanted(Reference { tag: Some("v1".into()), ..Reference::default() });
        assert_eq!(annotated, Wanted { commit: id(3), name: Some("refs/tags/v1".into()) });
        assert_eq!(wanted(Reference { tag: Some("plain".into()), ..Reference::default() }).commit, id(4));
        let commit = |n: u8| wanted(Reference { commit: Some(id(n).to_string()), ..Reference::default() });
        assert_eq!(commit(3), Wanted { commit: id(3), name: Some("refs/tags/v1".into()) });
        assert_eq!(commit(9), Wanted { commit: id(9), name: None });
    }

    #[test]
    fn what_a_reference_means_changes_with_its_commit_or_with_what_there_is_to_find_one_in() {
        let meaning = |wanted: &Wanted, names: &[(&str, u8)]| wanted.meaning(&advertised(names));
        let named = Wanted { commit: id(1), name: Some("refs/heads/prod".into()) };
        let nowhere = Wanted { commit: id(1), name: None };
        let (before, after) = ([("refs/heads/prod", 1)], [("refs/heads/prod", 1), ("refs/heads/new", 2)]);
        assert_eq!(meaning(&named, &before), meaning(&named, &after));
        assert_ne!(meaning(&named, &before), meaning(&Wanted { commit: id(2), ..named.clone() }, &before));
        assert_eq!(meaning(&nowhere, &before), meaning(&nowhere, &before));
        assert_ne!(meaning(&nowhere, &before), meaning(&nowhere, &after));
        assert_ne!(meaning(&nowhere, &before), meaning(&named, &before));
    }

    #[test]
    fn picks_the_highest_version() {
        let all = advertised(&[
            ("refs/tags/1.9.0", 1),
            ("refs/tags/v1.10.0", 2),
            ("refs/tags/v1.10.0^{}", 3),
            ("refs/tags/v2.0.0-rc.1", 4),
            ("refs/tags/nightly", 5),
            ("refs/tags/1.2.0", 6),
            ("refs/tags/v1.2.0", 7),
        ]);
        let pick = |range: &str| resolve(&semver(range), &all, "https://h/a").map(|wanted| wanted.commit);
        assert_eq!(pick(">=1.2, <2"), Ok(id(3)));
        assert_eq!(pick("~1.9"), Ok(id(1)));
        assert_eq!(pick(">=2.0.0-rc.0"), Ok(id(4)));
        assert_eq!(pick("=1.2.0"), Ok(id(6)));
        let none = pick("^3").expect_err("none").to_string();
        assert!(none.contains("^3") && none.contains("v1.10.0"), "{none}");
        assert_eq!(pick("one").expect_err("bad").label(), "BadRange");
    }

    #[test]
    fn says_what_there_is_instead() {
        let mut names: Vec<(String, u8)> = (0..8).map(|n| (format!("refs/heads/b{n}"), n)).collect();
        names.push(("refs/tags/t".into(), 9));
        let all: Vec<Advertised> =
            names.iter().map(|(name, n)| Advertised { name: name.clone(), id: id(*n) }).collect();
        let error = resolve(&Reference { branch: Some("prod".into()), ..Reference::default() }, &all, "https://h/a");
        let error = error.expect_err("absent").to_string();
        assert!(error.contains("prod") && error.contains("b0, b1, b2, b3, b4 and 3 more"), "{error}");
        let empty = resolve(&Reference { tag: Some("v1".into()), ..Reference::default() }, &[], "https://h/a");
        assert!(empty.expect_err("absent").to_string().contains("no tag at all"));
        assert_eq!(resolve(&Reference::default(), &all, "u"), Err(Error::BadReference));
        // A hostile server's names reach a person's terminal.
        let hostile = advertised(&[("refs/heads/\u{1b}[2Jgone\n", 1)]);
        let wanted = Reference { branch: Some("a\u{7}".into()), ..Reference::default() };
        let said = resolve(&wanted, &hostile, "https://h/a").expect_err("absent").to_string();
        assert!(!said.contains(char::is_control) && said.contains("gone"), "{said:?}");
    }

    proptest! {
        #[test]
        fn what_semver_picks_is_in_the_range_and_no_tag_in_it_is_higher(
            versions in proptest::collection::vec((0u64..4, 0u64..4, 0u64..4), 1..12), major in 0u64..4
        ) {
            let all: Vec<Advertised> = versions.iter().zip(0..).map(|((a, b, c), n)| {
                Advertised { name: format!("refs/tags/v{a}.{b}.{c}"), id: id(n) }
            }).collect();
            let range = format!("^{major}.0.0");
            let requirement = VersionReq::parse(&range).expect("range");
            let best = versions.iter().map(|(a, b, c)| Version::new(*a, *b, *c)).filter(|v| requirement.matches(v)).max();
            let picked = resolve(&semver(&range), &all, "u").ok().and_then(|wanted| wanted.name);
            prop_assert_eq!(picked, best.map(|v| format!("refs/tags/v{v}")));
        }
    }
}
