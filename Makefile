# The commands of CONTRIBUTING.md. One Cargo profile (dev: opt-level 1, dependencies 3) serves
# tests, demo and interop, so that nothing is compiled twice; only `bench` builds for release.

CARGO ?= cargo
CARGO_FLAGS ?= --locked
BIN := target/debug

.PHONY: help setup build demo test interop-ci interop bench fuzz soak package clean

help:
	@echo "make demo        real IoTDB files through a simulated gateway, all points compared"
	@echo "make test        format, clippy, all tests"
	@echo "make interop-ci  against a real IoTDB and its library, what fits CI"
	@echo "make interop     against a real IoTDB, everything"
	@echo "make bench       the performance table, peers beside us in one run"
	@echo "make fuzz        every flip of small TsFiles, libFuzzer targets (needs a nightly toolchain); FUZZ_SECONDS=60 each"
	@echo "make soak        long runs: millions of seeds, hundreds of kill -9 rounds"
	@echo "make package     deb and rpm"

setup:
	@scripts/setup.sh

build: setup
	$(CARGO) build $(CARGO_FLAGS) --workspace --bins

demo: build
	$(BIN)/tidegate-demo

test: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	$(CARGO) build $(CARGO_FLAGS) --workspace --bins
	$(CARGO) test $(CARGO_FLAGS) --workspace

interop-ci: build
	scripts/setup.sh java
	$(BIN)/tidegate-interop --quick

interop: build
	scripts/setup.sh java
	$(BIN)/tidegate-interop

bench: setup
	scripts/setup.sh java
	$(CARGO) build $(CARGO_FLAGS) --release --workspace --bins
	target/release/tidegate-bench

fuzz: setup
	TIDEGATE_ALL_FLIPS=1 $(CARGO) test $(CARGO_FLAGS) -p tidegate-tsfile --test damage small_file -- --nocapture
	for target in $$(ls fuzz/targets | sed 's/\.rs$$//'); do fuzz/run.sh $$target $${FUZZ_SECONDS:-60} || exit 1; done

soak: build
	scripts/soak.sh

package: setup
	scripts/setup.sh package
	$(CARGO) build $(CARGO_FLAGS) --release -p tidegate-sender -p tidegate-receiver
	packaging/package.sh

clean:
	$(CARGO) clean
