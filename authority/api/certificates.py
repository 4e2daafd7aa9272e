"""Certificates of retirement, for their member and, by the code on them, for anybody: with what log and chain say.

A check goes through the log and the chain anew, and says of each step whether it holds. A proof is what a browser needs
to do so itself (docs/PROTOCOL.md, "The proof of a certificate"). Energies are Wh, times Unix seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from solders.signature import Signature
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api.asking import ChainAwayError, asking
from authority.api.campus import described
from authority.api.kwh import Covering, ProofMissingError, covering, pin_of
from authority.api.paging import AT_ONCE, NEXT, cut
from authority.app import App
from authority.billing import certificates
from authority.billing.bill import ISSUED
from authority.billing.certificates import Certificate
from authority.chain import programs
from authority.chain.accounts import EpochCheckpoint
from authority.chain.client import ChainClient
from authority.chain.idl import logged_data
from authority.log import log, merkle
from authority.log.merkle import ProofError
from authority.people.roles import MemberAccount
from authority.refusals import NotFoundError
from authority.store.billing import IssuedBill
from authority.store.log import Act

FORMAT = "campus-certificate-1"
TRANSACTIONS_AT_ONCE = 50
"""How many transactions one look at the public page checks."""
_ENERGY_TOKEN = str(programs.PROGRAM_IDS["energy_token"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredEnergy:
    """One retirement."""

    wh: int = described("How much, Wh.")
    signature: str = described("Its transaction.")
    log_index: int = described("The entry of the department's log that says so.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """That energy was retired for what a member drew in a billing period."""

    bill: int = described("The bill that it is of, which is its number too.")
    period: int = described("The billing period.")
    starts_at: int = described("When the period begins.")
    ends_at: int = described("When it ends.")
    wh: int = described("Energy that was retired, Wh.")
    own_wh: int = described("Surplus that was minted for the member itself in this time, Wh.")
    bought_wh: int = described("What it bought from other members in this time, Wh.")
    untold_wh: int = described(
        "Of it, what a wallet of the member's own retired: the log names no transaction of that."
    )
    link: str = described("Where anybody can check it, without an account.")
    retired: tuple[RetiredEnergy, ...] = described("The retirements that the log names.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A member's certificates, the newest first."""

    certificates: tuple[CertificateView, ...] = described("The certificates.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a check: what is looked at, and whether it holds (None: it cannot be told now)."""

    what: Literal["document", "entries", "pinned", "transactions", "sum"]
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Check:
    """A certificate as log and chain have it; of many transactions those from `first` on are looked at."""

    certificate: Certificate
    steps: tuple[Step, ...]
    first: int
    looked_at: int

    @property
    def holds(self) -> bool:
        """Whether all that was looked at holds."""
        return all(step.holds for step in self.steps)


class MemberCertificates:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client

    def listed(self, member: MemberAccount, link: Callable[[str], str], before: int | None = None) -> Certificates:
        """A member's certificates, of bills before that number."""
        older = () if before is None else (IssuedBill.number < before,)
        bills = (
            select(IssuedBill)
            .where(IssuedBill.wallet == member.wallet, *older)
            .order_by(IssuedBill.number.desc())
            .limit(AT_ONCE + 1)
        )
        with self._app.store.read() as session:
            found = session.scalars(bills).all()
            page, more = cut(found, lambda bill: bill.number)
            shown = [certificates.of_bill(session, bill) for bill in page]
        views = tuple(self._view(each, link) for each in shown if each is not None)
        return Certificates(certificates=views, next=more)

    def one(self, member: MemberAccount, number: int, link: Callable[[str], str]) -> CertificateView:
        """A member's certificate; NotFoundError."""
        return self._view(self._own(member, number), link)

    def pdf(self, member: MemberAccount, number: int, link: Callable[[str], str]) -> bytes:
        """A member's certificate on paper; NotFoundError."""
        settings, found = self._app.home.settings, self._own(member, number)
        address = link(certificates.secret_of(self._app.home.tickets_key, number))
        zone = ZoneInfo(settings.site.zone)
        return certificates.on_paper(found, member.name, settings.network.organisation, zone, address)

    def check(self, secret: str, first: int = 0) -> Check:
        """The certificate that a code leads to, checked by log and chain; NotFoundError."""
        with self._app.store.read() as session:
            bill, found = self._behind(session, secret)
            document = _says_so(session, bill)
            leaves = [bill.log_index, *(each.log_index for each in found.retired)]
            entries, pinned = self._in_the_log(session, leaves)
        some = found.retired[first : first + TRANSACTIONS_AT_ONCE]
        total = sum(each.wh for each in found.retired) + found.untold_wh == found.wh and found.untold_wh >= 0
        steps = (
            Step("document", document),
            Step("entries", entries),
            Step("pinned", pinned),
            Step("transactions", self._on_the_chain(found, some)),
            Step("sum", total),
        )
        return Check(found, steps, first, len(some))

    def proof(self, secret: str, first: int = 0) -> dict[str, Any]:
        """What shows it to a program, of TRANSACTIONS_AT_ONCE retirements from `first` on.

        NotFoundError, ProofMissingError. A transaction is null where the validator does not answer, has it no more,
        or says that it failed.
        """
        with self._app.store.read() as session:
            bill, found = self._behind(session, secret)
            some = found.retired[first : first + TRANSACTIONS_AT_ONCE]
            leaves = [bill.log_index, *(each.log_index for each in some)]
            cover = covering(session, max(leaves))
            entries = _entries(session, leaves, cover)
        landed = self._landed(some)
        return {
            "format": FORMAT,
            "network_id": self._app.home.network_id.hex(),
            "bill": found.bill,
            "period": found.period,
            "wallet": found.wallet,
            "program": _ENERGY_TOKEN,
            "wh": found.wh,
            "untold_wh": found.untold_wh,
            "first": first,
            "of": len(found.retired),
            "issued": {**entries[0], "sha256": found.sha256},
            "retired": [
                {**entry, "wh": each.wh, "signature": each.signature, "transaction": landed.get(each.signature)}
                for entry, each in zip(entries[1:], some, strict=True)
            ],
            "checkpoint": {"note": cover.signed.to_bytes(cover.key).decode(), "key": cover.key.hex()},
            "pin": pin_of(cover, self._client),
        }

    def _behind(self, session: Session, secret: str) -> tuple[IssuedBill, Certificate]:
        """The bill and the certificate that a code leads to; NotFoundError."""
        number = certificates.number_of(self._app.home.tickets_key, secret)
        bill = None if number is None else session.get(IssuedBill, number)
        found = None if bill is None else certificates.of_bill(session, bill)
        if found is None or bill is None:
            raise NotFoundError("there is no such certificate: scan its code again, or type all of its address")
        return bill, found

    def _landed(self, some: Sequence[certificates.Retired]) -> dict[str, str]:
        """The transactions' bytes in hex, by their signatures: of those that landed well and are to be had."""
        try:
            with asking(self._client) as client:
                records = list(client.transactions(Signature.from_string(each.signature) for each in some))
        except ChainAwayError:
            return {}
        good = (record for record in records if record is not None and record.error is None)
        return {str(record.signature): bytes(record.transaction).hex() for record in good}

    def _own(self, member: MemberAccount, number: int) -> Certificate:
        with self._app.store.read() as session:
            bill = session.get(IssuedBill, number)
            its = bill is not None and bill.wallet == member.wallet
            found = certificates.of_bill(session, bill) if bill is not None and its else None
        if found is None:
            raise NotFoundError(f"you have no certificate {number}")
        return found

    def _view(self, found: Certificate, link: Callable[[str], str]) -> CertificateView:
        return CertificateView(
            bill=found.bill,
            period=found.period,
            starts_at=found.starts_at,
            ends_at=found.ends_at,
            wh=found.wh,
            own_wh=found.own_wh,
            bought_wh=found.bought_wh,
            untold_wh=found.untold_wh,
            link=link(certificates.secret_of(self._app.home.tickets_key, found.bill)),
            retired=tuple(
                RetiredEnergy(wh=each.wh, signature=each.signature, log_index=each.log_index) for each in found.retired
            ),
        )

    def _in_the_log(self, session: Session, leaves: Sequence[int]) -> tuple[bool | None, bool | None]:
        """Whether all leaves are under a signed checkpoint, and whether the chain pins that one."""
        try:
            cover = covering(session, max(leaves))
        except ProofMissingError:
            return None, None
        node, size = functools.cache(log.nodes(session)), cover.signed.size
        try:
            for index in leaves:
                path = merkle.inclusion_proof(index, size, node)
                merkle.verify_inclusion(
                    merkle.leaf_hash(log.leaf(session, index)), index, size, path, cover.signed.root
                )
        except ProofError:
            return False, None
        if not cover.signed.verify(cover.key):
            return False, None
        if cover.epoch is None:
            return True, None
        try:
            with asking(self._client) as client:
                pin = client.account(EpochCheckpoint, programs.checkpoint_address(cover.epoch))
        except ChainAwayError:
            return True, None
        return True, pin is not None and (pin.log_size, pin.log_root) == (size, cover.signed.root)

    def _on_the_chain(self, found: Certificate, some: Sequence[certificates.Retired]) -> bool | None:
        """Whether these transactions retired so much for this member and period; None where they are not to be had."""
        wanted = [(each.signature, each.wh) for each in some]
        try:
            with asking(self._client) as client:
                idl = client.idl("energy_token")
                records = list(client.transactions(Signature.from_string(each.signature) for each in some))
        except ChainAwayError:
            return None
        said: dict[str, int] = {}
        for record in records:
            if record is None:
                return None
            if record.error is not None:
                return False
            events = (idl.decode_event(data) for program, data in logged_data(record.logs) if program == _ENERGY_TOKEN)
            said[str(record.signature)] = sum(
                event.data["amount"]
                for event in events
                if event is not None
                and event.name == "EnergyRetired"
                and not event.data["reason"]
                and (str(event.data["wallet"]), event.data["period"]) == (found.wallet, found.period)
            )
        totals: dict[str, int] = {}
        for signature, wh in wanted:
            totals[signature] = totals.get(signature, 0) + wh
        return all(said.get(signature) == wh for signature, wh in totals.items())


def _entries(session: Session, leaves: Sequence[int], cover: Covering) -> list[dict[str, Any]]:
    """Each leaf with its inclusion path under a checkpoint."""
    node = functools.cache(log.nodes(session))
    return [
        {
            "log_index": index,
            "leaf": log.leaf(session, index).hex(),
            "path": [each.hex() for each in merkle.inclusion_proof(index, cover.signed.size, node)],
        }
        for index in leaves
    ]


def _says_so(session: Session, bill: IssuedBill) -> bool:
    """Whether the log's own leaf says that this document was issued."""
    act = session.get(Act, bill.log_index)
    if act is None or act.kind != ISSUED:
        return False
    its = tuple(act.data.get(name) for name in ("number", "wallet", "sha256"))
    return its == (bill.number, bill.wallet, bill.sha256.hex())
