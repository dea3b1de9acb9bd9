# What is started, in what order, and how one looks at it.
# shellcheck shell=bash

components() { # name<TAB>address, one a line, in the order of starting
  if ours kubernetes; then
    printf '%s\t%s\n' containerd "$CONTAINERD_SOCKET" etcd 127.0.0.1:2379 kube-apiserver "$HOST:$API_PORT" \
      kube-controller-manager 127.0.0.1:10257 kube-scheduler 127.0.0.1:10259 kubelet "$HOST:$KUBELET_PORT" \
      kube-proxy 127.0.0.1:10256 coredns "$HOST:53" prometheus "http://127.0.0.1:$PROMETHEUS_PORT" prometheus-targets "pods → prometheus"
  fi
  if ours temporal; then printf '%s\t%s\n' temporal "127.0.0.1:$TEMPORAL_PORT, UI http://127.0.0.1:$TEMPORAL_UI_PORT" temporal-door "$HOST:$TEMPORAL_PORT → temporal"; fi
  if ours database; then printf '%s\t%s\n' mariadb "$HOST:$MARIADB_PORT"; fi
  if ours hdfs; then
    printf '%s\t%s\n' "hdfs-$HDFS_NAME-namenode" "$HOST:$HDFS_PORT, http://127.0.0.1:$(( HDFS_PORT + 1 ))" \
      "hdfs-$HDFS_NAME-datanode" "$HOST:$(( HDFS_PORT + 2 ))"
  fi
  if ours kafka; then printf '%s\t%s\n' kafka "$HOST:$KAFKA_PORT"; fi
}
component_names() { components | cut -f1 | tr '\n' ' '; }

all_alive() {
  local name
  [ -e "$RUN/up" ] || return 1
  for name in $(component_names); do alive "$name" || return 1; done
}

