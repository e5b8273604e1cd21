#!/usr/bin/env bash
# Long runs of what `make test` runs briefly; each prints its seed where it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

export TIDEGATE_SEEDS="${TIDEGATE_SEEDS:-1000000}"
export TIDEGATE_KILL_ROUNDS="${TIDEGATE_KILL_ROUNDS:-200}"

echo "soak: $TIDEGATE_SEEDS seeds of the link pair"
cargo test --locked -p tidegate-link --test pair -- --nocapture no_fault
echo "soak: $TIDEGATE_SEEDS seeds of order and coverage"
cargo test --locked -p tidegate-source --test order -- --nocapture \
    whatever_happens_the_far_side_reads_what_the_source_reads
echo "soak: $TIDEGATE_KILL_ROUNDS kill -9 rounds of the real daemons"
cargo test --locked -p tidegate-tests --test kill -- --nocapture
