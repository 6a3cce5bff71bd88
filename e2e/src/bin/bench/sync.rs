//! Data from a bucket: drover's errand beside rclone with its defaults, from the same versitygw on the same machine.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drover_e2e::BucketServer;
use rand::Rng as _;
use serde_json::json;

use crate::figures::{self, Row};

/// How often each of both copies the same.
const ROUNDS: usize = 3;

const KEYS: [(&str, &str); 2] = BucketServer::KEYS;

/// Many small files and a large one, each new and then unchanged. `None` without `versitygw` and `rclone` in the path.
pub fn beside_rclone() -> Option<Vec<Row>> {
    let is_there = |name: &str| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_there("versitygw") || !is_there("rclone") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = Gateway::start(folder.path());
    let mut rows = Vec::new();
    for (bucket, what, files, size) in
        [("small", "10,000 files of 10 KiB", 10_000, 10 << 10), ("large", "a file of 1 GiB", 1, 1 << 30)]
    {
        gateway.fill(bucket, files, size);
        rows.extend(measure(&gateway, bucket, what));
    }
    Some(rows)
}

fn measure(gateway: &Gateway, bucket: &str, what: &str) -> Vec<Row> {
    let (mut drover, mut rclone) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut resident = 0;
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (claim, copy) = (folder.path().join("claim"), folder.path().join("copy"));
        fs::create_dir(&claim).expect("a folder");
        // New, and then the same again.
        for again in 0..2 {
            rclone[again].push(timed(gateway.rclone(&["sync", &format!(":s3:{bucket}")]).arg(&copy)).0);
            let (took, most) = timed(&mut gateway.errand(folder.path(), &claim, bucket));
            drover[again].push(took);
            resident = resident.max(most);
        }
    }
    let median = |samples: &[Duration]| figures::percentile(samples, 50);
    let row = |again: usize, how: &str| {
        let (ours, theirs) = (median(&drover[again]), median(&rclone[again]));
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        let value = format!("{} / {}: {ratio:.2}", figures::milliseconds(theirs), figures::milliseconds(ours));
        Row::new(format!("{what}, {how}: rclone / drover"), value)
    };
    vec![
        row(0, "new"),
        row(1, "unchanged"),
        Row::new(format!("{what}: the errand's resident memory"), format!("{} MiB", resident >> 10)),
    ]
}

/// How long it takes, and its most resident memory in KiB. Each begins with nothing that is still to be written to the disk: the errand ends
/// when its set is there, and would have to wait for what others left.
fn timed(command: &mut Command) -> (Duration, u64) {
    let synced = Command::new("sync").status().expect("coreutils are there");
    assert!(synced.success(), "the disk takes no more");
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut resident = 0;
    loop {
        if let Some(ended) = child.try_wait().expect("its state") {
            assert!(ended.success(), "{command:?} fails");
            return (begun.elapsed(), resident);
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        resident = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(resident);
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Gateway {
    server: BucketServer,
    folder: PathBuf,
}

impl Gateway {
    fn start(folder: &Path) -> Self {
        let server = BucketServer::start(Path::new("versitygw"), "127.0.0.1", folder);
        Self { server, folder: folder.to_owned() }
    }

    fn rclone(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("rclone");
        command.args(["--config", "/dev/null", "--retries", "1"]).args(arguments);
        command.env("RCLONE_S3_PROVIDER", "Other").env("RCLONE_S3_ENDPOINT", self.server.endpoint());
        command.env("RCLONE_S3_REGION", "us-east-1");
        command.env("RCLONE_S3_ACCESS_KEY_ID", KEYS[0].1).env("RCLONE_S3_SECRET_ACCESS_KEY", KEYS[1].1);
        command
    }

    fn errand(&self, folder: &Path, claim: &Path, bucket: &str) -> Command {
        let secret = folder.join("secret");
        fs::create_dir_all(&secret).expect("a folder");
        for (key, value) in KEYS {
            fs::write(secret.join(key), value).expect("a key");
        }
        let paths = [json!({"from": "", "to": ""})];
        let source = json!({"endpoint": self.server.endpoint(), "region": "us-east-1", "bucket": bucket, "paths": paths, "signed": true});
        let order = json!({
            "source": {"s3": source}, "publish": "Live", "keep": 1, "keepForSeconds": 0, "timeoutSeconds": 600,
        });
        fs::write(folder.join("order"), order.to_string()).expect("an order");
        let own = std::env::current_exe().expect("a program");
        let mut command = Command::new(own.with_file_name("drover-errands"));
        command.arg("sync").arg("--order").arg(folder.join("order")).arg("--claim").arg(claim);
        command.arg("--result").arg(folder.join("result")).arg("--secret").arg(secret).arg("--allow-loopback");
        command
    }

    fn fill(&self, bucket: &str, files: usize, size: usize) {
        let source = self.folder.join(bucket);
        let mut bytes = vec![0; size.min(1 << 20)];
        for number in 0..files {
            let folder = source.join(format!("{:02}", number % 100));
            fs::create_dir_all(&folder).expect("a folder");
            rand::rng().fill_bytes(&mut bytes);
            let mut file = fs::File::create(folder.join(number.to_string())).expect("a file");
            for _ in 0..size / bytes.len() {
                file.write_all(&bytes).expect("room");
            }
        }
        for arguments in [vec!["mkdir"], vec!["copy", source.to_str().expect("text")]] {
            let bucket = format!(":s3:{bucket}");
            let done = self.rclone(&arguments).arg(&bucket).output().expect("rclone");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
