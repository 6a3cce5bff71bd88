# Runs PostgreSQL on the claim at /var/lib/drover, in any image that has its programs. Each start sets up what the Database asks for, so that
# a password that was changed, or a folder that was restored, ends up as the Secret and the spec say. What cannot be mended by itself is
# said in the container's last words, in a form that drover knows: a word, and its values in lines of their own.
set -u
umask 077

root=/var/lib/drover
data=$root/current
run=/run/drover

stop_with() {
  {
    printf 'drover:%s\n' "$1"
    shift
    printf '%s\n' "$@"
  } | tee /dev/termination-log >&2
  exit 1
}

. /etc/drover/programs.sh
find_program postgres
for program in postgres initdb pg_ctl psql; do
  command -v "$program" >/dev/null || stop_with no-programs "$VERSION" "$program"
done
found=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
[ "$found" = "$VERSION" ] || stop_with version "$found" "$VERSION"

# Two servers on one folder destroy it. The lock is this process', and the server's that it becomes.
if command -v flock >/dev/null; then
  exec 9>"$root/lock"
  flock -n 9 || stop_with in-use
fi

# A server that cannot write its log of changes ends in a panic at each start: room for two files of that is asked for first.
# shellcheck disable=SC2046 # two numbers
set -- $(df -Pk "$root" | awk 'NR == 2 { print $4, $2 }')
[ "${1:-0}" -ge 33000 ] || stop_with full "${1:-?}" "${2:-?}"

# What spec.init asks for is loaded beside, and checked, before there is a server.
if [ -e /etc/drover/init ] && [ ! -e "$data" ] && [ ! -e "$root/next/PG_VERSION" ]; then
  printf 'waiting for what spec.init loads\n' >&2
  trap 'exit 0' TERM INT
  while [ -e /etc/drover/init ] && [ ! -e "$root/next/PG_VERSION" ]; do sleep 1; done
  trap - TERM INT
fi
# What a restore left, whole and checked, takes the place of what is there: from one moment to the next, whoever is killed meanwhile. What was
# there stays beside it, until another takes its place.
if [ -e "$root/next/PG_VERSION" ]; then
  old=$(readlink "$data" || :)
  new=$(readlink "$root/next")
  mv -T "$root/next" "$data" || stop_with setting-up
  if [ -n "$old" ] && [ "$old" != "$new" ]; then
    rm -rf "$root/before"
    mv "$root/$old" "$root/before"
  fi
  sync "$root" 2>/dev/null || sync
fi

if [ ! -e "$data" ]; then
  rm -rf "$root/first"
  initdb --pgdata="$root/first" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=trust --auth-host=scram-sha-256 >&2 || stop_with setting-up
  # From here on it is there, whole.
  ln -s first "$data"
  sync "$root" 2>/dev/null || sync
fi
version=$(cat "$data/PG_VERSION")
[ "$version" = "$VERSION" ] || stop_with data-version "$version" "$VERSION"
[ -O "$data/PG_VERSION" ] || stop_with owner "$(stat -L -c %u "$data/PG_VERSION")" "$(id -u)"
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
