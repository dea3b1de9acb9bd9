# Sourced by the scripts of testsuite/: where things are, timing, tools.
# shellcheck shell=bash
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
STACK=$TOP/testsuite/stack/stack
PLATFORM=$TOP/testsuite/platform/platform
# The images' flags for the tests too: every package is compiled once.
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"

# tool NAME MODULE VERSION: the tool's path, built once a version.
tool() {
  local dir=$CACHE/tools/$1@$3
  if [ ! -x "$dir/$1" ]; then
    echo "building $1 $3 (once)" >&2
    GOBIN=$dir GOFLAGS=-buildvcs=false go install "$2@$3" >&2
  fi
  echo "$dir/$1"
}

# timed NAME COMMAND...: runs it, prints its time, keeps it for `table`.
TIMES=()
timed() {
  local name=$1 start=$SECONDS status=0
  shift
  printf '\n=== %s\n' "$name"
  "$@" || status=$?
  TIMES+=("$name|$((SECONDS - start))|$([ $status -eq 0 ] && echo ok || echo FAILED)")
  return $status
}

# table: where the time went.
table() {
  local row
  printf '\n%-44s %8s\n' "where the time went" "seconds"
  for row in "${TIMES[@]}"; do
    IFS='|' read -r name seconds result <<<"$row"
    printf '%-44s %8s  %s\n' "$name" "$seconds" "$result"
  done
  printf '%-44s %8s\n' total "$SECONDS"
}
