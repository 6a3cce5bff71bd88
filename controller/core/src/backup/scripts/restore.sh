# Loads a dump into a new folder of a Database's claim, beside what is there, and says what is in it then. Whoever reads that puts the folder
# in its place.
#
# VERSION, WORK, SCRIPTS and PROOF_BUFFERS are those of server.sh; DATABASE and OWNER are what the database is called and whose it is; ROOT is
# the claim; NAME is what this run's folder is called after. With ONCE it loads nothing where there is any data. The dump is in `restored` of
# WORK, with what was in the database beside it; or it is FILE, which somebody else made.
set -u
umask 077
proof=$WORK/proof restored=$WORK/restored data=$ROOT/loading-$NAME
. "$SCRIPTS/server.sh"

over() {
  [ ! -e "$proof/full" ] ||
    printf '%s' "the volume got full while the dump was loaded, which was stopped before the server felt it: raise spec.claim.resources.requests.storage" >"$proof/failure"
  stop_server fast
  : >"$proof/over"
  exit 0
}
trap 'exit 143' TERM INT
trap 'stop_server immediate' EXIT

rm -rf "$proof"
mkdir -p "$proof" "$restored" && : >"$proof/began" || exit 1

# What is done is done once, whoever was killed after it.
leads_to() { # LINK
  [ -L "$ROOT/$1" ] && [ "$(readlink "$ROOT/$1")" = "restored-$NAME" ] && [ -e "$ROOT/$1/PG_VERSION" ]
}
if leads_to next || leads_to current; then
  printf 'restored' >"$proof/present"
  over
fi
if [ -n "${ONCE:-}" ] && [ -e "$ROOT/current/PG_VERSION" ]; then
  printf 'data' >"$proof/present"
  over
fi
# What others left behind that did not come to their end.
for left in "$ROOT"/loading-* "$ROOT"/restored-*; do
  case $(readlink "$ROOT/current" || :)/$(readlink "$ROOT/next" || :)/ in *"$(basename "$left")"/*) ;; *) rm -rf "$left" ;; esac
done

# A dump that somebody else made becomes plain SQL of one database, without the names of its roles.
if [ -n "${FILE:-}" ]; then
  [ -f "$FILE" ] || fail "there is no file $(basename "$FILE") where the spec says: look at what is there"
  case $(head -c 5 "$FILE" | od -An -tx1 | tr -d ' \n') in
    5047444d50) unpack='pg_restore --file=-' ;;
    1f8b*) unpack='gzip -dc' ;;
    28b52ffd*) fail "the dump is compressed by zstd: give it as plain SQL, compressed by gzip, or in the custom format of pg_dump" ;;
    *) unpack=cat ;;
  esac
  $unpack "$FILE" >"$restored/whole.sql" 2>"$proof/unpack.err" || fail "the dump cannot be unpacked: $(tail -n 1 "$proof/unpack.err")"
  # Rows may hold anything, also what looks like the end.
  case $(tail -c 400 "$restored/whole.sql") in
    *'-- PostgreSQL database dump complete'* | *'-- PostgreSQL database cluster dump complete'*) ;;
    *) fail "the dump ends before its last line, or pg_dump did not make it: make it again, or copy it again" ;;
  esac
  awk -v want="$DATABASE" -v names="$restored/names" -v out="$restored/dump.sql" -f "$SCRIPTS/one.awk" "$restored/whole.sql" "$restored/whole.sql" ||
    fail "the dump holds several databases, and none is called $DATABASE: $(tr '\n' ' ' <"$restored/names")"
  rm -f "$restored/whole.sql"
fi

# A server that runs on the same volume must keep its room: what is loaded takes about as much as its dump, and its log of changes more.
free() { df -Pk "$ROOT" | awk 'NR == 2 { print $4 }'; }
needed=$(($(du -k "$restored/dump.sql" | cut -f 1) * 2 + 160 * 1024))
[ "$(free)" -ge "$needed" ] ||
  fail "the volume has $(free) KiB free, and the restore needs some $needed KiB beside what is there: raise spec.claim.resources.requests.storage"
WAL_SIZE=256MB
make_server
(
  while sleep 1; do
    [ "$(free)" -ge 65536 ] || { : >"$proof/full"; pg_ctl --pgdata="$data" --mode=immediate stop >/dev/null 2>&1; exit; }
  done
) &
watching=$!
trap 'kill $watching 2>/dev/null; stop_server immediate' EXIT

failed_to_make() { fail "the database cannot be made: $(tail -n 1 "$proof/prepare.err")"; }
role() {
  ask --dbname=postgres --set=owner="$OWNER" >/dev/null 2>"$proof/prepare.err" <<'SQL' || failed_to_make
select format('create role %I', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
SQL
}
if [ -n "${FILE:-}" ]; then
  role
  ask --dbname=postgres --set=name="$DATABASE" --set=owner="$OWNER" >/dev/null 2>"$proof/prepare.err" <<'SQL' || failed_to_make
create database :"name" owner :"owner" encoding UTF8 template template0;
SQL
  load "$DATABASE" "$restored/dump.sql"
  ask --dbname="$DATABASE" --set=owner="$OWNER" --file="$SCRIPTS/own.sql" >/dev/null 2>"$proof/prepare.err" || failed_to_make
else
  ask --dbname=postgres --file="$SCRIPTS/prepare.sql" <"$restored/facts" >/dev/null 2>"$proof/prepare.err" || failed_to_make
  name=$(ask --dbname=postgres --command="select datname from pg_database where datname <> 'postgres' and not datistemplate")
  load "$name" "$restored/dump.sql"
  # Another Database's backup becomes this one's.
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
fi
look_at "$DATABASE"
kill $watching 2>/dev/null
wait $watching 2>/dev/null
trap 'stop_server immediate' EXIT
[ ! -e "$proof/full" ] || over
# From here on it must be safe.
stop_server fast
initdb --pgdata="$data" --sync-only >"$proof/sync" 2>&1 || fail "the restored data cannot be made safe on the volume: $(tail -n 1 "$proof/sync")"
over
