"""The calls of the API as methods. Made by docs/site/client.py from the API's description: do not edit.

Each raises ProblemError where the service refuses, AuthorityAwayError where no answer comes, and AnswerMalformedError.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

from authority.client import schemas
from authority.client.transport import Service, fresh_key, pages, path


class CampusClient(Service):
    """A campus as its API has it, with a token that a person made under Account; without one, what is public."""

    def cancel_my_order(self, number: int, *, key: str | None = None) -> schemas.GivenOrder:
        """Take back an order of the running book, by its number there.

        Asked for twice it is done once. It needs a token's scope trading:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.GivenOrder = self._transport.ask(
            "DELETE", path("/api/v1/me/orders/{number}", number=number), schemas.GivenOrder, key=key or fresh_key()
        )
        return answer

    def cancel_my_transfer(self, number: int, *, key: str | None = None) -> schemas.GivenTransfer:
        """Take back a transfer that is not under way yet.

        Asked for twice it is done once. It needs a token's scope money:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.GivenTransfer = self._transport.ask(
            "DELETE",
            path("/api/v1/me/transfers/{number}", number=number),
            schemas.GivenTransfer,
            key=key or fresh_key(),
        )
        return answer

    def end_my_standing_order(self, *, key: str | None = None) -> None:
        """End the standing order.

        It needs a token's scope trading:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        self._transport.ask("DELETE", "/api/v1/me/standing-order", None, key=key or fresh_key())

    def get_bank_payments(self) -> schemas.BankPayments:
        """Bills that are not settled, and the payments that came last.

        It needs a token's scope billing:read.
        """
        answer: schemas.BankPayments = self._transport.ask("GET", "/api/v1/billing/payments", schemas.BankPayments)
        return answer

    def get_bill_again(self, number: int) -> schemas.BillRun:
        """A bill computed again: how far it is, and what it came to, figure by figure.

        It needs a token's scope operations:read.
        """
        answer: schemas.BillRun = self._transport.ask(
            "GET", path("/api/v1/audit/bills/{number}/again", number=number), schemas.BillRun
        )
        return answer

    def get_billing_period(self, period: int) -> schemas.BillingPeriodView:
        """One billing period: what it lacks before it is closed, and what it comes to.

        Before its bills are issued the totals are those of the bills as they would be now. It needs a token's scope
        billing:read.
        """
        answer: schemas.BillingPeriodView = self._transport.ask(
            "GET", path("/api/v1/billing/periods/{period}", period=period), schemas.BillingPeriodView
        )
        return answer

    def get_book(self, number: int) -> schemas.FinalBook:
        """An epoch's final book out of the log, cleared again by the rule.

        Members go by their numbers on the chain. Its hash is that of `/bytes`, and stands beside the chain's. It needs
        a token's scope audit:read.
        """
        answer: schemas.FinalBook = self._transport.ask(
            "GET", path("/api/v1/log/books/{number}", number=number), schemas.FinalBook
        )
        return answer

    def get_book_bytes(self, number: int) -> bytes:
        """A final book's bytes, as its hash on the chain is of them.

        It needs a token's scope audit:read.
        """
        answer: bytes = self._transport.ask("GET", path("/api/v1/log/books/{number}/bytes", number=number), bytes)
        return answer

    def get_campus(self, *, history: int | None = None) -> schemas.Campus:
        """The campus now.

        Buildings, the running epoch, tokens, market and recent epochs. Made at most once a second.

        history: How many past epochs to give, newest last.
        """
        answer: schemas.Campus = self._transport.ask(
            "GET", "/api/v1/campus", schemas.Campus, query={"history": history}
        )
        return answer

    def get_comparison(self, number: int) -> schemas.Comparison:
        """One comparison of books and chain.

        It needs a token's scope operations:read.
        """
        answer: schemas.Comparison = self._transport.ask(
            "GET", path("/api/v1/audit/comparisons/{number}", number=number), schemas.Comparison
        )
        return answer

    def get_comparison_run(self) -> schemas.ComparisonRun:
        """How far the comparison is that was asked for.

        It needs a token's scope operations:read.
        """
        answer: schemas.ComparisonRun = self._transport.ask(
            "GET", "/api/v1/audit/comparisons/run", schemas.ComparisonRun
        )
        return answer

    def get_epoch(self, number: int) -> schemas.EpochView:
        """One epoch, with what waits.

        It needs a token's scope operations:read.
        """
        answer: schemas.EpochView = self._transport.ask(
            "GET", path("/api/v1/epochs/{number}", number=number), schemas.EpochView
        )
        return answer

    def get_held_reading(self, log_index: int) -> schemas.HeldEvidence:
        """A reading that is or was held, with the evidence, and what was decided.

        It needs a token's scope operations:read.
        """
        answer: schemas.HeldEvidence = self._transport.ask(
            "GET", path("/api/v1/readings/held/{log_index}", log_index=log_index), schemas.HeldEvidence
        )
        return answer

    def get_indicators(
        self, *, from_: date | None = None, to: date | None = None, step: Literal["day", "month"] | None = None
    ) -> schemas.Indicators:
        """Self-sufficiency, self-consumption, share traded, prices and CO2 by day or month.

        In the site's time zone; at most 92 days by day, 366 by month. A day is told when it is over and complete, or
        three days later with what there is, and stays so. Sums of too few members are null.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: day (at most 92) or month.
        """
        answer: schemas.Indicators = self._transport.ask(
            "GET", "/api/v1/indicators", schemas.Indicators, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_indicators_csv(
        self, *, from_: date | None = None, to: date | None = None, step: Literal["day", "month"] | None = None
    ) -> bytes:
        """The campus's indicators as CSV.

        A row for each step, with its beginning and end on the site's clock and their offset. Cells of what is not
        known, or of too few members, are empty. At most 92 days by day, 366 by month. In Wh and micro-credits.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: day (at most 92) or month.
        """
        answer: bytes = self._transport.ask(
            "GET", "/api/v1/indicators.csv", bytes, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_indicators_xlsx(
        self, *, from_: date | None = None, to: date | None = None, step: Literal["day", "month"] | None = None
    ) -> bytes:
        """The campus's indicators as XLSX.

        A row for each step, with its beginning and end on the site's clock and their offset. Cells of what is not
        known, or of too few members, are empty. At most 92 days by day, 366 by month. In kWh and credits. A second
        sheet has all of it together.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: day (at most 92) or month.
        """
        answer: bytes = self._transport.ask(
            "GET", "/api/v1/indicators.xlsx", bytes, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_issued_bill(self, number: int) -> schemas.TreasurerBill:
        """An issued bill of any member, with its corrections and payments.

        It needs a token's scope billing:read.
        """
        answer: schemas.TreasurerBill = self._transport.ask(
            "GET", path("/api/v1/billing/bills/{number}", number=number), schemas.TreasurerBill
        )
        return answer

    def get_market_book(self) -> schemas.ClearedBook:
        """The last cleared book, as sums by price.

        Neighbouring limits are put together until each sum is of enough members.
        """
        answer: schemas.ClearedBook = self._transport.ask("GET", "/api/v1/market/book", schemas.ClearedBook)
        return answer

    def get_market_prices(
        self,
        *,
        from_: date | None = None,
        to: date | None = None,
        step: Literal["quarter", "day", "month"] | None = None,
    ) -> schemas.Prices:
        """The market's prices and volumes by quarter, day or month.

        In the site's time zone; days have 92 to 100 quarters. At most 7 days by quarter, 92 by day. Books in which too
        few members traded are left out, and counted.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: quarter (of an hour, or an epoch where that is longer), day or month.
        """
        answer: schemas.Prices = self._transport.ask(
            "GET", "/api/v1/market/prices", schemas.Prices, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_me(self) -> schemas.Me:
        """Who asks.

        It needs a token.
        """
        answer: schemas.Me = self._transport.ask("GET", "/api/v1/me", schemas.Me)
        return answer

    def get_member(self, wallet: str) -> schemas.Account:
        """A member of the market with its meters, who sees its account, and its suspensions.

        It needs a token's scope operations:read.
        """
        answer: schemas.Account = self._transport.ask(
            "GET", path("/api/v1/members/{wallet}", wallet=wallet), schemas.Account
        )
        return answer

    def get_meter_day(self, gateway: str, meter_name: str, day: str) -> schemas.DayOfMeter:
        """One meter's day: where readings are missing, and why.

        It needs a token's scope operations:read.
        """
        answer: schemas.DayOfMeter = self._transport.ask(
            "GET",
            path("/api/v1/meters/{gateway}/{meter_name}/days/{day}", gateway=gateway, meter_name=meter_name, day=day),
            schemas.DayOfMeter,
        )
        return answer

    def get_meter_days(self, *, to: date | None = None, after: str | None = None) -> schemas.MeterMap:
        """Meters by days: how many of the readings that were due came.

        It needs a token's scope operations:read.

        to: The last day; today.
        after: Meters after this GATEWAY/METER.
        """
        answer: schemas.MeterMap = self._transport.ask(
            "GET", "/api/v1/meters/days", schemas.MeterMap, query={"to": to, "after": after}
        )
        return answer

    def get_meter_exchange(self, gateway: str, meter_name: str) -> schemas.ExchangeState:
        """The exchange of a meter: what is written down, and what remains.

        It needs a token's scope operations:read.
        """
        answer: schemas.ExchangeState = self._transport.ask(
            "GET",
            path("/api/v1/meters/{gateway}/{meter_name}/exchange", gateway=gateway, meter_name=meter_name),
            schemas.ExchangeState,
        )
        return answer

    def get_my_balances(self) -> schemas.Balances:
        """Tokens and credits.

        It needs a token's scope money:read.
        """
        answer: schemas.Balances = self._transport.ask("GET", "/api/v1/me/balances", schemas.Balances)
        return answer

    def get_my_bill(self, number: int) -> dict[str, Any]:
        """One bill.

        The document as it was issued; its SHA-256 is in the log. It needs a token's scope money:read.
        """
        answer: dict[str, Any] = self._transport.ask("GET", path("/api/v1/me/bills/{number}", number=number), Any)
        return answer

    def get_my_bill_csv(self, number: int) -> bytes:
        """One bill as CSV.

        A row for each line, in Wh and micro-credits, with the epochs and the leaves of the log that it is made of;
        positive where the member pays. It needs a token's scope money:read.
        """
        answer: bytes = self._transport.ask("GET", path("/api/v1/me/bills/{number}.csv", number=number), bytes)
        return answer

    def get_my_bill_so_far(self, *, period: int | None = None) -> dict[str, Any]:
        """The next bill, as it would be now.

        The document of a bill that is still to come: its number is 0, and `settled_until` says up to when the chain has
        settled your energy (null: not at all yet). Of the billing period that is open, or of one that has ended and has
        no bills yet. It needs a token's scope money:read.

        period: A period that has no bills yet; the one that is open where it is left out.
        """
        answer: dict[str, Any] = self._transport.ask("GET", "/api/v1/me/bills/so-far", Any, query={"period": period})
        return answer

    def get_my_certificate(self, number: int) -> schemas.CertificateView:
        """One certificate, by its bill's number.

        It needs a token's scope money:read.
        """
        answer: schemas.CertificateView = self._transport.ask(
            "GET", path("/api/v1/me/certificates/{number}", number=number), schemas.CertificateView
        )
        return answer

    def get_my_code(self) -> schemas.OwnCode:
        """Your code, by which others give to you.

        It needs a token's scope money:read.
        """
        answer: schemas.OwnCode = self._transport.ask("GET", "/api/v1/me/code", schemas.OwnCode)
        return answer

    def get_my_energy(
        self,
        *,
        from_: date | None = None,
        to: date | None = None,
        step: Literal["interval", "quarter", "day", "month"] | None = None,
    ) -> schemas.Energy:
        """Energy and trades by quarter, day or month.

        In the site's time zone; days have 92 to 100 quarters. At most 31 days by quarter, 92 by day. It needs a token's
        scope energy:read.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: quarter (of an hour), day, month, or interval: as the meters sign.
        """
        answer: schemas.Energy = self._transport.ask(
            "GET", "/api/v1/me/energy", schemas.Energy, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_my_energy_csv(
        self,
        *,
        from_: date | None = None,
        to: date | None = None,
        step: Literal["interval", "quarter", "day", "month"] | None = None,
    ) -> bytes:
        """Energy and trades as CSV.

        A row for each step, with its beginning and end on the site's clock and their offset, the six flows, what was
        bought and sold, for how many seconds of it all meters were heard, and how many of how many meters. Cells of
        what is not known are empty. The columns add up to the total of `/api/v1/me/energy`. At most 31 days by quarter,
        92 by day. In Wh and micro-credits. It needs a token's scope energy:read.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: quarter (of an hour), day, month, or interval: as the meters sign.
        """
        answer: bytes = self._transport.ask(
            "GET", "/api/v1/me/energy.csv", bytes, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_my_energy_xlsx(
        self,
        *,
        from_: date | None = None,
        to: date | None = None,
        step: Literal["interval", "quarter", "day", "month"] | None = None,
    ) -> bytes:
        """Energy and trades as XLSX.

        A row for each step, with its beginning and end on the site's clock and their offset, the six flows, what was
        bought and sold, for how many seconds of it all meters were heard, and how many of how many meters. Cells of
        what is not known are empty. The columns add up to the total of `/api/v1/me/energy`. At most 31 days by quarter,
        92 by day. In kWh and credits. A second sheet has the total. It needs a token's scope energy:read.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        step: quarter (of an hour), day, month, or interval: as the meters sign.
        """
        answer: bytes = self._transport.ask(
            "GET", "/api/v1/me/energy.xlsx", bytes, query={"from": from_, "to": to, "step": step}
        )
        return answer

    def get_my_green_button(self, *, from_: date | None = None, to: date | None = None) -> bytes:
        """Energy as a Green Button file (ESPI).

        An Atom feed of what was drawn from the campus grid and given to it, in Wh by quarters of an hour, with
        estimates marked as such and a summary of each bill. At most 92 days. It needs a token's scope energy:read.

        from_: The first day at the site; today.
        to: The last day, included; as `from`.
        """
        answer: bytes = self._transport.ask(
            "GET", "/api/v1/me/energy/green-button", bytes, query={"from": from_, "to": to}
        )
        return answer

    def get_my_orders(self) -> schemas.Orders:
        """Open orders, and late fills.

        Fills of the last 96 epochs; GET /api/v1/me/fills has all. It needs a token's scope money:read.
        """
        answer: schemas.Orders = self._transport.ask("GET", "/api/v1/me/orders", schemas.Orders)
        return answer

    def get_my_standing_order(self) -> schemas.Standing:
        """The standing order.

        It needs a token's scope money:read.
        """
        answer: schemas.Standing = self._transport.ask("GET", "/api/v1/me/standing-order", schemas.Standing)
        return answer

    def get_my_ticket(self, number: int) -> schemas.Dispute:
        """One dispute, with its answers.

        It needs a token's scope money:read.
        """
        answer: schemas.Dispute = self._transport.ask(
            "GET", path("/api/v1/me/tickets/{number}", number=number), schemas.Dispute
        )
        return answer

    def get_my_wallet(self) -> schemas.WalletState:
        """The wallet that signs for you, and whether the department keeps its key.

        It needs a token's scope money:read.
        """
        answer: schemas.WalletState = self._transport.ask("GET", "/api/v1/me/wallet", schemas.WalletState)
        return answer

    def get_plan(self) -> schemas.Plan:
        """The public buildings with what flowed between each and the campus grid.

        Of the last interval that was measured, within the last four; from signed readings alone.
        """
        answer: schemas.Plan = self._transport.ask("GET", "/api/v1/plan", schemas.Plan)
        return answer

    def get_running_book(self) -> schemas.RunningBook:
        """The book that takes orders now: its bounds, and its depth without members.

        It needs a token's scope money:read.
        """
        answer: schemas.RunningBook = self._transport.ask("GET", "/api/v1/me/book", schemas.RunningBook)
        return answer

    def get_status(self) -> schemas.ServiceNow:
        """Which parts of the service work, since when, and the last incidents.

        Looked at every 15 seconds at most. A state that lasts less than two minutes is no incident.
        """
        answer: schemas.ServiceNow = self._transport.ask("GET", "/api/v1/status", schemas.ServiceNow)
        return answer

    def get_tariffs(self) -> schemas.Tariffs:
        """What is in force, staged, proposed, and was in force.

        It needs a token's scope operations:read.
        """
        answer: schemas.Tariffs = self._transport.ask("GET", "/api/v1/tariffs", schemas.Tariffs)
        return answer

    def get_ticket(self, number: int) -> schemas.Dispute:
        """One dispute.

        It needs a token's scope operations:read.
        """
        answer: schemas.Dispute = self._transport.ask(
            "GET", path("/api/v1/tickets/{number}", number=number), schemas.Dispute
        )
        return answer

    def get_ticket_energy(self, number: int, *, day: date) -> schemas.Energy:
        """A day of a dispute by quarters.

        It needs a token's scope operations:read.

        day: A day of the dispute.
        """
        answer: schemas.Energy = self._transport.ask(
            "GET", path("/api/v1/tickets/{number}/energy", number=number), schemas.Energy, query={"day": day}
        )
        return answer

    def get_ticket_proof(self, number: int, *, day: date) -> dict[str, Any]:
        """The proof of a day of a dispute.

        What the page /kwh checks from a file: readings, signatures, the log's paths and the chain's pin. It needs a
        token's scope operations:read.

        day: A day of the dispute.
        """
        answer: dict[str, Any] = self._transport.ask(
            "GET", path("/api/v1/tickets/{number}/proof", number=number), Any, query={"day": day}
        )
        return answer

    def get_waiting(self) -> schemas.Waiting:
        """What waits for the department, with the figures that its first page shows.

        The things are those of `authority status`. It needs a token's scope operations:read.
        """
        answer: schemas.Waiting = self._transport.ask("GET", "/api/v1/operations/waiting", schemas.Waiting)
        return answer

    def list_access(
        self, *, cursor: int | None = None, from_: date | None = None, to: date | None = None
    ) -> schemas.ReadAccesses:
        """Who read what, the newest first.

        It needs a token's scope audit:read.

        cursor: `next` of the page before; the newest where it is left out.
        from_: The first day at the site; the log's first.
        to: The last day; today.
        """
        answer: schemas.ReadAccesses = self._transport.ask(
            "GET", "/api/v1/audit/access", schemas.ReadAccesses, query={"cursor": cursor, "from": from_, "to": to}
        )
        return answer

    def iterate_access(self, *, from_: date | None = None, to: date | None = None) -> Iterator[schemas.ReadAccess]:
        """All that list_access has, a page at a time: who read what, the newest first."""
        return pages(lambda cursor: self.list_access(cursor=cursor, from_=from_, to=to), "access")

    def list_all_announcements(self, *, cursor: int | None = None) -> schemas.AllNews:
        """All announcements, the newest first.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.AllNews = self._transport.ask(
            "GET", "/api/v1/announcements/all", schemas.AllNews, query={"cursor": cursor}
        )
        return answer

    def iterate_all_announcements(self) -> Iterator[schemas.Kept]:
        """All that list_all_announcements has, a page at a time: all announcements, the newest first."""
        return pages(lambda cursor: self.list_all_announcements(cursor=cursor), "announcements")

    def list_announcements(self) -> schemas.News:
        """What is announced to everybody now."""
        answer: schemas.News = self._transport.ask("GET", "/api/v1/announcements", schemas.News)
        return answer

    def list_billing_periods(self, *, cursor: int | None = None) -> schemas.BillingPeriods:
        """Billing periods, the newest first.

        It needs a token's scope billing:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.BillingPeriods = self._transport.ask(
            "GET", "/api/v1/billing/periods", schemas.BillingPeriods, query={"cursor": cursor}
        )
        return answer

    def iterate_billing_periods(self) -> Iterator[schemas.BillingPeriod]:
        """All that list_billing_periods has, a page at a time: billing periods, the newest first."""
        return pages(lambda cursor: self.list_billing_periods(cursor=cursor), "periods")

    def list_bills(self, *, cursor: int | None = None) -> schemas.IssuedBills:
        """Issued bills of all members, by pseudonym, the newest first.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.IssuedBills = self._transport.ask(
            "GET", "/api/v1/audit/bills", schemas.IssuedBills, query={"cursor": cursor}
        )
        return answer

    def iterate_bills(self) -> Iterator[schemas.IssuedBillHead]:
        """All that list_bills has, a page at a time: issued bills of all members, by pseudonym, the newest first."""
        return pages(lambda cursor: self.list_bills(cursor=cursor), "bills")

    def list_books(self, *, cursor: int | None = None) -> schemas.EpochBookRows:
        """Epochs with what their final books say, the newest first.

        It needs a token's scope audit:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.EpochBookRows = self._transport.ask(
            "GET", "/api/v1/log/books", schemas.EpochBookRows, query={"cursor": cursor}
        )
        return answer

    def iterate_books(self) -> Iterator[schemas.EpochBookRow]:
        """All that list_books has, a page at a time: epochs with what their final books say, the newest first."""
        return pages(lambda cursor: self.list_books(cursor=cursor), "books")

    def list_comparisons(self, *, cursor: int | None = None) -> schemas.Comparisons:
        """Comparisons of books and chain, the newest first.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.Comparisons = self._transport.ask(
            "GET", "/api/v1/audit/comparisons", schemas.Comparisons, query={"cursor": cursor}
        )
        return answer

    def iterate_comparisons(self) -> Iterator[schemas.Comparison]:
        """All that list_comparisons has, a page at a time: comparisons of books and chain, the newest first."""
        return pages(lambda cursor: self.list_comparisons(cursor=cursor), "comparisons")

    def list_credit_bookings(self, *, cursor: int | None = None) -> schemas.CreditBookings:
        """Top-ups and payouts of credits, the newest first.

        It needs a token's scope billing:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.CreditBookings = self._transport.ask(
            "GET", "/api/v1/billing/credits", schemas.CreditBookings, query={"cursor": cursor}
        )
        return answer

    def iterate_credit_bookings(self) -> Iterator[schemas.CreditBooking]:
        """All that list_credit_bookings has, a page at a time: top-ups and payouts of credits, the newest first."""
        return pages(lambda cursor: self.list_credit_bookings(cursor=cursor), "bookings")

    def list_epochs(self, *, cursor: int | None = None) -> schemas.EpochRows:
        """Epochs with their stages.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.EpochRows = self._transport.ask(
            "GET", "/api/v1/epochs", schemas.EpochRows, query={"cursor": cursor}
        )
        return answer

    def iterate_epochs(self) -> Iterator[schemas.EpochRow]:
        """All that list_epochs has, a page at a time: epochs with their stages."""
        return pages(lambda cursor: self.list_epochs(cursor=cursor), "epochs")

    def list_held_readings(
        self, *, cursor: int | None = None, code: str | None = None, meter: str | None = None
    ) -> schemas.HeldRows:
        """Readings that wait for an operator's decision, the oldest first.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the first where it is left out.
        code: Those that are held for this cause alone.
        meter: Those of this meter, GATEWAY/METER, alone.
        """
        answer: schemas.HeldRows = self._transport.ask(
            "GET", "/api/v1/readings/held", schemas.HeldRows, query={"cursor": cursor, "code": code, "meter": meter}
        )
        return answer

    def iterate_held_readings(self, *, code: str | None = None, meter: str | None = None) -> Iterator[schemas.HeldRow]:
        """All that list_held_readings has, a page at a time: readings that wait for an operator's decision, the
        oldest first.
        """
        return pages(lambda cursor: self.list_held_readings(cursor=cursor, code=code, meter=meter), "readings")

    def list_log_checkpoints(self, *, cursor: int | None = None) -> schemas.PublishedCheckpoints:
        """Published checkpoints of the log beside the chain's, the newest first.

        It needs a token's scope audit:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.PublishedCheckpoints = self._transport.ask(
            "GET", "/api/v1/log/checkpoints", schemas.PublishedCheckpoints, query={"cursor": cursor}
        )
        return answer

    def iterate_log_checkpoints(self) -> Iterator[schemas.PublishedCheckpoint]:
        """All that list_log_checkpoints has, a page at a time: published checkpoints of the log beside the chain's,
        the newest first.
        """
        return pages(lambda cursor: self.list_log_checkpoints(cursor=cursor), "checkpoints")

    def list_log_leaves(
        self, *, cursor: int | None = None, from_: date | None = None, to: date | None = None, kind: str | None = None
    ) -> schemas.LogLeaves:
        """Entries of the log by kind and days, the newest first.

        It needs a token's scope audit:read.

        cursor: `next` of the page before; the newest where it is left out.
        from_: The first day at the site; the log's first.
        to: The last day; today.
        kind: Entries of this kind alone; else of all.
        """
        answer: schemas.LogLeaves = self._transport.ask(
            "GET",
            "/api/v1/log/leaves",
            schemas.LogLeaves,
            query={"cursor": cursor, "from": from_, "to": to, "kind": kind},
        )
        return answer

    def iterate_log_leaves(
        self, *, from_: date | None = None, to: date | None = None, kind: str | None = None
    ) -> Iterator[schemas.LogLeaf]:
        """All that list_log_leaves has, a page at a time: entries of the log by kind and days, the newest first."""
        return pages(lambda cursor: self.list_log_leaves(cursor=cursor, from_=from_, to=to, kind=kind), "leaves")

    def list_members(self, *, cursor: int | None = None, q: str | None = None) -> schemas.AccountRows:
        """The members of the market, the oldest first, without those that have left.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the first where it is left out.
        q: Those whose name or building has this; for who is not an operator, whose wallet.
        """
        answer: schemas.AccountRows = self._transport.ask(
            "GET", "/api/v1/members", schemas.AccountRows, query={"cursor": cursor, "q": q}
        )
        return answer

    def iterate_members(self, *, q: str | None = None) -> Iterator[schemas.AccountRow]:
        """All that list_members has, a page at a time: the members of the market, the oldest first, without those
        that have left.
        """
        return pages(lambda cursor: self.list_members(cursor=cursor, q=q), "members")

    def list_my_announcements(self) -> schemas.News:
        """What is announced to you now.

        It needs a token.
        """
        answer: schemas.News = self._transport.ask("GET", "/api/v1/me/announcements", schemas.News)
        return answer

    def list_my_bills(self, *, cursor: int | None = None) -> schemas.Bills:
        """Issued bills, the newest first.

        It needs a token's scope money:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.Bills = self._transport.ask("GET", "/api/v1/me/bills", schemas.Bills, query={"cursor": cursor})
        return answer

    def iterate_my_bills(self) -> Iterator[schemas.BillHead]:
        """All that list_my_bills has, a page at a time: issued bills, the newest first."""
        return pages(lambda cursor: self.list_my_bills(cursor=cursor), "bills")

    def list_my_certificates(self, *, cursor: int | None = None) -> schemas.Certificates:
        """Certificates of retirement: renewable energy that was used up for what you drew.

        It needs a token's scope money:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.Certificates = self._transport.ask(
            "GET", "/api/v1/me/certificates", schemas.Certificates, query={"cursor": cursor}
        )
        return answer

    def iterate_my_certificates(self) -> Iterator[schemas.CertificateView]:
        """All that list_my_certificates has, a page at a time: certificates of retirement: renewable energy that was
        used up for what you drew.
        """
        return pages(lambda cursor: self.list_my_certificates(cursor=cursor), "certificates")

    def list_my_fills(self, *, cursor: int | None = None) -> schemas.Fills:
        """What orders came to, the newest first.

        Of all final books, whole epochs a page: 50 fills, or a few more. It needs a token's scope money:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.Fills = self._transport.ask("GET", "/api/v1/me/fills", schemas.Fills, query={"cursor": cursor})
        return answer

    def iterate_my_fills(self) -> Iterator[schemas.Fill]:
        """All that list_my_fills has, a page at a time: what orders came to, the newest first."""
        return pages(lambda cursor: self.list_my_fills(cursor=cursor), "fills")

    def list_my_hand_orders(self, *, cursor: int | None = None) -> schemas.GivenOrders:
        """Orders given by hand, and what became of them, the newest first.

        It needs a token's scope money:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.GivenOrders = self._transport.ask(
            "GET", "/api/v1/me/orders/by-hand", schemas.GivenOrders, query={"cursor": cursor}
        )
        return answer

    def iterate_my_hand_orders(self) -> Iterator[schemas.GivenOrder]:
        """All that list_my_hand_orders has, a page at a time: orders given by hand, and what became of them, the
        newest first.
        """
        return pages(lambda cursor: self.list_my_hand_orders(cursor=cursor), "orders")

    def list_my_tickets(self, *, cursor: int | None = None) -> schemas.Disputes:
        """What you dispute.

        It needs a token's scope money:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.Disputes = self._transport.ask(
            "GET", "/api/v1/me/tickets", schemas.Disputes, query={"cursor": cursor}
        )
        return answer

    def iterate_my_tickets(self) -> Iterator[schemas.DisputeHead]:
        """All that list_my_tickets has, a page at a time: what you dispute."""
        return pages(lambda cursor: self.list_my_tickets(cursor=cursor), "disputes")

    def list_my_transfers(self, *, cursor: int | None = None) -> schemas.GivenTransfers:
        """Tokens and credits that you moved by hand or were given, and what became of it.

        It needs a token's scope money:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.GivenTransfers = self._transport.ask(
            "GET", "/api/v1/me/transfers", schemas.GivenTransfers, query={"cursor": cursor}
        )
        return answer

    def iterate_my_transfers(self) -> Iterator[schemas.GivenTransfer]:
        """All that list_my_transfers has, a page at a time: tokens and credits that you moved by hand or were given,
        and what became of it.
        """
        return pages(lambda cursor: self.list_my_transfers(cursor=cursor), "transfers")

    def list_period_bills(self, period: int, *, cursor: int | None = None) -> schemas.PeriodBills:
        """A billing period's bills, issued or as they would be now.

        It needs a token's scope billing:read.

        cursor: `next` of the page before; the first where it is left out.
        """
        answer: schemas.PeriodBills = self._transport.ask(
            "GET",
            path("/api/v1/billing/periods/{period}/bills", period=period),
            schemas.PeriodBills,
            query={"cursor": cursor},
        )
        return answer

    def iterate_period_bills(self, period: int) -> Iterator[schemas.PeriodBill]:
        """All that list_period_bills has, a page at a time: a billing period's bills, issued or as they would be
        now.
        """
        return pages(lambda cursor: self.list_period_bills(period, cursor=cursor), "bills")

    def list_tickets(self, *, cursor: int | None = None) -> schemas.Disputes:
        """All disputes, the newest first.

        It needs a token's scope operations:read.

        cursor: `next` of the page before; the newest where it is left out.
        """
        answer: schemas.Disputes = self._transport.ask(
            "GET", "/api/v1/tickets", schemas.Disputes, query={"cursor": cursor}
        )
        return answer

    def iterate_tickets(self) -> Iterator[schemas.DisputeHead]:
        """All that list_tickets has, a page at a time: all disputes, the newest first."""
        return pages(lambda cursor: self.list_tickets(cursor=cursor), "disputes")

    def make_my_transfer(self, given: schemas.TransferInput, *, key: str | None = None) -> schemas.GivenTransfer:
        """Move tokens or credits between wallet and market, or give them to a member.

        Settlement signs and carries it out, once. A gift can be taken back until then, for some minutes. It needs a
        token's scope money:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.GivenTransfer = self._transport.ask(
            "POST", "/api/v1/me/transfers", schemas.GivenTransfer, body=given, key=key or fresh_key()
        )
        return answer

    def place_my_order(self, given: schemas.OrderInput, *, key: str | None = None) -> schemas.GivenOrder:
        """Give an order for the running book.

        Settlement signs and places it, once; GET /api/v1/me/orders/by-hand says what became of it. It needs a token's
        scope trading:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.GivenOrder = self._transport.ask(
            "POST", "/api/v1/me/orders", schemas.GivenOrder, body=given, key=key or fresh_key()
        )
        return answer

    def prepare_my_transaction(self, given: schemas.WishInput, *, key: str | None = None) -> schemas.Prepared:
        """Prepare a transaction for your own wallet.

        It was tried on the chain, and holds for about a minute. Your wallet signs it and pays its fee. It needs a
        token's scope trading:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.Prepared = self._transport.ask(
            "POST", "/api/v1/me/transactions/prepare", schemas.Prepared, body=given, key=key or fresh_key()
        )
        return answer

    def preview_my_order(self, given: schemas.OrderInput, *, key: str | None = None) -> schemas.OrderPreview:
        """What an order would cost or bring, and lock.

        It needs a token's scope money:read.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.OrderPreview = self._transport.ask(
            "POST", "/api/v1/me/orders/preview", schemas.OrderPreview, body=given, key=key or fresh_key()
        )
        return answer

    def preview_my_transfer(self, given: schemas.TransferInput, *, key: str | None = None) -> schemas.TransferPreview:
        """What a transfer would do, and who is meant.

        It needs a token's scope money:read.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.TransferPreview = self._transport.ask(
            "POST", "/api/v1/me/transfers/preview", schemas.TransferPreview, body=given, key=key or fresh_key()
        )
        return answer

    def preview_tariffs(
        self,
        *,
        grace_seconds: int | None = None,
        clock_skew_seconds: int | None = None,
        nameplate_tolerance_bps: int | None = None,
        storage_efficiency_bps: int | None = None,
        feed_in_price: int | None = None,
        retail_price: int | None = None,
        wheeling: int | None = None,
        fee_bps: int | None = None,
        min_order_wh: int | None = None,
        max_order_wh: int | None = None,
        max_orders_per_member: int | None = None,
        cancel_cutoff_seconds: int | None = None,
        min_reference_volume_wh: int | None = None,
        billing_period_epochs: int | None = None,
        netting_epochs: int | None = None,
        day: date | None = None,
    ) -> schemas.TariffPreview:
        """A change in the light of last week.

        It needs a token's scope operations:read.

        day: The day at the site with which it holds.
        """
        answer: schemas.TariffPreview = self._transport.ask(
            "GET",
            "/api/v1/tariffs/preview",
            schemas.TariffPreview,
            query={
                "grace_seconds": grace_seconds,
                "clock_skew_seconds": clock_skew_seconds,
                "nameplate_tolerance_bps": nameplate_tolerance_bps,
                "storage_efficiency_bps": storage_efficiency_bps,
                "feed_in_price": feed_in_price,
                "retail_price": retail_price,
                "wheeling": wheeling,
                "fee_bps": fee_bps,
                "min_order_wh": min_order_wh,
                "max_order_wh": max_order_wh,
                "max_orders_per_member": max_orders_per_member,
                "cancel_cutoff_seconds": cancel_cutoff_seconds,
                "min_reference_volume_wh": min_reference_volume_wh,
                "billing_period_epochs": billing_period_epochs,
                "netting_epochs": netting_epochs,
                "day": day,
            },
        )
        return answer

    def renew_my_code(self, *, key: str | None = None) -> schemas.OwnCode:
        """A new code; the former one leads nowhere any more.

        It needs a token's scope money:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.OwnCode = self._transport.ask(
            "POST", "/api/v1/me/code", schemas.OwnCode, key=key or fresh_key()
        )
        return answer

    def set_my_standing_order(self, given: schemas.StandingInput, *, key: str | None = None) -> schemas.Standing:
        """Set the standing order.

        The same order set twice is set once. It needs a token's scope trading:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.Standing = self._transport.ask(
            "PUT", "/api/v1/me/standing-order", schemas.Standing, body=given, key=key or fresh_key()
        )
        return answer

    def start_bill_again(self, number: int, *, key: str | None = None) -> schemas.BillRun:
        """Compute a bill again from log and chain.

        By rules of the audit's own. It takes one core, and one bill is at a time. It needs a token's scope audit:run.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.BillRun = self._transport.ask(
            "POST", path("/api/v1/audit/bills/{number}/again", number=number), schemas.BillRun, key=key or fresh_key()
        )
        return answer

    def start_comparison(self, *, key: str | None = None) -> schemas.ComparisonRun:
        """Compare books and chain now, as the service does once a night.

        It takes one core, and one runs at a time: asked for meanwhile, it is the one that runs. GET
        /api/v1/audit/comparisons/run says how far it is. It needs a token's scope audit:run.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.ComparisonRun = self._transport.ask(
            "POST", "/api/v1/audit/comparisons", schemas.ComparisonRun, key=key or fresh_key()
        )
        return answer

    def submit_my_transaction(self, given: schemas.SignedInput, *, key: str | None = None) -> schemas.Submitted:
        """Send on a transaction that your wallet signed.

        Only what was prepared, byte for byte. The same body again says what became of it, and does nothing twice. It
        needs a token's scope trading:write.

        key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise.
        """
        answer: schemas.Submitted = self._transport.ask(
            "POST", "/api/v1/me/transactions/submit", schemas.Submitted, body=given, key=key or fresh_key()
        )
        return answer
