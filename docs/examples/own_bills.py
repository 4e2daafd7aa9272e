#!/usr/bin/env python3
"""Your bills, what is open of them, and your energy by day: `own_bills.py https://energy.campus.example`.

CAMPUS_TOKEN is a token of yours with the scopes energy:read and money:read (docs/PEOPLE.md, "A client in Python").
"""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta

from authority.client import CampusClient, ProblemError


def main(address: str, token: str) -> int:
    """Print it; 1 where the service refuses."""
    client = CampusClient(address, token)
    try:
        print(f"{client.get_me().member}")
        for bill in client.iterate_my_bills():
            open_ = (bill.payable_micro_credits - bill.paid_micro_credits) / 1_000_000
            print(f"bill {bill.number}: {bill.due_micro_credits / 1_000_000:.2f} credits, {open_:.2f} of it open")
        today = datetime.now().astimezone().date()
        energy = client.get_my_energy(from_=today - timedelta(days=6), to=today, step="day")
        for step in energy.steps:
            used = "unknown" if step.flows is None else f"{step.flows.used_wh} Wh"
            print(f"{step.starts[:10]}: used {used}, bought {step.trades.bought_wh} Wh")
    except ProblemError as problem:
        print(f"own_bills.py: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ["CAMPUS_TOKEN"]))
