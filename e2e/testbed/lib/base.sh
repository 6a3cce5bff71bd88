# The root folder that images of Debian's programs begin with. Sourced by what makes such images.
# shellcheck shell=bash

# Makes it if it is not there, which takes some two minutes, once, and says where it is. It is kept beside the testbed's programs, and
# nothing in it may be written to.
debian_base() {
  debian_base_of python-base usr/bin/python3 ca-certificates,libpython3-stdlib,python3-minimal
}

# The same with Java.
java_base() {
  debian_base_of java-base usr/bin/java ca-certificates,openjdk-17-jre-headless
}

debian_base_of() ( # NAME PROGRAM PACKAGES
  SUITE=bookworm MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
  PROGRAM=$2 PACKAGES=$3
  base=$(dirname "$BIN")/$1-$SUITE
  exec 9>"$base.lock"
  flock 9
  if [ ! -e "$base/$PROGRAM" ] && [ ! -L "$base/$PROGRAM" ]; then
    command -v debootstrap >/dev/null || fail "debootstrap is missing: \`make setup\` installs it"
    [ "$(id -u)" = 0 ] || fail "only root can make a base of Debian's packages"
    say "making the base of images of Debian's programs, once"
    root=$(mktemp -d "$base.XXXXXX")
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" "$MIRROR" >"$base.log" 2>&1 ||
      fail "debootstrap failed: $(tail -n 3 "$base.log")"
    # What no program reads.
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info} "$root"/dev/*
    chmod 0755 "$root"
    rm -rf "$base"
    mv "$root" "$base"
  fi
  echo "$base"
)

# Copies into the root folder $1 the libraries that the programs below the rest name, where it does not have them.
libraries() {
  local root=$1 found library
  shift
  # Some of the files are scripts, which ldd has no word for.
  found=$(find "$@" -type f \( -perm -u+x -o -name '*.so' \) -exec ldd {} + 2>/dev/null || true)
  awk '/=> \// { print $3 }' <<<"$found" | sort -u | while read -r library; do
    [ -e "$root$library" ] || { mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library"; }
  done
}
