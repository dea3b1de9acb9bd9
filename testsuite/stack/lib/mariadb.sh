# The record store: MySQL's protocol by MariaDB. root only by the unix socket.
# shellcheck shell=bash

mariadb_up() {
  local dir=$STATE/mariadb
  mkdir -p "$dir"
  chmod 700 "$dir"
  if [ ! -e "$dir/password" ]; then
    openssl rand -hex 24 | write_file 600 "$dir/password"
    chmod 600 "$dir/password"
  fi
  if [ ! -e "$dir/installed" ]; then
    rm -rf "$dir/data"
    mariadb-install-db --no-defaults --user=root --datadir="$dir/data" --auth-root-authentication-method=socket --skip-test-db
    touch "$dir/installed"
  fi
  # Tests make databases of their own beside it, hence the pattern.
  write_file 600 "$dir/init.sql" <<Q
CREATE DATABASE IF NOT EXISTS sluice CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'sluice'@'10.244.0.%' IDENTIFIED BY '$(cat "$dir/password")';
GRANT ALL ON \`sluice\`.* TO 'sluice'@'10.244.0.%';
GRANT ALL ON \`sluice\\_%\`.* TO 'sluice'@'10.244.0.%';
Q
  start mariadb mariadbd --no-defaults --user=root --datadir="$dir/data" --socket="$RUN/mariadb.sock" --pid-file="$dir/mariadbd.pid" \
    --bind-address="$HOST" --port="$MARIADB_PORT" --skip-name-resolve --init-file="$dir/init.sql" \
    --character-set-server=utf8mb4 --default-time-zone=+00:00 --performance-schema=OFF \
    --innodb-buffer-pool-size=64M --innodb-log-file-size=32M --max-connections=300
  WAIT_PROCESS=mariadb wait_for 60 "MariaDB on $HOST:$MARIADB_PORT" mariadb_ready
}
mariadb_ready() {
  MYSQL_PWD=$(cat "$STATE/mariadb/password") mariadb --no-defaults -h "$HOST" -P "$MARIADB_PORT" -u sluice sluice -e 'select 1'
}
mariadb_dsn() { printf 'sluice:%s@tcp(%s:%s)/sluice?parseTime=true&loc=UTC' "$(cat "$STATE/mariadb/password")" "$HOST" "$MARIADB_PORT"; }
