# Container images: written here, imported into our containerd, or handed over as OCI archives.
# shellcheck shell=bash disable=SC2034

images_env() { printf '%s/images.env' "$STATE"; }

# VARIABLE=reference in images.env, archive path beside it in images.list.
image_record() { # variable reference archive
  mkdir -p "$OCI/records"
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" | write_file 644 "$OCI/records/$1"
  # shellcheck disable=SC2094
  cat "$OCI/records"/* | awk -F'\t' '$1!="PAUSE_IMAGE"{printf "%s=%s\n",$1,$2}' | sed 's#=docker.io/#=#' | write_file 644 "$(images_env)"
}

# An archive is written again only when its inputs' key changed.
image_write() { # variable name tag config-json key directory...
  local variable=$1 name=$2 tag=$3 config=$4 key=$5 base archive reference
  shift 5
  base=${name##*/}${tag:+-$tag}
  archive=$OCI/$base.tar
  if [ "$(cat "$archive.key" 2>/dev/null)" = "$key" ] && [ -e "$archive" ] && [ -e "$OCI/records/$variable" ]; then return 0; fi
  mkdir -p "$OCI"
  rm -f "$archive.key"
  printf '%s' "$config" | write_file 644 "$archive.config"
  reference=$("$(image_tool)" -name "$name" ${tag:+-tag "$tag"} -config "$archive.config" -out "$archive" "$@")
  rm -f "$archive.config"
  image_record "$variable" "$reference" "$archive"
  printf '%s' "$key" >"$archive.key"
  say "$reference"
}

