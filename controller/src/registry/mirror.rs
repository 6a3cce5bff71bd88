//! Where a registry's images are asked for instead, as the nodes do it whose containerd has a `hosts.toml` for that name. Pure.

use std::str::FromStr;

use url::Url;

/// A registry's name and the address that an administrator put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The registry as images name it, `host` or `host:port`.
    pub registry: String,
    /// What is asked: scheme, host and port, and perhaps a path before `/v2`.
    pub address: Url,
}

impl FromStr for Mirror {
    type Err = String;

    /// Reads `registry=address`, such as `docker.io=https://mirror.example.org`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{text}` is no mirror: write REGISTRY=ADDRESS, such as docker.io=https://mirror.example.org");
        let (registry, address) = text.split_once('=').ok_or_else(wrong)?;
        let address: Url = address.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let plain = address.query().is_none() && address.fragment().is_none() && address.username().is_empty();
        if registry.is_empty() || !matches!(address.scheme(), "https" | "http") || !plain || !address.has_host() {
            return Err(wrong());
        }
        Ok(Self { registry: registry.to_owned(), address })
    }
}

impl Mirror {
    /// The mirror among `mirrors` that stands for `registry`, as [`oci_spec::distribution::Reference::resolve_registry`] spells
    /// it: Docker Hub goes by several names.
    pub fn of<'a>(mirrors: &'a [Self], registry: &str) -> Option<&'a Self> {
        let usual = |name: &str| match name {
            "docker.io" | "registry-1.docker.io" | "index.docker.io" => "docker.io".to_owned(),
            other => other.to_owned(),
        };
        mirrors.iter().find(|mirror| usual(&mirror.registry) == usual(registry))
    }

    /// The address without a slash at its end.
    pub fn base(&self) -> &str {
        self.address.as_str().trim_end_matches('/')
    }

    /// Whether `url` leads to the host and port of this mirror.
    pub fn is_at(&self, url: &Url) -> bool {
        let place = |u: &Url| (u.scheme().to_owned(), u.host_str().map(str::to_owned), u.port_or_known_default());
        place(&self.address) == place(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_name_and_an_address() {
        let mirror: Mirror = "localhost:35000=http://registry.ops.svc:5000/".parse().expect("a mirror");
        assert_eq!((mirror.registry.as_str(), mirror.base()), ("localhost:35000", "http://registry.ops.svc:5000"));
        for wrong in [
            "",
            "docker.io",
            "=https://m.example.org",
            "docker.io=m.example.org",
            "docker.io=ftp://m/",
            "a=https://m/?q",
        ] {
            assert!(wrong.parse::<Mirror>().expect_err(wrong).contains("REGISTRY=ADDRESS"), "{wrong}");
        }
    }

    #[test]
    fn docker_hub_goes_by_several_names() {
        let mirrors = ["docker.io=https://m.example.org".parse().expect("a mirror")];
        assert!(Mirror::of(&mirrors, "registry-1.docker.io").is_some());
        assert!(Mirror::of(&mirrors, "index.docker.io").is_some());
        assert!(Mirror::of(&mirrors, "quay.io").is_none());
    }
}
