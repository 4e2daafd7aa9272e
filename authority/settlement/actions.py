"""What settlement can do, each as a value: a plan is a list of these, and the worker does them.

Every action says what it is about (`subject`, for alerts and retries) and what the log is told before its transaction
is sent (`logged`). Actions of one kind that do not depend on each other share transactions, up to `together` of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

from authority.market.standing_orders import SIDES, ProposedOrder
from authority.settlement.journal import CLEARED, Logged, WaitingFrame
from authority.settlement.snapshot import BookView, MemberView, MeterView, Payout

MAX_ACCOUNTS = 64
"""How many accounts a transaction can lock."""
COMMON_ACCOUNTS = 9
"""The accounts that the settlements of one transaction share: the operator, Config, Oracle, the mint and its authority,
and four programs."""
SEAT_ACCOUNTS = 3
"""What they share besides where one may mint into a member's seat: the market's vault, its seats, its program."""
MEMBERS_TOGETHER = 4
"""How many members' acts share a transaction."""
ACT_BYTES, DEPOSIT_BYTES = 46, 30
"""About what an act for a member takes of a transaction, and the deposit before it."""
MEMBER_BYTES = 136
"""What a member adds to a transaction besides its acts: its key, its signature, and its lookup table."""
ROOM_FOR_MEMBERS = 940
"""Bytes of a transaction for its members and their acts; one that is too large after all is sent as two."""


class Action:
    """One thing to do. `weight` is how many accounts of its own it adds to a transaction."""

    together: ClassVar[int] = 1

    __slots__ = ()

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        raise NotImplementedError

    @property
    def weight(self) -> int:
        """How many accounts it adds to a transaction that it shares with others."""
        return 0

    @property
    def common(self) -> int:
        """How many accounts it has in common with the others of such a transaction."""
        return 0

    def logged(self, signature: str) -> Logged:
        """The act of the authority that it is; the signature is its transaction's."""
        raise NotImplementedError


class ForMember(Action):
    """What is signed with a member's key, and counts twice if it lands twice.

    A member has one transaction on its way at a time; its acts of one round are in that together, in their order. The
    act names the member by `member`, as it stands before it.
    """

    __slots__ = ()
    member: MemberView

    @property
    def size(self) -> int:
        """About how many bytes its instructions take, where its accounts are in lookup tables."""
        return ACT_BYTES

    @property
    def purpose(self) -> str:
        """What its transaction is kept under in the store, until it is known what became of it."""
        return purpose_of(str(self.member.member))

    def _logged(self, kind: str, signature: str, data: dict[str, object]) -> Logged:
        wallet = str(self.member.member)
        return Logged(f"{kind}:{signature}:{wallet}", kind, {**data, "signature": signature, "wallet": wallet})


def purpose_of(member: str) -> str:
    """What a member's transaction is kept under in the store, until it is known what became of it."""
    return f"member:{member}"


@dataclass(frozen=True, slots=True)
class SubmitReading(Action):
    """A meter's next reading."""

    together = 4

    meter: MeterView
    frame: WaitingFrame

    @property
    def subject(self) -> str:
        """The record, by its index in the log."""
        return f"reading {self.frame.log_index}"


@dataclass(frozen=True, slots=True)
class SettleSurplus(Action):
    """A member's span that ends at boundary; the meters by slot."""

    together = 6

    member: MemberView
    meters: tuple[MeterView, ...]
    boundary: int

    @property
    def subject(self) -> str:
        """The member's surplus."""
        return f"surplus {self.member.member}"

    @property
    def weight(self) -> int:
        """The member's three accounts, and two of each meter."""
        return 3 + 2 * len(self.meters)

    @property
    def common(self) -> int:
        """The accounts of all settlements, and those of the market where this one mints into a seat."""
        return COMMON_ACCOUNTS + (SEAT_ACCOUNTS if self.to_seat else 0)

    @property
    def to_seat(self) -> bool:
        """Whether the member's token account cannot take what is minted, so that its seat does."""
        return self.member.held_wh is None

    def logged(self, signature: str) -> Logged:
        """Once for the span."""
        wallet = str(self.member.member)
        data: dict[str, object] = {"wallet": wallet, "boundary": self.boundary}
        return Logged(f"settle_surplus:{wallet}:{self.boundary}", "settle_surplus", data)


@dataclass(frozen=True, slots=True)
class SettleIdleMeter(Action):
    """What a suspended or closed meter drew since it was last settled."""

    member: MemberView
    meter: MeterView

    @property
    def subject(self) -> str:
        """The meter."""
        return f"idle meter {self.meter.name}"

    def logged(self, signature: str) -> Logged:
        """Once for what the meter stands at."""
        data: dict[str, object] = {"meter": str(self.meter.address), "wallet": str(self.member.member)}
        key = f"settle_idle_meter:{self.meter.address}:{self.meter.standing}"
        return Logged(key, "settle_idle_meter", data)


