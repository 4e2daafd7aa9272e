"""`edge-agent decode`: what a captured telegram says, from hex or binary, on any link that meters push over.

    edge-agent decode --key 00112233445566778899aabbccddeeff --json telegram.log

prints `{"telegrams": [{"link", "ciphered", "system_title", "identification", "meter", "time", "values": {OBIS:
{"value", "unit"}}, "raw": [], "errors": []}]}`; an error is `{"code", "message", "offset"}`, and the exit status is 1
where there is any. `meter` is the name that the meter's map takes; a value without a unit is as the meter sent it:
compare it with the display. `raw` holds the values of a telegram that does not say what they are, by type and in order.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.push.layouts import LayoutError, add_folder
from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams
from edge_agent.dlms.push.unframe import LINKS, RAW
from edge_agent.wire.command import FAILED, add_json, message_line

MAX_INPUT = 16 << 20
DESCRIPTION = __doc__

_HEX = re.compile(r"[0-9A-Fa-f\s!-/:-@\[-`{-~]*")
_PREFIX = re.compile(r"0[xX]|\\x")
_COMMENT = re.compile(r"(#|//).*$", re.MULTILINE)
_P1 = re.compile(r"\s*/[0-9A-Za-z]{3}[^\n/]*\n")
_DIGITS = re.compile(r"[0-9A-Fa-f]+")
_OTHER = re.compile(r"[^0-9A-Fa-f]+")
_ONE_DIGIT = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f](?![0-9A-Fa-f])")
_THREE_DIGITS = re.compile(r"[0-9A-Fa-f]{3}")
_OFFSET = re.compile(r"\s*(?:0[xX])?([0-9A-Fa-f]{4,16})(?:([:\s])\s*(.*))?")
_GUTTER = re.compile(r"\s\|.*\|?\s*$")
_COUNT = re.compile(r"\s\(\d+\)\s*$")
_ROW_GUTTER = re.compile(r"\s[|>].*$")
_TIME = r"^[ \t\[(]*(?:\d{4}-\d\d-\d\d[T ])?(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?Z?[\])]?"
_STAMP = re.compile(_TIME + r"[ \t]", re.MULTILINE)
_LABEL = re.compile(_TIME + r"(?:\[[^\]\s]*\])*:?[ \t]?", re.MULTILINE)
_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_LITERAL = re.compile(r"""(?<!\w)b'(?:[^'\\]|\\.)*'|(?<!\w)b"(?:[^"\\]|\\.)*\"""")
_RECEIVED = re.compile(r'<<<[ \t]*"((?:[^"\\]|\\.)*)"')
"""What ESPHome's `uart_debug` shows of a line that it reads as text."""
_CHUNK = re.compile(r"\n?^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ DEBUG [^\n]*? received data: ?", re.MULTILINE)
"""How Home Assistant's DSMR reader logs what came: in pieces, which end anywhere."""
_ESCAPED = re.compile(r"""(?<!<<< )(?<!b)["']/[0-9A-Za-z]{3}[^\n]*?\\r\\n""")
_BROKEN_TEXT = re.compile(r"""["']\s*[+\\]?\s*\n\s*["']""")
_QUOTE = re.compile(r"^> ?", re.MULTILINE)
_NUMBERS_ALONE = re.compile(r"[\s\d,;]+")
_NUMBERS = re.compile(r"(?<![\w.:-])-?\d{1,3}(?:(?:\s*,\s*|\s+)-?\d{1,3})*(?![\w.:-])")
_LIST = re.compile(r"[\[({][\s\d,-]*[\])}]")
_FEWEST_NUMBERS = 8
_EMPTY_LITERAL = 3
_RUN = re.compile(r"[0-9A-Fa-f]{2}(?:[\s,;:.-]*[0-9A-Fa-f]{2})*")
_MARKS = "])>={\"'"
_SHORTEST_RUN = 4
_SHORTEST_LOG = 8


def _octets(text: str, *sizes: int) -> bytes:
    try:
        data = bytes.fromhex(_PREFIX.sub("", text).replace(":", ""))
    except ValueError:
        raise argparse.ArgumentTypeError("this is not hex") from None
    if len(data) not in sizes:
        wanted = " or ".join(str(size) for size in sizes)
        raise argparse.ArgumentTypeError(f"{wanted} bytes are needed, these are {len(data)}")
    return data


