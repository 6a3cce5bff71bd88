{{/* The release's full name: what most objects are called. */}}
{{- define "drover.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "drover.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "drover.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must name an existing service account when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods; never changes between versions. */}}
{{- define "drover.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "drover.labels" -}}
{{ include "drover.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: drover
{{- end -}}

{{- define "drover.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Whether a custom resource definition of that name is somebody else's: there, and not of this release, or with a spec that
     somebody besides Helm has written since (`kubectl apply`). Helm would refuse the whole release because of it. Without a
     cluster (`helm template`) nothing is there. Prints something or nothing. */}}
{{- define "drover.crdIsForeign" -}}
{{- $live := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- if $live -}}
{{- $notes := default dict $live.metadata.annotations -}}
{{- $release := get $notes "meta.helm.sh/release-name" -}}
{{- $namespace := get $notes "meta.helm.sh/release-namespace" -}}
{{- if not (and (eq $release .release.Name) (eq $namespace .release.Namespace)) -}}
another owner
{{- else -}}
{{- range $live.metadata.managedFields -}}
{{- if and (hasKey (default dict .fieldsV1) "f:spec") (not (hasPrefix "helm" .manager)) -}}
another writer
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a ClusterRole of that name is there and not of this release: `drover allow` makes the deployer's roles where a
     controller runs outside the cluster, with the same rules. Helm would refuse the whole release because of them. Prints
     something or nothing. */}}
{{- define "drover.roleIsForeign" -}}
{{- $live := lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" .name -}}
{{- if $live -}}
{{- $notes := default dict $live.metadata.annotations -}}
{{- if not (and (eq (get $notes "meta.helm.sh/release-name") .release.Name) (eq (get $notes "meta.helm.sh/release-namespace") .release.Namespace)) -}}
another owner
{{- end -}}
{{- end -}}
{{- end -}}
