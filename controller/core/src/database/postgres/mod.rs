//! A PostgreSQL server: what its start runs, and how it is configured for its memory and its volume.

use super::ValidatedDatabase;
use crate::backup::PROGRAMS;

/// The port that it listens on.
pub const PORT: i32 = 5432;
/// Connections that are open at a time.
const CONNECTIONS: i64 = 100;

const MIB: i64 = 1 << 20;

/// The scripts, by the names of their files.
pub const SCRIPTS: [(&str, &str); 3] =
    [("programs.sh", PROGRAMS), ("start.sh", include_str!("start.sh")), ("ready.sh", include_str!("ready.sh"))];

/// Who may connect: from inside its pod anybody, since whoever is there may do all; over the network with a password.
pub const ACCESS: &str = "local all all trust\nhost all all all scram-sha-256\n";

/// Its configuration. Sizes follow PostgreSQL's own advice: a quarter of the memory for its cache, and its log of changes never more than an
/// eighth of the volume.
pub fn configuration(database: &ValidatedDatabase) -> String {
    let mib = |bytes: i64| format!("{}MB", (bytes / MIB).max(1));
    let memory = database.memory;
    let log = (database.storage / 8).clamp(64 * MIB, 1024 * MIB);
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
    lines.map(|(name, value)| format!("{name} = {value}\n")).concat()
}
