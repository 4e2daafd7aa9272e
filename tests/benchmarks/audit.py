"""The audit of a whole history, beside raw verification of its readings' signatures in the same run; JSON.

    python tests/benchmarks/audit.py [--meters 1000] [--epochs 120] [--jobs 1 2]

A campus of so many members with a load meter each, all read and settled in every epoch, is made as log, accounts and
events, and sealed in a bundle. Measured is `authority audit verify --bundle --jobs N` in a process of its own, by
processor time: so the figures hold on a busy machine too, where `seconds` (by the clock) says little.

`one` is an audit in one process, `two` one with two more that verify signatures. `ms_a_reading` is processor time of
all processes, without what starting them takes (measured with a history of one epoch, `starting_cpu_seconds`);
`in_order_ms` is the part of it that one process does, in the log's order. `of_raw` is readings a CPU second by the
signatures that solders verifies a CPU second. `readings_a_second` is what that many cores do where nothing else runs:
limited by all the work shared out, or by the part that is done in order. `year_minutes` is a year of 1,000 meters and
15-minute epochs at that rate; `peak_mib` the memory of the process that does the part in order.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]

from solders.keypair import Keypair  # noqa: E402
from solders.pubkey import Pubkey  # noqa: E402
from solders.signature import Signature  # noqa: E402

from authority.audit.bundle import Identity, write_bundle  # noqa: E402
from authority.audit.chain_state import ChainState  # noqa: E402
from authority.audit.history import Landed  # noqa: E402
from authority.audit.verify import ChainSource  # noqa: E402
from authority.chain import programs  # noqa: E402
from authority.chain.accounts import (  # noqa: E402
    Config,
    EnergyAccount,
    EpochCheckpoint,
    Installation,
    KeyUse,
    Meter,
    MeterState,
    Oracle,
    Parameters,
    Registry,
    User,
)
from authority.chain.layout import ProgramAccount  # noqa: E402
from authority.log import merkle  # noqa: E402
from authority.log.log import LEAF_ACT, Leaf, SignedCheckpoint  # noqa: E402
from edge_agent.wire.canonical import canonical_json  # noqa: E402
from edge_agent.wire.reading import ZERO_HASH, Record, previous_hash, reading_leaf  # noqa: E402

NETWORK = b"auditing"
EPOCH_SECONDS = 900
FIRST_EPOCH = 2_000_000
STEP_WH = 250
NAMEPLATE_W = 10_000
PARAMETERS = (60, 5, 80_000, 300_000, 20_000, 10, 1_000_000, 5, 100, 2_880, 4, 500, 9_000, 100, 8)
READINGS_A_TRANSACTION = 8
VERIFY = """
import json, re, resource, sys
from authority.audit import examine
from authority.cli import main
examine.WORTH_PROCESSES = 0
main(["audit", "verify", "--json", "--bundle", sys.argv[1], "--jobs", sys.argv[2]])
own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
peak_kib = int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
cpu = [each.ru_utime + each.ru_stime for each in (own, others)]
print(json.dumps({"own": cpu[0], "others": cpu[1], "peak_kib": peak_kib}))
"""
"""The audit in a process of its own; then what it took."""
NAMES = {1: "one", 2: "two"}
YEAR = 1_000 * 4 * 24 * 365


def packed(kind: type[ProgramAccount], **values: Any) -> bytes:
    """An account's bytes: these fields, and zeros."""
    flat: list[Any] = []
    for field in fields(kind):  # type: ignore[arg-type]
        kinds = {"bytes": b"", "Pubkey": b"", "tuple[int, ...]": (0,) * 4, "Parameters": PARAMETERS}
        zero: Any = kinds.get(str(field.type), 0)
        value = values.get(field.name, zero)
        flat += value if isinstance(value, tuple) else [bytes(value) if isinstance(value, Pubkey) else value]
    return kind.DISCRIMINATOR + kind.FORMAT.pack(*flat)


def event(program: str, name: str, layout: str, *values: Any) -> tuple[str, bytes]:
    """An event as a program logs it."""
    return program, hashlib.sha256(f"event:{name}".encode()).digest()[:8] + struct.pack("<" + layout, *values)


@dataclass
class Made:
    """A campus's log, as a LogSource."""

    data: list[bytes]

    def size(self) -> int:
        return len(self.data)

    def root(self) -> bytes:
        frontier: list[bytes] = []
        for index, leaf in enumerate(self.data):
            frontier, _ = merkle.extend(index, frontier, merkle.leaf_hash(leaf))
        return merkle.frontier_root(frontier)

    def leaves(self) -> Iterator[Leaf]:
        for index, leaf in enumerate(self.data):
            yield Leaf(index, leaf, merkle.leaf_hash(leaf))

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        return iter(())


