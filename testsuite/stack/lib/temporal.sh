# Temporal's dev server with a database file.
# shellcheck shell=bash

temporal_up() {
  local attribute
  local -a attributes=()
  for attribute in SluiceTenant SluiceJob SluiceSite SluiceOperation SluiceKind SluicePhase; do
    attributes+=(--search-attribute "$attribute=Keyword")
  done
  attributes+=(--search-attribute SluiceRevision=Int)
  mkdir -p "$STATE/temporal"
  # The poll rate: the dev server's only shard looks at its transfer queue 20 times a second otherwise,
  # and every activity costs 105 ms. WAL and synchronous=NORMAL: 94 activities/s instead of 37.
  # On loopback: with another --ip the dev server binds its inner services there and looks for them on 127.0.0.1,
  # so that nothing is ever dispatched. The door carries the pods' connections from the bridge.
  start temporal "$(temporal_bin)" server start-dev --ip 127.0.0.1 --port "$TEMPORAL_PORT" \
    --ui-ip 127.0.0.1 --ui-port "$TEMPORAL_UI_PORT" --log-level warn \
    --db-filename "$STATE/temporal/temporal.db" --sqlite-pragma journal_mode=WAL --sqlite-pragma synchronous=NORMAL \
    --dynamic-config-value history.transferProcessorMaxPollRPS=2000 "${attributes[@]}"
  start temporal-door socat "TCP-LISTEN:$TEMPORAL_PORT,bind=$HOST,backlog=128,reuseaddr,fork,nodelay,keepalive" "TCP:127.0.0.1:$TEMPORAL_PORT,nodelay,keepalive"
  WAIT_PROCESS=temporal wait_for 60 "Temporal on $HOST:$TEMPORAL_PORT" temporal_ready
}
temporal_ready() {
  port_open "$HOST" "$TEMPORAL_PORT" || return 1
  env -i HOME="$STATE" PATH="$PATH" "$(temporal_bin)" operator namespace describe --address "$HOST:$TEMPORAL_PORT" -n default
}
