# A node that only plays: kwok says of every pod there that it runs and is ready, at once. For hundreds of pods on a small machine.
# Sourced by `cluster`.
# shellcheck shell=bash

fake_node() {
  start scheduler kube-scheduler --kubeconfig "$STATE/scheduler.kubeconfig" --leader-elect=false
  start kwok kwok --kubeconfig "$STATE/kubeconfig" --manage-all-nodes=false \
    --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --config "$here/config/kwok.yaml"
  kubectl --kubeconfig "$STATE/kubeconfig" apply -f "$here/config/fake-node.yaml" >/dev/null
  wait_for 30 "the played node" kubectl --kubeconfig "$STATE/kubeconfig" wait --for=condition=Ready node/played --timeout=1s
}
