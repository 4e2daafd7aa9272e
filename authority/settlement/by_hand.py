"""Orders that members give by hand, as settlement carries them out: once, in the book that they name, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from authority.chain.errors import ProgramError
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.market.hand_orders import DONE, REFUSED, SENT, WAITING, HandOrder
from authority.settlement.actions import Action, CancelOrder, ForMember, PlaceOrder, purpose_of
from authority.settlement.chain import SettlementChain
from authority.settlement.journal import Journal
from authority.settlement.snapshot import Snapshot

TOO_LATE = marked("the book closed before your order reached it")
NO_KEY = marked("your wallet's key is not kept here, so nobody here can sign for you")
PLAIN = {
    "AfterCutoff": TOO_LATE,
    "BookNotOpen": TOO_LATE,
    "WrongBook": TOO_LATE,
    "NoSuchOrder": marked("that order is not in the book any more"),
    "TooManyOrders": marked("you have as many orders in this book as it takes of one member: take one back first"),
    "BookFull": marked("the book is full, and every order in it is at least as good: offer a better price"),
    "CrossesOwnOrder": marked(
        "it would trade with your own order on the other side: take that back, or change the price"
    ),
    "NotEnoughEnergy": marked("you have less free energy than the order offers"),
    "NotEnoughCredit": marked("you have fewer free credits than the order may cost"),
    "UserNotActive": marked("your account is suspended"),
    "Paused": marked("the market takes no orders now"),
}
"""What a member is told where a program says no, by the refusal's name; others say it in their own words."""


class ByHand:
    """What is open of it, round by round."""

    def __init__(self, journal: Journal, chain: SettlementChain) -> None:
        self._journal, self._chain = journal, chain

    def open(self, snapshot: Snapshot, signable: Collection[str]) -> dict[str, Sequence[HandOrder]]:
        """What is still to be sent, by member; what was on its way or can be done no more is decided here.

        signable are the members for whom a key is in custody.
        """
        found: dict[str, list[HandOrder]] = {}
        undecided: set[str] = set()
        for order in self._journal.by_hand():
            if order.state == SENT and not is_over(self._journal, self._chain, order.wallet, order.signature):
                undecided.add(order.wallet)
                continue
            state, told = self._decided(order) if order.state == SENT else (WAITING, "")
            if state == WAITING:
                state, told = self._may_go(order, snapshot, signable)
            if (state, told) != (order.state, order.told):
                self._journal.mark_by_hand([order.id], state, told)
            if state == WAITING:
                found.setdefault(order.wallet, []).append(order)
        return {wallet: orders for wallet, orders in found.items() if wallet not in undecided}

    def refused(self, action: ForMember, order: int, error: AuthorityError) -> None:
        """A program said no, or a key did not open; what may have landed after all is decided in a later round."""
        if self._journal.pending([action.purpose]):
            return
        told = PLAIN.get(error.name, error.message) if isinstance(error, ProgramError) else str(error)
        self._journal.mark_by_hand([order], REFUSED, told)

    def undone(self, bundle: Sequence[Action]) -> None:
        """A transaction of several acts was refused as a whole: which of them is at fault shows as each goes again.

        Of what may have landed after all a later round decides.
        """
        given = [each for each in bundle if isinstance(each, PlaceOrder | CancelOrder) and each.by_hand is not None]
        pending = self._journal.pending([each.purpose for each in given])
        ids = [each.by_hand for each in given if each.by_hand is not None and each.purpose not in pending]
        self._journal.mark_by_hand(ids, WAITING)

    def _decided(self, order: HandOrder) -> tuple[str, str]:
        """Where it failed, it may have been for another act of its transaction: it is tried again, and told then."""
        return (DONE, "") if self._chain.landed(order.signature or "") else (WAITING, "")

    def _may_go(self, order: HandOrder, snapshot: Snapshot, signable: Collection[str]) -> tuple[str, str]:
        book = snapshot.books.get(order.wish.epoch)
        over = order.wish.epoch < snapshot.epoch or (book is not None and snapshot.now >= book.cutoff_at)
        if over:
            return REFUSED, TOO_LATE
        if order.wallet not in signable:
            return REFUSED, NO_KEY
        return WAITING, ""


def is_over(journal: Journal, chain: SettlementChain, wallet: str, signature: str | None) -> bool:
    """Whether a member's transaction, which was signed in an earlier round, has come to its end."""
    purpose = purpose_of(wallet)
    kept = journal.pending([purpose]).get(purpose)
    if kept is None or kept.signature != signature:
        return True
    if not chain.decide(kept.signature, kept.last_valid_block_height, kept.raw):
        return False
    journal.not_pending([purpose])
    return True
