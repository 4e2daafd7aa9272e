"""People who sign in: records that can be erased, apart from the log, which knows each by a pseudonym alone.

Secrets (invitations, sessions, tokens, challenges) are kept as SHA-256 of what was given out, so a copy of the store
lets nobody in.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from authority.store.base import Base, BigInt, CanonicalJson, Hash, Name, Seconds
from authority.store.people import User


class Person(Base):
    """Somebody who may sign in. pseudonym is what the log says in the place of the name.

    login is what is typed to sign in (lower case, such as an e-mail address); handle is the random id that
    authenticators keep a passkey under; password_hash is Argon2id's encoded hash, None where there is no password.
    language is that of its pages, mails and bills, None where it chose none.
    list_id is the person's key in a list of the campus's own, such as a tenancy's number: it stays when a name changes.
    Erasing deletes the row, and with it the link from the pseudonym to the person.
    """

    __tablename__ = "persons"
    __table_args__ = (Index("ix_persons_list_id", "list_id", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(32), unique=True)
    login: Mapped[str] = mapped_column(String(128), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    handle: Mapped[Hash] = mapped_column(unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[Seconds]
    list_id: Mapped[Name | None]
    language: Mapped[str | None] = mapped_column(String(8))


class PersonRole(Base):
    """A role of a person. member_id says whose member or delegate it is, until says when a delegate's part ends."""

    __tablename__ = "person_roles"

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[Name] = mapped_column(primary_key=True)
    member_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    until: Mapped[Seconds | None]
    granted_at: Mapped[Seconds]
    member: Mapped[User | None] = relationship()


class Invitation(Base):
    """A link that lets a person choose how to sign in, once and until it expires.

    enters: the link itself signs in, as often as wanted (the demonstration's links).
    """

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[Hash] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[Seconds]
    expires_at: Mapped[Seconds]
    used_at: Mapped[Seconds | None]
    withdrawn_at: Mapped[Seconds | None]
    enters: Mapped[bool] = mapped_column(default=False)


