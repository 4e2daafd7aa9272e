"""`authority fund`: the operator's SOL, for how many days it lasts, and sending it, or a member's own wallet, more."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from authority.operations.command_parts import add_act_options, desk_of
from authority.operations.desk import Desk
from authority.operations.handover_command import key_of
from authority.operations.members import present
from authority.refusals import MalformedError
from authority.status.facts import spending
from authority.status.judgement import DAYS_LEFT, LEAST_LAMPORTS
from edge_agent.wire.command import DONE, PROBLEMS, print_json

LAMPORTS = 10**9
"""Lamports in one SOL."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without options it says what is there; with --sol it sends."""
    parser.add_argument("--sol", type=float, metavar="N", help="send the operator so many SOL")
    parser.add_argument("--key", type=Path, metavar="FILE", help="from this key, in Solana's format")
    help_ = "send them to this member's own wallet instead, for its fees: from the operator where no --key is given"
    parser.add_argument("--member", metavar="NAME", help=help_)
    add_act_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send, where that is asked for, and say what is there; 4 where it will not last."""
    if arguments.member is not None and arguments.sol is None:
        raise MalformedError("say how much the member's wallet is sent: --sol 0.05")
    with desk_of(arguments) as desk:
        sent = None if arguments.sol is None else _send(desk, arguments)
        told = funds(desk)
    told["signature"] = None if sent is None else sent.signature
    if arguments.json:
        print_json(told)
    else:
        if sent is not None:
            words = "would be sent" if sent.signature is None else "was sent"
            print(f"{arguments.member or 'operator'} {sent.to} {words} {arguments.sol:g} SOL from {sent.payer}")
        rate = told["sol_a_day"]
        lasts = "the rate is not known yet" if rate is None else f"{rate:.3f} SOL a day, {told['days_left']} days left"
        print(f"operator {told['operator']}: {told['sol']:.3f} SOL; {lasts}")
        if told["short"]:
            print(f"send it more: authority fund --sol {told['a_month_sol']:g} --key FILE")
    return PROBLEMS if told["short"] else DONE


def funds(desk: Desk) -> dict[str, Any]:
    """The operator's address, its SOL, what it spends a day, and for how many days that lasts."""
    address = desk.operator.pubkey()
    lamports, rate = desk.client.balance(address), spending(desk.client, str(address))
    days = None if not rate else lamports // rate
    return {
        "operator": str(address),
        "sol": lamports / LAMPORTS,
        "sol_a_day": None if rate is None else rate / LAMPORTS,
        "days_left": days,
        "a_month_sol": max(2.0, round(30 * (rate or 0) / LAMPORTS, 1)),
        "short": lamports < LEAST_LAMPORTS or (days is not None and days < DAYS_LEFT),
    }


@dataclass(frozen=True)
class Sent:
    """From whose account to whose, and by which transaction; None with --dry-run."""

    payer: Pubkey
    to: Pubkey
    signature: str | None


def _send(desk: Desk, arguments: argparse.Namespace) -> Sent:
    if (arguments.key is None and arguments.member is None) or not 0 < arguments.sol <= 1_000_000:
        raise MalformedError("say how much and from where: --sol 2 --key FILE")
    payer = desk.operator if arguments.key is None else key_of(arguments.key)
    to, kind, more = desk.operator.pubkey(), "operator_funded", {}
    if arguments.member is not None:
        user, found = present(desk, arguments.member)
        to, kind, more = found.user.wallet, "member_funded", {"wallet": user.wallet}
    if desk.dry_run:
        return Sent(payer.pubkey(), to, None)
    lamports = round(arguments.sol * LAMPORTS)
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)
    signature = str(desk.client.send([transfer(params)], [], payer=payer))
    desk.log(kind, {"lamports": lamports, "signature": signature, **more})
    return Sent(payer.pubkey(), to, signature)
