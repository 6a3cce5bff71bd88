# A server of its own, which nobody else reaches, into which a dump is loaded, and which says what is in it then. For the scripts that prove a
# backup and that restore one: $data is the server's folder, $proof where they leave what they found, and `over` what they end with.
#
# VERSION is the server's major version; WORK is a folder that is all this run's; SCRIPTS is where the other scripts and the checks are;
# PROOF_BUFFERS is the memory for its cache.
unset PGPORT PGPASSWORD PGOPTIONS
export PGHOST=$WORK/run PGUSER=postgres PGAPPNAME=drover-restore

. "$SCRIPTS/programs.sh"
find_program postgres

server=

stop_server() { # MODE
  [ -z "$server" ] || pg_ctl --pgdata="$data" --mode="$1" --wait --timeout=2000000 stop >/dev/null 2>&1
  server=
}
fail() {
  printf '%s\n' "$1" >&2
  printf '%s' "$1" >"$proof/failure"
  over
}

# Each database is made of the same as by the server's own start.
make_server() {
  rm -rf "$PGHOST" "$data" && mkdir -p "$PGHOST" || fail "the work folder cannot be written"
  initdb --pgdata="$data" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync >"$proof/initdb" 2>&1 ||
    fail "the server for it cannot be made: $(tail -n 1 "$proof/initdb")"
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
max_wal_size = ${WAL_SIZE:-4GB}
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
    { server=; fail "the server for it does not start: $(tail -n 1 "$proof/log")"; }
}

ask() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

# The first error ends it: a loader that goes on reports success for what is not all there.
load() { # DATABASE FILE
  ask --single-transaction --dbname="$1" --file="$2" >/dev/null 2>"$proof/load.err" || { : >"$proof/broken"; over; }
}

# Says what is in a database, and what it answers to the checks.
look_at() { # DATABASE
  ask --dbname="$1" --file="$SCRIPTS/facts.sql" --command="select json_build_object('kind', 'end')" >"$proof/facts" 2>"$proof/facts.err" ||
    fail "the restored database cannot be asked what is in it: $(tail -n 1 "$proof/facts.err")"
  for check in "$SCRIPTS"/check-*.sql; do
    [ -e "$check" ] || break
    answer=$proof/$(basename "$check" .sql)
    ask --dbname="$1" --file="$check" >"$answer" 2>"$answer.err" || : >"$answer.failed"
  done
}
