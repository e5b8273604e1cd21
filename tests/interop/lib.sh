# shellcheck shell=bash
# Shared by the scripts beside it: where things live, tools, ports, processes. Sourced, never run.
# Only bash, coreutils, a JDK and Maven are used, so that a plain Debian machine can run the interop tests.

set -euo pipefail

IOTDB_VERSION=2.0.1-beta
interop_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo_dir=$(cd "$interop_dir/../.." && pwd)
# The jars; shared by all instances and worth keeping between CI runs.
iotdb_home=${TIDEGATE_IOTDB_HOME:-$repo_dir/target/iotdb}
# One directory per instance: configuration, data, logs, pids.
run_dir=${TIDEGATE_IOTDB_RUN:-$repo_dir/target/iotdb-run}
# The server and its tools run in other directories than the caller's.
case $iotdb_home in /*) ;; *) iotdb_home=$PWD/$iotdb_home ;; esac
case $run_dir in /*) ;; *) run_dir=$PWD/$run_dir ;; esac
# Read by the scripts that run Java.
# shellcheck disable=SC2034
lib_dir=$iotdb_home/$IOTDB_VERSION/lib

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

now_ms() { local t=${EPOCHREALTIME/./}; echo $((t / 1000)); }

# need_tools COMMAND...: installs the JDK and Maven if one is missing and we may, else says what to do.
need_tools() {
  local missing=() c
  for c in "$@"; do command -v "$c" >/dev/null 2>&1 || missing+=("$c"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    die "missing: ${missing[*]}; install a JDK (17 or later) and Maven, for example: apt-get install --no-install-recommends openjdk-17-jdk-headless maven"
  fi
  say "missing: ${missing[*]}; installing openjdk-17-jdk-headless and maven"
  DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends openjdk-17-jdk-headless maven >&2
  for c in "$@"; do command -v "$c" >/dev/null 2>&1 || die "$c is still missing after the installation"; done
}

JAR_ATTEMPTS=4
COPY_GOAL=org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies

# Maven names every file it fetches; one line for every 25 is progress enough.
fetch_progress() {
  local line fetched=0
  while IFS= read -r line; do
    case $line in
      *Downloaded\ from*.jar*)
        fetched=$((fetched + 1))
        if [ $((fetched % 25)) -eq 0 ]; then say "$fetched jars fetched"; fi
        ;;
      *ERROR*) say "$line" ;;
    esac
  done
}

# fetch_jars DIRECTORY WHAT: copies what DIRECTORY/pom.xml depends on into DIRECTORY/lib, which is there whole or not at all.
fetch_jars() {
  local home=$1 what=$2 attempt
  rm -rf "${home:?}/lib" "${home:?}/lib.new"
  for ((attempt = 1; attempt <= JAR_ATTEMPTS; attempt++)); do
    # -U: a download that failed once is remembered as missing otherwise.
    if (cd "$home" && mvn -B -U "$COPY_GOAL" -DoutputDirectory="$home/lib.new" -DincludeScope=runtime 2>&1) | fetch_progress; then
      mv "$home/lib.new" "$home/lib"
      return 0
    fi
    say "attempt $attempt of $JAR_ATTEMPTS failed"
    sleep $((attempt * 5))
  done
  die "Maven could not fetch $what; is the network or a mirror in ~/.m2/settings.xml reachable?"
}

instance_dir() { echo "$run_dir/$1"; }

# An instance name becomes a directory and part of the cluster name.
check_instance() {
  case $1 in '' | *[!A-Za-z0-9_-]*) die "instance name must be letters, digits, _ or -, but is '$1'" ;; esac
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Every port of an instance follows from its offset (0..400), so that instances never meet.
# All stay below 32768, where Linux starts to hand out ports of its own choice.
set_ports() {
  local offset=$1
  case $offset in '' | *[!0-9]*) die "port offset must be a number or auto, but is '$offset'" ;; esac
  [ "$offset" -le 400 ] || die "port offset must be at most 400, but is $offset"
  rpc_port=$((6667 + offset))
  air_gap_port=$((9780 + offset))
  cn_port=$((10710 + offset * 10))
  cn_consensus_port=$((cn_port + 1))
  dn_internal_port=$((cn_port + 2))
  dn_exchange_port=$((cn_port + 3))
  dn_schema_port=$((cn_port + 4))
  dn_data_port=$((cn_port + 5))
}

# free_offset [FIRST]: the first offset from FIRST on whose ports nobody listens on.
free_offset() {
  local offset=${1:-0} port busy
  while [ "$offset" -le 400 ]; do
    set_ports "$offset"
    busy=no
    for port in $rpc_port $air_gap_port $cn_port $cn_consensus_port $dn_internal_port $dn_exchange_port $dn_schema_port $dn_data_port; do
      if port_open "$port"; then busy=yes; break; fi
    done
    if [ $busy = no ]; then echo "$offset"; return 0; fi
    offset=$((offset + 1))
  done
  die "no free port offset between ${1:-0} and 400"
}

# is_ours PID HOME ROLE: the process exists and is the one start.sh made for that instance.
# Pids are reused, so a pid file alone proves nothing.
is_ours() {
  local pid=$1 home=$2 role=$3 arg
  [ -r "/proc/$pid/cmdline" ] || return 1
  while IFS= read -r -d '' arg; do
    [ "$arg" = "-Dtidegate.iotdb=$role:$home" ] && return 0
  done 2>/dev/null <"/proc/$pid/cmdline"
  return 1
}
