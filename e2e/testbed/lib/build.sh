# Programs from Go modules, whose versions modules/*/go.mod pin, and packaging/sops/go.mod what drover's image has too. Sourced by `cluster`.
# shellcheck shell=bash

# Without debug data and inlining the compiler is done in half the time; memory is cheaper than its collector.
BUILD_FLAGS=(-trimpath -buildvcs=false -tags "no_btrfs no_devmapper no_zfs" "-gcflags=all=-dwarf=false -l -c=1")
LINK_FLAGS='-s -w'

# The folder that a group is built from.
module_of() { # GROUP
  case $1 in
    kube | local-path | kubectl) echo "$here/modules/kube" ;;
    sops) echo "$here/../../packaging/sops" ;;
    *) echo "$here/modules/$1" ;;
  esac
}

build_group() { # GROUP
  local group=$1 version=k8s.io/component-base/version out program
  command -v go >/dev/null || fail "the testbed builds $group from source and found no \`go\`: install Go $(sed -n 's/^go //p' "$(module_of "$group")/go.mod") or newer"
  say "building $group"
  # Into a folder of its own first: a program that runs is replaced, not overwritten, and never seen half-written.
  out=$(mktemp -d "$BIN/.new-XXXXXX")
  local kube_version="-X $version.gitVersion=$KUBE -X $version.gitMajor=1 -X $version.gitMinor=$(cut -d. -f2 <<<"$KUBE")"
  case $group in
    kube)
      go_build kube "$LINK_FLAGS $kube_version" "$out/" ./kube ./coredns
      for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do ln "$out/kube" "$out/$program"; done
      ;;
    local-path) go_build kube "$LINK_FLAGS" "$out/local-path" github.com/rancher/local-path-provisioner ;;
    kubectl) go_build kube "$LINK_FLAGS $kube_version" "$out/kubectl" k8s.io/kubernetes/cmd/kubectl ;;
    helm) go_build helm "$LINK_FLAGS" "$out/helm" helm.sh/helm/v4/cmd/helm ;;
    traefik) go_build traefik "$LINK_FLAGS" "$out/traefik" github.com/traefik/traefik/v3/cmd/traefik ;;
    containerd) go_build containerd "$LINK_FLAGS" "$out/" github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr} ;;
    registry) go_build registry "$LINK_FLAGS" "$out/registry" github.com/distribution/distribution/v3/cmd/registry ;;
    versitygw) go_build versitygw "$LINK_FLAGS" "$out/versitygw" github.com/versity/versitygw/cmd/versitygw ;;
    sops) go_build sops "$LINK_FLAGS" "$out/sops" github.com/getsops/sops/v3/cmd/sops ;;
    kwok) go_build kwok "$LINK_FLAGS" "$out/kwok" sigs.k8s.io/kwok/cmd/kwok ;;
  esac
  mv -f "$out"/* "$BIN/"
  rmdir "$out"
}

go_build() { # GROUP LINK-FLAGS OUTPUT PACKAGE…
  local module link=$2 output=$3
  module=$(module_of "$1")
  shift 3
  # A line for each compiled package is for who counts them (packaging/steps).
  (cd "$module" && CGO_ENABLED=0 GOGC=400 go build ${BUILD_PROGRESS:+-v} "${BUILD_FLAGS[@]}" -ldflags "$link" -o "$output" "$@")
}

# build_app NAME: one of our own small programs; Go's cache makes this instant when nothing changed.
build_app() {
  (cd "$here/apps/$1" && CGO_ENABLED=0 go build "${BUILD_FLAGS[@]}" -ldflags "$LINK_FLAGS" -o "$BIN/$1" .)
}
