{{/*
Where services and trainers find what they need: variables, volumes and mounts, by what is external and what is bundled.
Secrets are files or references, never values.
*/}}

{{- define "emotune.databaseUrl" -}}
{{- if .Values.bundled.postgresql.enabled -}}
postgres://emotune@{{ include "emotune.fullname" . }}-postgresql:5432/emotune
{{- else -}}
{{- .Values.database.url -}}
{{- end -}}
{{- end -}}

{{- define "emotune.databaseSecret" -}}
{{- if .Values.bundled.postgresql.enabled -}}
{{ include "emotune.fullname" . }}-postgresql
{{- else -}}
{{- .Values.database.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "emotune.brokers" -}}
{{- if .Values.bundled.kafka.enabled -}}
{{ include "emotune.fullname" . }}-kafka:9092
{{- else -}}
{{- join "," .Values.kafka.brokers -}}
{{- end -}}
{{- end -}}

{{- define "emotune.objectsUrl" -}}
{{- ternary "s3://emotune" .Values.objects.url .Values.bundled.s3.enabled -}}
{{- end -}}

{{- define "emotune.objectsEndpoint" -}}
{{- if .Values.bundled.s3.enabled -}}
http://{{ include "emotune.fullname" . }}-s3.{{ .Release.Namespace }}.svc:7070
{{- else -}}
{{- .Values.objects.endpoint -}}
{{- end -}}
{{- end -}}

{{- define "emotune.objectsSecret" -}}
{{- if .Values.bundled.s3.enabled -}}
{{ include "emotune.fullname" . }}-s3
{{- else -}}
{{- .Values.objects.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "emotune.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}
{{- end -}}

{{/* The object store's variables, of services and trainers. */}}
{{- define "emotune.objectsEnv" -}}
{{- if hasPrefix "s3:" (include "emotune.objectsUrl" .) }}
- name: AWS_REGION
  value: {{ .Values.objects.region | quote }}
{{- with include "emotune.objectsEndpoint" . }}
- name: EMOTUNE_S3_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with include "emotune.objectsSecret" . }}
{{ include "emotune.secretVariable" (dict "name" "AWS_ACCESS_KEY_ID" "secret" . "key" $.Values.objects.accessKeyIdKey) }}
{{ include "emotune.secretVariable" (dict "name" "AWS_SECRET_ACCESS_KEY" "secret" . "key" $.Values.objects.secretAccessKeyKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "emotune.tlsEnv" -}}
{{- if .Values.tls.enabled }}
- {name: EMOTUNE_TLS_CERT_FILE, value: /etc/emotune/tls/tls.crt}
- {name: EMOTUNE_TLS_KEY_FILE, value: /etc/emotune/tls/tls.key}
- {name: EMOTUNE_TLS_CA_FILE, value: /etc/emotune/tls/ca.crt}
{{- end }}
{{- end -}}

{{- define "emotune.tracingEnv" -}}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "emotune.kafkaEnv" -}}
- name: EMOTUNE_BUS_URL
  value: {{ printf "kafka://%s" (include "emotune.brokers" .) | quote }}
{{- $replication := ternary 1 .Values.kafka.replication .Values.bundled.kafka.enabled }}
{{- with $replication }}
- name: EMOTUNE_KAFKA_REPLICATION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.kafka.partitions }}
- name: EMOTUNE_KAFKA_PARTITIONS
  value: {{ . | quote }}
{{- end }}
{{- if .Values.kafka.tls.enabled }}
- {name: EMOTUNE_KAFKA_TLS, value: "true"}
{{- if .Values.kafka.tls.existingSecret }}
- {name: EMOTUNE_KAFKA_CA_FILE, value: /etc/emotune/kafka-tls/ca.crt}
{{- if .Values.kafka.tls.clientCertificate }}
- {name: EMOTUNE_KAFKA_CERT_FILE, value: /etc/emotune/kafka-tls/tls.crt}
- {name: EMOTUNE_KAFKA_KEY_FILE, value: /etc/emotune/kafka-tls/tls.key}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.kafka.sasl.mechanism }}
- name: EMOTUNE_KAFKA_SASL_MECHANISM
  value: {{ .Values.kafka.sasl.mechanism }}
- name: EMOTUNE_KAFKA_USERNAME
  value: {{ .Values.kafka.sasl.username | quote }}
- {name: EMOTUNE_KAFKA_PASSWORD_FILE, value: /etc/emotune/kafka/password}
{{- end }}
{{- end -}}

{{/* What every service reads. */}}
{{- define "emotune.connectionEnv" -}}
{{- if include "emotune.databaseUrl" . }}
- name: EMOTUNE_DATABASE_URL
  value: {{ include "emotune.databaseUrl" . | quote }}
