#!/bin/sh
# Builds one libFuzzer target with AddressSanitizer and runs it: fuzz/run.sh TARGET SECONDS
# Needs a nightly toolchain, and nothing else: no cargo-fuzz.
set -eu
cd "$(dirname "$0")"

targets=$(ls targets | sed 's/\.rs$//' | tr '\n' ' ')
if [ $# -ne 2 ] || [ ! -f "targets/$1.rs" ]; then
    echo "usage: fuzz/run.sh TARGET SECONDS, where TARGET is one of: $targets" >&2
    exit 2
fi
target=$1
seconds=$2

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: expected a nightly toolchain, but 'cargo +nightly' does not run here" >&2
    echo "fuzz: install one with 'rustup toolchain install nightly'; the other tests do not need it" >&2
    exit 3
fi
triple=$(rustc +nightly -vV | sed -n 's/^host: //p')
libraries=$(rustc +nightly --print sysroot)/lib/rustlib/$triple/lib
if ! ls "$libraries" | grep -q 'rt\.asan'; then
    echo "fuzz: expected the AddressSanitizer runtime in $libraries, but found none" >&2
    exit 3
fi
if ! command -v c++ >/dev/null 2>&1; then
    echo "fuzz: expected a C++ compiler (libFuzzer is built from source), but found none" >&2
    exit 3
fi

RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
    cargo +nightly build --release --target "$triple" --bin "$target"

# Golden payloads are the best seeds: each says one more thing about the format.
corpus=corpus/$target
mkdir -p "$corpus" artifacts
case $target in
    request_decode) goldens='../common/wire/tests/golden/*.hex' ;;
    resource) goldens='../common/tsfile/tests/golden/*.resource.hex' ;;
    mods) goldens='../common/tsfile/tests/golden/*.mods*.hex' ;;
    *) goldens= ;;
esac
if [ "$target" = tsfile ]; then
    # Small ones: a mutation of a large file hits pages nearly always.
    find ../common/tsfile/tests/corpus -name '*.tsfile' -size -24k | while read -r seed; do
        kind=$(basename "$(dirname "$seed")")
        cp "$seed" "$corpus/seed-$kind-$(basename "$seed")"
    done
fi
if command -v xxd >/dev/null 2>&1; then
    for golden in $goldens; do
        seed=$corpus/golden-$(basename "$golden" .hex)
        # The kinds of mods files are told apart by the first of two bytes before the file.
        case $golden in *.mods2.hex) head=0080 ;; *.mods.hex) head=0180 ;; *) head= ;; esac
        [ -f "$seed" ] || { printf %s "$head"; tr -d ' \n' <"$golden"; } | xxd -r -p >"$seed" || rm -f "$seed"
    done
fi
exec "target/$triple/release/$target" -max_total_time="$seconds" -max_len=65536 \
    -rss_limit_mb=1024 -timeout=10 -artifact_prefix="artifacts/$target-" -print_final_stats=1 "$corpus"
