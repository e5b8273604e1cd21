#!/usr/bin/env bash
# assemble.sh: collects the jars of IoTDB 2.0.1-beta from Maven Central into
# ${TIDEGATE_IOTDB_HOME:-<repo>/target/iotdb}/2.0.1-beta/lib and prints that directory.
# 2.0.1-beta is the one version whose server, ConfigNode, consensus, CLI and session are all published there.
# About 110 MB; done once, later calls return at once.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write_pom() {
  local artifact
  echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
  echo '<groupId>tidegate</groupId><artifactId>iotdb</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
  for artifact in iotdb-server iotdb-confignode iotdb-consensus iotdb-cli iotdb-session; do
    echo "<dependency><groupId>org.apache.iotdb</groupId><artifactId>$artifact</artifactId><version>$IOTDB_VERSION</version></dependency>"
  done
  echo '</dependencies></project>'
}

main() {
  local home=$iotdb_home/$IOTDB_VERSION started
  mkdir -p "$home"
  # Two test binaries may come here at once.
  exec 9>"$home/.lock"
  flock 9
  if [ ! -e "$home/.done" ]; then
    need_tools java javac mvn
    say "fetching IoTDB $IOTDB_VERSION (about 110 MB) into $home/lib"
    started=$(now_ms)
    write_pom >"$home/pom.xml"
    fetch_jars "$home" "IoTDB $IOTDB_VERSION"
    touch "$home/.done"
    say "$(find "$home/lib" -name '*.jar' | wc -l) jars, $(du -sm "$home/lib" | cut -f1) MB, $((($(now_ms) - started) / 1000)) s"
  fi
  echo "$home/lib"
}

main
