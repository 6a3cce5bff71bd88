#!/usr/bin/env bash
# restic 0.14.0 (Debian 12).
#
# Expected: `restic backup A B` where B does not exist exits 3. The manual of `backup`: 0 when the command was successful, 3 when some
#   source data could not be read and the snapshot is incomplete. B was named and is not in the snapshot.
# Seen: exit status 0 and a snapshot of A alone; B is only named on stderr ("does not exist, skipping"), and not at all with --json on
#   stdout. So with a name in --files-from, and a pattern there that matches nothing. Only when nothing at all is left it exits 1.
#   An unreadable file inside A does give 3. And the snapshot without B has other paths, so `forget` counts it in a group of its own:
#   with --keep-last 1, the last one with B and the one without it both stay.
# So: whoever runs the backup looks for each source before, compares the snapshot's paths with what was asked, and groups by host
#   or tags, never by paths.

. "$(dirname "$0")/lib/common.sh"
debs 'restic=0.14.0*'
restic version
export HOME="$T" RESTIC_REPOSITORY="$T/repository" RESTIC_PASSWORD=only-here
mkdir "$T/database" "$T/uploads"
echo dump >"$T/database/dump.sql"
echo picture >"$T/uploads/picture"
cd "$T"
restic -q init

expect "both are there: exit status" "$(status restic backup database uploads)" 0
rm -r uploads
expect "uploads is gone: exit status" "$(status restic backup database uploads)" 0
grep skipping said
expect "with --json: what stdout says of it" "$(restic backup --json database uploads 2>/dev/null | grep -c -i -e skipping -e '"error"' || true)" 0
printf '%s\n' "$T/database" "$T/uploads" >list
expect "named in --files-from: exit status" "$(status restic backup --files-from list)" 0
printf '%s\n' "$T/database" "$T/upload*" >list
expect "a pattern that matches nothing: exit status" "$(status restic backup --files-from list)" 0
expect "nothing is left: exit status" "$(status restic backup uploads)" 1
expect "kept by forget --keep-last 1" "$(restic forget --keep-last 1 --json | python3 -c 'import json, sys; print(sum(len(group["keep"]) for group in json.load(sys.stdin)))')" 2

# An unreadable file, as a user to whom it can be unreadable.
chmod 000 database/dump.sql
echo more >database/more
if [ "$(id -u)" = 0 ]; then chown -R 65534:65534 "$T"; run=(setpriv --reuid=65534 --regid=65534 --clear-groups); else run=(); fi
expect "an unreadable file inside: exit status" "$(status "${run[@]}" restic backup database)" 3
echo "AS STATED"
