# What a cluster needs to be useful: DNS, dynamic volumes, Ingress; and the images that the tests run. Sourced by `cluster`.
# shellcheck shell=bash

addons() {
  addresses
  running kubelet || fail "cluster $N has no node: run \`cluster up --node\` first"
  export KUBECONFIG=$STATE/kubeconfig
  local name file stamp
  stamp=$(cat "$here"/addons/* "$here/lib/addons.sh" "$here/image" "$here"/apps/hello/* "$BIN"/.built/* | sha256sum)
  if [ "$(cat "$STATE/addons" 2>/dev/null)" = "$stamp" ]; then return; fi
  for name in coredns local-path traefik; do image "drover.test/$name:1" --entrypoint "/$name" "$BIN/$name:/$name" >/dev/null; done
  busybox_image
  for file in "$here"/addons/*.yaml; do fill "$file" | kubectl apply -f - >/dev/null; done
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
