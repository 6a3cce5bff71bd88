//! What the server's own start says when it cannot go on: a word and what belongs to it, which becomes a sentence here. What it is not
//! known to say is not repeated.

use crate::engine::Engine;
use crate::render::named;

/// The longest value that is read, in bytes: the names of all extensions that an image has.
const LONGEST: usize = 3000;

/// Why a server does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// One CamelCase word.
    pub reason: &'static str,
    /// One sentence.
    pub sentence: String,
    /// Only a person can change it.
    pub is_final: bool,
}

/// What the last words of a server's start mean: `drover:WORD` and its values, with a line for each.
pub fn said(message: &str, engine: Engine) -> Option<Said> {
    let (server, word_of_it) = (engine.own().name, engine.own().word);
    let mut lines = message.lines();
    let word = lines.next()?.strip_prefix("drover:")?;
    let values: Vec<&str> = lines.take(8).map(str::trim).collect();
    let plain = |value: &&&str| {
        value.len() <= LONGEST && value.bytes().all(|b| b.is_ascii_alphanumeric() || b" ._,:/+-".contains(&b))
    };
    let value = |at: usize| values.get(at).filter(plain).map_or("?", |value| value);
    let (reason, sentence, is_final) = match word {
        "no-programs" => {
            let version = value(0);
            let sentence = format!(
                "the image has no {server} {version}: {} is not in it; name one in spec.image that has the server's programs",
                value(1)
            );
            ("ProgramsMissing", sentence, true)
        }
        "version" => {
            let sentence = format!(
                "the image has {server} {}, and spec.engine.{word_of_it}.version asks for {}: name an image of that version",
                value(0),
                value(1)
            );
            ("WrongVersion", sentence, true)
        }
        "data-version" => {
            let sentence = format!(
                "the claim holds the data of {server} {}, and spec.engine.{word_of_it}.version asks for {}: write {0} there, or move the data by dump and restore",
                value(0),
                value(1)
            );
            ("WrongVersion", sentence, true)
        }
        "other-engine" => {
            let sentence = format!(
                "the claim holds data that no {server} wrote: give the Database another name, or remove the folder `current` from the volume"
            );
            ("WrongVersion", sentence, true)
        }
        "owner" => {
            let sentence = format!(
                "the data on the claim belongs to user {}, and the server runs as {}: write `runAs: {{user: {0}}}`",
                value(0),
                value(1)
            );
            ("WrongUser", sentence, true)
        }
        "extension" => {
            let known: Vec<&str> = value(1).split(' ').filter(|name| !name.is_empty()).collect();
            let known = named(known.into_iter());
            let sentence = format!(
                "the image has no extension {}, which spec.engine.postgres.extensions asks for: it has {known}",
                value(0)
            );
            ("ExtensionMissing", sentence, true)
        }
        "full" => {
            let sentence = format!(
                "the volume is full, with {} KiB of {} KiB free, so the server does not start: raise spec.claim.resources.requests.storage",
                value(0),
                value(1)
            );
            ("VolumeFull", sentence, false)
        }
        "in-use" => {
            let sentence =
                "another process has the data on the claim: the server starts when that has ended".to_owned();
            ("DataInUse", sentence, false)
        }
        "setting-up" => {
            let sentence = "its user, database or extensions could not be set up: its log says why".to_owned();
            ("SetUpFailed", sentence, false)
        }
        _ => return None,
    };
    Some(Said { reason, sentence, is_final })
}
