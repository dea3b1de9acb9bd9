# Paths, addresses, and the few helpers that everything else uses.
# shellcheck shell=bash disable=SC2034

STACK_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO_DIR=$(cd "$STACK_DIR/../.." && pwd)
CACHE=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
STATE=${SLUICE_STATE:-/var/lib/sluice-stack}
RUN=$STATE/run LOG=$STATE/log PKI=$STATE/pki OCI=$STATE/images

# shellcheck source=../versions.env
. "$STACK_DIR/versions.env"

# The pod network. Its bridge exists before anything else, because what pods must
# reach listens on the bridge's own address; no server listens on an outside interface.
BRIDGE=sluice0
BRIDGE_MAC=0a:58:0a:f4:00:01
HOST=10.244.0.1
POD_CIDR=10.244.0.0/24
SERVICE_CIDR=10.96.0.0/16
API_SERVICE=10.96.0.1
NODE=node1

API_PORT=6443
KUBELET_PORT=10250
TEMPORAL_PORT=7233
TEMPORAL_UI_PORT=8233
MARIADB_PORT=3306
HDFS_NAME=dc1
HDFS_PORT=9000
PROMETHEUS_PORT=9090
KAFKA_PORT=9092

PAUSE_IMAGE=docker.io/sluice/pause:1

say()  { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die()  { printf 'stack: %s\n' "$*" >&2; exit 1; }

now_ms() { printf '%s' "$(( ${EPOCHREALTIME/[^0-9]/} / 1000 ))"; }
seconds() { printf '%d.%01d s' "$(( $1 / 1000 ))" "$(( $1 % 1000 / 100 ))"; }   # ms → "12.3 s"

# A file appears whole or not at all; mode first, since some hold keys.
write_file() { # mode path   (content on stdin)
  local tmp
  tmp=$(mktemp "$(dirname "$2")/.${2##*/}.XXXXXX")
  chmod "$1" "$tmp"
  cat >"$tmp"
  mv -f "$tmp" "$2"
}

# Polls until the command succeeds. A process named in WAIT_PROCESS that dies ends the wait at once.
wait_for() { # seconds description command...
  local end=$(( $(now_ms) + $1 * 1000 )) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ -n "${WAIT_PROCESS:-}" ] && ! alive "$WAIT_PROCESS"; then
      say "$WAIT_PROCESS ended while waiting for: $what"
      tail -n 25 "$LOG/$WAIT_PROCESS.log" 2>/dev/null || true
      return 1
    fi
    if [ "$(now_ms)" -ge "$end" ]; then
      say "timed out waiting for: $what"
      [ -z "${WAIT_PROCESS:-}" ] || tail -n 25 "$LOG/$WAIT_PROCESS.log" 2>/dev/null || true
      return 1
    fi
    sleep 0.1
  done
}

# Never asks for an address of ours while the bridge is missing: the packet would leave by the default route.
port_open() { # host port
  case $1 in
    10.244.0.*) [ -e "/sys/class/net/$BRIDGE" ] || return 1 ;;
  esac
  # shellcheck disable=SC2016
  timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

digest() { sha256sum | cut -d' ' -f1; }
short()  { cut -c1-16; }

# Runs once a (thing, key): the builder fills a directory that gets its final name only when it is whole.
cached() { # group name key builder...   → prints nothing; the result is "$(cache_path group name key)"
  local dir tmp turn
  dir=$(cache_path "$1" "$2" "$3")
  shift 3
  [ ! -e "$dir/.complete" ] || return 0
  mkdir -p "$(dirname "$dir")"
  # Two tasks, or two checkouts, may want the same thing: the second waits, and finds it made.
  exec {turn}>"$dir.lock"
  flock "$turn"
  if [ -e "$dir/.complete" ]; then exec {turn}>&-; return 0; fi
  rm -rf "$dir" "$dir".tmp.*
  tmp=$(mktemp -d "$dir.tmp.XXXXXX")
  chmod 755 "$tmp"
  "$@" "$tmp" # `set -e` ends the whole task when it fails
  touch "$tmp/.complete"
  mv "$tmp" "$dir"
  rm -f "$dir.lock"
  exec {turn}>&-
}
cache_path() { printf '%s/%s/%s-%s' "$CACHE" "$1" "$2" "$3"; }

lock() {
  mkdir -p "$STATE"
  exec 9>"$STATE/.lock"
  flock -n 9 || die "another 'stack up', 'down' or 'images' is running on $STATE; wait for it to end"
}
