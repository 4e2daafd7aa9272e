"""Passkeys (WebAuthn): what the browser is asked, and what of its answers is believed.

The authenticator proves that a person is there and verified; the key never leaves it, and works at this site's name
alone. Challenges are kept here, good once and for five minutes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from authority.log import log
from authority.people import secrets
from authority.people.errors import OnlyWayInError, PasskeyRefusedError, PasskeyUnknownError
from authority.store.persons import OidcLink, Passkey, PasskeyChallenge, Person

CHALLENGE_SECONDS = 300


@dataclass(frozen=True)
class Site:
    """The site as authenticators know it: its name, its domain, and the origin of its pages."""

    name: str
    domain: str
    origin: str


@dataclass(frozen=True)
class Asked:
    """What the browser gets: a name for the challenge, and the options for `navigator.credentials` as JSON."""

    ticket: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """A person's passkey, by a name for pages and addresses; times in Unix seconds."""

    name: str
    created_at: int
    last_used_at: int | None


def listed(session: Session, person_id: int) -> list[Kept]:
    """A person's passkeys, the first one first."""
    query = select(Passkey).where(Passkey.person_id == person_id).order_by(Passkey.created_at, Passkey.credential_id)
    return [Kept(_name(each), each.created_at, each.last_used_at) for each in session.scalars(query)]


def remove(session: Session, person_id: int, name: str, now: int) -> None:
    """Remove a person's passkey, which signs in no more; PasskeyUnknownError, OnlyWayInError. Logged."""
    person = session.get_one(Person, person_id, with_for_update=True)
    keys = list(session.scalars(select(Passkey).where(Passkey.person_id == person_id)))
    found = next((each for each in keys if _name(each) == name), None)
    if found is None:
        raise PasskeyUnknownError("you have no such passkey")
    linked = session.scalar(select(OidcLink.person_id).where(OidcLink.person_id == person_id)) is not None
    if len(keys) == 1 and person.password_hash is None and not linked:
        raise OnlyWayInError(
            "it is your only way in: add another passkey first, or ask for an invitation to set a password"
        )
    session.delete(found)
    session.flush()
    log.record_act(session, "passkey_removed", person.pseudonym, now, {"person": person.pseudonym})


def _name(key: Passkey) -> str:
    """A credential's id may be long, and is the authenticator's: this stands for it."""
    return hashlib.sha256(key.credential_id).hexdigest()[:32]


def ask_new(session: Session, site: Site, person: Person, now: int) -> Asked:
    """Ask a browser for a new passkey of this person."""
    have = session.scalars(select(Passkey.credential_id).where(Passkey.person_id == person.id))
    options = generate_registration_options(
        rp_id=site.domain,
        rp_name=site.name,
        user_id=person.handle,
        user_name=person.login,
        user_display_name=person.name,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in have],
    )
    return _keep(session, options.challenge, person.id, options_to_json(options), now)


def ask_sign_in(session: Session, site: Site, now: int) -> Asked:
    """Ask a browser for any passkey of this site."""
    options = generate_authentication_options(rp_id=site.domain, user_verification=UserVerificationRequirement.REQUIRED)
    return _keep(session, options.challenge, None, options_to_json(options), now)


def _keep(session: Session, challenge: bytes, person_id: int | None, options: str, now: int) -> Asked:
    session.execute(delete(PasskeyChallenge).where(PasskeyChallenge.expires_at <= now))
    ticket, kept = secrets.make()
    session.add(
        PasskeyChallenge(token_hash=kept, challenge=challenge, person_id=person_id, expires_at=now + CHALLENGE_SECONDS)
    )
    return Asked(ticket, json.loads(options))


def _take(session: Session, ticket: str, person_id: int | None, now: int) -> bytes:
    """The challenge of a ticket, which is used up by this."""
    found = session.get(PasskeyChallenge, secrets.kept(ticket), with_for_update=True)
    if found is None or found.expires_at <= now or found.person_id != person_id:
        raise PasskeyRefusedError
    session.delete(found)
    session.flush()
    return found.challenge


def add(session: Session, site: Site, person: Person, ticket: str, answer: dict[str, Any], now: int) -> None:
    """Keep a new passkey, as the browser made it; PasskeyRefusedError. Logged."""
    challenge = _take(session, ticket, person.id, now)
    try:
        verified = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.domain,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise PasskeyRefusedError from error
    if session.get(Passkey, verified.credential_id) is not None:
        raise PasskeyRefusedError
    session.add(
        Passkey(
            credential_id=verified.credential_id,
            person_id=person.id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            created_at=now,
        )
    )
    session.flush()
    log.record_act(session, "passkey_added", person.pseudonym, now, {"person": person.pseudonym})


def sign_in(session: Session, site: Site, ticket: str, answer: dict[str, Any], now: int) -> Person:
    """Whose passkey answered; PasskeyRefusedError."""
    challenge = _take(session, ticket, None, now)
    try:
        found = session.get(Passkey, base64url_to_bytes(str(answer["rawId"])), with_for_update=True)
        if found is None:
            raise PasskeyRefusedError
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.domain,
            expected_origin=site.origin,
            credential_public_key=found.public_key,
            credential_current_sign_count=found.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise PasskeyRefusedError from error
    found.sign_count, found.last_used_at = verified.new_sign_count, now
    return session.get_one(Person, found.person_id)
