//! A real PostgreSQL: its own programs dump it and prove the dump, by the scripts that run in its image.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use drover_core::backup::{BackupResult, Check, Ended};
use drover_core::engine::Engine;
use drover_core::errand::Reason;
use serde_json::json;

use super::Backup;

mod restore;

/// Where Debian's postgresql-15 has its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const PASSWORD: &str = "p@ss%word/of=app";

/// What the tests' database begins with.
const SCHEMA: &str = r#"
create extension q3c;
set role app;
create schema s;
create table t (id bigserial primary key, ra float8, dec float8, note text check (note in ('a', 'b')), unique (ra, dec));
insert into t (ra, dec, note) select i % 360, (i % 179) - 89.0 + i / 1e6, case i % 2 when 0 then 'a' else 'b' end from generate_series(1, 20000) i;
create index t_q3c on t (q3c_ang2ipix(ra, dec));
create table s."Odd ""name'
x" (id int generated always as identity, t bigint references t (id));
insert into s."Odd ""name'
x" (t) select id from t limit 10;
create sequence s.unused start 7;
create view v as select * from t;
create materialized view mv as select count(*) from t;
create table p (a int, b int) partition by range (a);
create table p1 partition of p for values from (0) to (10);
create index on p (b);
insert into p values (1, 1), (2, 2);
grant select on t to reader;
select lo_create(0);
"#;

/// A server of its own, and a place for its backups.
struct Database {
    backup: Backup,
    port: u16,
    user: Option<(u32, u32)>,
    checks: Vec<Check>,
}

impl Database {
    fn new(schema: &str) -> Self {
        let backup = Backup::new();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let user = rustix::process::geteuid().is_root().then(postgres);
        let database = Self { backup, port, user, checks: Vec::new() };
        let folder = database.backup.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our folder");
        for name in ["work", "server", "scripts"] {
            let folder = folder.join(name);
            fs::create_dir_all(&folder).expect("a folder");
            if let Some((user, group)) = user {
                chown(&folder, Some(user), Some(group)).expect("we are root");
            }
        }
        let own = Engine::Postgres.own();
        for (name, script) in own.backs_up.iter().chain(own.restores) {
            fs::write(folder.join("scripts").join(name), script).expect("a script");
        }
        let data = database.path("server/data");
        database
            .succeeds("initdb", &["-D", &data, "-U", "super", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]);
        fs::write(
            format!("{data}/pg_hba.conf"),
            "local all all trust\nhost all super 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
        )
        .expect("our server");
        database.start();
        let roles = format!("create role app login password '{PASSWORD}'; create role reader;");
        database.psql("postgres", &roles);
        database.psql("postgres", "create database app owner app");
        database.psql("app", schema);
        database
    }

    fn path(&self, name: &str) -> String {
        self.backup.path(name).display().to_string()
    }

