"""The log for whoever watches it, C2SP tlog-tiles: `/checkpoint`, `/tile/...`, `/log.pub`; entries for auditors alone.

Hashes say nothing of any reading, so they are for all; `/tile/entries/...` holds every reading and act, and takes
`Authorization: Bearer` with what stands in HOME/keys/auditor-token. A tile never changes, and no partial one either,
for its width is in its name: both may be kept for ever. The checkpoint is the last epoch's, with its cosignatures.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from authority.errors import OutOfRangeError
from authority.log import log, note, publish
from authority.log.merkle import HASH_SIZE
from authority.log.tiles import MAX_LEVEL, TILE_WIDTH, Tile, entry_bundle, parse_position
from authority.log.tree import TileReader
from authority.problems import problem
from authority.store import Store
from edge_agent.wire.checkpoint import origin

FOR_EVER = "max-age=31536000, immutable"
OCTETS = "application/octet-stream"
RETRY_SECONDS = 5


@dataclass(frozen=True)
class ServedLog:
    """Whose log it is, and what an auditor shows to read its entries."""

    store: Store
    auditor_token: str


def blueprint(served: ServedLog) -> Blueprint:
    """The log's resources, below no prefix."""
    made = Blueprint("log", __name__)

    @made.errorhandler(SQLAlchemyError)
    def later(_: SQLAlchemyError) -> Response:
        return problem(503, "store_unavailable", "the store does not answer", retry_after=RETRY_SECONDS)

    @made.get("/checkpoint")
    def checkpoint() -> Response:
        """The last published checkpoint, a signed note."""
        with served.store.read() as session:
            newest = publish.newest(session)
            if newest is None:
                return _nothing("no checkpoint was published yet: one is with each epoch")
            text = publish.note_of(session, *newest)
        return Response(text, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})

    @made.get("/log.pub")
    def key() -> Response:
        """The key of its signature, as tools for signed notes take it."""
        with served.store.read() as session:
            newest = publish.newest(session)
        if newest is None:
            return _nothing("no checkpoint was published yet: one is with each epoch")
        signed, public_key = newest
        text = f"{note.VerifierKey(origin(signed.network_id), public_key)}\n"
        return Response(text, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})

    @made.get("/tile/<level>/<path:place>")
    def tile(level: str, place: str) -> Response:
        """Hashes of the tree."""
        position = parse_position(place)
        if position is None or not level.isdecimal() or str(int(level)) != level or int(level) > MAX_LEVEL:
            return _nothing("this names no tile")
        with served.store.read() as session:
            try:
                hashes = TileReader(session).read(Tile(int(level), *position))
            except OutOfRangeError as error:
                return _nothing(str(error))
        return Response(hashes, content_type=OCTETS, headers={"Cache-Control": f"public, {FOR_EVER}"})

    @made.get("/tile/entries/<path:place>")
    def entries(place: str) -> Response:
        """Leaves, for auditors."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {served.auditor_token}".encode()):
            answer = problem(401, "token_needed", "the log's entries are for auditors: docs/OPERATIONS.md")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        position = parse_position(place)
        if position is None:
            return _nothing("this names no entries")
        with served.store.read() as session:
            try:
                data = _entries(session, *position)
            except ValueError as error:
                return problem(409, "entry_too_large", f"{error}: take a bundle, authority audit export --bundle")
        if data is None:
            return _nothing("the log has no such entries yet")
        return Response(data, content_type=OCTETS, headers={"Cache-Control": f"private, {FOR_EVER}"})

    return made


def _entries(session: Session, position: int, width: int) -> bytes | None:
    """A bundle of entries; None where the log is not so long. Only leaves whose hashes are the tree's are given out."""
    first = position * TILE_WIDTH
    leaves = [leaf.data for leaf in log.leaves(session, first, first + width)]
    if len(leaves) != width or len(TileReader(session).tile(0, position)) < width * HASH_SIZE:
        return None
    return entry_bundle(leaves)


def _nothing(message: str) -> Response:
    return problem(404, "not_found", message)
