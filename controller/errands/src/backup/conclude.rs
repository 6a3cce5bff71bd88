//! The errand `backup-conclude`: what came of the proof is judged and written into the backup, and what is not kept goes.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use drover_core::backup::{BackupResult, Candidate, Check, Ended, Entry, EntryFinder, Findings, Kept, to_forget};
use drover_core::engine::{DUMP_FILE, Engine, FACTS_FILE};
use drover_core::errand::{Reason, Refusal};

use super::store::LARGEST_FACTS;
use super::{Errand, Note, now_millis, read_up_to};
use crate::clock;
use crate::failure::Final as _;
use crate::repository::{Backups, Proof};

/// The most bytes of what a program said.
pub(super) const LARGEST_WORDS: u64 = 64 << 10;

/// Judges the proof, and removes what is not kept.
pub fn conclude(errand: &Errand) -> Result<BackupResult, Refusal> {
    let note = read_up_to(&errand.note(), LARGEST_WORDS)?.unwrap_or_default();
    let note: Note = serde_json::from_str(&note)
        .map_err(|_| Refusal::new(Reason::NotProven, "nothing says what was stored: the next backup tries again"))?;
    let source = read_up_to(&errand.work.join("restored").join(FACTS_FILE), LARGEST_FACTS)?.unwrap_or_default();
    let judged =
        findings(&errand.work, errand.order.engine, &errand.order.checks)?.judge(&source, &errand.order.checks);
    let took_seconds = now_millis().saturating_sub(note.restoring_since).div_ceil(1000);

    let backups = errand.open(false)?;
    let stored = backups.find(&note.name)?;
    if stored.id() != note.id && stored.proof.is_none() {
        let sentence = format!("the backup {} is another than the one that was stored: it is not proven", note.name);
        return Err(Refusal::new(Reason::NotProven, sentence));
    }
    let name = note.name.clone();
    let (ended, reason, mut message) = match judged {
        Ok(rows) => {
            let proof = Proof { verified_at: clock::now(), took_seconds, rows };
            if stored.proof.is_none() {
                backups.mark(&stored, &proof)?;
            }
            let message = format!(
                "Backup {name} is proven: it was restored in {took_seconds} s and holds all that was backed up, {rows} rows among it"
            );
            (Ended::Proven, "Proven".to_owned(), message)
        }
        Err(why) => (Ended::Unproven, Reason::NotProven.to_string(), format!("Backup {name} is not proven: {why}")),
    };
    let left = tidy(&backups, errand).unwrap_or_else(|refusal| {
        message = format!("{message}; {refusal}");
        None
    });
    let left = match left {
        Some(left) => left,
        None => backups.list()?.iter().rev().map(crate::repository::Snapshot::kept).collect(),
    };
    Ok(BackupResult {
        ended,
        reason,
        message,
        name: Some(name),
        repository: Some(backups.id()),
        added_bytes: note.added_bytes,
        backups: Some(left),
    })
}

/// Removes what is not kept. Returns what is left, the newest first.
fn tidy(backups: &Backups, errand: &Errand) -> Result<Option<Vec<Kept>>, Refusal> {
    let all = backups.list()?;
    let candidates: Vec<Candidate> =
        all.iter().map(|backup| Candidate { at: backup.at(), is_proven: backup.proof.is_some() }).collect();
    let gone = to_forget(&candidates, &errand.order.keep, &errand.order.zone()?, clock::now());
    backups.forget(&all, &gone)?;
    for place in &gone {
        tracing::info!(name = %all[*place].name, "removed");
    }
    let left = all.iter().enumerate().rev().filter(|(place, _)| !gone.contains(place));
    Ok(Some(left.map(|(_, backup)| backup.kept()).collect()))
}

/// What the script left behind.
pub(super) fn findings(work: &Path, engine: Engine, checks: &[Check]) -> Result<Findings, Refusal> {
    let proof = work.join("proof");
    let words = |name: &str| read_up_to(&proof.join(name), LARGEST_WORDS);
    let broken = if proof.join("broken").exists() {
        let (line, said) = engine.first_error(&words("load.err")?.unwrap_or_default());
        let entry = line.map(|line| entry_at(&work.join("restored").join(DUMP_FILE), engine, line)).transpose()?;
        Some((said, entry.flatten()))
    } else {
        None
    };
    let check = |at: usize| {
        let name = format!("check-{at}");
        if proof.join(format!("{name}.failed")).exists() {
            let (_, said) = engine.first_error(&words(&format!("{name}.err"))?.unwrap_or_default());
            return Ok(Err(said));
        }
        Ok(words(&name)?.ok_or_else(|| "it was not asked".to_owned()))
    };
    Ok(Findings {
        is_over: proof.join("over").exists(),
        failure: words("failure")?,
        broken,
        facts: read_up_to(&proof.join("facts"), LARGEST_FACTS)?,
        checks: (0..checks.len()).map(check).collect::<Result<_, Refusal>>()?,
    })
}

/// What that line of a dump is about.
fn entry_at(dump: &Path, engine: Engine, line: u64) -> Result<Option<Entry>, Refusal> {
    let failed = "the restored dump cannot be read";
    let mut reader = BufReader::with_capacity(1 << 20, File::open(dump).or_final(Reason::ClaimFails, failed)?);
    let (mut finder, mut text) = (EntryFinder::new(engine), Vec::new());
    for _ in 0..line {
        text.clear();
        if reader.read_until(b'\n', &mut text).or_final(Reason::ClaimFails, failed)? == 0 {
            break;
        }
        finder.line(text.strip_suffix(b"\n").unwrap_or(&text));
    }
    Ok(finder.found())
}
