# Takes one database out of a dump that mariadb-dump or mysqldump made. The file is read twice: for the names of its databases, and for the one.
# `want` is the name that is looked for; `out` gets the dump, and `names` the names if none is it. Whoever loads it owns all of it then: accounts
# and rights, and what is said to the server as a whole, stay behind. A row never stands in two lines, so no line of it looks like a statement.

function is_own(name) { return name == "mysql" || name == "sys" || name == "information_schema" || name == "performance_schema" }

FNR == 1 {
  pass++
  in_body = 0
  if (pass == 2) {
    # Without any name it is the dump of one database.
    takes = 1
    chosen = (want in seen) ? want : (others == 1 ? other : "")
    if (count > 0 && chosen == "") {
      for (name in seen) print name > names
      failed = 1
      exit 1
    }
  }
}
/^DELIMITER / { in_body = ($0 != "DELIMITER ;"); if (pass == 2 && takes) print > out; next }
in_body || /^INSERT INTO / || /^\(/ { if (pass == 2 && takes) print > out; next }
/^USE `.*`;$/ {
  name = substr($0, 6, length($0) - 7)
  gsub(/``/, "`", name)
  if (pass == 1 && !(name in seen)) {
    seen[name]; count++
    if (!is_own(name)) { others++; other = name }
  }
  takes = (name == chosen)
  next
}
pass == 1 || !takes { next }
/^(CREATE DATABASE|DROP DATABASE|\/\*!40000 DROP DATABASE) / { next }
/^(GRANT|REVOKE|CREATE USER|\/\*!50001 CREATE USER|CREATE ROLE|SET DEFAULT ROLE|FLUSH|INSTALL PLUGIN|CHANGE MASTER|CREATE OR REPLACE SERVER) ?/ { next }
/^SET @@(GLOBAL|SESSION)\./ || /^SET @MYSQLDUMP_TEMP_LOG_BIN/ || /^\/\*!.* SET @@(GLOBAL|SESSION)\.GTID/ { next }
# Names of what MySQL 8 sorts by: the same rules, of a newer Unicode.
/_0900_/ && !/^--/ {
  gsub(/utf8mb4_0900_bin/, "utf8mb4_nopad_bin")
  while (match($0, /utf8mb4_0900_a[is]_c[is]/))
    $0 = substr($0, 1, RSTART - 1) "utf8mb4_uca1400_nopad_" substr($0, RSTART + 13, 5) substr($0, RSTART + RLENGTH)
}
{ print > out }
