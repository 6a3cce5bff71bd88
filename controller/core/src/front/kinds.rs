//! Kinds of files: what browsers are told that they are, and by which endings a request is one for a file rather than for a page.

/// Media types and their endings.
pub const KINDS: [(&str, &str); 36] = [
    ("text/html", "html htm"),
    ("text/css", "css"),
    ("text/javascript", "js mjs"),
    ("application/json", "json map geojson"),
    ("application/manifest+json", "webmanifest"),
    ("application/wasm", "wasm"),
    ("application/xml", "xml"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/x-tar", "tar"),
    ("text/plain", "txt log"),
    ("text/csv", "csv"),
    ("text/tab-separated-values", "tsv"),
    ("text/markdown", "md"),
    ("image/png", "png"),
    ("image/jpeg", "jpg jpeg"),
    ("image/gif", "gif"),
    ("image/svg+xml", "svg"),
    ("image/webp", "webp"),
    ("image/avif", "avif"),
    ("image/x-icon", "ico"),
    ("image/tiff", "tif tiff"),
    ("image/bmp", "bmp"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("font/ttf", "ttf"),
    ("font/otf", "otf"),
    ("application/vnd.ms-fontobject", "eot"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
];

/// What is sent compressed.
pub const TEXTS: &str = "text/css text/javascript application/javascript application/json application/manifest+json \
    application/wasm application/xml application/rss+xml image/svg+xml text/plain text/csv text/tab-separated-values text/markdown \
    text/xml";

/// All endings, as alternatives of a regular expression.
pub fn endings() -> String {
    KINDS.iter().flat_map(|(_, endings)| endings.split(' ')).collect::<Vec<_>>().join("|")
}
