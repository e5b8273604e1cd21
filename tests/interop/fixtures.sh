#!/usr/bin/env bash
# fixtures.sh: makes tests/fixtures/iotdb-2.0.1-beta anew: the directories of a real IoTDB 2.0.1-beta with what makes
# them hard to replicate, and the points its server answered with.
#
# Two databases, so two regions; several files each, in two time partitions; files of equal name in both regions;
# overwrites that went to unsequence; deletions (.mods2) and rows written again after them. File names hold the clock,
# so every run gives other bytes: run it only to change what the fixture holds, and commit the result as a whole.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

INSTANCE=fixtures
START_MS=1700000000000
NEXT_PARTITION_MS=1700700000000
NAME_ATTEMPTS=40
FIXTURE=$repo_dir/tests/fixtures/iotdb-$IOTDB_VERSION

tool() { "$repo_dir/tests/java/run.sh" Drive 127.0.0.1 "$rpc"; }

data_dir() { echo "$(instance_dir "$INSTANCE")/datanode/data"; }

# The file names that more than one region has.
equal_names() { find "$(data_dir)"/{sequence,unsequence} -name '*.tsfile' -printf '%f\n' 2>/dev/null | sort | uniq -d; }

# Files are named by the millisecond and a counter of the region: one request to both regions often gives equal names.
# The driver stays up between the attempts, because a warm server needs less time between its two files.
write_equal_names() {
  local attempt start answer
  coproc DRIVE { tool; }
  for ((attempt = 0; attempt < NAME_ATTEMPTS; attempt++)); do
    start=$((START_MS + 1000000 + attempt * 1000))
    printf '%s\n' "tablet root.plant.p1,root.office.p1 false $start 100 0 $attempt DOUBLE,INT64,TEXT" 'sql FLUSH' >&"${DRIVE[1]}"
    for _ in 1 2; do
      read -r answer <&"${DRIVE[0]}"
      case $answer in ok*) ;; *) die "$answer" ;; esac
    done
    if [ -n "$(equal_names)" ]; then
      say "equal file names in two regions after $((attempt + 1)) attempts: $(equal_names | tr '\n' ' ')"
      echo quit >&"${DRIVE[1]}"
      wait "$DRIVE_PID"
      return 0
    fi
  done
  die "no equal file names after $NAME_ATTEMPTS attempts; run it again"
}

write_history() {
  tool <<COMMANDS
ping 20000
sql CREATE DATABASE root.plant
sql CREATE DATABASE root.office
tablet root.plant.d1,root.office.d1 false $START_MS 300 0 1
tablet root.plant.a1 true $START_MS 300 4 2
bulk root.plant.bulk true 2 5 $START_MS 1500 500 DOUBLE
bulk root.office.bulk false 2 5 $START_MS 1500 500 INT64
bulk root.office.noise false 1 1 $START_MS 40 40 BLOB:4096
sql FLUSH
tablet root.plant.d1,root.office.d1 false $((START_MS + 300)) 300 3 3
tablet root.plant.a1 true $((START_MS + 300)) 200 0 4
tablet root.plant.d1 false $NEXT_PARTITION_MS 100 0 5
tablet root.office.d1 false $NEXT_PARTITION_MS 100 2 6
sql FLUSH
COMMANDS
}

# Older times than the sealed files end with: these rows go to unsequence and win over the first values.
write_overwrites() {
  tool <<COMMANDS
tablet root.plant.d1,root.office.d1 false $((START_MS + 100)) 120 0 7
tablet root.plant.a1 true $((START_MS + 250)) 100 3 8
sql FLUSH
tablet root.plant.d1 false $((START_MS + 150)) 30 0 9
sql FLUSH
sql DELETE FROM root.plant.d1.s_int32 WHERE time >= $((START_MS + 40)) AND time <= $((START_MS + 160))
sql DELETE FROM root.plant.a1.** WHERE time > $((START_MS + 480))
sql DELETE FROM root.office.d1.* WHERE time <= $((START_MS + 20))
tablet root.plant.d1 false $((START_MS + 60)) 20 0 10
tablet root.office.d1 false $((START_MS + 10)) 5 0 11
sql FLUSH
COMMANDS
}

expected() {
  local database
  mkdir -p "$FIXTURE/expected"
  for database in root.plant root.office; do
    echo "points $FIXTURE/expected/$database.csv.gz $database.**"
  done | tool
}

copy_directories() {
  local home
  home=$(instance_dir "$INSTANCE")
  # As below IoTDB's own directory: data/datanode/{data,system}, data/confignode/system.
  mkdir -p "$FIXTURE"/data/datanode/{data,system} "$FIXTURE/data/confignode/system"
  cp -r "$home"/datanode/data/{sequence,unsequence} "$FIXTURE/data/datanode/data/"
  cp "$home/datanode/system/system.properties" "$FIXTURE/data/datanode/system/"
  cp "$home/confignode/system/confignode-system.properties" "$FIXTURE/data/confignode/system/"
  if grep -rqF "$repo_dir" "$FIXTURE"; then die "a path of this machine stands in $FIXTURE"; fi
}

main() {
  local line
  "$interop_dir/assemble.sh" >/dev/null
  line=$("$interop_dir/start.sh" --fresh --owner $$ "$INSTANCE" auto \
    enable_seq_space_compaction=false enable_unseq_space_compaction=false enable_cross_space_compaction=false)
  rpc=${line#* rpc=}
  rpc=${rpc%% *}
  rm -rf "$FIXTURE"
  write_history
  write_equal_names
  write_overwrites
  expected
  # TERM, not KILL: the system directory must be that of a server that ended well.
  "$interop_dir/stop.sh" "$INSTANCE" TERM
  copy_directories
  say "$(find "$FIXTURE" -name '*.tsfile' | wc -l) files, $(du -sk "$FIXTURE" | cut -f1) KiB in $FIXTURE"
}

main
