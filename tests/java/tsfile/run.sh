#!/usr/bin/env bash
# run.sh KIND COMMAND [ARGUMENT...]: builds if needed and runs one command of the TsFile programs beside it on the official
# library of that kind (v3old, v3new, v4beta or v4). README.md lists kinds, commands and formats.
# The JVM replaces this shell, so the caller's child process is the program itself.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../interop/lib.sh"

[ $# -ge 2 ] || die "usage: run.sh v3old|v3new|v4beta|v4 COMMAND [ARGUMENT...]; see tests/java/tsfile/README.md"
out=$("$repo_dir/tests/java/tsfile/build.sh" "$1")
shift
# The second compiler pays only where speed is what is measured.
case $1 in scan | lookup | write | bulk) jit=4 ;; *) jit=1 ;; esac
exec java --add-opens=java.base/java.nio=ALL-UNNAMED -XX:+UseSerialGC -XX:TieredStopAtLevel="${TIDEGATE_JAVA_JIT:-$jit}" \
  -XX:-UsePerfData "-Xmx${TIDEGATE_JAVA_MB:-1024}m" -Dfile.encoding=UTF-8 -Duser.timezone=UTC -cp "$out/classes:$out/lib/*" Main "$@"
