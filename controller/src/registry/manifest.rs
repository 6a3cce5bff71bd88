//! Reads manifests and configurations of images, of the OCI and of Docker. Pure.

use std::collections::BTreeMap;

use drover_core::workload::pods::Origin;
use serde::Deserialize;

/// The media types that are asked for.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The labels that say what an image was built from, by the OCI's annotation rules.
const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// Of one image: the digest of its configuration.
    Image {
        /// The digest.
        config: String,
    },
    /// Of an image for several platforms.
    Index(Vec<Entry>),
}

/// One platform of an index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// The digest of its manifest.
    pub digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
    #[serde(default)]
    config: Option<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    config: Option<RunConfiguration>,
}

#[derive(Default, Deserialize)]
struct RunConfiguration {
    #[serde(default, rename = "User")]
    user: Option<String>,
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// Whether `text` is a digest: it becomes part of an address.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let plain = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric());
    plain(algorithm) && plain(hex) && text.len() <= 200
}

/// Reads a manifest.
pub fn read(body: &[u8]) -> Result<Manifest, String> {
    let raw: Raw = serde_json::from_slice(body).map_err(|_| "its manifest is not JSON that drover knows".to_owned())?;
    let found = match (raw.manifests, raw.config) {
        (Some(entries), _) => Manifest::Index(entries.into_iter().filter(|e| is_digest(&e.digest)).collect()),
        (None, Some(config)) if is_digest(&config.digest) => Manifest::Image { config: config.digest },
        _ => {
            return Err(
                "its manifest names no configuration (images of Docker's first format are not supported)".into()
            );
        }
    };
    Ok(found)
}

/// The entry for Linux on `architecture`, or for Linux on any: the user that images are made for does not depend on it.
pub fn platform(entries: &[Entry], architecture: &str) -> Option<String> {
    let linux = |e: &&Entry| e.platform.as_ref().is_some_and(|p| p.os == "linux");
    let same = |e: &&Entry| e.platform.as_ref().is_some_and(|p| p.architecture == architecture);
    let mut all = entries.iter().filter(linux);
    all.clone().find(same).or_else(|| all.next()).map(|e| e.digest.clone())
}

/// This machine's architecture, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// What an image's configuration says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The user that it is made for.
    pub user: Option<String>,
    /// What it was built from.
    pub origin: Option<Origin>,
}

/// Reads an image's configuration.
pub fn configuration(body: &[u8]) -> Result<Said, String> {
    let read: Configuration =
        serde_json::from_slice(body).map_err(|_| "its configuration is not JSON that drover knows".to_owned())?;
    let RunConfiguration { user, labels } = read.config.unwrap_or_default();
    let mut labels = labels.unwrap_or_default();
    let revision = labels.remove(REVISION).filter(|revision| is_revision(revision));
    let repository = labels.remove(SOURCE).filter(|source| is_address(source));
    let origin = revision.map(|revision| Origin { revision, repository });
    Ok(Said { user: user.filter(|u| !u.is_empty()), origin })
}

/// Whether `text` can be a revision of any version control: it is shown to people, and given to the app.
fn is_revision(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/+:".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(plain)
}

/// Whether `text` can be the address of a repository, for people to read.
fn is_address(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_chosen_and_attestations_are_passed_over() {
        let index = br#"{"manifests": [
            {"digest": "sha256:aa", "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": "sha256:bb", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:cc", "platform": {"os": "linux", "architecture": "amd64"}}]}"#;
        let Ok(Manifest::Index(entries)) = read(index) else { panic!("an index") };
        assert_eq!(platform(&entries, "amd64").as_deref(), Some("sha256:cc"));
        assert_eq!(platform(&entries, "riscv64").as_deref(), Some("sha256:bb"));
        assert_eq!(platform(&entries[..1], "amd64"), None);
    }

    #[test]
    fn a_digest_cannot_lead_elsewhere() {
        assert!(read(br#"{"config": {"digest": "../../x"}}"#).is_err());
        assert_eq!(read(br#"{"config": {"digest": "sha256:aa"}}"#), Ok(Manifest::Image { config: "sha256:aa".into() }));
    }

    #[test]
    fn an_image_without_user_is_roots() {
        let user = |body: &str| configuration(body.as_bytes()).expect("a configuration").user;
        assert_eq!(user(r#"{"config": {"User": ""}}"#), None);
        assert_eq!(user(r#"{"config": null}"#), None);
        assert_eq!(user(r#"{"config": {"User": "33:33"}}"#).as_deref(), Some("33:33"));
    }

    #[test]
    fn a_revision_is_taken_only_where_it_can_be_one() {
        let origin = |revision: &str, source: &str| {
            let labels = serde_json::json!({"config": {"Labels": {REVISION: revision, SOURCE: source}}});
            configuration(labels.to_string().as_bytes()).expect("a configuration").origin
        };
        let revision = |text: &str| origin(text, "").map(|origin| origin.revision);
        let repository = |text: &str| origin("1a2b3c4", text).and_then(|origin| origin.repository);
        assert_eq!(repository("https://git.test/shop").as_deref(), Some("https://git.test/shop"));
        assert_eq!(repository("two words"), None);
        assert_eq!(revision("1a2b3c4d").as_deref(), Some("1a2b3c4d"));
        for text in ["", "two words", "$(PASSWORD)", "a\n", &"x".repeat(129)] {
            assert_eq!(revision(text), None, "{text}");
        }
        assert_eq!(configuration(br#"{"config": {"Labels": null}}"#), Ok(Said::default()));
    }
}
