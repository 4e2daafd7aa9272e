"""What a simulated campus takes of one processor, by stage, beside what no change of ours can save.

    python tests/benchmarks/simulation.py [--days 3] [--buildings 20]

One line of JSON: processor seconds by stage, in all and for a month of 30 such days, and the floor of the same run: the
programs' execution in LiteSVM, measured in it, and Ed25519 for each signature that is made or checked in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]

from solders.keypair import Keypair  # noqa: E402

from authority import heap  # noqa: E402
from authority.simulation import report  # noqa: E402
from authority.simulation.campus_home import CampusHome, start_of  # noqa: E402
from authority.simulation.scenario import Scenario  # noqa: E402
from authority.simulation.simulation import Out, Request, Simulation  # noqa: E402
from authority.validator.ledger import Ledger  # noqa: E402
from edge_agent.wire.reading import RECORD_SIZE  # noqa: E402

ROUNDS = 2_000


class Timed:
    """A LiteSVM of which the execution of transactions is timed."""

    def __init__(self, svm: Any, spent: list[float]) -> None:
        self._svm, self._spent = svm, spent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._svm, name)

    def send_transaction(self, transaction: Any) -> Any:
        """As LiteSVM's."""
        before = time.process_time()
        try:
            return self._svm.send_transaction(transaction)
        finally:
            self._spent.append(time.process_time() - before)


class TimedSimulation(Simulation):
    """A simulation whose programs are timed, the set-up's aside."""

    programs: list[float]

    def _open(self) -> CampusHome:
        home = super()._open()
        self.programs = []
        home.chain.bank._svm = Timed(home.chain.bank._svm, self.programs)  # type: ignore[assignment]
        return home


def ed25519() -> tuple[float, float]:
    """Seconds to sign a record, and to check its signature."""
    key, record = Keypair(), bytes(RECORD_SIZE)
    before = time.process_time()
    for _ in range(ROUNDS):
        signature = key.sign_message(record)
    between = time.process_time()
    for _ in range(ROUNDS):
        signature.verify(key.pubkey(), record)
    # Keypair.pubkey() computes the key anew, which checking does not take: it is timed apart.
    after = time.process_time()
    for _ in range(ROUNDS):
        key.pubkey()
    return (between - before) / ROUNDS, (2 * after - between - time.process_time()) / ROUNDS


def main() -> None:
    """Run, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--buildings", type=int, default=20)
    arguments = parser.parse_args()
    days, buildings = arguments.days, arguments.buildings
    request = Request(days, buildings, buildings, 1, start_of("2026-06-01"), Scenario())
    with tempfile.TemporaryDirectory() as place, Out(Path(place) / "out", request) as out:
        simulation = TimedSimulation(request, out, lambda *_: None)
        heap.settle()  # as the command does
        simulation.run()
        document = report.make(out.path, request, simulation.spent)
        ledger = Ledger(out.path / "validator")
        rows = ledger._connection.execute("SELECT content FROM landed")
        signatures = sum(ledger._packer.unpack(content)[0] for (content,) in rows)
        ledger.close()
    seconds = {name: round(value, 2) for name, value in simulation.spent.seconds.items()}
    audit = document["audit"]
    sign, verify = ed25519()
    cryptography = audit["readings"] * (sign + 2 * verify) + signatures * sign
    whole = sum(simulation.spent.seconds.values())
    once = simulation.spent.seconds["set_up"]
    print(
        json.dumps(
            {
                "days": days,
                "buildings": buildings,
                "meters": len(simulation._campus.meters),
                "readings": audit["readings"],
                "transactions": audit["transactions"],
                "signatures_of_transactions": signatures,
                "audit_holds": audit["ok"],
                "processor_seconds": seconds,
                "in_all": round(whole, 1),
                "a_month_of_such_days": round(once + (whole - once) / days * 30),
                "of_it_the_programs_in_litesvm": round(sum(simulation.programs), 2),
                "of_it_ed25519": round(cryptography, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
