"""Telegrams decoded per second on one core, ours beside gurux-dlms and dlms-cosem; GETs per second; JSON on stdout.

    python tests/benchmarks/decode.py [--seconds 2] [--no-peers]

Ours goes the whole way to OBIS code, exact decimal and unit; the peers to their own values.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
sys.path[:0] = [str(ROOT / "tests" / "edge_agent" / "peers"), str(ROOT / "tests" / "support")]

from edge_agent.commands.decode import telegram_bytes  # noqa: E402
from edge_agent.dlms.apdu.data_notification import DataNotification  # noqa: E402
from edge_agent.dlms.client import Client  # noqa: E402
from edge_agent.dlms.cosem.clock import Clock  # noqa: E402
from edge_agent.dlms.hdlc.address import encode_address  # noqa: E402
from edge_agent.dlms.hdlc.client_link import HdlcClientLink  # noqa: E402
from edge_agent.dlms.hdlc.frame import FINAL, UI, HdlcFrame  # noqa: E402
from edge_agent.dlms.llc import wrap  # noqa: E402
from edge_agent.dlms.obis import obis_bytes  # noqa: E402
from edge_agent.dlms.push.telegram import Keys, decode_telegrams  # noqa: E402
from edge_agent.emulator.config import EmulatorConfig  # noqa: E402
from edge_agent.emulator.line import EmulatedLine  # noqa: E402
from edge_agent.meters.connection import Connection, HdlcLine  # noqa: E402

TELEGRAMS = ROOT / "tests" / "edge_agent" / "dlms" / "telegrams"
PLAIN_SIZE = 581
CIPHERED = "hdlc_kamstrup_omnipower"


def plain_telegram() -> bytes:
    """An HDLC frame of 581 bytes: power, energies, voltages and currents as {code, value, {scaler, unit}}."""
    codes = ["1.7.0", "2.7.0", "3.7.0", "4.7.0", "31.7.0", "51.7.0", "71.7.0", "32.7.0", "52.7.0", "72.7.0"]
    codes += ["21.7.0", "41.7.0", "61.7.0", "1.8.0", "2.8.0", "3.8.0", "4.8.0", "1.8.1", "1.8.2", "2.8.1", "2.8.2"]
    items = [
        (2, [(9, obis_bytes(f"1-0:{code}")), (6, 1362 + 977 * at), (2, [(15, -1), (22, 27)])])
        for at, code in enumerate(codes)
    ]

    def frame(text: bytes) -> bytes:
        named = [(2, [(9, obis_bytes("0-0:96.1.0.255")), (10, text)]), *items]
        apdu = wrap(
            DataNotification((1, named), bytes.fromhex("07ea0601010c000000800000"), 0x40000000).to_bytes(), False
        )
        return HdlcFrame(b"\x41", b"\x08\x83", UI | FINAL, apdu).to_bytes()

    return frame(b"7" * (PLAIN_SIZE - len(frame(b""))))


def rate(work: Callable[[], object], seconds: float) -> float:
    """How often a second: the best round, by the thread's own time, as for the peers."""
    work()
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.thread_time()
        for _ in range(20):
            work()
        best = max(best, 20 / (time.thread_time() - start))
    return round(best, 1)


class _Line:
    """The emulator as a transport, without a pty."""

    def __init__(self, line: EmulatedLine) -> None:
        self.line = line
        self.arrived = b""

    def write(self, data: bytes) -> None:
        self.arrived += self.line.receive(data)

    def read(self, timeout: float) -> bytes:
        data, self.arrived = self.arrived, b""
        return data

    def discard(self) -> None:
        self.arrived = b""

    def close(self) -> None:
        pass


