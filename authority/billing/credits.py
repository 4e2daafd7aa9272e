"""Top-ups and payouts of credits, each booked once for a reference of the bank's, and once on the chain.

A top-up issues credits to a member who paid the department; a payout takes them back from a member whom the department
pays. The booking is kept, signed, before it leaves: after a crash the same command finds out what became of it. The log
has the act (`credit_issued`, `credit_redeemed`) with amount, wallet and transaction; the reference stays in the store,
for people write names into references.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select

from authority import typed
from authority.app import App
from authority.billing.bill import CREDIT_ISSUED, CREDIT_REDEEMED
from authority.billing.errors import (
    AmountInvalidError,
    BookingUndecidedError,
    CreditShortError,
    MemberUnknownError,
    MemberUnregisteredError,
    ReferenceInvalidError,
    ReferenceUsedError,
)
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import ProgramError, RpcError, TransactionFailedError
from authority.enrolment import wallets
from authority.log import log
from authority.market.credits import require_within_limit
from authority.store.billing import CreditEntry
from authority.store.people import User, user_named

SENT, LANDED, FAILED = "sent", "landed", "failed"
RETURNING, RETURNED = "returning", "returned"
"""`sent` and `landed` of credits that are taken back for nothing: they are not owed to the member."""
DECIDED = {SENT: LANDED, RETURNING: RETURNED}
"""What a booking becomes that has left, once it has landed."""
CREDIT = 1
"""The market's number for credits (trading, Asset)."""
LONGEST_REFERENCE = 128
MAX_AMOUNT = 2**63 - 1


def as_reference(app: App, text: str) -> str:
    """A reference as it is kept: one that only looks otherwise is the same, but for what was kept otherwise before."""
    said = text.strip()
    with app.store.read() as session:
        return typed.line(said) if session.get(CreditEntry, said) is None else said


def check(app: App, name: str, amount: int, reference: str, confirmed: int | None) -> User:
    """The member, where a booking may be made so.

    BillingError `member_unknown`, `member_unregistered`, `amount_invalid`, `reference_invalid`; AboveLimitError.
    """
    with app.store.read() as session:
        user = user_named(session, name)
        known = ", ".join(repr(each) for each in session.scalars(select(User.name).order_by(User.name))) or "nobody yet"
    if user is None:
        raise MemberUnknownError(f"no member is called {name!r}; the campus plan has {known}")
    if user.left_at is not None:
        raise has_left(name)
    if user.registered_at is None:
        raise MemberUnregisteredError(f"{name!r} is not on the chain yet: enrol a gateway of theirs first")
    if not 0 < amount <= MAX_AMOUNT:
        raise AmountInvalidError(f"an amount is 1 to {MAX_AMOUNT} micro-credits, not {amount}")
    if not 0 < len(reference.strip()) <= LONGEST_REFERENCE:
        raise ReferenceInvalidError(f"--reference is the bank's, 1 to {LONGEST_REFERENCE} characters")
    require_within_limit(app.home.settings.billing, amount, confirmed)
    return user


def has_left(name: str) -> MemberUnknownError:
    """Why no credits are moved: whoever has left has no key here any more, so what it were given would be lost."""
    return MemberUnknownError(
        f"{name!r} has left and is given no credits: send back what it paid. What it is owed is in the payment file"
    )


def top_up(app: App, client: ChainClient, user: User, amount: int, reference: str, *, actor: str) -> CreditEntry:
    """Issue credits to a member for a payment that came in under this reference; the entry, as it stands now.

    What was booked under the reference is not booked again. BillingErrors of `book`, `member_unknown` for a member that
    has left meanwhile; ChainErrors.
    """
    entry = _known(app, client, user, amount, reference)
    if entry is not None:
        return entry
    wallet = Pubkey.from_string(user.wallet)
    found = client.account(accounts.User, programs.user_address(wallet))
    if found is None:
        raise MemberUnregisteredError(f"{user.name!r} is not on the chain yet")
    if found.status == accounts.Status.CLOSED:
        raise has_left(user.name)
    named = {
        "operator": app.home.operator.pubkey(),
        "user": programs.user_address(wallet),
        "credit_token_account": found.credit_token_account,
    }
    built = [client.instruction("energy_token", "issue_credit", {"amount": amount}, named)]
    return book(app, client, user, amount, reference, built, [app.home.operator], actor=actor)


def free(client: ChainClient, user: User) -> int:
    """The micro-credits that a member has free, in its account and its seat. MemberUnregisteredError; ChainErrors."""
    found = client.account(accounts.User, programs.user_address(Pubkey.from_string(user.wallet)))
    if found is None:
        raise MemberUnregisteredError(f"{user.name!r} is not on the chain yet")
    return (client.token_balance(found.credit_token_account) or 0) + seat_of(client, found.member_index).credit


def require_free(user: User, has: int, amount: int) -> None:
    """CreditShortError where a member has less than an amount free, both in micro-credits."""
    if has < amount:
        raise CreditShortError(
            f"{user.name!r} has {has} micro-credits that are free, not {amount} micro-credits: "
            "less, or wait for its orders",
        )


