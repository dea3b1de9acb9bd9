#!/usr/bin/env bash
# Runs a small Flink cluster from an image's directory as the platform runs one (adaptive, TLS, its state in RocksDB and
# on HDFS), to learn which classes it loads, and archives them.
#   unshare --mount --net --pid --fork --mount-proc cds.sh ROOT [JOB.jar]  → ROOT/opt/flink/cds/flink.jsa
# In namespaces of its own: its ports are nobody else's, and its mounts and processes end with it.
set -euo pipefail
root=$1 job=${2:-}

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
for part in common process builds hdfs; do
  # shellcheck source=/dev/null
  . "$here/../lib/$part.sh"
done
STATE=$root/tmp/stack
RUN=$STATE/run LOG=$STATE/log HOST=127.0.0.1
mkdir -p "$RUN" "$LOG"
ip link set lo up
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
printf '127.0.0.1 localhost %s\n' "$(hostname)" >"$root/etc/hosts"
lists=$root/tmp/lists keys=$root/tmp/keys
mkdir -p "$lists" "$keys"
hdfs_up cds 9000 >"$LOG/hdfs.log" 2>&1 & # beside the cluster's start
hdfs=$!

java_in() { chroot "$root" /usr/bin/env -i PATH=/opt/java/bin:/usr/bin:/bin JAVA_HOME=/opt/java LANG=C.UTF-8 java -XX:+UseSerialGC "$@"; }

# One key for all doors, as both sides' and as what they trust.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$keys/key.pem" -out "$keys/cert.pem" \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -days 2 2>/dev/null
openssl pkcs12 -export -name flink -inkey "$keys/key.pem" -in "$keys/cert.pem" -out "$keys/store.p12" -passout pass:secret
keytool -importcert -noprompt -alias ca -file "$keys/cert.pem" -keystore "$keys/store.p12" -storetype PKCS12 -storepass secret 2>/dev/null
chmod -R a+rX "$keys"

opens=()
for package in lang net io nio lang.reflect text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
  opens+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
done
common=(-XX:TieredStopAtLevel=1 -Xmx256m "${opens[@]}" --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-exports=java.base/sun.net.util=ALL-UNNAMED
  -Dlog4j.configurationFile=/opt/flink/conf/log4j-console.properties -cp '/opt/flink/lib/*')
options=(--configDir /opt/flink/conf)
for option in jobmanager.rpc.address=localhost jobmanager.scheduler=adaptive rest.address=localhost rest.port=8081 web.refresh-interval=50 \
  cluster.registration.error-delay=200ms taskmanager.host=localhost taskmanager.numberOfTaskSlots=2 taskmanager.cpu.cores=1 \
  taskmanager.memory.framework.heap.size=64m taskmanager.memory.task.heap.size=128m taskmanager.memory.framework.off-heap.size=32m \
  taskmanager.memory.task.off-heap.size=0 taskmanager.memory.managed.size=64m taskmanager.memory.network.min=32m \
  taskmanager.memory.network.max=32m taskmanager.memory.jvm-metaspace.size=128m taskmanager.memory.jvm-overhead.min=64m \
  taskmanager.memory.jvm-overhead.max=64m execution.checkpointing.incremental=true state.backend.type=rocksdb \
  execution.checkpointing.dir=hdfs://127.0.0.1:9000/data/checkpoints \
  security.ssl.algorithms=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 \
  security.ssl.rest.authentication-enabled=true taskmanager.data.ssl.enabled=false; do
  options+=(-D "$option")
done
for door in internal rest; do
  options+=(-D "security.ssl.$door.enabled=true")
  for store in keystore truststore; do
    options+=(-D "security.ssl.$door.$store=/tmp/keys/store.p12" -D "security.ssl.$door.$store-type=PKCS12" -D "security.ssl.$door.$store-password=secret")
  done
  options+=(-D "security.ssl.$door.key-password=secret")
done
java_in -XX:DumpLoadedClassList=/tmp/lists/jobmanager -Xlog:class+load:file=/tmp/lists/jobmanager.log "${common[@]}" \
  org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint "${options[@]}" >"$root/tmp/jobmanager.log" 2>&1 &
jobmanager=$!
java_in -XX:DumpLoadedClassList=/tmp/lists/taskmanager -Xlog:class+load:file=/tmp/lists/taskmanager.log "${common[@]}" \
  org.apache.flink.runtime.taskexecutor.TaskManagerRunner "${options[@]}" >"$root/tmp/taskmanager.log" 2>&1 &
taskmanager=$!

rest() { curl -sf -m 60 --cacert "$keys/cert.pem" --cert "$keys/cert.pem" --key "$keys/key.pem" "https://localhost:8081$1" "${@:2}"; }
wait_until() { # seconds pattern path
  local end=$(( SECONDS + $1 ))
  until rest "$3" 2>/dev/null | grep -qE "$2"; do
    [ "$SECONDS" -lt "$end" ] || { echo "no $2 at $3" >&2; tail -n 20 "$root"/tmp/*.log "$LOG"/*.log >&2; exit 1; }
    sleep 0.2
  done
}
wait_until 120 '"slots-available":2' /overview
wait "$hdfs" || { tail -n 20 "$LOG"/*.log >&2; exit 1; }
if [ -n "$job" ]; then
  # Twice: with the state in memory and with RocksDB. An image that can't run one of them is none (exit 3).
  id=$(rest /jars/upload -F "jarfile=@$job;type=application/x-java-archive" | sed 's#.*/\([^"/]*\)".*#\1#')
  for backend in hashmap rocksdb; do
    run=$(rest "/jars/$id/run" -X POST -H 'Content-Type: application/json' -d \
      "{\"programArgsList\":[\"--directory\",\"hdfs://127.0.0.1:9000/data/primer-$backend\"],\"parallelism\":2,\"flinkConfiguration\":{\"state.backend.type\":\"$backend\"}}" |
      sed 's/.*"jobid":"\([0-9a-f]*\)".*/\1/')
    wait_until 60 '"state":"(FINISHED|FAILED)"' "/jobs/$run"
    if rest "/jobs/$run" | grep -q '"state":"FAILED"'; then
      echo "a job with the state backend $backend fails in this image: $(rest "/jobs/$run/exceptions" | head -c 2000)" >&2
      exit 3
    fi
  done
fi
cp "$(find "$root/tmp" -maxdepth 1 -name 'flink-rpc-akka*.jar' -print -quit)" "$lists/rpc.jar" # while they run: it goes with them
kill -TERM "$taskmanager" "$jobmanager"
wait "$taskmanager" "$jobmanager" 2>/dev/null || true

cat "$lists/jobmanager" "$lists/taskmanager" | grep -v '^#' | LC_ALL=C sort -u >"$lists/builtin"
java "$here/ClassList.java" "$lists/builtin" "$lists/rpc.jar" "$lists"/*.log | sed "s#$root/#/#" >"$lists/all"
java_in -Xshare:dump -XX:SharedClassListFile=/tmp/lists/all -XX:SharedArchiveFile=/opt/flink/cds/flink.jsa -cp '/opt/flink/lib/*' >"$root/tmp/dump.log" 2>&1
echo "$(wc -l <"$lists/all") classes, $(( $(stat -c %s "$root/opt/flink/cds/flink.jsa") / 1024 / 1024 )) MiB"
# It is used, or this fails.
java_in -Xshare:on -XX:SharedArchiveFile=/opt/flink/cds/flink.jsa "${common[@]}" org.apache.flink.runtime.util.EnvironmentInformation >/dev/null 2>&1 || [ $? = 1 ]
