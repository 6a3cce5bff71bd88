//! Verified backups: drover's scripts and errands beside the database's own dump and restore, of the same database on the same machine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drover_core::backup::{BackupResult, Ended};
use drover_core::engine::Engine;
use serde_json::json;
use tempfile::TempDir;

use crate::figures::Row;

/// Where Debian's postgresql-15 has its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// Rows of the table: with their indexes they make a database of 1 GB.
const ROWS: u32 = 5_200_000;

/// A database of 1 GB, backed up, and once more after one of its rows has changed. `None` without PostgreSQL, or for others than root.
pub fn of_a_gigabyte() -> Option<Vec<Row>> {
    let user = user()?;
    let bench = Bench::new(user);
    bench.fill();
    let size: f64 = bench.ask("select pg_database_size('app')").parse().expect("a number");
    let (dump, load) = bench.own();
    let (first, _, stages) = bench.verified();
    bench.ask("update t set note = 'changed' where id = 2600000");
    let (second, added, _) = bench.verified();
    let repository = bench.repository();
    let own = dump + load;
    let seconds = |took: Duration| format!("{:.1} s", took.as_secs_f64());
    let mut rows = vec![
        Row::new("the database", format!("{:.2} GB", size / 1e9)),
        Row::new("its own dump + its own restore", format!("{} + {}", seconds(dump), seconds(load))),
        Row::new(
            "a verified backup, the first",
            format!("{}: {:.2} times that", seconds(first), first.as_secs_f64() / own.as_secs_f64()),
        ),
    ];
    rows.extend(stages.into_iter().map(|(name, took)| Row::new(format!("… of which {name}"), seconds(took))));
    rows.push(Row::new(
        "a verified backup, after one changed row",
        format!("{}: {:.2} times that", seconds(second), second.as_secs_f64() / own.as_secs_f64()),
    ));
    #[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
    rows.push(Row::new(
        "what that adds to the repository",
        format!(
            "{:.2} MB of {:.0} MB: {:.2} %",
            added as f64 / 1e6,
            repository as f64 / 1e6,
            added as f64 / repository as f64 * 100.0
        ),
    ));
    Some(rows)
}

struct Bench {
    folder: TempDir,
    port: u16,
    user: (u32, u32),
}

impl Bench {
    fn new(user: (u32, u32)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let bench = Self { folder, port, user };
        for name in ["work", "server", "scripts", "claim", "own"] {
            bench.make(name);
        }
        for (name, text) in Engine::Postgres.own().backs_up {
            fs::write(bench.folder.path().join("scripts").join(name), text).expect("a script");
        }
        let order = json!({"database": "bench/db", "repository": "claim", "keep": {"daily": 7}, "timeZone": "UTC", "timeoutSeconds": 3600});
        fs::write(bench.folder.path().join("order.json"), order.to_string()).expect("an order");
        let data = bench.path("server/data");
        timed(&mut bench.program(
            "initdb",
            &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        ));
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c shared_buffers=128MB -c max_wal_size=4GB",
            bench.path("server")
        );
        timed(
            &mut bench
                .program("pg_ctl", &["-D", &data, "-l", &bench.path("server/log"), "-w", "-o", &options, "start"]),
        );
        bench
    }

    /// A folder of the user's.
    fn make(&self, name: &str) {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        chown(folder, Some(self.user.0), Some(self.user.1)).expect("we are root");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args([
            format!("--reuid={}", self.user.0),
            format!("--regid={}", self.user.1),
            "--clear-groups".to_owned(),
        ]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.arg(name).args(arguments).env("PATH", format!("{PROGRAMS}:{path}")).current_dir("/");
        command
    }

    fn psql(&self, database: &str, arguments: &[&str]) -> Command {
        let (host, port) = (self.path("server"), self.port.to_string());
        let mut all = vec![
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            &host,
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            database,
        ];
        all.extend(arguments);
        self.program("psql", &all)
    }

    fn ask(&self, sql: &str) -> String {
        let output = self.psql("app", &["-c", sql]).output().expect("psql");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn fill(&self) {
        timed(&mut self.psql("postgres", &["-c", "create database app"]));
        self.ask("create table t (id bigserial, ra float8 not null, dec float8 not null, note text not null)");
        self.ask(&format!(
            "insert into t (ra, dec, note) select random() * 360, random() * 180 - 90, md5(i::text) || md5((i + 1)::text) from generate_series(1, {ROWS}) i"
        ));
        self.ask("alter table t add primary key (id)");
        self.ask("create index on t (ra, dec)");
        self.ask("vacuum analyze t");
        self.ask("checkpoint");
    }

    /// The engine's own way: a dump into a file, and that into a new database of the same server.
    fn own(&self) -> (Duration, Duration) {
        let file = self.path("own/dump.sql");
        let (host, port) = (self.path("server"), self.port.to_string());
        let dump =
            timed(&mut self.program("pg_dump", &["-h", &host, "-p", &port, "-U", "postgres", "-f", &file, "app"]));
        timed(&mut self.psql("postgres", &["-c", "create database again"]));
        let load = timed(&mut self.psql("again", &["--single-transaction", "-f", &file]));
        timed(&mut self.psql("postgres", &["-c", "drop database again"]));
        fs::remove_file(file).expect("our file");
        self.ask("checkpoint");
        (dump, load)
    }

    /// A backup with its proof: how long it took, what it added, and how long each step took.
    fn verified(&self) -> (Duration, u64, Vec<(&'static str, Duration)>) {
        // The errands run as root here, whose files nobody else removes.
        fs::remove_dir_all(self.folder.path().join("work")).expect("our folder");
        self.make("work");
        let script = |name: &str| {
            let mut command = self.program("sh", &[&self.path(&format!("scripts/{name}"))]);
            command.env("VERSION", "15").env("WORK", self.path("work")).env("SCRIPTS", self.path("scripts"));
            command.env("RESULT", self.path("work/told")).env("RESTRICT_KEY", "bench").env("PROOF_BUFFERS", "128MB");
            command
        };
        let errand = |name: &str| {
            let own = std::env::current_exe().expect("a program");
            let mut command = Command::new(own.with_file_name("drover-errands"));
            command.arg(name).arg("--order").arg(self.path("order.json")).arg("--work").arg(self.path("work"));
            command.arg("--claim").arg(self.path("claim")).arg("--result").arg(self.path("result"));
            command
        };
        let mut dumping = script("dump.sh");
        dumping.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        dumping.env("PGDATABASE", "app").env("PGUSER", "postgres");
        let stages = [
            ("dump", &mut dumping),
            ("store and take out", &mut errand("backup-store")),
            ("load and compare", &mut script("prove.sh")),
            ("conclude", &mut errand("backup-conclude")),
        ]
        .map(|(name, command)| (name, timed(command)));
        let text = fs::read_to_string(self.path("result")).expect("a result");
        let result = BackupResult::read(&text).expect("a result");
        assert_eq!(result.ended, Ended::Proven, "{}", result.message);
        (stages.iter().map(|(_, took)| *took).sum(), result.added_bytes, stages.to_vec())
    }

    fn repository(&self) -> u64 {
        size(&self.folder.path().join("claim/restic"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.program("pg_ctl", &["-D", &self.path("server/data"), "-m", "immediate", "stop"]).output();
    }
}

/// Who Debian's server runs as, where there is one and we may become that.
fn user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let number = |field: usize| line.split(':').nth(field)?.parse().ok();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    (is_root && Path::new(PROGRAMS).is_dir()).then_some((number(2)?, number(3)?))
}

fn timed(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed()
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) })
        .sum()
}
