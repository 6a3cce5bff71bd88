//! Requests as S3 wants them written and signed: AWS Signature Version 4
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).

use std::fmt::Write as _;

use drover_core::errand::{Reason, Refusal};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use url::{Position, Url};

use crate::secret::Keys;

/// The address of a key below `base`, with a query in the order of its names.
pub fn address(base: &str, key: &str, query: &[(&str, &str)]) -> String {
    let mut address = base.to_owned();
    if !key.is_empty() {
        address.push('/');
        encode(key, true, &mut address);
    }
    let mut query = query.to_vec();
    query.sort_unstable();
    for (at, (name, value)) in query.into_iter().enumerate() {
        address.push(if at == 0 { '?' } else { '&' });
        encode(name, false, &mut address);
        address.push('=');
        encode(value, false, &mut address);
    }
    address
}

/// The headers that sign a request with that body.
pub fn headers(
    keys: &Keys,
    region: &str,
    method: &Method,
    url: &Url,
    body: &[u8],
    now: Timestamp,
) -> Result<HeaderMap, Refusal> {
    let body = hex::encode(Sha256::digest(body));
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = &time[..8];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut signed = vec![("host", host), ("x-amz-content-sha256", body.as_str()), ("x-amz-date", time.as_str())];
    signed.extend(keys.session.as_deref().map(|session| ("x-amz-security-token", session)));
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines = signed.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join("\n");
    let request = format!("{method}\n{}\n{}\n{lines}\n\n{names}\n{body}", url.path(), url.query().unwrap_or_default());
    let scope = format!("{date}/{region}/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let key = [date, region, "s3", "aws4_request"]
        .into_iter()
        .fold(format!("AWS4{}", keys.secret).into_bytes(), |key, part| code(&key, part));
    let signature = hex::encode(code(&key, &text));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}", keys.id);
    let mut headers = HeaderMap::new();
    for (name, value) in signed.into_iter().skip(1).chain([(AUTHORIZATION.as_str(), authorization.as_str())]) {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Refusal::new(Reason::BadSecret, "the Secret's keys hold what cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).expect("a name of a header"), value);
    }
    Ok(headers)
}

fn code(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str, is_path: bool, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(char::from(byte)),
            b'/' if is_path => into.push('/'),
            _ => write!(into, "%{byte:02X}").expect("a string grows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's own examples, with the keys that they give.
    #[test]
    fn requests_are_signed_as_aws_does() {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session: None,
        };
        let now = "2013-05-24T00:00:00Z".parse().expect("a time");
        let address = address("https://examplebucket.s3.amazonaws.com", "", &[("prefix", "J"), ("max-keys", "2")]);
        assert_eq!(address, "https://examplebucket.s3.amazonaws.com?max-keys=2&prefix=J");
        let url = address.parse().expect("an address");
        let headers = headers(&keys, "us-east-1", &Method::GET, &url, b"", now).expect("headers");
        let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        let authorization = headers[AUTHORIZATION].to_str().expect("text");
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{authorization}");
        assert!(authorization.contains("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"));
    }

    #[test]
    fn a_key_stays_what_it_is_in_an_address() {
        let address = address("http://h:1/b", "a b/ü+%2F?#&", &[("prefix", "x/ y")]);
        assert_eq!(address, "http://h:1/b/a%20b/%C3%BC%2B%252F%3F%23%26?prefix=x%2F%20y");
        assert_eq!(address.parse::<Url>().expect("an address").as_str(), address);
    }
}
