# Looks before anything is touched: says what will be changed, or why not. Every look goes through a
# variable that a test can point elsewhere.
# shellcheck shell=bash

P_UID=${SLUICE_PREFLIGHT_UID:-$(id -u)}
P_OS_RELEASE=${SLUICE_PREFLIGHT_OS_RELEASE:-/etc/os-release}
P_ARCH=${SLUICE_PREFLIGHT_ARCH:-$(uname -m)}
P_MEMINFO=${SLUICE_PREFLIGHT_MEMINFO:-/proc/meminfo}
P_DISK_KIB=${SLUICE_PREFLIGHT_DISK_KIB:-}
P_PROC=${SLUICE_PREFLIGHT_PROC:-/proc}
P_ROOT=${SLUICE_PREFLIGHT_ROOT:-}          # before /etc/kubernetes, /var/lib/kubelet, ...
P_NETWORKS=${SLUICE_PREFLIGHT_NETWORKS:-}  # a file as `ip -4 -o addr` prints it
P_TOOLS=${SLUICE_PREFLIGHT_TOOLS:-$PATH}   # where go, javac and mvn are looked for

MIN_MEMORY_GIB=10 MIN_DISK_GIB=25

# port address component: what will listen where.
stack_ports() {
  if ours kubernetes; then
    say "$API_PORT $HOST kube-apiserver"; say "$KUBELET_PORT $HOST kubelet"; say "53 $HOST coredns"
    say "2379 127.0.0.1 etcd"; say "2380 127.0.0.1 etcd"; say "8054 127.0.0.1 coredns"; say "10248 127.0.0.1 kubelet"
    say "10249 127.0.0.1 kube-proxy"; say "10256 127.0.0.1 kube-proxy"; say "10257 127.0.0.1 kube-controller-manager"; say "10259 127.0.0.1 kube-scheduler"
    say "$PROMETHEUS_PORT 127.0.0.1 prometheus"
  fi
  if ours temporal; then say "$TEMPORAL_PORT $HOST temporal-door"; say "$TEMPORAL_PORT 127.0.0.1 temporal"; say "$TEMPORAL_UI_PORT 127.0.0.1 temporal"; fi
  if ours database; then say "$MARIADB_PORT $HOST mariadb"; fi
  if ours hdfs; then
    say "$HDFS_PORT $HOST hdfs-$HDFS_NAME-namenode"; say "$(( HDFS_PORT + 1 )) 127.0.0.1 hdfs-$HDFS_NAME-namenode"
    say "$(( HDFS_PORT + 2 )) $HOST hdfs-$HDFS_NAME-datanode"; say "$(( HDFS_PORT + 3 )) 127.0.0.1 hdfs-$HDFS_NAME-datanode"; say "$(( HDFS_PORT + 4 )) $HOST hdfs-$HDFS_NAME-datanode"
  fi
  if ours kafka; then say "$KAFKA_PORT $HOST kafka"; say "$(( KAFKA_PORT + 1 )) 127.0.0.1 kafka"; fi
}

refuse() { REFUSALS+=("$1"); }

preflight() {
  REFUSALS=()
  [ "$P_UID" = 0 ] || refuse "not root (uid $P_UID): containers, the bridge and mounts need it. Run it as root, in a virtual machine if you like."
  check_system
  check_tools
  check_memory
  check_disk
  check_network
  check_kubernetes
  check_ports
  not_refused
}
not_refused() {
  [ ${#REFUSALS[@]} -gt 0 ] || return 0
  say "stack: refused, nothing was changed:"
  printf '  - %s\n' "${REFUSALS[@]}"
  return 1
}

# Building the images needs less than running the servers.
preflight_images() {
  local missing
  REFUSALS=()
  check_system
  check_tools
  check_disk
  missing=$(missing_packages)
  if [ "$P_UID" != 0 ]; then
    [ -z "$missing" ] || refuse "not root, and Debian packages are missing: $missing. Install them, or run this as root."
    [ -w "$STATE" ] || [ -w "$(dirname "$STATE")" ] || refuse "not root, and $STATE can't be written: set SLUICE_STATE to a directory of yours."
  fi
  not_refused
}

check_system() {
  local id version
  id=$(sed -n 's/^ID=//p' "$P_OS_RELEASE" 2>/dev/null | tr -d '"')
  version=$(sed -n 's/^VERSION_ID=//p' "$P_OS_RELEASE" 2>/dev/null | tr -d '"')
  case "$id $version" in
    "debian 12"|"debian 13") ;;
    *) refuse "this system is '${id:-unknown} ${version:-}', not Debian 12 or 13: packages and paths are Debian's. With Docker, use docker-compose.yml." ;;
  esac
  [ "$P_ARCH" = x86_64 ] || refuse "this machine is $P_ARCH, not x86_64 (amd64): the images are made from its own programs."
}

