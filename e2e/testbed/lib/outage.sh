# What happens to a control plane in production: a part of it stops, hangs or returns, and etcd comes back from a backup.
# Sourced by `cluster`.
# shellcheck shell=bash

# A part of the control plane, by name.
part() {
  case ${1:-} in
    etcd | apiserver | controller-manager) ;;
    *) fail "\`${1:-}\` is no part of the control plane: it is etcd, apiserver or controller-manager" ;;
  esac
  [ -e "$STATE/command/$1" ] || fail "cluster $N is not up: run \`cluster up\`"
}

# As `kill -9` does; what it had open is refused from now on.
part_stop() {
  part "$1"
  stop "$1"
}

# Again, as it was started first.
part_start() {
  part "$1"
  if ! running "$1"; then start_again "$1"; fi
  api_ready
}

# It does not run and does not end: connections stay open and nothing answers. Without a name, all of it.
part_pause() {
  local one
  if [ -z "$1" ]; then
    for one in controller-manager apiserver etcd; do
      if running "$one"; then signal STOP "$one"; fi
    done
  else
    part "$1"
    signal STOP "$1"
  fi
}

part_resume() {
  local one
  if [ -z "$1" ]; then
    for one in etcd apiserver controller-manager; do
      if running "$one"; then signal CONT "$one"; else start_again "$one"; fi
    done
    api_ready
  else
    part "$1"
    signal CONT "$1"
  fi
}

signal() { # SIGNAL NAME
  local pid
  running "$2" || fail "$2 of cluster $N does not run"
  read -r pid _ <"$STATE/pid/$2"
  kill -"$1" "$pid"
}

# A copy of etcd's files while it does not run is a backup. The API server finds it again by itself.
snapshot() {
  part etcd
  stop etcd
  rm -rf "$STATE/etcd.snapshot"
  cp -a "$STATE/etcd" "$STATE/etcd.snapshot"
  start_again etcd
  api_ready
}

# As the manual of Kubernetes asks: nothing of the control plane runs while etcd is put back, because all of it remembers.
restore() {
  part etcd
  [ -d "$STATE/etcd.snapshot" ] || fail "cluster $N has no snapshot: run \`cluster snapshot\` first"
  local name others=()
  for name in controller-manager scheduler kwok; do
    if running "$name"; then others+=("$name"); fi
  done
  stop "${others[@]}" apiserver etcd
  rm -rf "$STATE/etcd"
  cp -a "$STATE/etcd.snapshot" "$STATE/etcd"
  start_again etcd
  start_again apiserver
  api_ready
  for name in "${others[@]}"; do start_again "$name"; done
}

api_ready() { wait_for 60 "the API server" kubectl --kubeconfig "$STATE/kubeconfig" get --raw /readyz --request-timeout 2s; }
