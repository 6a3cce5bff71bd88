# Where distributions and images put PostgreSQL's programs. For the other scripts.

# Puts the first folder that has the program $1 in front of PATH.
find_program() {
  for folder in /usr/lib/postgresql/"$VERSION"/bin /usr/pgsql-"$VERSION"/bin /usr/libexec/postgresql"$VERSION" /opt/bitnami/postgresql/bin /usr/local/bin; do
    if [ -x "$folder/$1" ]; then
      PATH=$folder:$PATH
      break
    fi
  done
  export PATH
}
