//! What an Ingress may not say: by it requests of other hosts would arrive that no claim tells of.

use serde_json::Value;

use super::claims::{Host, aliases_in, names_aliases};

/// Traefik writes this word into its rule as it stands. (It reads the names of annotations in any case.)
const MATCHER: &str = "traefik.ingress.kubernetes.io/router.pathmatcher";
/// The words that are a matcher of paths and nothing more.
const MATCHERS: [&str; 3] = ["Path", "PathPrefix", "PathRegexp"];
/// With this Traefik prefers a route to those of others, whatever they say.
const PRIORITY: &str = "traefik.ingress.kubernetes.io/router.priority";
/// Hosts by a regular expression.
const ALIAS_REGEX: &str = "/server-alias-regex";

/// What of `ingress` cannot be taken, why, and what to do; `None` where nothing is wrong.
pub fn unclaimable(ingress: &Value) -> Option<String> {
    let annotations = ingress.pointer("/metadata/annotations").and_then(Value::as_object);
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let hosts = rules.iter().map(|rule| rule.get("host").and_then(Value::as_str).unwrap_or_default());
    let for_any = rules.is_empty() || hosts.map(Host::parse).any(|host| host == Host::Any);
    for (name, value) in annotations.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        if lower == MATCHER && !MATCHERS.contains(&value) {
            return Some(format!(
                "has the annotation {name} with a value that is not {}, which could bring it the requests of other hosts: write one of these, or remove the annotation",
                MATCHERS.join(", ")
            ));
        }
        if lower == PRIORITY && for_any && !value.trim_start().starts_with('-') {
            return Some(format!(
                "has the annotation {name} and a rule without a host, which together win over the hosts of others: name a host in each rule, or remove the annotation"
            ));
        }
        if lower.ends_with(ALIAS_REGEX) {
            return Some(format!(
                "has the annotation {name}, and whose hosts an expression stands for cannot be told: list the hosts in spec.rules"
            ));
        }
        if names_aliases(name)
            && let Some(alias) = aliases_in(value).find(|alias| !is_plain(alias))
        {
            return Some(format!(
                "has the annotation {name} with {alias:?}, and whose hosts that stands for cannot be told: list hosts, or *.example.org for all below one"
            ));
        }
    }
    let mut paths = rules.iter().filter_map(|rule| rule.pointer("/http/paths")?.as_array()).flatten();
    let forged = paths.find_map(|path| path.get("path")?.as_str().filter(|path| path.contains('`')))?;
    Some(format!("has the path {forged:?}, in which ` could end an ingress controller's rule: remove it from the path"))
}

/// Whether it is one host, or `*.` and one.
fn is_plain(alias: &str) -> bool {
    let host = alias.strip_prefix("*.").unwrap_or(alias);
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(annotations: &Value, host: &str, path: &str) -> Option<String> {
        unclaimable(&json!({
            "metadata": {"annotations": annotations},
            "spec": {"rules": [{"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix"}]}}]},
        }))
    }

    #[test]
    fn what_brings_the_requests_of_others_is_refused_with_its_name() {
        for (annotations, host, path, word) in [
            (json!({MATCHER: "Host(`a.test`) || PathPrefix"}), "b.test", "/", "PathPrefix, PathRegexp"),
            (json!({"traefik.ingress.kubernetes.io/router.pathMatcher": "HostRegexp"}), "b.test", "/", "pathMatcher"),
            (json!({PRIORITY: "1000"}), "", "/", "name a host"),
            (json!({"nginx.ingress.kubernetes.io/server-alias": "c.test, ~^.*$"}), "b.test", "/", "\"~^.*$\""),
            (json!({"nginx.ingress.kubernetes.io/server-alias": "www.*"}), "b.test", "/", "\"www.*\""),
            (json!({"haproxy-ingress.github.io/server-alias-regex": ".*"}), "b.test", "/", "spec.rules"),
            (json!({}), "b.test", "/`) || Host(`a.test", "from the path"),
        ] {
            let said = said(&annotations, host, path).unwrap_or_else(|| panic!("{annotations} {path} was taken"));
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn what_concerns_only_its_own_hosts_is_taken() {
        for annotations in [
            json!({MATCHER: "PathRegexp", PRIORITY: "42", "traefik.ingress.kubernetes.io/router.middlewares": "shop-auth@kubernetescrd"}),
            json!({"nginx.ingress.kubernetes.io/server-alias": "www.b.test, *.c.test"}),
            json!({"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "20"}),
            json!({"nginx.ingress.kubernetes.io/use-regex": "true", "nginx.ingress.kubernetes.io/rewrite-target": "/$1"}),
            json!({"nginx.ingress.kubernetes.io/proxy-body-size": "64m", "cert-manager.io/cluster-issuer": "le"}),
            json!({"nginx.ingress.kubernetes.io/configuration-snippet": "more_set_headers \"X-Frame-Options: DENY\";"}),
        ] {
            assert_eq!(said(&annotations, "b.test", "/api"), None, "{annotations}");
        }
        assert_eq!(said(&json!({PRIORITY: "-1"}), "", "/"), None, "it gives way");
        assert_eq!(unclaimable(&json!({"spec": {"defaultBackend": {"service": {"name": "web"}}}})), None);
    }
}
