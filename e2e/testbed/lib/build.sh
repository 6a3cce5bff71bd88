# The programs: built from Go modules whose versions modules/*/go.mod pin, once for each change. Sourced by `cluster`.
# shellcheck shell=bash

KUBE=v1.36.3
BUILD_FLAGS=(-trimpath -buildvcs=false -tags "no_btrfs no_devmapper no_zfs")

# folder, linker flags, packages. Biggest first, so that no core waits for one long build at the end.
modules() {
  cat <<X
traefik - github.com/traefik/traefik/v3/cmd/traefik
kubernetes k8s $(printf 'k8s.io/kubernetes/cmd/%s ' kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
helm - helm.sh/helm/v4/cmd/helm
coredns - github.com/coredns/coredns
kwok - sigs.k8s.io/kwok/cmd/kwok
registry - github.com/distribution/distribution/v3/cmd/registry
etcd - go.etcd.io/etcd/server/v3=etcd
containerd - $(printf 'github.com/containerd/containerd/v2/cmd/%s ' containerd containerd-shim-runc-v2 ctr)
local-path - github.com/rancher/local-path-provisioner=local-path
X
}

build() {
  command -v go >/dev/null || fail "the testbed builds Kubernetes from source and found no \`go\`: install Go $(sed -n 's/^go //p' "$here/modules/kubernetes/go.mod") or newer"
  mkdir -p "$BIN/.built"
  local stale=() folder flags packages
  while read -r folder flags packages; do
    if ! built "$folder" "$flags" "$packages"; then stale+=("$folder $flags $packages"); fi
  done < <(modules)
  if [ ${#stale[@]} -gt 0 ]; then
    # Two at a time: one compiles while the other links.
    export -f build_module stamp say fail
    export here BIN KUBE
    printf '%s\n' "${stale[@]}" | BUILD_FLAGS_TEXT=$(declare -p BUILD_FLAGS) xargs -P 2 -d '\n' -I{} bash -euo pipefail -c 'eval "$BUILD_FLAGS_TEXT"; build_module {}'
  fi
  build_app pause
}

# stamp FOLDER FLAGS PACKAGES…: what the programs of a module depend on.
stamp() {
  { cat "$here/modules/$1/go.mod" "$here/modules/$1/go.sum"; echo "$* $KUBE ${BUILD_FLAGS[*]}"; } | sha256sum | cut -d' ' -f1
}

built() { # FOLDER FLAGS PACKAGES
  local package
  [ "$(cat "$BIN/.built/$1" 2>/dev/null)" = "$(stamp "$1" "$2" "$3")" ] || return 1
  for package in $3; do [ -x "$BIN/$(basename "${package##*=}")" ] || return 1; done
}

build_module() { # FOLDER FLAGS PACKAGES…, as one line of `modules`
  local folder=$1 flags=$2 link='-s -w' package out version=k8s.io/component-base/version
  shift 2
  if [ "$flags" = k8s ]; then link+=" -X $version.gitVersion=$KUBE -X $version.gitMajor=1 -X $version.gitMinor=$(cut -d. -f2 <<<"$KUBE")"; fi
  say "building $folder"
  out=$(mktemp -d "$BIN/.new-XXXXXX")
  # Into a folder of its own first: a program that runs is replaced, not overwritten, and never seen half-written.
  if [ $# = 1 ]; then
    (cd "$here/modules/$folder" && CGO_ENABLED=0 go build "${BUILD_FLAGS[@]}" -ldflags "$link" -o "$out/$(basename "${1##*=}")" "${1%%=*}")
  else
    (cd "$here/modules/$folder" && CGO_ENABLED=0 go build "${BUILD_FLAGS[@]}" -ldflags "$link" -o "$out/" "$@")
  fi
  mv -f "$out"/* "$BIN/"
  rmdir "$out"
  stamp "$folder" "$flags" "$*" >"$BIN/.built/$folder"
}

# build_app NAME: one of our own small programs; Go's cache makes this instant when nothing changed.
build_app() {
  (cd "$here/apps/$1" && CGO_ENABLED=0 go build "${BUILD_FLAGS[@]}" -ldflags '-s -w' -o "$BIN/$1" .)
}
