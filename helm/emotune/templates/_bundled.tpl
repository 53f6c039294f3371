{{/* What the components for evaluation have in common: of (dict "root" $ "component" … …). */}}

{{/* Credentials that the chart makes, by keys, and keeps at upgrades. */}}
{{- define "emotune.bundledSecret" -}}
{{- $name := printf "%s-%s" (include "emotune.fullname" .root) .component }}
{{- $kept := get (lookup "v1" "Secret" .root.Release.Namespace $name | default dict) "data" | default dict }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "emotune.labels" . | nindent 4 }}
type: Opaque
data:
  {{- range .keys }}
  {{ . }}: {{ get $kept . | default (randAlphaNum 32 | b64enc) }}
  {{- end }}
{{- end -}}

{{- define "emotune.bundledService" }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "emotune.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "emotune.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "emotune.selector" . | nindent 4 }}
  ports:
    - {name: server, port: {{ .port }}, targetPort: server}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "emotune.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "emotune.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- if .root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "emotune.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "emotune.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "emotune.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports: [{port: server}]
      from:
        - podSelector:
            matchLabels:
              {{- include "emotune.selector" (dict "root" .root) | nindent 14 }}
        {{- if eq .component "s3" }}
        - podSelector:
            matchLabels:
              {{- include "emotune.trainerSelector" .root | nindent 14 }}
          namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ include "emotune.jobNamespace" .root }}
        {{- end }}
{{- end }}
{{- end -}}

{{/* The spec of a StatefulSet of one pod, up to its containers. */}}
{{- define "emotune.bundledSet" -}}
replicas: 1
serviceName: {{ include "emotune.fullname" .root }}-{{ .component }}
selector:
  matchLabels:
    {{- include "emotune.selector" . | nindent 4 }}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "emotune.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .values.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ .values.size }}}}
template:
  metadata:
    labels:
      {{- include "emotune.labels" . | nindent 6 }}
  spec:
    serviceAccountName: {{ include "emotune.fullname" .root }}-{{ .component }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    terminationGracePeriodSeconds: 60
    securityContext:
      {{- include "emotune.podSecurity" .user | nindent 6 }}
{{- end -}}