def _key(text: str) -> bytes:
    return _octets(text, 16, 32)


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
    parser.add_argument(
        "--layouts", type=Path, metavar="DIR", help="more layout files, such as `layouts` in the state directory"
    )
    parser.add_argument("--link", choices=("auto", *LINKS), default="auto", help="what carries the telegrams")
    add_json(parser)


def telegram_bytes(data: bytes) -> bytes:
    """The bytes that a file means: itself, or those that its hex spells; DecodeError `odd_hex`, `bad_dump`, `not_hex`.

    Hex may stand in any spacing, with `0x`, commas and comments, with the offsets and the gutter of a hex dump, or at
    the end of the lines of a log.
    """
    text = _text(_COLOURS.sub(b"", data))
    if text is None:
        return data
    if _QUOTE.match(text):
        text = _QUOTE.sub("", text)
        data = text.encode()
    piece = _CHUNK.search(text)
    if piece is not None:
        text = _CHUNK.sub("", text[piece.start() :])
        data = text.encode()
    if _ESCAPED.search(text) or "^M\n" in text:
        text = _unescaped(text)
        data = text.encode()
    spoken = _as_a_program_prints(text)
    if spoken:
        return spoken
    if _P1.match(text):
        return data
    if _LABEL.match(text) and _P1.match(_LABEL.sub("", text)):
        return _LABEL.sub("", text).encode()
    bare = _COMMENT.sub("", text)
    dump = _dump(bare)
    if dump is not None:
        return dump
    if _STAMP.match(bare):
        bare = _STAMP.sub("", bare)
    spelled = _PREFIX.sub(" ", bare)
    if _HEX.fullmatch(spelled):
        if not _THREE_DIGITS.search(spelled):
            spelled = _ONE_DIGIT.sub(r"0\g<0>", spelled)
        digits = _OTHER.sub("", spelled)
        if len(digits) % 2:
            raise DecodeError("odd_hex", f"{len(digits)} hex digits do not make whole bytes: one is missing", None)
        return bytes.fromhex(digits) if digits else data
    for lines in (bare, text):
        found = _log(lines.replace("**", " "))  # bold marks of Markdown, as people post what they found in it
        if len(found) >= _SHORTEST_LOG:
            return found
    if "(" in text and "!" in text:
        return data  # what remains of a P1 telegram
    raise DecodeError("not_hex", "this text is neither hex nor a P1 telegram", None)


def _unescaped(text: str) -> str:
    """Lines of a telegram as `cat -v` shows them, or as JSON and programs write them in one text or several."""
    text = text.replace("^M\n", "\r\n")
    if not _ESCAPED.search(text):
        return text
    text = _BROKEN_TEXT.sub("", text)
    return text[text.find("/") :].replace("\\r\\n", "\r\n").replace("\\\\", "\\")


def _as_a_program_prints(text: str) -> bytes:
    """Python's bytes (`b'~\\xa0*A'`) and lists of numbers (`[126, 160, 42]`, or one a line) in the lines of a log, in
    their order; ESPHome's texts (`<<< "/KAM5\\r\\n"`)."""
    found = bytearray()
    for received in _RECEIVED.findall(text):
        with contextlib.suppress(ValueError, SyntaxError):
            found += ast.literal_eval(f'b"{received}"')
    if found:
        return bytes(found)
    if _NUMBERS_ALONE.fullmatch(text):
        text = " ".join(text.replace(";", " ").split())
    for line in _LIST.sub(lambda match: match[0].replace("\n", " "), text).splitlines():
        literals = [literal for literal in _LITERAL.findall(line) if len(literal) > _EMPTY_LITERAL]
        if literals:
            for literal in literals:
                with contextlib.suppress(ValueError, SyntaxError):
                    found += ast.literal_eval(literal)
            continue
        for match in _NUMBERS.finditer(_STAMP.sub("", line)):
            before, after = match.string[: match.start()].rstrip(), match.string[match.end() :].strip()
            if (before and before[-1] not in "[({=:,") or (after and after[0] not in "])},"):
                continue
            tokens = match[0].replace(",", " ").split()
            numbers = [int(token) for token in tokens]
            # Of two digits alone they could be hex.
            decimal = any(len(token.lstrip("-")) > 2 for token in tokens) and not any(
                len(token) > 1 and token[0] == "0" for token in tokens
            )
            if len(numbers) >= _FEWEST_NUMBERS and decimal and all(-128 <= number < 256 for number in numbers):
                found += bytes(number & 0xFF for number in numbers)
    return bytes(found)


