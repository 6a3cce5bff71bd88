//! What was dumped is loaded into a new folder of a claim, by the script that runs in the server's image, and put in its place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drover_core::restore::{Loaded, RestoreResult};
use serde_json::json;

use super::super::super::errand::until;
use super::super::command;
use super::super::database::{check, said};
use super::server::Maria;
use super::{ROWS, SCHEMA};

/// What `mysqldump` of MySQL 8 makes, as far as a MariaDB knows it otherwise.
const OF_MYSQL: &str = r#"-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
--
-- Host: localhost    Database: autoreduction
-- ------------------------------------------------------
-- Server version	8.0.36

/*!50503 SET NAMES utf8mb4 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5';

CREATE DATABASE /*!32312 IF NOT EXISTS*/ `autoreduction` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci */ /*!80016 DEFAULT ENCRYPTION='N' */;

USE `autoreduction`;

DROP TABLE IF EXISTS `run`;
CREATE TABLE `run` (
  `id` int NOT NULL AUTO_INCREMENT,
  `name` varchar(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs NOT NULL,
  `bin` varchar(20) COLLATE utf8mb4_0900_bin DEFAULT NULL,
  `j` json DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
LOCK TABLES `run` WRITE;
INSERT INTO `run` VALUES (1,'utf8mb4_0900_ai_ci stays','x','{\"a\": 1}'),(2,'Utf8',NULL,NULL);
UNLOCK TABLES;
/*!50003 SET collation_connection  = utf8mb4_0900_ai_ci */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`%`*/ /*!50003 TRIGGER `tr` BEFORE INSERT ON `run` FOR EACH ROW BEGIN
SET NEW.name = coalesce(NEW.name, 'x');
END */;;
DELIMITER ;
SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;
-- Dump completed on 2022-08-12 13:57:00
"#;

impl Maria {
    /// An empty claim, beside the one that a server runs on.
    fn empty_claim(&self) -> PathBuf {
        let root = self.backup.path("root");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).expect("a folder");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("our folder");
        self.hand_over(&root);
        root
    }

    fn restoring(&self, root: &Path, name: &str, file: &Path) -> Command {
        let mut command = self.script("restore.sh");
        command.env("DATABASE", "app").env("OWNER", "app").env("ROOT", root).env("NAME", name).env("FILE", file);
        command
    }

    fn restored(&self, root: &Path, name: &str, dump: Option<&str>) -> RestoreResult {
        let order = json!({"name": name, "engine": "mariadb", "dump": dump, "checks": self.checks});
        fs::write(self.backup.path("restore.json"), order.to_string()).expect("an order");
        let mut errand = command("restore-conclude");
        for (option, path) in [("order", self.backup.path("restore.json")), ("work", self.backup.path("work"))] {
            errand.arg(format!("--{option}")).arg(path);
        }
        errand.arg("--data").arg(root).arg("--result").arg(self.backup.path("result"));
        let output = errand.output().expect("the binary");
        let text = fs::read_to_string(self.backup.path("result")).unwrap_or_else(|_| panic!("{}", said(&output)));
        RestoreResult::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Loads a dump that somebody else made onto an empty claim.
    fn load(&self, root: &Path, file: &Path) -> RestoreResult {
        self.forget_the_last_run();
        let output = self.restoring(root, "0a1b2c3d", file).env("ONCE", "yes").output().expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
        self.restored(root, "0a1b2c3d", Some("the dump x.sql"))
    }

    /// What another pod's work folder would not have.
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
        for name in ["restored", "restored/dump.sql", "restored/facts"] {
            self.hand_over(&self.backup.path("work").join(name));
        }
    }

    /// What the server's administrator dumps.
    fn dumped_by_admin(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let file = self.backup.path("work").join(name);
        let mut dump = self.program("mariadb-dump");
        dump.args(["--no-defaults", "--protocol=socket", &format!("--socket={}", self.path("run/server.sock"))]);
        dump.arg(format!("--user={}", self.who_runs_it())).args(arguments);
        let written = dump.stdout(fs::File::create(&file).expect("a file")).status().expect("mariadb-dump");
        assert!(written.success(), "{arguments:?}");
        file
    }

    /// Asks a server on what was loaded onto that claim, which nobody reaches by a password.
    fn ask_restored(&self, root: &Path, sql: &str) -> String {
        let folder = ["next", "current"].map(|link| root.join(link)).into_iter().find(|link| link.exists());
        let socket = root.join("s").display().to_string();
        let mut server = self.program("mariadbd");
        server.args(["--no-defaults", "--skip-networking", "--innodb-use-native-aio=OFF", "--skip-name-resolve"]);
        server.arg(format!("--datadir={}", folder.expect("something was loaded").display()));
        server.arg(format!("--socket={socket}")).arg(format!("--pid-file={}", root.join("pid").display()));
        let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mariadbd");
        until("it answers", || self.asked(self.admin(&socket), "select 1").is_ok());
        let answer = self.asked(self.admin(&socket), sql).unwrap_or_else(|why| panic!("{sql}: {why}"));
        rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM)
            .expect("our child");
        server.wait().expect("it ends");
        answer
    }
}

