"""Asking witnesses to cosign: C2SP tlog-witness (`add-checkpoint`) and tlog-cosignature (`cosignature/v1`, Ed25519).

A witness is configured as its submission prefix and its verifier key, `URL NAME+HASH+KEY`. It keeps the last checkpoint
that it saw, takes a new one only with the proof that it extends that one, and answers with its signature and the time.
Whoever finds enough cosignatures under a checkpoint knows that everybody is shown the same log.

Witnesses are asked in the background, each by itself and with a deadline: one that is down, slow or wrong delays
nothing and nobody.
"""

from __future__ import annotations

import base64
import http.client
import logging
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.deadline import hung_up_after
from authority.errors import AuthorityError
from authority.log import log, publish
from authority.log.log import SignedCheckpoint
from authority.log.note import COSIGNATURE, KEY_HASH_SIZE, Cosignature, NoteError, VerifierKey, signature_lines
from authority.store import Store
from authority.store.log import KeptCosignature
from edge_agent.wire.checkpoint import note_text, origin

LOG = logging.getLogger(__name__)
DEADLINE_SECONDS = 10.0
POLL_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
"""How long a witness that does not answer is left alone at most."""
MAX_ANSWER = 1 << 16
FUTURE_SECONDS = 300
"""How far a witness's clock may be ahead."""
CONFLICT = http.HTTPStatus.CONFLICT


class WitnessError(AuthorityError):
    """A witness of the log did not cosign a checkpoint."""


class WitnessInvalidError(WitnessError):
    """A setting does not name a witness: its URL, a space, and its verifier key."""

    code = "witness_invalid"


class WitnessRefusedError(WitnessError):
    """The witness does not cosign: it does not know the log, or the log does not extend what it saw."""

    code = "witness_refused"


class WitnessSilentError(WitnessError):
    """The witness gave no answer in time."""

    code = "witness_silent"


class WitnessWrongError(WitnessError):
    """The witness's answer holds no cosignature of its key."""

    code = "witness_wrong"


@dataclass(frozen=True)
class Witness:
    """Where a witness takes checkpoints (its submission prefix), and the key of its cosignatures."""

    url: str
    key: VerifierKey

    @classmethod
    def parse(cls, text: str) -> Witness:
        """Read `URL NAME+HASH+KEY`; a key that is written as a plain Ed25519 key is taken for cosignatures too."""
        url, _, key = text.strip().partition(" ")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise WitnessInvalidError(f"{text!r} must be a witness's URL, a space, and its verifier key")
        try:
            return cls(url.rstrip("/"), replace(VerifierKey.parse(key), kind=COSIGNATURE))
        except NoteError as error:
            raise WitnessInvalidError(f"the key of the witness at {url} cannot be read: {error}") from error


@dataclass(frozen=True)
class Answer:
    """A witness's answer: status, and what it said."""

    status: int
    body: bytes


Post = Callable[[str, bytes], Answer]
"""Sends a body to a URL and waits for the answer, within the deadline; OSError where there is none."""


