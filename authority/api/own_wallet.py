"""What a member does with its own wallet: transactions that are prepared here, signed there, and sent on from here.

The member's wallet signs and pays the fee itself, so nobody else's money can be spent by what it signs, and no key of
the department is asked for. What comes back is sent on only where it is, byte for byte, what was prepared for that
member a short while ago, and signed by its wallet. What it may do is for the programs to say: each transaction is
tried before it is handed out. Energies are Wh, amounts micro-credits, prices micro-credits per kWh.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from authority.api.asking import ChainAwayError, asking, on_chain
from authority.api.campus import described
from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import ProgramError, TransactionExpiredError, TransactionFailedError
from authority.enrolment import wallets
from authority.errors import AuthorityError
from authority.figures import credits, credits_per_kwh, kilowatt_hours
from authority.language.reading import gettext, marked
from authority.market.clearing import escrow_of_bid
from authority.market.standing_orders import BID, SIDES
from authority.operations.chain_state import MemberOnChain
from authority.people.roles import MemberAccount
from authority.refusals import NotFoundError
from authority.settlement.by_hand import PLAIN
from authority.settlement.chain import CONSUMPTION, CREDIT, ENERGY, FEED_IN, FROM_ACCOUNT, FROM_SEAT
from authority.settlement.views import book_view

ACTS = ("place", "cancel", "deposit", "withdraw", "transfer", "retire")
ASSETS = {"energy": ENERGY, "credit": CREDIT}
PURPOSES = ("consumption", "feed_in")
WORDS = {
    **PLAIN,
    "NotEnoughEnergy": marked("you have less free energy in the market than that"),
    "InsufficientFunds": marked("your wallet holds less than that"),
    "NotEnoughCredit": marked("you have fewer free credits in the market than that"),
}
FEE_LAMPORTS = 5_000
"""Of a transaction with one signature."""
LAMPORTS = 10**9
MOST_UNITS = 1_400_000
MOST_WAITING = 8
"""How many threads may wait for transactions to land: the pages go on for all others."""
LANDS_WITHIN_SECONDS = 8.0
"""How long an answer waits for a transaction to land; the same question again waits again."""
_MORE_UNITS = 20_000


class OwnWalletError(AuthorityError):
    """A transaction of a member's own wallet that cannot be prepared or sent on."""


class WalletKeptHereError(OwnWalletError):
    """The department keeps the key of the member's wallet: there is nothing for the member to sign."""

    code = "wallet_in_custody"


class WishInvalidError(OwnWalletError):
    """A wish that lacks a value, or has one that cannot be."""

    code = "transaction_invalid"


class RecipientUnknownError(OwnWalletError):
    """Nobody holds such tokens at that address."""

    code = "recipient_unknown"


class WalletShortError(OwnWalletError):
    """The member's wallet cannot pay the fee."""

    code = "wallet_short"


class NotPreparedError(OwnWalletError):
    """No transaction was prepared by that ticket, here, for this member: prepare it again."""

    code = "transaction_not_prepared"


class TransactionMalformedError(OwnWalletError):
    """What came is no transaction with one signature, as base64."""

    code = "transaction_malformed"


class TransactionChangedError(OwnWalletError):
    """The transaction is another than the one that was prepared."""

    code = "transaction_changed"


class TransactionUnsignedError(OwnWalletError):
    """The transaction has no signature."""

    code = "transaction_unsigned"


class SignatureWrongError(OwnWalletError):
    """The signature is not that of the member's wallet."""

    code = "signature_wrong"


class TransactionOverError(OwnWalletError):
    """The transaction was not sent in time, and can land no more."""

    code = "transaction_over"