- {name: EMOTUNE_DATABASE_PASSWORD_FILE, value: /etc/emotune/database/password}
{{- else }}
{{ include "emotune.secretVariable" (dict "name" "EMOTUNE_DATABASE_URL" "secret" .Values.database.existingSecret "key" .Values.database.urlKey) }}
{{- end }}
{{- with .Values.database.pool }}
- name: EMOTUNE_DATABASE_POOL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.database.statementSeconds }}
- name: EMOTUNE_DATABASE_STATEMENT_SECONDS
  value: {{ . | quote }}
{{- end }}
{{- if include "emotune.brokers" . }}
{{ include "emotune.kafkaEnv" . }}
{{- else }}
- {name: EMOTUNE_BUS_URL, value: $(EMOTUNE_DATABASE_URL)}
{{- end }}
- name: EMOTUNE_OBJECTS_URL
  value: {{ include "emotune.objectsUrl" . | quote }}
{{- include "emotune.objectsEnv" . }}
- {name: EMOTUNE_TOKEN_FILE, value: /etc/emotune/token/token}
{{- include "emotune.tlsEnv" . }}
{{- with .Values.identity }}
{{- if .oidc.issuer }}
- name: EMOTUNE_OIDC_ISSUER
  value: {{ .oidc.issuer | quote }}
- name: EMOTUNE_OIDC_USER_CLAIM
  value: {{ .oidc.userClaim | quote }}
- name: EMOTUNE_OIDC_GROUPS_CLAIM
  value: {{ .oidc.groupsClaim | quote }}
{{- end }}
{{- if .tokenReview }}
- {name: EMOTUNE_TOKEN_REVIEW, value: "true"}
{{- end }}
{{- if or .oidc.issuer .tokenReview }}
- name: EMOTUNE_OIDC_AUDIENCE
  value: {{ .audience | quote }}
{{- end }}
{{- end }}
{{- if .Values.identity.rolesConfigMap }}
- {name: EMOTUNE_ROLES_FILE, value: /etc/emotune/roles/roles.yaml}
{{- end }}
{{- include "emotune.tracingEnv" . }}
{{- end -}}

{{- define "emotune.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- range $key, $path := . }}
      - {key: {{ $key }}, path: {{ $path }}}
      {{- end }}
    {{- end }}
{{- end -}}

{{/* Volumes of every service that hold what the variables above name. */}}
{{- define "emotune.connectionVolumes" -}}
{{ include "emotune.secretVolume" (dict "name" "token" "secret" (include "emotune.tokenSecret" .) "items" (dict .Values.token.key "token")) }}
{{- if include "emotune.databaseUrl" . }}
{{ include "emotune.secretVolume" (dict "name" "database" "secret" (include "emotune.databaseSecret" .) "items" (dict .Values.database.passwordKey "password")) }}
{{- end }}
{{- if .Values.kafka.tls.existingSecret }}
{{ include "emotune.secretVolume" (dict "name" "kafka-tls" "secret" .Values.kafka.tls.existingSecret) }}
{{- end }}
{{- if .Values.kafka.sasl.mechanism }}
{{ include "emotune.secretVolume" (dict "name" "kafka" "secret" .Values.kafka.sasl.existingSecret "items" (dict .Values.kafka.sasl.passwordKey "password")) }}
{{- end }}
{{- if .Values.tls.enabled }}
{{ include "emotune.secretVolume" (dict "name" "tls" "secret" (include "emotune.tlsSecret" .)) }}
{{- end }}
{{- if .Values.identity.rolesConfigMap }}
- name: roles
  configMap:
    name: {{ .Values.identity.rolesConfigMap }}
    items:
      - {key: {{ .Values.identity.rolesKey }}, path: roles.yaml}
{{- end }}
{{- end -}}

{{- define "emotune.connectionMounts" -}}
- {name: token, mountPath: /etc/emotune/token, readOnly: true}
{{- if include "emotune.databaseUrl" . }}
- {name: database, mountPath: /etc/emotune/database, readOnly: true}
{{- end }}
{{- if .Values.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/emotune/kafka-tls, readOnly: true}
{{- end }}
{{- if .Values.kafka.sasl.mechanism }}
- {name: kafka, mountPath: /etc/emotune/kafka, readOnly: true}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /etc/emotune/tls, readOnly: true}
{{- end }}
{{- if .Values.identity.rolesConfigMap }}
- {name: roles, mountPath: /etc/emotune/roles, readOnly: true}
{{- end }}
{{- end -}}

{{/* The folder of a file:// object store, in services and trainers. */}}
{{- define "emotune.objectsVolume" -}}
{{- with .Values.objects.existingClaim }}
- name: objects
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- end -}}

{{- define "emotune.objectsMount" -}}
{{- if .Values.objects.existingClaim }}
- {name: objects, mountPath: {{ (urlParse .Values.objects.url).path }}}
{{- end }}
{{- end -}}
