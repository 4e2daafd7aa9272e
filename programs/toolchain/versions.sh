# What the toolchain's scripts agree on; read by setup.sh and build.sh.
SBPF_LINKER_VERSION=0.2.6
RUSTC=/usr/bin/rustc
CARGO=/usr/bin/cargo

# Major version of the compiler's LLVM.
llvm_major() { "$RUSTC" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'; }

# Where sbpf-linker lives: a directory of its own for each of its versions and each LLVM.
sbpf_linker() {
    echo "${CAMPUS_SBPF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/campus-sbpf}/sbpf-linker-$SBPF_LINKER_VERSION-llvm-$(llvm_major)/bin/sbpf-linker"
}
