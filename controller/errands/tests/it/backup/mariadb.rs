//! A real MariaDB: started, dumped, and its dumps proven, by the scripts that run in its image.

use std::fs;

use drover_core::backup::Ended;
use drover_core::errand::Reason;

use super::super::errand::until;
use super::database::{assert_unproven, check, said};
use server::{Maria, PASSWORD};

mod restore;
mod server;

/// What the tests' database begins with.
const SCHEMA: &str = r#"
create table t (id bigint auto_increment primary key, ra double, note varchar(20) check (note in ('a', 'b')), j json, b blob, unique key u (ra, note), fulltext key ft (note));
insert into t (ra, note, b) select seq / 7, if(seq % 2, 'a', 'b'), unhex('00ff0a5c27') from seq_1_to_20000;
create table `Odd "name'
x` (id int auto_increment primary key, t bigint, g int generated always as (t + 1) stored, foreign key (t) references t (id));
insert into `Odd "name'
x` (t) select id from t limit 10;
create table txt (s text);
insert into txt values ('one\nCREATE DEFINER=`a`@`b` \\ '' é 😀\r\nUSE `other`;');
create table p (a int, b int, key (b)) partition by range (a) (partition p1 values less than (10));
insert into p values (1, 1), (2, 2);
create sequence sq start with 7;
create view v as select * from t;
delimiter //
create trigger tr before insert on t for each row begin set new.note = coalesce(new.note, 'a'); end//
create procedure pr() begin select 'DEFINER=`x`@`y`'; end//
create function fu() returns int deterministic return 1//
create event ev on schedule every 1 day starts current_timestamp + interval 1 day do begin delete from p; end//
delimiter ;
"#;

/// Rows of that.
const ROWS: u64 = 20_013;

#[test]
fn a_server_ends_up_as_its_secret_and_spec_say_at_each_start() {
    let mut maria = Maria::new("create table t (id int); insert into t values (1)");
    let accounts =
        format!("select concat(user, '@', host) from mysql.user where user <> '{}' order by 1", maria.who_runs_it());
    assert_eq!(maria.as_admin(&accounts), "app@%\nmariadb.sys@localhost\nroot@localhost");
    assert_eq!(maria.as_admin("show databases"), "app\ninformation_schema\nmysql\nperformance_schema\nsys");
    let grants = maria.sql("show grants");
    assert!(grants.contains("GRANT USAGE ON *.*") && grants.contains("GRANT ALL PRIVILEGES ON `app`.*"), "{grants}");
    assert_eq!(maria.sql("select @@character_set_database, @@collation_database"), "utf8mb4\tutf8mb4_unicode_520_ci");
    assert!(maria.asked(maria.client(PASSWORD), "select * from mysql.user").is_err());
    assert!(maria.asked(maria.client("wrong"), "select 1").is_err_and(|why| why.contains("Access denied")));

    // Killed it recovers; whoever changed an account, or a password, finds it as it was; a newer server brings its tables along.
    maria.as_admin("set password for app@'%' = password('stolen'); grant all on *.* to app@'%'");
    maria.kill();
    fs::write(maria.backup.path("data/current/MARIADB_VERSION"), "10.11.1\n").expect("our server");
    assert!(!maria.is_ready());
    maria.start();
    assert_eq!(maria.sql("select count(*) from t"), "1");
    assert!(!maria.sql("show grants").contains("ALL PRIVILEGES ON *.*"));
    let version = fs::read_to_string(maria.backup.path("data/current/MARIADB_VERSION")).expect("a version");
    assert!(version.starts_with("10.11.") && version != "10.11.1\n", "{version}");
    let log = fs::read_to_string(maria.backup.path("log")).expect("a log");
    assert!(log.contains("Phase 7/"), "{log}");

    // Another password in the Secret is the server's.
    maria.stop();
    maria.set_password("another ` one");
    maria.start();
    assert!(maria.asked(maria.client(PASSWORD), "select 1").is_err());
    assert_eq!(maria.asked(maria.client("another ` one"), "select count(*) from t").as_deref(), Ok("1"));
    assert!(!fs::read_to_string(maria.backup.path("log")).expect("a log").contains("another `"), "it is in the log");
    maria.set_password(PASSWORD);
    maria.stop();

    // What it cannot mend is said in a word.
    let refused = |change: &dyn Fn(), word: &str| {
        change();
        let ended = maria.starting().wait().expect("it ends");
        assert_eq!(ended.code(), Some(1));
        assert_eq!(maria.told().trim_end(), word);
    };
    let mark = maria.backup.path("data/current/MARIADB_VERSION");
    refused(&|| fs::write(&mark, "11.4.2\n").expect("our server"), "drover:data-version\n11.4\n10.11");
    refused(&|| fs::remove_file(&mark).expect("our server"), "drover:other-engine");
}

