//! How servers are configured, what is asked of them, and what is read of what their programs said.

use super::*;

const MIB: i64 = 1 << 20;

fn setting(engine: Engine, memory: i64, storage: i64, name: &str) -> String {
    let files = engine.configuration(memory * MIB, storage * MIB);
    let line = files[0].1.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {files:?}"))
}

#[test]
fn a_server_is_configured_for_its_memory_and_its_volume() {
    let postgres = |memory, storage, name| setting(Engine::Postgres, memory, storage, name);
    assert_eq!(postgres(512, 10 << 10, "shared_buffers"), "128MB");
    assert_eq!(postgres(4096, 10 << 10, "shared_buffers"), "1024MB");
    assert_eq!(postgres(4096, 10 << 10, "work_mem"), "16MB");
    assert_eq!(postgres(512, 10 << 10, "max_wal_size"), "1024MB");
    assert_eq!(postgres(512, 1 << 10, "max_wal_size"), "128MB");
    assert_eq!(postgres(512, 1 << 10, "min_wal_size"), "32MB");
    let mariadb = |memory, storage, name| setting(Engine::Mariadb, memory, storage, name);
    assert_eq!(mariadb(128, 1 << 10, "innodb_buffer_pool_size"), "8M");
    assert_eq!(mariadb(512, 1 << 10, "innodb_buffer_pool_size"), "192M");
    assert_eq!(mariadb(512, 256, "innodb_log_file_size"), "32M");
    assert_eq!(mariadb(512, 10 << 10, "innodb_log_file_size"), "128M");
}

/// What one script names, the others have to be there.
#[test]
fn each_script_finds_the_files_that_it_reads() {
    for engine in [Engine::Postgres, Engine::Mariadb] {
        let own = engine.own();
        let more = engine.configuration(512 * MIB, 1024 * MIB);
        for (files, folder) in [(own.serves, "/etc/drover/"), (own.backs_up, "$SCRIPTS/"), (own.restores, "$SCRIPTS/")]
        {
            let is_there =
                |name: &str| files.iter().any(|file| file.0 == name) || more.iter().any(|file| file.0 == name);
            let mut read = 0;
            for (script, text) in files {
                for (at, _) in text.match_indices(folder) {
                    let rest = &text[at + folder.len()..];
                    let end =
                        rest.find(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c)).unwrap_or(rest.len());
                    let name = &rest[..end];
                    // What a spec has, or not.
                    if name.is_empty() || name == "init" || name.starts_with("check") {
                        continue;
                    }
                    let of_a_restore = script == &"server.sh" && name == "own.sql";
                    assert!(is_there(name) || of_a_restore, "{script} of {} reads {name}", own.name);
                    read += 1;
                }
            }
            assert!(read > 0, "{}: nothing was found in {folder}", own.name);
        }
    }
}

#[test]
fn a_check_is_one_number() {
    assert_eq!(
        Engine::Postgres.check_script(" select 1; "),
        "set statement_timeout = '10min';\nselect (select 1\n)::numeric;\n"
    );
    assert_eq!(Engine::Mariadb.check_script(" select 1; "), "set max_statement_time = 600;\nselect (select 1\n);\n");
}

#[test]
fn what_ended_a_load_is_found_in_what_the_client_said() {
    let psql = "psql:/work/restored/dump.sql:7: WARNING:  there is already a transaction in progress\npsql:/work/restored/dump.sql:12: ERROR:  function helper(integer) does not exist\nLINE 1:  select helper(x) \nCONTEXT:  SQL function \"outer\" during inlining\n";
    assert_eq!(Engine::Postgres.first_error(psql), (Some(12), "function helper(integer) does not exist".into()));
    let mariadb =
        "ERROR 1142 (42000) at line 103: CREATE command denied to user 'app'@'localhost' for table `mysql`.`x`\n";
    assert_eq!(
        Engine::Mariadb.first_error(mariadb),
        (Some(103), "CREATE command denied to user 'app'@'localhost' for table `mysql`.`x`".into())
    );
    let unreached = "ERROR 2002 (HY000): Can't connect to local server";
    assert_eq!(Engine::Mariadb.first_error(unreached), (None, unreached.into()));
    for engine in [Engine::Postgres, Engine::Mariadb] {
        assert_eq!(engine.first_error(""), (None, "it ended without a word".into()));
    }
}

#[test]
fn what_a_part_of_a_dump_makes_stands_before_it() {
    let of = |line| Engine::Postgres.entry(line);
    assert_eq!(of("-- Name: t_x; Type: INDEX; Schema: public; Owner: app").as_deref(), Some("index public.t_x"));
    assert_eq!(of("-- Name: q3c; Type: EXTENSION; Schema: -; Owner: -").as_deref(), Some("extension q3c"));
    assert_eq!(of("-- Name of nothing"), None);
    let of = |line| Engine::Mariadb.entry(line);
    assert_eq!(of("-- Table structure for table `run`").as_deref(), Some("table run"));
    assert_eq!(of("-- Dumping data for table `o``dd`").as_deref(), Some("rows of table o`dd"));
    assert_eq!(of("-- Final view structure for view `v`").as_deref(), Some("view v"));
    assert_eq!(of("-- Dumping routines for database 'app'").as_deref(), Some("its routines"));
    assert_eq!(of("-- Host: localhost    Database: app"), None);
}
