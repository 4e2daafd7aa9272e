"""How long a period's bills take to make: a month of quarters of an hour, one span and one retirement a member each.

    python tests/benchmarks/bills.py [--members N] [--epochs N]

Prints JSON: spans, CPU seconds to make the bills of facts that are in memory, and the greatest memory of the process
in MiB, facts included. Books and the log are not in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterable, Mapping, Sequence

from authority.billing.bill import LoggedAct, bills_of
from authority.billing.facts import Facts, Retirement, Withdrawal
from authority.chain.idl import Event

SECONDS = 900


class NoLog:
    """Evidence without books and acts; each reading's leaf is numbered by its boundary."""

    def books(self, first_epoch: int, end_epoch: int) -> Iterable[tuple[int, bytes]]:
        return ()

    def acts(self) -> Sequence[LoggedAct]:
        return ()

    def sent(self, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        return {}

    def readings(
        self, wanted: Iterable[tuple[bytes, int]], before: int | None
    ) -> Mapping[tuple[bytes, int], list[int]]:
        return {pair: [pair[1]] for pair in wanted}


def facts_of(members: int, epochs: int) -> Facts:
    """A period 0 in which every member draws 500 Wh an epoch, of which 400 are retired."""
    facts = Facts()
    governance = {"epoch_seconds": SECONDS, "first_epoch": 0, "parameters": {"retail_price": 300_000}}
    facts.apply(0, b"", [Event("Initialized", governance)])
    facts.apply(0, b"", [Event("BillingPeriodOpened", {"period": 1, "first_epoch": epochs})])
    facts.members = {n: f"member {n}" for n in range(members)}
    for epoch in range(epochs):
        start, end = epoch * SECONDS, (epoch + 1) * SECONDS
        for n, member in facts.members.items():
            facts.withdrawals.append(Withdrawal(member, 0, start, end, 500, (n.to_bytes(4, "big"),)))
            facts.retirements.append(Retirement(member, 0, 400, 0, False, epoch, bytes(64)))
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=350)
    parser.add_argument("--epochs", type=int, default=31 * 96)
    options = parser.parse_args()
    facts = facts_of(options.members, options.epochs)
    began = time.process_time()
    bills = bills_of(0, facts, NoLog())
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"bills": len(bills), "spans": len(facts.withdrawals), "cpu_seconds": round(seconds, 1), "mib": memory}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