const DEFINERS: &str = "select distinct definer from (select definer from information_schema.views where table_schema not in ('sys', 'mysql')
    union all select definer from information_schema.triggers where trigger_schema <> 'sys'
    union all select definer from information_schema.events
    union all select definer from information_schema.routines where routine_schema not in ('sys', 'mysql')) x";
const ACCOUNTS: &str = "select group_concat(user order by user) from mysql.user where user not in ('mariadb.sys', 'root') and host <> 'localhost'";

#[test]
fn a_backup_takes_the_place_of_what_is_there() {
    let mut maria = Maria::new(SCHEMA);
    maria.checks = vec![check("stars", "select count(*) from t", 20_000)];
    let backup = maria.back_up().name.expect("a name");
    maria.take_out();
    let root = maria.backup.path("data");
    let nothing = Path::new("");
    maria.sql("delete from txt; insert into p values (3, 3)");
    let output = maria.restoring(&root, "0a1b2c3d", nothing).output().expect("a shell");
    assert!(output.status.success(), "{}", said(&output));
    let result = maria.restored(&root, "0a1b2c3d", None);
    assert_eq!((result.ended, result.rows), (Loaded::Restored, ROWS), "{}", result.message);
    assert_eq!(result.from, format!("backup {backup}"));
    // The server goes on with what it has, until it is started anew; the password is the Secret's of now.
    assert_eq!(maria.sql("select count(*) from p"), "3");
    maria.stop();
    maria.set_password("new");
    maria.start();
    let ask = |sql: &str| maria.asked(maria.client("new"), sql).expect("an answer");
    assert_eq!(ask("select count(*) from p"), "2");
    assert_eq!(ask("select s from txt").replace('\r', "\\r"), "one\nCREATE DEFINER=`a`@`b` \\ ' é 😀\\r\nUSE `other`;");
    assert_eq!(ask("call pr()"), "DEFINER=`x`@`y`");
    assert_eq!(maria.as_admin(DEFINERS), "app@%");
    assert!(root.join("before/MARIADB_VERSION").exists());

    // Whoever was killed after that and begins again finds it done.
    maria.forget_the_last_run();
    assert!(maria.restoring(&root, "0a1b2c3d", nothing).output().expect("a shell").status.success());
    assert_eq!(maria.restored(&root, "0a1b2c3d", None).ended, Loaded::Restored);
    assert_eq!(maria.load(&root, Path::new("/nowhere")).ended, Loaded::Restored);
    maria.forget_the_last_run();
    let kept = maria.restoring(&root, "ffffffff", Path::new("/nowhere")).env("ONCE", "yes").output().expect("a shell");
    assert!(kept.status.success());
    assert_eq!(maria.restored(&root, "ffffffff", Some("the dump x.sql")).ended, Loaded::Present);
    assert!(!root.join("next").exists());

    // Of another server it becomes this one's.
    maria.take_out();
    let root = maria.empty_claim();
    let mut other = maria.restoring(&root, "11111111", nothing);
    assert!(other.env("DATABASE", "sky_x").env("OWNER", "watcher").output().expect("a shell").status.success());
    let result = maria.restored(&root, "11111111", None);
    assert_eq!(result.ended, Loaded::Restored, "{}", result.message);
    assert_eq!(maria.ask_restored(&root, DEFINERS), "watcher@%");
    assert_eq!(maria.ask_restored(&root, "select db from mysql.db where user = 'watcher'"), r"sky\_x");
}

