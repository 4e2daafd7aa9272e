"""History of the chain that its validator no longer has, out of bundles that the log names.

Two acts name a bundle by its hash: `chain_moved`, whose chain began anew on another validator, and `ledger_pruned`,
after which the validator keeps the newest part alone. A pruned validator's history begins within its bundle's, and both
are read as one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from authority.app import App
from authority.audit.bundle import Bundle
from authority.audit.history import Landed
from authority.audit.verify import ChainSource
from authority.errors import AuthorityError
from authority.log.restoration import CHAIN_MOVED, LEDGER_PRUNED
from authority.store.log import Act
from edge_agent.wire.files import sha256_of


class BundleOtherError(AuthorityError):
    """A bundle that does not hold the history that is missing: the log names another, or nothing is missing."""

    code = "bundle_other"


def with_earlier(app: App, chain: ChainSource, paths: Sequence[Path]) -> ChainSource:
    """The chain with the bundles' history first, in the order of the paths. BundleOtherError, BundleError."""
    if not paths:
        return chain
    digests = {path: sha256_of(path) for path in paths}
    with app.store.read() as session:
        acts = session.execute(select(Act.kind, Act.data).where(Act.kind.in_((CHAIN_MOVED, LEDGER_PRUNED)))).all()
    named = {str(data["bundle"]): kind for kind, data in acts}
    histories: list[Iterable[Landed]] = []
    for path, digest in digests.items():
        earlier = Bundle(path).chain()
        if digest not in named or earlier is None:
            raise BundleOtherError(f"{path} is not a bundle that the log says the chain's earlier history is in")
        histories.append(earlier.history)
    pruned = any(named[digest] == LEDGER_PRUNED for digest in digests.values())
    history = _one_after_the_other(itertools.chain(*histories), iter(chain.history), pruned=pruned)
    return replace(chain, history=history)


def where_it_is(app: App) -> str:
    """Where the history is that a pruned ledger lacks, as the end of a sentence; empty where none was pruned."""
    with app.store.read() as session:
        newest = select(Act.data).where(Act.kind == LEDGER_PRUNED).order_by(Act.log_index.desc()).limit(1)
        data = session.scalar(newest)
    if data is None:
        return ""
    return (
        f"; the ledger was pruned, and what is gone is in the bundle with SHA-256 {data['bundle']}: "
        "authority audit verify --before BUNDLE"
    )


def _one_after_the_other(earlier: Iterable[Landed], own: Iterator[Landed], *, pruned: bool) -> Iterator[Landed]:
    """The bundles' history, then the validator's own, which begins behind it or, where it was pruned, within it."""
    first = next(own, None)
    for landed in earlier:
        if first is not None and landed.signature == first.signature:
            if not pruned:
                raise BundleOtherError(
                    "the validator still has the history that the --before bundle holds, so the bundle is not of a "
                    "chain before it: leave --before out, or name the validator that the chain moved to"
                )
            break
        yield landed
    if first is not None:
        yield first
        yield from own
