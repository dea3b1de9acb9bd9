# Servers: started in a session of their own, recorded by pid *and* start time, and
# stopped by that record only, so that a pid which the kernel gave to somebody else is never touched.
# shellcheck shell=bash

start_time() { # pid → clock ticks since boot
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  [ "$1" != Z ] || return 1
  printf '%s' "${20}"
}

pid_of() { # name → pid, only when it is still the process that was recorded
  local pid started boot
  read -r pid started boot 2>/dev/null <"$RUN/$1.pid" || return 1
  [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
  [ "$(start_time "$pid")" = "$started" ] || return 1
  printf '%s' "$pid"
}

alive() { pid_of "$1" >/dev/null; }

start() { # name command...
  local name=$1 pid
  shift
  ! alive "$name" || return 0
  [ ! -e "$LOG/$name.log" ] || mv -f "$LOG/$name.log" "$LOG/$name.log.1"
  # A clean environment: TEMPORAL_*, KUBECONFIG or HADOOP_* of the caller must not steer our servers.
  setsid env -i PATH="$PATH" HOME="$STATE" LANG=C.UTF-8 TZ=UTC ${START_ENV:+"$START_ENV"} "$@" \
    >"$LOG/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  printf '%s %s %s\n' "$pid" "$(start_time "$pid")" "$(cat /proc/sys/kernel/random/boot_id)" >"$RUN/$name.pid"
}

stop() { # name [seconds]
  local name=$1 pid end
  if pid=$(pid_of "$name"); then
    kill -TERM "$pid" 2>/dev/null || true
    end=$(( $(now_ms) + ${2:-10} * 1000 ))
    while alive "$name"; do
      if [ "$(now_ms)" -ge "$end" ]; then kill -KILL "$pid" 2>/dev/null || true; end=$(( end + 5000 )); fi
      sleep 0.05
    done
  fi
  rm -f "$RUN/$name.pid"
}
