# The demo on a cluster of its own on this machine. Sourced by `run`.
# shellcheck shell=bash disable=SC2034 # `run` uses what is set here

# With nothing built yet the two compilers are nearly all of it; they run side by side.
own_cluster() {
  export TESTBED=${TESTBED:-1}
  local bed=e2e/testbed
  step 'Start a Kubernetes cluster, an image registry and a git server on this machine'
  if ! $bed/cluster env >/dev/null 2>&1; then trap 'end_cluster; exit 130' INT TERM HUP; fi
  packaging/steps <<PLAN || exit 1
# what                   | after it                            | usually | lines | command
building Kubernetes      |                                     | 240     | 2730  | $bed/cluster build
building drover          |                                     | 240     | 275   | cargo build --locked --workspace --bin drover
starting the cluster     | building Kubernetes                 | 7       |       | $bed/cluster up --node
DNS, volumes and Ingress | starting the cluster                | 15      |       | $bed/cluster addons
starting the git server  | starting the cluster                | 2       |       | eval "\$($bed/cluster env)" && GITSERVER_ADDR=\$TESTBED_HOST_IP $bed/gitserver up
making drover's image    | building drover, starting the cluster | 8     |       | $bed/cluster load "\$(packaging/image --binary "$CARGO_TARGET_DIR/debug/drover" --without-errands --without-sops --strip)"
PLAN
  eval "$($bed/cluster env)"
  eval "$($bed/gitserver env)"
  rm -rf "$GIT_REPOSITORIES/hello.git" # of an earlier run
  $bed/gitserver repo hello >/dev/null
  PATH=$TESTBED_BIN:$PATH
  image=$TESTBED_REGISTRY/hello:1 broken=$TESTBED_REGISTRY/hello:broken
  git_url=$GIT_HTTPS_URL/hello.git push_url=$git_url git_user=$GIT_USER git_password=$GIT_PASSWORD
  # The git server's certificate is signed by an authority of its own.
  authority=$GIT_CA
  values=(--set "insecureRegistries={$TESTBED_REGISTRY}")
}

# A cluster that this run started and did not finish.
end_cluster() {
  trap '' INT TERM HUP
  echo 'ending what was begun; the next run goes on with what is built' >&2
  e2e/testbed/gitserver down
  e2e/testbed/cluster down
}

reach() {
  ingress=$TESTBED_NODE_IP:80
}

farewell() {
  cat <<X
The app is at http://$host/ once this machine knows the name:   echo '$TESTBED_NODE_IP $host' | sudo tee -a /etc/hosts
or without that:                      curl --header 'Host: $host' http://$TESTBED_NODE_IP/
The cluster stays up. Look around:    eval "\$(TESTBED=$TESTBED e2e/testbed/cluster env)"; \$TESTBED_BIN/kubectl get drover --all-namespaces
End it:                               TESTBED=$TESTBED make cluster-down
X
}
