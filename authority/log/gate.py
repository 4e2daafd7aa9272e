"""The one gate into the log, which forgets nothing: text of an act passes only in a form that names nobody.

Numbers, booleans and nothing pass anywhere. Text passes where its field is known here, as a digest, a key, a signature,
a pseudonym, a date, or a word of the field's own vocabulary; everything else is refused, before anything is written.
A reason, which a person has typed, stays in the store: the log has the SHA-256 of a salt and of it. The reasons alone
that are printed on bills are in the log itself, for whoever makes a bill again from it needs them; those name nobody
that the store knows (authority.log.nameless). Whoever acts at the machine itself, and gateways, whose names are those
of people and of buildings, are pseudonyms whose names the store has (LogName), and forgets.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from solders.pubkey import Pubkey
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from authority.errors import AuthorityError
from authority.log.nameless import require_nameless
from authority.store.base import table_of
from authority.store.log import Act, ActWords, LogName

Random = Callable[[int], bytes]

GATEWAY, OPERATOR = "gateway", "operator"
"""Kinds of names that pseudonyms of the log stand for."""
REASON, DIGEST = "reason", "reason_sha256"
SALT_BYTES, PSEUDONYM_BYTES = 16, 8

SERVICES = frozenset({"authority", "collector", "demo", "operator", "settlement", "simulation"})
"""Who acts and is nobody: the parts of the service."""
ON_BILLS = frozenset({"bill_corrected", "consumption_estimated", "estimate_withdrawn"})
"""Acts whose reasons are printed on bills."""

OWN_REASONS = (
    "a simulated exchange",
    "a simulated move",
    "asked for by the member",
    "credits above the limit",
    "the chain has it: its release was lost, and is logged again",
    "the meter is on the chain now",
    "the meter was reset",
)
"""What the service itself says, and nobody types."""

_ACTOR = re.compile(r"(?:person|operator)-[0-9a-f]{1,16}")
_HEX = re.compile(r"(?:[0-9a-f]{2}){8,64}")
_KEY = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_SIGNATURE = re.compile(r"[1-9A-HJ-NP-Za-km-z]{64,88}")
_PERSON = re.compile(r"person-[0-9a-f]{1,16}")
_GATEWAY = re.compile(r"gateway-[0-9a-f]{16}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_PAGE = re.compile(r"[a-z]+(?:[ _-][a-z]+){0,6}")
_COSIGNATURE = re.compile(r"— \S+ [A-Za-z0-9+/]+={0,2}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

Form = Callable[[str], object]


def _words(*words: str) -> Form:
    return frozenset(words).__contains__


@lru_cache(maxsize=4_096)
def _is_key(text: str) -> bool:
    if not _KEY.fullmatch(text):
        return False
    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True


def _either(*forms: Form) -> Form:
    return lambda text: any(form(text) for form in forms)


_hex, _signature, _person = _HEX.fullmatch, _SIGNATURE.fullmatch, _PERSON.fullmatch
_CHAIN_EVENTS = (
    "AuthorityChanged", "AuthorityProposed", "BillingPeriodOpened", "Checkpointed", "ClearingTriggered",
    "CreditIssued",
    "CreditRedeemed", "DelegateChanged", "Deposited", "EnergyAccountOpened", "EnergyMintedToSeat", "EnergyRetired",
    "EpochCleared", "EpochOpened", "EpochRefunded", "EpochSettled", "FeeAccountChanged", "FeesWithdrawn",
    "IdleMeterSettled", "Initialized", "InstallationFollowed", "InstallationRegistered", "InstallationStaged",
    "LateWithdrawalBooked", "MarketInitialized", "MeterKeyReplaced", "MeterMapChanged", "MeterOpened",
    "MeterReassigned",
    "MeterRebased", "MeterRegistered", "MeterStatusChanged", "OperatorChanged", "ParametersStaged", "PauseChanged",
    "ReadingAccepted", "SurplusSettled", "UserRegistered", "UserRoleChanged", "UserStatusChanged", "WalletProposed",
    "WalletReplaced", "Withdrawn",
)  # fmt: skip
_METER_ROLES = ("building", "generation", "storage", "load", "grid", "submeter")
_PEOPLES_ROLES = ("member", "delegate", "operator", "treasurer", "auditor", "authority", "consumer", "prosumer")
_PROGRAMS = ("energy_token", "governance", "oracle", "registry", "trading")

FORMS: Mapping[str, Form] = {
    **dict.fromkeys(
        (
            "after", "before", "book_hash", "bundle", "certificate", "device", "digest", "enrolment", "key",
            "last_root", "link",
            "map_hash", "meter_id", "meters", "pins", "plan", "previous", "proposal", "record", "root", "seen",
            "session", "sha256", "token", "webhook", DIGEST, *_PROGRAMS,
        ),
        _either(_hex, _is_key),
    ),
    **dict.fromkeys(
        (
            "address", "authority", "delegate", "from", "meter", "next", "operator", "pending",
            "wallet",
        ),
        _either(_is_key, _person),
    ),
    "act": _words("deposit", "withdraw", "give"),
    "asset": _words("energy", "credit"),
    "audience": _words("everybody", "members", "building"),
    "code": _words(
        "ok", "malformed", "unknown_meter", "bad_signature", "wrong_network", "forked", "sequence_gap",
        "meter_inactive",
        "interval_not_aligned", "interval_in_future", "register_decreased", "register_not_permitted",
        "source_mismatch",
        "exceeds_nameplate", "exceeds_storage", "implausible_for_sun_or_wind", "clock_unsynchronised", "not_on_chain",
    ),
    "cosignatures": _COSIGNATURE.fullmatch,
    "date": _DAY.fullmatch,
    "error": _words(
        "WrongKey", "RecordMagic", "RecordNetwork", "SequenceBelowFirst", "SequenceTooFar", "PreviousHash",
        "IntervalNotRising", "IntervalNotAligned", "RegisterDecreased", "RegisterNotPermitted",
        "ExceedsNameplate", "ExceedsStorage", "SourceMismatch", "UnknownFlags",
    ),
    "events": _words("bill_issued", "order_filled", "epoch_cleared", "meter_silent", *_CHAIN_EVENTS),
    "gateway": _GATEWAY.fullmatch,
    "kind": _words(
        "parameters", "operator", "handover", "upgrade", "erase", "unmask", "credits", "appoint",
        "correction", "member", "meter", "meter_key",
        "meter_map",
        "meter_status", "user", "installation",
    ),
    "last_dropped": _signature,
    "outcome": _words("settled", "corrected"),
    "paused": _words("registration", "readings", "settlement", "orders", "clearing", "credit", "retirement"),
    "person": _person,
    "pseudonym": _either(_is_key, _person, _GATEWAY.fullmatch, _ACTOR.fullmatch),
    "program": _words(*_PROGRAMS),
    REASON: _words("", "consumption", "feed_in", "energy", "price", "missing", "not_mine", "other", *OWN_REASONS),
    "role": _words(*_METER_ROLES, *_PEOPLES_ROLES),
    "scopes": _words(
        "energy:read", "money:read", "trading:write", "money:write", "operations:read", "billing:read",
        "audit:read", "audit:run",
    ),
    "side": _words("bid", "ask"),
    "signature": _signature,
    "source": _words("none", "solar", "wind", "hydro", "other"),
    "status": _words("active", "suspended", "closed"),
    "subject": _either(_words("everybody"), _is_key, _person, _GATEWAY.fullmatch, _ACTOR.fullmatch),
    "to": _either(_words("kept here"), _is_key),
    "via": _words("page", "command", "link", "oidc", "password", "passkey", "invitation"),
    "what": _PAGE.fullmatch,
}  # fmt: skip
"""What text each field of an act may have. `what` is a page's own word, which its code has (the
vocabulary of all pages is theirs), or the table of what was proposed."""

WITHIN = frozenset(
    {
        "amount", "bill", "changes", "charge", "consumption", "discharge", "first_sequence", "from_epoch", "generation",
        "line",
        "programs", "replaces", "size",
        "grace_seconds", "clock_skew_seconds", "nameplate_tolerance_bps", "storage_efficiency_bps", "feed_in_price",
        "retail_price", "wheeling", "fee_bps", "min_order_wh", "max_order_wh", "max_orders_per_member",
        "cancel_cutoff_seconds", "min_reference_volume_wh", "billing_period_epochs", "netting_epochs",
    }
)  # fmt: skip
"""The names of numbers in an act's tables: registers, the market's parameters, what was proposed."""


class NamesPossiblyError(AuthorityError):
    """An act with text that could name somebody: its field has no such form."""

    code = "act_not_nameless"

    def __init__(self, kind: str, field: str) -> None:
        super().__init__(f"the act {kind} has text in {field} that could name somebody: nothing of it is logged")


class Passed(NamedTuple):
    """An act as it may be logged, and what the store keeps for it: the salt and the words of its reason."""

    data: Mapping[str, object]
    salt: bytes = b""
    words: str = ""


def passed(session: Session, kind: str, data: Mapping[str, object], random: Random = os.urandom) -> Passed:
    """An act's data as the log may have them. NamesPossiblyError, and NamesSomebodyError for a reason on a bill."""
    if not _NAME.fullmatch(kind):
        raise NamesPossiblyError(kind, "its kind")
    reason = data.get(REASON, "")
    if not isinstance(reason, str) or FORMS[REASON](reason):
        _check(kind, data)
        return Passed(data)
    rest = {name: value for name, value in data.items() if name != REASON}
    _check(kind, rest)
    if kind in ON_BILLS:
        require_nameless(session, reason)
        return Passed(data)
    salt = random(SALT_BYTES)
    return Passed({**rest, DIGEST: reason_digest(salt, reason)}, salt, reason)


