#!/usr/bin/env bash
# Build one program to SBPF V0.  usage: build.sh TARGET_DIR PACKAGE
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
work=$target/sbpf-toolchain/$("$RUSTC" --version | tr -c 'A-Za-z0-9.\n' _)
mkdir -p "$work"

# Rust's library with the target's name taught to it: a copy, for the system's own stays as it is.
if [ ! -e "$work/library/.patched" ]; then
    rm -rf "$work/library"
    cp -r "$("$RUSTC" --print sysroot)/lib/rustlib/src/rust/library" "$work/library"
    python3 "$here/patch_std.py" "$work/library"
    touch "$work/library/.patched"
fi
RUSTC_BOOTSTRAP=1 "$RUSTC" -Z unstable-options --print target-spec-json --target bpfel-unknown-none |
    LINKER=$here/link.py python3 -c '
import json, os, sys
spec = json.load(sys.stdin)
spec.pop("is-builtin", None)
spec.update({"os": "solana", "vendor": "solana", "linker": os.environ["LINKER"], "atomic-cas": True,
             "min-atomic-width": 8, "singlethread": True, "features": "+allows-misaligned-mem-access", "panic-strategy": "immediate-abort"})
json.dump(spec, sys.stdout, indent=1)' > "$work/sbpf.json.new"
# An unchanged file keeps its time, or cargo would build everything anew.
cmp -s "$work/sbpf.json.new" "$work/sbpf.json" || mv "$work/sbpf.json.new" "$work/sbpf.json"

cd "$workspace"
SBPF_LLVM=$(llvm_major) SBPF_LINKER=$(sbpf_linker)
# The panic strategy must come from the command line: a profile's would pull in panic machinery that the BPF back end cannot compile.
RUSTFLAGS="-C panic=immediate-abort -Z unstable-options --check-cfg=cfg(target_os,values(\"solana\"))"
RUSTFLAGS+=" --remap-path-prefix=$workspace=programs --remap-path-prefix=$work=toolchain"
export SBPF_LLVM SBPF_LINKER RUSTFLAGS RUSTC
export RUSTC_BOOTSTRAP=1 RUSTC_BOOTSTRAP_SYNTHETIC_TARGET=1 __CARGO_TESTS_ONLY_SRC_ROOT=$work/library
exec "$CARGO" build --quiet --locked --release --target "$work/sbpf.json" --target-dir "$target" -Z json-target-spec \
    -Z build-std=core,alloc,std,panic_abort -p "$package"
