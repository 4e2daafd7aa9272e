"""Tokens that members move by hand, as settlement carries them out: once, or not at all (market.transfers)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from authority.chain.errors import ProgramError
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.market import transfers
from authority.market.transfers import DEPOSIT, DONE, GIVE, GOING, REFUSED, SENT, WAITING, WITHDRAW, Transfer
from authority.settlement.actions import Action, MoveTokens
from authority.settlement.by_hand import NO_KEY, is_over
from authority.settlement.chain import SettlementChain
from authority.settlement.journal import Journal
from authority.settlement.snapshot import MemberView, Pause, Snapshot

NOT_IN_WALLET = marked("your wallet has less than that")
NOT_IN_MARKET = marked("you have less than that free in the market: what your orders have locked is not free")
NOT_FREE = marked("you have less than that free, in wallet and market together")
SUSPENDED = marked("your account is suspended: you may take out of the market, and nothing else")
CLOSED = marked("your token account is closed or frozen: ask the department")
THEIRS_CLOSED = marked("that member's account takes nothing now: it is suspended, or its token account is closed")
PAUSED = marked("the market is paused: what you have stays where it is, and can be moved when it goes on")
PLAIN = {"InsufficientFunds": NOT_FREE, "NotEnoughEnergy": NOT_IN_MARKET, "NotEnoughCredit": NOT_IN_MARKET}
"""What a member is told where a program says no, by the refusal's name; others say it in their own words."""


def refusal(
    act: str, amount: int, *, held: int | None, free: int, active: bool, paused: bool, theirs: bool
) -> str | None:
    """Why tokens cannot be moved so; None where they can. Pages ask before, settlement when it is due.

    held is what lies in the member's token account (None where that cannot be used), free what is free in its seat;
    theirs says whether who is given to can take it. What is free in a seat can always be taken out, as the program
    has it.
    """
    if held is None:
        return CLOSED
    if act == WITHDRAW:
        return None if amount <= free else NOT_IN_MARKET
    if not active:
        return SUSPENDED
    if paused:
        return PAUSED
    if act == DEPOSIT:
        return None if amount <= held else NOT_IN_WALLET
    if not theirs:
        return THEIRS_CLOSED
    return None if amount <= held + free else NOT_FREE


def moved(member: MemberView, members: Mapping[str, MemberView], transfer: Transfer) -> MoveTokens:
    """What a member moves by hand; what it gives comes out of its wallet, and out of its seat what is missing there."""
    wish = transfer.wish
    energy = wish.asset == transfers.ENERGY
    held = (member.held_wh if energy else member.credit) or 0
    missing = max(0, wish.amount - held) if wish.act == GIVE else 0
    to = members.get(transfer.to_wallet or "")
    return MoveTokens(member, wish.act, energy, wish.amount, transfer.id, to, missing)


class Transfers:
    """What is open of them, round by round."""

    def __init__(self, journal: Journal, chain: SettlementChain) -> None:
        self._journal, self._chain = journal, chain

    def open(self, snapshot: Snapshot, signable: Collection[str]) -> dict[str, Sequence[Transfer]]:
        """What goes now, by member; what was on its way or cannot be done is decided here.

        signable are the members whose own wallets' keys are in custody.
        """
        known = self._journal.moving()
        if not known:
            return {}
        undecided: set[str] = set()
        ready: list[Transfer] = []
        members = {str(member.member): member for member in snapshot.members}
        for each in known:
            if each.state == SENT and not is_over(self._journal, self._chain, each.wallet, each.signature):
                undecided.add(each.wallet)
            elif each.state == SENT and self._chain.landed(each.signature or ""):
                self._mark([each.id], DONE)
            elif each.state != WAITING or each.goes_at <= snapshot.now:
                ready.append(each)
        going = self._taken_up([each.id for each in ready])
        found: dict[str, list[Transfer]] = {}
        for each in ready:
            if each.id not in going or each.wallet in undecided:
                continue
            told = self._refusal(each, snapshot, members, signable)
            if told is not None:
                self._mark([each.id], REFUSED, told)
            else:
                if each.state == SENT:
                    self._mark([each.id], GOING)
                found.setdefault(each.wallet, []).append(each)
        return {wallet: its for wallet, its in found.items()}  # noqa: C416 - a dict of lists is none of sequences

    def refused(self, action: MoveTokens, error: AuthorityError) -> None:
        """A program said no, or a key did not open; what may have landed after all is decided in a later round."""
        if self._journal.pending([action.purpose]):
            return
        told = PLAIN.get(error.name, error.message) if isinstance(error, ProgramError) else str(error)
        self._mark([action.transfer], REFUSED, told)

    def undone(self, bundle: Sequence[Action]) -> None:
        """A transaction of several members' acts was refused as a whole: each goes again by itself."""
        given = [each for each in bundle if isinstance(each, MoveTokens)]
        pending = self._journal.pending([each.purpose for each in given])
        self._mark([each.transfer for each in given if each.purpose not in pending], GOING)

    def _refusal(
        self, transfer: Transfer, snapshot: Snapshot, members: Mapping[str, MemberView], signable: Collection[str]
    ) -> str | None:
        wish, member = transfer.wish, members.get(transfer.wallet)
        if member is None or transfer.wallet not in signable:
            return NO_KEY
        energy, to = wish.asset == transfers.ENERGY, members.get(transfer.to_wallet or "")
        takes = to is not None and to.active and (to.held_wh if energy else to.credit) is not None
        return refusal(
            wish.act,
            wish.amount,
            held=member.held_wh if energy else member.credit,
            free=(member.seat_wh if energy else member.seat_credit) or 0,
            active=member.active,
            paused=bool(snapshot.config.pause & Pause.ORDERS),
            theirs=takes,
        )

    def _taken_up(self, ids: Sequence[int]) -> set[int]:
        """What goes now; others were taken back meanwhile."""
        if not ids:
            return set()
        with self._journal.store.write() as session:
            transfers.take_up(session, ids)
            return {each.id for each in transfers.open_transfers(session) if each.id in ids}

    def _mark(self, ids: Sequence[int], state: str, told: str = "") -> None:
        if ids:
            with self._journal.store.write() as session:
                transfers.mark(session, ids, state, told=told)
