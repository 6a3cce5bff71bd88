# Whether the server answers over the network, in the database, as its user: that it refuses a login says that it runs, and nothing more.
. /etc/drover/programs.sh
find_programs
MYSQL_PWD=$(cat /etc/drover-connection/password)
export MYSQL_PWD
exec mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --connect-timeout=4 --user="$OWNER" --database="$DATABASE" --batch \
  --skip-column-names --execute='select 1'
