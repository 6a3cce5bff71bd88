//! A bucket that holds what a test says, also keys that no real store on a file system takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::errand::order;
use super::server::{Reply, Request, Server};

#[derive(Clone, Debug)]
pub struct Object {
    pub body: Vec<u8>,
    pub content_type: &'static str,
    pub encoding: Option<&'static str>,
    pub modified: &'static str,
}

impl Object {
    fn etag(&self) -> String {
        let sum = self.body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("\"{sum:016x}\"")
    }
}

type Objects = Arc<Mutex<BTreeMap<String, Object>>>;

pub struct Bucket {
    pub server: Server,
    objects: Objects,
    ignores_conditions: Arc<AtomicBool>,
}

impl Bucket {
    pub fn new(keys: &[(&str, &str)]) -> Self {
        Self::faulty(keys, 1000, |_| None)
    }

    /// With pages of so many keys; what `fault` answers is answered instead.
    pub fn faulty(
        keys: &[(&str, &str)],
        page: usize,
        fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let objects = Objects::default();
        let held = Arc::clone(&objects);
        let ignores_conditions = Arc::<AtomicBool>::default();
        let ignores = Arc::clone(&ignores_conditions);
        let server = Server::start(move |request| {
            let is_known = !ignores.load(Relaxed);
            fault(request).unwrap_or_else(|| answer(&mut held.lock().expect("no panic"), page, request, is_known))
        });
        let bucket = Self { server, objects, ignores_conditions };
        for (key, body) in keys {
            bucket.put(key, body.as_bytes());
        }
        bucket
    }

    pub fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        self.put_as(key, body, |_| ());
    }

    pub fn put_as(&self, key: &str, body: impl Into<Vec<u8>>, change: impl FnOnce(&mut Object)) {
        let mut object = Object {
            body: body.into(),
            content_type: "text/plain",
            encoding: None,
            modified: "2026-09-01T00:00:00.000Z",
        };
        change(&mut object);
        self.objects.lock().expect("no panic").insert(key.into(), object);
    }

    /// From now on what has to be new is written all the same, as older servers do.
    pub fn ignore_conditions(&self) {
        self.ignores_conditions.store(true, Relaxed);
    }

    /// All that is there.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let held = self.objects.lock().expect("no panic");
        held.iter().map(|(key, object)| (key.clone(), object.body.clone())).collect()
    }

    pub fn remove(&self, key: &str) {
        self.objects.lock().expect("no panic").remove(key).expect("it was there");
    }

    /// An order for these entries.
    pub fn order(&self, paths: &[(&str, &str)], publish: &str) -> Value {
        let paths: Vec<_> = paths.iter().map(|(from, to)| json!({"from": from, "to": to})).collect();
        let source = json!({"endpoint": self.server.address, "region": "us-east-1", "bucket": "data", "paths": paths, "signed": false});
        order(&json!({"s3": source}), publish)
    }

    /// The keys that were read since the last time.
    pub fn read(&self) -> Vec<String> {
        let gets = self.server.seen().into_iter().filter(|request| request.method == "GET");
        let mut keys: Vec<_> = gets.filter_map(|request| key(&request).filter(|key| !key.is_empty())).collect();
        keys.sort();
        keys
    }
}

/// The key that a request is about; empty for the bucket.
pub fn key(request: &Request) -> Option<String> {
    let path = request.target.split('?').next()?.strip_prefix("/data")?;
    Some(decode(path.strip_prefix('/').unwrap_or(path)))
}

fn answer(objects: &mut BTreeMap<String, Object>, page: usize, request: &Request, is_known: bool) -> Reply {
    match key(request) {
        Some(key) if request.method == "PUT" => {
            if is_known && request.header("if-none-match") == Some("*") && objects.contains_key(&key) {
                return Reply::new(412, "<Error><Code>PreconditionFailed</Code></Error>");
            }
            let (body, content_type) = (request.body.clone(), "application/octet-stream");
            objects.insert(key, Object { body, content_type, encoding: None, modified: "2026-09-01T00:00:00.000Z" });
            Reply::new(200, "")
        }
        Some(key) if request.method == "DELETE" => {
            objects.remove(&key);
            Reply::new(204, "")
        }
        None => Reply::new(404, "<Error><Code>NoSuchBucket</Code></Error>"),
        Some(key) if key.is_empty() => {
            list(objects, page, request.target.split_once('?').map_or("", |(_, query)| query))
        }
        Some(key) => match objects.get(&key) {
            None => Reply::new(404, "<Error><Code>NoSuchKey</Code></Error>"),
            Some(object) => get(object, request),
        },
    }
}

fn get(object: &Object, request: &Request) -> Reply {
    if request.header("if-match").is_some_and(|etag| etag != object.etag()) {
        return Reply::new(412, "<Error><Code>PreconditionFailed</Code></Error>");
    }
    let reply = match request.range() {
        Some((from, to)) => Reply::new(206, &object.body[from..to.unwrap_or(object.body.len())]),
        None => Reply::new(200, object.body.clone()),
    };
    let reply = reply.with("ETag", &object.etag()).with("Content-Type", object.content_type);
    match object.encoding {
        Some(encoding) => reply.with("Content-Encoding", encoding),
        None => reply,
    }
}

fn list(objects: &BTreeMap<String, Object>, page: usize, query: &str) -> Reply {
    let query: BTreeMap<_, _> =
        query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name, decode(value))).collect();
    let (prefix, after) = (&query["prefix"], query.get("continuation-token"));
    let mut rest = objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .filter(|(key, _)| after.is_none_or(|after| *key > after));
    let contents: Vec<_> = rest.by_ref().take(page).collect();
    let next = rest.next().and_then(|_| contents.last()).map(|(key, _)| encode(key));
    let entries: String = contents
        .iter()
        .flat_map(|(key, object)| {
            [
                "<Contents><Key>".to_owned(),
                encode(key),
                "</Key><LastModified>".into(),
                object.modified.into(),
                "</LastModified><ETag>".into(),
                object.etag().replace('"', "&quot;"),
                "</ETag><Size>".into(),
                object.body.len().to_string(),
                "</Size></Contents>".into(),
            ]
        })
        .collect();
    let token =
        next.as_ref().map(|next| format!("<NextContinuationToken>{next}</NextContinuationToken>")).unwrap_or_default();
    let truncated = next.is_some();
    Reply::new(
        200,
        format!(
            "<ListBucketResult><IsTruncated>{truncated}</IsTruncated><EncodingType>url</EncodingType>{entries}{token}</ListBucketResult>"
        ),
    )
}

fn encode(key: &str) -> String {
    key.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"/.-_".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect::<Vec<_>>()
        .concat()
}

fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).expect("text")
}
