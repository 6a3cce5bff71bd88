//! Whoever fills the bucket that the example viewbovis reads, as `btb-forestry` does.

use std::process::Command;

use serde_json::json;

use crate::bucket_server::BucketServer;
use crate::command::run;

const BUCKET: &str = "s3-csu-003";
const PREFIX: &str = "v3-2/btb-forest_prod/";

/// Uploads whole editions, or parts of one.
pub struct Forestry<'a> {
    server: &'a BucketServer,
}

impl<'a> Forestry<'a> {
    /// Its files besides the database and what describes it.
    pub const FILES: [&'static str; 4] =
        ["snp-matrix/a.json", "snp-matrix/b.json", "jsonExport/tree.json", "layers/counties.json"];

    /// In a bucket that it makes.
    pub fn new(server: &'a BucketServer) -> Self {
        server.make(BUCKET);
        Self { server }
    }

    /// Puts any text there.
    pub fn put(&self, key: &str, text: &str) {
        self.server.put(BUCKET, &format!("{PREFIX}{key}"), text);
    }

    /// Some files of an edition.
    pub fn put_part(&self, edition: &str, keys: &[&str]) {
        for key in keys {
            self.put(key, &json!({"edition": edition}).to_string());
        }
    }

    /// All of an edition.
    pub fn upload(&self, edition: &str) {
        self.put_part(edition, &Self::FILES);
        self.put_part(edition, &["Metadata/metadata.json"]);
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        let path = folder.path().join("viewbovis.db");
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table about (edition text)'); \
            c.execute('insert into about values (?)', (sys.argv[2],)); c.commit()";
        run(Command::new("python3").args(["-c", script]).arg(&path).arg(edition));
        self.server.put_file(BUCKET, &format!("{PREFIX}Metadata/viewbovis.db"), &path);
    }
}
