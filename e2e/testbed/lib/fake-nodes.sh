# Nodes that only play: kwok says of every pod there that it runs and is ready, at once. For hundreds of pods on a small machine,
# and for what the scheduler chooses where there are several. Sourced by `cluster`.
# shellcheck shell=bash

fake_nodes() { # COUNT
  local number
  [[ $1 =~ ^[1-9][0-9]?$ ]] || fail "--fake-nodes is \`$1\`: it must be a number from 1 to 99"
  start scheduler kube-scheduler --kubeconfig "$STATE/scheduler.kubeconfig" --leader-elect=false
  start kwok kwok --kubeconfig "$STATE/kubeconfig" --manage-all-nodes=false \
    --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --config "$here/config/kwok.yaml"
  for number in $(seq "$1"); do
    sed "s#@NODE@#played-$number#" "$here/config/fake-node.yaml" | kubectl --kubeconfig "$STATE/kubeconfig" apply -f - >/dev/null
  done
  wait_for 30 "a played node" kubectl --kubeconfig "$STATE/kubeconfig" wait --for=condition=Ready nodes --all --timeout=1s
}
