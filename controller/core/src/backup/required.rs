//! Whether there is the backup that a job asks for before it runs.

use drover_crds::condition::{self, BACKUP_VERIFIED};
use drover_crds::{Database, Duration, RequiredBackup};

/// How old the newest one may be, in seconds, where a job does not say.
const AGE: u64 = 24 * 3600;

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// One sentence.
    pub sentence: String,
    /// What is to be asked for: the same as long as nothing newer is there.
    pub ask: Option<String>,
}

/// What of `wanted`, which the job of that name asks for, is missing in `database`; `None` where nothing is. `now` is in seconds since 1970,
/// and `who` is who asks.
pub fn required(database: &Database, wanted: &RequiredBackup, job: &str, who: &str, now: i64) -> Option<Required> {
    let age = Duration::as_secs(wanted.max_age.unwrap_or_else(|| Duration::from_secs(AGE)));
    let shown = wanted.max_age.map_or_else(|| "24h".to_owned(), |age| age.to_string());
    let status = database.status.clone().unwrap_or_default();
    let verified = status.backups.iter().find(|kept| kept.verified.is_some());
    let is_new = |at: i64| u64::try_from(now - at).is_ok_and(|passed| passed <= age) || at > now;
    if verified.and_then(|kept| kept.at.as_ref()).is_some_and(|at| is_new(at.0.as_second())) {
        return None;
    }
    let name = database.metadata.name.clone().unwrap_or_default();
    let what =
        format!("a verified backup of Database {name} that is no older than {shown}, which the job {job} asks for");
    if database.spec.backup.is_none() {
        let sentence = format!(
            "there is no {}, and {name} has no spec.backup: write it, or remove requireBackup",
            what.trim_start_matches("a ")
        );
        return Some(Required { sentence, ask: None });
    }
    let newest =
        verified.map_or_else(|| "none is verified yet".to_owned(), |kept| format!("the newest is {}", kept.name));
    let said = condition::get(&status.conditions, BACKUP_VERIFIED).filter(|found| found.status == "False");
    let failed = said.map(|found| format!(". {}", found.message)).unwrap_or_default();
    let ask = (wanted.take_if_older == Some(true)).then(|| {
        let after = verified.map_or("nothing", |kept| kept.name.as_str());
        format!("{who} after {after}")
    });
    let how = if ask.is_some() { "one is asked for" } else { "`drover backup` makes one" };
    Some(Required { sentence: format!("Waiting for {what}: {newest}, and {how}{failed}"), ask })
}
