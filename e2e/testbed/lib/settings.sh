# Where things are. Sourced by `cluster`.
# shellcheck shell=bash disable=SC2034

N=${TESTBED:-0}
[[ $N =~ ^[0-9]+$ ]] && [ "$N" -le 60 ] || { echo "TESTBED is \`$N\`: it must be a number from 0 to 60" >&2; exit 2; }

BIN=${TESTBED_BIN:-$HOME/.cache/drover/testbed/bin} # built once, reused
if [ "$(id -u)" = 0 ]; then STATE=/var/lib/drover-testbed/$N; else STATE=${XDG_STATE_HOME:-$HOME/.local/state}/drover-testbed/$N; fi
NETNS=drover$N                                      # the namespace, and the host's end of its cable
CGROUP=drover-testbed-$N                            # all pods of this cluster
SERVICE_CIDR=10.96.0.0/16 POD_CIDR=10.244.0.0/16 DNS_IP=10.96.0.10
PATH=$BIN:$PATH

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The addresses depend on the mode in which `up` started this cluster.
addresses() {
  MODE=$(cat "$STATE/mode" 2>/dev/null || echo namespace)
  if [ "$MODE" = namespace ]; then # TEST-NET-3, on a cable of our own that is never routed
    HOST_IP=203.0.113.$((N * 4 + 1)) NODE_IP=203.0.113.$((N * 4 + 2))
    API_PORT=6443 ETCD_PORT=2379 ETCD_PEER_PORT=2380
  else
    HOST_IP=127.0.0.1 NODE_IP=127.0.0.1
    API_PORT=$((16443 + N * 10)) ETCD_PORT=$((16444 + N * 10)) ETCD_PEER_PORT=$((16445 + N * 10))
  fi
}

# fill FILE: its text with @NAME@ replaced by the setting of that name.
fill() {
  sed -e "s#@STATE@#$STATE#g; s#@NODE_IP@#$NODE_IP#g; s#@POD_CIDR@#$POD_CIDR#g; s#@DNS_IP@#$DNS_IP#g; s#@CGROUP@#$CGROUP#g" "$1"
}
