# Whether the server answers over the network, in the database, as its user: that it accepts connections says less.
. /etc/drover/programs.sh
find_program psql
PGPASSWORD=$(cat /etc/drover-connection/password) PGCONNECT_TIMEOUT=4 PGAPPNAME=drover-ready
export PGPASSWORD PGCONNECT_TIMEOUT PGAPPNAME
exec psql --no-psqlrc --quiet --tuples-only --no-align --host=127.0.0.1 --username="$OWNER" --dbname="$DATABASE" --command='select 1'