@dataclass(frozen=True, slots=True)
class OpenBillingPeriod(Action):
    """Close the open billing period, whose last epoch is over, and open the next."""

    period: int

    @property
    def subject(self) -> str:
        """The period that is opened."""
        return f"billing period {self.period}"

    def logged(self, signature: str) -> Logged:
        """Once for the period."""
        return Logged(f"open_billing_period:{self.period}", "open_billing_period", {"period": self.period})


@dataclass(frozen=True, slots=True)
class OpenBook(Action):
    """Open the epoch's book, in the place of the one whose epoch is `before` (None: the place was never used)."""

    epoch: int
    before: int | None

    @property
    def subject(self) -> str:
        """The book."""
        return f"open book {self.epoch}"

    def logged(self, signature: str) -> Logged:
        """Once for the epoch."""
        return Logged(f"open_epoch:{self.epoch}", "open_epoch", {"epoch": self.epoch})


@dataclass(frozen=True, slots=True)
class Retire(ForMember):
    """Retire a member's energy: for a billing period's withdrawals, or (feed_in) for credits.

    from_seat says whether the energy is taken out of its seat or out of its token account; deposit is what is put into
    the seat for it before.
    """

    member: MemberView
    period: int
    amount: int
    from_seat: bool
    feed_in: bool = False
    deposit: int = 0

    @property
    def subject(self) -> str:
        """The member's retirement, or feed-in."""
        return f"{'feed-in' if self.feed_in else 'retirement'} of {self.member.member}"

    @property
    def size(self) -> int:
        """More where something is deposited first."""
        return ACT_BYTES + (DEPOSIT_BYTES if self.deposit else 0)

    def logged(self, signature: str) -> Logged:
        """Each transaction."""
        reason = "feed_in" if self.feed_in else "consumption"
        data: dict[str, object] = {"amount": self.amount, "period": self.period, "reason": reason}
        return self._logged("retire_energy", signature, data)


@dataclass(frozen=True, slots=True)
class PlaceOrder(ForMember):
    """One order of a member's standing order, or one by hand; deposit is what its seat lacks, out of its token account.

    by_hand is the HandOrder's id, None for the standing order's.
    """

    member: MemberView
    book: BookView
    order: ProposedOrder
    deposit: int
    by_hand: int | None = None

    @property
    def subject(self) -> str:
        """The member's side of the market, or the order by hand."""
        if self.by_hand is not None:
            return f"order by hand {self.by_hand}"
        return f"{SIDES[self.order.side]} of {self.member.member}"

    @property
    def size(self) -> int:
        """More where something is deposited first."""
        return ACT_BYTES + (DEPOSIT_BYTES if self.deposit else 0)

    def logged(self, signature: str) -> Logged:
        """Each transaction."""
        data: dict[str, object] = {
            "epoch": self.book.epoch,
            "price": self.order.price,
            "quantity": self.order.quantity,
            "side": SIDES[self.order.side],
        }
        if self.deposit:
            data["deposit"] = self.deposit
        return self._logged("place_order", signature, data)


@dataclass(frozen=True, slots=True)
class CancelOrder(ForMember):
    """An order that a member takes back by hand: side, limit and number name it in its book."""

    member: MemberView
    book: BookView
    side: int
    price: int
    number: int
    by_hand: int

    @property
    def subject(self) -> str:
        """The wish."""
        return f"order by hand {self.by_hand}"

    def logged(self, signature: str) -> Logged:
        """Each transaction."""
        data: dict[str, object] = {
            "epoch": self.book.epoch,
            "number": self.number,
            "price": self.price,
            "side": SIDES[self.side],
        }
        return self._logged("cancel_order", signature, data)


@dataclass(frozen=True, slots=True)
class MoveTokens(ForMember):
    """Tokens that a member moves by hand: between its wallet and its seat, or (to) to another member's wallet.

    withdraw is what is taken out of the seat before it is given, where the wallet has less. transfer is its number.
    """

    member: MemberView
    act: str
    energy: bool
    amount: int
    transfer: int
    to: MemberView | None = None
    withdraw: int = 0

    @property
    def subject(self) -> str:
        """The wish."""
        return f"transfer {self.transfer}"

    @property
    def size(self) -> int:
        """More where something is withdrawn first."""
        return ACT_BYTES + (DEPOSIT_BYTES if self.withdraw else 0)

    def logged(self, signature: str) -> Logged:
        """Each transaction."""
        data: dict[str, object] = {
            "act": self.act,
            "amount": self.amount,
            "asset": "energy" if self.energy else "credit",
        }
        if self.to is not None:
            data["to"] = str(self.to.member)
        if self.withdraw:
            data["withdrawn"] = self.withdraw
        return self._logged("tokens_moved", signature, data)


