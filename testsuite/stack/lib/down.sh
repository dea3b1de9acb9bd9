# Stops what was started, by its record, and puts the machine back.
# shellcheck shell=bash

stack_down() { # [--purge]
  local name began
  [ "${1:-}" = "" ] || [ "${1:-}" = --purge ] || die "usage: stack down [--purge]"
  [ "$(id -u)" = 0 ] || die "not root"
  set +e # one thing that is gone already must not keep the rest here
  began=$(now_ms)
  external_load
  lock
  rm -f "$RUN/up"
  say "stopping the servers: $(recorded)"
  # The kubelet before the containers: it would start them again. Left to themselves the API server and Temporal
  # wait for their clients; their stores don't mind an abrupt end (etcd's own is orderly, SQLite has its log).
  for name in kubelet kube-apiserver kube-scheduler kube-controller-manager kube-proxy coredns prometheus prometheus-targets temporal-door temporal; do stop "$name" 2 & done
  stop mariadb 15 &
  stop kafka 10 &
  for name in "$RUN"/hdfs-*.pid; do [ ! -e "$name" ] || stop "$(basename "$name" .pid)" 5 & done
  wait
  say "ending containers, mounts and the pod network"
  if network_ours && command -v ctr >/dev/null; then containers_down; fi
  stop etcd 5
  for name in $(recorded); do stop "$name" 5; done
  unmount_below "$STATE"
  if network_ours; then network_down; fi
  rm -rf "$STATE/kubelet/pods" "$STATE/pod-logs" "$STATE/etcd-tmp"
  if [ "${1:-}" = --purge ]; then
    find "$STATE" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf --one-file-system {} +
    rm -f "$STATE/.lock"
    rmdir "$STATE" 2>/dev/null || true
  else
    rm -f "$RUN/external" "$RUN/boot"
  fi
  say "down after $(seconds $(( $(now_ms) - began )))${1:+; all state forgotten, builds and downloads kept in $CACHE}"
}
