"""Subscriptions: what clients want to be told of the chain, and what they are told, as Agave's PubSub has it.

What has landed is final here, so a notification goes out once the transaction is durable, whatever the commitment.
A signature that has landed already is told at once: a client that sends first and subscribes then would wait for ever.
Subscriptions that ask for the same have the same number, also those of two connections, and it ends with the last.

One thread, the Notifier's, owns them all. It takes requests and landings from one queue, so that nothing that lands
after a subscription was confirmed is missed, and nothing is told twice.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.validator import encoding, filters
from authority.validator.bank import Bank, Landing
from authority.validator.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, RpcError, invalid_params
from authority.validator.jsonrpc import answer
from authority.validator.params import Config, Params, address

MAX_SUBSCRIPTIONS = 1_000
"""How many one connection may have at once."""
MAX_SLOTS_TOLD = 32
"""After a pause, such as a large batch, slots are told one by one up to so many; older ones are left out."""

_OF_SLOTS = ("slot", "root", "slotsUpdates")
_TOO_LARGE = "error: data too large for bs58 encoding"
_NO_ACCOUNT = Account(0, b"", Pubkey.default())
_IDLE_SECONDS = 3_600.0

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """A connection, as the Notifier sees it; called from the Notifier's thread."""

    def send(self, text: str) -> None:
        """Have a text sent, without waiting for it."""


@dataclass(frozen=True)
class Wanted:
    """What a subscription asks for. Those with the same `kind` and `key` are one.

    `topic` is what it looks for in a landing: an address, a signature, or None for everything.
    """

    kind: str
    key: tuple[Hashable, ...]
    topic: Pubkey | bytes | None = None
    passes: Callable[[Account], bool] = field(default=lambda _: True, compare=False)
    encode: Callable[[Pubkey, Account], Any] = field(default=lambda _key, _account: None, compare=False)
    tells_reception: bool = False


@dataclass
class _Subscription:
    number: int
    wanted: Wanted
    listeners: list[Listener] = field(default_factory=list)

    def tell(self, result: Any) -> None:
        params = {"result": result, "subscription": self.number}
        note = {"jsonrpc": "2.0", "method": f"{self.wanted.kind}Notification", "params": params}
        text = json.dumps(note, separators=(",", ":"))
        for listener in self.listeners:
            listener.send(text)


