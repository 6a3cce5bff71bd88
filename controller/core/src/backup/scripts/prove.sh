# Loads a dump that came back from a repository into a server of its own, which is thrown away, and says what is in it then.
#
# VERSION is the server's major version; WORK is a folder that is all this run's, with the dump in `restored`; SCRIPTS is where the other
# scripts are, and the checks. What it found is left in `proof`, also that it found nothing good: judging it is left to whoever reads that.
set -u
umask 077
unset PGHOST PGPORT PGUSER PGPASSWORD PGOPTIONS
proof=$WORK/proof data=$WORK/server
export PGHOST=$WORK/server PGUSER=drover PGAPPNAME=drover-proof

# Where distributions and images put what they need.
for folder in /usr/lib/postgresql/"$VERSION"/bin /usr/pgsql-"$VERSION"/bin /usr/libexec/postgresql"$VERSION" /opt/bitnami/postgresql/bin /usr/local/bin; do
  if [ -x "$folder/psql" ]; then
    PATH=$folder:$PATH
    break
  fi
done

server=

over() {
  # Whoever reads this takes what is not over for nothing.
  [ -z "$server" ] || pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1
  rm -rf "$data"
  : >"$proof/over"
  exit 0
}
fail() {
  printf '%s\n' "$1" >&2
  printf '%s' "$1" >"$proof/failure"
  over
}
trap 'exit 143' TERM INT
trap '[ -z "$server" ] || pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1' EXIT

rm -rf "$proof" "$data"
mkdir -p "$proof" || exit 1

initdb -D "$data" --username=drover --auth=trust --encoding=UTF8 --no-locale --no-sync >"$proof/initdb" 2>&1 ||
  fail "the server for the proof cannot be made: $(tail -n 1 "$proof/initdb")"
# Nothing of it outlives this, so nothing has to be safe on a disk. It is reached by its own folder alone.
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$data'
unix_socket_permissions = 0700
dynamic_shared_memory_type = mmap
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
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
pg_ctl -D "$data" -l "$proof/log" -w -t 120 start >/dev/null 2>&1 || { server=; fail "the server for the proof does not start: $(tail -n 1 "$proof/log")"; }

psql -X -q -v ON_ERROR_STOP=1 -d postgres -f "$SCRIPTS/prepare.sql" <"$WORK/restored/facts" >/dev/null 2>"$proof/prepare.err" ||
  fail "the database cannot be made for the proof: $(tail -n 1 "$proof/prepare.err")"
name=$(psql -X -q -A -t -d postgres -c "select datname from pg_database where datname <> 'postgres' and not datistemplate")

# The first error ends it: a loader that goes on reports success for what is not all there.
psql -X -q -v ON_ERROR_STOP=1 --single-transaction -d "$name" -f "$WORK/restored/dump.sql" >/dev/null 2>"$proof/load.err" || { : >"$proof/broken"; over; }

psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$name" -f "$SCRIPTS/facts.sql" -c "select json_build_object('kind', 'end')" >"$proof/facts" 2>"$proof/facts.err" ||
  fail "the restored database cannot be asked what is in it: $(tail -n 1 "$proof/facts.err")"

for check in "$SCRIPTS"/check-*.sql; do
  [ -e "$check" ] || break
  answer=$proof/$(basename "$check" .sql)
  psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$name" -f "$check" >"$answer" 2>"$answer.err" || : >"$answer.failed"
done
over
