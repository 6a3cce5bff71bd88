# Runs MariaDB on the claim at /var/lib/drover, in any image that has its programs. Each start sets up what the Database asks for, so that a
# password that was changed, or a folder that was restored, ends up as the Secret and the spec say.
set -u
umask 077

root=/var/lib/drover
data=$root/current
run=/run/drover

mark=MARIADB_VERSION
. /etc/drover/claim.sh
. /etc/drover/programs.sh
find_programs
for program in mariadbd mariadb-install-db mariadb mariadb-dump mariadb-upgrade mariadb-check; do
  command -v "$program" >/dev/null || stop_with no-programs "$VERSION" "$program"
done
whole=$(whole_version)
[ "${whole%.*}" = "$VERSION" ] || stop_with version "${whole%.*}" "$VERSION"

lock_claim
refuse_full
await_init
follow_next
if [ ! -e "$data" ]; then
  rm -rf "$root/first"
  make_data "$root/first" >&2 || stop_with setting-up
  printf '%s\n' "$whole" >"$root/first/$mark"
  begin_with first
fi
refuse_others
version=$(cat "$data/$mark")
[ "${version%.*}" = "$VERSION" ] || stop_with data-version "${version%.*}" "$VERSION"

# For as long as it is being set up nobody else reaches it.
options="--defaults-file=/etc/drover/my.cnf --datadir=$data/"
# shellcheck disable=SC2086 # two words
mariadbd $options --skip-networking --event-scheduler=OFF --socket=$run/setup.sock >&2 &
server=$!
stop_server() {
  kill "$server" 2>/dev/null
  wait "$server"
}
trap 'stop_server; exit 143' TERM INT
failed() {
  stop_server
  stop_with setting-up
}
until_it_answers $server $run/setup.sock || failed

# What a newer server wants to have otherwise in what an older one wrote. Whoever is killed meanwhile begins it anew.
if [ "$version" != "$whole" ]; then
  mariadb-upgrade --no-defaults --protocol=socket --socket=$run/setup.sock --user="$(id -un)" --force >&2 || failed
  printf '%s\n' "$whole" >"$data/$mark.new" && mv "$data/$mark.new" "$data/$mark" || failed
fi
{
  printf "create database if not exists %s character set utf8mb4 collate utf8mb4_unicode_520_ci;\n" "$(named "$DATABASE")"
  owning "$OWNER" "$DATABASE"
  printf "alter user %s@'%%' identified by %s;\n" "$(quoted "$OWNER")" "$(quoted "$(cat /etc/drover-connection/password)")"
} | as_admin $run/setup.sock >&2 || failed
trap - TERM INT
stop_server || stop_with setting-up
# shellcheck disable=SC2086 # two words
exec mariadbd $options