@dataclass
class Load:
    """One member's load meter."""

    key: Keypair
    wallet: Pubkey
    meter_id: bytes
    register: int = 0
    previous: bytes = ZERO_HASH
    frame: bytes = b""

    @property
    def address(self) -> Pubkey:
        return programs.meter_address(self.meter_id)

    def read(self, sequence: int, end: int) -> bytes:
        """Draw for an interval and sign its record: the frame."""
        self.register += STEP_WH
        record = Record(
            sequence=sequence, network_id=NETWORK, interval_end=end, generation=0, consumption=self.register, charge=0,
            discharge=0, interval_seconds=EPOCH_SECONDS, source=0, register_epoch=0, clock_deviation=0,
            previous_hash=self.previous,
        ).to_bytes()  # fmt: skip
        self.previous = previous_hash(record)
        self.frame = record + bytes(self.key.pubkey()) + bytes(self.key.sign_message(record))
        return self.frame


def campus(meters: int, epochs: int) -> tuple[Made, ChainSource]:
    """The log and the chain of a campus that lived so long."""
    loads = [Load(Keypair(), Keypair().pubkey(), hashlib.sha256(str(n).encode()).digest()) for n in range(meters)]
    approved = [
        {"first_sequence": 1, "key": bytes(load.key.pubkey()).hex(), "meter_id": load.meter_id.hex()} for load in loads
    ]
    act = canonical_json({"actor": "x", "data": {"meters": approved}, "kind": "gateway_approved", "time": 1})
    log, frontier, size = (
        [bytes([LEAF_ACT]) + act],
        merkle.extend(0, [], merkle.leaf_hash(bytes([LEAF_ACT]) + act))[0],
        1,
    )
    history = [_landed(0, event("governance", "Initialized", "8sII32s32s" + Parameters.FORMAT.format[1:], NETWORK,
                                EPOCH_SECONDS, FIRST_EPOCH, b"", b"", *PARAMETERS))]  # fmt: skip
    for n, load in enumerate(loads):
        values = (load.meter_id, bytes(load.key.pubkey()), bytes(load.wallet), b"", 1, n, 3, 0)
        history.append(
            _landed(
                0,
                event("registry", "UserRegistered", "32sIB3x", bytes(load.wallet), n, 0),
                event("registry", "InstallationRegistered", "QIIB7x", 0, NAMEPLATE_W, n, 0),
                event("registry", "MeterRegistered", "32s32s32s32sIIBB6x", *values),
                event("oracle", "MeterOpened", "32s32s", bytes(load.address), bytes(load.wallet)),
            )
        )
    accounts: dict[Pubkey, tuple[Pubkey, bytes]] = {}
    for epoch in range(FIRST_EPOCH, FIRST_EPOCH + epochs):
        end, first = (epoch + 1) * EPOCH_SECONDS, epoch == FIRST_EPOCH
        accepted = []
        for load in loads:
            leaf = reading_leaf(1, 0, end, load.read(epoch - FIRST_EPOCH + 1, end))
            log.append(leaf)
            frontier, _ = merkle.extend(size, frontier, merkle.leaf_hash(leaf))
            size += 1
            accepted.append(event("oracle", "ReadingAccepted", "32sq4QIHH", bytes(load.address), end, 0, load.register,
                                  0, 0, epoch - FIRST_EPOCH + 1, 0, 0))  # fmt: skip
        for start in range(0, meters, READINGS_A_TRANSACTION):
            history.append(_landed(end, *accepted[start : start + READINGS_A_TRANSACTION]))
        step = 0 if first else STEP_WH
        for load in loads:
            values = (bytes(load.wallet), 0 if first else end - EPOCH_SECONDS, end, 0, step, 0, 0, 0, 0, step, 0, first)
            history.append(_landed(end, event("oracle", "SurplusSettled", "32sqq7QIB3x", *values)))
        root = merkle.frontier_root(frontier)
        history.append(_landed(end, event("oracle", "Checkpointed", "Q32s32sQQQI4x", size, root, b"", 0, 0, 0, epoch)))
        settled = epoch - FIRST_EPOCH
        pin = packed(EpochCheckpoint, epoch=epoch, log_size=size, log_root=root, book_hash=b"",
                     withdrawn=settled * STEP_WH * meters, settlements=(settled + 1) * meters)  # fmt: skip
        accounts[programs.checkpoint_address(epoch)] = (programs.PROGRAM_IDS["oracle"], pin)
    accounts |= _accounts(loads, epochs)
    return Made(log), ChainSource(ChainState((FIRST_EPOCH + epochs) * EPOCH_SECONDS, accounts), history, {})


def _landed(time: int, *events: tuple[str, bytes]) -> Landed:
    return Landed(time, bytes(64), events)


