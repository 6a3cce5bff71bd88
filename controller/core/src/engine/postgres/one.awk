# Takes one database out of a dump that pg_dump or pg_dumpall made, without the names of its roles: whoever loads it owns all of it then. The
# file is read twice: for the names of its databases, and for the one. `want` is the name that is looked for; `out` gets the dump, and `names`
# the names if none is it.

function close_rows() { if ($0 == "\\.") in_rows = 0 }

# What stands between dollars is the body of a function.
function follow_bodies(line) {
  while (match(line, /\$[A-Za-z_0-9]*\$/)) {
    mark = substr(line, RSTART, RLENGTH)
    if (body == "") body = mark
    else if (body == mark) body = ""
    line = substr(line, RSTART + RLENGTH)
  }
}

function connected(line, name) {
  name = substr(line, 10)
  if (match(name, /dbname='[^']*'/)) return substr(name, RSTART + 8, RLENGTH - 9)
  gsub(/^ *"?|"? *$/, "", name)
  return name
}

FNR == 1 {
  pass++
  in_rows = 0; body = ""
  if (pass == 2) {
    # Without any name it is the dump of one database.
    takes = (count == 0)
    chosen = (want in seen) ? want : (others == 1 ? other : "")
    if (count > 0 && chosen == "") {
      for (name in seen) print name > names
      failed = 1
      exit 1
    }
    in_header = 1; drops = 0
  }
}
in_rows { if (pass == 2 && takes) print > out; close_rows(); next }
body == "" && /^\\connect / {
  name = connected($0)
  if (pass == 1 && !(name in seen)) {
    seen[name]; count++
    if (name != "postgres" && name != "template1") { others++; other = name }
  }
  takes = (pass == 2 && name == chosen)
  in_header = 1; drops = 0
  next
}
body == "" && /^COPY .* FROM stdin;$/ { in_rows = 1; in_header = 0; if (pass == 2 && takes) print > out; next }
{ inside = (body != ""); follow_bodies($0) }
pass == 1 || !takes { next }
inside { print > out; next }
# What follows in a dump of several makes the next one.
count > 0 && $0 == "-- PostgreSQL database dump complete" { print > out; takes = 0; next }
# What is made for another owner, or is another's right.
/^ALTER .* OWNER TO [^ ]+;$/ && !/ OWNER TO "?pg_/ { next }
/^(GRANT|REVOKE) .* (TO|FROM) [^ ]+( WITH GRANT OPTION)?;$/ && !/ (TO|FROM) (PUBLIC|"?pg_[a-z_]*"?)( WITH GRANT OPTION)?;$/ { next }
/^ALTER DEFAULT PRIVILEGES .*;$/ { next }
# Newer programs set what an older server does not know.
/^SET transaction_timeout = 0;$/ { next }
# A dump that begins by removing what it makes finds nothing to remove but what each database has.
/^--/ { if (drops) in_header = 0; drops = 0 }
in_header && (/^DROP / || /^ALTER TABLE /) { drops = 1 }
in_header && drops && !/^DROP SCHEMA (IF EXISTS )?public;$/ { next }
/^CREATE / { in_header = 0 }
{ print > out }
