"""`authority`: the department's command. Each subcommand lives in its own room and is imported only when called."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from authority.errors import AuthorityError
from edge_agent.wire.command import FAILED, Command, Place, Program
from edge_agent.wire.errors import WireError

COMMANDS = {
    "init": Command(
        "authority.service.init_command", "make a home directory: configuration, keys, certificates, store"
    ),
    "serve": Command(
        "authority.service.serve_command", "run everything: validator, collector, settlement, web", service=True
    ),
    "status": Command("authority.status.command", "everything that waits for a person, on one screen"),
    "parameters": Command(
        "authority.governance.command", "governance's parameters: show, stage for a later epoch, cancel, adopt"
    ),
    "pause": Command("authority.governance.command", "pause activities on the chain"),
    "resume": Command("authority.governance.command", "resume paused activities"),
    "operator": Command("authority.governance.command", "name another operator"),
    "handover": Command(
        "authority.operations.handover_command", "hand Config and the programs to another authority: propose, accept"
    ),
    "upgrade": Command(
        "authority.operations.upgrade_command", "the programs become the released ones: show, announce, cancel, run"
    ),
    "fund": Command("authority.status.fund_command", "the operator's SOL: how long it lasts, and sending it more"),
    "backup": Command("authority.service.backup_command", "seal configuration, keys, store and ledger into one file"),
    "restore": Command("authority.service.restore_command", "make a home from a backup"),
    "recover": Command(
        "authority.recovery.command", "after a loss: bring log, store and chain together again, and say so in the log"
    ),
    "web": Command("authority.web.command", "run the pages and the API", service=True),
    "collector": Command(
        "authority.collector.command", "run the collector; list, release and void held readings", service=True
    ),
    "verifier": Command(
        "authority.collector.verifier_command", "run one of several that check readings for the collector", service=True
    ),
    "settlement": Command("authority.service.settlement_command", "run the settlement worker", service=True),
    "validator": Command("authority.service.validator_command", "run the embedded validator", service=True),
    "watchdog": Command(
        "authority.service.watchdog_command", "run an Agave validator, and bring it back where it stands", service=True
    ),
    "deploy": Command("authority.chain.deploy", "initialize the programs on the chain"),
    "idl": Command("authority.chain.idl_command", "write the programs' IDLs as accounts for a new Agave ledger"),
    "enrol": Command("authority.enrolment.command", "campus plan, claim codes, and approval of gateways"),
    "meters": Command(
        "authority.operations.meters_command", "meters in use: list, suspend, exchange, reassign, reset, retire"
    ),
    "members": Command(
        "authority.operations.members_command", "members: balances, add, suspend, leave, rename, wallets, delegates"
    ),
    "people": Command("authority.people.command", "who signs in to the pages: invitations, roles, sessions"),
    "tickets": Command("authority.operations.tickets_command", "what members dispute: list, answer, close"),
    "announcements": Command(
        "authority.operations.news_command", "what the department tells on pages and by mail: list, make, withdraw"
    ),
    "approvals": Command(
        "authority.people.approvals_command", "what takes two people: propose, approve, carry out with the keys"
    ),
    "installations": Command("authority.operations.installations_command", "what is built: list, change nameplates"),
    "certificates": Command(
        "authority.operations.certificates_command", "certificates: list them, and renew them in time", service=True
    ),
    "alerts": Command(
        "authority.monitoring.command", "tell people of changes by mail or webhook; a trial message", service=True
    ),
    "audit": Command("authority.audit.command", "the log: checkpoints, proofs, verification"),
    "market": Command("authority.market.command", "credits, standing orders, and the last epochs"),
    "billing": Command("authority.billing.command", "billing periods and bills: preview, close, issue, show, correct"),
    "credits": Command("authority.billing.credits_command", "credits for the bank's money: top up, pay out, list"),
    "demo": Command("authority.demo.command", "four campus buildings and four flats, read, signed, minted and traded"),
    "simulate": Command(
        "authority.simulation.command", "a campus of any size through days or months, in minutes", place=False
    ),
    "plot": Command(
        "authority.simulation.plot_command", "a finished simulation's page of plots again, or some days", place=False
    ),
    "dataset": Command(
        "authority.simulation.dataset_command", "a finished simulation as a data set to publish", place=False
    ),
}


def default_home() -> Path:
    """$AUTHORITY_HOME, else ./.demo."""
    return Path(os.environ.get("AUTHORITY_HOME") or ".demo")


PROGRAM = Program(
    "authority",
    "The energy authority of the campus.",
    COMMANDS,
    distribution="campus-energy-authority",
    place=Place(
        "--home", "DIR", default_home, "the authority's home directory (default: $AUTHORITY_HOME, else ./.demo)"
    ),
    errors=(AuthorityError, WireError),
    epilog="""a campus from nothing, in this order (docs/OPERATIONS.md has it in full):
  authority init --home /var/lib/campus --name energy.campus.example
  authority serve --home /var/lib/campus            (leave it running; the rest in another terminal)
  authority deploy --home /var/lib/campus
  authority enrol --home /var/lib/campus campus plan.toml
  authority enrol --home /var/lib/campus claim GATEWAY

`authority COMMAND ACTION --help` describes each.""",
)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; --home may stand anywhere in it."""
    return PROGRAM.parse(words)


def main(words: Sequence[str] | None = None) -> int:
    """The command `authority`; returns its exit status."""
    try:
        return PROGRAM.main(words)
    except Exception as error:
        told = _of_a_database(error)
        if told is None:
            raise
        PROGRAM.complain(told, "store_unreachable")
        return FAILED


def _of_a_database(error: Exception) -> str | None:
    """What is said where the database goes away in the middle of a command; None where the error is another one."""
    loaded = sys.modules.get("sqlalchemy.exc")  # most commands that need no store do without it
    if loaded is None or not isinstance(error, loaded.OperationalError):
        return None
    from authority.store.engine import in_a_line  # noqa: PLC0415 - loaded already where there is such an error

    return f"the database went away meanwhile, do it again (nothing is done twice): {in_a_line(error)}"


if __name__ == "__main__":
    sys.exit(main())
