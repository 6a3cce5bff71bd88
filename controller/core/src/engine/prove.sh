# Loads a dump that came back from a repository into a server of its own, which is thrown away, and says what is in it then.
#
# VERSION, WORK, SCRIPTS and PROOF_BUFFERS are those of server.sh; the dump is in `restored` of WORK. What it found is left in `proof`, also
# that it found nothing good: judging it is left to whoever reads that.
set -u
umask 077
proof=$WORK/proof restored=$WORK/restored data=$WORK/server
. "$SCRIPTS/proof.sh"
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
load_as_it_was
look_at "$name"
over
