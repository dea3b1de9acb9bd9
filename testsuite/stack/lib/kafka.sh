# Kafka: one broker that is its own controller.
# shellcheck shell=bash

kafka_up() {
  local dir=$STATE/kafka classpath
  local -a jvm=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -Djava.net.preferIPv4Stack=true "-Dlog4j.configuration=file:$STATE/kafka/log4j.properties")
  classpath="$(kafka_lib)/*"
  mkdir -p "$dir"
  kafka_config "$dir"
  if [ ! -e "$dir/formatted" ]; then
    rm -rf "$dir/data"
    # The cluster's id is any 16 bytes; a known one makes a reader's mistake visible.
    java "${jvm[@]}" -Xmx128m -cp "$classpath" kafka.tools.StorageTool format --config "$dir/server.properties" --cluster-id c2x1aWNlLXN0YWNrLWRjMQ
    touch "$dir/formatted"
  fi
  start kafka java "${jvm[@]}" -Xms64m -Xmx256m -cp "$classpath" kafka.Kafka "$dir/server.properties"
  WAIT_PROCESS=kafka wait_for 60 "Kafka on $HOST:$KAFKA_PORT" kafka_ready
}
# The broker opens its port before it may be asked for anything; this line comes when it may.
kafka_ready() { grep -q 'Kafka Server started' "$LOG/kafka.log" && port_open "$HOST" "$KAFKA_PORT"; }

kafka_config() { # directory
  write_file 644 "$1/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(( KAFKA_PORT + 1 ))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$HOST:$KAFKA_PORT,CONTROLLER://127.0.0.1:$(( KAFKA_PORT + 1 ))
advertised.listeners=PLAINTEXT://$HOST:$KAFKA_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$1/data
# A misspelt topic must be an error.
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
# The default, 128 MiB, is half of the heap.
log.cleaner.dedupe.buffer.size=4194304
P
  write_file 644 "$1/log4j.properties" <<'P'
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
P
}