class TransactionRefusedError(OwnWalletError):
    """The chain refuses the transaction, and says why."""

    code = "refused_by_chain"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a member wants to do; which fields count depends on the act (`_built`)."""

    act: str
    side: str = "bid"
    price: int = 0
    quantity: int = 0
    number: int = 0
    asset: str = "energy"
    amount: int = 0
    to: str = ""
    purpose: str = "consumption"
    source: str = "market"


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletState:
    """Who signs for the member, and what is on its way there."""

    wallet: str = described("The wallet that signs, by its address.")
    in_custody: bool = described("Whether the department keeps its key, and signs for the member.")
    lamports: int = described("What the wallet has for fees, lamports.")
    proposed_wallet: str | None = described("A wallet that is proposed to take over; null where none is.")
    proposed_from: int | None = described("From when on it may take over, Unix seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A transaction to be signed by the member's wallet."""

    ticket: str = described("What to send back with the signed transaction. It holds until the transaction expires.")
    transaction: str = described("The transaction with an empty signature, base64: what a wallet signs.")
    says: str = described("What it does, in words.")
    wallet: str = described("The wallet that has to sign, and pays the fee.")
    fee_lamports: int = described("The fee, lamports.")
    last_valid_block_height: int = described("The last block in which it can land: about a minute from now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a signed transaction."""

    state: Literal["landed", "sent"] = described("landed: it is done; sent: ask again with the same body.")
    signature: str = described("Its signature, by which it is found on the chain.")
    says: str = described("What it does, in words.")


class OwnWallets:
    """The query layer over an opened authority; `client` makes a chain client for one question.

    Tickets are signed with a key of the home's, so every web process takes them, also after a restart.
    """

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client, self._key = app, client, app.home.tickets_key
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def state(self, member: MemberAccount) -> WalletState:
        """Who signs for a member; ChainAwayError, NotFoundError."""
        with asking(self._client) as client:
            user = on_chain(client, self._app.store, member).user
            lamports = client.balance(user.wallet)
        proposed = user.next_wallet_from > 0
        return WalletState(
            wallet=str(user.wallet),
            in_custody=self._in_custody(user),
            lamports=lamports,
            proposed_wallet=str(user.next_wallet) if proposed else None,
            proposed_from=user.next_wallet_from * self._app.home.settings.epoch.seconds if proposed else None,
        )

    # Preparing

    def prepare(self, member: MemberAccount, wish: Wish) -> Prepared:
        """The transaction of a wish; OwnWalletErrors say why there is none. ChainAwayError, NotFoundError."""
        with asking(self._client) as client:
            its = on_chain(client, self._app.store, member)
            if self._in_custody(its.user):
                raise WalletKeptHereError(
                    "the department keeps your wallet's key, so it signs for you: use the other pages, or move to a "
                    "wallet of your own first"
                )
            wallet = its.user.wallet
            _require_fee(client, wallet)
            says, instructions = self._built(client, its, wish)
            tried = client.simulate(instructions, wallet, compute_units=MOST_UNITS)
            if tried.error is not None:
                raise _refused(client.failure(tried.error, tried.logs))
            blockhash, last_valid = client.latest_blockhash()
        limit = set_compute_unit_limit(min(MOST_UNITS, tried.units + _MORE_UNITS))
        message = MessageV0.try_compile(wallet, [limit, *instructions], [], blockhash)
        raw = bytes(VersionedTransaction.populate(message, [Signature.default()]))
        ticket = self._ticket(member, to_bytes_versioned(message), last_valid, says)
        return Prepared(
            ticket=ticket,
            transaction=base64.b64encode(raw).decode(),
            says=says,
            wallet=str(wallet),
            fee_lamports=FEE_LAMPORTS,
            last_valid_block_height=last_valid,
        )

    def _in_custody(self, user: accounts.User) -> bool:
        with self._app.store.read() as session:
            return user.wallet in wallets.custody(session)

    def _built(self, client: ChainClient, its: MemberOnChain, wish: Wish) -> tuple[str, list[Instruction]]:
        """What a wish does, in words, and its instructions."""
        if wish.act in ("place", "cancel"):
            return self._of_the_book(client, its, wish)
        if wish.amount < 1:
            raise WishInvalidError("say how much: a whole number of Wh or micro-credits above 0")
        if wish.act == "retire":
            return self._retirement(client, its, wish)
        asset = ASSETS[wish.asset]
        how_much = (
            kilowatt_hours(wish.amount)
            if asset == ENERGY
            else gettext("%(credits)s credits", credits=credits(wish.amount))
        )
        if wish.act == "deposit":
            says = gettext("Bring %(amount)s into the market.", amount=how_much)
            return says, [_deposit(client, its, asset, wish.amount)]
        if wish.act == "withdraw":
            says = gettext("Take %(amount)s out of the market, into your wallet.", amount=how_much)
            return says, [_withdraw(client, its, asset, wish.amount)]
        recipient = _recipient(client, wish.to, its.user.wallet, asset)
        own = its.user.energy_token_account if asset == ENERGY else its.user.credit_token_account
        move = programs.transfer_checked(own, recipient, its.user.wallet, wish.amount, energy=asset == ENERGY)
        return gettext("Give %(amount)s to %(wallet)s.", amount=how_much, wallet=wish.to), [move]

    def _of_the_book(self, client: ChainClient, its: MemberOnChain, wish: Wish) -> tuple[str, list[Instruction]]:
        now = self._app.clock()
        epoch = now // self._app.home.settings.epoch.seconds
        address = programs.book_address(epoch)
        data = client.account_data(accounts.EpochBook, address, client.raw_account(address))
        book = None if data is None else book_view(data)
        if data is None or book is None or book.epoch != epoch:
            raise TransactionRefusedError("no book takes orders now: the next one opens within this or the next epoch")
        named = {"authority": its.user.wallet, "user": programs.user_address(its.user.member), "book": address}
        if wish.act == "cancel":
            found = [order for order in book.of(its.user.member_index) if order.number == wish.number]
            if not found:
                raise NotFoundError(f"you have no order {wish.number} in this epoch's book")
            order = found[0]
            side = BID if order.is_bid else 1 - BID
            args = {"epoch": epoch, "side": side, "price": order.price, "number": order.number}
            says = gettext("Take back order %(number)s.", number=order.number)
            return says, [_instruction(client, "trading", "cancel_order", args, named)]
        if wish.side not in SIDES or wish.price < 1 or wish.quantity < 1:
            raise WishInvalidError("an order has a side (bid or ask), a limit and a quantity above 0")
        side, head = SIDES.index(wish.side), accounts.EpochBook.from_account(data)
        instructions = list(_brought(client, its, side, wish, head.wheeling))
        args = {"epoch": epoch, "side": side, "price": wish.price, "quantity": wish.quantity}
        instructions.append(_instruction(client, "trading", "place_order", args, named))
        values = {"quantity": kilowatt_hours(wish.quantity), "price": credits_per_kwh(wish.price)}
        if side == BID:
            return gettext("Buy %(quantity)s at %(price)s credits per kWh or less.", **values), instructions
        return gettext("Sell %(quantity)s at %(price)s credits per kWh or more.", **values), instructions

    def _retirement(self, client: ChainClient, its: MemberOnChain, wish: Wish) -> tuple[str, list[Instruction]]:
        config = client.account(accounts.Config, programs.config_address())
        if config is None:
            raise NotFoundError("there is no governance on this chain")
        member, feed_in = its.user.member, wish.purpose == "feed_in"
        named = {
            "payer": its.user.wallet,
            "member": its.user.wallet,
            "user": programs.user_address(member),
            "retirement": programs.retirement_address(member),
            "energy_account": programs.energy_account_address(member),
            "energy_token_account": its.user.energy_token_account,
            "credit_token_account": its.user.credit_token_account,
        }
        args = {
            "reason": FEED_IN if feed_in else CONSUMPTION,
            "period": config.billing_period,
            "amount": wish.amount,
            "source": FROM_SEAT if wish.source == "market" else FROM_ACCOUNT,
        }
        quantity = kilowatt_hours(wish.amount)
        if feed_in:
            says = gettext("Feed in %(quantity)s.", quantity=quantity)
        else:
            says = gettext("Use for what you drew from the grid: %(quantity)s.", quantity=quantity)
        return says, [_instruction(client, "energy_token", "retire_energy", args, named)]

    # Tickets

    def _ticket(self, member: MemberAccount, message: bytes, last_valid: int, says: str) -> str:
        said = json.dumps([member.id, hashlib.sha256(message).hexdigest(), last_valid, says]).encode()
        return f"{_url64(said)}.{_url64(self._tag(said))}"

    def _tag(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, "sha256")

    def _opened(self, member: MemberAccount, ticket: str) -> tuple[str, int, str]:
        """(SHA-256 of the message, last valid block height, what it does) of a ticket; NotPreparedError."""
        said, _, tag = ticket.partition(".")
        try:
            data = base64.urlsafe_b64decode(said + "==")
            right = hmac.compare_digest(self._tag(data), base64.urlsafe_b64decode(tag + "=="))
        except (ValueError, binascii.Error):
            right = False
        if not right:
            raise NotPreparedError("this ticket was not issued here: prepare the transaction again")
        owner, digest, last_valid, says = json.loads(data)
        if owner != member.id:
            raise NotPreparedError("this transaction was prepared for another member: prepare your own")
        return digest, last_valid, says

    # Sending on

    def submit(self, member: MemberAccount, ticket: str, transaction: str) -> Submitted:
        """Send a signed transaction on; the same one again says what became of it. OwnWalletErrors, ChainAwayError."""
        digest, last_valid, says = self._opened(member, ticket)
        signature, message = _apart(transaction)
        if not hmac.compare_digest(hashlib.sha256(message).hexdigest(), digest):
            raise TransactionChangedError(
                "this is another transaction than the one that was prepared: your wallet changed it. Have it sign "
                "without additions of its own (priority fees, protections), and prepare it again"
            )
        if signature == Signature.default():
            raise TransactionUnsignedError("the transaction has no signature: have your wallet sign it")
        wallet = MessageV0.from_bytes(message[1:]).account_keys[0]
        if not signature.verify(wallet, message):
            raise SignatureWrongError(f"that is not the signature of {wallet}: choose this account in your wallet")
        raw = base64.b64encode(b"\x01" + bytes(signature) + message).decode()
        if not self._waiting.acquire(blocking=False):
            raise ChainAwayError("too many wait for their transactions: send the same again in a moment")
        try:
            landed = self._relayed(raw, signature, last_valid)
        finally:
            self._waiting.release()
        return Submitted(state="landed" if landed else "sent", signature=str(signature), says=says)

    def _relayed(self, raw: str, signature: Signature, last_valid: int) -> bool:
        with asking(self._client) as client:
            try:
                return client.relay(raw, signature, last_valid, seconds=LANDS_WITHIN_SECONDS)
            except TransactionExpiredError as error:
                raise TransactionOverError("its minute is over, and it never landed: prepare it again") from error
            except TransactionFailedError as error:
                raise _refused(error) from error


def _require_fee(client: ChainClient, wallet: Pubkey) -> None:
    """WalletShortError where a wallet cannot pay a fee and stay: an account keeps what its rent takes."""
    lamports, least = client.balance(wallet), client.rent(0) + FEE_LAMPORTS
    if lamports < least:
        raise WalletShortError(
            f"your wallet has {lamports / LAMPORTS:.6f} SOL and needs at least {least / LAMPORTS:.6f} for the fee: ask "
            "the Engineering Department to send it some (authority fund --member)"
        )


def _refused(error: TransactionFailedError) -> TransactionRefusedError:
    if isinstance(error, ProgramError):
        return TransactionRefusedError(WORDS.get(error.name, f"{error.message} ({error.name})"))
    return TransactionRefusedError(str(error))


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _apart(transaction: str) -> tuple[Signature, bytes]:
    """The signature and the message of a transaction; TransactionMalformedError."""
    try:
        raw = base64.b64decode(transaction, validate=True)
    except (ValueError, binascii.Error) as error:
        raise TransactionMalformedError("the transaction is not base64") from error
    if len(raw) < 66 or raw[0] != 1:
        raise TransactionMalformedError("a transaction with exactly one signature is expected: your wallet's")
    return Signature.from_bytes(raw[1:65]), raw[65:]


# Instructions


def _instruction(
    client: ChainClient, program: str, name: str, args: dict[str, Any], named: dict[str, Pubkey]
) -> Instruction:
    """An instruction whose accounts are those given and the deployment's own."""
    known = {**programs.common_accounts(), **named}
    wanted = {item.name for item in client.idl(program).instruction(name).accounts}
    return client.instruction(program, name, args, {key: known[key] for key in known if key in wanted})


def _deposit(client: ChainClient, its: MemberOnChain, asset: int, amount: int) -> Instruction:
    source = its.user.energy_token_account if asset == ENERGY else its.user.credit_token_account
    return _instruction(client, "trading", "deposit", {"asset": asset, "amount": amount}, _sides(its, asset, source))


def _withdraw(client: ChainClient, its: MemberOnChain, asset: int, amount: int) -> Instruction:
    own = its.user.energy_token_account if asset == ENERGY else its.user.credit_token_account
    return _instruction(client, "trading", "withdraw", {"asset": asset, "amount": amount}, _sides(its, asset, own))


def _sides(its: MemberOnChain, asset: int, own: Pubkey) -> dict[str, Pubkey]:
    return {
        "authority": its.user.wallet,
        "user": programs.user_address(its.user.member),
        "source": own,
        "destination": own,
        "vault": programs.energy_vault() if asset == ENERGY else programs.credit_vault(),
    }


def _brought(client: ChainClient, its: MemberOnChain, side: int, wish: Wish, wheeling: int) -> Iterator[Instruction]:
    """What the member's seat lacks for an order is brought from its wallet, as far as that has it."""
    balances = its.balances
    if side == BID:
        asset, needed = CREDIT, escrow_of_bid(wish.quantity, wish.price, wheeling)
        free, more = balances.seat_credit, balances.wallet_credit or 0
    else:
        asset, needed, free, more = ENERGY, wish.quantity, balances.seat_wh, balances.wallet_wh or 0
    amount = min(needed - free, more)
    if amount > 0:
        yield _deposit(client, its, asset, amount)


def _recipient(client: ChainClient, to: str, own: Pubkey, asset: int) -> Pubkey:
    """The token account of a wallet, which has to be there: tokens sent anywhere else are nobody's."""
    mint = programs.energy_mint() if asset == ENERGY else programs.credit_mint()
    try:
        wallet = Pubkey.from_string(to)
    except ValueError as error:
        raise WishInvalidError("say to whom: the address of a wallet, 32 to 44 letters and digits") from error
    if wallet == own:
        raise WishInvalidError("that is your own wallet")
    address = programs.associated_token_address(wallet, mint)
    (found,) = client.token_accounts([address])
    if found is None or found.frozen or found.owner != wallet:
        raise RecipientUnknownError("nobody holds such tokens at that address: ask the recipient for its wallet's")
    return address
