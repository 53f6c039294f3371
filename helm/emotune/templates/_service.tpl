{{/* `area=host:port,…` of (dict "root" $ "peers" "area area"). */}}
{{- define "emotune.peerAddresses" -}}
{{- $addresses := list -}}
{{- range .peers | splitList " " -}}
{{- $addresses = append $addresses (printf "%s=%s" . (include "emotune.address" (dict "root" $.root "area" .))) -}}
{{- end -}}
{{- join "," $addresses -}}
{{- end -}}

{{/* Where a service is reached, also from other namespaces: of (dict "root" $ "area" …). */}}
{{- define "emotune.address" -}}
{{ include "emotune.fullname" .root }}-{{ .area }}.{{ .root.Release.Namespace }}.svc:{{ (get .root.Values .area).service.port }}
{{- end -}}

{{/* The kubelet speaks gRPC without TLS: where services listen with TLS, health has a port of its own. */}}
{{- define "emotune.probe" -}}
{port: {{ ternary 50052 50051 .root.Values.tls.enabled }}{{ with .service }}, service: {{ . }}{{ end }}}
{{- end -}}

{{- define "emotune.hubEnv" -}}
- name: HF_ENDPOINT
  value: {{ .Values.huggingFace.endpoint | quote }}
- {name: HF_HOME, value: /cache/huggingface}
- name: HF_HUB_OFFLINE
  value: {{ ternary "1" "0" .Values.huggingFace.offline | quote }}
{{- with .Values.huggingFace.existingSecret }}
{{ include "emotune.secretVariable" (dict "name" "HF_TOKEN" "secret" . "key" $.Values.huggingFace.key) }}
{{- end }}
{{- end -}}

{{/* As many threads as CPUs are requested. */}}
{{- define "emotune.threadsEnv" -}}
- name: EMOTUNE_THREADS
  valueFrom:
    resourceFieldRef: {containerName: {{ . }}, resource: requests.cpu, divisor: "1"}
{{- end -}}

{{/* What one service alone reads: of (dict "root" $ "area" … "service" its values). */}}
{{- define "emotune.serviceEnv" -}}
{{- if eq .area "data" -}}
- {name: EMOTUNE_CACHE_DIR, value: /cache/corpora}
- name: EMOTUNE_DOWNLOAD
  value: {{ .service.download | quote }}
{{ include "emotune.hubEnv" .root }}
{{- else if eq .area "tuning" -}}
- {name: EMOTUNE_RUNNER, value: kubernetes}
- name: EMOTUNE_K8S_NAMESPACE
  value: {{ include "emotune.jobNamespace" .root }}
- name: EMOTUNE_K8S_LEASES
  value: {{ include "emotune.fullname" .root }}-tuning
- name: EMOTUNE_K8S_TRAINER_IMAGE
  value: {{ include "emotune.image" (dict "root" .root "image" .root.Values.jobs.image) }}
- {name: EMOTUNE_K8S_JOB_TEMPLATE, value: /etc/emotune/jobs/template.yaml}
- name: EMOTUNE_K8S_EXPERIMENTS
  value: {{ .root.Values.experiments.mirror | quote }}
- name: EMOTUNE_TUNING
  value: {{ include "emotune.address" (dict "root" .root "area" "tuning") }}
{{ include "emotune.hubEnv" .root }}
{{- else if eq .area "evaluation" -}}
{{ include "emotune.threadsEnv" .area }}
{{- with .root.Values.studies }}
{{- if .enabled }}
- {name: EMOTUNE_STUDIES_LISTEN, value: "0.0.0.0:8080"}
- name: EMOTUNE_STUDIES_URL
  value: {{ .url | quote }}
{{- end }}
{{- end }}
{{- else if eq .area "inference" -}}
{{ include "emotune.threadsEnv" .area }}
- name: EMOTUNE_COMPUTE
  value: {{ .service.compute }}
- name: EMOTUNE_WAIT_SECONDS
  value: {{ .service.waitSeconds | quote }}
{{- end -}}
{{- end -}}

{{/* What every trial pod gets, on top of what the experiment asks for. */}}
{{- define "emotune.jobTemplate" -}}
labels:
  app.kubernetes.io/instance: {{ .Release.Name }}
  {{- with .Values.jobs.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.jobs.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
serviceAccountName: {{ include "emotune.fullname" . }}-trainer
{{- with .Values.jobs.priorityClassName | default (ternary (printf "%s-trials" (include "emotune.fullname" .)) "" .Values.priorityClasses.create) }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.jobs.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.jobs.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.jobs.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.jobs.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.jobs.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
gpuResource: {{ .Values.jobs.gpuResource }}
tmpSizeLimit: {{ .Values.jobs.tmpSize }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- include "emotune.pullSecrets" . }}
env:
  {{- include "emotune.objectsEnv" . | nindent 2 }}
  {{- include "emotune.tracingEnv" . | nindent 2 }}
  - {name: EMOTUNE_DEVICE, value: {{ .Values.jobs.device }}}
  {{- with .Values.jobs.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if .Values.objects.existingClaim }}
volumeMounts:
  {{- include "emotune.objectsMount" . | nindent 2 }}
volumes:
  {{- include "emotune.objectsVolume" . | nindent 2 }}
{{- end }}
{{- end -}}
