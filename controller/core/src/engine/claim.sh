# Where a server's data is on its claim, and what takes its place there. For the scripts that start a server: $root is the claim, $data the
# link to the data, and $mark the file that every folder of data has.

# What cannot be mended by itself is said in the container's last words, in a form that drover knows: a word, and its values in lines of
# their own.
stop_with() {
  {
    printf 'drover:%s\n' "$1"
    shift
    printf '%s\n' "$@"
  } | tee /dev/termination-log >&2
  exit 1
}

# Two servers on one folder destroy it. The lock is this process', and the server's that it becomes.
lock_claim() {
  command -v flock >/dev/null || return 0
  exec 9>"$root/lock"
  flock -n 9 || stop_with in-use
}

# A server that cannot write its log of changes does not come up, or ends in a panic: room for that is asked for first.
refuse_full() {
  # shellcheck disable=SC2046 # two numbers
  set -- $(df -Pk "$root" | awk 'NR == 2 { print $4, $2 }')
  [ "${1:-0}" -ge 33000 ] || stop_with full "${1:-?}" "${2:-?}"
}

# What spec.init asks for is loaded beside, and checked, before there is a server.
await_init() {
  if [ -e /etc/drover/init ] && [ ! -e "$data" ] && [ ! -e "$root/next/$mark" ]; then
    printf 'waiting for what spec.init loads\n' >&2
    trap 'exit 0' TERM INT
    while [ -e /etc/drover/init ] && [ ! -e "$root/next/$mark" ]; do sleep 1; done
    trap - TERM INT
  fi
}

# What a restore left, whole and checked, takes the place of what is there: from one moment to the next, whoever is killed meanwhile. What was
# there stays beside it, until another takes its place.
follow_next() {
  [ -e "$root/next/$mark" ] || return 0
  old=$(readlink "$data" || :)
  new=$(readlink "$root/next")
  mv -T "$root/next" "$data" || stop_with setting-up
  if [ -n "$old" ] && [ "$old" != "$new" ]; then
    rm -rf "$root/before"
    mv "$root/$old" "$root/before"
  fi
  sync "$root" 2>/dev/null || sync
}

# From here on the folder $1 is the data, whole.
begin_with() {
  ln -s "$1" "$data"
  sync "$root" 2>/dev/null || sync
}

# What is there must be of this kind of server, and this process' own.
refuse_others() {
  [ -e "$data/$mark" ] || stop_with other-engine
  [ -O "$data/$mark" ] || stop_with owner "$(stat -L -c %u "$data/$mark")" "$(id -u)"
}
