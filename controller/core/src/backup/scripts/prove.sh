# Loads a dump that came back from a repository into a server of its own, which is thrown away, and says what is in it then.
#
# VERSION, WORK, SCRIPTS and PROOF_BUFFERS are those of server.sh; the dump is in `restored` of WORK. What it found is left in `proof`, also
# that it found nothing good: judging it is left to whoever reads that.
set -u
umask 077
proof=$WORK/proof data=$WORK/server
. "$SCRIPTS/server.sh"

over() {
  # Whoever reads this takes what is not over for nothing.
  stop_server immediate
  rm -rf "$data"
  : >"$proof/over"
  exit 0
}
trap 'exit 143' TERM INT
trap 'stop_server immediate' EXIT

rm -rf "$proof"
mkdir -p "$proof" || exit 1
make_server
ask --dbname=postgres --file="$SCRIPTS/prepare.sql" <"$WORK/restored/facts" >/dev/null 2>"$proof/prepare.err" ||
  fail "the database cannot be made for the proof: $(tail -n 1 "$proof/prepare.err")"
name=$(ask --dbname=postgres --command="select datname from pg_database where datname <> 'postgres' and not datistemplate")
load "$name" "$WORK/restored/dump.sql"
look_at "$name"
over