/// What deployments have that were there before: dumps of one database or of all, by their administrator.
#[test]
fn dumps_that_others_made_become_one_users() {
    let maria = Maria::new(SCHEMA);
    maria.as_admin(
        "create database other; create table other.wrong (id int);
         create user old@'%' identified by 'old'; grant all on *.* to old@'%';
         create definer=old@'%' sql security definer view app.v2 as select 1 as one;
         create definer=old@'%' procedure app.pr2() select 1;",
    );
    let all = ["--routines", "--events", "--triggers"];
    let of = |name: &str, more: &[&str]| {
        maria.dumped_by_admin(name, &all.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let plain = of("plain.sql", &["app"]);
    // Without --hex-blob rows are bytes.
    let whole = fs::read(&plain).expect("a dump");
    let text = String::from_utf8_lossy(&whole).into_owned();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("enable the sandbox mode"), "{first}");
    let older = maria.backup.path("work/older.sql");
    fs::write(&older, &whole[first.len() + 1..]).expect("a file");
    let gz = maria.backup.path("work/plain.sql.gz");
    fs::write(&gz, Command::new("gzip").arg("-c").arg(&plain).output().expect("gzip").stdout).expect("a file");
    let all = of("all.sql", &["--all-databases", "--flush-privileges", "--add-drop-database"]);
    let dumps = [plain, older, gz, of("named.sql", &["--databases", "app"]), all];
    for dump in &dumps {
        let root = maria.empty_claim();
        fs::set_permissions(dump, fs::Permissions::from_mode(0o644)).expect("our file");
        let (result, what) = (maria.load(&root, dump), dump.display());
        assert_eq!((result.ended, result.rows), (Loaded::Restored, ROWS), "{what}: {}", result.message);
        assert_eq!(maria.ask_restored(&root, DEFINERS), "app@%", "{what}");
        assert_eq!(maria.ask_restored(&root, ACCOUNTS), "app", "{what}");
        assert_eq!(maria.ask_restored(&root, "show databases like 'o%'"), "", "{what}");
    }

    let refused = |file: &Path, database: &str| {
        let root = maria.empty_claim();
        maria.forget_the_last_run();
        let mut restoring = maria.restoring(&root, "00000009", file);
        assert!(restoring.env("DATABASE", database).output().expect("a shell").status.success());
        let result = maria.restored(&root, "00000009", Some("the dump x.sql"));
        assert!(result.ended == Loaded::Failed && !root.join("next").exists());
        result.message
    };
    let said = refused(&dumps[4], "sky");
    assert!(said.contains("holds several databases, and none is called sky: ") && said.contains("other"), "{said}");
    let refused = |content: &[u8]| {
        let file = maria.backup.path("work/x.sql");
        fs::write(&file, content).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our file");
        refused(&file, "app")
    };
    assert!(refused(&whole[..whole.len() / 2]).contains("the dump ends before its last line, or mariadb-dump"));
    assert!(refused(&fs::read(&dumps[2]).expect("a dump")[..5000]).contains("cannot be unpacked"));
    assert!(refused(b"PGDMP...").contains("one of PostgreSQL's"));
    assert!(refused(b"\x28\xb5\x2f\xfd\0").contains("compressed by zstd"));
    // Nothing outside of its database is touched, and nothing of the machine.
    let said = refused(text.replace("CREATE TABLE `p`", "CREATE TABLE mysql.x (a int); CREATE TABLE `p`").as_bytes());
    assert!(said.contains("does not load, because of table p: CREATE command denied"), "{said}");
    let touched = maria.backup.path("work/touched");
    let said = refused(
        text.replace("CREATE TABLE `p`", &format!("\\! touch {}\nCREATE TABLE `p`", touched.display())).as_bytes(),
    );
    assert!(said.contains("Unknown command '\\!'") && !touched.exists(), "{said}");
}

#[test]
fn a_dump_of_mysql_comes_with_the_order_that_is_nearest() {
    let maria = Maria::new("create table t (id int)");
    let dump = maria.backup.path("work/mysql.sql");
    fs::write(&dump, OF_MYSQL).expect("a dump");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o644)).expect("our file");
    let root = maria.empty_claim();
    let result = maria.load(&root, &dump);
    assert_eq!((result.ended, result.rows), (Loaded::Restored, 2), "{}", result.message);
    let columns = "select group_concat(ifnull(collation_name, 'none') order by ordinal_position separator ' ') from information_schema.columns where table_schema = 'app' union select default_collation_name from information_schema.schemata where schema_name = 'app'";
    assert_eq!(
        maria.ask_restored(&root, columns),
        "none utf8mb4_uca1400_nopad_as_cs utf8mb4_nopad_bin utf8mb4_bin\nutf8mb4_uca1400_nopad_ai_ci"
    );
    assert_eq!(maria.ask_restored(&root, "select name from app.run where id = 1"), "utf8mb4_0900_ai_ci stays");
}

/// Killed at any moment, a load leaves what was there as it was, and the next one begins from nothing.
#[test]
fn a_load_that_is_killed_leaves_nothing_that_is_taken_for_data() {
    let maria = Maria::new(SCHEMA);
    let dump = maria.dumped_by_admin("plain.sql", &["--routines", "--events", "app"]);
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o644)).expect("our file");
    let root = maria.empty_claim();
    for file in ["", "ibdata1", "app/t.ibd"] {
        maria.forget_the_last_run();
        let mut running = maria.restoring(&root, "0000000a", &dump).process_group(0).spawn().expect("a shell");
        until("it is under way", || root.join("loading-0000000a").join(file).exists());
        // In a pod nothing outlives the script.
        rustix::process::kill_process_group(rustix::process::Pid::from_child(&running), rustix::process::Signal::KILL)
            .expect("our child");
        running.wait().expect("it ends");
        let result = maria.restored(&root, "0000000a", Some("the dump x.sql"));
        assert_eq!(result.ended, Loaded::Failed, "{}", result.message);
        assert!(!root.join("next").exists() && !root.join("current").exists());
    }
    let result = maria.load(&root, &dump);
    assert_eq!((result.ended, result.rows), (Loaded::Restored, ROWS), "{}", result.message);
    assert!(!root.join("loading-0000000a").exists(), "what was left is gone");
}
