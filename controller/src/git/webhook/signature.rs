//! Pure: does a request prove that it comes from who was given the token?

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Headers with `sha256=` and the HMAC-SHA256 of the body in hexadecimal.
const PREFIXED: [&str; 2] = ["x-hub-signature-256", "x-drover-signature"];
/// Headers with that HMAC alone.
const BARE: [&str; 2] = ["x-gitea-signature", "x-forgejo-signature"];

/// Whether `token` made one of the proofs in the request: the signatures of GitHub, Gitea, Forgejo and drover's own over the
/// body, GitLab's token, or the token as a bearer. Takes the same time whatever the proofs are. An empty token proves nothing.
pub fn verifies(headers: &HeaderMap, body: &[u8], token: &[u8]) -> bool {
    let expected = sign(body, token);
    let mut proven = Choice::from(0);
    let value = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let prefixed = PREFIXED.into_iter().filter_map(|name| value(name)?.strip_prefix(b"sha256="));
    for signature in prefixed.chain(BARE.into_iter().filter_map(value)) {
        let mut given = [0; 32];
        let readable = hex::decode_to_slice(signature, &mut given).is_ok();
        proven |= Choice::from(u8::from(readable)) & given.ct_eq(&expected);
    }
    let bearer = value("authorization").and_then(|value| value.split_at_checked(7));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer ")).map(|(_, token)| token);
    for given in [value("x-gitlab-token"), bearer].into_iter().flatten() {
        // Hashes, so that the time does not tell the token's length.
        proven |= Sha256::digest(given).ct_eq(&Sha256::digest(token));
    }
    bool::from(proven) && !token.is_empty()
}

fn sign(body: &[u8], token: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(token).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &str, value: &str) -> HeaderMap {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("name");
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("value"))])
    }

    #[test]
    fn knows_the_hosts_proofs() {
        // The example in GitHub's documentation on validating webhook deliveries.
        let (body, token) = (b"Hello, World!", b"It's a Secret to Everybody");
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        for (name, value) in [
            ("x-hub-signature-256", format!("sha256={hex}")),
            ("x-drover-signature", format!("sha256={hex}")),
            ("x-gitea-signature", hex.to_owned()),
            ("x-forgejo-signature", hex.to_owned()),
            ("x-gitlab-token", "It's a Secret to Everybody".to_owned()),
            ("authorization", "Bearer It's a Secret to Everybody".to_owned()),
        ] {
            assert!(verifies(&headers(name, &value), body, token), "{name}");
            let other_body = verifies(&headers(name, &value), b"Hello, World?", token);
            assert_eq!(other_body, value.contains("Secret"), "{name}");
            assert!(!verifies(&headers(name, &value), body, b"another"), "{name}");
        }
        assert!(!verifies(&HeaderMap::new(), body, token));
    }

    #[test]
    fn an_empty_token_proves_nothing() {
        let signature = format!("sha256={}", hex::encode(sign(b"body", b"")));
        assert!(!verifies(&headers("x-hub-signature-256", &signature), b"body", b""));
        assert!(!verifies(&headers("x-gitlab-token", ""), b"body", b""));
        assert!(!verifies(&headers("authorization", "Bearer "), b"body", b""));
    }

    proptest! {
        #[test]
        fn only_the_right_token_verifies(body in proptest::collection::vec(any::<u8>(), 0..64), token in "[ -~]{1,20}", other in "[ -~]{1,20}") {
            prop_assume!(token != other);
            let signature = format!("sha256={}", hex::encode(sign(&body, token.as_bytes())));
            prop_assert!(verifies(&headers("x-hub-signature-256", &signature), &body, token.as_bytes()));
            prop_assert!(!verifies(&headers("x-hub-signature-256", &signature), &body, other.as_bytes()));
        }

        #[test]
        fn no_header_makes_it_panic(value in "[ -~]{0,80}", name in prop::sample::select(vec!["x-hub-signature-256", "x-gitea-signature", "authorization"])) {
            prop_assert!(!verifies(&headers(name, &value), b"body", b"a token that is not in the alphabet: \xff"));
        }
    }
}