def pay_out(
    app: App, client: ChainClient, user: User, amount: int, reference: str, *, actor: str, owed: bool = True
) -> CreditEntry:
    """Take credits back from a member who is paid under this reference; the entry, as it stands now.

    Not owed are credits that were issued by mistake: nothing is paid for them.
    Out of its token account, and out of its seat in the market what is missing there. The member's wallet signs, so it
    is one in custody here. BillingError `credit_short`, and those of `book`; WalletErrors; ChainErrors.
    """
    entry = _known(app, client, user, -amount, reference)
    if entry is not None:
        if (entry.state == LANDED) != owed:
            raise ReferenceUsedError(f"{reference!r} was booked as {entry.state} already: authority credits list")
        return entry
    signer = wallets.unseal(app.home, user)
    member = Pubkey.from_string(user.wallet)
    found = client.account(accounts.User, programs.user_address(member))
    if found is None:
        raise MemberUnregisteredError(f"{user.name!r} is not on the chain yet")
    held = client.token_balance(found.credit_token_account) or 0
    require_free(user, held + seat_of(client, found.member_index).credit, amount)
    built = []
    if held < amount:
        named = {
            "authority": signer.pubkey(), "user": programs.user_address(member),
            "destination": found.credit_token_account, "vault": programs.credit_vault(),
        }  # fmt: skip
        args = {"asset": CREDIT, "amount": amount - held}
        built.append(client.instruction("trading", "withdraw", args, named))
    named = {
        "wallet": signer.pubkey(), "user": programs.user_address(member),
        "credit_token_account": found.credit_token_account,
    }  # fmt: skip
    built.append(client.instruction("energy_token", "redeem_credit", {"amount": amount}, named))
    signers, sent = [app.home.operator, signer], SENT if owed else RETURNING
    return book(app, client, user, -amount, reference, built, signers, actor=actor, sent=sent)


def seat_of(client: ChainClient, index: int) -> accounts.Seat:
    """A member's seat in the market; an empty one where the market has none yet."""
    raw = client.raw_account(programs.seats_address())
    size = accounts.Seat.FORMAT.size
    if raw is None:
        return accounts.Seat.of(accounts.Seat.FORMAT.unpack(bytes(size)))
    data = bytes(raw.data)
    if index >= accounts.Seats.from_account(data).capacity:
        return accounts.Seat.of(accounts.Seat.FORMAT.unpack(bytes(size)))
    return accounts.Seat.array(data, accounts.Seats.size() + index * size, 1)[0]


def book(
    app: App,
    client: ChainClient,
    user: User,
    amount: int,
    reference: str,
    instructions: Sequence[Instruction],
    signers: Sequence[Keypair],
    *,
    actor: str,
    sent: str = SENT,
) -> CreditEntry:
    """Book what the instructions move, once for the reference; the entry. sent is its state until it has landed.

    BillingError `reference_used` (for something else), `booking_undecided` (it is not yet known what became of the
    last attempt). ChainErrors; after one the entry stands as `sent` or `failed`, and the same call goes on from there.
    """
    known = _known(app, client, user, amount, reference)
    if known is not None:
        return known
    mine: set[str] = set()

    def keep(signature: Signature, height: int, raw: str) -> None:
        with app.store.write() as session:
            log.lock(session)
            entry = session.get(CreditEntry, reference)
            if entry is not None and entry.state != FAILED and entry.signature not in mine:
                raise BookingUndecidedError(f"{reference!r} is being booked by somebody else just now")
            data = {"amount": abs(amount), "signature": str(signature), "wallet": user.wallet}
            kind = CREDIT_ISSUED if amount > 0 else CREDIT_REDEEMED
            index = log.record_act(session, kind, actor, app.clock(), data)
            session.merge(
                CreditEntry(
                    reference=reference, wallet=user.wallet, amount=amount, state=sent, signature=str(signature),
                    last_valid_block_height=height, raw=raw, log_index=index, entered_at=app.clock(), entered_by=actor,
                )
            )  # fmt: skip
        mine.add(str(signature))

    try:
        client.send(instructions, signers, payer=app.home.operator, before_sending=keep)
    except (TransactionFailedError, ProgramError):
        _mark(app, reference, FAILED)
        raise
    return _mark(app, reference, DECIDED[sent])


def _known(app: App, client: ChainClient, user: User, amount: int, reference: str) -> CreditEntry | None:
    """What stands under the reference, brought up to date; None where nothing does, or what never landed."""
    with app.store.read() as session:
        entry = session.get(CreditEntry, reference)
    if entry is None:
        return None
    entry = settle(app, client, entry)
    if entry.state == FAILED:
        return None
    if (entry.wallet, entry.amount) != (user.wallet, amount):
        raise ReferenceUsedError(
            f"{reference!r} was booked already, for another member or amount: authority credits list"
        )
    return entry


def settle(app: App, client: ChainClient, entry: CreditEntry) -> CreditEntry:
    """Find out what became of an entry that was sent; BillingError `booking_undecided` where that is not known yet."""
    if entry.state not in DECIDED:
        return entry
    height = int(client.call("getBlockHeight", {"commitment": "finalized"}))  # first: what has not landed by then
    answer = client.call("getSignatureStatuses", [entry.signature], {"searchTransactionHistory": True})
    status: dict[str, Any] | None = answer["value"][0]
    if status is not None and status.get("confirmationStatus") in ("confirmed", "finalized"):
        return _mark(app, entry.reference, DECIDED[entry.state] if status["err"] is None else FAILED)
    if status is None and height > entry.last_valid_block_height:
        return _mark(app, entry.reference, FAILED)
    if status is None:
        with suppress(RpcError):  # its blockhash may be over, or it is known already
            config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
            client.call("sendTransaction", entry.raw, config)
    raise BookingUndecidedError(
        f"what was sent for {entry.reference!r} has not landed yet, and still may: give the same command in a minute",
    )


def _mark(app: App, reference: str, state: str) -> CreditEntry:
    with app.store.write() as session:
        entry = session.get(CreditEntry, reference)
        assert entry is not None  # noqa: S101 - it was kept before anything was sent
        entry.state = state
    return entry
