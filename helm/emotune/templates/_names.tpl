{{- define "emotune.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The services, by their areas. */}}
{{- define "emotune.areas" -}}
data featurization tuning evaluation inference
{{- end -}}

{{/* The areas that an area calls. */}}
{{- define "emotune.peers" -}}
{{- get (dict "data" "" "featurization" "data tuning" "tuning" "featurization evaluation" "evaluation" "data featurization tuning" "inference" "tuning") . -}}
{{- end -}}

{{/* The services of an area by which routes are made. */}}
{{- define "emotune.grpcServices" -}}
{{- get (dict
  "data" "emotune.data.v1.DatasetService emotune.files.v1.FileService emotune.events.v1.DeadLetterService"
  "featurization" "emotune.featurization.v1.FeatureService"
  "tuning" "emotune.tuning.v1.ExperimentService emotune.tuning.v1.TrialService emotune.tuning.v1.ModelService emotune.tuning.v1.InsightService"
  "evaluation" "emotune.evaluation.v1.EvaluationService emotune.evaluation.v1.StudyService emotune.evaluation.v1.RaterService"
  "inference" "emotune.inference.v1.AnalysisService"
) . -}}
{{- end -}}

{{- define "emotune.jobNamespace" -}}
{{- default .Release.Namespace .Values.jobs.namespace -}}
{{- end -}}

{{/* Labels by which things are found; they never change. Of (dict "root" $ "component" …). */}}
{{- define "emotune.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "emotune.labels" -}}
{{ include "emotune.selector" . }}
app.kubernetes.io/part-of: emotune
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Of (dict "root" $ "image" {repository, tag, digest}). */}}
{{- define "emotune.image" -}}
{{- $registry := ternary "" (printf "%s/" .root.Values.image.registry) (empty .root.Values.image.registry) -}}
{{- if .image.digest -}}
{{ $registry }}{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ $registry }}{{ .image.repository }}:{{ coalesce .image.tag .root.Values.image.tag .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "emotune.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "emotune.tokenSecret" -}}
{{- default (printf "%s-token" (include "emotune.fullname" .)) .Values.token.existingSecret -}}
{{- end -}}

{{- define "emotune.tlsSecret" -}}
{{- default (printf "%s-tls" (include "emotune.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{/* A port of a URL, or the default of its scheme. */}}
{{- define "emotune.portOf" -}}
{{- $host := (urlParse .).host -}}
{{- $defaults := dict "postgres" "5432" "postgresql" "5432" "https" "443" "http" "80" "s3" "443" -}}
{{- default (get $defaults (urlParse .).scheme) (regexFind ":[0-9]+$" $host | trimPrefix ":") -}}
{{- end -}}

{{/* The security context of every container. */}}
{{- define "emotune.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The security context of every pod, of the user. */}}
{{- define "emotune.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
