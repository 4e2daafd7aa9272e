"""A register that fell: a person at the gateway says that its meter was reset, and the meter signs again.

The next record goes on from the registers as the meter shows them, and says so (`register reset`, register epoch + 1).
The authority holds it until an operator has looked; the Oracle takes it as a new baseline (rebase_meter).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass

from edge_agent.config import GatewayConfig, load_config
from edge_agent.state.credentials import CredentialStore
from edge_agent.state.journal import JOURNAL_FILE, Journal, NotStoppedError, ResetError
from edge_agent.state.status import utc
from edge_agent.wire.command import DONE, add_json, print_json, say

DESCRIPTION = (
    "A meter whose register fell signs nothing more, since energy would be lost or counted twice. Where it was "
    "reset, this lets it go on: its next record says so, and sets a baseline that credits nothing. It changes "
    "nothing for a meter that has not stopped. The agent may run meanwhile."
)
EXAMPLES = "example: edge-agent reset-meter --config gateway.toml solar"


class UnknownMeterError(ResetError):
    """No meter of this name is enrolled at this gateway."""

    code = "unknown_meter"


@dataclass(frozen=True)
class Reset:
    """What was allowed: reason is why the meter stopped, last_end the end of its last record (Unix seconds).

    changed is False where it was allowed before.
    """

    meter: str
    reason: str
    last_end: int | None
    changed: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent reset-meter`."""
    parser.add_argument("meter", metavar="METER", help="the meter's name in gateway.toml")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Allow it, and say what comes of it and what the authority has to do."""
    made = allow_reset(load_config(options.config), options.meter, dry_run=options.dry_run)
    if options.json:
        print_json({**asdict(made), "dry_run": options.dry_run})
        return DONE
    say(f"{made.meter} had stopped: {made.reason}")
    would = "With this its next record would go on" if options.dry_run else "Its next record goes on"
    since = "its last record" if made.last_end is None else utc(made.last_end)
    say(f"{would} from its registers as they are then. Nobody is credited with what it metered since {since}.")
    say(
        "At the authority it waits for the operator: `authority meters reset GATEWAY/METER --reason TEXT` once "
        "`authority collector held` lists it."
    )
    return DONE


def allow_reset(config: GatewayConfig, name: str, *, dry_run: bool = False) -> Reset:
    """Let a meter of this gateway go on from other registers; the agent may run meanwhile.

    UnknownMeterError, `not_stopped`; CredentialsError where the gateway is not enrolled; JournalError.
    """
    credentials = CredentialStore(config.state).load()
    enrolled = credentials.meter(name)
    if enrolled is None:
        names = ", ".join(meter.name for meter in credentials.meters)
        raise UnknownMeterError(f"no meter {name!r} is enrolled at this gateway; there are: {names}")
    journal = Journal.open_beside(config.state / JOURNAL_FILE, quota=config.quota_frames)
    try:
        before = journal.allow_reset(enrolled.public_key, dry_run=dry_run)
    except NotStoppedError as error:
        raise NotStoppedError(f"{name}: {error}") from error
    except KeyError as error:
        raise NotStoppedError(f"{name} has signed nothing yet: there is nothing to reset") from error
    finally:
        journal.close()
    last = before.record
    changed = not before.rebase and not dry_run
    return Reset(name, before.stop_reason or "", None if last is None else last.interval_end, changed)
