{{- define "sallyport.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "sallyport.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sallyport.labels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "sallyport.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The configuration is the one truth about ports: host:port -> port. */}}
{{- define "sallyport.publicPort" -}}
{{- regexFind "[0-9]+$" (dig "listen" "public" "0.0.0.0:8080" .Values.config) }}
{{- end }}
{{- define "sallyport.opsPort" -}}
{{- regexFind "[0-9]+$" (dig "listen" "ops" "0.0.0.0:9090" .Values.config) }}
{{- end }}

{{/* A duration of the configuration, such as 500ms, 30s, 1h30m or 0, in whole seconds, rounded up. */}}
{{- define "sallyport.seconds" -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^(0|([0-9]+(ms|s|m|h|d))+)$" $text) }}{{ fail (printf "%q is not a duration such as 30s" $text) }}{{ end -}}
{{- $factors := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d)" $text -1 }}{{ $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $factors (regexFind "[a-z]+$" .) | int64)) }}{{ end -}}
{{- div (add $sum 999) 1000 }}
{{- end }}

{{/* Longer than the gateway takes to drain, or the kubelet would cut what is under way: delay + grace + 10 s to close. */}}
{{- define "sallyport.terminationGrace" -}}
{{- $delay := include "sallyport.seconds" (dig "shutdown" "delay" "5s" .Values.config) | int64 -}}
{{- $grace := include "sallyport.seconds" (dig "shutdown" "grace" "30s" .Values.config) | int64 -}}
{{- add $delay $grace 10 }}
{{- end }}

{{/* What would render, and then fail or sign people out. */}}
{{- define "sallyport.check" -}}
{{- $store := dig "session" "store" "memory" .Values.config -}}
{{- if and (kindIs "string" $store) (gt (int .Values.replicaCount) 1) }}{{ fail "config.session.store is memory: sessions of one replica are unknown to the others. Configure redis, or set replicaCount: 1." }}{{ end }}
{{- if and (not (kindIs "string" $store)) (not .Values.sessionKeys.existingSecret) }}{{ fail "sessionKeys.existingSecret is empty: every replica needs the same sealing keys." }}{{ end }}
{{- range $i, $entry := (dig "provider" "client_auth" list .Values.config) }}{{ if and $entry.client_secret (not (hasPrefix "${" $entry.client_secret)) }}{{ fail (printf "config.provider.client_auth[%d].client_secret would stand in a ConfigMap: use client_secret_file and credential.existingSecret." $i) }}{{ end }}{{ end }}
{{- if and .Values.credential.existingSecret .Values.credential.pairs }}{{ fail "credential.existingSecret and credential.pairs want the same place: keep one." }}{{ end }}
{{- end }}
