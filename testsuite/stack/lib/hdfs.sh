# One HDFS of a NameNode and a DataNode; a second site is a second name and base port.
# shellcheck shell=bash

# Ports: NameNode RPC = base, its HTTP = base+1 (127.0.0.1), DataNode = base+2, its HTTP = base+3 (127.0.0.1), its IPC = base+4.
hdfs_up() { # name base-port
  local name=$1 port=$2 dir=$STATE/hdfs/$1
  local -a jvm=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -Djava.net.preferIPv4Stack=true
    --add-opens java.base/java.lang=ALL-UNNAMED "-Dhadoop.log.dir=$LOG")
  local classpath
  classpath="$dir/conf:$(hadoop_lib)/*"
  hdfs_config "$dir" "$port"
  if [ ! -e "$dir/name/current/VERSION" ]; then
    rm -rf "$dir/name" "$dir/data"
    java "${jvm[@]}" -Xmx128m -cp "$classpath" org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive
  fi
  start "hdfs-$name-namenode" java "${jvm[@]}" -Xmx160m -cp "$classpath" org.apache.hadoop.hdfs.server.namenode.NameNode
  start "hdfs-$name-datanode" java "${jvm[@]}" -Xmx128m -cp "$classpath" org.apache.hadoop.hdfs.server.datanode.DataNode
  WAIT_PROCESS=hdfs-$name-namenode wait_for 60 "a live DataNode at the NameNode of $name" hdfs_live "$port"
  WAIT_PROCESS=hdfs-$name-namenode wait_for 60 "HDFS $name to leave safe mode" hdfs_writable "$port"
  hdfs_layout "$dir" "$port"
}
hdfs_jmx() { curl -sf -m 2 "http://127.0.0.1:$(( $1 + 1 ))/jmx?qry=Hadoop:service=NameNode,name=$2"; }
hdfs_live() { hdfs_jmx "$1" FSNamesystemState | grep -q '"NumLiveDataNodes" : 1'; }
hdfs_writable() { hdfs_jmx "$1" NameNodeInfo | grep -q '"Safemode" : ""'; }

# Through WebHDFS as the superuser: no JVM is started for a mkdir.
webhdfs() { # port METHOD path op&parameters
  curl -sf -m 20 -X "$2" "http://127.0.0.1:$(( $1 + 1 ))/webhdfs/v1$3?user.name=root&op=$4" >/dev/null ||
    { say "WebHDFS refused $2 $3 $4"; return 1; }
}
hdfs_layout() { # directory port
  [ ! -e "$1/layout-1" ] || return 0
  local path both='user::rwx,group::rwx,other::---,default:user::rwx,default:group::rwx,default:mask::rwx,default:other::---'
  webhdfs "$2" PUT /sluice 'MKDIRS&permission=775'
  webhdfs "$2" PUT /sluice 'SETPERMISSION&permission=775'
  webhdfs "$2" PUT /sluice 'SETOWNER&owner=sluice&group=sluice'
  for path in /sluice/artifacts /sluice/jobs; do
    webhdfs "$2" PUT "$path" 'MKDIRS&permission=770'
    webhdfs "$2" PUT "$path" 'SETOWNER&owner=sluice&group=sluice'
    # A default ACL instead of a umask: what Flink writes, the platform may delete, and the other way round,
    # whatever each client's umask is.
    webhdfs "$2" PUT "$path" "SETACL&aclspec=$both"
  done
  webhdfs "$2" PUT /data 'MKDIRS&permission=1777'
  webhdfs "$2" PUT /data 'SETPERMISSION&permission=1777'
  touch "$1/layout-1"
}

hdfs_config() { # directory port
  local dir=$1 port=$2
  # The Maven jars have no webapps: empty directories stand in for them.
  mkdir -p "$dir/conf/webapps/hdfs" "$dir/conf/webapps/datanode"
  hadoop_xml "$dir/conf/core-site.xml" \
    fs.defaultFS "hdfs://$HOST:$port" \
    hadoop.tmp.dir "$dir/tmp" \
    hadoop.user.group.static.mapping.overrides 'sluice=sluice;flink=sluice;root=supergroup;dr.who='
  hadoop_xml "$dir/conf/hdfs-site.xml" \
    dfs.replication 1 \
    dfs.permissions.enabled true \
    dfs.namenode.acls.enabled true \
    dfs.namenode.name.dir "file://$dir/name" \
    dfs.datanode.data.dir "file://$dir/data" \
    dfs.namenode.http-address "127.0.0.1:$(( port + 1 ))" \
    dfs.datanode.address "$HOST:$(( port + 2 ))" \
    dfs.datanode.http.address "127.0.0.1:$(( port + 3 ))" \
    dfs.datanode.ipc.address "$HOST:$(( port + 4 ))" \
    dfs.datanode.hostname "$HOST" \
    dfs.namenode.datanode.registration.ip-hostname-check false \
    dfs.namenode.handler.count 8 \
    dfs.datanode.du.reserved 0 \
    dfs.namenode.safemode.extension 0 \
    dfs.namenode.fs-limits.min-block-size 1024 \
    dfs.heartbeat.interval 1
  write_file 644 "$dir/conf/log4j.properties" <<'P'
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
P
}
hadoop_xml() { # file name value ...
  local file=$1
  shift
  { echo '<configuration>'
    while [ $# -gt 0 ]; do printf '<property><name>%s</name><value>%s</value></property>\n' "$1" "$2"; shift 2; done
    echo '</configuration>'; } | write_file 644 "$file"
}