def _accounts(loads: list[Load], epochs: int) -> dict[Pubkey, tuple[Pubkey, bytes]]:
    end, drawn = (FIRST_EPOCH + epochs) * EPOCH_SECONDS, STEP_WH * (epochs - 1)
    config = packed(Config, epoch_seconds=EPOCH_SECONDS, network_id=NETWORK, first_epoch=FIRST_EPOCH,
                    billing_period_start=FIRST_EPOCH, previous_period_start=FIRST_EPOCH,
                    billing_period_end=FIRST_EPOCH + PARAMETERS[9])  # fmt: skip
    oracle = packed(Oracle, withdrawn=drawn * len(loads), settlements=epochs * len(loads),
                    last_epoch=FIRST_EPOCH + epochs - 1, log_size=epochs * len(loads) + 1)  # fmt: skip
    count = len(loads)
    found: list[tuple[Pubkey, str, bytes]] = [
        (programs.config_address(), "governance", config),
        (programs.oracle_authority(), "oracle", oracle),
        (
            programs.registry_address(),
            "registry",
            packed(Registry, users=count, installations=count, meters=count, keys=count),
        ),
    ]
    mints = programs.energy_mint(), programs.credit_mint()
    for n, load in enumerate(loads):
        key, registers = bytes(load.key.pubkey()), (0, load.register, 0, 0)
        energy, credit = (programs.associated_token_address(load.wallet, mint) for mint in mints)
        user = packed(User, member=load.wallet, wallet=load.wallet, member_index=n, status=1, load_meters=1,
                      settling_meters=1, energy_token_account=energy, credit_token_account=credit)  # fmt: skip
        meter = packed(Meter, role=3, status=1, meter_id=load.meter_id, key=key, user=load.wallet, keys=1,
                       first_sequence=1, installation=n, nameplate=NAMEPLATE_W)  # fmt: skip
        state = packed(MeterState, meter=load.address, interval_end=end, sequence=epochs, registers=registers,
                       hash=load.previous, settled_end=end, settled=registers)  # fmt: skip
        account = packed(EnergyAccount, wallet=load.wallet, boundary=end, withdrawn=drawn, consumed=drawn,
                         withdrawals_open=drawn)  # fmt: skip
        found += [
            (programs.user_address(load.wallet), "registry", user),
            (
                programs.installation_address(n),
                "registry",
                packed(Installation, n=n, nameplate=NAMEPLATE_W, meters=1, building=b""),
            ),
            (programs.key_use_address(key), "registry", packed(KeyUse, meter_id=load.meter_id)),
            (load.address, "registry", meter),
            (programs.meter_state_address(load.meter_id), "oracle", state),
            (programs.energy_account_address(load.wallet), "oracle", account),
        ]
    return {address: (programs.PROGRAM_IDS[program], data) for address, program, data in found}


def raw_verifications(log: Made) -> float:
    """Signatures that solders verifies a CPU second."""
    frames = [leaf[12:] for leaf in log.data[1:5_001]]
    began = time.process_time()
    for frame in frames:
        if not Signature(frame[128:]).verify(Pubkey(frame[96:128]), frame[:96]):
            raise SystemExit("a frame of the benchmark's own is not valid")
    return len(frames) / (time.process_time() - began)


@dataclass
class Run:
    """What one audit took: seconds by the clock, CPU seconds of its first process and of the others."""

    seconds: float
    own: float
    others: float
    peak_kib: int


def verify(bundle: Path, jobs: int) -> Run:
    """Audit a bundle; it has to hold."""
    began = time.monotonic()
    command = [sys.executable, "-c", VERIFY, str(bundle), str(jobs)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    said, took = (json.loads(line) for line in answer.splitlines())
    if not said["ok"]:
        raise SystemExit(f"the benchmark's own history does not hold: {said['problems'][:3]}")
    return Run(time.monotonic() - began, **took)


def figures(run: Run, start: Run, jobs: int, readings: int, raw: float) -> dict[str, float]:
    """What is printed of an audit, beside one that did next to nothing."""
    own = (run.own - start.own) / readings
    each = own + (run.others - start.others) / readings
    if own <= 0 or each * raw < 1:
        raise SystemExit("too few readings to tell from what starting takes: more --epochs")
    rate = 1 / max(each / jobs, own)
    return {
        "ms_a_reading": round(each * 1_000, 4),
        "in_order_ms": round(own * 1_000, 4),
        "of_raw": round(1 / each / raw, 3),
        "readings_a_second": round(rate),
        "year_minutes": round(YEAR / rate / 60, 1),
        "starting_cpu_seconds": round(start.own + start.others, 2),
        "seconds": round(run.seconds, 1),
        "peak_mib": round(run.peak_kib / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--meters", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="as of `authority audit verify`")
    arguments = parser.parse_args()
    identity, found, raws = Identity(NETWORK, Keypair()), {}, []
    with tempfile.TemporaryDirectory() as folder:
        small, bundle = Path(folder) / "small", Path(folder) / "bundle"
        write_bundle(small, identity, *campus(arguments.meters, 1), {})
        log, chain = campus(arguments.meters, arguments.epochs)
        write_bundle(bundle, identity, log, chain, {})
        del chain
        readings = (arguments.epochs - 1) * arguments.meters
        for jobs in arguments.jobs:
            raws.append(raw_verifications(log))
            start, run = verify(small, jobs), verify(bundle, jobs)
            raws.append(raw_verifications(log))
            found[NAMES.get(jobs, str(jobs))] = figures(run, start, jobs, readings, statistics.median(raws[-2:]))
        size = bundle.stat().st_size
    document = {
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "load_1m": round(os.getloadavg()[0], 2),
        },
        "readings": log.size() - 1,
        "raw_verifications_a_cpu_second": round(statistics.median(raws)),
        "bundle_bytes_a_reading": round(size / (log.size() - 1)),
        **found,
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
