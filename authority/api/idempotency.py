"""The Idempotency-Key of every write of the API: what was answered first is answered again, and nothing is done twice.

As the IETF's draft has it (draft-ietf-httpapi-idempotency-key-header). A key is a token's own, or a person's at a
browser. The same key with another request is refused (422), and one whose request is still under way too (409). What
the gate, a limit or a fault kept from being done (401, 403, 429, 5xx) is not kept: it may be tried again. Answers may
hold secrets that are shown once, so they are kept sealed under a key of the home's, which no copy of the store has.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import Flask, Response, g, request
from sqlalchemy.exc import IntegrityError

from authority.app import App
from authority.people.errors import KeyInFlightError, KeyReusedError
from authority.people.kept_answers import KEPT_SECONDS, forget
from authority.people.roles import Principal
from authority.problems import problem
from authority.store.persons import KeptAnswer

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
SHORTEST, LONGEST = 8, 64
DEAD_SECONDS = 30
"""After so long a request that has no answer is taken for one whose process has died: the server ends others before."""
SAYS = (
    f"{SHORTEST} to {LONGEST} printable characters, new ones for each request. Sent again within "
    f"{KEPT_SECONDS // 3_600} hours, what was answered is not done again: the first answer is given again, with "
    "Idempotency-Replayed: true. After an answer of 5xx, or none, it may or may not have been done."
)
NOT_KEPT = (401, 403, 429)
"""What was refused before anything was looked at."""
_NONCE = 12


def first(app: App, who: Principal) -> Response | None:
    """What was answered to this request before; None where it is a new one, which is to be done now.

    A key that is none is refused (400). KeyReusedError, KeyInFlightError.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not SHORTEST <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        return problem(400, "malformed", f"the header {HEADER} has {SHORTEST} to {LONGEST} printable characters")
    whose = who.pseudonym if who.scopes is None else f"token {who.session}"
    under, asked, now = _hash(whose.encode(), key.encode()), _request(), app.clock()
    try:
        with app.store.write() as session:
            forget(session, now)
            known = session.get(KeptAnswer, under, with_for_update=True, populate_existing=True)
            if known is None:
                session.add(KeptAnswer(key_hash=under, person_id=who.person_id, request_hash=asked, at=now))
                session.flush()
            elif known.request_hash != asked:
                raise KeyReusedError
            elif known.status is not None:
                return _again(app, known)
            elif known.at > now - DEAD_SECONDS:
                raise KeyInFlightError
            else:
                known.at = now
    except IntegrityError as error:  # of two at once the other one was first
        raise KeyInFlightError from error
    g.kept_under = under
    return None


def install(flask: Flask, app: App) -> None:
    """Keep the answers. Called last: functions after a request run the last one first, and this sees what was made."""

    @flask.after_request
    def keep(response: Response) -> Response:
        under = g.pop("kept_under", None)
        if under is None:
            return response
        with app.store.write() as session:
            row = session.get(KeptAnswer, under)
            if row is None:
                return response
            if response.status_code in NOT_KEPT or response.status_code >= 500 or response.is_streamed:
                session.delete(row)
            else:
                row.status, row.content_type = response.status_code, response.content_type
                row.sealed = _seal(app, under, response.get_data())
        return response


def _again(app: App, known: KeptAnswer) -> Response:
    sealed = known.sealed or b""
    try:
        body = AESGCM(_key(app)).decrypt(sealed[:_NONCE], sealed[_NONCE:], known.key_hash)
    except (InvalidTag, ValueError) as error:  # the home's key is another one now
        raise KeyReusedError from error
    return Response(body, known.status, {REPLAYED: "true"}, content_type=known.content_type)


def _seal(app: App, under: bytes, body: bytes, random: Callable[[int], bytes] = os.urandom) -> bytes:
    nonce = random(_NONCE)
    return nonce + AESGCM(_key(app)).encrypt(nonce, body, under)


def _key(app: App) -> bytes:
    return hmac.digest(app.home.tickets_key, b"campus kept answers", "sha256")


def _request() -> bytes:
    """What a request asks for: its method, its address and its body, to the byte."""
    return _hash(request.method.encode(), request.full_path.encode(), request.mimetype.encode(), request.get_data())


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