def reason_digest(salt: bytes, words: str) -> str:
    """What the log has of a reason, hex."""
    return hashlib.sha256(salt + words.encode()).hexdigest()


def _check(kind: str, data: Mapping[str, object]) -> None:
    for name, value in data.items():
        if not _NAME.fullmatch(name):
            raise NamesPossiblyError(kind, "the name of a field")
        _check_value(kind, name, value)


def _check_value(kind: str, name: str, value: object) -> None:
    if value is None or isinstance(value, int):
        return
    if isinstance(value, str):
        form = FORMS.get(name)
        if form is None or not form(value):
            raise NamesPossiblyError(kind, name)
    elif isinstance(value, Mapping):
        for each in value:
            if each not in FORMS and each not in WITHIN:
                raise NamesPossiblyError(kind, f"the names within {name}")
        _check(kind, value)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_value(kind, name, each)
    else:
        raise NamesPossiblyError(kind, name)


@lru_cache(maxsize=256)
def _is_nobody(actor: str) -> bool:
    return actor in SERVICES or _ACTOR.fullmatch(actor) is not None


def actor_of(session: Session, actor: str) -> str:
    """Who acts, as the log may have it: a pseudonym, or a part of the service. A login is given a pseudonym."""
    return actor if _is_nobody(actor) else pseudonym(session, OPERATOR, actor)


