#!/usr/bin/env bash
# Build one program to SBPF V0.  usage: build.sh TARGET_DIR PACKAGE [WORKSPACE BUILT]
#
# With WORKSPACE the sources are that one's, and the compiler's library is that of an earlier build, in the target directory BUILT. Cargo
# remembers where library and linker lay: so TARGET_DIR may be a copy of BUILT, and only what differs is built again.
#
# Solana's own toolchain downloads a patched Rust; this builds with the distribution's, from registries alone. The .so lands in
# TARGET_DIR/sbpf/release. Programs are built one at a time, for one that another depends on would be rebuilt without its entry point.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
workspace=$(dirname "$here")
. "$here/versions.sh"
mkdir -p "$1"
target=$(cd "$1" && pwd)
package=$2
workspace=$(cd "${3:-$workspace}" && pwd)
library_of=$(cd "${4:-$target}" && pwd)
work=$library_of/sbpf-toolchain/$("$RUSTC" --version | tr -c 'A-Za-z0-9.\n' _)
mkdir -p "$work"

# A sysroot like the system's but for Rust's library, which is a copy with the target's name taught to it. It must be the sysroot's: only
# from there does cargo take the library by its relative path (see below).
rustlib=$("$RUSTC" --print sysroot)/lib/rustlib
library=$work/sysroot/lib/rustlib/src/rust/library
if [ ! -e "$work/.patched" ]; then
    rm -rf "$work/sysroot"
    mkdir -p "$(dirname "$library")"
    find "$rustlib" -mindepth 1 -maxdepth 1 ! -name src -exec ln -s {} "$work/sysroot/lib/rustlib/" ';'
    cp -rL "$rustlib/src/rust/library" "$library"
    python3 "$here/patch_std.py" "$library"
    touch "$work/.patched"
fi
printf '#!/bin/sh\nexec %s --sysroot %q "$@"\n' "$RUSTC" "$work/sysroot" > "$work/rustc"
chmod +x "$work/rustc"
RUSTC_BOOTSTRAP=1 "$RUSTC" -Z unstable-options --print target-spec-json --target bpfel-unknown-none |
    python3 -c '
import json, sys
spec = json.load(sys.stdin)
spec.pop("is-builtin", None)
spec.update({"os": "solana", "vendor": "solana", "atomic-cas": True,
             "min-atomic-width": 8, "singlethread": True, "features": "+allows-misaligned-mem-access", "panic-strategy": "immediate-abort"})
json.dump(spec, sys.stdout, indent=1)' > "$work/sbpf.json.new"
# An unchanged file keeps its time, or cargo would build everything anew.
cmp -s "$work/sbpf.json.new" "$work/sbpf.json" || mv "$work/sbpf.json.new" "$work/sbpf.json"

cd "$workspace"
SBPF_LLVM=$(llvm_major) SBPF_LINKER=$(sbpf_linker)
# The panic strategy must come from the command line: a profile's would pull in panic machinery that the BPF back end cannot compile.
RUSTFLAGS="-C panic=immediate-abort -Z unstable-options --check-cfg=cfg(target_os,values(\"solana\"))"
# The target goes by its name, and neither its file nor the flags name a directory: cargo hashes all of them into every symbol, symbols
# order the code, and the same sources are to give the same bytes wherever they lie.
RUST_TARGET_PATH=$work CARGO_TARGET_SBPF_LINKER=$here/link.py
export SBPF_LLVM SBPF_LINKER RUSTFLAGS RUST_TARGET_PATH CARGO_TARGET_SBPF_LINKER
export RUSTC=$work/rustc RUSTC_BOOTSTRAP=1 RUSTC_BOOTSTRAP_SYNTHETIC_TARGET=1
exec "$CARGO" build --quiet --locked --release --target sbpf --target-dir "$target" \
    -Z build-std=core,alloc,std,panic_abort -p "$package"
