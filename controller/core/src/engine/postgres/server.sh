# A PostgreSQL of its own, which nobody else reaches, into which a dump is loaded, and which says what is in it then. For the scripts that prove a
# backup and that restore one.
#
# VERSION is the server's major version; WORK is a folder that is all this run's; SCRIPTS is where the other scripts and the checks are;
# PROOF_BUFFERS is the memory for its cache.
unset PGPORT PGPASSWORD PGOPTIONS
export PGHOST=$WORK/run PGUSER=postgres PGAPPNAME=drover-restore

. "$SCRIPTS/programs.sh"
find_program postgres

# The file that every folder of data has; what unpacks pg_dump's own format; how much more its data takes than a dump.
mark=PG_VERSION
unpack_custom='pg_restore --file=-'
dump_program=pg_dump
growth=2
server=

is_closed() { # END
  case $1 in *'-- PostgreSQL database dump complete'* | *'-- PostgreSQL database cluster dump complete'*) ;; *) return 1 ;; esac
}

stop_server() { # MODE
  [ -z "$server" ] || pg_ctl --pgdata="$data" --mode="$1" --wait --timeout=2000000 stop >/dev/null 2>&1
  server=
}

# Each database is made of the same as by the server's own start.
make_server() {
  rm -rf "$PGHOST" "$data" && mkdir -p "$PGHOST" || fail "the work folder cannot be written"
  initdb --pgdata="$data" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync >"$proof/initdb" 2>&1 ||
    fail "the server for it cannot be made: $(last_of initdb)"
  # Until it is done nothing has to be safe on a disk. It is reached by its own folder alone.
  cat >"$WORK/run/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$PGHOST'
unix_socket_permissions = 0700
dynamic_shared_memory_type = mmap
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = $([ -n "${SPARING:-}" ] && echo 256MB || echo 4GB)
checkpoint_timeout = 1d
autovacuum = off
max_connections = 10
max_locks_per_transaction = 4096
max_prepared_transactions = 0
shared_buffers = ${PROOF_BUFFERS:-64MB}
maintenance_work_mem = ${PROOF_BUFFERS:-64MB}
logging_collector = off
CONF
  server=yes
  pg_ctl --pgdata="$data" --log="$proof/log" --wait --timeout=120 --options="-c config_file=$WORK/run/postgresql.conf" start >/dev/null 2>&1 ||
    { server=; fail "the server for it does not start: $(last_of log)"; }
}

ask() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

load() { # DATABASE FILE
  ask --single-transaction --dbname="$1" --file="$2" >/dev/null 2>"$proof/load.err" || broken
}

say_facts() { # DATABASE
  ask --dbname="$1" --set=kind=sequence --file="$SCRIPTS/sequences.sql" --file="$SCRIPTS/facts.sql" --command="select json_build_object('kind', 'end')"
}
ask_check() { ask --dbname="$1" --file="$2"; } # DATABASE FILE

failed_to_make() { fail "the database cannot be made: $(last_of prepare.err)"; }

# A backup, in a database as it was: $name is what that is called.
load_as_it_was() {
  ask --dbname=postgres --file="$SCRIPTS/prepare.sql" <"$restored/facts" >/dev/null 2>"$proof/prepare.err" || failed_to_make
  name=$(ask --dbname=postgres --command="select datname from pg_database where datname <> 'postgres' and not datistemplate")
  load "$name" "$restored/dump.sql"
}

role() {
  ask --dbname=postgres --set=owner="$OWNER" >/dev/null 2>"$proof/prepare.err" <<'SQL' || failed_to_make
select format('create role %I', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
SQL
}

# A backup, also one of another Database, which becomes OWNER's and is called DATABASE.
load_for_owner() {
  load_as_it_was
  if [ "$(ask --dbname=postgres --set=owner="$OWNER" --command="select 1 from pg_roles where rolname = '$OWNER'")" != 1 ]; then
    role
    ask --dbname="$name" --set=owner="$OWNER" >/dev/null 2>"$proof/prepare.err" <<'SQL' || failed_to_make
select format('reassign owned by %I to %I', rolname, :'owner') from pg_roles
where rolname not in ('postgres', :'owner') and rolname !~ '^pg_' \gexec
SQL
  fi
  [ "$name" = "$DATABASE" ] || ask --dbname=postgres --set=found="$name" --set=name="$DATABASE" >/dev/null 2>"$proof/prepare.err" <<'SQL' || failed_to_make
alter database :"found" rename to :"name";
SQL
}

# A dump that somebody else made.
load_of_others() {
  role
  ask --dbname=postgres --set=name="$DATABASE" --set=owner="$OWNER" >/dev/null 2>"$proof/prepare.err" <<'SQL' || failed_to_make
create database :"name" owner :"owner" encoding UTF8 template template0;
SQL
  load "$DATABASE" "$restored/dump.sql"
  ask --dbname="$DATABASE" --set=owner="$OWNER" --file="$SCRIPTS/own.sql" >/dev/null 2>"$proof/prepare.err" || failed_to_make
}

make_safe() { initdb --pgdata="$data" --sync-only; }
