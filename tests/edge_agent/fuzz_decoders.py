"""Feeds every decoder of the edge with damaged and random bytes: no hang, only typed errors, memory bounded.

    python tests/edge_agent/fuzz_decoders.py --bytes 100000000 --slice 3/20

Seeded: the same slice of the same total always feeds the same bytes, so any finding can be run again.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from edge_agent.decode_command import telegram_bytes  # noqa: E402
from edge_agent.dlms import axdr, llc, mbus, wrapper  # noqa: E402
from edge_agent.dlms.apdu import parse_apdu  # noqa: E402
from edge_agent.dlms.apdu.data_notification import DataNotification  # noqa: E402
from edge_agent.dlms.apdu.event_notification import EventNotification  # noqa: E402
from edge_agent.dlms.apdu.general_block_transfer import GeneralBlockTransfer  # noqa: E402
from edge_agent.dlms.client import Client  # noqa: E402
from edge_agent.dlms.clock_time import ClockTime  # noqa: E402
from edge_agent.dlms.cosem.types import CAPTURE_OBJECTS, NAME, OBJECT_LIST, SCALER_UNIT, TIME  # noqa: E402
from edge_agent.dlms.errors import DlmsError  # noqa: E402
from edge_agent.dlms.hdlc.client_link import HdlcClientLink  # noqa: E402
from edge_agent.dlms.hdlc.frame import Frame  # noqa: E402
from edge_agent.dlms.hdlc.parameters import LinkParameters  # noqa: E402
from edge_agent.dlms.hdlc.reader import FrameReader  # noqa: E402
from edge_agent.dlms.push.telegram import Keys, decode_telegrams  # noqa: E402
from edge_agent.dlms.push.unframe import LINKS  # noqa: E402
from edge_agent.dlms.security import CipheredUnit  # noqa: E402
from edge_agent.emulator.config import EmulatorConfig  # noqa: E402
from edge_agent.emulator.line import EmulatedLine, WrapperConnection  # noqa: E402
from edge_agent.iec62056_21.messages import Identification, read_line, read_readout, readout  # noqa: E402
from edge_agent.iec62056_21.p1 import read_telegrams  # noqa: E402
from edge_agent.iec62056_21.server import Iec21Server  # noqa: E402

TELEGRAMS = Path(__file__).parent / "dlms" / "telegrams"
LIMIT = 20
"""Seconds after which one input counts as a hang."""

MEMORY = 64 * 1024 * 1024
"""Bytes that decoding one input may take at its peak."""

KEYS = Keys(bytes(range(16)), bytes(range(16, 32)), b"KFM00001")
OPEN = Keys(bytes(range(16)), None, b"KFM00001")


def seeds() -> list[bytes]:
    """Well-formed inputs of every kind, to be damaged."""
    found = [telegram_bytes(path.read_bytes()) for path in sorted(TELEGRAMS.glob("*.log"))]
    apdus = [
        "601da109060760857405080101be10040e01000000065f1f0400007e1f04b0",
        "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f040000501f01f40007",
        "c001c100070100630100ff0201020204060000000106000000051200011200 00",
        "c401c100010202030906010001 0800ff11050203090601000 20800ff1106",
        "c402c100000000010003010203",
        "c104c10100080000010000ff02000 11105",
        "c703c10200000b00",
        "c901020304",
        "0f000000000c07ea0601010c00000000000002021306 0600010002ffff0b00",
        "c201 0c07ea0601010c000000000000 0003 0100010700ff 02 1105",
        "e0400001000003c40141",
        "0001001000010003c40102",
        "7ea00703219 30f017e",
        "7ea0190321326fd8e6e600c00141000100002a0000ff020009127e",
    ]
    found += [bytes.fromhex(text.replace(" ", "") + ("0" if len(text.replace(" ", "")) % 2 else "")) for text in apdus]
    found += [frame.to_bytes() for frame in mbus.split_apdu(found[-4] * 20, size=60)]
    found.append(readout(["0.0.0(12345678)", "1.8.0(0001234.567*kWh)"]))
    found.append(b"/ISK5\\2M550T-1012\r\n\r\n1-0:1.8.1(001234.567*kWh)\r\n0-0:1.0.0(210204163628W)\r\n!0000\r\n")
    return found


def _client_link(data: bytes) -> None:
    link = HdlcClientLink(b"\x21", b"\x03")
    link.connect()
    link.receive(Frame(b"\x21", b"\x03", 0x73).to_bytes())
    link.send(b"\xc0")
    link.receive(data)
    link.flush()


def _client(data: bytes) -> None:
    conversation = Client().associate()
    next(conversation)
    try:
        conversation.send(data)
    except StopIteration:
        pass
    finally:
        conversation.close()


def _types(data: bytes) -> None:
    value, _ = axdr.decode(data)
    axdr.plain(value)
    for codec in (CAPTURE_OBJECTS, NAME, OBJECT_LIST, SCALER_UNIT, TIME):
        with contextlib.suppress(DlmsError):
            codec.decode(value)


def _reader(data: bytes) -> None:
    reader = FrameReader()
    for at in range(0, len(data), 17):
        reader.receive(data[at : at + 17])
    reader.flush()


def _line() -> Callable[[bytes], None]:
    meter = {"logical_device_name": "A", "register": [{"obis": "1-0:1.8.0.255", "power": "1"}]}
    line = EmulatedLine.build(EmulatorConfig.from_dict({"meter": [meter]}, Path()), lambda: 1e9)
    connection = WrapperConnection(line.meters)

    def feed(data: bytes) -> None:
        line.receive(data)
        line.quiet()
        connection._buffer = b""
        connection.receive(data)

    return feed


def targets() -> list[Callable[[bytes], object]]:
    """Every decoder, as a function of bytes."""
    found: list[Callable[[bytes], object]] = [
        lambda data: decode_telegrams(data, "auto", KEYS),
        lambda data: decode_telegrams(data, "auto", OPEN),
        parse_apdu,
        DataNotification.from_bytes,
        EventNotification.from_bytes,
        GeneralBlockTransfer.from_bytes,
        axdr.decode_all,
        _types,
        Frame.from_bytes,
        _reader,
        LinkParameters.from_bytes,
        lambda data: ClockTime.from_bytes(data[:12]),
        lambda data: CipheredUnit.from_bytes(data).open(b"KFM00001", bytes(16), bytes(16)),
        mbus.MbusFrame.from_bytes,
        wrapper.WrapperUnit.from_bytes,
        llc.unwrap,
        read_telegrams,
        Identification.from_bytes,
        read_readout,
        lambda data: read_line(data.decode("latin-1")),
        Iec21Server(Identification("ABC", "5", "X", "2"), lambda: ["1.8.0(1)"]).receive,
        _client_link,
        _client,
        _line(),
    ]
    found += [lambda data, link=link: decode_telegrams(data, link, KEYS) for link in LINKS]  # type: ignore[misc]
    return found


def damaged(rng: random.Random, corpus: list[bytes]) -> bytes:
    """One input: a seed with a few faults, two seeds spliced, or nothing but random bytes."""
    kind = rng.random()
    if kind < 0.08:
        return rng.randbytes(rng.randrange(0, 600))
    data = bytearray(rng.choice(corpus))
    if kind < 0.25:
        other = rng.choice(corpus)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]
    for _ in range(rng.randrange(0, 6)):
        if not data:
            break
        at = rng.randrange(len(data))
        fault = rng.randrange(6)
        if fault == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif fault == 1:
            data[at] = rng.choice((0x00, 0x01, 0x02, 0x13, 0x7E, 0x7F, 0x80, 0x84, 0xFF, rng.randrange(256)))
        elif fault == 2:
            del data[at : at + rng.randrange(1, 20)]
        elif fault == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif fault == 4:
            del data[at:]
        else:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
    return bytes(data)


class HangError(Exception):
    """One input took too long."""


def _alarm(_signal: int, _frame: object) -> None:
    raise HangError


def run(total: int, index: int, slices: int, seed: int = 1) -> dict[str, float]:
    """Feed one slice of the bytes to all decoders; AssertionError with the input at the first finding."""
    rng = random.Random(f"{seed}/{index}/{slices}")  # noqa: S311 - not for secrets
    corpus = seeds()
    decoders = targets()
    signal.signal(signal.SIGALRM, _alarm)
    fed = cases = 0
    start = time.monotonic()
    while fed < total // slices:
        data = damaged(rng, corpus)
        # Telegrams go through everything; the whole way is the first decoder, so it gets every input.
        for decode in (decoders[0], rng.choice(decoders)):
            watch = cases % 200 == 0
            if watch:
                tracemalloc.start()
            signal.alarm(LIMIT)
            try:
                decode(data)
            except DlmsError:
                pass
            except BaseException as error:
                raise AssertionError(f"{type(error).__name__}: {error} on {data.hex()}") from error
            finally:
                signal.alarm(0)
                if watch:
                    peak = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
            if watch:
                assert peak < MEMORY, f"{peak} bytes on {data.hex()}"
            fed += len(data)
            cases += 1
    return {"bytes": fed, "cases": cases, "seconds": round(time.monotonic() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=100_000_000, help="bytes in all slices (default 10^8)")
    parser.add_argument("--slice", default="1/100", help="which of how many slices (default 1/100)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    index, slices = (int(part) for part in arguments.slice.split("/"))
    print(run(arguments.bytes, index, slices, arguments.seed))


if __name__ == "__main__":
    main()
