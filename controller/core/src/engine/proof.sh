# What the scripts that prove a backup and that restore one have in common: $proof is where they leave what they found, $restored where the dump
# is, $data the folder of the server that it is loaded into, and `over` what they end with. All that is the kind of server's own stands in
# server.sh.

fail() {
  printf '%s\n' "$1" >&2
  printf '%s' "$1" >"$proof/failure"
  over
}

# The first error ends it: a loader that goes on reports success for what is not all there.
broken() {
  : >"$proof/broken"
  over
}

# What a program said last.
last_of() { tail -n 1 "$proof/$1"; }

# Says what is in a database, and what it answers to the checks.
look_at() { # DATABASE
  say_facts "$1" >"$proof/facts" 2>"$proof/facts.err" ||
    fail "the restored database cannot be asked what is in it: $(last_of facts.err)"
  for check in "$SCRIPTS"/check-*.sql; do
    [ -e "$check" ] || break
    answer=$proof/$(basename "$check" .sql)
    ask_check "$1" "$check" >"$answer" 2>"$answer.err" || : >"$answer.failed"
  done
}