stack_up() {
  local began
  began=$(now_ms)
  external_load
  # A file left by a machine that went down while the stack was up says nothing now.
  if [ -e "$RUN/boot" ] && [ "$(cat "$RUN/boot")" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then
    rm -rf "$RUN"
    external_load
  fi
  if all_alive; then
    say "up: all of $(component_names)are running ('stack status' shows them)"
    return 0
  fi
  preflight || return 1
  lock
  mkdir -p "$RUN" "$LOG" "$OCI"
  chmod 755 "$STATE"
  cat /proc/sys/kernel/random/boot_id >"$RUN/boot"
  external_check
  external_save
  if [ -n "$(recorded)" ]; then say "partly up ($(recorded)are running): starting what is missing"; fi

  local net_hint="ip link and nft must be permitted here: a container needs --privileged"
  local offline_hint="the registries must be reachable the first time; what was fetched is kept. Run 'stack up' again"
  task packages "" "apt-get must reach Debian's archive; see the log above, then run 'stack up' again" install_packages
  if any_ours; then task network packages "$net_hint" network_up; fi
  if ours kubernetes; then
    task kubernetes-build "" "a full disk or memory shortage shows as 'signal: killed'; $offline_hint" build_kubernetes
    task image-tool "" "$offline_hint" build_image_tool
    task pause-image "image-tool" "remove $OCI and run 'stack up' again" pause_up
    task userland packages "see the log above" build_userland
    task hadoop-client "" "$offline_hint" download_hadoop_client
    task hadoop-download packages "$offline_hint" download_hadoop
    flink_tasks "$offline_hint" "remove $OCI and run 'stack up' again"
    task certificates packages "remove $PKI and run 'stack up' again" pki_up
    task containerd "network pause-image" "see $LOG/containerd.log; 'stack down', then 'stack up' again" containerd_up
    task etcd "kubernetes-build network" "see $LOG/etcd.log; 'stack down --purge' forgets a broken store" etcd_up
    task kube-apiserver "etcd certificates" "see $LOG/kube-apiserver.log; 'stack down --purge' forgets a broken store" apiserver_up
    task controllers kube-apiserver "see $LOG/kube-controller-manager.log and kube-scheduler.log" controllers_up
    task kube-proxy kube-apiserver "see $LOG/kube-proxy.log: nftables must be usable (nft list ruleset)" proxy_up
    task coredns kube-apiserver "see $LOG/coredns.log" coredns_up
    task prometheus-download packages "$offline_hint" download_prometheus
    task prometheus "kube-apiserver prometheus-download" "see $LOG/prometheus.log; 'stack down --purge' forgets broken series" prometheus_up
    task kubelet "kube-apiserver containerd" "see $LOG/kubelet.log" kubelet_up
    flink_import_tasks containerd "see $LOG/containerd.log; is the disk full?"
    if platform_present; then
      task platform-images "image-tool packages" "never fails here" platform_try
      task platform-import "containerd platform-images" "see $LOG/containerd.log; is the disk full?" platform_import
    fi
  fi
  if ours temporal; then
    task temporal-build "" "$offline_hint" build_temporal
    task temporal "temporal-build network" "see $LOG/temporal.log; 'stack down --purge' forgets a broken database" temporal_up
  fi
  if ours database; then task mariadb network "see $LOG/mariadb.log; 'stack down --purge' forgets a broken database" mariadb_up; fi
  if ours hdfs; then
    ours kubernetes || task hadoop-download packages "$offline_hint" download_hadoop
    task hdfs "hadoop-download network" "see $LOG/hdfs-$HDFS_NAME-namenode.log; 'stack down --purge' forgets broken files" hdfs_up "$HDFS_NAME" "$HDFS_PORT"
  fi
  if ours kafka; then
    task kafka-download packages "$offline_hint" download_kafka
    task kafka "kafka-download network" "see $LOG/kafka.log; 'stack down --purge' forgets broken data" kafka_up
  fi
  if ! run_tasks; then
    say "What was started is still there: 'stack up' goes on from here, 'stack down' removes it." >&2
    return 1
  fi
  touch "$RUN/up"
  say "up after $(seconds $(( $(now_ms) - began ))):"
  tasks_report
  ! grep -sq . "$LOG/platform.failed" || warn "the platform's images were not built ($LOG/task-platform-images.log); 'stack images' tries again"
  say "now: eval \"\$($STACK_DIR/stack env)\""
}

pause_up() { build_pause; pause_image; }

# A colleague's half-written program must not keep the servers from coming up.
platform_try() {
  rm -f "$LOG/platform.failed"
  "$STACK_DIR/stack" _task platform_images || echo failed >"$LOG/platform.failed"
}

recorded() {
  local file name
  for file in "$RUN"/*.pid; do
    name=$(basename "$file" .pid)
    if [ -e "$file" ] && alive "$name"; then printf '%s ' "$name"; fi
  done
}

stack_status() {
  local name address pid state=0
  external_load
  while IFS=$'\t' read -r name address; do
    if pid=$(pid_of "$name"); then
      printf '%-26s up    pid %-8s %s\n' "$name" "$pid" "$address"
    else
      printf '%-26s down\n' "$name"
      state=3
    fi
  done < <(components)
  ours kubernetes || say "Kubernetes                 yours: KUBECONFIG=$EXT_KUBECONFIG"
  ours temporal || say "Temporal                   yours: $EXT_TEMPORAL"
  ours database || say "record store               yours"
  ours hdfs || say "HDFS                       yours: $EXT_HDFS"
  ours kafka || say "Kafka                      yours: $EXT_KAFKA"
  if ours kubernetes && alive kube-apiserver; then
    kube get nodes -o wide || state=3
    kube get pods -A || state=3
  fi
  [ ! -e "$(images_env)" ] || { say "images:"; sed 's/^/  /' "$(images_env)"; }
  return "$state"
}

stack_env() {
  external_load
  ! ours database || [ -r "$STATE/mariadb/password" ] || die "not up yet: run 'stack up' first"
  local dsn=$EXT_DATABASE
  ! ours database || dsn=$(mariadb_dsn)
  printf 'export KUBECONFIG=%q\n' "${EXT_KUBECONFIG:-$OWN_KUBECONFIG}"
  printf 'export TEMPORAL_ADDRESS=%q\n' "${EXT_TEMPORAL:-$OWN_TEMPORAL_ADDRESS}"
  printf 'export SLUICE_DATABASE_DSN=%q\n' "$dsn"
  printf 'export SLUICE_HDFS=%q\n' "${EXT_HDFS:-$OWN_HDFS}"
  ! ours kubernetes || printf 'export SLUICE_PROMETHEUS=%q\nexport SLUICE_AUDIT_LOG=%q\n' "http://127.0.0.1:$PROMETHEUS_PORT" "$RUN/audit.log"
  printf 'export SLUICE_KAFKA=%q\n' "${EXT_KAFKA:-$OWN_KAFKA}"
}

stack_images() { # [--oci DIR]
  local oci=${2:-} archive
  [ "${1:-}" = "" ] || [ "${1:-}" = --oci ] || die "usage: stack images [--oci DIR]"
  [ "${1:-}" != --oci ] || [ -n "$oci" ] || die "usage: stack images --oci DIR"
  external_load
  preflight_images || return 1
  lock
  platform_present || die "cmd/sluice-{api,worker,agent} are not all there"
  mkdir -p "$LOG" "$RUN" "$OCI"
  local hint="see the log above"
  task packages "" "apt-get must reach Debian's archive; see the log above" install_packages
  task image-tool packages "$hint" build_image_tool
  task pause-image image-tool "$hint" pause_up
  task userland packages "$hint" build_userland
  task hadoop-client packages "$hint" download_hadoop_client
  task hadoop-download packages "$hint" download_hadoop
  flink_tasks "$hint" "$hint"
  task platform-images image-tool "$hint" platform_images
  if alive containerd; then
    flink_import_tasks "" "$hint"
    task platform-import platform-images "$hint" platform_import
  fi
  run_tasks || return 1
  if [ -n "$oci" ]; then
    mkdir -p "$oci"
    # shellcheck disable=SC2086
    for archive in $(flink_oci $FLINK_VERSIONS) $(platform_archives); do cp "$archive" "$oci/"; done
    cp "$(images_env)" "$oci/images.env"
    say "archives and images.env are in $oci; on each node: ctr -n k8s.io images import FILE"
  fi
  cat "$(images_env)"
}
