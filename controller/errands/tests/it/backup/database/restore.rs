//! What was dumped is loaded into a new folder of a claim, by the script that runs in the server's image, and put in its place.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use drover_core::restore::{Loaded, RestoreResult};
use serde_json::json;

use super::super::super::errand::until;
use super::super::command;
use super::{Database, SCHEMA, check, said};

/// A claim that something is loaded into, for the database `app` of the user `app`.
struct Claim<'a> {
    database: &'a Database,
    root: PathBuf,
}

impl<'a> Claim<'a> {
    fn new(database: &'a Database) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = database.backup.path(&format!("root-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&root).expect("a folder");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("our folder");
        if let Some((user, group)) = database.user {
            chown(&root, Some(user), Some(group)).expect("we are root");
        }
        Self { database, root }
    }

    /// What the script runs with: the backup that was taken out, or `file`.
    fn script(&self, name: &str, file: Option<&Path>) -> Command {
        let mut command = self.database.script("restore.sh");
        command.env("DATABASE", "app").env("OWNER", "app").env("ROOT", &self.root).env("NAME", name);
        command.env("FILE", file.unwrap_or(Path::new("")));
        command
    }

    fn conclude(&self, name: &str, dump: Option<&str>) -> RestoreResult {
        let order = json!({"name": name, "dump": dump, "checks": self.database.checks});
        fs::write(self.database.backup.path("restore.json"), order.to_string()).expect("an order");
        let mut errand = command("restore-conclude");
        for (option, value) in
            [("order", self.database.backup.path("restore.json")), ("work", self.database.backup.path("work"))]
        {
            errand.arg(format!("--{option}")).arg(value);
        }
        errand.arg("--data").arg(&self.root).arg("--result").arg(self.database.backup.path("result"));
        let output = errand.output().expect("the binary");
        let text =
            fs::read_to_string(self.database.backup.path("result")).unwrap_or_else(|_| panic!("{}", said(&output)));
        let result = RestoreResult::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(output.status.success(), result.ended != Loaded::Failed, "{text}");
        result
    }

    /// Loads a dump that somebody else made.
    fn load(&self, name: &str, file: &Path) -> RestoreResult {
        self.database.forget_the_last_run();
        let output = self.script(name, Some(file)).env("ONCE", "yes").output().expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
        self.conclude(name, Some("the dump x.sql"))
    }

    /// As the server's own start does.
    fn switch(&self) {
        let loaded = fs::read_link(self.root.join("next")).expect("a link");
        let _ = fs::remove_file(self.root.join("current"));
        symlink(loaded, self.root.join("current")).expect("a link");
        fs::remove_file(self.root.join("next")).expect("a link");
    }