@dataclass(frozen=True, slots=True)
class PayOut(Action):
    """Pay what a member has free in its seat out to its own token account, as it asked for; once in an epoch."""

    member: MemberView
    asset: Payout
    amount: int
    epoch: int

    @property
    def subject(self) -> str:
        """The member's asset."""
        return f"{str(self.asset.name).lower()} of {self.member.member}"

    def logged(self, signature: str) -> Logged:
        """Once for the epoch."""
        wallet = str(self.member.member)
        data: dict[str, object] = {"amount": self.amount, "asset": str(self.asset.name).lower(), "wallet": wallet}
        return Logged(f"withdraw:{wallet}:{self.asset.value}:{self.epoch}", "withdraw", data)


@dataclass(frozen=True, slots=True)
class TriggerClearing(Action):
    """Clear the book of an epoch that is over, or go on paying its orders."""

    book: BookView

    @property
    def subject(self) -> str:
        """The book's clearing."""
        return f"clearing {self.book.epoch}"

    def logged(self, signature: str) -> Logged:
        """Once for the book."""
        return Logged(f"{CLEARED}:{self.book.epoch}", CLEARED, {"epoch": self.book.epoch})


@dataclass(frozen=True, slots=True)
class RefundBook(Action):
    """Give back everything in a book that could not be cleared for eight epochs."""

    book: BookView

    @property
    def subject(self) -> str:
        """The book's refund."""
        return f"refund {self.book.epoch}"

    def logged(self, signature: str) -> Logged:
        """Once for the book."""
        return Logged(f"refund_epoch:{self.book.epoch}", "refund_epoch", {"epoch": self.book.epoch})


@dataclass(frozen=True, slots=True)
class Checkpoint(Action):
    """Pin the log and the final book (None where the epoch had none)."""

    epoch: int
    book: BookView | None

    @property
    def subject(self) -> str:
        """The epoch's checkpoint."""
        return f"checkpoint {self.epoch}"


Bundle = tuple[Action, ...]
"""Actions in one transaction: of one kind, or members' acts."""


def turns(actions: Iterable[Action]) -> list[Bundle]:
    """What stands or falls by itself: an action, or the acts of one member that follow each other."""
    found: list[Bundle] = []
    for action in actions:
        if found and _for_one_member(found[-1][-1], action):
            found[-1] += (action,)
        else:
            found.append((action,))
    return found


def _for_one_member(first: Action, second: Action) -> bool:
    if isinstance(first, ForMember) and isinstance(second, ForMember):
        return first.member.member == second.member.member
    return False


def bundled(actions: Iterable[Action], alone: Set[str] = frozenset()) -> list[Bundle]:
    """Actions as transactions: those of one kind together as far as they fit, and members' acts, each member's in one.

    Those about what is in `alone` are alone; what a member would do after such an act is left out.
    """
    kinds: dict[type[Action], list[Action]] = {}
    for action in actions:
        kinds.setdefault(ForMember if isinstance(action, ForMember) else type(action), []).append(action)
    return [
        bundle
        for kind, same in kinds.items()
        for bundle in (_of_members(turns(same), alone) if kind is ForMember else _filled(same, alone))
    ]


def _of_members(found: Iterable[Bundle], alone: Set[str]) -> Iterator[Bundle]:
    shared: Bundle = ()
    members = size = 0
    for turn in found:
        kept = turn
        if alone:
            if turn[0].subject in alone:
                yield turn[:1]
                continue
            kept = turn[: next((place for place, action in enumerate(turn) if action.subject in alone), len(turn))]
        own = MEMBER_BYTES + sum(action.size for action in kept if isinstance(action, ForMember))
        if shared and (members == MEMBERS_TOGETHER or size + own > ROOM_FOR_MEMBERS):
            yield shared
            shared, members, size = (), 0, 0
        shared, members, size = shared + kept, members + 1, size + own
    if shared:
        yield shared


def _filled(actions: Iterable[Action], alone: Set[str]) -> Iterator[Bundle]:
    shared: list[Action] = []
    weight = common = 0
    for action in actions:
        if alone and action.subject in alone:
            yield (action,)
            continue
        locked = max(common, action.common) + weight + action.weight
        if shared and (len(shared) == action.together or locked > MAX_ACCOUNTS):
            yield tuple(shared)
            shared, weight, common = [], 0, 0
        shared.append(action)
        weight, common = weight + action.weight, max(common, action.common)
    if shared:
        yield tuple(shared)


def acts_of(bundle: Sequence[Action], signature: str) -> list[Logged]:
    """What the log is told of a bundle before it is sent: of readings one act for all, else one for each action.

    Each has a key of its own, also where one transaction places several orders of a member.
    """
    indexes = [action.frame.log_index for action in bundle if isinstance(action, SubmitReading)]
    if indexes:
        key = f"submit_readings:{','.join(map(str, indexes))}"
        return [Logged(key, "submit_readings", {"readings": indexes})]
    found: dict[str, Logged] = {}
    for action in bundle:
        if not isinstance(action, Checkpoint):
            act = action.logged(signature)
            key, nth = act.key, 2
            while key in found:
                key, nth = f"{act.key}:{nth}", nth + 1
            found[key] = act._replace(key=key)
    return list(found.values())
