# Loads a dump into a new folder of a Database's claim, beside what is there, and says what is in it then. Whoever reads that puts the folder
# in its place.
#
# VERSION, WORK, SCRIPTS and PROOF_BUFFERS are those of server.sh; DATABASE and OWNER are what the database is called and whose it is; ROOT is
# the claim; NAME is what this run's folder is called after. With ONCE it loads nothing where there is any data. The dump is in `restored` of
# WORK, with what was in the database beside it; or it is FILE, which somebody else made.
set -u
umask 077
proof=$WORK/proof restored=$WORK/restored data=$ROOT/loading-$NAME
. "$SCRIPTS/proof.sh"
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
  [ -L "$ROOT/$1" ] && [ "$(readlink "$ROOT/$1")" = "restored-$NAME" ] && [ -e "$ROOT/$1/$mark" ]
}
if leads_to next || leads_to current; then
  printf 'restored' >"$proof/present"
  over
fi
if [ -n "${ONCE:-}" ] && [ -e "$ROOT/current/$mark" ]; then
  printf 'data' >"$proof/present"
  over
fi
# What others left behind that did not come to their end.
for left in "$ROOT"/loading-* "$ROOT"/restored-*; do
  case $(readlink "$ROOT/current" || :)/$(readlink "$ROOT/next" || :)/ in *"$(basename "$left")"/*) ;; *) rm -rf "$left" ;; esac
done

# A dump that somebody else made becomes plain SQL of one database, without the names of those who had rights there.
if [ -n "${FILE:-}" ]; then
  [ -f "$FILE" ] || fail "there is no file $(basename "$FILE") where the spec says: look at what is there"
  case $(head -c 5 "$FILE" | od -An -tx1 | tr -d ' \n') in
    5047444d50) unpack=$unpack_custom ;;
    1f8b*) unpack='gzip -dc' ;;
    28b52ffd*) fail "the dump is compressed by zstd: give it as plain SQL, or compressed by gzip" ;;
    *) unpack=cat ;;
  esac
  [ -n "$unpack" ] || fail "the dump is one of PostgreSQL's: name one that this kind of server made"
  $unpack "$FILE" >"$restored/whole.sql" 2>"$proof/unpack.err" || fail "the dump cannot be unpacked: $(last_of unpack.err)"
  # Rows may hold anything, also what looks like the end.
  is_closed "$(tail -c 400 "$restored/whole.sql")" ||
    fail "the dump ends before its last line, or $dump_program did not make it: make it again, or copy it again"
  awk -v want="$DATABASE" -v names="$restored/names" -v out="$restored/dump.sql" -f "$SCRIPTS/one.awk" "$restored/whole.sql" "$restored/whole.sql" ||
    fail "the dump holds several databases, and none is called $DATABASE: $(tr '\n' ' ' <"$restored/names")"
  rm -f "$restored/whole.sql"
fi

# A server that runs on the same volume must keep its room: what is loaded takes about as much as its dump, and its log of changes more.
free() { df -Pk "$ROOT" | awk 'NR == 2 { print $4 }'; }
needed=$(($(du -k "$restored/dump.sql" | cut -f 1) * growth + 160 * 1024))
[ "$(free)" -ge "$needed" ] ||
  fail "the volume has $(free) KiB free, and the restore needs some $needed KiB beside what is there: raise spec.claim.resources.requests.storage"
SPARING=yes
make_server
(
  while sleep 1; do
    [ "$(free)" -ge 65536 ] || { : >"$proof/full"; stop_server immediate; exit; }
  done
) &
watching=$!
trap 'kill $watching 2>/dev/null; stop_server immediate' EXIT

if [ -n "${FILE:-}" ]; then load_of_others; else load_for_owner; fi
look_at "$DATABASE"
kill $watching 2>/dev/null
wait $watching 2>/dev/null
trap 'stop_server immediate' EXIT
[ ! -e "$proof/full" ] || over
# From here on it must be safe.
stop_server fast
make_safe >"$proof/sync" 2>&1 || fail "the restored data cannot be made safe on the volume: $(last_of sync)"
over
