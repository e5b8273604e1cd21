#!/usr/bin/env bash
# stop.sh INSTANCE [TERM|KILL]: ends what start.sh started, the DataNode first. Its data stays for a restart.
# TERM lets IoTDB flush; KILL is the crash of the machine's process table. Prints `stopped INSTANCE`.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TERM_WAIT_S=30

# end_node HOME NODE SIGNAL: by pid, and only if that pid still is the JVM we started.
end_node() {
  local home=$1 node=$2 signal=$3 pid deadline
  [ -r "$home/$node.pid" ] || return 0
  pid=$(cat "$home/$node.pid")
  if is_ours "$pid" "$home" "$node"; then
    kill "-$signal" "$pid" 2>/dev/null || true
    deadline=$((SECONDS + TERM_WAIT_S))
    while is_ours "$pid" "$home" "$node"; do
      if [ "$SECONDS" -ge "$deadline" ]; then
        say "$node $pid did not end within $TERM_WAIT_S s of $signal"
        kill -KILL "$pid" 2>/dev/null || true
        deadline=$((SECONDS + TERM_WAIT_S))
      fi
      sleep 0.1
    done
  fi
  rm -f "$home/$node.pid"
}

main() {
  local instance=${1:-} signal=${2:-TERM} home
  check_instance "$instance"
  case $signal in TERM | KILL) ;; *) die "signal must be TERM or KILL, but is '$signal'" ;; esac
  home=$(instance_dir "$instance")
  end_node "$home" datanode "$signal"
  end_node "$home" confignode "$signal"
  echo "stopped $instance"
}

main "$@"
