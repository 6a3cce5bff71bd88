# The node: scheduler, containerd, kubelet, kube-proxy, and an image registry. Sourced by `cluster`.
# shellcheck shell=bash

registry() {
  mkdir -p "$STATE/registry"
  fill "$here/config/registry.yaml" >"$STATE/registry.yaml"
  start registry registry serve "$STATE/registry.yaml"
}

node() {
  local run=$STATE/run config file
  mkdir -p "$run" "$STATE/cni" "$STATE/registries/$NODE_IP:5000"
  config=$here/config
  for file in containerd.toml kubelet.yaml; do fill "$config/$file" >"$STATE/$file"; done
  fill "$config/bridge.conflist" >"$STATE/cni/10-bridge.conflist"
  fill "$config/hosts.toml" >"$STATE/registries/$NODE_IP:5000/hosts.toml"
  echo "nameserver 127.0.0.1" >"$STATE/resolv.conf" # nobody answers there: pods resolve what the cluster's DNS knows
  cgroup_up

  start containerd containerd --config "$STATE/containerd.toml"
  running registry || registry
  start scheduler kube-scheduler --kubeconfig "$STATE/scheduler.kubeconfig" --leader-elect=false
  wait_for 30 containerd ctr --address "$run/containerd.sock" version
  image drover.test/pause:1 --entrypoint /pause "$BIN/pause:/pause" >/dev/null
  start kubelet kubelet --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" \
    --hostname-override node-0 --node-ip "$NODE_IP" --root-dir "$STATE/kubelet"
  start proxy kube-proxy --kubeconfig "$STATE/proxy.kubeconfig" --hostname-override node-0 \
    --proxy-mode nftables --cluster-cidr "$POD_CIDR" --conntrack-max-per-core 0
  wait_for 60 "node-0" kubectl --kubeconfig "$STATE/kubeconfig" wait --for=condition=Ready node/node-0 --timeout=1s
}

# image NAME:TAG …: see the program `image` beside `cluster`.
image() {
  "$here/image" --ctr "$BIN/ctr" --containerd "$STATE/run/containerd.sock" --registry "$NODE_IP:5000" "$@"
}

load() { # ARCHIVE
  local said
  said=$(ctr --address "$STATE/run/containerd.sock" --namespace k8s.io images import "$1" 2>&1) || fail "the node did not take $1: $said"
}
