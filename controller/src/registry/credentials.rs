//! What registries are asked with: Secrets of type `kubernetes.io/dockerconfigjson`, read as the kubelet reads them. Pure.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Users and passwords of registries.
#[derive(Clone, Default)]
pub struct Credentials {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    secret: String,
    /// Host, with the port where one is written.
    host: String,
    /// Path prefix without slashes at its ends; empty for the whole registry.
    path: String,
    user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|e| format!("{} for {}", e.secret, e.host))).finish()
    }
}

/// One user and password, and the Secret that they are from.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The Secret's name.
    pub secret: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default, rename = "auth")]
    encoded: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

impl Credentials {
    /// Adds what a Secret holds. What cannot be read is passed over: the registry's refusal then names the Secrets.
    pub fn add(&mut self, secret: &str, data: &BTreeMap<String, ByteString>) {
        let configured = data.get(".dockerconfigjson").and_then(|d| serde_json::from_slice::<DockerConfig>(&d.0).ok());
        let legacy = || {
            let auths = serde_json::from_slice(&data.get(".dockercfg")?.0).ok()?;
            Some(DockerConfig { auths })
        };
        let Some(config) = configured.or_else(legacy) else { return };
        for (registry, auth) in config.auths {
            if let Some((user, password)) = login(auth) {
                let (host, path) = place(&registry);
                self.entries.push(Entry { secret: secret.to_owned(), host, path, user, password });
            }
        }
    }

    /// The login for a repository: that with the longest matching path.
    pub fn login(&self, registry: &str, repository: &str) -> Option<Login> {
        let (host, _) = place(registry);
        let covers = |e: &&Entry| {
            let below = e.path.is_empty() || repository == e.path || repository.starts_with(&format!("{}/", e.path));
            e.host == host && below
        };
        // Of equally long paths the first: Secrets are tried in the order in which the spec names them.
        let best = self.entries.iter().filter(covers).rev().max_by_key(|e| e.path.len())?;
        Some(Login { secret: best.secret.clone(), user: best.user.clone(), password: best.password.clone() })
    }

    /// Tells two sets of credentials apart without keeping them.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for e in &self.entries {
            for part in [&e.host, &e.path, &e.user, &e.password] {
                hash.update(part.len().to_le_bytes());
                hash.update(part);
            }
        }
        hex::encode(hash.finalize())
    }
}

fn login(auth: Auth) -> Option<(String, String)> {
    if let (Some(user), Some(password)) = (auth.username, auth.password)
        && !user.is_empty()
    {
        return Some((user, password));
    }
    let decoded = String::from_utf8(STANDARD.decode(auth.encoded?.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Host and path of a registry as people and `docker login` write it.
fn place(registry: &str) -> (String, String) {
    let bare = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://")).unwrap_or(registry);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = path.trim_matches('/');
    // `docker login` files Docker Hub under the address of its first interface.
    if matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        return ("index.docker.io".to_owned(), path.to_owned());
    }
    (host.to_ascii_lowercase(), path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(config: &str) -> Credentials {
        let mut credentials = Credentials::default();
        credentials.add("pull", &[(".dockerconfigjson".to_owned(), ByteString(config.as_bytes().to_vec()))].into());
        credentials
    }

    #[test]
    fn docker_hub_is_known_under_all_its_names() {
        let auth = STANDARD.encode("me:pass:word");
        let known = credentials(&format!(r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}}}}}}"#));
        let login = known.login("index.docker.io", "library/nginx").expect("a login");
        assert_eq!((login.user.as_str(), login.password.as_str(), login.secret.as_str()), ("me", "pass:word", "pull"));
        assert!(known.login("docker.io", "a/b").is_some());
        assert!(known.login("ghcr.io", "a/b").is_none());
    }

    #[test]
    fn the_longest_path_wins_and_is_matched_in_whole_segments() {
        let known = credentials(
            r#"{"auths": {"r.example.org": {"username": "all", "password": "1"}, "r.example.org/team": {"username": "team", "password": "2"}}}"#,
        );
        let user = |repository| known.login("r.example.org", repository).map(|l| l.user);
        assert_eq!(user("team/app").as_deref(), Some("team"));
        assert_eq!(user("teamwork/app").as_deref(), Some("all"));
        assert!(known.login("r.example.org:5000", "team/app").is_none());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let known = credentials(r#"{"auths": {"r.example.org": {"username": "me", "password": "hunter2"}}}"#);
        assert!(!format!("{known:?}").contains("hunter2"));
        assert_ne!(known.fingerprint(), Credentials::default().fingerprint());
    }
}
