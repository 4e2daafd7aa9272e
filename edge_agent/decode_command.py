"""`edge-agent decode`: what a captured telegram says, from hex or binary, on any link that meters push over.

    edge-agent decode --key 00112233445566778899aabbccddeeff --json telegram.log

prints `{"telegrams": [{"link", "ciphered", "meter", "time", "values": {OBIS: {"value", "unit"}}, "errors": []}]}`; an
error is `{"code", "message", "offset"}`, and the exit status is 1 where there is any.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams
from edge_agent.dlms.push.unframe import LINKS

MAX_INPUT = 64 << 20

_HEX = re.compile(rb"[0-9A-Fa-f\s!-/:-@\[-`{-~]*")
_PREFIX = re.compile(rb"0[xX]")
_COMMENT = re.compile(rb"^[ \t]*(#|//).*$", re.MULTILINE)


def _octets(text: str, size: int) -> bytes:
    data = bytes.fromhex(text.strip())
    if len(data) != size:
        raise ValueError(text)
    return data


def _key(text: str) -> bytes:
    return _octets(text, 32 if len(text.strip()) > 32 else 16)


def _title(text: str) -> bytes:
    return _octets(text, 8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent decode`."""
    parser.add_argument("file", metavar="FILE", help="hex (with any spacing) or binary; - reads standard input")
    parser.add_argument("--key", type=_key, metavar="HEX", help="encryption key, 16 bytes (suite 2: 32)")
    parser.add_argument(
        "--auth-key", type=_key, metavar="HEX", help="authentication key, as long; else tags go unchecked"
    )
    parser.add_argument(
        "--system-title", type=_title, metavar="HEX", help="for telegrams that do not carry it, 8 bytes"
    )
    parser.add_argument("--link", choices=("auto", *LINKS), default="auto", help="what carries the telegrams")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Put `decode` among the commands of `edge-agent`."""
    parser = commands.add_parser("decode", help="decode telegrams that meters push", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_arguments(parser)
    parser.set_defaults(run=run)


def telegram_bytes(data: bytes) -> bytes:
    """The bytes that a file means: itself, or those that its hex spells."""
    text = _PREFIX.sub(b"", _COMMENT.sub(b"", data))
    if _HEX.fullmatch(text):
        digits = re.sub(rb"[^0-9A-Fa-f]", b"", text)
        if digits and len(digits) % 2 == 0:
            return bytes.fromhex(digits.decode("ascii"))
    return data


def as_json(telegram: Telegram) -> dict[str, Any]:
    """A telegram as the command prints it."""
    return {
        "link": telegram.link,
        "ciphered": telegram.ciphered,
        "meter": telegram.meter,
        "time": telegram.time,
        "values": {name: {"value": reading.value, "unit": reading.unit} for name, reading in telegram.values.items()},
        "errors": [{"code": error.code, "message": error.message, "offset": error.offset} for error in telegram.errors],
    }


def run(
    args: argparse.Namespace,
    out: TextIO | None = None,
    err: TextIO | None = None,
    standard_input: BinaryIO | None = None,
) -> int:
    """Decode and print; 0, or 1 where any telegram has an error or the file cannot be read."""
    out = out or sys.stdout
    err = err or sys.stderr
    try:
        if args.file == "-":
            data = (standard_input or sys.stdin.buffer).read(MAX_INPUT + 1)
        else:
            with Path(args.file).open("rb") as file:
                data = file.read(MAX_INPUT + 1)
    except OSError as error:
        print(f"edge-agent decode: no_file: {args.file} cannot be read: {error.strerror}", file=err)
        return 1
    if len(data) > MAX_INPUT:
        print(f"edge-agent decode: too_long: {args.file} has more than {MAX_INPUT} bytes", file=err)
        return 1
    telegrams = decode_telegrams(telegram_bytes(data), args.link, Keys(args.key, args.auth_key, args.system_title))
    if args.json:
        json.dump({"telegrams": [as_json(telegram) for telegram in telegrams]}, out, indent=2, ensure_ascii=False)
        out.write("\n")
    else:
        for telegram in telegrams:
            _print_table(telegram, out)
    return 1 if any(telegram.errors for telegram in telegrams) else 0


def _print_table(telegram: Telegram, out: TextIO) -> None:
    ciphered = ", ciphered" if telegram.ciphered else ""
    print(f"{telegram.link}{ciphered}  meter {telegram.meter or '?'}  time {telegram.time or '?'}", file=out)
    for name, reading in telegram.values.items():
        print(f"  {name:<22} {reading.value if reading.value is not None else '':>24} {reading.unit or ''}", file=out)
    for error in telegram.errors:
        print(f"  error {error.code}: {error}", file=out)
