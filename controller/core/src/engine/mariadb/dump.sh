# Dumps a database into a file, and says what is in it, both as of one moment.
#
# VERSION is the server's series; DB_HOST, DB_PORT, DB_NAME, DB_USER and MYSQL_PWD say which database; WORK is a folder that is all this run's;
# SCRIPTS is where the other scripts are; RESULT is where a failure is told; for PATIENCE seconds a server is waited for that cannot be reached.
set -u
umask 077
trap '' PIPE

. "$SCRIPTS/programs.sh"
find_programs
to="--no-defaults --protocol=tcp --host=$DB_HOST --port=$DB_PORT --user=$DB_USER --default-character-set=utf8mb4"
# shellcheck disable=SC2086 # words
ask() { mariadb $to --database="$DB_NAME" --connect-timeout=20 --batch --skip-column-names --raw --unbuffered --loose-skip-print-query-on-error "$@"; }

session=; dump=; locks=
fail() {
  printf '%s\n' "$1" >&2
  printf '%s' "$1" >"$RESULT"
  # shellcheck disable=SC2086 # those that there are
  kill $session $dump $locks 2>/dev/null
  exit 1
}
trap 'fail "the dump was told to stop"' TERM INT

# What a program named as its error, or said last.
why() {
  said=
  while IFS= read -r line; do
    case $line in
      'ERROR '* | 'mariadb-dump: '*) said=$line; break ;;
      '-- '* | '') ;;
      *) said=$line ;;
    esac
  done <"$1"
  printf '%.600s' "${said:-nothing}"
}

rm -rf "$WORK/dump" "$WORK/restored" "$WORK/proof" "$WORK/server" "$WORK/stored.json" || fail "what an earlier run left in the work folder cannot be removed"
mkdir -p "$WORK/dump/part" && cd "$WORK/dump/part" && mkfifo ask told lock locked verbose || fail "the work folder cannot be written"

# A name that is not found for a moment, or a server that is just starting anew, is asked again.
begun=$(date +%s)
until ask --execute='select 1' >address 2>session.err; do
  case $(cat session.err) in
    'ERROR 2002 '* | 'ERROR 2003 '* | 'ERROR 2005 '* | 'ERROR 2006 '* | 'ERROR 2013 '* | 'ERROR 1053 '* | 'ERROR 1040 '*) ;;
    *) fail "the database cannot be asked: $(why session.err)" ;;
  esac
  [ $(($(date +%s) - begun)) -lt "${PATIENCE:-120}" ] || fail "the database cannot be asked: $(why session.err)"
  sleep 2
done

# What no snapshot holds still is read before it and after it.
ask <"$SCRIPTS/numbers.sql" >numbers 2>session.err || fail "the database cannot be asked what is in it: $(why session.err)"

# A dump shares its snapshot with nobody. So its tables are held still for the moment in which the dump begins, and the session that says what is in
# it: some hundredths of a second, for which nobody waits longer than two seconds. Nothing else tells that two snapshots are one: what is
# committed counts in the server's log before others see it.
ask <ask >told 2>session.err &
session=$!
exec 3>ask 4<told

hold_still() {
  ask --execute="select ifnull(concat('lock tables ', group_concat(concat('\`', replace(table_name, '\`', '\`\`'), '\` read') separator ', '), ';'), '')
    from information_schema.tables where table_schema = database() and table_type = 'BASE TABLE'" >tables 2>session.err 3>&- 4<&- ||
    fail "the database cannot be asked for its tables: $(why session.err)"
  ask <lock >locked 2>locks.err 3>&- 4<&- &
  locks=$!
  exec 6>lock 7<locked
  { printf '%s\n' 'set session lock_wait_timeout = 2;'; cat tables; printf '%s\n' "select 'held';"; } >&6
  if IFS= read -r held <&7; then return 0; fi
  let_go
  return 1
}
let_go() {
  printf '%s\n' 'unlock tables;' >&6
  exec 6>&- 7<&-
  wait $locks 2>/dev/null
  locks=
}

tries=60
until hold_still; do
  case $(why locks.err) in *' 1205 '*) ;; *) fail "the tables cannot be held still for the moment at which a dump begins: $(why locks.err)" ;; esac
  tries=$((tries - 1))
  [ $tries -gt 0 ] ||
    fail "the tables cannot be held still for the moment at which a dump begins: a transaction has written to them for minutes, and has not ended"
  sleep 8
done
printf '%s\n' 'start transaction with consistent snapshot;' "select 'begun';" >&3
# shellcheck disable=SC2086 # words
mariadb-dump $to --single-transaction --quick --routines --triggers --events --hex-blob --skip-dump-date --max-allowed-packet=1G \
  --verbose "$DB_NAME" >dump.sql 2>verbose 3>&- 4<&- 6>&- 7<&- &
dump=$!
exec 5<verbose
: >dump.err
while IFS= read -r line <&5; do
  printf '%s\n' "$line" >>dump.err
  # Its snapshot is there.
  case $line in '-- Setting savepoint'* | '-- Retrieving '*) break ;; esac
done
IFS= read -r begun <&4 || { wait $session; fail "the database cannot be asked what is in it: $(why session.err)"; }
let_go
cat <&5 >>dump.err 3>&- 4<&- &
hearing=$!
exec 5<&-

cat <&4 >facts 3>&- &
listening=$!
exec 4<&-
cat "$SCRIPTS/facts.sql" >&3
wait $dump
ended=$?
# All that it said, too.
wait $hearing
if [ $ended != 0 ]; then
  # Where the other session ended first, it says what is wrong, and this one that it is gone.
  [ ! -s session.err ] || fail "the database cannot be asked what is in it: $(why session.err)"
  fail "the database cannot be dumped: $(why dump.err)"
fi
dump=
{ printf '%s\n' "set @at = 'Later';"; cat "$SCRIPTS/numbers.sql"; printf '%s\n' "select json_object('kind', 'end');"; } >&3
exec 3>&-
wait $session || fail "the database cannot be asked what is in it: $(why session.err)"
session=
wait $listening

case $(tail -c 300 dump.sql) in
  *'-- Dump completed'*) ;;
  *) fail "the dump ends before its last line: is the node's disk full?" ;;
esac
cat numbers facts >../facts && mv dump.sql ../dump.sql || fail "the dump cannot be kept: is the node's disk full?"
cd .. && rm -rf part
