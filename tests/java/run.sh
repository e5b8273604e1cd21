#!/usr/bin/env bash
# run.sh PROGRAM [ARGUMENT...]: builds if needed and runs one of the Java programs beside it:
#   run.sh Golden common/wire/tests/golden     writes the golden request payloads
#   run.sh Companions common/tsfile/tests/golden   writes .resource and mods files, and what is in them
#   run.sh Drive 127.0.0.1 6667                talks to an IoTDB, one command a line on stdin
#   run.sh Corpus DIR 1 20 1000 4096           fills a data directory without a server
# The JVM replaces this shell, so the caller's child process is the program itself.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../interop/lib.sh"

[ $# -ge 1 ] || die "usage: run.sh PROGRAM [ARGUMENT...]"
classes=$("$repo_dir/tests/java/build.sh")
opens=()
for package in java.lang java.util java.nio java.io java.net sun.nio.ch; do opens+=("--add-opens=java.base/$package=ALL-UNNAMED"); done
exec java "${opens[@]}" -XX:+UseSerialGC -XX:TieredStopAtLevel="${TIDEGATE_JAVA_JIT:-1}" -XX:-UsePerfData "-Xmx${TIDEGATE_JAVA_MB:-512}m" \
  -Dfile.encoding=UTF-8 -Duser.timezone=UTC "-Dlogback.configurationFile=$repo_dir/tests/java/logback.xml" \
  -cp "$classes:$lib_dir/*" "$@"
