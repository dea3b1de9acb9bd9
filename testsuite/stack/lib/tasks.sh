# A small scheduler: every task names what must be done before it; whatever can run does, side by side.
# Progress is visible: what is underway and for how long; a failure shows its log's tail and what to try.
# shellcheck shell=bash

declare -A TASK_NEEDS TASK_HINT TASK_RUN TASK_STATE TASK_PID TASK_BEGAN TASK_TOOK
TASK_ORDER=()
TASK_FAILED=

task() { # name "needs ..." "what to try when it fails" command...
  local name=$1
  TASK_ORDER+=("$name")
  TASK_NEEDS[$name]=$2
  TASK_HINT[$name]=$3
  TASK_STATE[$name]=waiting
  shift 3
  TASK_RUN[$name]=$*
}

tasks_launch() {
  local name need ready
  for name in "${TASK_ORDER[@]}"; do
    [ "${TASK_STATE[$name]}" = waiting ] || continue
    ready=1
    for need in ${TASK_NEEDS[$name]}; do
      # A need that isn't part of this run (the user's own server, say) holds nothing up.
      [ "${TASK_STATE[$need]:-done}" = "done" ] || ready=
    done
    [ -n "$ready" ] || continue
    TASK_STATE[$name]=running
    TASK_BEGAN[$name]=$(now_ms)
    # A process of its own: `set -e` holds there, whatever condition this function was called in. Job
    # control gives it a process group, so that all of a failed run's builds can be ended.
    set -m
    # shellcheck disable=SC2086
    "$STACK_DIR/stack" _task ${TASK_RUN[$name]} >"$LOG/task-$name.log" 2>&1 </dev/null 9>&- &
    TASK_PID[$name]=$!
    set +m
  done
}

tasks_collect() {
  local name rc
  for name in "${TASK_ORDER[@]}"; do
    [ "${TASK_STATE[$name]}" = running ] || continue
    ! kill -0 "${TASK_PID[$name]}" 2>/dev/null || continue
    rc=0
    wait "${TASK_PID[$name]}" 2>/dev/null || rc=$?
    TASK_TOOK[$name]=$(( $(now_ms) - TASK_BEGAN[$name] ))
    if [ "$rc" = 0 ]; then
      TASK_STATE[$name]="done"
      if [ "${TASK_TOOK[$name]}" -ge 2000 ]; then
        tasks_clear
        printf '  %-24s %s\n' "$name" "$(seconds "${TASK_TOOK[$name]}")"
      fi
    else
      TASK_STATE[$name]=failed
      TASK_FAILED=$name
      return 0
    fi
  done
}

tasks_underway() {
  local name line=
  for name in "${TASK_ORDER[@]}"; do
    [ "${TASK_STATE[$name]}" = running ] || continue
    line+="${line:+, }$name $(( ($(now_ms) - TASK_BEGAN[$name]) / 1000 )) s"
  done
  printf '%s' "$line"
}

tasks_clear() { [ ! -t 1 ] || printf '\r\033[K'; }

tasks_kill() {
  local name
  for name in "${TASK_ORDER[@]}"; do
    [ "${TASK_STATE[$name]}" = running ] || continue
    kill -TERM -- "-${TASK_PID[$name]}" 2>/dev/null || true
    wait "${TASK_PID[$name]}" 2>/dev/null || true
    TASK_STATE[$name]=stopped
  done
}

run_tasks() {
  local began shown=0 name left tick
  began=$(now_ms)
  mkdir -p "$LOG" "$RUN"
  exec {tick}<> <(:)   # nothing ever arrives here: a read with a time-out sleeps without a process
  trap 'tasks_kill; tasks_clear; echo "interrupted; \"stack up\" goes on from here, \"stack down\" removes what was started" >&2; exit 130' INT TERM
  while :; do
    tasks_launch
    tasks_collect
    if [ -n "$TASK_FAILED" ]; then
      tasks_kill
      tasks_clear
      { echo; echo "FAILED: $TASK_FAILED, after $(seconds "${TASK_TOOK[$TASK_FAILED]}"). The end of $LOG/task-$TASK_FAILED.log:"
        tail -n 30 "$LOG/task-$TASK_FAILED.log" | sed 's/^/  | /'
        echo "What to try: ${TASK_HINT[$TASK_FAILED]}"; } >&2
      exec {tick}<&-
      trap - INT TERM
      return 1
    fi
    left=
    for name in "${TASK_ORDER[@]}"; do
      case ${TASK_STATE[$name]} in waiting|running) left=1 ;; esac
    done
    [ -n "$left" ] || break
    if [ -t 1 ]; then
      if [ $(( $(now_ms) - began )) -ge 2000 ]; then printf '\r\033[K  underway: %s' "$(tasks_underway)"; fi
    elif [ $(( $(now_ms) - began - shown )) -ge $(( shown ? 10000 : 2000 )) ]; then
      shown=$(( $(now_ms) - began ))
      printf '  [%s] underway: %s\n' "$(seconds "$shown")" "$(tasks_underway)"
    fi
    read -rt 0.1 -u "$tick" || true
  done
  tasks_clear
  exec {tick}<&-
  trap - INT TERM
}

tasks_report() {
  local name
  for name in "${TASK_ORDER[@]}"; do printf '  %-24s %9s\n' "$name" "$(seconds "${TASK_TOOK[$name]}")"; done
}
