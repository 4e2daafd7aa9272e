"""Asking the chain for a page: a client for one question, and one sentence where the validator does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from authority.app import App
from authority.billing import issuing
from authority.billing.errors import HistoryIncompleteError, HistoryLostError
from authority.billing.issuing import Book
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.errors import AuthorityError
from authority.operations.chain_state import MemberOnChain, member_on_chain
from authority.people.roles import MemberAccount
from authority.refusals import NotFoundError
from authority.store import Store
from authority.store.people import User


class ChainAwayError(AuthorityError):
    """The validator does not answer, so nothing can be said of what only the chain knows: try again."""

    code = "chain_away"


@contextmanager
def asking(client: Callable[[], ChainClient]) -> Iterator[ChainClient]:
    """A client of that maker for one question; ChainAwayError."""
    asked = client()
    try:
        yield asked
    except ChainError as error:
        raise ChainAwayError("the validator does not answer; nothing is lost, try again in a while") from error
    finally:
        asked.close()


@contextmanager
def opened_book(app: App, client: Callable[[], ChainClient], period: int | None, away: str) -> Iterator[Book]:
    """The book of a period, or of the open one, for one question.

    ChainAwayError, which says `away` where the chain's history is not all here. BillingErrors.
    """
    with asking(client) as asked:
        try:
            book = issuing.open_book(app, asked, only=period)
        except (HistoryIncompleteError, HistoryLostError) as error:
            raise ChainAwayError(away) from error
        yield book


def on_chain(client: ChainClient, store: Store, member: MemberAccount) -> MemberOnChain:
    """What the chain has of a member that somebody acts for; NotFoundError before its registration."""
    with store.read() as session:
        user = session.get_one(User, member.id)
    found = member_on_chain(client, user)
    if found is None:
        raise NotFoundError("this member is not on the chain yet: its meters have to be enrolled first")
    return found
