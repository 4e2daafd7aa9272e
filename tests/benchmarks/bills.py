"""How long a period's bills take to make: a month of quarters of an hour, one span and one retirement a member each.

    python tests/benchmarks/bills.py [--members N] [--epochs N]

Prints JSON: spans; CPU seconds to fold the chain's events into the store as they come, all the month's together; then,
in a process of its own, CPU seconds to make the bills from what is folded, and that process's greatest memory in MiB;
bytes of the store a span with its retirement. Books and the log are not in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from authority.billing.bill import LoggedAct, bills_of  # noqa: E402
from authority.billing.folding import KeptFacts  # noqa: E402
from authority.chain.idl import Event  # noqa: E402
from authority.store import Store  # noqa: E402

SECONDS = 900
EPOCHS_A_FOLD = 32


class NoLog:
    """Evidence without books and acts; each reading's leaf is numbered by its boundary."""

    def books(self, first_epoch: int, end_epoch: int) -> Iterable[tuple[int, bytes]]:
        return ()

    def acts(self) -> Sequence[LoggedAct]:
        return ()

    def sent(self, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        return dict.fromkeys(wanted, 1)

    def readings(
        self, wanted: Iterable[tuple[bytes, int]], before: int | None
    ) -> Mapping[tuple[bytes, int], list[int]]:
        return {pair: [pair[1]] for pair in wanted}


def beginning(members: int) -> Iterator[Event]:
    """Governance, the members and a meter each."""
    yield Event("Initialized", {"epoch_seconds": SECONDS, "first_epoch": 0, "parameters": {"retail_price": 300_000}})
    for n in range(members):
        yield Event("UserRegistered", {"member_index": n, "wallet": f"member {n}"})
        yield Event("MeterRegistered", {"meter_id": n.to_bytes(32, "big"), "user": f"member {n}"})


def fold(store: Store, members: int, epochs: int) -> float:
    """Fold a period 0 in which every member draws 500 Wh an epoch, of which 400 are retired; CPU seconds."""
    began = time.process_time()
    for first in range(0, epochs, EPOCHS_A_FOLD):
        with store.write() as session:
            facts = KeptFacts(store, session)
            if not first:
                facts.apply(0, bytes(64), beginning(members))
            for epoch in range(first, min(first + EPOCHS_A_FOLD, epochs)):
                end = (epoch + 1) * SECONDS
                for n in range(members):
                    who = {"wallet": f"member {n}", "period": 0}
                    settled = {**who, "from": end - SECONDS, "to": end, "withdrawn": 500}
                    retired = {**who, "amount": 400, "credits": 0, "reason": 0}
                    signature = end.to_bytes(64, "big")
                    facts.apply(end, signature, [Event("SurplusSettled", settled), Event("EnergyRetired", retired)])
            if first + EPOCHS_A_FOLD >= epochs:
                facts.apply(
                    epochs * SECONDS, bytes(64), [Event("BillingPeriodOpened", {"period": 1, "first_epoch": epochs})]
                )
            facts.write(session, first + 1)
    return time.process_time() - began


def make(file: str) -> None:
    """Make the bills of a store; prints what it took."""
    store = Store.open(f"sqlite:///{file}")
    began = time.process_time()
    with store.read() as session:
        facts = KeptFacts(store, session)
    bills = sum(1 for _ in bills_of(0, facts, NoLog()))
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"bills": bills, "cpu_seconds": round(seconds, 1), "mib": memory}))
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--members", type=int, default=350)
    parser.add_argument("--epochs", type=int, default=31 * 96)
    parser.add_argument("--make", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "authority.db"
        store = Store.open(f"sqlite:///{file}")
        folding = fold(store, options.members, options.epochs)
        store.close()
        command = [sys.executable, __file__, "--make", str(file)]
        made = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        spans, size = options.members * options.epochs, file.stat().st_size
    found = {"spans": spans, "fold_cpu_seconds": round(folding, 1), **made, "bytes_a_span": round(size / spans)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
