# What is built or downloaded once and kept in the cache, keyed by pins and content.
# shellcheck shell=bash

go_version() { go env GOVERSION 2>/dev/null || echo none; }

# ---- Kubernetes: one binary that is every component, by the name it is called
kubernetes_ldflags() {
  printf -- '-s -w -X k8s.io/component-base/version.gitVersion=v%s -X k8s.io/component-base/version.gitMajor=%s -X k8s.io/component-base/version.gitMinor=%s' \
    "$KUBERNETES_VERSION" "${KUBERNETES_VERSION%%.*}" "$(cut -d. -f2 <<<"$KUBERNETES_VERSION")"
}
kubernetes_key() {
  { cat "$STACK_DIR/kubernetes/go.sum" "$STACK_DIR"/kubernetes/*.go; kubernetes_ldflags; go_version; } | digest | short
}
kubernetes_bin() { cache_path build kubernetes "$(kubernetes_key)"; }
kubernetes_make() {
  local name
  ( cd "$STACK_DIR/kubernetes" && GOWORK=off GOFLAGS=-mod=readonly go build -ldflags "$(kubernetes_ldflags)" -o "$1/k8s" . )
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl coredns etcd; do
    ln -s k8s "$1/$name"
  done
}
build_kubernetes() { cached build kubernetes "$(kubernetes_key)" kubernetes_make; }

# ---- Temporal's dev server: server modules and a recent SDK don't compile in one module
temporal_key() { { cat "$STACK_DIR/temporal/go.mod" "$STACK_DIR/temporal/go.sum"; go_version; } | digest | short; }
temporal_bin() { printf '%s/temporal' "$(cache_path build temporal "$(temporal_key)")"; }
temporal_make() {
  ( cd "$STACK_DIR/temporal" && GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 \
    go build -trimpath -ldflags "-s -w" -o "$1/temporal" github.com/temporalio/cli/cmd/temporal )
}
build_temporal() { cached build temporal "$(temporal_key)" temporal_make; }

# ---- the image writer and the sandbox's process
tool_key() { { cat "$STACK_DIR/$1"/*.go "$STACK_DIR/$1"/go.*; go_version; } | digest | short; }
image_tool() { printf '%s/image' "$(cache_path build image "$(tool_key image)")"; }
image_make() { ( cd "$STACK_DIR/image" && GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -o "$1/image" . ); }
build_image_tool() { cached build image "$(tool_key image)" image_make; }
pause_dir() { cache_path build pause "$(tool_key pause)"; }
pause_make() { ( cd "$STACK_DIR/pause" && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$1/pause" . ); }
build_pause() { cached build pause "$(tool_key pause)" pause_make; }

# ---- jars
jars_verify() { # directory digest name-of-the-pin
  local got
  got=$(cd "$1" && sha256sum -- *.jar | digest)
  [ "$got" = "$2" ] || { say "the jars in $1 have the digest $got, versions.env says $3=$2"; return 1; }
}
hadoop_lib() { printf '%s/lib' "$(cache_path download hadoop "$HADOOP_VERSION-${HADOOP_JARS_SHA256:0:12}")"; }
hadoop_make() {
  # Maven wants to write beside its pom, and the checkout may be read-only.
  cp "$STACK_DIR/hadoop/pom.xml" "$1/pom.xml"
  mvn -q -B -f "$1/pom.xml" -Dhadoop.version="$HADOOP_VERSION" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1/lib"
  jars_verify "$1/lib" "$HADOOP_JARS_SHA256" HADOOP_JARS_SHA256
}
download_hadoop() { cached download hadoop "$HADOOP_VERSION-${HADOOP_JARS_SHA256:0:12}" hadoop_make; }

kafka_lib() { printf '%s/lib' "$(cache_path download kafka "$KAFKA_VERSION-${KAFKA_JARS_SHA256:0:12}")"; }
kafka_make() {
  cp "$STACK_DIR/kafka/pom.xml" "$1/pom.xml"
  mvn -q -B -f "$1/pom.xml" -Dkafka.version="$KAFKA_VERSION" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1/lib"
  jars_verify "$1/lib" "$KAFKA_JARS_SHA256" KAFKA_JARS_SHA256
}
download_kafka() { cached download kafka "$KAFKA_VERSION-${KAFKA_JARS_SHA256:0:12}" kafka_make; }

hadoop_client_lib() { cache_path download hadoop-client "$HADOOP_CLIENT_VERSION-${HADOOP_CLIENT_JARS_SHA256:0:12}"; }
hadoop_client_make() {
  local part
  for part in api runtime; do
    mvn -q -B dependency:copy -Dartifact="org.apache.hadoop:hadoop-client-$part:$HADOOP_CLIENT_VERSION" -DoutputDirectory="$1"
  done
  jars_verify "$1" "$HADOOP_CLIENT_JARS_SHA256" HADOOP_CLIENT_JARS_SHA256
}
download_hadoop_client() { cached download hadoop-client "$HADOOP_CLIENT_VERSION-${HADOOP_CLIENT_JARS_SHA256:0:12}" hadoop_client_make; }

# ---- Flink: only the parts of the distribution that an image needs are kept
# All of Flink's functions, here, in flink.sh and in images.sh, are about one version: with_flink says which.
with_flink() { # version command...
  local FLINK_VERSION=$1 pin=FLINK_${1//./_}_SDIST_SHA256
  local FLINK_SDIST_SHA256=${!pin:?"versions.env has no $pin"}
  shift
  "$@"
}
flink_dist() { cache_path download flink "$FLINK_VERSION-${FLINK_SDIST_SHA256:0:12}"; }
flink_make() {
  local file=apache_flink_libraries-$FLINK_VERSION.tar.gz sdist
  sdist=$CACHE/downloads/$file
  if ! sha256sum --status -c <<<"$FLINK_SDIST_SHA256  $sdist" 2>/dev/null; then
    # Options have been seen to matter: with --no-build-isolation pip fails here.
    ( cd "$1" && PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --no-binary :all: \
        -d "$1/pip" "apache-flink-libraries==$FLINK_VERSION" )
    sdist=$(ls "$1"/pip/*.tar.gz)
    sha256sum --status -c <<<"$FLINK_SDIST_SHA256  $sdist" ||
      { say "$(basename "$sdist") has the digest $(digest <"$sdist"), versions.env says $FLINK_SDIST_SHA256"; return 1; }
  fi
  tar -xzf "$sdist" -C "$1" --strip-components=2 --wildcards '*/deps/lib/*' '*/deps/plugins/metrics-prometheus/*' \
    '*/deps/opt/flink-sql-client-*'
  rm -rf "$1/pip"
}
download_flink() { cached download flink "$FLINK_VERSION-${FLINK_SDIST_SHA256:0:12}" flink_make; }

# ---- Debian packages
missing_packages() {
  local p
  for p in $DEBIAN_PACKAGES; do
    # Another way of having the command is as good (pip of a pyenv, a hand-installed openssl, ...).
    case $p in
      python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || printf '%s ' "$p"
  done
}
install_packages() {
  local missing policy='' rc=0
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  say "installing: $missing"
  # Debian's containerd would start a service of its own, in the way of ours.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=1
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
  fi
  # shellcheck disable=SC2086
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing; } || rc=$?
  if [ -n "$policy" ]; then rm -f /usr/sbin/policy-rc.d; trap - EXIT; fi
  [ "$rc" = 0 ] || return "$rc"
  case " $missing " in
    *" containerd "*) if [ -d /run/systemd/system ]; then systemctl disable --now containerd.service || true; fi ;;
  esac
}