images_import() { # archive...
  local archive reference digest have
  for archive; do
    [ -e "$archive" ] || continue
    reference=$(awk -F'\t' -v a="$archive" '$3==a{print $2}' "$OCI"/records/*)
    digest=$(tar -xOf "$archive" index.json | grep -o 'sha256:[0-9a-f]*' | head -n 1)
    have=$(ctr_ images ls "name==$reference" 2>/dev/null | awk 'NR>1{print $3}')
    [ "$have" != "$digest" ] || continue
    ctr_ images import "$archive"
  done
}

pause_image() { image_write PAUSE_IMAGE docker.io/sluice/pause 1 '{"Entrypoint":["/pause"]}' "$(tool_key pause) $(tool_key image)" "$(image_root pause)"; }
image_root() { # pause: a directory that holds the program alone
  local root
  root=$(pause_dir)/root
  [ -e "$root/pause" ] || { mkdir -p "$root"; cp "$(pause_dir)/pause" "$root/pause"; }
  printf '%s' "$root"
}
# ctr names the image by its archive's file: pause.tar, flink-1.20.5.tar, ...
PAUSE_ARCHIVE=$OCI/pause-1.tar

# ---- the engines
flink_tasks() { # hint for a download, hint for an image
  local version before=
  for version in $FLINK_VERSIONS; do
    task "flink-$version-download" packages "$1" with_flink "$version" download_flink
    # One after the other: each runs a small cluster to see which classes it loads.
    task "flink-$version-image" "image-tool userland hadoop-client hadoop-download flink-$version-download $before" "$2" with_flink "$version" flink_image
    before=flink-$version-image
  done
}
flink_import_tasks() { # needs hint
  local version
  for version in $FLINK_VERSIONS; do
    task "flink-$version-import" "$1 flink-$version-image" "$2" images_import "$(flink_oci "$version")"
  done
}
flink_oci() { # version...
  local version
  for version; do printf '%s\n' "$OCI/flink-$version.tar"; done
}
flink_key() {
  { userland_key; printf '%s ' "$FLINK_SDIST_SHA256" "$HADOOP_CLIENT_JARS_SHA256"; cat "$STACK_DIR"/flink/conf/* "$STACK_DIR"/flink/cds.sh "$STACK_DIR/flink/ClassList.java" "$STACK_DIR/lib/flink.sh"; tool_key image; } | digest | short
}
flink_image() {
  local archive=
  build_flink_root
  # The image says which archive to use: a pod's command needn't know whether there is one.
  if [ -e "$(flink_root)/opt/flink/cds/flink.jsa" ]; then archive=',"JDK_JAVA_OPTIONS=-XX:SharedArchiveFile=/opt/flink/cds/flink.jsa"'; fi
  image_write "FLINK_${FLINK_VERSION//./_}_IMAGE" docker.io/sluice/flink "$FLINK_VERSION" \
    '{"User":"9999:9999","WorkingDir":"/opt/flink","Env":["PATH=/opt/java/bin:/usr/bin:/bin","JAVA_HOME=/opt/java","FLINK_HOME=/opt/flink","LANG=C.UTF-8"'"$archive"']}' \
    "$(flink_key)" "$(userland_dir)" "$(flink_root)"
}

# ---- the platform
platform_present() { [ -e "$REPO_DIR/cmd/sluice-api/main.go" ] && [ -e "$REPO_DIR/cmd/sluice-worker/main.go" ] && [ -e "$REPO_DIR/cmd/sluice-agent/main.go" ]; }

# A build from the same sources keeps the version of the commit that it was first built at.
version_flags() {
  local version commit
  version=$(git -C "$REPO_DIR" describe --tags --always --dirty 2>/dev/null || echo unknown)
  commit=$(git -C "$REPO_DIR" rev-parse HEAD 2>/dev/null || true)
  printf -- '-X sluice/internal/version.Version=%s -X sluice/internal/version.Commit=%s' "$version" "$commit"
}
# grpcnotrace: gRPC's request pages would keep the linker from leaving out what nothing calls, 13 MB of the agent.
platform_binary() { # name tags output
  ( cd "$REPO_DIR" && GOWORK=off CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags "grpcnotrace${2:+,$2}" -ldflags "-s -w $(version_flags)" -o "$3" "./cmd/sluice-$1" )
}
primer_jar() {
  local key
  key=$( cd "$REPO_DIR/java" && find pom.xml primer -path primer/target -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | digest | short )
  cached build primer "$key" primer_make
  printf '%s/primer.jar' "$(cache_path build primer "$key")"
}
primer_make() {
  local made=$REPO_DIR/java/primer/target/primer.jar
  # As make does it: what the checkout's own build made after the last change of a source is taken.
  if [ -e "$made" ] && [ -z "$(find "$REPO_DIR/java/pom.xml" "$REPO_DIR/java/primer" -path '*/target' -prune -o -type f -newer "$made" -print -quit)" ]; then
    cp "$made" "$1/primer.jar"
    return 0
  fi
  # Built in a copy: another build may be at work in the checkout's target directories.
  mkdir "$1/src"
  ( cd "$REPO_DIR/java" && tar -cf - --exclude=target . ) | tar -xf - -C "$1/src"
  mvn -q -B -f "$1/src/pom.xml" -pl primer -am -DskipTests package >&2
  cp "$1/src/primer/target/primer.jar" "$1/primer.jar"
  rm -rf "$1/src"
}

platform_image() { # variable name tags
  local variable=$1 name=$2 tags=$3 work root archive reference jar key
  work=$STATE/build/$name${tags:+-$tags}
  root=$work/root
  archive=$OCI/$name${tags:+-$tags}.tar
  mkdir -p "$work" "$OCI"
  platform_binary "$name" "$tags" "$work/sluice-$name"
  jar=
  if [ "$name" = agent ]; then
    if [ -e "$REPO_DIR/java/primer/pom.xml" ]; then jar=$(primer_jar); else warn "java/primer is not there: the agent's image has no primer jar"; fi
  fi
  key=$(cat "$work/sluice-$name" /etc/ssl/certs/ca-certificates.crt "$STACK_DIR/lib/images.sh" ${jar:+"$jar"} | digest)-$(tool_key image)
  if [ "$(cat "$archive.key" 2>/dev/null)" = "$key" ] && [ -e "$archive" ] && [ -e "$OCI/records/$variable" ]; then return 0; fi
  rm -rf "$root"
  mkdir -p "$root"/{usr/bin,etc/ssl/certs,tmp}
  chmod 1777 "$root/tmp"
  cp "$work/sluice-$name" "$root/usr/bin/sluice-$name"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  printf 'sluice:x:65532:65532:sluice:/:/sbin/nologin\n' >"$root/etc/passwd"
  printf 'sluice:x:65532:\n' >"$root/etc/group"
  if [ -n "$jar" ]; then mkdir -p "$root/opt/sluice"; cp "$jar" "$root/opt/sluice/primer.jar"; fi
  printf '{"User":"65532:65532","WorkingDir":"/","Entrypoint":["/usr/bin/sluice-%s"],"Env":["PATH=/usr/bin"]}' "$name" >"$work/config.json"
  # The tag is the content's: a Deployment changes exactly when the content does.
  reference=$("$(image_tool)" -name "docker.io/sluice/$name" ${tags:+-tag-suffix "-$tags"} -config "$work/config.json" -out "$archive" "$root")
  rm -rf "$root"
  image_record "$variable" "$reference" "$archive"
  printf '%s' "$key" >"$archive.key"
  say "$reference"
}
platform_images() {
  platform_image API_IMAGE api ""
  platform_image WORKER_IMAGE worker ""
  platform_image AGENT_IMAGE agent ""
  platform_image AGENT_FAULTS_IMAGE agent faults
}
platform_archives() { printf '%s\n' "$OCI/api.tar" "$OCI/worker.tar" "$OCI/agent.tar" "$OCI/agent-faults.tar"; }
platform_import() {
  local archives
  mapfile -t archives < <(platform_archives)
  images_import "${archives[@]}"
}
