# The demo on the cluster of KUBECONFIG. It brings a registry, its images and a git server, all in the namespace drover-demo, and
# reaches them through the API server, so that it asks for nothing but that. Sourced by `run`.
# shellcheck shell=bash disable=SC2034 # `run` uses what is set here

# The one image that the nodes have to pull from elsewhere; any build of the distribution registry serves.
registry_image=${DEMO_REGISTRY_IMAGE:-registry:2}
node_registry=localhost:35000 # on each node; containerd and CRI-O trust plain HTTP there
git_host=git.drover-demo.svc

given_cluster() {
  export KUBECONFIG
  local bin=${TESTBED_BIN:-$HOME/.cache/drover/testbed/bin}
  PATH=$bin:$PATH
  step 'Build drover and the programs of the demo'
  packaging/steps <<PLAN || exit 1
# what             | after it | usually | lines | command
getting programs   |          | 10      |       | e2e/testbed/cluster build helm kubectl hello gitd
building drover    |          | 240     | 275   | cargo build --locked --workspace --bin drover
PLAN
  kubectl get --raw /readyz >/dev/null || fail "the cluster of KUBECONFIG does not answer: is \`kubectl get nodes\` well?"
  step "Bring a registry and a git server to this cluster, in the namespace drover-demo"
  sed "s#@REGISTRY_IMAGE@#$registry_image#" e2e/demo/in-cluster.yaml | kubectl apply -f - >/dev/null
  for what in daemonset deployment; do
    kubectl --namespace drover-demo rollout status "$what/registry" --timeout 3m >/dev/null ||
      fail "the registry does not start: \`kubectl -n drover-demo get pods\` says why. Where the nodes cannot pull $registry_image, name another image of it: DEMO_REGISTRY_IMAGE=…"
  done
  local tag # another build is another image
  tag=$(sha256sum "$CARGO_TARGET_DIR/debug/drover" | cut -c1-16)
  git_image_root
  push_images "$tag"
  git_server
  image=$node_registry/hello:1 broken=$node_registry/hello:broken
  values=(--set "image.repository=$node_registry/drover" --set "image.tag=$tag"
    --set "registryMirrors.localhost:35000=http://registry.drover-demo.svc:5000")
}

# Git's own programs and the libraries that they name.
git_image_root() {
  local file exec_path
  exec_path=$(git --exec-path)
  mkdir -p "$work/git/usr/bin" "$work/git/tmp"
  chmod 1777 "$work/git/tmp"
  cp "$HOME/.cache/drover/testbed/bin/gitd" "$work/git/usr/bin/gitd"
  for file in "$(command -v git)" "$exec_path/git-http-backend" $(ldd "$(command -v git)" "$exec_path/git-http-backend" | grep -o '/[^ ]* (0x' | cut -d' ' -f1 | sort -u); do
    cp --parents --dereference "$file" "$work/git"
  done
}

# To each node's registry, and to the one that drover asks.
push_images() { # TAG
  local pod port=36000
  for pod in $(kubectl --namespace drover-demo get pods -l 'app in (node-registry, registry)' -o name); do
    port=$((port + 1))
    forward "$pod" "$port" "$([[ $(kubectl --namespace drover-demo get "$pod" -o jsonpath='{.metadata.labels.app}') = node-registry ]] && echo 35000 || echo 5000)"
    local there=127.0.0.1:$port hello=(--entrypoint /hello "$bin/hello:/hello") make=(e2e/testbed/image --push --registry "127.0.0.1:$port")
    packaging/image --binary "$CARGO_TARGET_DIR/debug/drover" --without-errands --without-sops --strip --name "$there/drover:$1" --push "$there" >/dev/null
    "${make[@]}" "$there/hello:1" --user 65532:65532 --env VERSION=1 "${hello[@]}" >/dev/null
    "${make[@]}" "$there/hello:broken" --user 65532:65532 --env VERSION=3 --env EXIT_CODE=1 "${hello[@]}" >/dev/null
    "${make[@]}" "$there/gitd:1" --user 65532:65532 --rootfs "$work/git" --entrypoint /usr/bin/gitd >/dev/null
  done
}

git_server() {
  git_user=drover authority=$work/ca.crt
  kubectl --namespace drover-demo get secret git >/dev/null 2>&1 || git_secret
  secret() { kubectl --namespace drover-demo get secret git -o jsonpath="{.data['$1']}" | base64 -d; }
  git_password=$(secret password)
  secret 'ca\.crt' >"$authority"
  sed "s#@RUN@#$(date +%s)#" e2e/demo/git-server.yaml | kubectl apply -f - >/dev/null
  kubectl --namespace drover-demo rollout status deployment/git --timeout 2m >/dev/null ||
    fail "the git server does not start: \`kubectl -n drover-demo get pods\` says why"
  forward deployment/git 36000 8443
  git_url=https://$git_host/hello.git push_url=https://localhost:36000/hello.git
}

# Who may push, and a certificate of an authority of its own.
git_secret() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=drover-demo \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=git -keyout "$work/tls.key" -out "$work/tls.csr" 2>/dev/null
  openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 30 -out "$work/tls.crt" \
    -extfile <(printf 'subjectAltName=DNS:%s,DNS:localhost\nextendedKeyUsage=serverAuth' $git_host) 2>/dev/null
  kubectl --namespace drover-demo create secret generic git --from-literal "password=$(openssl rand -hex 16)" \
    --from-file ca.crt="$work/ca.crt" --from-file tls.crt="$work/tls.crt" --from-file tls.key="$work/tls.key" >/dev/null
}

forward() { # WHAT LOCAL-PORT PORT [NAMESPACE]
  kubectl --namespace "${4:-drover-demo}" port-forward "$1" "$2:$3" >"$work/forward-$2" 2>&1 &
  forwards+=($!)
  until_within 20 "a way to $1" bash -c "exec 3<>/dev/tcp/127.0.0.1/$2"
}

# By the Ingress controller's address, where the cluster has one that this machine reaches; else by the API server.
reach() {
  local address try
  for try in $(seq 20); do
    address=$(kubectl --namespace hello get ingress hello -o jsonpath='{.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}')
    if [ -n "$address" ] && curl --silent --fail --max-time 2 --header "Host: $host" "http://$address/" >/dev/null; then ingress=$address:80; return; fi
    sleep 0.5
  done
  echo "no Ingress controller of this cluster can be reached from here, so the app is asked through the API server"
  forward service/hello 36080 8080 hello
  ingress=127.0.0.1:36080
}

farewell() {
  cat <<X
Look around:  kubectl get drover --all-namespaces
Open the app: kubectl --namespace hello port-forward service/hello 8080, then http://localhost:8080/
End it:       kubectl delete namespace hello drover-demo; helm --namespace drover-system uninstall drover
X
}