def gets_per_second(seconds: float) -> float:
    """GETs of the clock over HDLC, client and emulator in one process."""
    config = EmulatorConfig.from_dict({"meter": [{"logical_device_name": "A"}]}, Path())
    line = _Line(EmulatedLine.build(config, time.time))
    client = Client()
    connection = Connection(HdlcLine(line, HdlcClientLink(encode_address(16), encode_address(1))), client)
    connection.open()
    clock = Clock("0-0:1.0.0.255").attribute("time")
    return rate(lambda: connection.run(client.get(clock)), seconds)


_ON_MICROPYTHON = """
import gc, sys
sys.path.insert(0, {root!r})
sys.path.insert(0, {root!r} + "/edge_agent/probe/micropython")
from edge_agent.dlms.push.telegram import Keys, decode_telegrams
data = bytes.fromhex({data!r})
keys = Keys({keys})
assert decode_telegrams(data, "hdlc", keys)[0].values
gc.collect()
print(gc.mem_alloc())
taken = None
while gc.mem_free() > {room}:
    taken = (bytearray(64), taken)
assert decode_telegrams(data, "hdlc", keys)[0].values
"""


def micropython_memory(micropython: str) -> dict[str, int]:
    """Bytes of MicroPython's heap: what the decoder's code takes (a telegram included), and how many more must be free
    for a decoding to succeed (the least that does, to 256 bytes). On 64 bits; a 32-bit machine takes about half."""
    ciphered = telegram_bytes((TELEGRAMS / f"{CIPHERED}.log").read_bytes())
    key, auth_key = ((TELEGRAMS / f"{CIPHERED}.{kind}").read_text().strip() for kind in ("key", "gak"))
    found = {}
    for name, data, keys in (
        ("plain", plain_telegram(), ""),
        ("ciphered", ciphered, f"bytes.fromhex('{key}'), bytes.fromhex('{auth_key}')"),
    ):
        low, high = 0, 1 << 17
        while low + 256 < high:
            middle = (low + high) // 2
            program = _ON_MICROPYTHON.format(root=str(ROOT), data=data.hex(), keys=keys, room=middle)
            command = [micropython, "-X", "heapsize=640k", "-c", program]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found[f"code_for_{name}"] = int(done.stdout.split()[0])
            low, high = (low, middle) if done.returncode == 0 else (middle, high)
        found[f"decode_{name}"] = high
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    plain = plain_telegram()
    assert len(plain) == PLAIN_SIZE, len(plain)
    ciphered = telegram_bytes((TELEGRAMS / f"{CIPHERED}.log").read_bytes())
    key, auth_key = (bytes.fromhex((TELEGRAMS / f"{CIPHERED}.{kind}").read_text().strip()) for kind in ("key", "gak"))
    keys = Keys(key, auth_key)
    for data in (plain, ciphered):
        (telegram,) = decode_telegrams(data, keys=keys)
        assert telegram.values
        assert not telegram.errors
    found: dict[str, object] = {
        "plain_bytes": len(plain),
        "ciphered_bytes": len(ciphered),
        "ours": {
            "plain": rate(lambda: decode_telegrams(plain, keys=keys), arguments.seconds),
            "ciphered": rate(lambda: decode_telegrams(ciphered, keys=keys), arguments.seconds),
        },
        "get_round_trips_per_second": gets_per_second(arguments.seconds),
    }
    if not arguments.no_peers:
        import peer_programs

        given = {"plain": plain.hex(), "ciphered": ciphered.hex(), "key": key.hex(), "auth_key": auth_key.hex()}
        script = str(ROOT / "tests" / "edge_agent" / "peers" / "decode_rate.py")
        for peer in ("gurux", "dlms_cosem"):
            try:
                command = [str(peer_programs.python("dlms")), script, peer, str(arguments.seconds)]
                done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
                found[peer] = json.loads(done.stdout.splitlines()[-1])
            except (OSError, subprocess.CalledProcessError) as error:
                found[peer] = {"plain": None, "ciphered": None, "error": f"{error}: {getattr(error, 'stderr', '')}"}
        found["micropython"] = micropython_memory(str(peer_programs.micropython()))
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
