{{- define "emotune.trainerSelector" -}}
app.kubernetes.io/component: trainer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "emotune.dnsEgress" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  to:
    - namespaceSelector: {}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
{{- end -}}

{{/* A rule of (dict "to" peers, none: anywhere, "ports" …). */}}
{{- define "emotune.egress" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The peer that is a bundled component, in the release's namespace; nothing where it is external. */}}
{{- define "emotune.bundledPeer" -}}
{{- if (get .root.Values.bundled .component).enabled -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .root.Release.Namespace }}}
  podSelector:
    matchLabels:
      {{- include "emotune.selector" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "emotune.databasePort" -}}
{{- include "emotune.portOf" (include "emotune.databaseUrl" . | default "postgres://x") -}}
{{- end -}}

{{- define "emotune.kafkaPorts" -}}
{{- $ports := list -}}
{{- range include "emotune.brokers" . | splitList "," -}}
{{- $ports = append $ports (splitList ":" . | last) -}}
{{- end -}}
{{- $ports | uniq | join " " -}}
{{- end -}}

{{- define "emotune.objectsEgress" -}}
{{- $url := include "emotune.objectsUrl" . -}}
{{- if hasPrefix "s3:" $url -}}
{{- $peer := include "emotune.bundledPeer" (dict "root" . "component" "s3") | fromYamlArray | default .Values.networkPolicy.objects -}}
{{- include "emotune.egress" (dict "to" $peer "ports" (list (include "emotune.portOf" (include "emotune.objectsEndpoint" . | default $url)))) -}}
{{- end -}}
{{- end -}}

{{- define "emotune.tracingEgress" -}}
{{- with .Values.tracing.endpoint -}}
{{- include "emotune.egress" (dict "ports" (list (include "emotune.portOf" .))) -}}
{{- end -}}
{{- end -}}
