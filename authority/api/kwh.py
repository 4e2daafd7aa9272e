"""The proof of a span of one member's energy, for anybody who has the link: what a browser checks at `/kwh/...`.

The document (docs/PROTOCOL.md, "The proof of a kWh") holds the member's signed readings of the span, where they stand
in the log, the log's signed checkpoint, the accounts that pin it and that know the meters' keys, and the energy that is
claimed. It names no person and no building: meters go by their pseudonyms. Energies are Wh, times Unix seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain import programs
from authority.chain.accounts import EpochCheckpoint, KeyUse
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.errors import AuthorityError
from authority.log import log, merkle, publish
from authority.log.log import LEAF_READING, SignedCheckpoint
from authority.log.reading_leaf import FRAME_AT
from authority.people.proof_links import OpenLink, check_span
from authority.settlement import day_sums, member_meters
from authority.store.log import Checkpoint, PublishedCheckpoint
from authority.store.metering import PASSED, Frame, Meter
from authority.store.settlement import SettledSpan
from edge_agent.wire.reading import RECORD_SIZE, record_hash

FORMAT = "campus-kwh-1"
MOST_READINGS = 512
PIN_SIZE = 56
"""Of an EpochCheckpoint: discriminator, version and bump, epoch, log size and log root (EpochCheckpoint.FORMAT)."""
KEY_USE_SIZE = 48
"""Of a KeyUse: discriminator, version and bump, meter id (KeyUse.FORMAT)."""


class ProofMissingError(AuthorityError):
    """There is nothing to prove: readings are missing, too many at once, or no checkpoint covers them yet."""

    code = "proof_missing"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a link would show: how many readings of how many meters, and between which boundaries."""

    meters: int
    readings: int
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Covering:
    """A signed checkpoint, the key that signed it, and the epoch that pins it (None: it was not published)."""

    signed: SignedCheckpoint
    key: bytes
    epoch: int | None


class Proofs:
    """Makes the documents over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client

    def disclosure(self, member_id: int, starts_at: int, ends_at: int) -> Disclosure:
        """What a link to that span, as far as it has passed, would show; ProofMissingError, ProofLinkInvalidError."""
        now = self._app.clock()
        ends_at = min(ends_at, now)
        check_span(starts_at, ends_at, now)
        with self._app.store.read() as session:
            _, its = self._heard(session, member_id, starts_at, ends_at)
        boundaries = day_sums.common_boundaries(its)
        return Disclosure(len(its), sum(map(len, its.values())), boundaries[0], boundaries[-1])

    def document(self, link: OpenLink) -> dict[str, Any]:
        """The proof behind a link; ProofMissingError. Accounts are null where the validator does not answer."""
        with self._app.store.read() as session:
            roles, its = self._heard(session, link.member_id, link.starts_at, link.ends_at)
            boundaries = day_sums.common_boundaries(its)
            claim = functools.reduce(day_sums.add, (piece.flows for piece in day_sums.common_spans(roles, its)), None)
            if claim is None:
                raise ProofMissingError("a register was reset in this time, so nothing can be said of its energy")
            meters = session.scalars(select(Meter).where(Meter.id.in_(its)).order_by(Meter.id)).all()
            leaves = _leaves(session, its, boundaries[0], boundaries[-1])
            listed = [
                (place, leaves[meter.id, end])
                for place, meter in enumerate(meters)
                for end in sorted(its[meter.id])
                if boundaries[0] <= end <= boundaries[-1]
            ]
            cover = covering(session, max(leaf for _, leaf in listed))
            readings = _readings(session, listed, cover.signed.size)
            minted = session.scalars(
                select(SettledSpan.minted_wh).where(
                    SettledSpan.wallet == link.wallet,
                    SettledSpan.boundary > boundaries[0],
                    SettledSpan.boundary <= boundaries[-1],
                )
            ).all()
        keys = sorted({(reading["meter"], reading["frame"][2 * RECORD_SIZE :][:64]) for reading in readings})
        wanted = [programs.key_use_address(bytes.fromhex(key)) for _, key in keys]
        accounts = _accounts(self._client, wanted)
        note = cover.signed.to_bytes(cover.key).decode()
        return {
            "format": FORMAT,
            "network_id": self._app.home.network_id.hex(),
            "starts_at": boundaries[0],
            "ends_at": boundaries[-1],
            "zone": self._app.home.settings.site.zone,
            "meters": [{"meter_id": meter.meter_id.hex(), "role": meter.role} for meter in meters],
            "unheard": len(roles) - len(its),
            "readings": readings,
            "keys": [
                {
                    "meter": place,
                    "key": key,
                    "program": str(programs.PROGRAM_IDS[KeyUse.PROGRAM]),
                    "address": str(address),
                    "account": _start(accounts[address], KEY_USE_SIZE),
                }
                for (place, key), address in zip(keys, wanted, strict=True)
            ],
            "checkpoint": {"note": note, "key": cover.key.hex()},
            "pin": pin_of(cover, self._client),
            "claim": claim._asdict(),
            "minted_wh": sum(minted) if minted else None,
        }

    def _heard(
        self, session: Session, member_id: int, starts_at: int, ends_at: int
    ) -> tuple[member_meters.Roles, day_sums.Readings]:
        """The member's meters that count, and the readings of those that were heard; ProofMissingError."""
        counted = member_meters.settling(session, member_id)
        roles = {pk: each for pk, each in counted.items() if each.awaited(starts_at, ends_at)}
        its = day_sums.readings(session, roles, starts_at, ends_at, self._app.home.settings.epoch.seconds)
        if len(day_sums.common_boundaries(its)) < 2:
            raise ProofMissingError("there are no readings of this member at two boundaries in this time")
        if sum(map(len, its.values())) > MOST_READINGS:
            raise ProofMissingError(f"a proof has {MOST_READINGS} readings at most: choose a shorter time")
        return roles, its


