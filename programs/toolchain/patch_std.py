#!/usr/bin/env python3
"""Teach a copy of Rust's std about target_os = "solana" and target_arch = "bpf".

usage: patch_std.py LIBRARY_DIR   (a copy of the `library` folder of rust-web-src 1.96)

Each edit sends the Solana target to a back end that std already has for machines without
threads or an operating system. An edit whose anchor is missing stops the build.
"""

import pathlib
import sys

SYS = pathlib.Path(sys.argv[1]) / "std/src/sys"


def edit(name: str, old: str, new: str, count: int = 1) -> None:
    path = SYS / name
    text = path.read_text()
    if text.count(old) < 1:
        sys.exit(f"patch_std: {name}: anchor not found: {old!r}; this std is not the one the edits were made for")
    path.write_text(text.replace(old, new, count))


edit(
    "alloc/mod.rs",
    'target_arch = "riscv32",\n    target_arch = "xtensa",',
    'target_arch = "riscv32",\n    target_arch = "bpf",\n    target_arch = "xtensa",',
)
edit(
    "alloc/mod.rs",
    '    target_os = "zkvm" => {\n',
    '    target_os = "solana" => {\n        mod solana;\n    }\n    target_os = "zkvm" => {\n',
)
(SYS / "alloc/solana.rs").write_text("""use crate::alloc::{GlobalAlloc, Layout, System};

// A program brings its own `#[global_allocator]`; the default one has no memory to give.
#[stable(feature = "alloc_system_type", since = "1.28.0")]
unsafe impl GlobalAlloc for System {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        crate::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _ptr: *mut u8, _layout: Layout) {}
}
""")
edit("io/error/mod.rs", 'target_os = "zkvm",', 'target_os = "solana",\n        target_os = "zkvm",')
edit("thread_local/mod.rs", 'target_os = "zkvm",', 'target_os = "solana",\n        target_os = "zkvm",', count=-1)
edit(
    "random/mod.rs",
    'target_os = "vexos",\n    ) => {',
    'target_os = "vexos",\n        target_os = "solana",\n    ) => {',
)
edit("random/mod.rs", 'target_os = "vexos",\n)))]', 'target_os = "vexos",\n    target_os = "solana",\n)))]')
