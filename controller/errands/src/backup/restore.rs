//! The errand `restore-conclude`: what was loaded beside a database is judged, and laid where its server's next start finds it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::UNIX_EPOCH;

use drover_core::backup::NotProven;
use drover_core::engine::FACTS_FILE;
use drover_core::errand::{Reason, Refusal};
use drover_core::restore::{Loaded, RestoreOrder, RestoreResult};

use super::conclude::{LARGEST_WORDS, findings};
use super::read_up_to;
use super::store::LARGEST_FACTS;
use super::take::TAKEN;
use crate::clock;
use crate::failure::Final as _;

/// Judges what the script left in `work`, and puts what it loaded on the claim `data` in its place.
pub fn conclude(order: &Path, work: &Path, data: &Path) -> Result<RestoreResult, Refusal> {
    let text = fs::read(order).or_final(Reason::BadOrder, format!("the order {} cannot be read", order.display()))?;
    let order = RestoreOrder::read(&text)?;
    let proof = work.join("proof");
    let taken = read_up_to(&work.join(TAKEN), LARGEST_WORDS)?.unwrap_or_default();
    let from = order.dump.clone().unwrap_or_else(|| format!("backup {}", taken.trim()));
    let result = |ended, reason: &str, message: String, rows| RestoreResult {
        ended,
        reason: reason.to_owned(),
        message,
        from: from.clone(),
        rows,
        took_seconds: since(&proof.join("began")),
    };
    match read_up_to(&proof.join("present"), LARGEST_WORDS)?.as_deref() {
        Some("data") => {
            let message = "the claim holds data already, which stays: nothing was loaded".to_owned();
            return Ok(result(Loaded::Present, "DataPresent", message, 0));
        }
        Some(_) => {
            let message = format!("{from} is in its place already");
            return Ok(result(Loaded::Restored, "Restored", message, 0));
        }
        None => {}
    }
    // Of a dump that somebody else made nothing says what was in it.
    let source = if order.dump.is_some() { proof.join("facts") } else { work.join("restored").join(FACTS_FILE) };
    let source = read_up_to(&source, LARGEST_FACTS)?.unwrap_or_default();
    match findings(work, order.engine, &order.checks)?.judge(&source, &order.checks) {
        Ok(rows) => {
            place(data, &order.name).or_final(Reason::ClaimFails, "what was loaded cannot be put in its place")?;
            let message = format!("{from} was loaded and checked, {rows} rows among it");
            Ok(result(Loaded::Restored, "Restored", message, rows))
        }
        Err(why) => Ok(result(Loaded::Failed, "NotRestored", sentence(&from, &why), 0)),
    }
}

fn sentence(from: &str, why: &NotProven) -> String {
    match why {
        NotProven::NotOver => format!("the load of {from} was ended before it was done"),
        NotProven::Broken(said, entry) => {
            let because = entry.as_ref().map(|entry| format!(", because of {entry}")).unwrap_or_default();
            format!("{from} does not load{because}: {said}")
        }
        NotProven::Differs(_) | NotProven::Facts(..) | NotProven::Check { .. } => {
            format!("{from} was loaded, and {why}")
        }
        NotProven::Failure(_) => why.to_string(),
    }
}

/// From one moment to the next: a link that the server's next start follows.
fn place(data: &Path, name: &str) -> io::Result<()> {
    let (loaded, folder) = (data.join(format!("loading-{name}")), format!("restored-{name}"));
    fs::rename(loaded, data.join(&folder))?;
    let beside = data.join("next.new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    symlink(&folder, &beside)?;
    fs::rename(beside, data.join("next"))?;
    File::open(data)?.sync_all()
}

/// Seconds since a file was written.
fn since(file: &Path) -> u64 {
    let written = fs::metadata(file).and_then(|found| found.modified());
    let at = written.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    at.and_then(|at| clock::millis().checked_sub(u64::try_from(at.as_millis()).ok()?))
        .map_or(0, |passed| passed.div_ceil(1000))
}
