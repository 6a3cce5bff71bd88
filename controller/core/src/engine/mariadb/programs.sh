# Where distributions and images put MariaDB's programs, and how they are asked. For the other scripts.

# Puts the folders that may have them in front of PATH.
find_programs() {
  for folder in /usr/local/bin /usr/libexec /usr/sbin /opt/bitnami/mariadb/sbin /opt/bitnami/mariadb/bin; do
    [ ! -d "$folder" ] || PATH=$folder:$PATH
  done
  export PATH
}

# The server's version, such as 10.11.6.
whole_version() { mariadbd --no-defaults --version | sed -n 's/^.* Ver \([0-9]*\.[0-9]*\.[0-9]*\).*/\1/p'; }

# A new folder of data at $1. Who runs the server may do all in it, by its socket; nobody else may anything.
make_data() {
  mariadb-install-db --no-defaults --datadir="$1" --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" \
    --skip-test-db --skip-name-resolve
}

# Asks the server at socket $1 as that user. A statement that fails is not shown, since it may hold a password.
as_admin() {
  socket=$1
  shift
  mariadb --no-defaults --protocol=socket --socket="$socket" --user="$(id -un)" --default-character-set=utf8mb4 --batch --skip-column-names \
    --raw --loose-skip-print-query-on-error "$@"
}

# Waits until the server $1 answers at socket $2: that may take minutes, when it recovers what an unclean stop left.
until_it_answers() {
  until as_admin "$2" --execute='select 1' >/dev/null 2>&1; do
    kill -0 "$1" 2>/dev/null || return 1
    sleep 0.2 2>/dev/null || sleep 1
  done
}

# A name between backquotes, a text between quotes, and a name where % and _ stand for others.
named() { printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"; }
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"; }
like() { named "$(printf '%s' "$1" | sed 's/[_%]/\\&/g')"; }

# Statements that make the user $1 with all rights on the database $2, and none beside.
owning() {
  user=$(quoted "$1")@\'%\'
  printf "create user if not exists %s;\n" "$user"
  printf "revoke all privileges, grant option from %s;\n" "$user"
  printf "grant all privileges on %s.* to %s;\n" "$(like "$2")" "$user"
}
