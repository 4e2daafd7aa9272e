"""An epoch's settlement, from frames in the store to its checkpoint, on the embedded validator or Agave; JSON.

    python tests/benchmarks/settlement.py [--meters 999] [--epochs 4] [--idle 20] [--profile DIR] [--orders N]
    python tests/benchmarks/settlement.py --agave --meters 100 [--seconds 120]

Members have three meters each and a standing order; half sell, half buy, and the orders cross. The validator is a
process of its own behind JSON-RPC, the worker runs here. The last epoch is counted: at its boundary the readings come,
the surplus is minted, the book that ended is cleared, paid and checkpointed, and new orders are placed: one of each
member, or with --orders about so many, because the largest order is made so small.

With --agave the same campus lives on the embedded validator and then on a real Agave, both by the machine's clock and
with epochs of --seconds: enrolling 100 meters takes minutes there, for each of its transactions waits for a slot.

`rss_mib` is the memory of worker and validator after so many epochs: `--meters 12 --epochs 500` says whether it grows.
`seconds` are by the clock, from the frames being in the store; `cpu_seconds` are each process's own, and hold on a
busy machine too. `idle_share` is what worker and validator take of a core while a settled campus waits.
`validator_start` is what the embedded validator takes to start again then.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from agave_validator import released, start_agave_validator  # noqa: E402
from processes import cpu_seconds, rss_mib  # noqa: E402
from solders.signature import Signature  # noqa: E402
from whole_campus import PARAMETERS, Campus, RealWall, ValidatorProcess, Wall  # noqa: E402

from authority import heap  # noqa: E402
from authority.audit.conservation import conservation  # noqa: E402
from authority.chain import programs  # noqa: E402
from authority.chain.client import Outgoing  # noqa: E402
from authority.chain.errors import ChainError  # noqa: E402
from authority.home.home import Home  # noqa: E402
from authority.market.standing_orders import StandingOrder  # noqa: E402
from authority.settlement.snapshot import BookStatus, Pause  # noqa: E402
from authority.settlement.worker import Worker  # noqa: E402

EPOCH_SECONDS = 900
MEMORY_FIGURES = 10
EARLIER = 9
"""Epochs before the last whose seconds are told."""
CREDIT = 10**10
SELLER = {"solar": (5_000,), "battery": (0, 0, 500, 0), "load": (0, 1_500)}
BOUGHT_WH = 2_300
"""What a buyer lacks in an epoch."""
BUYER = {"solar": (300,), "battery": (0, 0, 0, 0), "load": (0, 2_600)}


class AgaveProcess:
    """A real Agave with the released programs and the home's authority."""

    def __init__(self, home: Home, _wall: Wall) -> None:
        programs_ = released(str(home.authority.pubkey()))
        self._agave = start_agave_validator(home.path, programs_, str(home.operator.pubkey()))
        self.url, self.process, self.stop = self._agave.url, self._agave.process, self._agave.stop