#[test]
fn a_start_that_is_killed_begins_anew() {
    let mut maria = Maria::new("create table t (id int); insert into t values (1)");
    maria.kill();
    for wait in [0, 100, 300, 600, 1000] {
        maria.server = Some(maria.starting());
        std::thread::sleep(std::time::Duration::from_millis(wait));
        maria.kill();
    }
    let _ = fs::remove_file(maria.backup.path("data/current"));
    for wait in [50, 200, 400] {
        maria.server = Some(maria.starting());
        std::thread::sleep(std::time::Duration::from_millis(wait));
        maria.kill();
    }
    maria.start();
}

#[test]
fn a_mariadb_is_backed_up_and_the_backup_is_proven() {
    let mut maria = Maria::new(SCHEMA);
    maria.checks = vec![
        check("stars", "select count(*) from t", 20_000),
        check("mean", "select avg(ra) from t", 1),
        check("function", "select fu()", 1),
    ];
    let result = maria.back_up();
    assert_eq!(result.ended, Ended::Proven, "{}", result.message);
    assert_eq!(result.backups.expect("a list")[0].rows, Some(ROWS));
    // Two dumps of the same data are the same.
    maria.dump();
    let first = fs::read(maria.dumped()).expect("a dump");
    maria.dump();
    assert!(first == fs::read(maria.dumped()).expect("a dump"), "they differ");
    let again = maria.store_and_prove();
    assert_eq!(again.ended, Ended::Proven);
    assert!(again.added_bytes < 10_000, "{}", again.added_bytes);
    maria.backup.restic(&["check", "--read-data"]);

    maria.checks = vec![check("nothing", "select max(a) from p where a > 5;", 1)];
    assert_unproven(&maria.back_up(), &["the check \"nothing\" of the restored database answers nothing"]);
    maria.checks = vec![check("more", "select count(*) from reduction", 1)];
    assert_unproven(
        &maria.back_up(),
        &["the check \"more\" of the restored database fails: Table 'app.reduction' doesn't exist"],
    );
}

/// What is counted is what is dumped, although rows come and go without a pause.
#[test]
fn what_changes_while_it_is_dumped_is_not_missing() {
    let mut maria = Maria::new("create table t (id bigint auto_increment primary key, n int); create sequence sq;");
    let writes = "delimiter //
begin not atomic
  declare i int default 0;
  loop
    set i = i + 1;
    insert into t (n) values (i), (nextval(sq));
    if i % 50 = 0 then delete from t where id < (select * from (select max(id) - 30 from t) x); end if;
  end loop;
end//
";
    let file = maria.backup.path("writes.sql");
    fs::write(&file, writes).expect("statements");
    let mut client = maria.client(PASSWORD);
    let mut busy = client.stdin(fs::File::open(&file).expect("statements")).spawn().expect("mariadb");
    for _ in 0..3 {
        let result = maria.back_up();
        assert_eq!(result.ended, Ended::Proven, "{}", result.message);
    }
    assert!(busy.try_wait().expect("a child").is_none(), "nothing was written meanwhile");
    let _ = busy.kill();
    let _ = busy.wait();
}

/// What is left of a dump.
type Cut = fn(&str) -> String;

