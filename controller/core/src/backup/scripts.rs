//! What runs in the database's own image: POSIX shell, and what every server of the kind has beside itself.

use sha2::{Digest as _, Sha256};

use super::order::Check;

/// Dumps a database.
pub const DUMP: &str = include_str!("scripts/dump.sh");
/// Loads a dump into a server that is thrown away.
pub const PROVE: &str = include_str!("scripts/prove.sh");
/// Says what is in a database.
pub const FACTS: &str = include_str!("scripts/facts.sql");
/// Says where its sequences are when the dump is done.
pub const LATER: &str = include_str!("scripts/later.sql");
/// Makes what a dump counts on.
pub const PREPARE: &str = include_str!("scripts/prepare.sql");

/// The dump, in its folder and in a backup.
pub const DUMP_FILE: &str = "dump.sql";
/// What was in the database, beside it.
pub const FACTS_FILE: &str = "facts";
/// What a whole dump ends with; newer servers have one line more.
pub const CLOSING_LINE: &str = "-- PostgreSQL database dump complete";

/// Hexadecimal digits of a key.
const DIGITS: usize = 32;

/// What guards a dump against a server that writes commands of psql into it. It is the same for each dump of the Database of that uid, so
/// that dumps of the same data are the same; nobody who only writes to the database knows the uid.
pub fn restrict_key(uid: &str) -> String {
    hex::encode(Sha256::digest(format!("drover restrict {uid}")))[..DIGITS].to_owned()
}

/// What psql is told for a check: one number comes of it.
pub fn check_script(check: &Check) -> String {
    let query = check.query.trim().trim_end_matches(';');
    format!("set statement_timeout = '10min';\nselect ({query}\n)::numeric;\n")
}
