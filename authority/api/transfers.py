"""Tokens and credits that a member moves by hand where the department keeps its wallet's key.

Between its wallet and the market, and to another member, by its exact name or by the code on its page. Nothing is
signed here: the store keeps each wish, and settlement carries it out (authority.market.transfers). Who is given to is
shown by a masked name, and names and codes are looked up so seldom that nobody finds members by trying. Energies are
Wh, credits micro-credits, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from solders.pubkey import Pubkey
from sqlalchemy.orm import Session

from authority.api.asking import asking, on_chain
from authority.api.campus import described
from authority.api.hand_orders import NotInCustodyError
from authority.api.paging import AT_ONCE, NEXT, cut
from authority.app import App
from authority.chain import accounts, programs
from authority.chain.accounts import Config, Status
from authority.chain.client import ChainClient
from authority.enrolment import wallets
from authority.language.reading import gettext
from authority.market import transfers
from authority.market.policies import MarketError
from authority.market.transfers import ACTS, ASSETS, DEPOSIT, ENERGY, GIVE, MAX_AMOUNT, WITHDRAW, Transfer, Wish
from authority.operations.chain_state import MemberOnChain
from authority.people import sessions
from authority.people.errors import SignInAgainError, TooOftenError
from authority.people.limits import Bucket
from authority.people.roles import MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.settlement import transfers as settling
from authority.settlement.snapshot import Pause
from authority.settlement.views import usable
from authority.store.people import User

LOOKUPS_AT_ONCE, LOOKUP_SECONDS = 20, 30.0
"""How many names and codes a person may look up at once, and how long until one more."""
SHORTEST_KEY, LONGEST_KEY = 8, 64
MASK = "\N{BULLET}" * 3


class TransferInvalidError(MarketError):
    """A transfer that names no act, no amount or no recipient, or a key that is none."""

    code = "transfer_invalid"


class TransferRefusedError(MarketError):
    """A transfer that cannot be done as things stand on the chain."""

    code = "transfer_refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: to_name or to_code says who is given to."""

    act: str
    asset: str
    amount: int
    to_name: str = ""
    to_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPreview:
    """What a transfer would do; nothing is asked for yet."""

    act: Literal["deposit", "withdraw", "give"] = described(
        "deposit: from the wallet into the market; withdraw: out of it; give: to another member's wallet."
    )
    asset: Literal["energy", "credit"] = described("energy: Wh; credit: micro-credits.")
    amount: int = described("How much, Wh or micro-credits.")
    says: str = described("What it does, in words.")
    to: str | None = described("Who is given to: the first and the last letter of its name; null where nobody is.")
    to_code: str | None = described("Its code, by which it is meant from now on; null where nobody is given to.")
    wallet_before: int = described("What is in the wallet before.")
    market_before: int = described("What is free in the market before.")
    wallet_after: int = described("What is in the wallet after.")
    market_after: int = described("What is free in the market after.")
    given_today: int | None = described("give: what was given in the last 24 hours; null otherwise.")
    most_a_day: int | None = described("give: the most that may be given in 24 hours; null otherwise.")
    take_back_seconds: int = described("How long it can be taken back, before it is carried out.")
    needs_sign_in: bool = described("Whether it takes a sign-in of just now, which a program's token never is.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTransfer:
    """A transfer that was asked for, or that was received, and what became of it."""

    id: int = described("Its number.")
    act: Literal["deposit", "withdraw", "give", "received"] = described("received: another member gave it.")
    asset: Literal["energy", "credit"] = described("energy: Wh; credit: micro-credits.")
    amount: int = described("How much, Wh or micro-credits.")
    other: str | None = described("Who was given to, or who gave: the first and the last letter of its name.")
    state: Literal["waiting", "going", "sent", "done", "refused", "taken_back"] = described(
        "waiting: it can be taken back; going, sent: settlement carries it out; done: it is on the chain."
    )
    told: str = described("Why it was refused; empty otherwise.")
    signature: str | None = described("The transaction that did it; null before.")
    asked_at: int = described("When it was asked for.")
    goes_at: int = described("Until when it can be taken back at least.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTransfers:
    """Transfers, the newest first."""

    transfers: tuple[GivenTransfer, ...] = described("The transfers.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """What a member's QR code says."""

    code: str = described("The code: random, and nobody's name.")
    link: str = described("The link in the QR code: whoever is signed in gives to this member there.")


def masked(name: str) -> str:
    """A name that confirms to who knows it that it is the right one, and tells nobody else: D•••A."""
    return f"{name[0]}{MASK}{name[-1]}" if len(name) > 2 else MASK


class HandTransfers:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self._looked_up = Bucket(app.tries, "lookups", LOOKUPS_AT_ONCE, LOOKUP_SECONDS)

    # Asking

    def preview(self, who: Principal, member: MemberAccount, asked: Asked) -> TransferPreview:
        """What it would do; MarketErrors say why it cannot be, NotFoundError that nobody is meant. ChainAwayError."""
        return self._checked(who, member, asked)[0]

    def ask(self, who: Principal, member: MemberAccount, asked: Asked, key: str) -> GivenTransfer:
        """Ask for it, once for the key; as `preview`, and SignInAgainError above what an older sign-in may give."""
        _require_key(key)
        with self._app.store.read() as session:
            known = transfers.of_key(session, member.id, key)
        if known is None:
            preview, wish = self._checked(who, member, asked)
            if preview.needs_sign_in:
                raise SignInAgainError("a gift as large as this takes a sign-in of just now: sign in once more")
        else:
            to = self._recipient(who, member, asked)
            wish = Wish(asked.act, asked.asset, asked.amount, to.id if to else None)
        with self._app.store.write() as session:
            limits = self._app.home.settings.transfers
            made = transfers.ask(
                session, member.id, wish, key, by=who.actor, now=self._app.clock(), limits=limits
            )  # fmt: skip
            return self._given(session, member, made)

    def take_back(self, who: Principal, member: MemberAccount, number: int) -> GivenTransfer:
        """Take a transfer back that is not under way; NotFoundError, TransferGoneError."""
        with self._app.store.write() as session:
            made = transfers.take_back(session, member.id, number, by=who.actor, now=self._app.clock())
            if made is None:
                raise NotFoundError(f"you have no transfer {number}")
            return self._given(session, member, made)

    def _checked(self, who: Principal, member: MemberAccount, asked: Asked) -> tuple[TransferPreview, Wish]:
        if asked.act not in ACTS or asked.asset not in ASSETS or not 0 < asked.amount <= MAX_AMOUNT:
            raise TransferInvalidError("say what to move, and how much: a whole number of Wh or micro-credits above 0")
        to, settings = self._recipient(who, member, asked), self._app.home.settings.transfers
        with asking(self._client) as client:
            its = on_chain(client, self._app.store, member)
            self._require_custody(its)
            config = client.account(Config, programs.config_address())
            takes = to is None or self._takes(client, to, asked.asset)
        energy, balances = asked.asset == ENERGY, its.balances
        held, free = (
            (balances.wallet_wh, balances.seat_wh) if energy else (balances.wallet_credit, balances.seat_credit)
        )
        told = settling.refusal(
            asked.act,
            asked.amount,
            held=held,
            free=free,
            active=its.user.status is Status.ACTIVE,
            paused=config is not None and bool(config.pause & Pause.ORDERS),
            theirs=takes,
        )
        if told is not None or held is None:
            raise TransferRefusedError(told or settling.CLOSED)
        wish = Wish(asked.act, asked.asset, asked.amount, to.id if to else None)
        with self._app.store.read() as session:
            limits = transfers.require_within_limits(
                session, member.id, wish, now=self._app.clock(), limits=settings
            )  # fmt: skip
            code = None if to is None else transfers.code_of(session, to.id)
            fresh = who.scopes is None and sessions.is_fresh(session, who.session, self._app.clock())
        if to is not None and code is None:
            with self._app.store.write() as session:
                code = transfers.code_of(session, to.id) or transfers.new_code(session, to.id, self._app.clock())
        gives = asked.act == GIVE
        out = min(asked.amount, held) if gives else asked.amount if asked.act == DEPOSIT else -asked.amount
        market = asked.amount if asked.act == DEPOSIT else out - asked.amount if gives else -asked.amount
        most = settings.sign_in_above_wh if energy else settings.sign_in_above_credits
        preview = TransferPreview(
            act=asked.act,  # type: ignore[arg-type]  # one of ACTS
            asset=asked.asset,  # type: ignore[arg-type]  # one of ASSETS
            amount=asked.amount,
            says=_says(wish, masked(to.name) if to else ""),
            to=masked(to.name) if to else None,
            to_code=code,
            wallet_before=held,
            market_before=free,
            wallet_after=held - out,
            market_after=free + market,
            given_today=limits[0] if gives else None,
            most_a_day=limits[1] if gives else None,
            take_back_seconds=settings.take_back_seconds if gives else 0,
            needs_sign_in=gives and asked.amount > most and not fresh,
        )
        return preview, wish

    def _recipient(self, who: Principal, member: MemberAccount, asked: Asked) -> User | None:
        """Who is given to; NotFoundError alike for a name, a code and a member that nobody can be given to by."""
        if asked.act != GIVE:
            return None
        if not asked.to_name and not asked.to_code:
            raise TransferInvalidError("say to whom: the member's exact name, or its code")
        wait = self._looked_up.wait(who.pseudonym)
        if wait > 0:
            raise TooOftenError(wait)
        with self._app.store.read() as session:
            found = (
                transfers.by_code(session, asked.to_code)
                if asked.to_code
                else transfers.by_name(session, asked.to_name.strip())
            )
        if found is None or found.registered_at is None:
            raise NotFoundError("nobody can be given to by that: a name has to be exact, and a code the newest")
        if found.id == member.id:
            raise TransferInvalidError("that is your own account")
        return found

    def whose(self, who: Principal, member: MemberAccount, code: str) -> str:
        """The masked name of who has a code; NotFoundError, TransferInvalidError, TooOftenError."""
        found = self._recipient(who, member, Asked(GIVE, ENERGY, 1, to_code=code))
        return masked(found.name) if found else MASK

    def _takes(self, client: ChainClient, to: User, asset: str) -> bool:
        """Whether a member can be given to: it takes part, and its token account can take it."""
        user = client.account(accounts.User, programs.user_address(Pubkey.from_string(to.wallet)))
        if user is None or user.status is not Status.ACTIVE:
            return False
        energy = asset == ENERGY
        (found,) = client.token_accounts([user.energy_token_account if energy else user.credit_token_account])
        mint = programs.energy_mint() if energy else programs.credit_mint()
        return usable(found, user.wallet, mint) is not None

    def _require_custody(self, its: MemberOnChain) -> None:
        with self._app.store.read() as session:
            custody = wallets.custody(session)
        if its.user.wallet not in custody:
            raise NotInCustodyError("you hold your wallet's key yourself, so your own wallet signs what you move")

    # What became of them

    def given(self, member: MemberAccount, before: int | None = None, limit: int = AT_ONCE) -> GivenTransfers:
        """What a member moved and was given, the newest first, older than that number."""
        with self._app.store.read() as session:
            found = transfers.of_member(session, member.id, before=before, limit=limit + 1)
            page, more = cut(found, lambda each: each.id, limit)
            shown = tuple(self._given(session, member, each) for each in page)
        return GivenTransfers(transfers=shown, next=more)

    def _given(self, session: Session, member: MemberAccount, made: Transfer) -> GivenTransfer:
        received = made.user_id != member.id
        of = made.user_id if received else made.wish.to
        return GivenTransfer(
            id=made.id,
            act="received" if received else made.wish.act,  # type: ignore[arg-type]  # one of ACTS
            asset=made.wish.asset,  # type: ignore[arg-type]  # one of ASSETS
            amount=made.wish.amount,
            other=None if of is None else masked(session.get_one(User, of).name),
            state=made.state,  # type: ignore[arg-type]  # one of the states
            told=made.told,
            signature=made.signature if made.state == transfers.DONE else None,
            asked_at=made.asked_at,
            goes_at=made.goes_at,
        )

    # The code

    def code(self, member: MemberAccount, link: Callable[[str], str], *, new: bool = False) -> OwnCode:
        """The member's own code; a new one ends the former one. link makes the link from it."""
        with self._app.store.read() as session:
            code = transfers.code_of(session, member.id)
        if code is None or new:
            with self._app.store.write() as session:
                known = None if new else transfers.code_of(session, member.id)
                code = known or transfers.new_code(session, member.id, self._app.clock())
        return OwnCode(code=code, link=link(code))


def _require_key(key: str) -> None:
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise TransferInvalidError(
            f"the header Idempotency-Key has {SHORTEST_KEY} to {LONGEST_KEY} printable characters, new ones for each "
            "transfer"
        )


def _says(wish: Wish, to: str) -> str:
    if wish.act == DEPOSIT:
        return gettext("Bring %(amount)s into the market.", amount=wish.words)
    if wish.act == WITHDRAW:
        return gettext("Take %(amount)s out of the market, into your wallet.", amount=wish.words)
    return gettext("Give %(amount)s to %(to)s.", amount=wish.words, to=to)