def plan(meters: int) -> list[tuple[str, str, str, str, int, int, int]]:
    """Three meters a member, fewer of the last one: a solar plant, a battery, a load."""
    return [
        row
        for number in range(-(-meters // 3))
        for row in (
            (f"M{number}", "solar", "generation", "solar", 1, 100_000_000, 0),
            (f"M{number}", "battery", "storage", "none", 5, 100_000_000, 2_000_000),
            (f"M{number}", "load", "load", "none", 0, 100_000_000, 0),
        )
    ][:meters]


def start(
    directory: Path,
    meters: int,
    *,
    orders: int = 1,
    seconds: int = EPOCH_SECONDS,
    validator: Callable[[Home, Wall], Any] = ValidatorProcess,
    wall: Wall | None = None,
) -> Campus:
    """A campus whose members have standing orders; every second one buys and has credits."""
    members = -(-meters // 3)
    parameters = replace(PARAMETERS, max_order_wh=-(-BOUGHT_WH // orders)) if orders > 1 else PARAMETERS
    campus = Campus(
        directory,
        validator,
        wall,
        epoch_seconds=seconds,
        parameters=parameters,
        plan=plan(meters),
        orders_per_side=512 if orders == 1 else min(4_096, 8 * members),
    )
    steps = {}
    for number in range(members):
        name = f"M{number}"
        buys = number % 2
        campus.standing_order(name, StandingOrder(buy_at=250_000) if buys else StandingOrder(sell_at=120_000))
        if buys:
            campus.issue_credit(name, CREDIT)
        steps |= {f"{name}.{meter}": moved for meter, moved in (BUYER if buys else SELLER).items()}
    campus.STEPS = steps  # type: ignore[misc]
    campus.next_epoch()
    return campus


class Sent:
    """Counts what a worker sends: a cluster's own count has its votes in it, and is behind."""

    def __init__(self, worker: Worker) -> None:
        self.transactions = 0
        self._client = worker.chain.client
        self._send_all = self._client.send_all
        self._client.send_all = self._counted  # type: ignore[method-assign]

    def _counted(self, outgoing: Sequence[Outgoing], **options: Any) -> list[Signature | ChainError]:
        self.transactions += len(outgoing)
        return self._send_all(outgoing, **options)

    def stop(self) -> None:
        """Count no more."""
        self._client.send_all = self._send_all  # type: ignore[method-assign]


def epoch(campus: Campus, worker: Worker, profiler: cProfile.Profile | None) -> dict[str, Any]:
    """One epoch's end: frames in, then rounds until there is nothing to do."""
    boundary = campus.next_epoch()
    number = boundary // campus.epoch_seconds - 1
    campus.read_all(boundary)
    pid = campus.validator.process.pid
    sent, cpu, other = Sent(worker), time.process_time(), cpu_seconds(pid)
    rounds: list[dict[str, Any]] = []
    at: dict[str, float] = {}
    started = time.perf_counter()
    if profiler is not None:
        profiler.enable()
    while True:
        round_started, round_cpu = time.perf_counter(), time.process_time()
        busy = worker.round()
        rounds.append(
            {
                "seconds": round(time.perf_counter() - round_started, 3),
                "cpu": round(time.process_time() - round_cpu, 3),
                "actions": dict(Counter(type(action).__name__ for action in worker.last_actions)),
            }
        )
        row = worker.journal.epoch(number)
        for stage in ("submitted", "minted", "settled", "checkpointed"):
            if row is not None and getattr(row, f"{stage}_ms") is not None:
                at.setdefault(stage, round(time.perf_counter() - started, 2))
        if not busy:
            break
    if profiler is not None:
        profiler.disable()
    wall = time.perf_counter() - started
    sent.stop()
    row = worker.journal.epoch(number)
    assert row is not None
    return {
        "seconds": {**at, "all": round(wall, 2)},
        "cpu_seconds": {
            "worker": round(time.process_time() - cpu, 2),
            "validator": round(cpu_seconds(pid) - other, 2),
        },
        "transactions": sent.transactions,
        "transactions_per_second": round(sent.transactions / wall, 1),
        "orders": row.bids + row.asks,
        "traded_wh": row.traded_wh,
        "rounds": rounds,
    }


def idle(campus: Campus, worker: Worker, seconds: float) -> dict[str, float]:
    """What the worker's own loop and the validator take of a core while there is nothing to do."""
    campus.go_to((campus.epoch + 0.5) * campus.epoch_seconds)  # the pauses are shortest just after a boundary
    worker.settle_down()
    stop = threading.Event()
    running = threading.Thread(target=worker.run, args=(stop,))
    running.start()
    time.sleep(5)
    pid = campus.validator.process.pid
    cpu, other, began = time.process_time(), cpu_seconds(pid), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    shares = {
        "worker": round((time.process_time() - cpu) / took, 4),
        "validator": round((cpu_seconds(pid) - other) / took, 4),
    }
    stop.set()
    running.join()
    return shares


def resident(campus: Campus) -> dict[str, float]:
    """Memory of worker and validator now, MiB."""
    return {"worker": rss_mib(os.getpid(), alone=True), "validator": rss_mib(campus.validator.process.pid)}


def restarted(validator: ValidatorProcess) -> dict[str, float]:
    """What the validator takes to start again with its ledger, until it answers."""
    validator.stop()
    began = time.perf_counter()
    validator.start()
    took = time.perf_counter() - began
    return {"seconds": round(took, 2), "cpu_seconds": round(cpu_seconds(validator.process.pid), 2)}


def run(
    directory: Path,
    arguments: argparse.Namespace,
    validator: Callable[[Home, Wall], Any] = ValidatorProcess,
    wall: Wall | None = None,
) -> dict[str, Any]:
    """Deploy, enrol, live through the epochs."""
    directory.mkdir(exist_ok=True)
    began = time.perf_counter()
    campus = start(
        directory, arguments.meters, orders=arguments.orders, seconds=arguments.seconds, validator=validator, wall=wall
    )
    try:
        enrolled = time.perf_counter() - began
        worker = campus.worker()
        heap.settle()  # as settlement's process does
        campus.read_all(campus.epoch * campus.epoch_seconds, moving=False)
        worker.settle_down()
        profiler = cProfile.Profile() if arguments.profile else None
        epochs: deque[dict[str, Any]] = deque(maxlen=EARLIER + 1)
        memory: dict[int, dict[str, float]] = {}
        for number in range(1, arguments.epochs + 1):
            epochs.append(epoch(campus, worker, profiler if number == arguments.epochs else None))
            if number % max(1, arguments.epochs // MEMORY_FIGURES) == 0:
                memory[number] = resident(campus)
        if profiler is not None:
            arguments.profile.mkdir(parents=True, exist_ok=True)
            with (arguments.profile / f"worker-{len(campus.meters)}.txt").open("w") as out:
                found = pstats.Stats(profiler, stream=out)
                found.sort_stats("tottime").print_stats(45)
                found.sort_stats("cumulative").print_stats(90)
        figures = {
            "meters": len(campus.meters),
            "members": len(campus.wallets),
            "epoch_seconds": campus.epoch_seconds,
            "enrolment_seconds": round(enrolled, 1),
            "epoch": epochs[-1],
            "earlier": [each["seconds"] for each in list(epochs)[:-1]],
            "rss_mib": memory,
        }
        if arguments.idle:
            figures["idle_share"] = idle(campus, worker, arguments.idle)
        if isinstance(campus.validator, ValidatorProcess):
            figures["validator_start"] = restarted(campus.validator)
        return figures
    finally:
        campus.close()


def full_book(directory: Path, side: int) -> dict[str, Any]:
    """A book with so many bids and as many asks: cleared and paid by the worker, and another one refunded by it."""
    each = 64
    sellers = [f"S{number}" for number in range(-(-side // each))]
    buyers = [f"B{number}" for number in range(-(-side // each))]
    rows = [
        row
        for name in sellers
        for row in (
            (name, "solar", "generation", "solar", 1, 100_000_000, 0),
            (name, "load", "load", "none", 0, 100_000_000, 0),
        )
    ]
    campus = Campus(
        directory,
        ValidatorProcess,
        epoch_seconds=EPOCH_SECONDS,
        parameters=replace(PARAMETERS, max_orders_per_member=each, max_order_wh=1_000),
        plan=rows,
        orders_per_side=side,
    )
    try:
        for name in buyers:
            campus.register_member(name)
            campus.issue_credit(name, CREDIT)
        campus.STEPS = {meter: (50_000,) if meter.endswith("solar") else (0, 0) for meter in campus.meters}  # type: ignore[misc]
        campus.next_epoch()
        worker = campus.worker()
        campus.read_all(campus.epoch * campus.epoch_seconds, moving=False)
        worker.settle_down()
        campus.read_all(campus.next_epoch())
        worker.settle_down()
        fill(campus, worker, sellers, buyers, side)
        campus.next_epoch()
        cleared = timed(campus, worker)
        fill(campus, worker, sellers, buyers, side, deposit=False)
        bits = {"bits": int(Pause.CLEARING | Pause.ORDERS)}
        pause = campus.client.instruction(
            "governance", "set_paused", bits, {"authority": campus.home.authority.pubkey()}
        )
        campus.client.send([pause], [campus.home.authority], payer=campus.operator)
        filled = campus.epoch
        campus.go_to((filled + 9) * campus.epoch_seconds + 1)
        refunded = timed(campus, worker)
        final = campus.book(filled)
        return {
            "orders": 2 * side,
            "cleared_and_paid": cleared,
            "refunded": refunded,
            "final": final is not None and final.status == BookStatus.FINAL,
            "conserved": conservation(campus.client).ok,
        }
    finally:
        campus.close()


def fill(
    campus: Campus, worker: Worker, sellers: list[str], buyers: list[str], side: int, *, deposit: bool = True
) -> None:
    """Orders by hand, side by side: bids of ten to 73 Wh at falling prices, asks of as much at rising ones."""
    epoch, client = campus.epoch, campus.client
    outgoing = []
    for bid, names in ((True, buyers), (False, sellers)):
        left = side
        for name in names:
            key, wallet = campus.key_of(name), campus.wallets[name]
            common = {"authority": key.pubkey(), "user": programs.user_address(wallet)}
            mint = programs.credit_mint() if bid else programs.energy_mint()
            instructions = []
            if deposit:
                accounts = {
                    **common,
                    "source": campus.account_of(name, mint),
                    "vault": programs.credit_vault() if bid else programs.energy_vault(),
                }
                amount = client.token_balance(campus.account_of(name, mint)) or 0
                args = {"asset": 1 if bid else 0, "amount": amount}
                client.send([client.instruction("trading", "deposit", args, accounts)], [key], payer=campus.operator)
            for number in range(min(64, left)):
                price = 260_000 - 100 * number if bid else 120_000 + 100 * number
                args = {"epoch": epoch, "side": 0 if bid else 1, "price": price, "quantity": 10 + number}
                accounts = {**common, "book": programs.book_address(epoch)}
                instructions.append(client.instruction("trading", "place_order", args, accounts))
            left -= len(instructions)
            outgoing += [Outgoing(instructions[start : start + 12], [key]) for start in range(0, len(instructions), 12)]
    for start in range(0, len(outgoing), 48):
        for outcome in client.send_all(outgoing[start : start + 48], payer=campus.operator):
            if isinstance(outcome, ChainError):
                raise outcome
    book = campus.book(epoch)
    assert book is not None
    assert (book.bid_count, book.ask_count) == (side, side)


def timed(campus: Campus, worker: Worker) -> dict[str, Any]:
    """What the worker does until there is nothing to do."""
    pid = campus.validator.process.pid
    sent, cpu, other, began = Sent(worker), time.process_time(), cpu_seconds(pid), time.perf_counter()
    worker.settle_down()
    sent.stop()
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": {
            "worker": round(time.process_time() - cpu, 2),
            "validator": round(cpu_seconds(pid) - other, 2),
        },
        "transactions": sent.transactions,
    }


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=999, help="three of a member")
    parser.add_argument("--agave", action="store_true", help="on a real Agave too, both by the machine's clock")
    parser.add_argument("--seconds", type=int, help="of an epoch (default: 900, 120 with --agave)")
    parser.add_argument("--epochs", type=int, default=4, help="the first two set baseline and first orders")
    parser.add_argument("--orders", type=int, default=1, help="into how many orders a buyer's need is cut")
    parser.add_argument("--idle", type=float, default=0, help="seconds of waiting to measure")
    parser.add_argument("--book", type=int, default=0, help="orders a side of a book to fill, clear and refund instead")
    parser.add_argument("--profile", type=Path, help="a directory for cProfile's text of the worker's last epoch")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (120 if arguments.agave else EPOCH_SECONDS)
    with tempfile.TemporaryDirectory() as name:
        if arguments.book:
            figures = full_book(Path(name), arguments.book)
        elif arguments.agave:
            figures = {
                kind: run(Path(name) / kind, arguments, validator, RealWall())
                for kind, validator in (("embedded", ValidatorProcess), ("agave", AgaveProcess))
            }
        else:
            figures = run(Path(name), arguments)
    figures["machine"] = {
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    json.dump(figures, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
