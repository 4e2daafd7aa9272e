"""A probe as a program, for tests under MicroPython's unix port and under CPython: two serial lines and a file.

    probe_main.py ROOT METER_PORT SECOND_PORT JOURNAL SEED NETWORK_ID RECEIPT_KEY EPOCH

Each look at the meter may be followed by messages on the second line; it runs until it is killed.
"""

import select
import sys

root, meter_port, second_port, path, seed, network_id, receipt_key, epoch = sys.argv[1:]
sys.path.insert(0, root)
if sys.implementation.name == "micropython":
    sys.path.insert(0, root + "/edge_agent/probe/micropython")

from edge_agent.probe.ed25519 import KeyHere  # noqa: E402
from edge_agent.probe.handover import Handover  # noqa: E402
from edge_agent.probe.journal import ProbeJournal  # noqa: E402
from edge_agent.probe.meter import ProbeMeter  # noqa: E402
from edge_agent.probe.probe import Probe  # noqa: E402


class SerialLine:
    """A line that is set up already."""

    def __init__(self, port):
        self.file = open(port, "r+b", 0)  # noqa: SIM115
        self.poll = select.poll()
        self.poll.register(self.file, select.POLLIN)

    def write(self, data):
        while data:
            data = data[self.file.write(data) :]

    def read(self, milliseconds):
        return self.file.read(1) + self.more() if self.poll.poll(milliseconds) else b""

    def more(self):
        data = b""
        while self.poll.poll(0):
            data += self.file.read(1)
        return data


try:
    from os import fsync
except ImportError:  # MicroPython's unix port cannot; a microcontroller's file system does it at each flush
    journal = ProbeJournal(path)
else:
    journal = ProbeJournal(path, lambda file: fsync(file.fileno()))
handover = Handover(journal, bytes.fromhex(network_id), bytes.fromhex(receipt_key))
probe = Probe(
    ProbeMeter(SerialLine(meter_port), timeout=1000),
    journal,
    KeyHere(bytes.fromhex(seed)),
    name="KFM1000000000001",
    network_id=bytes.fromhex(network_id),
    epoch_seconds=int(epoch),
    source=1,
    registers={"consumption": "1-0:1.8.0.255", "generation": "1-0:2.8.0.255"},
)
second = SerialLine(second_port)
print("ready", flush=True) if sys.implementation.name != "micropython" else print("ready")
while True:
    wait = probe.look()
    if probe.fault is not None:
        print(probe.fault, file=sys.stderr)
    for _ in range(wait * 10):
        answer = handover.receive(second.read(100))
        if answer:
            second.write(answer)
