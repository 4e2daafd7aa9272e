#!/usr/bin/env python3
"""Build the five programs and their IDLs into programs/artifacts, or check that what is there is what the sources give.

usage: build_all.py [--check] [--target DIR] [--only NAME ...]

For each program: NAME.so (SBPF V0), NAME.json (IDL, spec 0.1.0), legacy/NAME.json (the same in the older form); and
manifest.json with the compiler's version and the SHA-256 of each file. With --check the files are built elsewhere and
compared: any difference in an IDL fails; one in a .so fails where the compiler is the recorded one. Where the
distribution's compiler has moved on, that is said, and what was built is left in the directory that --keep names, with
a file `compiler-moved-on` beside it, so that the tests can be run on it (CAMPUS_ARTIFACTS names it to them).

Needs what setup.sh installs. The Python standard library suffices.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import accounts_module
import errors_page
import legacy_idl

TOOLCHAIN = pathlib.Path(__file__).resolve().parent
WORKSPACE = TOOLCHAIN.parent
ARTIFACTS = WORKSPACE / "artifacts"
ERRORS_PAGE = WORKSPACE.parent / "docs" / "ERRORS.md"
PROGRAMS = ("governance", "registry", "energy_token", "oracle", "trading")
RELAY = "testing/relay.so"  # a program of the tests, which calls another
RUSTC = "/usr/bin/rustc"
CARGO = "/usr/bin/cargo"
SECTION = re.compile(r"^--- IDL begin (\w+) ---$(.*?)^--- IDL end \1 ---$", re.M | re.S)


class BuildError(Exception):
    """A step of the build that failed; the message says which and what to do."""


def package(program: str) -> str:
    """Name of a program's cargo package."""
    return program.replace("_", "-")


