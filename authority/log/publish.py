"""The checkpoints that are given out: one for each epoch, with the cosignatures that witnesses made of it.

Beside them there is one for each commit of readings, which receipts lead to; witnesses are not asked about those.
"""

from __future__ import annotations

from collections.abc import Callable

from solders.keypair import Keypair
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authority.log import log
from authority.log.log import SignedCheckpoint
from authority.log.note import Cosignature, VerifierKey
from authority.store.base import table_of
from authority.store.log import Checkpoint, KeptCosignature, PublishedCheckpoint
from authority.store.rows import execute, insert_rows

Publish = Callable[[Session, int], SignedCheckpoint]
"""Signs the log as it stands and gives it out as an epoch's checkpoint."""


def publisher(network_id: bytes, key: Keypair) -> Publish:
    """How an authority publishes, with its receipt key."""
    return lambda session, epoch: publish(session, network_id, key, epoch)


def publish(session: Session, network_id: bytes, key: Keypair, epoch: int) -> SignedCheckpoint:
    """Sign the log as it stands, and keep the checkpoint as the epoch's; the one there is where it has not grown."""
    signed = log.checkpoint(session, network_id, key)
    if execute(session, _PUBLISHED_AT, {"at": signed.size}).scalar() is None:
        public = bytes(key)[32:]  # pubkey() computes it anew
        insert_rows(session, _published, ("size", "epoch", "public_key"), [(signed.size, epoch, public)])
    return signed


_published = table_of(PublishedCheckpoint)
_PUBLISHED_AT = select(_published.c.size).where(_published.c.size == bindparam("at"))


def newest(session: Session) -> tuple[SignedCheckpoint, bytes] | None:
    """The last published checkpoint and the key (32 bytes) that signed it; None before the first."""
    row = session.scalar(select(PublishedCheckpoint).order_by(PublishedCheckpoint.size.desc()).limit(1))
    signed = None if row is None else session.get(Checkpoint, row.size)
    if row is None or signed is None:
        return None
    return log.checkpoint_of(signed, log.network_id(session)), row.public_key


def note_of(session: Session, signed: SignedCheckpoint, key: bytes) -> bytes:
    """A checkpoint as a signed note: the receipt key's signature (its public key, 32 bytes), then the cosignatures."""
    note = signed.to_bytes(key)
    if signed.time is not None:
        return note  # an `AML1` of an earlier release
    kept = session.scalars(
        select(KeptCosignature).where(KeptCosignature.size == signed.size).order_by(KeptCosignature.witness)
    )
    lines = [Cosignature(row.time, row.signature).line(VerifierKey.parse(row.witness)) for row in kept]
    return note + "".join(lines).encode()