def _text(data: bytes) -> str | None:
    """Bytes as text, if they are; hex that a Windows shell wrote is UTF-16."""
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = data.decode("utf-16")
        else:
            text = data.removeprefix(b"\xef\xbb\xbf").decode("ascii")
    except UnicodeError:
        return None
    return text if text and text.isascii() and text.translate(_NOT_PRINTED) == text else None


_NOT_PRINTED = dict.fromkeys([*[code for code in range(0x20) if chr(code) not in "\t\n\r\f\v"], 0x7F])


def _dump(text: str) -> bytes | None:
    """A hex dump with offsets, of `hexdump`, `xxd` or `od`; None for any other text. DecodeError `bad_dump`
    where the offsets show that a row is missing or cut."""
    first = _OFFSET.match(text)
    if first is None or first[1].strip("0"):
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    for radix in (16, 8, 10):
        found = _dump_of(lines, radix)
        if found is not None:
            return found
    matches = [_OFFSET.fullmatch(line) for line in lines[:3]]
    widths = {len(match[1]) for match in matches if match is not None}
    if len(lines) > 1 and None not in matches[:2] and len(widths) == 1 and 0 < int(matches[1][1], 16) <= _WIDEST_ROW:  # type: ignore[index]
        raise DecodeError("bad_dump", "the offsets of this dump do not fit its rows: one is missing or cut", None)
    return None


