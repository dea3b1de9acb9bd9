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

# ticking WHAT COMMAND...: runs a command that says nothing, and says that it goes on.
ticking() {
  local what=$1 status=0 ticker began=$SECONDS
  shift
  # A read that nothing answers sleeps without a process that would outlive its parent.
  (exec {tick}<> <(:); while :; do read -rt 5 -u "$tick" || printf '  [%s s] %s\n' $((SECONDS - began)) "$what"; done) &
  ticker=$!
  "$@" || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  return $status
}

# cold: nothing that takes long to build is in the cache yet.
cold() { [ -z "$(find "$CACHE/build" -maxdepth 2 -path '*/kubernetes-*/.complete' -print -quit 2>/dev/null)" ]; }

# figures NAME cold|warm LIMIT_COLD LIMIT_WARM: keeps this run's time and prints the last
# of both kinds.
figures() {
  local kind directory=$CACHE/figures
  local -A limit=([cold]=$3 [warm]=$4)
  mkdir -p "$directory"
  echo "$SECONDS s on $(date -u +%F), $(nproc) cores" >"$directory/$1-$2"
  for kind in cold warm; do
    printf '%-44s %s\n' "$1 $kind (limit ${limit[$kind]} s)" "$(cat "$directory/$1-$kind" 2>/dev/null || echo "not run here yet")"
  done
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
