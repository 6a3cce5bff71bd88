# Starting, finding and stopping processes by recorded ids. Sourced by `cluster`.
# shellcheck shell=bash

# start NAME COMMAND…: run it inside the cluster's network, log to $STATE/log/NAME.log, record which process it is.
start() {
  local name=$1
  shift
  mkdir -p "$STATE/command"
  printf '%s\0' "$@" >"$STATE/command/$name"
  start_again "$name"
}

# start_again NAME: with the command that it was started with.
start_again() {
  local name=$1 enter=() command
  mapfile -d '' command <"$STATE/command/$name"
  if [ "$MODE" = namespace ]; then enter=(nsenter --net=/run/netns/"$NETNS"); fi
  setsid "${enter[@]}" "${command[@]}" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
  echo "$! $(started_at $!)" >"$STATE/pid/$name"
}

# started_at PID: when the kernel started it, or nothing. With it a recorded id can not mean a later process by mistake.
started_at() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# running NAME: whether the process that `start` recorded is still there.
running() {
  local pid since
  [ -e "$STATE/pid/$1" ] || return 1
  read -r pid since <"$STATE/pid/$1"
  [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ]
}

# stop NAME…: end them and see them gone. At once: nothing of a cluster is kept, so there is nothing to finish.
stop() {
  local name pid
  for name in "$@"; do
    if running "$name"; then
      read -r pid _ <"$STATE/pid/$name"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
  for name in "$@"; do
    for _ in $(seq 100); do
      if ! running "$name"; then break; fi
      sleep 0.05
    done
  done
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
  local seconds=$1 what=$2
  shift 2
  for _ in $(seq $((seconds * 10))); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "$what was not there after $seconds s: the logs are in $STATE/log"
}

# Ends everything of this cluster and removes its traces, in the order in which nothing starts anything again.
tear_down() {
  addresses
  stop kubelet containerd
  cgroup_kill
  stop kwok proxy scheduler controller-manager registry apiserver etcd
  # Shims outlive containerd, and pods on the host's network share our namespace: both are the processes left inside it.
  for _ in $(seq 50); do
    local left
    left=$(ip netns pids "$NETNS" 2>/dev/null) || true
    [ -n "$left" ] || break
    echo "$left" | xargs -r kill -KILL 2>/dev/null || true
    sleep 0.1
  done
  cgroup_kill
  unmount_all
  network_down
  # The kubelet leaves these links wherever its logs are.
  find /var/log/containers -lname "$STATE/*" -delete 2>/dev/null || true
  # The git server of the same number keeps its folder here, and has a `down` of its own.
  find "$STATE" -mindepth 1 -maxdepth 1 ! -name git -exec rm -rf {} + 2>/dev/null || true
  rmdir "$STATE" 2>/dev/null || true
}

unmount_all() { # a mount may hide another one below it
  for _ in 1 2 3; do
    awk -v s="$STATE/" 'index($2, s) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount 2>/dev/null || true
  done
}
