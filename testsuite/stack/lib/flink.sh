# The upper layer of the Flink image.
# shellcheck shell=bash

flink_root() { printf '%s/root' "$(cache_path build flink-root "$(flink_key)")"; }
build_flink_root() { cached build flink-root "$(flink_key)" flink_root_make; }

flink_root_make() {
  local home=$1/root/opt/flink jar
  mkdir -p "$home"/{lib,plugins,conf,opt,usrlib,log}
  chmod 1777 "$home/log" "$home/conf" "$home/usrlib"
  cp -a "$(flink_dist)/lib/." "$home/lib/"
  cp -a "$(flink_dist)/plugins/." "$home/plugins/"
  for jar in "$(hadoop_client_lib)"/*.jar; do cp "$jar" "$home/lib/"; done
  cp "$STACK_DIR"/flink/conf/* "$home/conf/"
}
