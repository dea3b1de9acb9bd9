# The pod network's bridge, and everything of the machine that has to be put back: sysctls,
# nftables, and directories that appear because their paths are compiled into somebody's binary.
# shellcheck shell=bash

# What kubelet, kube-proxy, the bridge plugin or we ourselves may change.
SYSCTLS="net.ipv4.ip_forward net.ipv4.conf.all.forwarding net.ipv4.conf.default.forwarding
  net.ipv4.conf.all.route_localnet net.ipv4.conf.all.arp_announce
  net.ipv6.conf.all.forwarding net.ipv6.conf.default.forwarding
  net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables
  net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_tcp_be_liberal
  net.netfilter.nf_conntrack_tcp_timeout_established net.netfilter.nf_conntrack_tcp_timeout_close_wait
  vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

# Compiled-in paths of kubelet, containerd and libcni; those that were missing before are removed by down.
FOREIGN_PATHS="/var/lib/kubelet /var/log/pods /var/log/containers /var/lib/cni /run/containerd /var/lib/containerd
  /run/netns /run/mount /opt/containerd /etc/cni /opt/cni /usr/libexec/kubernetes /run/flannel /var/run/kubernetes /run/runc"

remember() {
  local name file path
  # Of another boot's record only the paths still hold: they are on disk, and they were ours.
  if [ "$(cat "$STATE/before/boot" 2>/dev/null)" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then rm -f "$STATE/before/complete"; fi
  [ ! -e "$STATE/before/complete" ] || return 0
  mkdir -p "$STATE/before"
  cat /proc/sys/kernel/random/boot_id >"$STATE/before/boot"
  {
    for name in $SYSCTLS; do
      file=/proc/sys/${name//.//}
      [ ! -r "$file" ] || printf '%s %s\n' "$file" "$(cat "$file")"
    done
    # ip_forward writes through to every interface, and so would putting it back.
    for file in /proc/sys/net/ipv4/conf/*/forwarding; do printf '%s %s\n' "$file" "$(cat "$file")"; done
  } >"$STATE/before/sysctl"
  if [ ! -e "$STATE/before/absent" ]; then
    for path in $FOREIGN_PATHS; do [ -e "$path" ] || printf '%s\n' "$path"; done >"$STATE/before/absent"
  fi
  nft list tables 2>/dev/null | sort >"$STATE/before/tables"
  touch "$STATE/before/complete"
}

# Says whether this state made the network: if not, bridge, rules and cgroups may be another state's.
network_ours() { [ -e "$STATE/before" ]; }

network_up() {
  remember
  if [ ! -e "/sys/class/net/$BRIDGE" ]; then
    ip link add "$BRIDGE" address "$BRIDGE_MAC" type bridge
  fi
  sysctl -qw "net.ipv6.conf.$BRIDGE.disable_ipv6=1" 2>/dev/null || true
  ip addr replace "$HOST/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # Services are reached from this machine too, with an address that pods can answer, and a
  # packet to a service that doesn't exist stays here instead of leaving by the default route.
  ip route replace "$SERVICE_CIDR" dev "$BRIDGE" src "$HOST"
  sysctl -qw net.ipv4.ip_forward=1
  # Without it a pod's answer to another pod of the same bridge passes kube-proxy's address translation by.
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || modprobe br_netfilter 2>/dev/null || true
}

network_down() {
  local file value path table
  ip link del "$BRIDGE" 2>/dev/null || true   # addresses and routes go with it
  if command -v nft >/dev/null; then
    nft delete table ip kube-proxy 2>/dev/null || true
    nft delete table ip6 kube-proxy 2>/dev/null || true
    # Tables that came while we ran, and hold no rule and no chain but empty ones.
    if [ -e "$STATE/before/tables" ]; then
      nft list tables | sort | comm -13 "$STATE/before/tables" - | while read -r _ table; do
        # shellcheck disable=SC2086
        if ! nft list table $table | grep -qvE '^(table .*|\s*chain .*|\s*type .*|\s*}|}|\s*)$'; then nft delete table $table; fi
      done
    fi
  fi
  if [ "$(cat "$STATE/before/boot" 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
    while read -r file value; do
      if [ -w "$file" ] && [ "$(cat "$file")" != "$value" ]; then printf '%s\n' "$value" >"$file" || warn "could not put $file back to $value"; fi
    done <"$STATE/before/sysctl"
    while read -r path; do
      case " ${FOREIGN_PATHS//$'\n'/ } " in
        *" $path "*) rm -rf --one-file-system "$path" ;;
      esac
    done <"$STATE/before/absent"
  fi
  rm -rf "$STATE/before"
}
