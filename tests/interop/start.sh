#!/usr/bin/env bash
# start.sh [--fresh] [--owner PID] INSTANCE PORT_OFFSET|auto [key=value...]
#
# Starts one IoTDB (ConfigNode + DataNode) on loopback and returns once its client port answers.
# key=value pairs are IoTDB properties and win over ours. Prints one line:
#   instance=A offset=0 rpc=6667 air_gap=9780 cn_pid=1 dn_pid=2 home=/... start_ms=4000
#
#   --fresh      forget what an earlier run of this instance left; without it the instance goes on with its data
#   --owner PID  kill the instance when that process is gone, so that a crashed test leaves nothing behind
#
# Environment: TIDEGATE_IOTDB_CN_MB, _DN_MB, _DN_DIRECT_MB (heaps, direct memory), TIDEGATE_IOTDB_JIT
# (1: quick start, for tests; 4: full speed, for benches), TIDEGATE_IOTDB_LOG (log level), TIDEGATE_IOTDB_WAIT_S.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cn_mb=${TIDEGATE_IOTDB_CN_MB:-192}
dn_mb=${TIDEGATE_IOTDB_DN_MB:-512}
dn_direct_mb=${TIDEGATE_IOTDB_DN_DIRECT_MB:-256}
jit=${TIDEGATE_IOTDB_JIT:-1}
wait_s=${TIDEGATE_IOTDB_WAIT_S:-90}

PORT_FREE_S=5

usage() { die "usage: start.sh [--fresh] [--owner PID] INSTANCE PORT_OFFSET|auto [key=value...]"; }

write_properties() {
  local home=$1 kv
  shift
  {
    cat <<PROPERTIES
cluster_name=$instance
cn_internal_address=127.0.0.1
cn_internal_port=$cn_port
cn_consensus_port=$cn_consensus_port
cn_seed_config_node=127.0.0.1:$cn_port
cn_metric_reporter_list=
cn_system_dir=$home/confignode/system
cn_consensus_dir=$home/confignode/consensus
cn_pipe_receiver_file_dir=$home/confignode/pipe-receiver
dn_rpc_address=127.0.0.1
dn_rpc_port=$rpc_port
dn_internal_address=127.0.0.1
dn_internal_port=$dn_internal_port
dn_mpp_data_exchange_port=$dn_exchange_port
dn_schema_region_consensus_port=$dn_schema_port
dn_data_region_consensus_port=$dn_data_port
dn_seed_config_node=127.0.0.1:$cn_port
dn_metric_reporter_list=
dn_system_dir=$home/datanode/system
dn_data_dirs=$home/datanode/data
dn_consensus_dir=$home/datanode/consensus
dn_wal_dirs=$home/datanode/wal
dn_tracing_dir=$home/datanode/tracing
dn_sync_dir=$home/datanode/sync
sort_tmp_dir=$home/datanode/tmp
dn_pipe_receiver_file_dirs=$home/datanode/pipe-receiver
pipe_lib_dir=$home/ext/pipe
udf_lib_dir=$home/ext/udf
trigger_lib_dir=$home/ext/trigger
schema_replication_factor=1
data_replication_factor=1
config_node_consensus_protocol_class=org.apache.iotdb.consensus.simple.SimpleConsensus
schema_region_consensus_protocol_class=org.apache.iotdb.consensus.simple.SimpleConsensus
data_region_consensus_protocol_class=org.apache.iotdb.consensus.simple.SimpleConsensus
schema_region_group_extension_policy=CUSTOM
default_schema_region_group_num_per_database=1
data_region_group_extension_policy=CUSTOM
default_data_region_group_num_per_database=1
enable_rest_service=false
enable_mqtt_service=false
pipe_air_gap_receiver_port=$air_gap_port
PROPERTIES
    # The last of equal keys wins when Java reads a properties file.
    for kv in "$@"; do printf '%s\n' "$kv"; done
  } >"$home/conf/iotdb-system.properties"
}

write_logback() {
  local home=$1 node=$2
  cat >"$home/conf/logback-$node.xml" <<XML
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender"><file>$home/logs/$node.log</file>
    <encoder><pattern>%d [%t] %-5p %C{1}:%L - %m %n</pattern></encoder></appender>
  <root level="${TIDEGATE_IOTDB_LOG:-info}"><appender-ref ref="FILE"/></root>
</configuration>
XML
}

# launch HOME NODE HEAP_MB DIRECT_MB MAIN_CLASS: starts one JVM and sets `pid`.
launch() {
  local home=$1 node=$2 heap_mb=$3 direct_mb=$4 class=$5 package opens=()
  for package in java.util.concurrent java.lang java.util java.nio java.io java.net sun.nio.ch; do
    opens+=("--add-opens=java.base/$package=ALL-UNNAMED")
  done
  cd "$home"
  # A session of its own: a Ctrl-C at the test must not reach the server before the test's own clean-up.
  setsid java "${opens[@]}" -XX:+UseSerialGC "-XX:TieredStopAtLevel=$jit" -XX:-UsePerfData \
    "-Xms${heap_mb}m" "-Xmx${heap_mb}m" "-XX:MaxDirectMemorySize=${direct_mb}m" "-Doff_heap_memory=${direct_mb}m" \
    "-Djava.io.tmpdir=$home/tmp" -Djdk.nio.maxCachedBufferSize=262144 -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 -Duser.timezone=UTC \
    "-DIOTDB_HOME=$home" "-DCONFIGNODE_HOME=$home" "-DIOTDB_CONF=$home/conf" "-DCONFIGNODE_CONF=$home/conf" \
    "-DTSFILE_HOME=$home" "-DTSFILE_CONF=$home/conf" "-DIOTDB_DATA_HOME=$home" "-DCONFIGNODE_DATA_HOME=$home" \
    "-DIOTDB_LOG_DIR=$home/logs" "-DCONFIGNODE_LOGS=$home/logs" \
    "-Dlogback.configurationFile=$home/conf/logback-$node.xml" "-Dtidegate.iotdb=$node:$home" \
    -cp "$home/conf:$lib_dir/*" "$class" -s >"$home/logs/$node.out" 2>&1 </dev/null 9>&- &
  pid=$!
  echo "$pid" >"$home/$node.pid"
}

