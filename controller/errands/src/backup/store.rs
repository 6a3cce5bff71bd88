//! The errand `backup-store`: a dump that is whole goes into the repository, and comes out again as it went in.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use drover_core::backup::Facts;
use drover_core::engine::{DUMP_FILE, FACTS_FILE};
use drover_core::errand::{Reason, Refusal};

use super::{Errand, Note, make_empty, now_millis, read_up_to};
use crate::clock;
use crate::failure::Final as _;

/// Bytes at the end of a dump among which its closing line is.
const CLOSING: u64 = 400;
/// The most bytes of what was in a database.
pub(super) const LARGEST_FACTS: u64 = (64 << 20) + 1;

/// Stores what the dump left, and takes it out again for the proof.
pub fn store(errand: &Errand) -> Result<(), Refusal> {
    let (dump, restored) = (errand.work.join("dump"), errand.work.join("restored"));
    // Whatever an earlier try in this pod left is not about what is stored now.
    for left in [errand.note(), errand.work.join("proof")] {
        let removed = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
        removed
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .or_final(Reason::ClaimFails, "the work folder cannot be written")?;
    }
    refuse_cut(&dump.join(DUMP_FILE), errand.order.engine.own().closing_line)?;
    let facts = read_up_to(&dump.join(FACTS_FILE), LARGEST_FACTS)?.unwrap_or_default();
    let facts = Facts::read(&facts).map_err(|why| {
        Refusal::new(Reason::DumpCut, format!("what was in the database when it was dumped cannot be read: {why}"))
    })?;
    let backups = errand.open(true)?;
    let stored = backups.store(&dump, clock::now())?;
    let name = stored.snapshot.name.clone();
    tracing::info!(%name, rows = facts.rows(), tables = facts.tables(), added_bytes = stored.added_bytes, "stored");
    let restoring_since = now_millis();
    make_empty(&restored)?;
    let came_back = backups.take_out(&stored.snapshot, &restored)?;
    if came_back != stored.contents {
        let sentence = format!(
            "the backup {name} came out of the repository otherwise than it went in: it is not proven, and the next backup tries again"
        );
        return Err(Refusal::new(Reason::RepositoryDamaged, sentence));
    }
    // The proof needs the room.
    fs::remove_dir_all(&dump).or_final(Reason::ClaimFails, "the work folder cannot be written")?;
    let note = Note { name, id: stored.snapshot.id(), added_bytes: stored.added_bytes, restoring_since };
    let text = serde_json::to_vec(&note).map_err(std::io::Error::from);
    text.and_then(|text| fs::write(errand.note(), text))
        .or_final(Reason::ClaimFails, "the work folder cannot be written")
}

/// Refuses a dump without its closing line.
fn refuse_cut(dump: &Path, closing_line: &str) -> Result<(), Refusal> {
    let end = || {
        let mut file = File::open(dump)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(CLOSING)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&end).into_owned())
    };
    let end = end().or_final(Reason::DumpCut, "there is no dump to store")?;
    if end.lines().any(|line| line == closing_line) {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::DumpCut,
        "the dump ends before its last line, so it is not stored: the next backup tries again",
    ))
}
