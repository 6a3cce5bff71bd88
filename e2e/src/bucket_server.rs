//! An S3 server that other people keep data on: versitygw, whose buckets are folders.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::run;

/// A running versitygw with a store of its own; it ends with the test. `cluster build versitygw` makes the program.
pub struct BucketServer {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl BucketServer {
    /// The names and values by which the one account's keys are known to programs that sign.
    pub const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "team"), ("AWS_SECRET_ACCESS_KEY", "team-of-drover")];

    /// Serves nothing yet, on that address of this machine; `program` is versitygw.
    pub fn start(program: &Path, address: &str, folder: &Path) -> Self {
        let port = TcpListener::bind((address, 0)).and_then(|socket| socket.local_addr()).expect("a port").port();
        let (address, store) = (format!("{address}:{port}"), folder.join("store"));
        fs::create_dir_all(&store).expect("the folder is ours");
        let [(_, key), (_, secret)] = Self::KEYS;
        let mut command = Command::new(program);
        command.env("ROOT_ACCESS_KEY", key).env("ROOT_SECRET_KEY", secret);
        command.args(["--port", &address, "posix"]).arg(&store);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let server = Self { child, address, folder: folder.to_owned() };
        let begun = Instant::now();
        while std::net::TcpStream::connect(&server.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "versitygw does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder that a bucket is.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        self.folder.join("store").join(bucket)
    }

    /// Makes a bucket.
    pub fn make(&self, bucket: &str) {
        self.signed(&["--request", "PUT"], bucket);
    }

    /// Puts an object there, or another in its place.
    pub fn put(&self, bucket: &str, key: &str, text: &str) {
        let staged = self.folder.join("staged");
        fs::write(&staged, text).expect("the folder is ours");
        self.put_file(bucket, key, &staged);
    }

    /// Puts a file there.
    pub fn put_file(&self, bucket: &str, key: &str, file: &Path) {
        self.signed(&["--upload-file", &file.display().to_string()], &format!("{bucket}/{key}"));
    }

    /// Takes an object away.
    pub fn remove(&self, bucket: &str, key: &str) {
        self.signed(&["--request", "DELETE"], &format!("{bucket}/{key}"));
    }

    fn signed(&self, arguments: &[&str], path: &str) {
        let [(_, key), (_, secret)] = Self::KEYS;
        let mut command = Command::new("curl");
        command.args(["--fail", "--silent", "--show-error", "--aws-sigv4", "aws:amz:us-east-1:s3"]);
        // Debian's curl says nothing of the payload by itself, and S3 asks for it.
        command.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        command.args(["--user", &format!("{key}:{secret}")]).args(arguments);
        run(command.arg(format!("{}/{path}", self.endpoint())));
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
