//! How far it is: one line of JSON a second, for whoever follows the log.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use drover_core::errand;

/// Counts what was fetched.
#[derive(Default)]
pub struct Progress {
    files: AtomicU64,
    of_files: AtomicU64,
    bytes: AtomicU64,
    of_bytes: AtomicU64,
}

impl Progress {
    /// Begins anew, with so much to do.
    pub fn begin(&self, files: u64, bytes: u64) {
        self.files.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.of_files.store(files, Relaxed);
        self.of_bytes.store(bytes, Relaxed);
    }

    /// So many bytes will it be, as is known now.
    pub fn expect_bytes(&self, bytes: u64) {
        self.of_bytes.store(bytes, Relaxed);
    }

    /// So many more bytes are there.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// So many bytes have to be fetched again.
    pub fn take_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// One more file is whole.
    pub fn add_file(&self) {
        self.files.fetch_add(1, Relaxed);
    }

    /// The files and bytes so far.
    pub fn fetched(&self) -> (u64, u64) {
        (self.files.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Tells of it each second, until dropped. What did not change is not told again.
    pub async fn tell(&self) {
        let mut told = (0, 0);
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (files, bytes) = self.fetched();
            if (files, bytes) == told {
                continue;
            }
            let progress = errand::Progress {
                files,
                of_files: self.of_files.load(Relaxed),
                bytes,
                of_bytes: self.of_bytes.load(Relaxed),
                bytes_per_second: bytes.saturating_sub(told.1),
            };
            // Nobody has to listen.
            let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(&progress).unwrap_or_default());
            told = (files, bytes);
        }
    }
}
