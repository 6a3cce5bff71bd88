#!/usr/bin/env bash
# watchfiles 1.1.0 (PyPI), which uvicorn's --reload uses.
#
# Expected: whoever watches one file is told when the file of that name is another; whoever watches its folder is told its name.
# Seen: neither, when the file is a link by way of another link and that one is exchanged in one step, as the volume of a ConfigMap and
#   git-sync do it. For the file it watches what the link led to at first, which nobody changes: as soon as that is written it tells of it.
#   For the folder it tells of the link that was exchanged, ..data, and of no file, so a filter by *.csv or *.py passes nothing. A look at
#   the time behind the link sees it at once.
# So: whoever reads files of such a volume takes any change of the folder for a change of all of them, or looks at the time by name.

. "$(dirname "$0")/lib/common.sh"
pip_install watchfiles==1.1.0
volume=$T/volume
mkdir -p "$volume/..one" "$volume/..two"
echo one >"$volume/..one/table.csv"
echo two >"$volume/..two/table.csv"
touch -d '1 hour ago' "$volume/..one/table.csv"
ln -s ..one "$volume/..data"
ln -s ..data/table.csv "$volume/table.csv"

cat >"$T/watch.py" <<'PYTHON'
import os, sys
from watchfiles import watch

folder = sys.argv[1]
for changes in watch(sys.argv[2]):
    for _, changed in changes:
        print(os.path.relpath(changed, folder), flush=True)
PYTHON
before=$(stat -Lc %Y "$volume/table.csv")
python3 "$T/watch.py" "$volume" "$volume/table.csv" >"$T/file" &
started+=($!)
python3 "$T/watch.py" "$volume" "$volume" >"$T/folder" &
started+=($!)
sleep 4

ln -s ..two "$volume/..next"
mv -T "$volume/..next" "$volume/..data"
sleep 5
expect "the file by its name" "$(cat "$volume/table.csv")" two
expect "its time is another" "$([ "$before" = "$(stat -Lc %Y "$volume/table.csv")" ] || echo yes)" yes
expect "told of the file" "$(cat "$T/file")" ""
expect "told of the folder, but for the link of the exchange" "$(grep -vx ..next "$T/folder" | sort -u)" ..data

# It is awake.
echo three >"$volume/..one/table.csv"
sleep 5
expect "told of the file, after the old one was written" "$(sort -u "$T/file")" table.csv
echo "AS STATED"
