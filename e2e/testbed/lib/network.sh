# The network namespace and the control groups of a cluster. Sourced by `cluster`.
# shellcheck shell=bash

can_have_namespace() { [ -z "$(why_no_namespace)" ]; }

# Why this machine gives no network namespace; nothing when it does.
why_no_namespace() {
  local probe=drover-probe-$$ tool
  if [ -n "${TESTBED_LOOPBACK:-}" ]; then echo "TESTBED_LOOPBACK is set"; return; fi
  if [ "$(id -u)" != 0 ]; then echo "this is not root"; return; fi
  for tool in ip nft nsenter runc; do
    command -v $tool >/dev/null || { echo "the program \`$tool\` is missing (\`make setup\` installs it)"; return; }
  done
  if ! ip netns add $probe 2>/dev/null; then echo "this machine does not let root make network namespaces"; return; fi
  ip netns del $probe
}

network_up() {
  [ "$MODE" = namespace ] || return 0
  ip netns add "$NETNS"
  ip link add "$NETNS" type veth peer name eth0 netns "$NETNS"
  ip addr add "$HOST_IP/30" dev "$NETNS"
  ip link set "$NETNS" up
  in_ns ip addr add "$NODE_IP/30" dev eth0
  in_ns ip link set lo up
  in_ns ip link set eth0 up
  # Services need a route to be reachable from the node itself; it leads nowhere.
  in_ns ip route add $SERVICE_CIDR dev lo
  in_ns sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
  # Pods reach the host's end of the cable, where the git server listens, under the node's address.
  fill "$here/config/masquerade.nft" | in_ns nft -f -
}

network_down() {
  ip netns del "$NETNS" 2>/dev/null || true
  ip link del "$NETNS" 2>/dev/null || true
}

in_ns() { nsenter --net=/run/netns/"$NETNS" "$@"; } # not `ip netns exec`: that hides /sys/fs/cgroup

# Each kubelet gets a control group of its own: one that finds the pods of another in its group takes them for orphans
# and ends them.
cgroup_folders() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo "/sys/fs/cgroup/$CGROUP"
  else
    awk -v g="$CGROUP" '$3 == "cgroup" || $3 == "cgroup2" {print $2 "/" g}' /proc/mounts
  fi
}

cgroup_up() {
  local folder
  for folder in $(cgroup_folders); do
    mkdir -p "$folder"
    if [ -e "$folder/cpuset.cpus" ] && [ ! -e "$folder/cgroup.controllers" ]; then
      cat "$folder/../cpuset.cpus" >"$folder/cpuset.cpus"
      cat "$folder/../cpuset.mems" >"$folder/cpuset.mems"
    fi
    # Of the processor all pods would have as much as one thread of any other process: they have as much as four.
    if [ -e "$folder/cpu.weight" ]; then echo 400 >"$folder/cpu.weight"; fi
    if [ -e "$folder/cpu.shares" ]; then echo 4096 >"$folder/cpu.shares"; fi
  done
}

# Ends all pods, and removes the groups once they are empty.
cgroup_kill() {
  local folder pids
  for _ in $(seq 50); do
    pids=''
    for folder in $(cgroup_folders); do
      [ -d "$folder" ] || continue
      pids+=" $(find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null | tr '\n' ' ')"
    done
    [ -n "${pids// /}" ] || break
    # shellcheck disable=SC2086 # a list
    kill -KILL $pids 2>/dev/null || true
    sleep 0.1
  done
  for folder in $(cgroup_folders); do
    [ -d "$folder" ] && find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  return 0
}