class Notifier:
    """All subscriptions of a bank. Start its thread with `start`, end it with `stop`."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._queue: queue.SimpleQueue[Callable[[], None] | Landing | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._numbers = itertools.count(1)
        self._by_number: dict[int, _Subscription] = {}
        self._by_wanted: dict[Wanted, _Subscription] = {}
        self._by_topic: dict[str, dict[Pubkey | bytes | None, list[_Subscription]]] = defaultdict(dict)
        self._of: dict[Listener, set[int]] = defaultdict(set)
        self._put_back: list[Callable[[], None] | Landing | None] = []
        self._slot_told = 0
        self._kinds: dict[str, tuple[Callable[[Params], Wanted], int]] = {
            "account": (self._account, 2),
            "program": (self._program, 2),
            "logs": (_logs, 2),
            "signature": (_signature, 2),
            "slot": (lambda _: Wanted("slot", ()), 0),
            "slotsUpdates": (lambda _: Wanted("slotsUpdates", ()), 0),
            "root": (lambda _: Wanted("root", ()), 0),
        }

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is not told any more."""
        self._bank.follow(None)
        self._queue.put(None)
        self._thread.join()

    def request(self, listener: Listener, body: bytes, done: Callable[[], None]) -> None:
        """Answer a message of a connection. `done` is called when it was handed over, with what follows from it."""
        self._queue.put(lambda: self._answer(listener, body, done))

    def leave(self, listener: Listener) -> None:
        """A connection has ended, and its subscriptions with it."""
        self._queue.put(lambda: self._forget(listener))

    # The thread

    def _run(self) -> None:
        while True:
            try:
                item = self._put_back.pop() if self._put_back else self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._safely(self._tell_slots)
                continue
            if item is None:
                return
            if isinstance(item, Landing):
                self._tell(self._with_its_slot(item))
            else:
                self._safely(item)
            self._safely(self._tell_slots)

    def _with_its_slot(self, first: Landing) -> list[Landing]:
        """A landing and those that wait behind it and are of the same slot."""
        landings = [first]
        while not self._queue.empty():
            item = self._queue.get()
            if not isinstance(item, Landing) or item.slot != first.slot:
                self._put_back.append(item)
                break
            landings.append(item)
        return landings

    def _patience(self) -> float:
        return self._bank.seconds_to_next_slot() if self._wants_slots() else _IDLE_SECONDS

    def _wants_slots(self) -> bool:
        return any(self._by_topic[kind] for kind in _OF_SLOTS)

    @staticmethod
    def _safely(act: Callable[[], None]) -> None:
        """One act that fails does not end the telling of all the others."""
        try:
            act()
        except Exception:  # noqa: BLE001 (a fault of ours is a traceback in the log)
            _log.exception("a notification failed")

    # Requests

    def _answer(self, listener: Listener, body: bytes, done: Callable[[], None]) -> None:
        session = _Session(self, listener)
        try:
            answered = answer(session, body)
            if answered is not None:
                listener.send(answered)
            for follow_up in session.after:
                follow_up()
        finally:
            done()

    def call(self, listener: Listener, after: list[Callable[[], None]], method: str, values: list[Any]) -> Any:
        """The result of one call of a connection, or RpcError; what is to be told after the answer goes to `after`."""
        if method == "getVersion":
            Params(values, 0)
            return encoding.VERSION_INFO
        kind = method.removesuffix("Unsubscribe")
        if kind != method and kind in self._kinds:
            return self._unsubscribe(listener, Params(values, 1).get(0))
        kind = method.removesuffix("Subscribe")
        if kind == method or kind not in self._kinds:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        read, at_most = self._kinds[kind]
        wanted = read(Params(values, at_most))
        held = self._of[listener]
        known = self._by_wanted.get(wanted)
        if known is not None and known.number in held:
            return known.number
        if len(held) >= MAX_SUBSCRIPTIONS:
            message = f"Internal Error: Subscription refused. A connection has at most {MAX_SUBSCRIPTIONS}"
            raise RpcError(INTERNAL_ERROR, message)
        subscription = self._added(wanted) if known is None else known
        held.add(subscription.number)
        subscription.listeners.append(listener)
        if isinstance(wanted.topic, bytes):
            self._look_back(listener, subscription, wanted.topic, after)
        return subscription.number

    def _look_back(
        self, listener: Listener, subscription: _Subscription, signature: bytes, after: list[Callable[[], None]]
    ) -> None:
        """Whether a signature that a client wants to hear of has landed already."""
        try:
            with self._bank.lock:
                status = self._bank.ledger.status(signature)
        except sqlite3.Error as error:
            self._drop(listener, subscription)
            raise RpcError(INTERNAL_ERROR, f"Internal error: the ledger could not be read: {error}") from error
        if status is not None:
            self._drop(listener, subscription)
            alone = _Subscription(subscription.number, subscription.wanted, [listener])
            after.append(lambda: _tell_signature(alone, status.slot, status.error))

    def _added(self, wanted: Wanted) -> _Subscription:
        subscription = _Subscription(next(self._numbers), wanted)
        if not self._by_number:
            self._bank.follow(self._queue.put)
        if wanted.kind in _OF_SLOTS and not self._wants_slots():
            self._slot_told = self._bank.advance()
        self._by_number[subscription.number] = self._by_wanted[wanted] = subscription
        self._by_topic[wanted.kind].setdefault(wanted.topic, []).append(subscription)
        return subscription

    def _unsubscribe(self, listener: Listener, number: Any) -> bool:
        if isinstance(number, bool) or not isinstance(number, int) or number not in self._of[listener]:
            raise invalid_params("Invalid subscription id.")
        self._drop(listener, self._by_number[number])
        return True

    def _drop(self, listener: Listener, subscription: _Subscription) -> None:
        self._of[listener].discard(subscription.number)
        subscription.listeners.remove(listener)
        if not subscription.listeners:
            self._remove(subscription)

    def _remove(self, subscription: _Subscription) -> None:
        wanted = subscription.wanted
        del self._by_number[subscription.number], self._by_wanted[wanted]
        alike = self._by_topic[wanted.kind][wanted.topic]
        alike.remove(subscription)
        if not alike:
            del self._by_topic[wanted.kind][wanted.topic]
        if not self._by_number:
            self._bank.follow(None)

    def _forget(self, listener: Listener) -> None:
        for number in tuple(self._of[listener]):
            self._drop(listener, self._by_number[number])
        del self._of[listener]

    # What there is to tell

    def _interested(self, kind: str, topic: Pubkey | bytes | None) -> Sequence[_Subscription]:
        return tuple(self._by_topic[kind].get(topic, ()))

    def _tell_slots(self) -> None:
        if not self._wants_slots():
            return
        newest = self._bank.advance()
        first = max(self._slot_told + 1, newest - MAX_SLOTS_TOLD + 1)
        for slot in range(first, newest + 1):
            for subscription in self._interested("slot", None):
                subscription.tell({"slot": slot, "parent": slot - 1, "root": slot - 1})
            for subscription in self._interested("root", None):
                subscription.tell(slot - 1)
            self._tell_updates(slot)
        self._slot_told = newest

    def _tell_updates(self, slot: int) -> None:
        """What became of the slot before, which is whole, and that this one has begun."""
        subscriptions = self._interested("slotsUpdates", None)
        if not subscriptions:
            return
        with self._bank.lock:
            whole = slot - 1
            landed = self._bank.ledger.landed_in(whole)
            succeeded = sum(item.meta["err"] is None for item in landed)
            times = {number: self._bank.block_time(number) * 1000 for number in (whole, slot)}
        stats = {
            "numTransactionEntries": len(landed),
            "numSuccessfulTransactions": succeeded,
            "numFailedTransactions": len(landed) - succeeded,
            "maxTransactionsPerEntry": min(len(landed), 1),
        }
        for subscription in subscriptions:
            subscription.tell({"slot": whole, "timestamp": times[whole], "stats": stats, "type": "frozen"})
            subscription.tell({"slot": slot, "timestamp": times[slot], "parent": whole, "type": "createdBank"})
            for kind in ("optimisticConfirmation", "root"):
                subscription.tell({"slot": whole, "timestamp": times[whole], "type": kind})

    def _tell(self, landings: Sequence[Landing]) -> None:
        """Tell of what landed in one slot: each transaction by itself, of each account how it is after them all."""
        changes: dict[Pubkey, Account | None] = {}
        for landing in landings:
            self._safely(lambda landing=landing: self._tell_landing(landing))  # type: ignore[misc]
            changes.update(landing.changes)
        for changed, account in changes.items():
            self._safely(lambda key=changed, left=account: self._tell_change(landings[0].slot, key, left))  # type: ignore[misc]

    def _tell_landing(self, landing: Landing) -> None:
        for subscription in self._interested("signature", landing.signature):
            _tell_signature(subscription, landing.slot, landing.error)
            for listener in tuple(subscription.listeners):
                self._drop(listener, subscription)
        if not self._by_topic["logs"]:
            return
        value = {
            "signature": str(Signature.from_bytes(landing.signature)),
            "err": landing.error,
            "logs": list(landing.logs),
        }
        for topic in (None, *landing.keys):
            for subscription in self._interested("logs", topic):
                subscription.tell(_with_context(landing.slot, value))

    def _tell_change(self, slot: int, key: Pubkey, account: Account | None) -> None:
        for subscription in self._interested("account", key):
            left = _NO_ACCOUNT if account is None else account
            body = subscription.wanted.encode(key, left)
            if account is None:
                body["rentEpoch"] = 0
            subscription.tell(_with_context(slot, body))
        if account is None:
            return  # it is no program's any more
        for subscription in self._interested("program", account.owner):
            if subscription.wanted.passes(account):
                body = {"pubkey": str(key), "account": subscription.wanted.encode(key, account)}
                subscription.tell(_with_context(slot, body))

    # What can be asked for

    def _account(self, params: Params) -> Wanted:
        key = params.address(0)
        config = params.config(1)
        name, commitment = _format(config)
        return Wanted("account", (key, name, commitment), key, encode=self._encoder(name))

    def _program(self, params: Params) -> Wanted:
        program = params.address(0)
        config = params.config(1)
        name, commitment = _format(config)
        config.flag("withContext")
        chosen = filters.parsed(config.get("filters"))
        key = (program, name, commitment, json.dumps(config.get("filters"), sort_keys=True))
        return Wanted(
            "program",
            key,
            program,
            passes=lambda account: filters.passes(account, chosen),
            encode=self._encoder(name),
        )

    def _encoder(self, name: str) -> Callable[[Pubkey, Account], Any]:
        def encode(key: Pubkey, account: Account) -> Any:
            try:
                return encoding.account(key, account, name, None, self._bank.account)
            except RpcError:  # too long for base58, which a notification says in its own way
                body = encoding.account(key, account, "base64", (0, 0), self._bank.account)
                return {**body, "data": _TOO_LARGE if name == "binary" else [_TOO_LARGE, "base58"]}

        return encode


