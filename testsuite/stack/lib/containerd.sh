# Containers. Ours has its own socket, root and state: it never meets another containerd's.
# shellcheck shell=bash

CONTAINERD_SOCKET=$RUN/containerd.sock
ctr_() { ctr -a "$CONTAINERD_SOCKET" -n k8s.io "$@"; }

containerd_up() {
  mkdir -p "$RUN/cni" "$STATE/containerd" "$RUN/containerd"
  # No masquerade and no port mapping: pods reach the bridge's address and each other, so no iptables rule is ever made.
  write_file 644 "$RUN/cni/10-sluice.conflist" <<J
{"cniVersion":"0.4.0","name":"pods","plugins":[
 {"type":"bridge","bridge":"$BRIDGE","isGateway":true,"ipMasq":false,"hairpinMode":true,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_CIDR","gateway":"$HOST"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"$RUN/cni-ipam"}}]}
J
  write_file 644 "$RUN/containerd.toml" <<T
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$CONTAINERD_SOCKET"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$RUN/runc"
T
  start containerd containerd --config "$RUN/containerd.toml"
  WAIT_PROCESS=containerd wait_for 60 "containerd's socket" ctr_ version
  images_import "$PAUSE_ARCHIVE"
}

# Containers outlive containerd, and their shims outlive them: everything below our directories is ended and unmounted.
containers_down() {
  local end ids id pid
  if alive containerd; then
    ids=$(ctr_ tasks ls -q 2>/dev/null || true)
    for id in $ids; do ctr_ tasks kill -a -s SIGKILL "$id" >/dev/null 2>&1 || true; done
    end=$(( $(now_ms) + 5000 ))
    while ctr_ tasks ls 2>/dev/null | awk 'NR>1 && $3=="RUNNING"{f=1} END{exit !f}' && [ "$(now_ms)" -lt "$end" ]; do sleep 0.1; done
    for id in $ids; do ctr_ tasks rm -f "$id" >/dev/null 2>&1 || true; done
    for id in $(ctr_ containers ls -q 2>/dev/null || true); do ctr_ containers rm "$id" >/dev/null 2>&1 || true; done
  fi
  stop containerd
  # A shim is ours when its command line names our socket, and so is whatever is left below it.
  for pid in $(shims); do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in $(processes_in_cgroups); do kill -KILL "$pid" 2>/dev/null || true; done
  unmount_below "$STATE"
  rm -rf "$RUN/containerd" "$RUN/runc" "$RUN/cni-ipam"
  remove_cgroups
}

shims() {
  local dir
  for dir in /proc/[0-9]*; do
    if tr '\0' ' ' 2>/dev/null <"$dir/cmdline" | grep -q -- "containerd-shim-runc-v2 .*-address $CONTAINERD_SOCKET"; then printf '%s ' "${dir#/proc/}"; fi
  done
  return 0
}

# preflight made sure that no other kubelet is on this machine: these cgroups are ours.
our_cgroups() {
  local dir
  for dir in /sys/fs/cgroup/kubepods /sys/fs/cgroup/k8s.io /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/*/k8s.io; do
    [ ! -d "$dir" ] || printf '%s\n' "$dir"
  done
}
processes_in_cgroups() { our_cgroups | while read -r dir; do find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -u; }
remove_cgroups() {
  local end=$(( $(now_ms) + 3000 ))
  while [ "$(now_ms)" -lt "$end" ]; do
    our_cgroups | while read -r dir; do find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null; done || true
    [ -n "$(our_cgroups)" ] || return 0
    sleep 0.2
  done
  warn "these cgroups would not go: $(our_cgroups | tr '\n' ' ')"
}

unmount_below() {
  local path
  awk -v r="$1/" 'index($2,r)==1{print $2}' /proc/self/mounts | sort -r | while read -r path; do
    umount -l "$path" 2>/dev/null || true
  done
}
