# Whether the server answers over the network, in the database, as its user: that it accepts connections says less.
for folder in /usr/lib/postgresql/"$VERSION"/bin /usr/pgsql-"$VERSION"/bin /usr/libexec/postgresql"$VERSION" /opt/bitnami/postgresql/bin /usr/local/bin; do
  if [ -x "$folder/psql" ]; then
    PATH=$folder:$PATH
    break
  fi
done
PGPASSWORD=$(cat /etc/drover-connection/password) PGCONNECT_TIMEOUT=4 PGAPPNAME=drover-ready
export PGPASSWORD PGCONNECT_TIMEOUT PGAPPNAME
exec psql --no-psqlrc --quiet --tuples-only --no-align --host=127.0.0.1 --username="$OWNER" --dbname="$DATABASE" --command='select 1'