# await_port PORT PID NODE HOME: until the port answers; a dead process or a timeout is an error with the log's end.
await_port() {
  local port=$1 pid=$2 node=$3 home=$4 deadline=$((SECONDS + wait_s))
  until port_open "$port"; do
    if ! kill -0 "$pid" 2>/dev/null; then failed "$node ended during its start" "$node" "$home"; fi
    if [ "$SECONDS" -ge "$deadline" ]; then failed "$node does not answer on port $port after $wait_s s" "$node" "$home"; fi
    sleep 0.1
  done
}

# await_free PORT: until nobody listens there. The threads of a JVM that was killed end one by one, and its ports with the
# last of them.
await_free() {
  local port=$1 deadline=$((SECONDS + PORT_FREE_S))
  while port_open "$port"; do
    if [ "$SECONDS" -ge "$deadline" ]; then die "port $port (offset $offset) is in use; give another offset, or auto"; fi
    sleep 0.1
  done
}

failed() {
  say "$1; the end of its logs:"
  tail -n 15 "$3/logs/$2.out" "$3/logs/$2.log" >&2 2>/dev/null || true
  "$interop_dir/stop.sh" "$instance" KILL >/dev/null
  exit 1
}

# Outlives this script: stops the instance once its owner is gone, and ends itself with the instance.
# From the first node on, so that an owner who dies during the start leaves nothing behind either.
watch_owner() {
  local owner=$1 home=$2 cn_pid=$3
  (
    trap - TERM INT
    while kill -0 "$owner" 2>/dev/null; do
      is_ours "$cn_pid" "$home" confignode || exit 0
      sleep 1
    done
    "$interop_dir/stop.sh" "$instance" KILL
  ) >/dev/null 2>&1 </dev/null 9>&- &
}

main() {
  local fresh=no owner='' offset home cn_pid dn_pid started kv
  while :; do
    case ${1:-} in
      --fresh) fresh=yes; shift ;;
      --owner) owner=${2:-}; shift 2 || usage ;;
      *) break ;;
    esac
  done
  [ $# -ge 2 ] || usage
  instance=$1 offset=$2
  shift 2
  check_instance "$instance"
  [ -e "$iotdb_home/$IOTDB_VERSION/.done" ] || die "IoTDB is not assembled; run tests/interop/assemble.sh first"
  need_tools java

  home=$(instance_dir "$instance")
  if [ -e "$home/datanode.pid" ] && is_ours "$(cat "$home/datanode.pid")" "$home" datanode; then
    die "$instance runs already (pid $(cat "$home/datanode.pid")); stop.sh $instance ends it"
  fi
  if [ $fresh = yes ]; then rm -rf "$home"; fi
  mkdir -p "$home"/{conf,logs,tmp,datanode/data} "$home"/ext/{pipe,udf,trigger}

  # Two starts at once must not choose the same ports; the lock is held until both nodes listen.
  exec 9>"$run_dir/.ports"
  flock 9
  if [ "$offset" = auto ]; then offset=$(free_offset 100); fi
  set_ports "$offset"
  local port
  for port in $rpc_port $cn_port $dn_internal_port; do await_free "$port"; done

  write_properties "$home" "$@"
  write_logback "$home" confignode
  write_logback "$home" datanode
  started=$(now_ms)
  # Whoever gives up waiting for this script ends it by TERM, and a fresh instance is of no use then.
  trap '"$interop_dir/stop.sh" "$instance" KILL >/dev/null; [ $fresh = no ] || rm -rf "$home"; exit 143' TERM INT
  launch "$home" confignode "$cn_mb" 128 org.apache.iotdb.confignode.service.ConfigNode
  cn_pid=$pid
  if [ -n "$owner" ]; then watch_owner "$owner" "$home" "$cn_pid"; fi
  await_port "$cn_port" "$cn_pid" confignode "$home"
  launch "$home" datanode "$dn_mb" "$dn_direct_mb" org.apache.iotdb.db.service.DataNode
  dn_pid=$pid
  await_port "$rpc_port" "$dn_pid" datanode "$home"
  for kv in "$@"; do
    if [ "$kv" = pipe_air_gap_receiver_enabled=true ]; then await_port "$air_gap_port" "$dn_pid" datanode "$home"; fi
  done
  echo "instance=$instance offset=$offset rpc=$rpc_port air_gap=$air_gap_port cn_pid=$cn_pid dn_pid=$dn_pid home=$home start_ms=$(($(now_ms) - started))"
}

main "$@"
