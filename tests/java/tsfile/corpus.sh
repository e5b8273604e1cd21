#!/usr/bin/env bash
# corpus.sh: makes common/tsfile/tests/corpus anew: the small part of what `run.sh KIND corpus` writes, which is in the
# repository so that `make test` needs no Java. `make interop` takes the whole.
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../interop/lib.sh"

corpus=$repo_dir/common/tsfile/tests/corpus
common=(multichunk extremes 'timeplain*' 'timerle*' 'torn-at-*' regular index-levels gorilla-v1 rlbe-floats sprintz-jumps
  wide-floats overlap missing-columns header-only no-groups)
every_codec=('plain-onepage-*' aligned-onepage-lz4 plain-multipage-snappy aligned-multipage-zstd)

# keep KIND PATTERN...: the files of these names, with what they hold, and their lines of the manifest.
keep() {
  local kind=$1 from=$work/$1 to=$corpus/$1 pattern file line
  shift
  rm -rf "$to"
  mkdir -p "$to"
  echo file,expected >"$to/manifest.csv"
  for pattern in "$@"; do
    for file in "$from"/$pattern.tsfile; do
      [ -e "$file" ] || continue
      cp "$file" "$to/"
      line=$(grep "^$(basename "$file")," "$from/manifest.csv" || true)
      if [ -n "$line" ]; then
        echo "$line" >>"$to/manifest.csv"
        cp "$from/${line#*,}" "$to/"
      fi
    done
  done
  say "$kind: $(find "$to" -type f | wc -l) files, $(du -sk --apparent-size "$to" | cut -f1) KiB"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for kind in v3old v3new v4beta v4; do "$repo_dir/tests/java/tsfile/run.sh" "$kind" corpus "$work/$kind" >&2; done
keep v3old "${common[@]}" "${every_codec[@]}"
keep v3new "${common[@]}" "${every_codec[@]}"
keep v4 "${common[@]}" "${every_codec[@]}" table-model encrypted rlbe-blocks
# 2.0.1 differs in what RLBE, RLE and TS_2DIFF make of floats.
keep v4beta rlbe-floats wide-floats table-model no-groups
