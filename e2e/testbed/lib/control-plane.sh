# etcd, the API server and the controller manager. Sourced by `cluster`.
# shellcheck shell=bash

control_plane() { # [audit [fake-nodes]]
  local d=$STATE/pki etcd=http://127.0.0.1:$ETCD_PORT peers=http://127.0.0.1:$ETCD_PEER_PORT extra=() patience=()
  if [ -n "${1:-}" ]; then
    extra+=(--audit-policy-file "$here/config/audit-policy.yaml" --audit-log-path "$STATE/log/audit.log"
      --audit-log-maxsize 100000) # MB: what reads the log expects one file
  fi
  # A played node that is late with its sign of life is not dead, and its pods would not come back.
  if [ -n "${2:-}" ]; then patience+=(--node-monitor-grace-period 1h); fi
  # Loopback is no address for the `kubernetes` Service, and nothing in the cluster could reach it.
  if [ "$MODE" = loopback ]; then extra+=(--endpoint-reconciler-type none); fi

  start etcd etcd --data-dir "$STATE/etcd" --unsafe-no-fsync --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers" \
    --quota-backend-bytes 8589934592
  # shellcheck disable=SC2086 # APISERVER_FLAGS is a list
  start apiserver kube-apiserver --etcd-servers "$etcd" --bind-address "$NODE_IP" --advertise-address "$NODE_IP" \
    --secure-port "$API_PORT" --service-cluster-ip-range "$SERVICE_CIDR" --authorization-mode Node,RBAC --allow-privileged \
    --client-ca-file "$d/ca.crt" --tls-cert-file "$d/apiserver.crt" --tls-private-key-file "$d/apiserver.key" \
    --kubelet-client-certificate "$d/admin.crt" --kubelet-client-key "$d/admin.key" \
    --kubelet-preferred-address-types InternalIP --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$d/sa.pub" --service-account-signing-key-file "$d/sa.key" \
    "${extra[@]}" ${APISERVER_FLAGS:-}
  wait_for 60 "the API server" kubectl --kubeconfig "$STATE/kubeconfig" get --raw /readyz
  start controller-manager kube-controller-manager --kubeconfig "$STATE/controller-manager.kubeconfig" --secure-port 0 \
    --root-ca-file "$d/ca.crt" --service-account-private-key-file "$d/sa.key" --use-service-account-credentials \
    --leader-elect=false --allocate-node-cidrs --cluster-cidr "$POD_CIDR" --cluster-signing-cert-file "$d/ca.crt" \
    --cluster-signing-key-file "$d/ca.key" --kube-api-qps 200 --kube-api-burst 400 "${patience[@]}"
  # Without its namespace's default account no pod is let in.
  wait_for 30 "the controller manager" kubectl --kubeconfig "$STATE/kubeconfig" -n default get serviceaccount default
}