def gateway_of(session: Session, name: str, random: Random = os.urandom) -> str:
    """What the log calls a gateway."""
    return pseudonym(session, GATEWAY, name, random)


_names = table_of(LogName)


def pseudonym(session: Session, kind: str, name: str, random: Random = os.urandom) -> str:
    """What the log calls somebody or something, made where it has none yet; call it under the log's lock."""
    known: str | None = session.scalar(select(_names.c.pseudonym).where(_names.c.kind == kind, _names.c.name == name))
    if known is not None:
        return known
    made = f"{kind}-{random(PSEUDONYM_BYTES).hex()}"
    session.execute(insert(_names).values(pseudonym=made, kind=kind, name=name))
    return made


def name_of(session: Session, text: str) -> str | None:
    """The name behind a pseudonym of a gateway, or of who acted at the machine; None where the store knows none."""
    return session.scalar(select(LogName.name).where(LogName.pseudonym == text))


def is_gateway(session: Session, said: object, name: str) -> bool:
    """Whether an act's gateway is this one: by its pseudonym, or by its name as earlier releases logged it."""
    return said == name or (isinstance(said, str) and name_of(session, said) == name)


def words_of(session: Session, act: Act) -> str:
    """The reason of an act, as far as the store has it; earlier releases logged the words themselves."""
    kept = session.get(ActWords, act.log_index)
    return kept.words if kept is not None else str(act.data.get(REASON, ""))
