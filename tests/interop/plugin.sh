#!/usr/bin/env bash
# plugin.sh PIPE NODE_URLS [key=value...]: the SQL that makes a stock IoTDB 2.0.1-beta send by air gap, one statement a line:
#   CREATE PIPEPLUGIN ..., then CREATE PIPE PIPE ... to NODE_URLS (host:port[,host:port...]).
# key=value are further attributes: source.* go to the source, all others to the sink.
#
# The DataNode's jar holds the air-gap sink but does not register it. A plugin needs a jar file of its own, though the class
# is found through the server's class loader: any jar will do, and this script makes an empty one.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SINK_CLASS=org.apache.iotdb.db.pipe.connector.protocol.airgap.IoTDBDataRegionAirGapConnector
SINK_NAME=iotdb-air-gap-sink

make_jar() {
  local jar=$1
  [ -e "$jar" ] && return 0
  need_tools jar
  mkdir -p "$(dirname "$jar")"
  # Renamed into place: another test may look for it meanwhile.
  jar --create --file "$jar.$$" -C "$interop_dir" "$(basename "${BASH_SOURCE[0]}")"
  mv "$jar.$$" "$jar"
}

main() {
  [ $# -ge 2 ] || die "usage: plugin.sh PIPE NODE_URLS [key=value...]"
  local pipe=$1 jar=$iotdb_home/air-gap-plugin.jar kv source='' sink="'sink'='$SINK_NAME','sink.node-urls'='$2'"
  shift 2
  for kv in "$@"; do
    case $kv in
      source.*=*) source="$source${source:+,}'${kv%%=*}'='${kv#*=}'" ;;
      *=*) sink="$sink,'${kv%%=*}'='${kv#*=}'" ;;
      *) die "expected key=value, but found '$kv'" ;;
    esac
  done
  make_jar "$jar"
  echo "CREATE PIPEPLUGIN IF NOT EXISTS \`$SINK_NAME\` AS '$SINK_CLASS' USING URI 'file://$jar'"
  echo "CREATE PIPE $pipe${source:+ WITH SOURCE ($source)} WITH SINK ($sink)"
}

main "$@"
