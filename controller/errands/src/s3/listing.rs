//! A page of a listing (ListObjectsV2), from the server's XML. What is not wholly understood is an error, never a shorter list.

use drover_core::errand::{Object, Reason};
use serde::Deserialize;

use crate::retry::Fault;

/// A page and what asks for the next.
#[derive(Debug)]
pub struct Page {
    pub objects: Vec<Object>,
    pub next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListBucketResult {
    is_truncated: bool,
    next_continuation_token: Option<String>,
    encoding_type: Option<String>,
    #[serde(default)]
    contents: Vec<Contents>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    last_modified: Option<String>,
}

/// Reads a page. What is no page counts as a server that does not work just now.
pub fn read(what: &str, xml: &str) -> Result<Page, Fault> {
    let unreadable = |why: String| Fault::passing(Reason::SourceFails, format!("{what} cannot be read: {why}"));
    if !xml.contains("<ListBucketResult") {
        return Err(unreadable("the answer is none of S3's, so the endpoint may be wrong".to_owned()));
    }
    let page: ListBucketResult = quick_xml::de::from_str(xml).map_err(|error| unreadable(error.to_string()))?;
    let is_encoded = page.encoding_type.as_deref() == Some("url");
    let next = match page.next_continuation_token.filter(|_| page.is_truncated) {
        None if page.is_truncated => return Err(unreadable("it goes on, and does not say how".to_owned())),
        next => next,
    };
    let objects = page.contents.into_iter().map(|found| {
        let key = if is_encoded { decode(&found.key) } else { Some(found.key) };
        let key = key.ok_or_else(|| unreadable("a key is no text".to_owned()))?;
        let etag = found.etag.filter(|etag| !etag.is_empty());
        Ok(Object { key, size: found.size, etag, modified: found.last_modified })
    });
    Ok(Page { objects: objects.collect::<Result<_, Fault>>()?, next })
}

/// The word for an error in the server's answer.
pub fn error_code(xml: &str) -> Option<String> {
    let (_, rest) = xml.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() <= 64 && !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| code.to_owned())
}

/// A key as `encoding-type=url` writes it: as in a form, where a space is a plus.
fn decode(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                bytes.extend(hex::decode(digits).ok()?);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Result<Page, String> {
        let xml = format!(
            r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>"#
        );
        read("the listing", &xml).map_err(|fault| fault.refusal.sentence)
    }

    #[test]
    fn keys_are_read_as_they_are() {
        let contents = "<Contents><Key>a%20b%2Bc+d/%C3%A9%01</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents>";
        let read = page(&format!("<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>{contents}"))
            .expect("a page");
        assert_eq!(read.objects[0].key, "a b+c d/é\u{1}");
        assert_eq!((read.objects[0].size, read.objects[0].etag.as_deref()), (7, Some("\"e\"")));
        let plain = page(
            "<IsTruncated>false</IsTruncated><Contents><Key>dir/</Key><Size>0</Size></Contents><Contents><Key>a&amp;+%20</Key><Size>1</Size></Contents>",
        );
        let keys: Vec<_> = plain.expect("a page").objects.into_iter().map(|object| object.key).collect();
        assert_eq!(keys, ["dir/", "a&+%20"]);
    }

    #[test]
    fn what_is_not_wholly_understood_is_no_page() {
        let contents = "<Contents><Key>a</Key><Size>7</Size></Contents>";
        for body in [
            "<IsTruncated>true</IsTruncated>".to_owned(),
            contents.to_owned(),
            "<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>".to_owned(),
            "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>%f</Key><Size>7</Size></Contents>".to_owned(),
        ] {
            page(&body).expect_err(&body);
        }
        for xml in
            ["<html>welcome</html>", "", "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>"]
        {
            assert!(read("the listing", xml).is_err(), "{xml}");
        }
    }

    #[test]
    fn of_an_error_only_its_word_is_told() {
        assert_eq!(
            error_code("<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>").as_deref(),
            Some("NoSuchBucket")
        );
        assert_eq!(error_code("<Code>a secret, or a page</Code>"), None);
    }
}
