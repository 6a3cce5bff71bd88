# Dumps a database into a file, and says what is in it, both as of one moment.
#
# VERSION is the server's major version; PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD say which database; WORK is a folder that is all this run's; SCRIPTS is where the other
# scripts are; RESTRICT_KEY is the same for each dump of one database, so that dumps of the same data are the same; RESULT is where a failure
# is told; for PATIENCE seconds a server is waited for that cannot be reached.
set -u
umask 077
export PGAPPNAME=drover-backup PGCONNECT_TIMEOUT=20
# What an app sets for its user is not meant for this.
export PGOPTIONS="-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=on -c client_min_messages=warning"

. "$SCRIPTS/programs.sh"
find_program psql

session=; dump=
fail() {
  printf '%s\n' "$1" >&2
  printf '%s' "$1" >"$RESULT"
  kill $session $dump 2>/dev/null
  exit 1
}
trap 'fail "the dump was told to stop"' TERM INT

# What a program said last, or first where it named an error.
why() {
  said=
  while IFS= read -r line; do
    said=$line
    case $line in *ERROR:* | *FATAL:* | *error:*) break ;; esac
  done <"$1"
  printf '%.600s' "${said:-nothing}"
}

session_failed() {
  wait $session
  fail "the database cannot be asked what is in it: $(why session.err)"
}

rm -rf "$WORK/dump" "$WORK/restored" "$WORK/proof" "$WORK/server" "$WORK/stored.json" || fail "what an earlier run left in the work folder cannot be removed"
mkdir -p "$WORK/dump/part" && cd "$WORK/dump/part" && mkfifo ask told || fail "the work folder cannot be written"

# A name that is not found for a moment, or a server that is just starting anew, is asked again. From then on its address is known.
begun=$(date +%s)
until psql -X -q -A -t -c 'select host(inet_server_addr())' >address 2>session.err; do
  case $(cat session.err) in
    *'could not translate host name'* | *'onnection refused'* | *'o route to host'* | *'timeout expired'* | *'timed out'* | *'starting up'* | *'shutting down'* | *'not yet accepting'* | *'recovery mode'*) ;;
    *) fail "the database cannot be asked: $(why session.err)" ;;
  esac
  [ $(($(date +%s) - begun)) -lt "${PATIENCE:-120}" ] || fail "the database cannot be asked: $(why session.err)"
  sleep 2
done
PGHOSTADDR=$(cat address)
if [ -n "$PGHOSTADDR" ]; then export PGHOSTADDR; else unset PGHOSTADDR; fi

# One transaction holds still what is dumped and what is told of it.
psql -X -q -A -t -v ON_ERROR_STOP=1 -f ask >told 2>session.err &
session=$!
exec 3<>ask 4<told
printf '%s\n' 'begin isolation level repeatable read read only;' 'select pg_export_snapshot();' >&3
IFS= read -r snapshot <&4 || { wait $session; fail "the database cannot be asked: $(why session.err)"; }
# Sequences go on meanwhile: where they are before and after it says where they may be in it.
printf '%s\n' '\set kind sequence' '\o before' "\\i $SCRIPTS/sequences.sql" '\o' '\echo told' >&3
IFS= read -r told <&4 || session_failed
printf '%s\n' '\o facts' "\\i $SCRIPTS/facts.sql" '\o' '\echo told' >&3

restrict=
case $(pg_dump --help) in *--restrict-key*) restrict=--restrict-key=$RESTRICT_KEY ;; esac
pg_dump --no-password --format=plain --snapshot="$snapshot" --lock-wait-timeout=600s $restrict >dump.sql 2>dump.err &
dump=$!
if ! wait $dump; then
  # Where the other session ended first, it says what is wrong, and this one that it is gone.
  [ ! -s session.err ] || fail "the database cannot be asked what is in it: $(why session.err)"
  fail "the database cannot be dumped: $(why dump.err)"
fi
dump=

IFS= read -r told <&4 || session_failed
printf '%s\n' '\set kind sequenceLater' '\o later' "\\i $SCRIPTS/sequences.sql" "select json_build_object('kind', 'end');" '\o' '\q' >&3
wait $session || fail "the database cannot be asked where its sequences are: $(why session.err)"
session=

case $(tail -c 300 dump.sql) in
  *'-- PostgreSQL database dump complete'*) ;;
  *) fail "the dump ends before its last line: is the node's disk full?" ;;
esac
cat before facts later >both && mv both ../facts && mv dump.sql ../dump.sql || fail "the dump cannot be kept: is the node's disk full?"
cd .. && rm -rf part
