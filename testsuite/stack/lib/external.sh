# A user's own servers: one that was given in the environment is used instead of ours, not started, only checked.
# shellcheck shell=bash

OWN_KUBECONFIG=$PKI/admin.kubeconfig
OWN_TEMPORAL_ADDRESS=$HOST:$TEMPORAL_PORT
OWN_HDFS=$HOST:$HDFS_PORT
OWN_KAFKA=$HOST:$KAFKA_PORT

# What `up` decided stays decided until `down`; before that, the environment decides. The values
# that `stack env` printed of our own servers are no user's servers.
external_load() {
  EXT_KUBECONFIG='' EXT_TEMPORAL='' EXT_DATABASE='' EXT_HDFS='' EXT_KAFKA=''
  if [ -e "$RUN/external" ]; then
    # shellcheck disable=SC1091
    . "$RUN/external"
    return 0
  fi
  [ "${KUBECONFIG:-}" = "$OWN_KUBECONFIG" ] || EXT_KUBECONFIG=${KUBECONFIG:-}
  [ "${TEMPORAL_ADDRESS:-}" = "$OWN_TEMPORAL_ADDRESS" ] || EXT_TEMPORAL=${TEMPORAL_ADDRESS:-}
  [ "${SLUICE_HDFS:-}" = "$OWN_HDFS" ] || EXT_HDFS=${SLUICE_HDFS:-}
  [ "${SLUICE_KAFKA:-}" = "$OWN_KAFKA" ] || EXT_KAFKA=${SLUICE_KAFKA:-}
  case ${SLUICE_DATABASE_DSN:-} in
    *"@tcp($HOST:$MARIADB_PORT)/"*) ;;
    *) EXT_DATABASE=${SLUICE_DATABASE_DSN:-} ;;
  esac
}
external_save() {
  mkdir -p "$RUN"
  declare -p EXT_KUBECONFIG EXT_TEMPORAL EXT_DATABASE EXT_HDFS EXT_KAFKA | sed 's/^declare -- //' | write_file 600 "$RUN/external"
}

ours() { # kubernetes | temporal | database | hdfs | kafka
  case $1 in
    kubernetes) [ -z "$EXT_KUBECONFIG" ] ;;
    temporal) [ -z "$EXT_TEMPORAL" ] ;;
    database) [ -z "$EXT_DATABASE" ] ;;
    hdfs) [ -z "$EXT_HDFS" ] ;;
    kafka) [ -z "$EXT_KAFKA" ] ;;
  esac
}

any_ours() { ours kubernetes || ours temporal || ours database || ours hdfs || ours kafka; }

external_check() {
  local url address
  if ! ours kubernetes; then
    [ -r "$EXT_KUBECONFIG" ] || die "KUBECONFIG=$EXT_KUBECONFIG can't be read"
    if command -v kubectl >/dev/null; then
      KUBECONFIG=$EXT_KUBECONFIG kubectl --request-timeout=10s get --raw /version >/dev/null || die "the cluster of KUBECONFIG=$EXT_KUBECONFIG doesn't answer"
    else
      url=$(sed -n 's#^ *server: *"\{0,1\}https\{0,1\}://\([^"/ ]*\).*#\1#p' "$EXT_KUBECONFIG" | head -n 1)
      case $url in *:*) ;; *) url=$url:443 ;; esac
      reachable KUBECONFIG "$url"
    fi
  fi
  ours temporal || reachable TEMPORAL_ADDRESS "$EXT_TEMPORAL"
  ours hdfs || reachable SLUICE_HDFS "$EXT_HDFS"
  ours kafka || reachable SLUICE_KAFKA "${EXT_KAFKA%%,*}"
  if ! ours database; then
    address=$(sed -n 's/.*@tcp(\([^)]*\)).*/\1/p' <<<"$EXT_DATABASE")
    [ -n "$address" ] || die "SLUICE_DATABASE_DSN is not of the form user:password@tcp(host:port)/database"
    reachable SLUICE_DATABASE_DSN "$address"
  fi
}
reachable() { # variable host:port
  # shellcheck disable=SC2016
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${2%:*}" "${2##*:}" 2>/dev/null || die "$1 names $2, which can't be reached"
}
