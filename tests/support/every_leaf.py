"""All that the log says, for tests that look for words which must not be in it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from authority.log import log


def every_leaf(session: Session) -> bytes:
    """The bytes of all leaves, one after the other."""
    leaves = list(log.leaves(session, 0, log.size(session)))
    assert len(leaves) == log.size(session)
    return b"".join(leaf.data for leaf in leaves)
