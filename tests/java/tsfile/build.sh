#!/usr/bin/env bash
# build.sh KIND: fetches one version of the TsFile library from Maven Central and compiles the programs beside it against
# it, into target/java-tsfile/KIND (when out of date); prints that directory. README.md lists the kinds.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../interop/lib.sh"

here=$repo_dir/tests/java/tsfile

# Every version needs a class path of its own: they share class names, and neither reads all files of the others.
set_kind() {
  group=org.apache.tsfile
  logger=2.0.17
  tables=
  case $1 in
    v3old)
      group=org.apache.iotdb
      version=1.2.2
      logger=1.7.36
      ;;
    v3new) version=1.1.3 ;;
    v4beta)
      version=2.0.1
      tables=yes
      ;;
    v4)
      version=2.4.0
      tables=yes
      ;;
    *) die "KIND must be v3old, v3new, v4beta or v4, but is '$1'" ;;
  esac
}

write_pom() {
  cat <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tidegate</groupId><artifactId>tsfile-$1</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>$group</groupId><artifactId>tsfile</artifactId><version>$version</version>
<exclusions><exclusion><groupId>ch.qos.logback</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>$logger</version></dependency>
</dependencies></project>
POM
}

# The sources are written for the newest library; the older ones have some of its classes under other names.
copy_sources() {
  local to=$1 file renames=()
  case $version in
    1.2.2)
      renames+=(-e 's/org\.apache\.tsfile\.enums\.TSDataType/org.apache.tsfile.file.metadata.enums.TSDataType/')
      renames+=(-e 's/org\.apache\.tsfile\./org.apache.iotdb.tsfile./g' -e 's/getMeasurementName()/getMeasurementId()/g')
      ;;
    1.1.3) renames+=(-e 's/getMeasurementName()/getMeasurementId()/g') ;;
    2.0.1) renames+=(-e 's/org\.apache\.tsfile\.enums\.ColumnCategory/org.apache.tsfile.write.record.Tablet.ColumnCategory/') ;;
  esac
  for file in "${sources[@]}"; do
    sed -e '' "${renames[@]}" "$file" >"$to/$(basename "$file")"
  done
}

out_of_date() {
  local file
  [ -e "$1" ] || return 0
  for file in "${sources[@]}" "${BASH_SOURCE[0]}"; do
    if [ "$file" -nt "$1" ]; then return 0; fi
  done
  return 1
}

main() {
  [ $# -eq 1 ] || die "usage: build.sh KIND"
  set_kind "$1"
  local out=$repo_dir/target/java-tsfile/$1
  sources=("$here"/src/*.java "$here/kinds/$1"/*.java)
  if [ -n "$tables" ]; then sources+=("$here"/kinds/tables/*.java); fi
  mkdir -p "$out"
  # Two test binaries may come here at once.
  exec 9>"$out/.lock"
  flock 9
  if [ "$(cat "$out/.fetched" 2>/dev/null)" != "$version" ]; then
    need_tools java javac mvn
    say "fetching tsfile $version (about 13 MB) into $out/lib"
    write_pom "$1" >"$out/pom.xml"
    fetch_jars "$out" "tsfile $version"
    echo "$version" >"$out/.fetched"
  fi
  if out_of_date "$out/.done"; then
    need_tools javac
    rm -rf "$out/sources" "$out/classes"
    mkdir -p "$out/sources" "$out/classes"
    copy_sources "$out/sources"
    javac -nowarn -proc:none -Xlint:-options -encoding UTF-8 -cp "$out/lib/*" -d "$out/classes" "$out/sources"/*.java >&2 ||
      die "compiling tests/java/tsfile against tsfile $version failed, see above; delete $out if its jars are damaged"
    touch "$out/.done"
  fi
  echo "$out"
}

main "$@"
