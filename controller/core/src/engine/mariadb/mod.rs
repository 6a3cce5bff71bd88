//! MariaDB.

use super::own::{CLAIM, MIB, Own, PROOF, PROVE, RESTORE, Script};

/// Connections that are open at a time.
const CONNECTIONS: i64 = 100;
const PORT: i32 = 3306;
/// What a server needs beside its cache.
const ITSELF: i64 = 128 * MIB;

const PROGRAMS: Script = ("programs.sh", include_str!("programs.sh"));
const SERVER: Script = ("server.sh", include_str!("server.sh"));
const FACTS: Script = ("facts.sql", include_str!("facts.sql"));
const NUMBERS: Script = ("numbers.sql", include_str!("numbers.sql"));

pub(super) static OWN: Own = Own {
    name: "MariaDB",
    word: "mariadb",
    port: PORT,
    scheme: "mysql",
    account: ("mysql", "MariaDB"),
    databases: &["mysql", "sys", "information_schema", "performance_schema"],
    users: &["mysql", "root", "public", "none"],
    reserved: None,
    least_memory: 128 * MIB,
    ends_by: None,
    serves: &[PROGRAMS, CLAIM, ("start.sh", include_str!("start.sh")), ("ready.sh", include_str!("ready.sh"))],
    backs_up: &[PROGRAMS, PROOF, SERVER, ("dump.sh", include_str!("dump.sh")), PROVE, FACTS, NUMBERS],
    restores: &[PROGRAMS, PROOF, SERVER, RESTORE, FACTS, NUMBERS, ("one.awk", include_str!("one.awk"))],
    variables: ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "MYSQL_PWD"],
    closing_line: "-- Dump completed",
};

/// Its configuration: half of the memory that it does not need for itself is its cache, and its log of changes is never more than an eighth of
/// the volume. Names are not resolved, since accounts are of no host, and what asks whether the port is open is no attack.
pub(super) fn configuration(memory: i64, storage: i64) -> Vec<(&'static str, String)> {
    let mib = |bytes: i64| format!("{}M", bytes / MIB);
    let lines = [
        ("bind_address", "*".to_owned()),
        ("port", PORT.to_string()),
        ("socket", "/run/drover/server.sock".to_owned()),
        ("pid_file", "/run/drover/server.pid".to_owned()),
        ("tmpdir", "/tmp".to_owned()),
        ("skip_name_resolve", "ON".to_owned()),
        ("local_infile", "OFF".to_owned()),
        ("max_connections", CONNECTIONS.to_string()),
        ("max_allowed_packet", "64M".to_owned()),
        ("innodb_buffer_pool_size", mib(((memory - ITSELF) / 2).max(8 * MIB))),
        ("innodb_log_file_size", mib((storage / 8).clamp(16 * MIB, 128 * MIB))),
        // What the kernel offers for it is often forbidden to containers.
        ("innodb_use_native_aio", "OFF".to_owned()),
        ("key_buffer_size", "8M".to_owned()),
        ("aria_pagecache_buffer_size", "8M".to_owned()),
        ("character_set_server", "utf8mb4".to_owned()),
        ("collation_server", "utf8mb4_unicode_520_ci".to_owned()),
        ("default_time_zone", "'+00:00'".to_owned()),
        ("event_scheduler", "ON".to_owned()),
        ("log_warnings", "1".to_owned()),
    ];
    let lines = lines.map(|(name, value)| format!("{name} = {value}\n")).concat();
    vec![("my.cnf", format!("[mariadbd]\n{lines}"))]
}

pub(super) fn first_error(said: &str) -> (Option<u64>, String) {
    let line = said.lines().find(|line| line.starts_with("ERROR")).or_else(|| said.lines().last());
    let line = line.unwrap_or("it ended without a word").trim();
    // ERROR 1146 (42S02) at line 12: what
    let Some((_, rest)) = line.split_once(" at line ") else { return (None, line.to_owned()) };
    let Some((number, what)) = rest.split_once(": ") else { return (None, line.to_owned()) };
    number.parse().map_or_else(|_| (None, line.to_owned()), |number| (Some(number), what.to_owned()))
}

/// ``-- Table structure for table `t` `` is `table t`.
pub(super) fn entry(line: &str) -> Option<String> {
    let comment = line.strip_prefix("-- ")?;
    let named = |name: &str| name.trim_end().trim_matches('`').replace("``", "`");
    let beginnings = [
        ("Table structure for table ", "table "),
        ("Dumping data for table ", "rows of table "),
        ("Temporary table structure for view ", "view "),
        ("Temporary view structure for view ", "view "),
        ("Final view structure for view ", "view "),
        ("Sequence structure for ", "sequence "),
    ];
    let found =
        beginnings.iter().find_map(|(begins, kind)| Some(format!("{kind}{}", named(comment.strip_prefix(begins)?))));
    found.or_else(|| {
        let all = [("Dumping routines for database ", "its routines"), ("Dumping events for database ", "its events")];
        all.into_iter().find(|(begins, _)| comment.starts_with(begins)).map(|(_, what)| what.to_owned())
    })
}
