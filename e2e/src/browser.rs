//! A page as a person's browser shows it: Debian's Chromium, without a screen.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::process::Command as Program;
use tokio::time::timeout;

/// How long a page may take, the start of the browser included.
const PAGE: Duration = Duration::from_secs(60);

/// A browser that finds all hosts at one address.
pub struct Browser {
    address: String,
}

impl Browser {
    /// Which finds all hosts at `ip:port`. `None` where there is no Chromium and `DROVER_ACCEPT_NO_BROWSER` says that this is accepted.
    pub fn at(address: &str) -> Option<Self> {
        let found = Command::new("chromium").arg("--version").stdout(Stdio::null()).status().is_ok();
        let accepted = std::env::var("DROVER_ACCEPT_NO_BROWSER").is_ok_and(|word| word == "1");
        assert!(found || accepted, "`make test` installs chromium on Debian; DROVER_ACCEPT_NO_BROWSER=1 does without");
        found.then(|| Self { address: address.to_owned() })
    }

    /// The page at `http://HOST/PATH` when its scripts have done their work, as HTML.
    pub async fn page(&self, host: &str, path: &str) -> Result<String, String> {
        let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut program = Program::new("chromium");
        // Tests run as root, whom Chromium serves without its sandbox only; shared memory may be small.
        program.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        program.arg(format!("--user-data-dir={}", profile.path().display()));
        program.arg(format!("--host-resolver-rules=MAP * {}", self.address));
        program.args(["--virtual-time-budget=10000", "--dump-dom", &format!("http://{host}{path}")]);
        program.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let output = timeout(PAGE, program.output()).await.map_err(|_| "the browser does not end".to_owned())?;
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("the browser ended with {}", output.status))
        }
    }
}
