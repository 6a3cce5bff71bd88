# shellcheck shell=bash
# What every finding uses. A finding sources this first:  . "$(dirname "$0")/lib/common.sh"
set -euo pipefail

# The finding's own words, which stand at its top, come first in its output.
sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
echo "--- run now ---"

T=$(mktemp -d)
chmod 755 "$T"
started=()
# At the end, however it comes: what was started ends, the temp folder goes.
end() {
  local pid
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; kill -CONT "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ -n "${PG:-}" ]; then pg_ctl -D "$T/pg/data" -m immediate stop >/dev/null 2>&1 || true; fi
  rm -rf "$T"
}
trap end EXIT
trap 'exit 130' INT TERM

# pip_install PACKAGE==VERSION…: into a fresh virtual environment, whose programs come first in PATH.
pip_install() {
  python3 -m venv "$T/venv"
  "$T/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
  PATH="$T/venv/bin:$PATH"
}

# debs PACKAGE=VERSION…: packages of Debian 12, unpacked and not installed; their programs come first in PATH.
debs() {
  mkdir -p "$T/debs" "$T/root"
  (cd "$T/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@")
  local deb
  for deb in "$T"/debs/*.deb; do dpkg-deb -x "$deb" "$T/root"; done
  PATH="$T/root/usr/bin:$T/root/usr/sbin:$PATH"
  LD_LIBRARY_PATH="$T/root/usr/lib/$(uname -m)-linux-gnu"
  export LD_LIBRARY_PATH
}

# free_port: a port of loopback that nobody listens on.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# until_true COMMAND…: waits until the command succeeds, 20 seconds at most.
until_true() {
  local _
  for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.1; done
  echo "FAILED: not within 20 seconds: $*" >&2
  exit 1
}

# status COMMAND…: runs it and prints its exit status, nothing else.
status() { local rc=0; "$@" >"$T/said" 2>&1 || rc=$?; echo "$rc"; }

# expect WHAT SEEN STATED: prints what was seen, and ends the script where it is not as stated.
expect() {
  printf '%s: %s\n' "$1" "$2"
  if [ "$2" != "$3" ]; then echo "CHANGED: $1 is no longer: $3" >&2; exit 1; fi
}