    fn start(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off",
            self.port,
            self.path("server")
        );
        let (data, log) = (self.path("server/data"), self.path("server/log"));
        self.succeeds("pg_ctl", &["-D", &data, "-l", &log, "-w", "-o", &options, "start"]);
    }

    fn stop(&self) {
        let _ = self.program("pg_ctl", &["-D", &self.path("server/data"), "-m", "immediate", "stop"]).output();
    }

    /// One of the server's programs, as somebody whom it runs for.
    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = match self.user {
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
                command.arg(name);
                command
            }
            None => Command::new(name),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(arguments).env("PATH", format!("{PROGRAMS}:{path}")).current_dir("/");
        command
    }

    fn succeeds(&self, name: &str, arguments: &[&str]) {
        let status = self.program(name, arguments).stdout(std::process::Stdio::null()).status();
        assert!(status.unwrap_or_else(|error| panic!("{name}: {error}")).success(), "{name} {arguments:?}");
    }

    /// Does as the superuser.
    fn psql(&self, database: &str, sql: &str) {
        let port = self.port.to_string();
        let host = self.path("server");
        let to = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", &host, "-p", &port, "-U", "super", "-d", database, "-c"];
        self.succeeds("psql", &to.into_iter().chain([sql]).collect::<Vec<_>>());
    }

    fn script(&self, name: &str) -> Command {
        let mut command = self.program("sh", &[&self.path(&format!("scripts/{name}"))]);
        command.env("VERSION", "15").env("WORK", self.path("work")).env("SCRIPTS", self.path("scripts"));
        command.env("RESULT", self.path("work/told")).envs(Engine::Postgres.dumps_with("uid"));
        command
    }

    fn dumping(&self, password: &str) -> Command {
        let mut command = self.script("dump.sh");
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGDATABASE", "app").env("PGUSER", "app").env("PGPASSWORD", password);
        command
    }

    fn dump(&self) {
        // In a pod all is of one user's; here the errands are root's.
        let _ = fs::remove_dir_all(self.path("work/restored"));
        let output = self.dumping(PASSWORD).output().expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Stores what was dumped, and proves it.
    fn store_and_prove(&mut self) -> BackupResult {
        self.backup.order["checks"] = json!(self.checks);
        if let Some(result) = self.backup.run("backup-store") {
            panic!("not stored: {}", result.message);
        }
        for (at, check) in self.checks.iter().enumerate() {
            fs::write(self.path(&format!("scripts/check-{at}.sql")), Engine::Postgres.check_script(&check.query))
                .expect("a check");
        }
        let output = self.script("prove.sh").output().expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
        assert!(!Path::new(&self.path("work/server")).exists(), "the server for the proof is thrown away");
        self.backup.conclude()
    }

    fn back_up(&mut self) -> BackupResult {
        self.dump();
        self.store_and_prove()
    }

    fn dumped(&self) -> PathBuf {
        self.backup.path("work/dump/dump.sql")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who Debian's server runs as: it refuses root.
fn postgres() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("the users");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("Debian's postgresql-15 makes the user");
    let number = |field: usize| line.split(':').nth(field).and_then(|text| text.parse().ok()).expect("a number");
    (number(2), number(3))
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(super) fn check(name: &str, query: &str, min: i64) -> Check {
    Check { name: name.into(), query: query.into(), min }
}

#[track_caller]
pub(super) fn assert_unproven(result: &BackupResult, sentences: &[&str]) {
    assert_eq!((result.ended, result.reason.as_str()), (Ended::Unproven, "NotProven"), "{}", result.message);
    for sentence in sentences {
        assert!(result.message.contains(sentence), "{} has not: {sentence}", result.message);
    }
}

#[test]
fn a_database_is_backed_up_and_the_backup_is_proven() {
    let mut database = Database::new(SCHEMA);
    database.checks = vec![
        check("stars", "select count(*) from t", 20_000),
        check("near", "select count(*) from t where q3c_radial_query(ra, dec, 10, 10, 5)", 1),
    ];
    let result = database.back_up();
    assert_eq!(result.ended, Ended::Proven, "{}", result.message);
    assert_eq!(result.backups.expect("a list")[0].rows, Some(20_012));
    // Two dumps of the same data are the same.
    database.dump();
    let first = fs::read(database.dumped()).expect("a dump");
    database.dump();
    assert!(first == fs::read(database.dumped()).expect("a dump"), "they differ");
    let again = database.store_and_prove();
    assert_eq!(again.ended, Ended::Proven);
    assert!(again.added_bytes < 10_000, "{}", again.added_bytes);
    database.backup.restic(&["check", "--read-data"]);
}

#[test]
fn what_changes_while_it_is_dumped_is_not_missing() {
    let mut database = Database::new(SCHEMA);
    let (host, port) = (database.path("server"), database.port.to_string());
    // Rows may be counted for longer than they are dumped.
    let facts = database.path("scripts/facts.sql");
    let script = fs::read_to_string(&facts).expect("ours");
    fs::write(facts, format!("select pg_sleep(2) \\g /dev/null\n{script}")).expect("ours");
    let writes = "do $$ declare i int := 0; begin loop i := i + 1; perform pg_sleep(0.001); insert into t (ra, dec, note) values (i, random(), 'a'); perform nextval('s.unused'); commit; end loop; end $$";
    let mut busy = database
        .program("psql", &["-X", "-q", "-h", &host, "-p", &port, "-U", "super", "-d", "app", "-c", writes])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("psql");
    for _ in 0..3 {
        let result = database.back_up();
        assert_eq!(result.ended, Ended::Proven, "{}", result.message);
    }
    assert!(busy.try_wait().expect("a child").is_none(), "nothing was written meanwhile");
    let _ = busy.kill();
    let _ = busy.wait();
}

/// It loads without an error, and all rows are there.
#[test]
fn a_dump_that_is_cut_before_its_indexes_is_never_proven() {
    let mut database = Database::new(SCHEMA);
    assert_eq!(database.back_up().ended, Ended::Proven);
    database.dump();
    let text = fs::read_to_string(database.dumped()).expect("a dump");
    let (rows, _) = text.split_once("-- Name: t_id_seq; Type: SEQUENCE SET").expect("rows come before sequences");
    fs::write(database.dumped(), format!("{rows}\n{}\n--\n", Engine::Postgres.own().closing_line)).expect("a dump");
    let result = database.store_and_prove();
    assert_unproven(
        &result,
        &["the backup does not hold what was backed up", "index public.p1_b_idx of public.p1 is missing"],
    );
    let left = result.backups.expect("a list");
    assert_eq!(left.iter().map(|kept| kept.verified_at.is_some()).collect::<Vec<_>>(), [false, true]);
    // Without the closing line it is not even stored.
    database.dump();
    fs::write(database.dumped(), rows).expect("a dump");
    let refused = database.backup.run("backup-store").expect("a result");
    assert_eq!(refused.reason, Reason::DumpCut.to_string());
}

#[test]
fn rows_and_sequences_that_are_not_as_they_were_are_told() {
    let mut database = Database::new(
        "set role app; create table t (id serial); insert into t select nextval('t_id_seq') from generate_series(1, 9)",
    );
    database.dump();
    let text = fs::read_to_string(database.dumped()).expect("a dump");
    let other =
        text.replace("setval('public.t_id_seq', 9, true)", "setval('public.t_id_seq', 8, true)").replace("\n9\n", "\n");
    assert_ne!(text, other);
    fs::write(database.dumped(), other).expect("a dump");
    let result = database.store_and_prove();
    assert_unproven(
        &result,
        &["table public.t has 8 rows in place of 9", "sequence public.t_id_seq is at 8 in place of 9"],
    );
}

/// A dump is loaded with an empty search path, so what a function looks for without a schema is not found.
#[test]
fn an_index_that_does_not_come_back_is_named() {
    let mut database = Database::new(
        "set role app; create table t (id int); insert into t values (1), (2);
         create function helper(int) returns int language sql immutable as 'select $1 + 1';
         create function outer_one(int) returns int language sql immutable as 'select helper($1)';
         create index t_helped on t (outer_one(id))",
    );
    let result = database.back_up();
    assert_unproven(
        &result,
        &["does not load, because of index public.t_helped: function helper(integer) does not exist"],
    );
    database.psql("app", "alter function outer_one(int) set search_path = public");
    let result = database.back_up();
    assert_eq!(result.ended, Ended::Proven, "{}", result.message);
}

#[test]
fn a_check_that_fails_is_named() {
    let mut database = Database::new("set role app; create table run (id int); insert into run values (1)");
    database.checks = vec![check("runs", "select count(*) from run", 2)];
    assert_unproven(
        &database.back_up(),
        &["the check \"runs\" of the restored database answers 1, and must be 2 or more"],
    );
    database.checks =
        vec![check("runs", "select count(*) from run;", 1), check("more", "select count(*) from reduction", 1)];
    assert_unproven(
        &database.back_up(),
        &["the check \"more\" of the restored database fails: relation \"reduction\" does not exist"],
    );
}

#[test]
fn a_server_that_goes_away_while_it_is_dumped_leaves_no_dump() {
    let database = Database::new(SCHEMA);
    let told = |database: &Database| fs::read_to_string(database.path("work/told")).expect("a sentence");
    let output = database.dumping("wrong").output().expect("a shell");
    assert!(!output.status.success());
    assert!(
        told(&database).contains("the database cannot be asked: ")
            && told(&database).contains("password authentication failed"),
        "{}",
        told(&database)
    );
    database
        .psql("app", "set role app; insert into t (ra, dec) select random(), random() from generate_series(1, 300000)");
    let dump = database.dumping(PASSWORD).spawn().expect("a shell");
    super::super::errand::until("a dump is under way", || {
        fs::metadata(database.path("work/dump/part/dump.sql")).is_ok_and(|dump| dump.len() > 1 << 20)
    });
    database.stop();
    let output = dump.wait_with_output().expect("it ends");
    assert!(!output.status.success());
    assert!(told(&database).contains("the database cannot be "), "{}", told(&database));
    assert!(!database.dumped().exists(), "nothing is left to be stored");
    let gone = database.dumping(PASSWORD).env("PATIENCE", "3").output().expect("a shell");
    assert!(!gone.status.success() && told(&database).contains("Connection refused"), "{}", told(&database));
    // One that comes up meanwhile is waited for.
    let waiting = database.dumping(PASSWORD).spawn().expect("a shell");
    std::thread::sleep(std::time::Duration::from_secs(3));
    database.start();
    assert!(waiting.wait_with_output().expect("it ends").status.success(), "{}", told(&database));
    assert!(database.dumped().exists() && !told(&database).contains(PASSWORD));
}

#[test]
fn a_table_that_its_user_may_not_read_is_told() {
    let database = Database::new("create table t (id int)");
    let output = database.dumping(PASSWORD).output().expect("a shell");
    assert!(!output.status.success(), "{}", said(&output));
    let told = fs::read_to_string(database.path("work/told")).expect("a sentence");
    assert!(told.contains("permission denied for table t"), "{told}");
}
