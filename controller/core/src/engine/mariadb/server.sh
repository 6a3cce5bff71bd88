# A MariaDB of its own, which nobody else reaches, into which a dump is loaded, and which says what is in it then. For the scripts that prove a
# backup and that restore one.
#
# VERSION is the server's series; WORK is a folder that is all this run's; SCRIPTS is where the other scripts and the checks are; PROOF_BUFFERS
# is the memory for its cache, such as 64MB.
unset MYSQL_PWD MYSQL_HOST MYSQL_TCP_PORT
. "$SCRIPTS/programs.sh"
find_programs

# The file that every folder of data has; that no dump needs more than gzip; how much more its data takes than a dump.
mark=MARIADB_VERSION
unpack_custom=
dump_program=mariadb-dump
growth=3
run=$WORK/run
server=
# Servers that share a folder for what is temporary remove each other's.
export TMPDIR=$run

is_closed() { # END
  case $1 in *'-- Dump completed'*) ;; *) return 1 ;; esac
}

stop_server() { # MODE
  [ -n "$server" ] || return 0
  case $1 in immediate) kill -KILL "$server" 2>/dev/null ;; *) kill "$server" 2>/dev/null ;; esac
  wait "$server" 2>/dev/null
  server=
}

make_server() {
  rm -rf "$run" "$data" && mkdir -p "$run" || fail "the work folder cannot be written"
  make_data "$data" >"$proof/initdb" 2>&1 || fail "the server for it cannot be made: $(last_of initdb)"
  # Until it is done nothing has to be safe on a disk. It is reached by its own folder alone.
  cat >"$run/my.cnf" <<CONF
[mariadbd]
skip_networking
skip_name_resolve
innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = OFF
innodb_use_native_aio = OFF
innodb_buffer_pool_size = $(printf '%s' "${PROOF_BUFFERS:-64MB}" | tr -d B)
innodb_log_file_size = $([ -n "${SPARING:-}" ] && echo 64M || echo 256M)
aria_pagecache_buffer_size = 8M
key_buffer_size = 8M
max_allowed_packet = 1G
event_scheduler = OFF
log_warnings = 1
CONF
  mariadbd --defaults-file="$run/my.cnf" --datadir="$data" --socket="$run/s" --pid-file="$run/pid" >"$proof/log" 2>&1 &
  server=$!
  until_it_answers $server "$run/s" || { server=; fail "the server for it does not start: $(last_of log)"; }
}

as_owner() { # DATABASE
  mariadb --no-defaults --protocol=socket --socket="$run/s" --user="${OWNER:-owner}" --database="$1" --default-character-set=utf8mb4 --batch \
    --skip-column-names --raw --loose-skip-print-query-on-error --max-allowed-packet=1G --binary-mode
}

# What somebody else defined is the owner's. Rows are not touched, and lines stay where they are.
owned_dump() { # FILE
  LC_ALL=C sed -E '/^(CREATE |\/\*!5[0-9]+ (CREATE\*\/ \/\*!5[0-9]+ )?)DEFINER=/s/DEFINER=`([^`]|``)*`@`([^`]|``)*`/DEFINER=CURRENT_USER/' "$1" &&
    printf "\nselect 'whole';\n"
}

# With the rights of the one user of the database: nothing outside of it is touched.
load() { # DATABASE FILE
  owned_dump "$2" | as_owner "$1" >"$proof/loaded" 2>"$proof/load.err" || broken
  [ "$(last_of loaded)" = whole ] || fail "the dump cannot be read to its end"
}

say_facts() { # DATABASE
  { cat "$SCRIPTS/numbers.sql" "$SCRIPTS/facts.sql" && printf '%s\n' "select json_object('kind', 'end');"; } | as_owner "$1"
}
ask_check() { as_owner "$1" <"$2"; } # DATABASE FILE

make_database() { # DATABASE CHARSET COLLATION
  {
    printf 'create database %s character set %s collate %s;\n' "$(named "$1")" "$2" "$3"
    owning "${OWNER:-owner}" "$1"
  } | as_admin "$run/s" >/dev/null 2>"$proof/prepare.err" || fail "the database cannot be made: $(last_of prepare.err)"
}

# A backup, in a database as it was: $name is what that is called.
load_as_it_was() {
  # shellcheck disable=SC2046 # three words
  set -- $(sed -n 's/^{"kind": "database", "name": "\([a-z0-9_]*\)", "value": "\([a-z0-9_]*\) \([a-z0-9_]*\)"}$/\1 \2 \3/p' "$restored/facts")
  [ $# = 3 ] || fail "the backup is none of a MariaDB: name one that this kind of server made"
  name=${DATABASE:-$1}
  make_database "$name" "$2" "$3"
  load "$name" "$restored/dump.sql"
}

# A backup, also one of another Database, which becomes OWNER's and is called DATABASE.
load_for_owner() { load_as_it_was; }

# A dump that somebody else made. What it does not say of new tables is as with those that it has.
load_of_others() {
  make_database "$DATABASE" utf8mb4 utf8mb4_unicode_520_ci
  load "$DATABASE" "$restored/dump.sql"
  collation=$(as_owner "$DATABASE" 2>"$proof/prepare.err" <<'SQL'
select table_collation from information_schema.tables where table_schema = database() and table_type = 'BASE TABLE'
group by table_collation order by count(*) desc, table_collation limit 1;
SQL
  ) || fail "the database cannot be asked: $(last_of prepare.err)"
  [ -z "$collation" ] || printf 'alter database %s collate %s;\n' "$(named "$DATABASE")" "$collation" |
    as_admin "$run/s" >/dev/null 2>"$proof/prepare.err" || fail "the database cannot be made: $(last_of prepare.err)"
}

make_safe() {
  whole_version >"$data/$mark" && { find "$data" -exec sync {} + 2>/dev/null || sync; }
}