    /// Asks the server that runs on what was loaded.
    fn ask(&self, database: &str, query: &str) -> String {
        let folder = ["next", "current"].map(|link| self.root.join(link)).into_iter().find(|link| link.exists());
        let folder = folder.expect("something was loaded").display().to_string();
        let run = self.root.display().to_string();
        let options = format!("-c listen_addresses='' -c unix_socket_directories={run}");
        self.database.succeeds("pg_ctl", &["-D", &folder, "-l", &format!("{run}/log"), "-w", "-o", &options, "start"]);
        let arguments = ["-X", "-A", "-t", "-h", &run, "-U", "postgres", "-d", database, "-c", query];
        let output = self.database.program("psql", &arguments).output().expect("psql");
        self.database.succeeds("pg_ctl", &["-D", &folder, "-m", "fast", "-w", "stop"]);
        assert!(output.status.success(), "{query}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Database {
    /// What another pod's work folder would not have. The errands are root's here, and in a pod all is of one user's.
    fn forget_the_last_run(&self) {
        for name in ["restored", "proof", "run", "taken"] {
            let path = self.backup.path("work").join(name);
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
    }

    /// Takes a backup out, as the first container of a restore does.
    fn take_out(&self) {
        self.forget_the_last_run();
        if let Some(result) = self.backup.run("backup-take") {
            panic!("{}", result.message);
        }
        if let Some((user, group)) = self.user {
            for name in ["restored", "restored/dump.sql", "restored/facts"] {
                chown(self.backup.path("work").join(name), Some(user), Some(group)).expect("we are root");
            }
        }
    }

    /// Runs one of the dump's programs as the superuser, and returns the file that it wrote.
    fn dumped_by(&self, program: &str, name: &str, more: &[&str]) -> PathBuf {
        let file = self.backup.path("work").join(name);
        let (host, port, path) = (self.path("server"), self.port.to_string(), file.display().to_string());
        let arguments = ["-h", &host, "-p", &port, "-U", "super", "-f", &path];
        self.succeeds(program, &arguments.into_iter().chain(more.iter().copied()).collect::<Vec<_>>());
        file
    }
}

const OWNERS: &str = "select string_agg(distinct pg_get_userbyid(relowner), ' ') from pg_class c join pg_namespace n on n.oid = relnamespace where nspname in ('public', 's') and relkind in ('r', 'p', 'v', 'm', 'S')";

#[test]
fn a_backup_takes_the_place_of_what_is_there() {
    let mut database = Database::new(SCHEMA);
    database.checks = vec![check("stars", "select count(*) from t", 20_000)];
    let backup = database.back_up().name.expect("a name");
    database.take_out();
    let claim = Claim::new(&database);
    let output = claim.script("0a1b2c3d", None).output().expect("a shell");
    assert!(output.status.success(), "{}", said(&output));
    let result = claim.conclude("0a1b2c3d", None);
    assert_eq!((result.ended, result.rows), (Loaded::Restored, 20_012), "{}", result.message);
    assert_eq!(result.from, format!("backup {backup}"));
    assert_eq!(claim.ask("app", "select count(*) from t"), "20000");
    assert_eq!(claim.ask("app", "show data_checksums"), "on");
    assert_eq!(claim.ask("app", OWNERS), "app");
    assert_eq!(claim.ask("postgres", "select count(*) from pg_authid where rolpassword is not null"), "0");

    // Whoever was killed after that and begins again finds it done, and so does a third one when the server has taken it.
    for _ in 0..2 {
        database.forget_the_last_run();
        assert!(claim.script("0a1b2c3d", None).output().expect("a shell").status.success());
        assert_eq!(claim.conclude("0a1b2c3d", None).ended, Loaded::Restored);
        if claim.root.join("next").exists() {
            claim.switch();
        }
    }
    // What the spec begins with leaves data alone.
    let kept = claim.load("ffffffff", Path::new("/nowhere"));
    assert_eq!(kept.ended, Loaded::Present, "{}", kept.message);
    assert!(!claim.root.join("next").exists());

    // One that does not hold what it held takes nobody's place.
    database.take_out();
    let dump = database.backup.path("work/restored/dump.sql");
    let text = fs::read_to_string(&dump).expect("a dump");
    fs::write(&dump, text.replace("CREATE INDEX t_q3c", "CREATE INDEX t_other")).expect("a dump");
    assert!(claim.script("11111111", None).output().expect("a shell").status.success());
    let other = claim.conclude("11111111", None);
    assert_eq!(other.ended, Loaded::Failed);
    assert!(
        other.message.contains("was loaded, and the backup does not hold what was backed up: index public.t_q3c"),
        "{}",
        other.message
    );
    assert!(!claim.root.join("next").exists());
    fs::write(&dump, text.replace("CREATE VIEW public.v", "CREATE VIEW nowhere.v")).expect("a dump");
    assert!(claim.script("11111111", None).output().expect("a shell").status.success());
    let broken = claim.conclude("11111111", None);
    assert!(broken.message.contains("does not load, because of view public.v: "), "{}", broken.message);
}

#[test]
fn another_databases_backup_becomes_this_ones() {
    let mut database = Database::new(SCHEMA);
    database.back_up();
    database.take_out();
    let claim = Claim::new(&database);
    let output =
        claim.script("0a1b2c3d", None).env("DATABASE", "sky").env("OWNER", "watcher").output().expect("a shell");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(claim.conclude("0a1b2c3d", None).ended, Loaded::Restored);
    assert_eq!(claim.ask("sky", OWNERS), "watcher");
}

/// What deployments have that were there before: dumps of one database or of all, by their superuser, in each form.
#[test]
fn dumps_that_others_made_become_one_users() {
    let database = Database::new(SCHEMA);
    database.psql("app", "create function public.by_super() returns int language plpgsql as $$ begin
GRANT SELECT ON nothing TO nobody;
return 1; end $$; create type mood as enum ('good'); create table of_super (id serial, m mood); insert into of_super (m) values ('good'); comment on extension q3c is 'x'; alter default privileges grant select on tables to reader;");
    database.psql("postgres", "create database other");
    database.psql("other", "create table wrong (id int)");
    let plain = database.dumped_by("pg_dump", "plain.sql", &["app"]);
    let gz = database.backup.path("work/plain.sql.gz");
    fs::write(&gz, Command::new("gzip").arg("-c").arg(&plain).output().expect("gzip").stdout).expect("a file");
    let dumps = [
        plain,
        gz,
        database.dumped_by("pg_dump", "custom.dump", &["--format=custom", "app"]),
        database.dumped_by("pg_dump", "clean.sql", &["--clean", "--no-owner", "app"]),
        database.dumped_by("pg_dump", "create.sql", &["--create", "--clean", "app"]),
        database.dumped_by("pg_dumpall", "all.sql", &["--clean"]),
    ];
    for (number, dump) in dumps.iter().enumerate() {
        fs::set_permissions(dump, fs::Permissions::from_mode(0o644)).expect("our file");
        let claim = Claim::new(&database);
        let result = claim.load(&format!("0000000{number}"), dump);
        let what = dump.display();
        assert_eq!((result.ended, result.rows), (Loaded::Restored, 20_013), "{what}: {}", result.message);
        assert_eq!(claim.ask("app", OWNERS), "app", "{what}");
        let of_others = "select count(*) from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = 'public' and proname = 'by_super' and pg_get_userbyid(proowner) <> 'app'";
        assert_eq!(claim.ask("app", of_others), "0", "{what}");
        assert!(
            claim
                .ask("app", "select prosrc from pg_proc where proname = 'by_super'")
                .contains("GRANT SELECT ON nothing")
        );
        assert_eq!(
            claim.ask("app", "select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname !~ '^pg_'"),
            "app postgres"
        );
        assert_eq!(
            claim.ask("postgres", "select string_agg(datname, ' ' order by datname) from pg_database"),
            "app postgres template0 template1"
        );
    }

    // Of several none is called as this one.
    let claim = Claim::new(&database);
    database.forget_the_last_run();
    let output = claim.script("00000009", Some(&dumps[5])).env("DATABASE", "sky").output().expect("a shell");
    assert!(output.status.success());
    let result = claim.conclude("00000009", Some("the dump all.sql"));
    assert!(
        result.message.contains("holds several databases, and none is called sky: ")
            && result.message.contains("other"),
        "{}",
        result.message
    );

    let refused = |name: &str, content: &[u8]| {
        let file = database.backup.path("work").join(name);
        fs::write(&file, content).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our file");
        let result = claim.load("00000008", &file);
        assert_eq!(result.ended, Loaded::Failed);
        assert!(!claim.root.join("next").exists());
        result.message
    };
    let whole = fs::read(&dumps[0]).expect("a dump");
    assert!(refused("cut.sql", &whole[..whole.len() / 2]).contains("the dump ends before its last line"));
    assert!(refused("cut.gz", &fs::read(&dumps[1]).expect("a dump")[..5000]).contains("cannot be unpacked"));
    assert!(refused("nothing.sql", b"").contains("the dump ends before its last line"));
    assert!(refused("x.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0]).contains("compressed by zstd"));
    let missing = claim.load("00000008", Path::new("/nowhere/x.sql"));
    assert!(missing.message.contains("there is no file x.sql where the spec says"), "{}", missing.message);
}

/// Killed at any moment, a load leaves what was there as it was, and the next one begins from nothing.
#[test]
fn a_load_that_is_killed_leaves_nothing_that_is_taken_for_data() {
    let database = Database::new(SCHEMA);
    let dump = database.dumped_by("pg_dump", "plain.sql", &["app"]);
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o644)).expect("our file");
    let claim = Claim::new(&database);
    for databases in [0, 1, 4] {
        database.forget_the_last_run();
        let mut running = claim.script("0000000a", Some(&dump)).process_group(0).spawn().expect("a shell");
        until("it is under way", || {
            let folders = fs::read_dir(claim.root.join("loading-0000000a/base"));
            folders.is_ok_and(|folders| folders.count() >= databases)
        });
        rustix::process::kill_process_group(rustix::process::Pid::from_child(&running), rustix::process::Signal::KILL)
            .expect("our child");
        running.wait().expect("it ends");
        // In a pod nothing outlives the script.
        let _ = database
            .program(
                "pg_ctl",
                &["-D", &claim.root.join("loading-0000000a").display().to_string(), "-m", "immediate", "stop"],
            )
            .output();
        let result = claim.conclude("0000000a", Some("the dump x.sql"));
        assert_eq!(result.ended, Loaded::Failed, "{}", result.message);
        assert!(!claim.root.join("next").exists() && !claim.root.join("current").exists());
    }
    let result = claim.load("0000000b", &dump);
    assert_eq!((result.ended, result.rows), (Loaded::Restored, 20_012), "{}", result.message);
    assert!(!claim.root.join("loading-0000000a").exists(), "what was left is gone");
}