def pin_of(cover: Covering, client: Callable[[], ChainClient]) -> dict[str, Any] | None:
    """What a proof has of the account that pins a checkpoint; None where no epoch has pinned it as yet."""
    if cover.epoch is None:
        return None
    address = programs.checkpoint_address(cover.epoch)
    return {
        "epoch": cover.epoch,
        "program": str(programs.PROGRAM_IDS[EpochCheckpoint.PROGRAM]),
        "address": str(address),
        "account": _start(_accounts(client, [address])[address], PIN_SIZE),
    }


def _accounts(client: Callable[[], ChainClient], addresses: Sequence[Pubkey]) -> Mapping[Pubkey, bytes | None]:
    """The accounts' data; None where there is none, or the validator does not answer."""
    asking = client()
    try:
        found = asking.raw_accounts(addresses, PIN_SIZE)
    except ChainError:
        return dict.fromkeys(addresses)
    finally:
        asking.close()
    return {
        address: None if account is None else bytes(account.data)
        for address, account in zip(addresses, found, strict=True)
    }


def _start(data: bytes | None, size: int) -> str | None:
    """The beginning of an account's data in hex; None for one that is not there or shorter."""
    return None if data is None or len(data) < size else data[:size].hex()


def _leaves(session: Session, its: day_sums.Readings, begin: int, end: int) -> dict[tuple[int, int], int]:
    """Where the log has the readings that count, by meter and boundary: a later one in an earlier one's place."""
    boundaries = {at for records in its.values() for at in records if begin <= at <= end}
    rows = session.execute(
        select(Frame.meter_pk, Frame.interval_end, Frame.log_index).where(
            Frame.interval_end.in_(boundaries), Frame.meter_pk.in_(its), Frame.disposition.in_(PASSED)
        )
    )
    found: dict[tuple[int, int], int] = {}
    for pk, at, leaf in rows:
        found[pk, at] = max(leaf, found.get((pk, at), -1))
    return found


def covering(session: Session, last: int) -> Covering:
    """The first checkpoint over leaf `last` that an epoch pins; where there is none yet, the first that was signed."""
    row = session.execute(
        select(Checkpoint, PublishedCheckpoint)
        .join(PublishedCheckpoint, PublishedCheckpoint.size == Checkpoint.size)
        .where(Checkpoint.size > last, Checkpoint.time.is_(None))
        .order_by(Checkpoint.size)
        .limit(1)
    ).one_or_none()
    network_id = log.network_id(session)
    if row is not None:
        kept, published = row
        return Covering(log.checkpoint_of(kept, network_id), published.public_key, published.epoch)
    signed, newest = log.checkpoint_after(session, last, network_id), publish.newest(session)
    if signed is None or signed.time is not None or newest is None:
        raise ProofMissingError("no checkpoint covers these readings yet: come back in a quarter of an hour")
    return Covering(signed, newest[1], None)


def _readings(session: Session, listed: Sequence[tuple[int, int]], size: int) -> list[dict[str, Any]]:
    """Each reading's leaf in its two parts, and its inclusion path in the tree of `size` leaves."""
    node = functools.cache(log.nodes(session))
    found = []
    for place, index in listed:
        leaf = log.leaf(session, index)
        if leaf[0] != LEAF_READING:
            raise ProofMissingError(f"entry {index} of the log is no reading: tell the department")
        frame = leaf[FRAME_AT:]
        path = merkle.inclusion_proof(index, size, node)
        found.append(
            {
                "meter": place,
                "log_index": index,
                "record_hash": record_hash(frame[:RECORD_SIZE]).hex(),
                "head": leaf[:FRAME_AT].hex(),
                "frame": frame.hex(),
                "path": [each.hex() for each in path],
            }
        )
    return found
