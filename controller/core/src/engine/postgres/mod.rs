//! PostgreSQL.

use sha2::{Digest as _, Sha256};

use super::own::{CLAIM, MIB, Own, PROOF, PROVE, RESTORE, Script};

/// Connections that are open at a time.
const CONNECTIONS: i64 = 100;
/// Hexadecimal digits of a key.
const DIGITS: usize = 32;
const PORT: i32 = 5432;

const PROGRAMS: Script = ("programs.sh", include_str!("programs.sh"));
const SERVER: Script = ("server.sh", include_str!("server.sh"));
const FACTS: Script = ("facts.sql", include_str!("facts.sql"));
const SEQUENCES: Script = ("sequences.sql", include_str!("sequences.sql"));
const PREPARE: Script = ("prepare.sql", include_str!("prepare.sql"));

pub(super) static OWN: Own = Own {
    name: "PostgreSQL",
    word: "postgres",
    port: PORT,
    scheme: "postgresql",
    account: ("postgres", "PostgreSQL"),
    databases: &["postgres", "template0", "template1"],
    users: &["postgres", "public", "none"],
    reserved: Some("pg_"),
    least_memory: 64 * MIB,
    ends_by: Some("kill -INT 1"),
    serves: &[
        PROGRAMS,
        CLAIM,
        ("start.sh", include_str!("start.sh")),
        ("ready.sh", include_str!("ready.sh")),
        ("pg_hba.conf", ACCESS),
    ],
    backs_up: &[PROGRAMS, PROOF, SERVER, ("dump.sh", include_str!("dump.sh")), PROVE, FACTS, SEQUENCES, PREPARE],
    restores: &[
        PROGRAMS,
        PROOF,
        SERVER,
        RESTORE,
        FACTS,
        SEQUENCES,
        PREPARE,
        ("own.sql", include_str!("own.sql")),
        ("one.awk", include_str!("one.awk")),
    ],
    variables: ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"],
    closing_line: "-- PostgreSQL database dump complete",
};

/// Who may connect: from inside its pod anybody, since whoever is there may do all; over the network with a password.
const ACCESS: &str = "local all all trust\nhost all all all scram-sha-256\n";

/// Its configuration. Sizes follow PostgreSQL's own advice: a quarter of the memory for its cache, and its log of changes never more than an
/// eighth of the volume.
pub(super) fn configuration(memory: i64, storage: i64) -> Vec<(&'static str, String)> {
    let mib = |bytes: i64| format!("{}MB", (bytes / MIB).max(1));
    let log = (storage / 8).clamp(64 * MIB, 1024 * MIB);
    let lines = [
        ("listen_addresses", "'*'".to_owned()),
        ("port", PORT.to_string()),
        ("unix_socket_directories", "'/run/drover'".to_owned()),
        ("hba_file", "'/etc/drover/pg_hba.conf'".to_owned()),
        ("password_encryption", "scram-sha-256".to_owned()),
        ("max_connections", CONNECTIONS.to_string()),
        ("shared_buffers", mib(memory / 4)),
        ("effective_cache_size", mib(memory / 2)),
        ("work_mem", mib(memory / 256)),
        ("maintenance_work_mem", mib((memory / 16).max(16 * MIB))),
        ("max_wal_size", mib(log)),
        ("min_wal_size", mib((log / 4).max(32 * MIB))),
        ("log_destination", "stderr".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("datestyle", "'iso, mdy'".to_owned()),
        ("default_text_search_config", "'pg_catalog.english'".to_owned()),
        ("lc_messages", "C".to_owned()),
    ];
    vec![("postgresql.conf", lines.map(|(name, value)| format!("{name} = {value}\n")).concat())]
}

/// What guards a dump against a server that writes commands of psql into it. It is the same for each dump of the Database of that uid, so
/// that dumps of the same data are the same; nobody who only writes to the database knows the uid.
pub(super) fn restrict_key(uid: &str) -> String {
    hex::encode(Sha256::digest(format!("drover restrict {uid}")))[..DIGITS].to_owned()
}

pub(super) fn first_error(said: &str) -> (Option<u64>, String) {
    let is_error = |line: &&str| ["ERROR:", "FATAL:", "PANIC:", "error:"].iter().any(|word| line.contains(word));
    let line = said.lines().find(is_error).or_else(|| said.lines().last()).unwrap_or("it ended without a word");
    // psql:FILE:LINE: ERROR:  what
    let Some(rest) = line.strip_prefix("psql:") else { return (None, line.trim().to_owned()) };
    let (place, what) = rest.split_once(": ").unwrap_or(("", rest));
    let number = place.rsplit(':').next().and_then(|number| number.parse().ok());
    let what = what.trim().trim_start_matches("ERROR:").trim();
    (number, what.to_owned())
}

/// `-- Name: t_idx; Type: INDEX; Schema: public; Owner: app` is `index public.t_idx`.
pub(super) fn entry(line: &str) -> Option<String> {
    let rest = line.strip_prefix("-- Name: ").or_else(|| line.strip_prefix("-- Data for Name: "))?;
    let (name, rest) = rest.split_once("; Type: ")?;
    let (kind, rest) = rest.split_once("; Schema: ")?;
    let schema = rest.split(';').next().filter(|schema| !schema.is_empty() && *schema != "-");
    let whole = schema.map(|schema| format!("{schema}.")).unwrap_or_default();
    Some(format!("{} {whole}{name}", kind.to_lowercase()))
}
