//! What runs in the database's own image: POSIX shell, and what every server of the kind has beside itself.

use sha2::{Digest as _, Sha256};

use super::order::Check;

/// Finds the server's programs: for all other scripts.
pub const PROGRAMS: &str = include_str!("scripts/programs.sh");
/// Dumps a database.
pub const DUMP: &str = include_str!("scripts/dump.sh");
/// Loads a dump into a server that is thrown away.
pub const PROVE: &str = include_str!("scripts/prove.sh");
/// A server of its own that a dump is loaded into: for [`PROVE`] and [`RESTORE`].
pub const SERVER: &str = include_str!("scripts/server.sh");
/// Loads a dump into a new folder of a claim.
pub const RESTORE: &str = include_str!("scripts/restore.sh");
/// Takes one database out of a dump.
pub const ONE: &str = include_str!("scripts/one.awk");
/// Gives what was loaded to its one user.
pub const OWN: &str = include_str!("scripts/own.sql");
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
