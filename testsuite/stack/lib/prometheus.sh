# Prometheus, from Debian's package, with the scrape configuration and the rules of deploy/monitoring.
# shellcheck shell=bash

# Unpacked, not installed: no service, no user, and not the scripts of its old pages, on which the package depends.
prometheus_release() { sed -n 's/^VERSION_ID="*\([0-9.]*\)"*/\1/p' "$P_OS_RELEASE"; }
prometheus_bin() { printf '%s/usr/bin' "$(cache_path download prometheus "debian-$(prometheus_release)")"; }
prometheus_make() {
  cd "$1" || return
  apt-get download -q prometheus || { apt-get update -q; apt-get download -q prometheus; }
  dpkg -x prometheus_*.deb .
  rm -rf prometheus_*.deb etc lib usr/share
}
download_prometheus() { cached download prometheus "debian-$(prometheus_release)" prometheus_make; }

prometheus_up() {
  local dir=$STATE/prometheus
  mkdir -p "$dir"
  prometheus_identity
  prometheus_configuration "$dir"
  [ -e "$dir/targets.yaml" ] || printf '[]\n' >"$dir/targets.yaml"
  start prometheus-targets env SLUICE_STATE="$STATE" "$STACK_DIR/stack" _task prometheus_targets "$KUBE_BIN/kubectl" "$dir/targets.yaml"
  start prometheus "$(prometheus_bin)/prometheus" --config.file="$dir/prometheus.yaml" --storage.tsdb.path="$dir/data" \
    --storage.tsdb.retention.time=2d --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --log.level=warn
  WAIT_PROCESS=prometheus wait_for 60 "Prometheus on 127.0.0.1:$PROMETHEUS_PORT" prometheus_ready
}
prometheus_ready() { curl -sf -m 2 "http://127.0.0.1:$PROMETHEUS_PORT/-/ready"; }

# It may see pods, nothing else.
prometheus_identity() {
  if [ ! -e "$PKI/prometheus.kubeconfig" ]; then
    ( cd "$PKI" && certificate prometheus /CN=prometheus && kubeconfig prometheus )
  fi
  kube apply -f - <<'Y'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: prometheus}
rules: [{apiGroups: [""], resources: [pods], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects: [{kind: User, name: prometheus, apiGroup: rbac.authorization.k8s.io}]
Y
}

# Debian builds it without Kubernetes discovery: a file of targets with the same labels takes that place, so
# that the relabelling is deploy/monitoring's own. Seconds instead of quarters of a minute: tests wait for it.
prometheus_configuration() { # directory
  local source=$REPO_DIR/deploy/monitoring
  sed -e 's/15s/2s/g' -e '/kubernetes_sd_configs:/,/selectors:/c\  file_sd_configs: [{files: [targets.yaml]}]' \
    "$source/prometheus.yaml" | write_file 644 "$1/prometheus.yaml"
  write_file 644 "$1/rules.yaml" <"$source/rules.yaml"
}

# Takes the rules of this checkout into a Prometheus that runs.
prometheus_reload() {
  local pid before
  pid=$(pid_of prometheus) || { say "Prometheus doesn't run: no rules to load"; return 0; }
  "$(prometheus_bin)/promtool" check rules "$REPO_DIR/deploy/monitoring/rules.yaml" >/dev/null || die "deploy/monitoring/rules.yaml is not accepted: promtool check rules"
  if cmp -s "$REPO_DIR/deploy/monitoring/rules.yaml" "$STATE/prometheus/rules.yaml"; then return 0; fi
  before=$(prometheus_loaded)
  prometheus_configuration "$STATE/prometheus"
  kill -HUP "$pid"
  WAIT_PROCESS=prometheus wait_for 20 "Prometheus to load the rules" prometheus_loaded_since "$before"
}
prometheus_loaded() { curl -sf -m 2 "http://127.0.0.1:$PROMETHEUS_PORT/metrics" | sed -n 's/^prometheus_config_last_reload_success_timestamp_seconds //p'; }
prometheus_loaded_since() { [ "$(prometheus_loaded)" != "$1" ]; }

# Writes the targets whenever a pod of ours changes; its own kubectl watches.
prometheus_targets() { # kubectl file
  local watcher
  local -a pods=("$1" --kubeconfig "$PKI/prometheus.kubeconfig" get pods -A -l app.kubernetes.io/part-of=sluice)
  trap 'kill "$watcher" 2>/dev/null; exit 0' TERM
  while :; do
    exec 3< <(exec "${pods[@]}" --watch --no-headers)
    watcher=$!
    prometheus_render "$2"
    while read -r -u 3; do
      while read -rt 0.3 -u 3; do :; done # they come in bursts
      prometheus_render "$2"
    done
    exec 3<&-
    kill "$watcher" 2>/dev/null || true
    read -rt 1 <> <(:) || true # the API server is away: a read that nothing answers sleeps without a process
  done
}
prometheus_render() { # file; the command is the caller's
  local template
  # shellcheck disable=SC2016
  template='{{range $pod := .items}}{{if $pod.status.podIP}}{{range $pod.spec.containers}}{{range .ports}}- targets: ["{{$pod.status.podIP}}:{{.containerPort}}"]
  labels:
    __meta_kubernetes_namespace: "{{$pod.metadata.namespace}}"
    __meta_kubernetes_pod_name: "{{$pod.metadata.name}}"
    __meta_kubernetes_pod_phase: "{{$pod.status.phase}}"
    __meta_kubernetes_pod_container_port_name: "{{.name}}"
    __meta_kubernetes_pod_label_app_kubernetes_io_name: "{{with index $pod.metadata.labels "app.kubernetes.io/name"}}{{.}}{{end}}"
    __meta_kubernetes_pod_label_app_kubernetes_io_component: "{{with index $pod.metadata.labels "app.kubernetes.io/component"}}{{.}}{{end}}"
    __meta_kubernetes_pod_label_sluice_io_tenant: "{{with index $pod.metadata.labels "sluice.io/tenant"}}{{.}}{{end}}"
    __meta_kubernetes_pod_label_sluice_io_job: "{{with index $pod.metadata.labels "sluice.io/job"}}{{.}}{{end}}"
{{end}}{{end}}{{end}}{{end}}'
  if "${pods[@]}" -o go-template="$template" >"$1.new"; then
    [ -s "$1.new" ] || printf '[]\n' >"$1.new"
    mv -f "$1.new" "$1"
  fi
}