check_tools() {
  local tool missing=
  for tool in go javac jlink mvn make; do
    ( PATH=$P_TOOLS; command -v "$tool" >/dev/null 2>&1 ) || missing+=" $tool"
  done
  if [ -n "$missing" ]; then
    refuse "missing on the PATH:$missing. Go, a JDK 17, Maven and make are what the stack is built with."
    return 0
  fi
  check_go
  check_jdk
}

# A Go from 1.21 on fetches the one that go.mod asks for, unless it is told to stay what it is.
check_go() {
  local have need
  need=$(sed -n 's/^go //p' "$REPO_DIR/go.mod")
  have=$(PATH=$P_TOOLS:$PATH GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//')
  if at_least "$have" "$need"; then return 0; fi
  if at_least "$have" 1.21 && [ "$(PATH=$P_TOOLS:$PATH go env GOTOOLCHAIN 2>/dev/null)" != local ]; then return 0; fi
  refuse "this is Go ${have:-of an unknown version}, $need is needed (go.mod). Install it, from go.dev for example: Debian's is older."
}
at_least() { [ -n "$1" ] && [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The engine image's JRE is made of this JDK.
check_jdk() {
  local version javac
  version=$(PATH=$P_TOOLS:$PATH javac -version 2>&1 | sed -n 's/^javac //p')
  case $version in
    17|17.*) ;;
    *) refuse "javac is of version ${version:-unknown}, a JDK 17 is needed (Flink 1.20 runs on it): apt-get install openjdk-17-jdk-headless, or Temurin 17, first on the PATH." ;;
  esac
  javac=$(PATH=$P_TOOLS:$PATH; readlink -f "$(command -v javac)")
  [ -d "${javac%/bin/javac}/jmods" ] || refuse "${javac%/bin/javac} has no jmods, of which jlink makes the engine image's JRE: install the whole JDK (openjdk-17-jdk-headless has them)."
}

check_memory() {
  local kib
  kib=$(awk '/^MemTotal:/{print $2}' "$P_MEMINFO")
  [ "${kib:-0}" -ge $(( MIN_MEMORY_GIB * 1024 * 1024 )) ] ||
    refuse "$(( ${kib:-0} / 1024 / 1024 )) GiB of memory, $MIN_MEMORY_GIB are needed (linking Kubernetes takes 4, the servers 1.5, each Flink cluster 0.5)."
}

check_disk() {
  local dir where kib need=$(( MIN_DISK_GIB * 1024 * 1024 ))
  for dir in "$CACHE" "$STATE"; do
    where=$dir
    while [ ! -e "$where" ]; do where=$(dirname "$where"); done
    kib=${P_DISK_KIB:-$(df -Pk "$where" | awk 'NR==2{print $4}')}
    # What is built already needs no room again.
    if [ -z "$P_DISK_KIB" ] && [ -e "$(kubernetes_bin)/.complete" ] && [ -e "$(temporal_bin)" ]; then need=$(( 8 * 1024 * 1024 )); fi
    if [ "$kib" -lt "$need" ]; then
      refuse "$(( kib / 1024 / 1024 )) GiB of disk free at $where, $(( need / 1024 / 1024 )) are needed. SLUICE_CACHE and SLUICE_STATE put the two directories elsewhere."
      return 0
    fi
  done
}

# Another interface in the pods' or services' networks would make their addresses ambiguous.
check_network() {
  local list clash
  any_ours || return 0
  list=$(if [ -n "$P_NETWORKS" ]; then cat "$P_NETWORKS"; else ip -4 -o addr 2>/dev/null || true; fi)
  clash=$(awk -v b="$BRIDGE" '$2!=b && $4 ~ /^10\.(244\.0|96)\./{print $2" has "$4; exit}' <<<"$list")
  [ -z "$clash" ] || refuse "$clash: the stack's networks are $POD_CIDR and $SERVICE_CIDR."
}

check_kubernetes() {
  local dir name pid path seen=
  ours kubernetes || return 0
  for dir in "$P_PROC"/[0-9]*; do
    pid=${dir##*/}
    { read -r name <"$dir/comm"; } 2>/dev/null || continue
    case $name in
      kubelet|kube-apiserver|k3s|k3s-server|k3s-agent|k0s|microk8s|rke2|containerd|dockerd|crio|etcd|kube-proxy) ;;
      *) continue ;;
    esac
    ! is_ours "$pid" || continue
    # What has ended and only waits for its parent to notice is no rival.
    grep -q '^[0-9]* (.*) Z' "$dir/stat" 2>/dev/null && continue
    case " $seen " in *" $name "*) continue ;; esac
    seen+=" $name"
    refuse "$name (pid $pid) is running and isn't ours: another Kubernetes or container runtime would share cgroups and paths with this one. Stop it, or give its KUBECONFIG and the stack will use that cluster."
  done
  for path in /etc/kubernetes /etc/rancher /var/lib/rancher /var/snap/microk8s; do
    [ ! -e "$P_ROOT$path" ] || refuse "$path exists: another Kubernetes is installed here. Remove it, or give its KUBECONFIG and the stack will use that cluster."
  done
  if [ -e "$P_ROOT/var/lib/kubelet" ] && [ ! -e "$STATE/before/absent" ]; then
    refuse "/var/lib/kubelet exists: a kubelet keeps, or kept, its state there. Remove it if nothing uses it."
  fi
}
is_ours() { # pid
  local file recorded
  for file in "$RUN"/*.pid; do
    [ -e "$file" ] || continue
    recorded=$(basename "$file" .pid)
    if [ "$(pid_of "$recorded")" = "$1" ]; then return 0; fi
  done
  return 1
}

# Listening sockets straight from the kernel: ss may not be installed yet.
listening() { # → "port address-in-hex inode"
  { cat "$P_PROC/net/tcp" "$P_PROC/net/tcp6" 2>/dev/null || true; } | awk '$4=="0A"{split($2,a,":"); print a[2], a[1], $10}'
  { cat "$P_PROC/net/udp" "$P_PROC/net/udp6" 2>/dev/null || true; } | awk '$4=="07"{split($2,a,":"); if(a[2]=="0035") print a[2], a[1], $10}'
}
check_ports() {
  local port address component hex inode where owner lines seen=
  lines=$(listening)
  while read -r port address component; do
    while read -r hex where inode; do
      [ "$(( 16#${hex:-0} ))" = "$port" ] || continue
      # Another address of the machine is no conflict; a wildcard, or exactly ours, is.
      case $where in
        00000000|00000000000000000000000000000000) ;;
        0100007F|0000000000000000FFFF00000100007F) [ "$address" = 127.0.0.1 ] || continue ;;
        0100F40A|0000000000000000FFFF00000100F40A) [ "$address" = "$HOST" ] || continue ;;
        *) continue ;;
      esac
      owner=$(socket_owner "$inode")
      ! is_ours "${owner%% *}" || continue
      case " $seen " in *" $port "*) continue ;; esac
      seen+=" $port"
      refuse "port $port, which $component needs, is taken by ${owner:+process }${owner:-a process without a name}."
    done <<<"$lines"
  done < <(stack_ports)
}
socket_owner() { # inode → "pid name"
  local link pid
  for link in $(find "$P_PROC"/[0-9]*/fd -lname "socket:\[$1\]" 2>/dev/null | head -n 1); do
    pid=${link#"$P_PROC"/}
    pid=${pid%%/*}
    printf '%s %s' "$pid" "$(cat "$P_PROC/$pid/comm" 2>/dev/null)"
  done
}

# What `up` will do to this machine, in words.
preflight_describe() {
  local missing
  missing=$(missing_packages)
  cat <<T
'stack up' will change on this machine:
  packages     ${missing:-none: all are installed}${missing:+(apt-get install; Debian\'s containerd service is not started)}
  directories  $STATE (state, logs, images), $CACHE (builds and downloads)
               while up also: ${FOREIGN_PATHS//$'\n  '/ } (those that are missing now are removed by down)
  network      bridge $BRIDGE with $HOST/24, a route $SERVICE_CIDR to it, one veth pair a pod
  firewall     one nftables table, kube-proxy (ip and ip6); no iptables rule
  sysctls      net.ipv4.ip_forward=1, net.bridge.bridge-nf-call-iptables=1, and what kubelet sets
               (vm.overcommit_memory, vm.panic_on_oom, kernel.panic, kernel.panic_on_oops); down puts all back
  cgroups      /kubepods and /k8s.io in every hierarchy
  mounts       overlay and tmpfs below $STATE
  processes    $(component_names)
  ports        (nothing listens on an outside interface)
T
  stack_ports | sort -k2,2 -k1,1n | awk '{printf "               %s:%s  %s\n",$2,$1,$3}'
  say "               plus, on 127.0.0.1 at ports the kernel chooses: Temporal's internal services, containerd's streaming, the DataNode's helper"
}
