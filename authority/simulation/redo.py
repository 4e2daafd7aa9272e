"""What the ledger is about to take at a boundary, written down before the store commits its part of it.

Store and ledger are two databases: where the process ends between their commits, the ledger lacks what the store has.
Then the next one gives it to the ledger from here, and both stand at the same boundary.
"""

from __future__ import annotations

import base64
import json
import os
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from authority.log import log
from authority.store import Store
from authority.validator.ledger import Entry, Ledger

REDO_NAME = "redo.json"


def write(path: Path, store: Store, ledger: Ledger) -> None:
    """Note the ledger's open group, and the log's size by which one sees that the store has committed its part.

    The transactions' metas are noted as the ledger has packed them, for its dictionary is durable already.
    Without a wait for the disk: it is for the end of the process, not for a power cut.
    """
    with store.read() as session:
        size = log.size(session)
    entries = ledger.grouped
    named: dict[Pubkey, int] = {}
    changed = {address: account for grouped in entries for address, account in grouped.entry.changes}
    noted = {
        "landed": ledger.count() - len(entries),
        "log_size": size,
        "entries": [
            {
                "slot": entry.slot,
                "time": entry.time,
                "blockhash": _text(entry.blockhash),
                "signature": _text(entry.signature),
                "content": _text(entry.content),
                "error": entry.error,
                "meta": _text(meta),
                "mentions": [named.setdefault(address, len(named)) for address in entry.mentions],
            }
            for entry, meta in entries
        ],
        "named": [_text(bytes(address)) for address in named],
        "accounts": [
            [_text(bytes(address)), None if account is None else _of_account(account)]
            for address, account in changed.items()
        ],
    }
    fresh = path / f"{REDO_NAME}.new"
    fresh.write_text(json.dumps(noted, separators=(",", ":")), encoding="utf-8")
    os.replace(fresh, path / REDO_NAME)


def forget(path: Path) -> None:
    """Both have committed: there is nothing to do again."""
    (path / REDO_NAME).unlink(missing_ok=True)


def apply(path: Path, store: Store, ledger: Ledger) -> None:
    """Give the ledger what it lacks; nothing where both stand at the same boundary."""
    if not (path / REDO_NAME).exists():
        return
    noted = json.loads((path / REDO_NAME).read_text(encoding="utf-8"))
    with store.read() as session:
        size = log.size(session)
    if noted["entries"] and (ledger.count(), size) == (noted["landed"], noted["log_size"]):
        ledger.group()
        for entry in _entries(noted, ledger.unpack):
            ledger.record(entry)
        ledger.commit()


def _entries(noted: dict[str, Any], unpack: Callable[[bytes], bytes]) -> Iterator[Entry]:
    """The group's entries; what it changed is with the last."""
    named = [Pubkey(_bytes(address)) for address in noted["named"]]
    accounts = [(Pubkey(_bytes(address)), _account(fields)) for address, fields in noted["accounts"]]
    last = len(noted["entries"]) - 1
    for place, each in enumerate(noted["entries"]):
        yield Entry(
            slot=each["slot"],
            time=each["time"],
            blockhash=_bytes(each["blockhash"]),
            signature=_bytes(each["signature"]),
            content=unpack(_bytes(each["content"])),
            error=each["error"],
            meta=json.loads(unpack(_bytes(each["meta"]))),
            mentions=[named[place] for place in each["mentions"]],
            changes=accounts if place == last else [],
        )


def _of_account(account: Account) -> list[object]:
    return [account.lamports, _text(bytes(account.data)), _text(bytes(account.owner)), account.executable]


def _account(fields: list[Any] | None) -> Account | None:
    if fields is None:
        return None
    lamports, data, owner, executable = fields
    return Account(lamports, _bytes(data), Pubkey(_bytes(owner)), executable)


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
