#!/usr/bin/env bash
# Sees to it that what the Makefile needs is there: setup.sh [java|package]
# On Debian as root missing packages are installed; elsewhere they are named.
set -euo pipefail

packages=()
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}

need cc gcc
need git git
if [ "${1:-}" = java ]; then
    need javac openjdk-17-jdk-headless
    need mvn maven
fi
if [ "${1:-}" = package ]; then
    need dpkg-deb dpkg
    need rpmbuild rpm
    need strip binutils
fi
if [ ${#packages[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing ${packages[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    else
        echo "missing: ${packages[*]} (Debian package names); install them and try again" >&2
        exit 1
    fi
fi
if ! command -v cargo >/dev/null 2>&1; then
    echo "missing: cargo, Rust 1.95 or later (https://rustup.rs)" >&2
    exit 1
fi
for component in fmt clippy; do
    if ! cargo "$component" --version >/dev/null 2>&1; then
        echo "missing: cargo $component (rustup component add ${component/fmt/rustfmt})" >&2
        exit 1
    fi
done
