# A certificate authority and one certificate for each component. Sourced by `cluster`.
# shellcheck shell=bash

certificates() {
  local d=$STATE/pki user
  mkdir -p "$d"
  chmod 700 "$d"
  new_key ca
  openssl req -x509 -new -key "$d/ca.key" -days 365 -subj /CN=drover-testbed -out "$d/ca.crt"
  new_key sa
  openssl pkey -in "$d/sa.key" -pubout -out "$d/sa.pub"
  certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$NODE_IP,IP:10.96.0.1"
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate controller-manager /CN=system:kube-controller-manager DNS:controller-manager
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate proxy /CN=system:kube-proxy DNS:proxy
  certificate kubelet /O=system:nodes/CN=system:node:node-0 "DNS:node-0,IP:$NODE_IP"
  for user in admin controller-manager scheduler proxy kubelet; do
    kubeconfig $user >"$STATE/$user.kubeconfig"
    chmod 600 "$STATE/$user.kubeconfig"
  done
  mv "$STATE/admin.kubeconfig" "$STATE/kubeconfig"
}

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$STATE/pki/$1.key"; }

certificate() { # name subject alternative-names
  local d=$STATE/pki
  new_key "$1"
  openssl req -new -key "$d/$1.key" -subj "$2" -out "$d/$1.csr"
  openssl x509 -req -in "$d/$1.csr" -CA "$d/ca.crt" -CAkey "$d/ca.key" -CAcreateserial -days 365 -out "$d/$1.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "$3") 2>/dev/null
}

kubeconfig() { # user
  local d=$STATE/pki
  cat <<Y
apiVersion: v1
kind: Config
clusters: [{name: testbed, cluster: {server: "https://$NODE_IP:$API_PORT", certificate-authority-data: $(base64 -w0 "$d/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$d/$1.crt"), client-key-data: $(base64 -w0 "$d/$1.key")}}]
contexts: [{name: testbed, context: {cluster: testbed, user: $1}}]
current-context: testbed
Y
}
