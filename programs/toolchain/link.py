#!/usr/bin/env python3
"""Linker for the SBPF target: sbpf-linker, with the BPF back end's missing 128-bit arithmetic worked around.

LLVM's BPF back end cannot return an i128, and it lowers an overflow-checked u64 product to a helper that does. So the
program is merged to bitcode first, that product is rewritten there into 32-bit halves, and then it is linked. Whatever
128-bit arithmetic is left draws an error, and the link fails: a program that links computes what its source says.

Run by rustc; build.sh names the LLVM version in SBPF_LLVM and the linker in SBPF_LINKER.
"""

import os
import pathlib
import re
import subprocess
import sys

LLVM = os.environ["SBPF_LLVM"]
LINKER = os.environ["SBPF_LINKER"]
CHECKED_MUL = "@llvm.umul.with.overflow.i64"
CHECKED_MUL_IR = """
define internal { i64, i1 } @sbpf.umul.with.overflow.i64(i64 %a, i64 %b) alwaysinline nounwind {
  %product = mul i64 %a, %b
  %a.high = lshr i64 %a, 32
  %b.high = lshr i64 %b, 32
  %a.low = and i64 %a, 4294967295
  %b.low = and i64 %b, 4294967295
  %a.big = icmp ne i64 %a.high, 0
  %b.big = icmp ne i64 %b.high, 0
  %both.big = and i1 %a.big, %b.big
  %cross.1 = mul i64 %a.high, %b.low
  %cross.2 = mul i64 %a.low, %b.high
  %cross = add i64 %cross.1, %cross.2
  %low = mul i64 %a.low, %b.low
  %carry = lshr i64 %low, 32
  %middle = add i64 %cross, %carry
  %spill = lshr i64 %middle, 32
  %spills = icmp ne i64 %spill, 0
  %overflow = or i1 %both.big, %spills
  %pair = insertvalue { i64, i1 } poison, i64 %product, 0
  %result = insertvalue { i64, i1 } %pair, i1 %overflow, 1
  ret { i64, i1 } %result
}
"""
ENTRY_POINTS = ["entrypoint", "memcpy", "memmove", "memset", "memcmp", "bcmp"]
OPTIONS = [
    "--arch=v0",
    "--ignore-inline-never",
    "--disable-math-builtins",
    "--llvm-args=--bpf-stack-size=4096",
    "--llvm-args=--inline-threshold=4000",
]
# rustc forwards the target's features to the merge; code is made at the link. The virtual machine loads and stores at
# any address: without this each unaligned u64 is read byte by byte.
FEATURES = "--cpu-features=+allows-misaligned-mem-access"


def prepare(module: pathlib.Path) -> None:
    """Rewrite the overflow-checked u64 products of a bitcode module, and drop what no entry point reaches, in place."""
    ir = subprocess.run(
        [f"llvm-dis-{LLVM}", str(module), "-o", "-"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    if CHECKED_MUL in ir:
        ir = re.sub(rf"^(declare .*{re.escape(CHECKED_MUL)}\(.*|\^\d+ = .*)$", "", ir, flags=re.M)
        ir = ir.replace(CHECKED_MUL, "@sbpf.umul.with.overflow.i64") + CHECKED_MUL_IR
    keep = ";".join(f"preserve-gv={name}" for name in ENTRY_POINTS)
    subprocess.run(
        [f"opt-{LLVM}", f"-passes=internalize<{keep}>,globaldce", "-", "-o", str(module)],
        check=True,
        input=ir,
        text=True,
    )


def main(arguments: list[str]) -> int:
    """Link as rustc's command line asks; returns the linker's exit status."""
    output = arguments.index("-o") + 1
    exports = arguments[arguments.index("--export-symbols") :][:2]
    program = pathlib.Path(arguments[output])
    module = program.with_suffix(".linked.bc")

    # sbpf-linker writes the linked bitcode and then fails to read it as an object: only the file tells success.
    module.unlink(missing_ok=True)
    merged = [*arguments[:output], str(module), *arguments[output + 1 :]]
    merge = subprocess.run(
        [LINKER, *merged, *OPTIONS, "--emit=llvm-bc"], stderr=subprocess.PIPE, text=True, check=False
    )
    if not module.exists():
        print(merge.stderr, file=sys.stderr)
        return 1
    prepare(module)
    return subprocess.run(
        [LINKER, *exports, str(module), "-o", str(program), FEATURES, *OPTIONS], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
