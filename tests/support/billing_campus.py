"""What billing's tests share: epochs that go by, the command, and bills held against the reference's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bill_reference
import pytest
from bill_reference import Account, Reference, events_of
from sqlalchemy import select

from authority.audit.bill_again import again
from authority.audit.command import chain_at
from authority.chain import accounts, programs
from authority.cli import main
from authority.log import log
from authority.store.billing import IssuedBill
from edge_agent.wire.command import DONE, PENDING

GRACE_EPOCHS = 8
"""Epochs after a billing period's end for which the chain takes late spans and retirements for it."""


def command_of(campus: Any, capsys: pytest.CaptureFixture[str], name: str = "billing") -> Callable[..., Any]:
    def run(*words: object, status: int = 0) -> Any:
        capsys.readouterr()
        found = main([name, "--home", str(campus.home_path), *map(str, words), "--json"])
        printed = capsys.readouterr()
        assert found == status, printed.out + printed.err
        return json.loads(printed.out) if status in (DONE, PENDING) else printed.err

    return run


def run_epochs(campus: Any, worker: Any, until: int, **reading: Any) -> None:
    """Epochs go by until the given one runs; everybody reads at the end of each."""
    while campus.epoch < until:
        campus.run_epoch(worker, **reading)


def end_of_period(campus: Any) -> int:
    """The first epoch after the open billing period."""
    config = campus.client.account(accounts.Config, programs.config_address())
    return int(config.billing_period_end)


def two_flats(make_campus: Callable[..., Any]) -> Any:
    """Two flats whose first billing period is over and can be closed; `billed_by` is their worker."""
    made = make_campus([(name, "load", "load", "none", 0, 200_000_000, 0) for name in "AD"])
    made.STEPS = {"A.load": (0, 700), "D.load": (0, 1_001)}
    made.billed_by = made.worker()
    run_epochs(made, made.billed_by, end_of_period(made) + GRACE_EPOCHS)
    return made


def reference_of(campus: Any) -> Reference:
    """The bills worked out a second time, from the log and the chain."""
    with campus.app.store.read() as session:
        leaves = [leaf.data for leaf in log.leaves(session, 0, log.size(session))]
    return Reference(leaves, events_of(campus.client))


def issued(campus: Any, period: int) -> dict[str, dict[str, Any]]:
    """The issued bills of a period, by the members' names."""
    names = {str(wallet): name for name, wallet in campus.wallets.items()}
    with campus.app.store.read() as session:
        rows = session.query(IssuedBill).filter_by(period=period).all()
        return {names[row.wallet]: json.loads(row.document) for row in rows}


def sums(bill: dict[str, Any], what: str) -> dict[str, int]:
    """The totals of a bill by kind of line, without zeros."""
    found: dict[str, int] = {}
    for line in bill["lines"]:
        found[line["kind"]] = found.get(line["kind"], 0) + line[what]
    return {kind: total for kind, total in found.items() if total}


def accounts_by_script(campus: Any, bundle: Path) -> dict[int, dict[str, Account]]:
    """The bills that a process makes which has the exported bundle and nothing else: by period and wallet."""
    assert main(["audit", "--home", str(campus.home_path), "export", "--bundle", str(bundle)]) == 0
    printed = subprocess.run(
        [sys.executable, bill_reference.__file__, str(bundle)], stdout=subprocess.PIPE, check=True, timeout=600
    ).stdout
    found: dict[int, dict[str, Account]] = {}
    for each in json.loads(printed):
        account = Account(defaultdict(int, each["wh"]), defaultdict(int, each["amount"]), set(each["leaves"]))
        account.acts = set(each["acts"])
        assert account.due == each["due"]
        found.setdefault(each["period"], {})[each["wallet"]] = account
    return found


def assert_bills_are_the_references(campus: Any, *periods: int) -> None:
    """Every issued bill of these periods is what the reference makes of log and chain."""
    reference = reference_of(campus)
    assert_bills_are(campus, {period: reference.of(period) for period in periods})
    assert_the_audit_makes_the_same(campus, *periods)


def assert_the_audit_makes_the_same(campus: Any, *periods: int) -> None:
    """`authority audit bill`, by rules of its own, agrees with each issued bill of these periods."""
    with campus.app.store.read() as session:
        for number in session.scalars(select(IssuedBill.number).where(IssuedBill.period.in_(periods))).all():
            found = again(session, chain_at(campus.client), number, lambda *_: None)
            assert not found.problems, (number, found)
            assert found.figures


def assert_bills_are(campus: Any, expected: dict[int, dict[str, Account]]) -> None:
    """Every issued bill is the account of its member and period, and nobody has one who has no account."""
    for period, members in expected.items():
        bills = issued(campus, period)
        for name, wallet in campus.wallets.items():
            account, bill = members.get(str(wallet)), bills.get(name)
            amounts = {} if account is None else {kind: each for kind, each in account.amount.items() if each}
            if bill is None:
                assert not amounts, (period, name)
                continue
            assert account is not None, (period, name)
            assert sums(bill, "amount") == amounts, (period, name)
            energies = {kind: wh for kind, wh in account.wh.items() if wh}
            charges = {kind: wh for kind, wh in sums(bill, "wh").items() if kind not in ("wheeling", "fee")}
            assert charges == energies, (period, name)
            assert bill["due"] == account.due, (period, name)
            drawn = [line for line in bill["lines"] if line["kind"] in ("withdrawn", "late_withdrawal")]
            leaves = {leaf for line in drawn for first, last in line["leaves"] for leaf in range(first, last + 1)}
            assert leaves == account.leaves, (period, name)
            retired = [line for line in bill["lines"] if line["kind"] in ("retired", "fed_in")]
            acts = {leaf for line in retired for first, last in line["leaves"] for leaf in range(first, last + 1)}
            assert acts == account.acts, (period, name)
            assert 0 <= bill["rounded_off"] < 1000 * sum(
                line["price"] is not None for line in bill["lines"]
            ) or not any(line["price"] for line in bill["lines"])
