"""A register that fell: a person at the gateway says that its meter was reset, and the meter signs again.

The next record goes on from the registers as the meter shows them, and says so (`register reset`, register epoch + 1).
The authority holds it until an operator has looked; the Oracle takes it as a new baseline (rebase_meter).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.config import GatewayConfig
from edge_agent.state.credentials import CredentialStore
from edge_agent.state.journal import JOURNAL_FILE, Journal, JournalError


class ResetError(Exception):
    """The meter cannot be taken as reset; `code` names why: unknown_meter, not_stopped."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Reset:
    """What was allowed: reason is why the meter stopped, last_end the end of its last record (Unix seconds)."""

    meter: str
    reason: str
    last_end: int | None


def allow_reset(config: GatewayConfig, name: str) -> Reset:
    """Let a meter of this gateway go on from other registers; the agent may run meanwhile.

    ResetError `unknown_meter`, `not_stopped`; CredentialsError where the gateway is not enrolled; JournalError.
    """
    credentials = CredentialStore(config.state).load()
    enrolled = credentials.meter(name)
    if enrolled is None:
        names = ", ".join(meter.name for meter in credentials.meters)
        raise ResetError("unknown_meter", f"no meter {name!r} is enrolled at this gateway; there are: {names}")
    journal = Journal.open_beside(config.state / JOURNAL_FILE, quota=config.quota_frames)
    try:
        before = journal.allow_reset(enrolled.public_key)
    except JournalError as error:
        if error.code != "not_stopped":
            raise
        raise ResetError(error.code, f"{name}: {error}") from error
    except KeyError as error:
        raise ResetError("not_stopped", f"{name} has signed nothing yet: there is nothing to reset") from error
    finally:
        journal.close()
    last = before.record
    return Reset(name, before.stop_reason or "", None if last is None else last.interval_end)