class _Session:
    """The calls of one message of one connection, and what is to be told after its answer."""

    def __init__(self, notifier: Notifier, listener: Listener) -> None:
        self._notifier = notifier
        self._listener = listener
        self.after: list[Callable[[], None]] = []

    def call(self, method: str, values: list[Any]) -> Any:
        return self._notifier.call(self._listener, self.after, method, values)

    def together(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


def _format(config: Config) -> tuple[str, str]:
    """Encoding and commitment. A dataSlice is read, and has no effect on notifications: so it is at Agave."""
    config.data_slice()
    return config.choice("encoding", encoding.ACCOUNT_ENCODINGS, "binary"), config.commitment()


def _signature(params: Params) -> Wanted:
    wanted = bytes(params.signature(0))
    config = params.config(1)
    received = config.flag("enableReceivedNotification")
    return Wanted("signature", (wanted, config.commitment(), received), wanted, tells_reception=received)


def _logs(params: Params) -> Wanted:
    chosen = params.get(0)
    commitment = params.config(1).commitment()
    match chosen:
        case "all" | "allWithVotes":  # nobody votes here
            return Wanted("logs", (chosen, commitment))
        case {"mentions": [str(text)], **rest} if not rest:
            mentioned = address(text)
            return Wanted("logs", (mentioned, commitment), mentioned)
        case {"mentions": list(), **rest} if not rest:
            raise invalid_params("Invalid Request: Only 1 address supported")
    raise invalid_params("Invalid params: logs are of `all`, `allWithVotes` or {mentions: [address]}")


def _with_context(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"slot": slot}, "value": value}


def _tell_signature(subscription: _Subscription, slot: int, error: Any) -> None:
    if subscription.wanted.tells_reception:
        subscription.tell(_with_context(slot, "receivedSignature"))
    subscription.tell(_with_context(slot, {"err": error}))
