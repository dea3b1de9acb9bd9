# The upper layer of the Flink image: libraries, and an archive of the classes that a cluster loads (AppCDS), which
# saves a third of the processor time of starting a JobManager and a TaskManager.
# shellcheck shell=bash

flink_root() { printf '%s/root' "$(cache_path build flink-root "$(flink_key)")"; }
build_flink_root() { cached build flink-root "$(flink_key)" flink_root_make; }

# The archive is good for one class path only. A pod says /opt/flink/lib/*, which Java expands in the
# directory's order, whatever that is: so lib holds one jar, whose manifest lists the others in theirs.
flink_root_make() {
  local root=$1/root home=$1/root/opt/flink
  mkdir -p "$home"/{lib,jars,plugins,conf,usrlib,log,cds}
  chmod 1777 "$home/log" "$home/conf" "$home/usrlib"
  cp "$(flink_dist)"/lib/*.jar "$(hadoop_client_lib)"/*.jar "$home/jars/"
  cp -a "$(flink_dist)/plugins/." "$home/plugins/"
  cp "$STACK_DIR"/flink/conf/* "$home/conf/"
  flink_manifest "$home/jars" >"$1/MANIFEST.MF"
  jar --create --file "$home/lib/flink-classpath.jar" --manifest "$1/MANIFEST.MF" --date 1980-01-01T00:00:02Z
  # Files of an image have the time 0, and an archive remembers its jars' times.
  find "$home" -name '*.jar' -exec touch -d @0 {} +
  flink_archive "$1" "$root"
}

flink_manifest() { # directory → a manifest, whose lines may have 72 bytes and go on after a space
  local jar line='Class-Path:'
  for jar in "$1"/*.jar; do line+=" ../jars/${jar##*/}"; done
  printf 'Manifest-Version: 1.0\n%s\n' "${line:0:70}"
  line=${line:70}
  while [ -n "$line" ]; do printf ' %s\n' "${line:0:69}"; line=${line:69}; done
}

# Without it clusters only start slower: where chroot or namespaces are not permitted, the image goes without.
flink_archive() { # work root
  local all=$1/all primer=
  if [ -e "$REPO_DIR/java/primer/pom.xml" ]; then primer=$(primer_jar); fi
  cp -al "$(userland_dir)" "$all"
  cp -al "$2/." "$all/"
  local status=0
  timeout 300 unshare --mount --net --pid --fork --mount-proc "$STACK_DIR/flink/cds.sh" "$all" "$primer" || status=$?
  [ $status -ne 3 ] || return 1
  if [ $status -eq 0 ] && [ -s "$all/opt/flink/cds/flink.jsa" ]; then
    cp "$all/opt/flink/cds/flink.jsa" "$2/opt/flink/cds/flink.jsa"
    chmod 644 "$2/opt/flink/cds/flink.jsa"
  else
    warn "no class archive: this image's clusters start slower"
  fi
  rm -rf "$all"
}
