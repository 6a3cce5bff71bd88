# What a cluster needs to be useful: DNS, dynamic volumes, Ingress; and the images that the tests run. Sourced by `cluster`.
# shellcheck shell=bash

addons() {
  addresses
  running kubelet || fail "cluster $N has no node: run \`cluster up --node\` first"
  export KUBECONFIG=$STATE/kubeconfig
  local name file stamp
  stamp=$(cat "$here"/addons/* "$here/lib/addons.sh" "$here/image" "$here"/apps/hello/* "$BIN"/.made/* | sha256sum)
  if [ "$(cat "$STATE/addons" 2>/dev/null)" = "$stamp" ]; then return; fi
  for name in coredns local-path traefik; do image "drover.test/$name:1" --entrypoint "/$name" "$BIN/$name:/$name" >/dev/null; done
  busybox_image
  for file in "$here"/addons/*.yaml; do addon "$file"; done
  hello_images
  for name in kube-system/coredns local-path-storage/local-path traefik/traefik; do
    wait_for 90 "$name" kubectl -n "${name%/*}" wait --for=condition=Available "deployment/${name#*/}" --timeout=1s
  done
  echo "$stamp" >"$STATE/addons"
  say "DNS, volumes, Ingress (http://$NODE_IP) and the registry ($NODE_IP:5000) are up"
}

# Debian's static busybox with its usual links: what the volume provisioner's helper pods run.
busybox_image() {
  local root applet
  root=$(mktemp -d)
  mkdir -p "$root/bin" "$root/tmp"
  chmod 1777 "$root/tmp"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list | grep -vx busybox); do ln -sf busybox "$root/bin/$applet"; done
  image drover.test/busybox:1 --rootfs "$root" --cmd /bin/sh >/dev/null
  rm -rf "$root"
}

# The web server of the tests and the demo, in the versions that a team would push one after the other.
hello_images() {
  build_app hello
  local hello=("--entrypoint" /hello "$BIN/hello:/hello") registry=$NODE_IP:5000
  image "$registry/hello:1" --push --user 65532:65532 --env VERSION=1 "${hello[@]}" >/dev/null
  image "$registry/hello:2" --push --user 65532:65532 --env VERSION=2 "${hello[@]}" >/dev/null
  image "$registry/hello:broken" --push --user 65532:65532 --env VERSION=3 --env EXIT_CODE=1 "${hello[@]}" >/dev/null
  image "$registry/hello:root" --push --env VERSION=root "${hello[@]}" >/dev/null
}

# ingress_flags [FLAG…]: Traefik with these flags besides its own, such as a time after which it gives up on a slow request.
ingress_flags() {
  addresses
  export KUBECONFIG=$STATE/kubeconfig
  [ -e "$STATE/addons" ] || fail "cluster $N has no Ingress controller: run \`cluster addons\` first"
  printf ', "%s"' "$@" >"$STATE/ingress-flags"
  [ $# -gt 0 ] || rm "$STATE/ingress-flags"
  addon "$here/addons/ingress.yaml"
  kubectl -n traefik rollout status deployment/traefik --timeout=60s >/dev/null
}

addon() { # FILE
  fill "$1" | sed "s#@INGRESS_FLAGS@#$(cat "$STATE/ingress-flags" 2>/dev/null)#" | kubectl apply -f - >/dev/null
}
