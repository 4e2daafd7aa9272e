"""Passwords: what is taken, how it is kept (Argon2id), and what happens after wrong ones.

Wrong passwords are counted for a login whether or not anybody has it, and a hash is computed either way, so an answer
tells nobody who takes part. What is counted is the password alone: a passkey still signs in.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading

import argon2
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authority.log import log
from authority.people import records
from authority.people.errors import PasswordWeakError, PasswordWrongError, SignInClosedError, SignInRefusedError
from authority.people.records import as_login
from authority.store import Store
from authority.store.persons import FailedSignIn, Person

SHORTEST, LONGEST = 12, 128
FREE_TRIES = 5
"""Wrong passwords in a row that cost nothing; each one beyond doubles the time for which the login is closed."""
FIRST_CLOSED_SECONDS, LONGEST_CLOSED_SECONDS = 60, 3600
FORGET_SECONDS = 86_400

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's least for Argon2id
_AT_ONCE = threading.BoundedSemaphore(2)
"""Hashes that are computed at once: each takes 19 MiB and a core."""
_NOBODYS = _HASHER.hash("the password of nobody at all")


def require_strong(password: str, person: Person) -> None:
    """PasswordWeakError for what is too short, too long, or easily guessed from the person or the keyboard."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordWeakError(f"a password has {SHORTEST} to {LONGEST} characters; a few words together do well")
    plain = password.casefold()
    known = [person.login, person.login.partition("@")[0], *person.name.casefold().split(), "password", "campus"]
    left = plain
    for word in known:
        if len(word) > 2:
            left = left.replace(word, "")
    if len(set(plain)) < 5 or len(left) < SHORTEST // 2 or _in_a_row(plain):
        raise PasswordWeakError("this password is easily guessed: take a few words that have nothing to do with you")


def _in_a_row(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(text)}
    return len(steps) == 1


def hashed(password: str) -> str:
    """Argon2id's encoded hash."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def _matches(encoded: str, password: str) -> bool:
    with _AT_ONCE:
        try:
            return _HASHER.verify(encoded, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def check(store: Store, login: str, password: str, now: int) -> int:
    """The id of the person who signs in so; SignInRefusedError, or SignInClosedError after too many wrong ones."""
    login = as_login(login)
    key = hashlib.sha256(login.encode("utf-8", "surrogatepass")).digest()
    with store.write() as session:
        _require_open(session, key, now)
        person = session.scalar(select(Person).where(Person.login == login))
        found = None if person is None or person.password_hash is None else (person.id, person.password_hash)
    right = _matches(found[1] if found else _NOBODYS, password[: LONGEST + 1])
    with store.write() as session:
        if found is None or not right:
            _there(session, key, now)
        failed = _require_open(session, key, now)  # others may have tried meanwhile
        if found is not None and right:
            session.execute(delete(FailedSignIn).where(FailedSignIn.login_hash == key))
            return found[0]
        _count(session, failed, key, now)
    raise SignInRefusedError


def change(store: Store, person_id: int, current: str, new: str, *, besides: str, now: int) -> None:
    """Give a person a new password in place of its current one, and end its sessions but for this one. Logged.

    PasswordWrongError, or SignInClosedError after too many wrong ones; PasswordWeakError. It counts as signing in does,
    so that an open browser is no place to guess at.
    """
    with store.read() as session:
        person = session.get_one(Person, person_id)
        login, before = person.login, person.password_hash
        require_strong(new, person)
    if new == current:
        raise PasswordWeakError("this is the password that you have: take another one")
    try:
        check(store, login, current, now)
    except SignInRefusedError:
        raise PasswordWrongError from None
    encoded = hashed(new)
    with store.write() as session:
        person = session.get_one(Person, person_id, with_for_update=True)
        if person.password_hash != before:  # an invitation was accepted meanwhile
            raise PasswordWrongError
        person.password_hash = encoded
        records.end_all(session, person, now, besides=besides)
        log.record_act(session, "password_changed", person.pseudonym, now, {"person": person.pseudonym})


def _there(session: Session, key: bytes, now: int) -> None:
    """Have a row to lock: of two first wrong tries at once the second one waits for the first, and counts on."""
    if session.get(FailedSignIn, key) is None:
        with contextlib.suppress(IntegrityError), session.begin_nested():
            session.add(FailedSignIn(login_hash=key, count=0, last_at=now, closed_until=0))


def _require_open(session: Session, key: bytes, now: int) -> FailedSignIn | None:
    failed = session.get(FailedSignIn, key, with_for_update=True)
    if failed is not None and 0 < failed.closed_until - now <= LONGEST_CLOSED_SECONDS:  # beyond, the clock went back
        raise SignInClosedError(failed.closed_until - now)
    return failed


def _count(session: Session, failed: FailedSignIn | None, key: bytes, now: int) -> None:
    session.execute(delete(FailedSignIn).where(FailedSignIn.last_at < now - FORGET_SECONDS))
    before = 0 if failed is None or failed.last_at < now - FORGET_SECONDS else failed.count
    count, closed = before + 1, 0
    if count > FREE_TRIES:
        closed = now + min(FIRST_CLOSED_SECONDS << min(count - FREE_TRIES - 1, 16), LONGEST_CLOSED_SECONDS)
    session.merge(FailedSignIn(login_hash=key, count=count, last_at=now, closed_until=closed))