def compiler() -> str:
    """The distribution's compiler, as it names itself, with its LLVM."""
    try:
        text = subprocess.run([RUSTC, "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError as error:
        raise BuildError(f"{RUSTC} is missing: run programs/toolchain/setup.sh as root") from error
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return f"{text.splitlines()[0]}, LLVM {fields['LLVM version']}"


def run(command: list[str], **options: Any) -> str:
    """Run a command and return its output; BuildError with what it wrote where it fails."""
    result = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    if result.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{result.stderr or result.stdout}")
    return result.stdout


def build_program(program: str, target: pathlib.Path, out: pathlib.Path) -> None:
    """Build one program's .so and copy it out."""
    run([str(TOOLCHAIN / "build.sh"), str(target), package(program)])
    shutil.copyfile(target / "sbpf" / "release" / f"lib{program}.so", out / f"{program}.so")


def idl_executables(programs: tuple[str, ...], target: pathlib.Path) -> dict[str, pathlib.Path]:
    """Build the host tests that print the IDLs; the test executable of each package."""
    packages = [name for program in programs for name in (package(program), f"{package(program)}-interface")]
    packages.append("campus-common")
    selection = [argument for name in packages for argument in ("-p", name)]
    command = [CARGO, "test", "--quiet", "--locked", "--lib", "--no-run", "--features", "idl-build"]
    output = run(
        [*command, *selection, "--target-dir", str(target), "--message-format", "json-render-diagnostics"],
        cwd=WORKSPACE,
        env={**os.environ, "RUSTC": RUSTC},
    )
    executables = {}
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            executables[message["target"]["name"]] = pathlib.Path(message["executable"])
    return executables


def sections(executable: pathlib.Path) -> list[tuple[str, str]]:
    """What a package's tests print for the IDL: (section, text). Its own unit tests run with them, and must pass."""
    output = run([str(executable), "--show-output", "--test-threads=1"])
    return [(match[1], match[2].strip()) for match in SECTION.finditer(output)]


def resolve(node: Any, aliases: dict[str, Any]) -> Any:
    """Replace each reference to a newtype by what it stands for: a unit's integer, a stored code's enum."""
    if isinstance(node, dict):
        defined = node.get("defined")
        if isinstance(defined, dict) and defined.get("name") in aliases:
            return aliases[defined["name"]]
        return {key: resolve(value, aliases) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(value, aliases) for value in node]
    return node


def enumerated(entry: dict[str, Any]) -> dict[str, Any]:
    """A type as the IDL has it: one of codes (`campus_common::code!`) becomes an enum, whose variants count from 0.

    A number that has no code is a variant `ReservedN`.
    """
    if entry["type"]["kind"] != "codes":
        return entry
    names = {number: name for name, number in entry["type"]["codes"].items() if name}
    variants = [{"name": names.get(number, f"Reserved{number}")} for number in range(max(names) + 1)]
    docs = [line.strip() for line in entry["docs"].splitlines()]
    return {"name": entry["name"], "docs": docs, "type": {"kind": "enum", "variants": variants}}


def module_docs(program: str) -> list[str]:
    """The crate's own description: the `//!` lines at the top of its lib.rs."""
    docs = []
    for line in (WORKSPACE / program / "src" / "lib.rs").read_text().splitlines():
        if not line.startswith("//!"):
            break
        docs.append(line[3:].strip())
    return docs


def assemble(program: str, executables: dict[str, pathlib.Path]) -> dict[str, Any]:
    """One IDL, spec 0.1.0, out of the sections that a program and its interface print."""
    idl: dict[str, Any] = {}
    accounts: dict[str, Any] = {}
    types: dict[str, Any] = {}
    events: dict[str, Any] = {}
    errors: dict[int, Any] = {}
    address = ""

    def add_types(entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            types[entry["name"]] = enumerated(entry)

    for crate in (f"{program}_interface", program):
        for section, text in sections(executables[crate]):
            if section == "address":
                address = text
            elif section == "errors":
                errors |= {error["code"]: error for error in json.loads(text)}
            elif section == "event":
                event = json.loads(text)
                events[event["event"]["name"]] = event["event"]
                add_types(event["types"])
            elif section in ("accounts", "program"):
                content = json.loads(text)
                accounts |= {account["name"]: account for account in content["accounts"]}
                add_types(content["types"])
                if section == "program":
                    idl = content
    if not idl:
        raise BuildError(f"{program} printed no IDL")
    aliases = {name: entry["type"]["alias"] for name, entry in types.items() if entry["type"]["kind"] == "type"}
    result = {
        "address": address,
        "metadata": idl["metadata"],
        "docs": module_docs(program),
        "instructions": sorted(idl["instructions"], key=lambda instruction: str(instruction["name"])),
        "accounts": [accounts[name] for name in sorted(accounts)],
        "events": [events[name] for name in sorted(events)],
        "errors": [errors[code] for code in sorted(errors)],
        "types": [types[name] for name in sorted(types) if name not in aliases],
    }
    plain: dict[str, Any] = resolve(result, aliases)
    return plain


def write_idl(program: str, idl: dict[str, Any], out: pathlib.Path) -> None:
    """Write an IDL so that a change in it reads well as a difference."""
    text = json.dumps(idl, indent=2, ensure_ascii=False)
    # Lists of numbers (discriminators, seeds) on one line.
    text = re.sub(r"\[\s+(\d+(?:,\s+\d+)*)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    (out / f"{program}.json").write_text(text + "\n")
    (out / "legacy").mkdir(exist_ok=True)
    (out / "legacy" / f"{program}.json").write_text(legacy_idl.render(idl))


def digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_idls(directory: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The IDLs in a directory, by program, in the programs' order."""
    paths = {program: directory / f"{program}.json" for program in PROGRAMS}
    return {program: json.loads(path.read_text()) for program, path in paths.items() if path.exists()}


def build(programs: tuple[str, ...], target: pathlib.Path, out: pathlib.Path) -> None:
    """Build programs and IDLs into `out`, then the manifest over all that is there."""
    for program in programs:
        print(f"programs: {program}.so", flush=True)
        build_program(program, target, out)
    print(f"programs: {RELAY}", flush=True)
    run([str(TOOLCHAIN / "build.sh"), str(target), "relay"])
    (out / RELAY).parent.mkdir(exist_ok=True)
    shutil.copyfile(target / "sbpf" / "release" / "librelay.so", out / RELAY)
    executables = idl_executables(programs, target)
    sections(executables["campus_common"])
    for program in programs:
        print(f"programs: {program}.json", flush=True)
        write_idl(program, assemble(program, executables), out)
    paths = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "manifest.json")
    files = {path.relative_to(out).as_posix(): digest(path) for path in paths}
    manifest = {"compiler": compiler(), "sha256": files}
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def compare(programs: tuple[str, ...], built: pathlib.Path) -> list[str]:
    """What differs between the committed artifacts and those built; a line for each."""
    recorded = json.loads((ARTIFACTS / "manifest.json").read_text())
    now = compiler()
    same_compiler = recorded["compiler"] == now
    faults = []
    if ERRORS_PAGE.read_text() != errors_page.render(read_idls(ARTIFACTS)):
        faults.append(f"docs/{ERRORS_PAGE.name} is not what the IDLs give")
    if accounts_module.MODULE.read_text(encoding="utf-8") != accounts_module.render(read_idls(ARTIFACTS)):
        faults.append(f"authority/chain/{accounts_module.MODULE.name} is not what the IDLs give")
    names = [f"{stem}{end}" for stem in programs for end in (".so", ".json")]
    for name in [*names, *(f"legacy/{program}.json" for program in programs), RELAY]:
        committed = ARTIFACTS / name
        if not committed.exists():
            faults.append(f"{name} is not committed")
        elif digest(committed) != recorded["sha256"].get(name):
            faults.append(f"{name} is not the file that the manifest records")
        elif digest(committed) != digest(built / name):
            if name.endswith(".json") or same_compiler:
                faults.append(f"{name} differs from what the sources give")
            else:
                print(f"programs: {name} differs, as its compiler does: recorded {recorded['compiler']}, here {now}")
    return faults


def main() -> int:
    """Run as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description="Build the programs and their IDLs, or check the committed ones.")
    parser.add_argument("--check", action="store_true", help="build elsewhere and compare with programs/artifacts")
    parser.add_argument("--target", type=pathlib.Path, default=WORKSPACE / "target", help="cargo's target directory")
    parser.add_argument("--keep", type=pathlib.Path, help="with --check: leave what was built in this directory")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, help="build these programs alone")
    arguments = parser.parse_args()
    programs = tuple(arguments.only or PROGRAMS)
    try:
        if not arguments.check:
            ARTIFACTS.mkdir(exist_ok=True)
            build(programs, arguments.target, ARTIFACTS)
            ERRORS_PAGE.write_text(errors_page.render(read_idls(ARTIFACTS)))
            accounts_module.MODULE.write_text(accounts_module.render(read_idls(ARTIFACTS)), encoding="utf-8")
            return 0
        with tempfile.TemporaryDirectory(prefix="campus-programs-") as scratch:
            out = arguments.keep or pathlib.Path(scratch)
            out.mkdir(parents=True, exist_ok=True)
            build(programs, arguments.target, out)
            moved_on = out / "compiler-moved-on"
            moved_on.unlink(missing_ok=True)
            faults = compare(programs, out)
            if json.loads((ARTIFACTS / "manifest.json").read_text())["compiler"] != compiler():
                moved_on.touch()
    except BuildError as error:
        print(f"programs: {error}", file=sys.stderr)
        return 1
    for fault in faults:
        print(f"programs: {fault}: run build_all.py and commit what it writes", file=sys.stderr)
    if not faults:
        print("programs: the committed artifacts are what the sources give")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
