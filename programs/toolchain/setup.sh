#!/usr/bin/env bash
# Install what building the programs takes, from Debian's and Rust's registries alone: run as root, once per machine.
#
# rustc-web, cargo-web and rust-web-src are one matched release of Rust with its library's source, which -Z build-std needs. sbpf-linker is
# built against the LLVM that this compiler uses, and kept in the user's cache: nothing has to be on PATH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/versions.sh"

missing() { for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || echo "$package"; done; }
install() {
    local packages
    packages=$(missing "$@")
    [ -z "$packages" ] && return
    if [ "$(id -u)" -ne 0 ]; then
        echo "programs/toolchain: run as root to install:" $packages >&2
        exit 3
    fi
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=300 $packages
}

install rustc-web cargo-web rust-web-src python3 gcc g++ libc6-dev ca-certificates
llvm=$(llvm_major)
install "llvm-$llvm" "llvm-$llvm-dev" "libpolly-$llvm-dev" zlib1g-dev libzstd-dev
if [ ! -x "$(sbpf_linker)" ]; then
    # Not optimised: it links six small files, and so it is built in less than half the time.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 LLVM_PREFIX=/usr/lib/llvm-$llvm RUSTC=$RUSTC "$CARGO" install sbpf-linker --version "$SBPF_LINKER_VERSION" --locked \
        --root "$(dirname "$(dirname "$(sbpf_linker)")")" --no-default-features --features "bpf-linker/llvm-$llvm"
fi
echo "programs/toolchain: $($RUSTC --version), LLVM $llvm, sbpf-linker $SBPF_LINKER_VERSION"