/// It loads without an error, and all rows are there.
#[test]
fn a_dump_that_is_cut_before_its_views_is_never_proven() {
    let mut maria = Maria::new(SCHEMA);
    assert_eq!(maria.back_up().ended, Ended::Proven);
    let cuts: [(Cut, &str); 2] = [
        (
            |text| {
                let (before, rest) = text.split_once("--\n-- Dumping events for").expect("events");
                let (_, views) = rest.split_once("--\n-- Final view").expect("views come last");
                format!("{before}--\n-- Final view{views}")
            },
            "event ev is missing, function fu is missing, procedure pr is missing",
        ),
        (
            |text| format!("{}\n-- Dump completed\n", text.split_once("-- Final view").expect("views come last").0),
            "column v.b of v is ",
        ),
    ];
    for (cut, missing) in cuts {
        maria.dump();
        maria.change(cut);
        let result = maria.store_and_prove();
        assert_unproven(&result, &["the backup does not hold what was backed up", missing]);
        assert!(result.backups.expect("a list")[0].verified_at.is_none());
    }
    // Without the closing line it is not even stored.
    maria.dump();
    maria.change(|text| text.replace("-- Dump completed\n", ""));
    let refused = maria.backup.run("backup-store").expect("a result");
    assert_eq!(refused.reason, Reason::DumpCut.to_string());
}

#[test]
fn what_is_not_as_it_was_is_told_and_what_does_not_load_is_named() {
    let mut maria = Maria::new(
        "create table t (id int auto_increment primary key, n int); insert into t (n) values (1), (2), (3); delete from t where id = 3;
         create table old (id int) engine=MyISAM; insert into old values (1)",
    );
    maria.dump();
    maria.change(|text| text.replace("(2,2)", "(2,2),\n(1000,3)").replace("VALUES\n(1);", "VALUES\n(1),(2);"));
    assert_unproven(
        &maria.store_and_prove(),
        &[
            "table t has 3 rows in place of 2",
            "table old has 2 rows in place of 1 (its engine, MyISAM, takes no part in a snapshot",
        ],
    );
    maria.dump();
    maria.change(|text| text.replace(" AUTO_INCREMENT=4", ""));
    assert_unproven(&maria.store_and_prove(), &["AUTO_INCREMENT of table t is at 3 in place of 4"]);
    maria.dump();
    maria.change(|text| text.replace("`n` int(11)", "`n` number"));
    assert_unproven(
        &maria.store_and_prove(),
        &["the backup does not load, because of table t: You have an error in your SQL syntax"],
    );
}

#[test]
fn a_server_that_goes_away_while_it_is_dumped_leaves_no_dump() {
    let mut maria = Maria::new("create table t (id int auto_increment primary key, s varchar(80))");
    let output = maria.dumping("wrong").output().expect("a shell");
    assert!(!output.status.success());
    assert!(
        maria.told().contains("the database cannot be asked: ") && maria.told().contains("Access denied"),
        "{}",
        maria.told()
    );
    maria.sql("insert into t (s) select repeat('x', 80) from seq_1_to_400000");
    let dump = maria.dumping(PASSWORD).spawn().expect("a shell");
    until("a dump is under way", || {
        fs::metadata(maria.backup.path("work/dump/part/dump.sql")).is_ok_and(|dump| dump.len() > 1 << 20)
    });
    maria.kill();
    let output = dump.wait_with_output().expect("it ends");
    assert!(!output.status.success());
    assert!(maria.told().contains("the database cannot be "), "{}", maria.told());
    assert!(!maria.dumped().exists(), "nothing is left to be stored");
    let gone = maria.dumping(PASSWORD).env("PATIENCE", "3").output().expect("a shell");
    assert!(!gone.status.success() && maria.told().contains("ERROR 2002"), "{}", maria.told());
    // One that comes up meanwhile is waited for.
    let waiting = maria.dumping(PASSWORD).spawn().expect("a shell");
    std::thread::sleep(std::time::Duration::from_secs(3));
    maria.start();
    assert!(waiting.wait_with_output().expect("it ends").status.success(), "{}", maria.told());
    assert!(maria.dumped().exists() && !maria.told().contains(PASSWORD));
}

/// A view whose table is gone is not dumped, and a transaction that never ends is not waited for without end.
#[test]
fn what_cannot_be_dumped_is_told() {
    let maria = Maria::new("create table t (id int); create view v as select * from t; drop table t;");
    let output = maria.dumping(PASSWORD).output().expect("a shell");
    assert!(!output.status.success(), "{}", said(&output));
    assert!(maria.told().contains("the database cannot be dumped: mariadb-dump: "), "{}", maria.told());
    assert!(maria.told().contains("'app.v'"), "{}", maria.told());
}