def _dump_of(lines: list[str], radix: int) -> bytes | None:
    rows: list[tuple[int, str | None, bool]] = []
    for line in lines:
        if line.strip() == "*":
            rows.append((-1, None, False))
            continue
        match = _OFFSET.fullmatch(line)
        try:
            offset = -1 if match is None else int(match[1], radix)
        except ValueError:
            return None
        if match is None:
            return None
        rows.append((offset, match[3] or "", match[2] == ":"))
    if not rows or rows[0][0] != 0 or (len(rows) == 1 and not rows[0][1]):
        return None
    found = bytearray()
    for number, (offset, row, is_xxd) in enumerate(rows):
        following = rows[number + 1][0] if number + 1 < len(rows) else None
        if row is None:  # the line before, as often as is needed
            if following is None or not len(found) < following <= MAX_INPUT or len(found) < _ROW:
                return None
            found += bytes(found[-_ROW:]) * (-(-(following - len(found)) // _ROW))
            continue
        if offset != len(found) or (following is not None and -1 != following <= offset):
            return None
        size = _ROW if following == -1 else None if following is None else following - offset
        part = _row(row, size, is_xxd and radix == 16)
        if part is None:
            return None
        found += part
    return bytes(found)


_WORD = re.compile(r"[0-9A-Fa-f]{4}")
_ROW = 16
_WIDEST_ROW = 64


def _row(row: str, size: int | None, is_xxd: bool) -> bytes | None:
    """A dump's row without its gutter, which in `xxd` stands behind two spaces and nothing else; None where it is not
    of `size` bytes (any, in the last row) and no more. `hexdump` alone and `od -x` show words, whose second byte they
    write first."""
    bare = _ROW_GUTTER.sub("", row)
    words = [] if is_xxd or bare != row else bare.split()
    if words and all(_WORD.fullmatch(word) for word in words):
        data = b"".join(bytes.fromhex(word)[::-1] for word in words)
        return data[:size] if size is None or len(data) - size in (0, 1) else None
    parts = [bare, re.split(r"\s{2,}", bare.strip())[0]]
    for part in parts if is_xxd else parts[:1]:
        tokens = part.split()
        digits = "".join(tokens)
        if tokens and _DIGITS.fullmatch(digits) and len(digits) % 2 == 0 and size in (None, len(digits) // 2):
            return bytes.fromhex(digits)
    return b"" if size is None and not bare.strip() else None


def _log(text: str) -> bytes:
    """The hex at the ends of a log's lines. A short run counts where it goes on from the line before."""
    found = bytearray()
    going_on = False
    for line in text.splitlines():
        body = _PREFIX.sub("", _COUNT.sub("", _GUTTER.sub("", line))).rstrip(" \t)]};,'\"")
        body = body[max(body.rfind(mark) for mark in _MARKS) + 1 :].strip()
        labelled = False
        if not _RUN.fullmatch(body):
            words = body.split()
            last = max((at for at, word in enumerate(words) if not _RUN.fullmatch(word.strip(",;:"))), default=-1)
            body = " ".join(words[last + 1 :])
            labelled = True
        part = bytes.fromhex("".join(_DIGITS.findall(body))) if _RUN.fullmatch(body.strip(" ,;:")) else b""
        going_on = len(part) >= _SHORTEST_RUN or (going_on and not labelled and len(part) > 0)
        if going_on:
            found += part
    return bytes(found)


def as_json(telegram: Telegram) -> dict[str, Any]:
    """A telegram as the command prints it."""
    return {
        "link": telegram.link,
        "ciphered": telegram.ciphered,
        "system_title": telegram.system_title.hex() if telegram.system_title else None,
        "identification": telegram.identification,
        "meter": telegram.name,
        "time": telegram.time,
        "values": {name: {"value": reading.value, "unit": reading.unit} for name, reading in telegram.values.items()},
        "raw": [{"type": kind, "value": value} for kind, value in telegram.raw],
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
    if args.layouts is not None:
        try:
            add_folder(str(args.layouts))
        except LayoutError as error:
            print(f"edge-agent decode: {error.code}: {error}", file=err)
            return 1
    if args.file == "-" and standard_input is None and sys.stdin is None:
        return _refuse("standard input is closed", "no_file", err)
    try:
        if args.file == "-":
            data = (standard_input or sys.stdin.buffer).read(MAX_INPUT + 1)
        else:
            with Path(args.file).open("rb") as file:
                data = file.read(MAX_INPUT + 1)
    except OSError as error:
        return _refuse(f"cannot read {args.file}: {error.strerror}", "no_file", err)
    if len(data) > MAX_INPUT:
        return _refuse(f"{args.file} has more than {MAX_INPUT} bytes", "too_long", err)
    try:
        captured = telegram_bytes(data)
    except DecodeError as error:
        unread = Telegram(RAW if args.link == "auto" else args.link)
        unread.errors.append(error)
        telegrams = [unread]
    else:
        telegrams = decode_telegrams(captured, args.link, Keys(args.key, args.auth_key, args.system_title))
    # A terminal or a pipe of another encoding prints what it has not as escapes, rather than nothing.
    plain = (getattr(out, "encoding", None) or "utf-8").lower() not in ("utf-8", "utf8")
    if args.json:
        json.dump({"telegrams": [as_json(telegram) for telegram in telegrams]}, out, indent=2, ensure_ascii=plain)
        out.write("\n")
    else:
        table = io.StringIO()
        for telegram in telegrams:
            _print_table(telegram, table)
        text = table.getvalue()
        out.write(text.encode("ascii", "backslashreplace").decode("ascii") if plain else text)
    return 1 if any(telegram.errors for telegram in telegrams) else 0


def _refuse(message: str, code: str, err: TextIO) -> int:
    print(message_line("edge-agent", message, code), file=err)
    return FAILED


def _print_table(telegram: Telegram, out: TextIO) -> None:
    ciphered = ", ciphered" if telegram.ciphered else ""
    print(f"{telegram.link}{ciphered}  meter {telegram.name or '?'}  time {telegram.time or '?'}", file=out)
    for what, known in (
        ("system title", telegram.system_title.hex() if telegram.system_title else None),
        ("identification", telegram.identification),
    ):
        if known:
            print(f"  {what} {known}", file=out)
    for name, reading in telegram.values.items():
        print(f"  {name:<22} {reading.value if reading.value is not None else '':>24} {reading.unit or ''}", file=out)
    for at, (kind, value) in enumerate(telegram.raw, 1):
        print(f"  #{at:<4} {kind:<16} {value if value is not None else '':>24}", file=out)
    for error in telegram.errors:
        print(f"  error {error.code}: {error}", file=out)
