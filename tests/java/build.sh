#!/usr/bin/env bash
# build.sh: compiles the Java programs beside it against the assembled IoTDB jars into target/java (when out of date)
# and prints that directory.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../interop/lib.sh"

main() {
  local here=$repo_dir/tests/java out=$repo_dir/target/java
  mkdir -p "$out"
  exec 9>"$out/.lock"
  flock 9
  "$interop_dir/assemble.sh" >/dev/null
  if [ ! -e "$out/.done" ] || [ -n "$(find "$here" -maxdepth 1 -name '*.java' -newer "$out/.done" -print -quit)" ]; then
    need_tools javac
    rm -rf "$out/classes"
    mkdir -p "$out/classes"
    javac -nowarn -proc:none -Xlint:-options -encoding UTF-8 -cp "$lib_dir/*" -d "$out/classes" "$here"/*.java >&2
    touch "$out/.done"
  fi
  echo "$out/classes"
}

main
