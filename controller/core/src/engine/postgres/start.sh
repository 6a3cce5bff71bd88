# Runs PostgreSQL on the claim at /var/lib/drover, in any image that has its programs. Each start sets up what the Database asks for, so that
# a password that was changed, or a folder that was restored, ends up as the Secret and the spec say.
set -u
umask 077

root=/var/lib/drover
data=$root/current
run=/run/drover

mark=PG_VERSION
. /etc/drover/claim.sh
. /etc/drover/programs.sh
find_program postgres
for program in postgres initdb pg_ctl psql; do
  command -v "$program" >/dev/null || stop_with no-programs "$VERSION" "$program"
done
found=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
[ "$found" = "$VERSION" ] || stop_with version "$found" "$VERSION"

lock_claim
refuse_full
await_init
follow_next
if [ ! -e "$data" ]; then
  rm -rf "$root/first"
  initdb --pgdata="$root/first" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=trust --auth-host=scram-sha-256 >&2 || stop_with setting-up
  begin_with first
fi
refuse_others
version=$(cat "$data/$mark")
[ "$version" = "$VERSION" ] || stop_with data-version "$version" "$VERSION"
chmod 0700 "$data/"

options="-c config_file=/etc/drover/postgresql.conf"
# For as long as it is being set up nobody else reaches it; and what it writes down of a statement that fails holds no password.
pg_ctl --pgdata="$data" --wait --timeout=2000000 --silent \
  --options="$options -c listen_addresses='' -c log_min_error_statement=panic" start >&2 || stop_with setting-up

ask() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --host="$run" --username=postgres "$@"
}
stop_server() { pg_ctl --pgdata="$data" --mode=fast --wait --timeout=2000000 --silent stop >&2; }

ask --dbname=postgres --set=name="$DATABASE" --set=owner="$OWNER" <<'SQL' || { stop_server; stop_with setting-up; }
\set password `cat /etc/drover-connection/password`
select format('create role %I', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
alter role :"owner" with login nosuperuser nocreaterole nocreatedb noreplication nobypassrls password :'password';
select format('create database %I owner %I encoding UTF8 template template0', :'name', :'owner')
  where not exists (select from pg_database where datname = :'name') \gexec
alter database :"name" owner to :"owner";
SQL
# One that the image does not have is told by its name.
for extension in $EXTENSIONS; do
  known=$(ask --dbname="$DATABASE" --set=name="$extension" <<'SQL'
select count(*) from pg_available_extensions where name = :'name';
SQL
  ) || { stop_server; stop_with setting-up; }
  if [ "$known" != 1 ]; then
    all=$(ask --dbname="$DATABASE" --command="select string_agg(name, ' ' order by name) from pg_available_extensions")
    stop_server
    stop_with extension "$extension" "$all"
  fi
  ask --dbname="$DATABASE" --set=name="$extension" <<'SQL' || { stop_server; stop_with setting-up; }
create extension if not exists :"name" cascade;
SQL
done

stop_server || stop_with setting-up
# shellcheck disable=SC2086 # two words
exec postgres -D "$data" $options