class InvitationMail(Base):
    """The mail of a person's invitation. state: `waiting` to be sent, `sent` (the relay took it) or `failed`.

    The link is made when the mail leaves, so it is nowhere kept. next_at: when it is tried (again); error: why the last
    try failed. The address is the person's login.
    """

    __tablename__ = "invitation_mails"
    __table_args__ = (Index("ix_invitation_mails_state_next_at", "state", "next_at"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[Name]
    asked_at: Mapped[Seconds]
    asked_by: Mapped[str] = mapped_column(String(64))
    next_at: Mapped[Seconds]
    tries: Mapped[int]
    sent_at: Mapped[Seconds | None]
    error: Mapped[str] = mapped_column(String(300))


class Passkey(Base):
    """A WebAuthn credential: its id as the authenticator gave it, its public key (COSE) and its counter."""

    __tablename__ = "passkeys"

    credential_id: Mapped[bytes] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    public_key: Mapped[bytes]
    sign_count: Mapped[int]
    created_at: Mapped[Seconds]
    last_used_at: Mapped[Seconds | None]


class PasskeyChallenge(Base):
    """A challenge that was given to a browser: for a person's new passkey, or (person_id None) for signing in."""

    __tablename__ = "passkey_challenges"

    token_hash: Mapped[Hash] = mapped_column(primary_key=True)
    challenge: Mapped[bytes]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[Seconds]


class PersonSession(Base):
    """A signed-in browser. id is its public name; via says how it began (password, passkey, invitation, link)."""

    __tablename__ = "person_sessions"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    token_hash: Mapped[Hash] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    via: Mapped[Name]
    browser: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[Seconds]
    seen_at: Mapped[Seconds]
    expires_at: Mapped[Seconds]
    ended_at: Mapped[Seconds | None]


class ProgramToken(Base):
    """A token with which a person's program reads or writes for it; scopes are words with a space between them."""

    __tablename__ = "program_tokens"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    token_hash: Mapped[Hash] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    name: Mapped[Name]
    scopes: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[Seconds]
    expires_at: Mapped[Seconds]
    last_used_at: Mapped[Seconds | None]
    ended_at: Mapped[Seconds | None]


class KeptAnswer(Base):
    """What the API answered to a write with an Idempotency-Key (authority.api.idempotency), or that it is under way.

    key_hash is of whose key it is and of the key, request_hash of what was asked for. status is None while it is under
    way; the body is sealed under a key of the home's. It goes with the person, and after two days.
    """

    __tablename__ = "kept_answers"

    key_hash: Mapped[Hash] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    request_hash: Mapped[Hash]
    at: Mapped[Seconds] = mapped_column(index=True)
    status: Mapped[int | None]
    content_type: Mapped[str | None] = mapped_column(String(64))
    sealed: Mapped[bytes | None]


class ProofLink(Base):
    """A link by which anybody checks a member's signed readings between two boundaries (Unix seconds), and no others.

    Who gave it out may end it; it goes with the person, and with the member's account.
    """

    __tablename__ = "proof_links"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    token_hash: Mapped[Hash] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    starts_at: Mapped[Seconds]
    ends_at: Mapped[Seconds]
    created_at: Mapped[Seconds]
    expires_at: Mapped[Seconds]
    ended_at: Mapped[Seconds | None]


class LeaveRequest(Base):
    """A person's wish to leave (authority.people.leave_requests); it goes with the person.

    user_id is its member account, where that ends with it. forfeit: energy that was bought and not used is given up.
    leaves_at is when the day begins before which nothing is done; None: as soon as it is approved.
    told is what stands in the way, or why it was refused. Moments are Unix seconds.
    """

    __tablename__ = "leave_requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    forfeit: Mapped[bool]
    leaves_at: Mapped[Seconds | None]
    state: Mapped[Name] = mapped_column(index=True)
    told: Mapped[str] = mapped_column(String(300))
    asked_at: Mapped[Seconds]
    decided_by: Mapped[Name | None]
    decided_at: Mapped[Seconds | None]
    ended_at: Mapped[Seconds | None]


class NoticeChoice(Base):
    """Whether a person wants mails of a kind (authority.people.notices); without a row it is as by default.

    least: of `credit_low`, below how many micro-credits it is told.
    """

    __tablename__ = "notice_choices"

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[Name] = mapped_column(primary_key=True)
    wanted: Mapped[bool]
    least: Mapped[BigInt | None]


class NoticeState(Base):
    """Something that a person is told of while it lasts: since when, told when, and when it was over (Unix seconds).

    A row goes when its end was told, or where nobody was told of its beginning. data is what the mail says of it.
    """

    __tablename__ = "notice_states"

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[Name] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    data: Mapped[dict[str, object]] = mapped_column(CanonicalJson)
    raised_at: Mapped[Seconds]
    told_at: Mapped[Seconds | None]
    over_at: Mapped[Seconds | None]


class NoticeMail(Base):
    """A person's mail of what changed, as InvitationMail: one at a time, and at most one a day (sent_at: the last)."""

    __tablename__ = "notice_mails"
    __table_args__ = (Index("ix_notice_mails_state_next_at", "state", "next_at"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[Name]
    asked_at: Mapped[Seconds]
    next_at: Mapped[Seconds]
    tries: Mapped[int]
    sent_at: Mapped[Seconds | None]
    error: Mapped[str] = mapped_column(String(300))


class FailedSignIn(Base):
    """Wrong passwords for one login, whether or not anybody has it: how many in a row, and until when it is closed.

    login_hash is SHA-256 of the login, so that what strangers type is not kept.
    """

    __tablename__ = "failed_sign_ins"

    login_hash: Mapped[Hash] = mapped_column(primary_key=True)
    count: Mapped[int]
    last_at: Mapped[Seconds]
    closed_until: Mapped[Seconds]


class LoggedRead(Base):
    """When a reading of somebody else's data was last put into the log, for each reader, kind and subject."""

    __tablename__ = "logged_reads"

    pseudonym: Mapped[str] = mapped_column(String(32), primary_key=True)
    what: Mapped[Name] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(44), primary_key=True)
    at: Mapped[Seconds]


class SentForm(Base):
    """A form whose act was done: sent again, by a reload or a second click, it does nothing."""

    __tablename__ = "sent_forms"

    token_hash: Mapped[Hash] = mapped_column(primary_key=True)
    at: Mapped[Seconds]


class OidcLink(Base):
    """Who a person is at the OpenID provider: a subject of an issuer. One for each person."""

    __tablename__ = "oidc_links"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), unique=True)
    linked_at: Mapped[Seconds]
    last_used_at: Mapped[Seconds]


class OidcSignIn(Base):
    """A browser that was sent to the OpenID provider: what its answer is checked by, and where it goes afterwards.

    state and the browser's cookie are kept as SHA-256; nonce and verifier are needed as they are.
    """

    __tablename__ = "oidc_sign_ins"

    state_hash: Mapped[Hash] = mapped_column(primary_key=True)
    browser_hash: Mapped[Hash]
    nonce: Mapped[Name]
    verifier: Mapped[Name]
    where: Mapped[str] = mapped_column(String(2048))
    expires_at: Mapped[Seconds]


class Proposal(Base):
    """A dangerous act that one person proposes and another one approves (authority.people.proposals).

    data says what is done; digest is SHA-256 of kind and data, by which the approver says what was looked at. state is
    waiting, approved, done, or how else it ended; told says why. expires_at: until when it may be approved, or, once
    approved, carried out. People are named by their pseudonyms.
    """

    __tablename__ = "proposals"
    __table_args__ = (Index("ix_proposals_state_kind", "state", "kind"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[Name]
    data: Mapped[dict[str, object]] = mapped_column(CanonicalJson)
    digest: Mapped[Hash]
    reason: Mapped[str] = mapped_column(String(200))
    state: Mapped[Name]
    told: Mapped[str] = mapped_column(String(300))
    proposed_by: Mapped[str] = mapped_column(String(64))
    proposed_at: Mapped[Seconds]
    expires_at: Mapped[Seconds]
    approved_by: Mapped[str | None] = mapped_column(String(64))
    approved_at: Mapped[Seconds | None]
    ended_by: Mapped[str | None] = mapped_column(String(64))
    ended_at: Mapped[Seconds | None]


class Webhook(Base):
    """Where a person's program is told of events of its member, and with which secret the messages are signed.

    The secret is kept, for every message is signed with it; it opens nothing here. events are words with a space
    between them. What is told comes after bill_after (a bill's number) and epoch_after. stopped_at: nothing was taken
    for so long that nothing is sent any more.
    """

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(String(512))
    events: Mapped[str] = mapped_column(String(255))
    secret: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[Seconds]
    bill_after: Mapped[BigInt]
    epoch_after: Mapped[BigInt]
    stopped_at: Mapped[Seconds | None]


class WebhookDelivery(Base):
    """One message to a webhook; subject makes it one of its own there. state: waiting, delivered or given_up.

    body is what is posted. next_at: when it is tried (again); told: why the last try failed.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "subject"),
        Index("ix_webhook_deliveries_state_next_at", "state", "next_at"),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    event: Mapped[Name]
    subject: Mapped[str] = mapped_column(String(128))
    body: Mapped[str]
    state: Mapped[Name]
    tries: Mapped[int]
    made_at: Mapped[Seconds]
    next_at: Mapped[Seconds]
    told: Mapped[str] = mapped_column(String(300))
