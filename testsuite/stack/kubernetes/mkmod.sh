#!/usr/bin/env bash
# Regenerates this module's go.mod and go.sum from ../versions.env. Needed only after a version changed there.
# k8s.io/kubernetes replaces its staging modules by directories of its own repository; here each
# gets the released version instead.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
# shellcheck source=../versions.env
. ../versions.env
staging=v0.${KUBERNETES_VERSION#1.}
rm -f go.mod go.sum
go mod init sluice/testsuite/stack/kubernetes
gomod=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
args=(-go=1.26.0 "-require=k8s.io/kubernetes@v$KUBERNETES_VERSION"
  "-require=github.com/coredns/coredns@v$COREDNS_VERSION" "-require=go.etcd.io/etcd/server/v3@v$ETCD_VERSION")
while read -r module; do
  args+=("-replace=$module=$module@$staging")
done < <(sed -n 's#^\t\(k8s.io/[a-z-]*\) => ./staging.*#\1#p' "$gomod")
go mod edit "${args[@]}"
go mod tidy
