//! What a registry wants to see before it answers, and what its token service gives. Pure.

use std::time::Duration;

use url::Url;

/// One way to prove who asks, as `WWW-Authenticate` offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A token of a service.
    Bearer {
        /// The service's address; `None` where it is missing, or none.
        realm: Option<Url>,
        /// The name under which the service knows the registry.
        service: Option<String>,
    },
    /// User and password.
    Basic,
}

/// The challenges in the values of the headers `WWW-Authenticate`, in their order. What cannot be read is passed over.
pub fn challenges<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let offered = headers.into_iter().flat_map(|header| http_auth::parse_challenges(header).unwrap_or_default());
    offered
        .filter_map(|challenge| {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                let realm = param("realm").and_then(|realm| realm.parse().ok());
                return Some(Challenge::Bearer { realm, service: param("service") });
            }
            challenge.scheme.eq_ignore_ascii_case("basic").then_some(Challenge::Basic)
        })
        .collect()
}

/// Where a token for reading `repository` is asked for.
pub fn token_address(mut realm: Url, service: Option<&str>, repository: &str) -> Url {
    if let Some(service) = service {
        realm.query_pairs_mut().append_pair("service", service);
    }
    realm.query_pairs_mut().append_pair("scope", &format!("repository:{repository}:pull"));
    realm
}

/// The token in the answer of a token service.
pub fn token(body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    ["token", "access_token"].iter().find_map(|key| answer[key].as_str()).map(str::to_owned)
}

/// `Retry-After` in seconds, at most an hour; dates are not read.
pub fn retry_after(value: &str) -> Option<Duration> {
    value.parse().ok().map(|seconds: u64| Duration::from_secs(seconds.min(3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_in_their_order() {
        let headers = [
            "Basic realm=\"r\"",
            "Negotiate",
            "Bearer realm=\"https://auth.example.org/token\",service=\"a \\\"b\\\"\"",
            "nonsense \u{1}",
            "bearer service=x",
        ];
        let realm = "https://auth.example.org/token".parse().ok();
        assert_eq!(
            challenges(headers),
            [
                Challenge::Basic,
                Challenge::Bearer { realm, service: Some("a \"b\"".into()) },
                Challenge::Bearer { realm: None, service: Some("x".into()) },
            ]
        );
    }

    #[test]
    fn a_token_is_asked_for_one_repository() {
        let realm: Url = "https://auth.example.org/token?account=me".parse().expect("an address");
        let address = token_address(realm, Some("r&d"), "team/app");
        assert_eq!(
            address.as_str(),
            "https://auth.example.org/token?account=me&service=r%26d&scope=repository%3Ateam%2Fapp%3Apull"
        );
        assert_eq!(token(br#"{"access_token": "t"}"#).as_deref(), Some("t"));
        assert_eq!(token(br#"{"token": 7}"#), None);
        assert_eq!(token(b"[1]"), None);
    }
}
