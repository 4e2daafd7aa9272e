"""A whole probe under MicroPython: it reads an emulated meter over a line, and hands signed frames over another.

What the gateway does is done here: it asks, checks every signature by `cryptography`, and brings receipts.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
import tty
from itertools import pairwise
from pathlib import Path

import peer_programs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from emulator_process import register
from emulator_process import start as start_emulator

from edge_agent.probe.handover import ASK, FRAMES, RECEIPTS, TAKEN, Messages, message
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    NO_LOG_INDEX,
    VERDICT_ACCEPTED,
    VERDICT_PARKED,
    Frame,
    Receipt,
    previous_hash,
    record_hash,
    split_frames,
)

ROOT = Path(__file__).parents[3]
MAIN = ROOT / "tests" / "support" / "probe_main.py"
EPOCH = 3
SEED = bytes(range(7, 39))
NETWORK = b"campus-1"
AUTHORITY = Ed25519PrivateKey.generate()
WATTS = 7_200_000, 3_600_000  # 6,000 and 3,000 Wh an epoch


class GatewayEnd:
    """The gateway's end of the second line."""

    def __init__(self) -> None:
        self.number = 0
        self.leader, follower = os.openpty()
        tty.setraw(follower)
        self.port, self._follower = os.ttyname(follower), follower

    def ask(self, kind: bytes, content: bytes = b"") -> tuple[bytes, bytes]:
        """Say it until it is answered; a probe that reads its meter just now listens later."""
        messages = Messages()
        self.number = (self.number + 1) & 0xFF
        for _ in range(40):
            os.write(self.leader, message(kind, self.number, content))
            until = time.monotonic() + 3
            while time.monotonic() < until and select.select([self.leader], [], [], 0.5)[0]:
                for answer, number, found in messages.receive(os.read(self.leader, 4096)):
                    if number == self.number:
                        return answer, found
        raise AssertionError("the probe does not answer")

    def frames(self) -> list[Frame]:
        """The frames that wait in the probe."""
        kind, content = self.ask(ASK)
        assert kind == FRAMES
        return split_frames(content) if content else []

    def bring(self, *receipts: Receipt) -> int:
        """Bring receipts; how many freed a frame."""
        kind, content = self.ask(RECEIPTS, b"".join(each.to_bytes() for each in receipts))
        assert kind == TAKEN
        return content[0]

    def close(self) -> None:
        os.close(self.leader)
        os.close(self._follower)


def receipt(frame: Frame, verdict: int = VERDICT_ACCEPTED, code: str = "ok", key=AUTHORITY, network=NETWORK) -> Receipt:
    made = Receipt(
        verdict=verdict,
        code=CODE_NUMBERS[code],
        network_id=network,
        meter_key=frame.public_key,
        record_hash=record_hash(frame.record_bytes),
        sequence=frame.record.sequence,
        next_expected=frame.record.sequence + 1,
        log_index=NO_LOG_INDEX,
        time=0,
    )
    made.signature = key.sign(made.body())
    return made


@pytest.fixture(params=["micropython", "cpython"])
def rig(request, tmp_path):
    """Starts a probe on an emulated meter and gives the gateway's end of its second line."""
    first = int(time.time()) // EPOCH - 1
    text = f'epoch_seconds = {EPOCH}\nstart_epoch = {first}\n[line]\nlink = "line"\n[[meter]]\n'
    text += 'logical_device_name = "KFM1000000000001"\n'
    text += register("1-0:1.8.0.255", str(WATTS[0]), initial=50) + register("1-0:2.8.0.255", str(WATTS[1]))
    emulator = start_emulator(tmp_path, text)
    end = GatewayEnd()
    interpreter = peer_programs.micropython() if request.param == "micropython" else sys.executable
    public = AUTHORITY.public_key().public_bytes_raw().hex()
    words = [
        interpreter, MAIN, ROOT, emulator.port, end.port, tmp_path / "journal", SEED.hex(), NETWORK.hex(), public,
        EPOCH,
    ]  # fmt: skip
    running = []

    def start():
        with (tmp_path / "log").open("ab") as log:
            running.append(subprocess.Popen([str(word) for word in words], stdout=log, stderr=log))
        return running[-1]

    yield start, end, tmp_path, first * EPOCH
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    emulator.stop()
    end.close()


def collect(end: GatewayEnd, count: int) -> list[Frame]:
    deadline = time.monotonic() + 120
    while len(frames := end.frames()) < count:
        assert time.monotonic() < deadline, f"{len(frames)} frames have come"
        time.sleep(0.5)
    return frames


@pytest.mark.slow
def test_a_probe_reads_signs_and_hands_over_through_kills_and_false_receipts(rig):
    start, end, directory, begun = rig
    probe = start()
    frames = collect(end, 3)
    key = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    for frame in frames:
        assert frame.public_key == key
        Ed25519PublicKey.from_public_bytes(key).verify(frame.signature, frame.record_bytes)
    records = [frame.record for frame in frames]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    for (one, after), frame in zip(pairwise(records), frames, strict=False):
        assert after.previous_hash == previous_hash(frame.record_bytes)
        assert after.interval_end > one.interval_end
        assert after.interval_end % EPOCH == 0
    # nothing but the authority's own receipt for this network and this frame frees one
    first = frames[0]
    other = Ed25519PrivateKey.generate()
    false = [
        receipt(first, key=other),
        receipt(first, network=b"another!"),
        receipt(first, VERDICT_PARKED, "sequence_gap"),
    ]
    assert [end.bring(each) for each in false] == [0, 0, 0]
    assert end.frames()[0] == first
    assert end.bring(receipt(first), receipt(first)) == 1
    assert end.frames()[0] == frames[1]
    # killed at any moment, and half an entry at the end of its file: it goes on behind the last record
    last = end.frames()[-1].record.sequence
    probe.send_signal(signal.SIGKILL)
    probe.wait()
    journal = directory / "journal"
    journal.write_bytes(journal.read_bytes() + b"F\0\0\0half an entry")
    start()
    again = collect(end, last + 1)
    assert again[0] == frames[1]
    sequences = [frame.record.sequence for frame in again]
    assert sequences == list(range(2, sequences[-1] + 1))
    for frame in again:
        Ed25519PublicKey.from_public_bytes(key).verify(frame.signature, frame.record_bytes)
    for one, after in pairwise(again):
        assert after.record.previous_hash == previous_hash(one.record_bytes)
        assert after.record.consumption >= one.record.consumption
        assert after.record.generation >= one.record.generation
    # the registers are the meter's as they were soon after the boundary: 2,000 and 1,000 Wh a second
    for record in (frame.record for frame in again):
        seconds = record.interval_end - begun
        assert 50 + 2000 * seconds <= record.consumption < 50 + 2000 * (seconds + EPOCH)
        assert 1000 * seconds <= record.generation < 1000 * (seconds + EPOCH)
    assert end.bring(*(receipt(frame) for frame in again)) == len(again)