def post(url: str, body: bytes, *, deadline: float = DEADLINE_SECONDS) -> Answer:
    """One request over HTTP or HTTPS. Redirects are not followed. OSError where there is no answer in time."""
    parts = urllib.parse.urlsplit(url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = made(parts.hostname or "", parts.port, timeout=deadline)
    try:
        headers = {"Content-Type": "application/octet-stream", "Connection": "close"}
        with hung_up_after(connection, deadline):
            connection.request("POST", parts.path or "/", body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(MAX_ANSWER))
    except (http.client.HTTPException, ValueError, AttributeError) as error:
        raise OSError(f"no answer: {error!r}") from error
    finally:
        connection.close()


def request_body(old: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """What `add-checkpoint` takes: the size that the witness has, the proof from it, an empty line, the signed note."""
    lines = [f"old {old}", *(base64.b64encode(value).decode() for value in proof), "", ""]
    return "\n".join(lines).encode() + checkpoint


def cosignature_in(answer: bytes, witness: Witness, text: bytes, now: int) -> Cosignature:
    """The witness's cosignature of a note's text; WitnessWrongError where the answer holds none."""
    try:
        for name, raw in signature_lines(answer.decode("utf-8")):
            if (name, raw[:KEY_HASH_SIZE]) != (witness.key.name, witness.key.key_hash):
                continue
            found = Cosignature.from_bytes(raw[KEY_HASH_SIZE:])
            if not found.verify(witness.key, text):
                raise WitnessWrongError(f"the cosignature of {witness.key.name} does not hold")
            if found.time > now + FUTURE_SECONDS:
                raise WitnessWrongError(f"the cosignature of {witness.key.name} is of the future")
            return found
    except (UnicodeDecodeError, NoteError) as error:
        raise WitnessWrongError(f"{witness.url} answered no signature lines: {error}") from error
    raise WitnessWrongError(f"{witness.url} answered without a cosignature of {witness.key.name}")


class Witnesses:
    """The witnesses of a log: asks each for its cosignature of the newest published checkpoint, and keeps it."""

    def __init__(self, store: Store, witnesses: Sequence[Witness], clock: Callable[[], int], send: Post = post) -> None:
        self._store, self._witnesses, self._clock, self._send = store, witnesses, clock, send

    def ask_all(self) -> dict[str, str]:
        """Ask every witness that has not cosigned the newest checkpoint, side by side; what became of it, by name."""
        found: dict[str, str] = {}
        threads = [
            threading.Thread(target=self._ask_and_tell, args=(each, found), daemon=True) for each in self._witnesses
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE_SECONDS)
        return dict(found)

    def _ask_and_tell(self, witness: Witness, found: dict[str, str]) -> None:
        try:
            asked = self.ask(witness)
            found[witness.key.name] = "cosigned" if asked else "has cosigned it already"
        except AuthorityError as error:
            found[witness.key.name] = f"{error} [{error.code}]"

    def ask(self, witness: Witness) -> bool:
        """Ask one witness; False where there is nothing to ask. WitnessError."""
        with self._store.read() as session:
            newest = publish.newest(session)
            if newest is None or self._has(session, witness, newest[0].size):
                return False
            checkpoint, key = newest
            query = select(func.max(KeptCosignature.size)).where(KeptCosignature.witness == str(witness.key))
            old = session.scalar(query.where(KeptCosignature.size <= checkpoint.size)) or 0
        for _ in range(2):
            answer = self._add(witness, checkpoint, key, old)
            if answer.status != CONFLICT:
                break
            try:
                size = int(answer.body.decode("ascii").strip())
            except ValueError:
                break
            if size == old or not 0 <= size <= checkpoint.size:
                break
            old = size
        if answer.status != http.HTTPStatus.OK:
            raise WitnessRefusedError(
                f"{witness.url} answered {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}",
            )
        text = note_text(origin(checkpoint.network_id), checkpoint.size, checkpoint.root)
        cosignature = cosignature_in(answer.body, witness, text, self._clock())
        with self._store.write() as session:
            if not self._has(session, witness, checkpoint.size):
                session.add(
                    KeptCosignature(
                        size=checkpoint.size,
                        witness=str(witness.key),
                        time=cosignature.time,
                        signature=cosignature.signature,
                    )
                )
        return True

    @staticmethod
    def _has(session: Session, witness: Witness, size: int) -> bool:
        return session.get(KeptCosignature, (size, str(witness.key))) is not None

    def _add(self, witness: Witness, checkpoint: SignedCheckpoint, key: bytes, old: int) -> Answer:
        with self._store.read() as session:
            proof = log.consistency_proof(session, old, checkpoint.size) if 0 < old < checkpoint.size else []
        body = request_body(old, proof, checkpoint.to_bytes(key))
        try:
            return self._send(f"{witness.url}/add-checkpoint", body)
        except OSError as error:
            raise WitnessSilentError(f"{witness.url} does not answer: {error}") from error

    def run(self, stop: threading.Event) -> None:
        """Ask for every published checkpoint until told to stop: a thread for each, so that none waits for another."""
        threads = [threading.Thread(target=self._follow, args=(each, stop), daemon=True) for each in self._witnesses]
        for thread in threads:
            thread.start()
        stop.wait()

    def _follow(self, witness: Witness, stop: threading.Event) -> None:
        pause = POLL_SECONDS
        while not stop.wait(pause):
            try:
                self.ask(witness)
                pause = POLL_SECONDS
            except AuthorityError as error:
                LOG.warning("%s", error)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception:
                LOG.exception("the witness at %s could not be asked", witness.url)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
