"""A member's pages: today, energy, trading, tokens and credits, bills. Every figure is the API's too."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import days, gate
from authority.api.asking import ChainAwayError
from authority.api.energy_table import tells_trades, traded_until
from authority.api.gate import Rule
from authority.api.hand_orders import SHOWN_EPOCHS, BookClosedError, HandOrderInvalidError, HandOrders, proposed
from authority.api.member import NO_TRADES, Energy, EnergyStep, Flows, Members, Trades, add_trades, order_of, summed
from authority.app import App
from authority.billing.calendar import midnight
from authority.billing.money import spaced
from authority.billing.payments import WORDS
from authority.errors import AuthorityError
from authority.language.reading import gettext, marked, said
from authority.market.policies import MarketError
from authority.market.standing_orders import ProposedOrder, StandingOrder
from authority.people import sent_forms
from authority.people.roles import OF_A_MEMBER, SEES_BILLS, MemberAccount
from authority.refusals import NotFoundError
from authority.web import amounts, answers, ranges
from authority.web.answers import page, redirect
from authority.web.figures import credits_per_kwh, kilowatt_hours
from authority.web.market_pages import WIDTH as DEPTH_WIDTH
from authority.web.market_pages import levels, most_of
from authority.web.presentation import nice

T = TypeVar("T")
RULES: Mapping[str, Rule] = {
    "member.today": Rule(OF_A_MEMBER),
    "member.energy": Rule(OF_A_MEMBER),
    "member.trading": Rule(OF_A_MEMBER),
    "member.change_trading": Rule(OF_A_MEMBER),
    "member.give_order": Rule(OF_A_MEMBER),
    "member.cancel_order": Rule(OF_A_MEMBER),
    "member.money": Rule(OF_A_MEMBER),
    "member.bills": Rule(SEES_BILLS),
    "member.bill": Rule(SEES_BILLS),
    "member.bill_so_far": Rule(SEES_BILLS),
    "member.bill_pdf": Rule(SEES_BILLS),
}
HEIGHT, WIDTH = 200, 960
STATE_WORDS = {
    "waiting": marked("waits to be carried out"),
    "placed": marked("in the book"),
    "refused": marked("refused"),
    "taken_back": marked("out of the book"),
    "filled": marked("filled"),
    "partly_filled": marked("filled in part"),
    "not_filled": marked("not filled"),
}
LINE_WORDS = {
    "withdrawn": marked("Energy drawn from the campus grid"),
    "late_withdrawal": marked("Energy drawn earlier, booked late"),
    "retired": marked("Covered by your own and bought energy"),
    "remainder": marked("Not covered: at the grid's price"),
    "estimate": marked("Estimated, for a meter that failed"),
    "estimate_withdrawn": marked("An earlier estimate, taken back"),
    "correction": marked("Correction of an earlier bill"),
    "bought": marked("Bought from other members"),
    "wheeling": marked("For carrying what you bought"),
    "sold": marked("Sold to other members"),
    "fee": marked("The market's fee"),
    "fed_in": marked("Fed in to the grid"),
    "top_up": marked("Credits that you paid for"),
    "pay_out": marked("Credits that were paid out to you"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One step in the chart: its place and its two heights, in a box of WIDTH by HEIGHT."""

    x: int
    width: int
    made: int
    used: int
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Made and used energy by step, ready to draw; top_wh is the axis's end."""

    bars: tuple[Bar, ...]
    top_wh: int
    known: int


def chart(energy: Energy, labels: list[str]) -> Chart:
    """The bars of a range; a step that nobody knows has none."""
    known = [(place, step.flows) for place, step in enumerate(energy.steps) if step.flows is not None]
    top = nice(max([10, *(max(flows.made_wh, flows.used_wh) for _, flows in known)]))
    slot = WIDTH // max(1, len(energy.steps))
    width = max(1, slot // 2 - (1 if slot > 5 else 0))
    bars = tuple(
        Bar(
            place * slot,
            width,
            flows.made_wh * HEIGHT // top,
            flows.used_wh * HEIGHT // top,
            gettext(
                "%(step)s: %(made)s made, %(used)s used",
                step=labels[place],
                made=kilowatt_hours(flows.made_wh),
                used=kilowatt_hours(flows.used_wh),
            ),
        )
        for place, flows in known
    )
    return Chart(bars, top, len(known))


def sentence(order: StandingOrder) -> str:
    """A standing order in words."""
    parts = []
    if order.sell_at is not None:
        price, kept = credits_per_kwh(order.sell_at), kilowatt_hours(order.reserve_wh)
        if order.reserve_wh:
            words = gettext(
                "Sell what I have beyond %(kept)s, at %(price)s credits per kWh or more.", kept=kept, price=price
            )
        else:
            words = gettext("Sell what I have, at %(price)s credits per kWh or more.", price=price)
        parts.append(words)
    if order.buy_at is not None:
        price = credits_per_kwh(order.buy_at)
        parts.append(gettext("Buy what I lack, at %(price)s credits per kWh or less.", price=price))
    if order.feed_in_above_wh is not None:
        parts.append(gettext("Feed in what I have beyond %(kept)s.", kept=kilowatt_hours(order.feed_in_above_wh)))
    return " ".join(parts) or gettext("Do nothing.")


@dataclass(frozen=True, slots=True)
class Compared:
    """What another range had, as far as the shown one has come: its energy, None where not known, and its trades."""

    flows: Flows | None
    trades: Trades

    @classmethod
    def of(cls, parts: Iterable[EnergyStep]) -> Compared:
        """Steps together."""
        steps = list(parts)
        trades = functools.reduce(add_trades, (each.trades for each in steps), NO_TRADES)
        return cls(summed(each.flows for each in steps), trades)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to compare with."""
        return self.flows is not None or self.trades.is_any


def same_part(
    members: Members,
    its: MemberAccount,
    found: Energy,
    shown: tuple[date, date],
    before: tuple[date, date],
    view: str,
    today: date,
) -> Compared:
    """What the range before had up to where the shown one has readings, if that still runs; else all of it.

    found is the energy of the shown one. A range that runs is compared up to the end of its last quarter of an hour
    with readings, at the same day and time.
    """
    if shown[1] < today:
        return Compared.of([members.energy(its, *before, ranges.VIEWS[view]).total])
    start = midnight(today, members.zone)
    of_today = found if view == "day" else members.energy(its, today, today, days.QUARTER)
    heard = [step.ends_at for step in of_today.steps if step.flows is not None]
    seconds = max(heard, default=start) - start
    day = _same_day(shown[0], before, view, today)
    parts = [] if day is None else _until(members, its, day, seconds)
    last = before[1] if day is None else day - timedelta(days=1)
    if last >= before[0]:
        parts.append(members.energy(its, before[0], last, ranges.VIEWS[view]).total)
    return Compared.of(parts)


def _same_day(first: date, before: tuple[date, date], view: str, today: date) -> date | None:
    """The day of the range before that is as today in its own; None where that range has no such day."""
    if view == "year":
        return None if (today.month, today.day) == (2, 29) else today.replace(year=before[0].year)
    day = before[0] + (today - first)
    return day if day <= before[1] else None


def _until(members: Members, its: MemberAccount, day: date, seconds: int) -> list[EnergyStep]:
    """What a day had in so many seconds from its beginning, by quarters of an hour."""
    steps = members.energy(its, day, day, days.QUARTER).steps
    return [step for step in steps if step.ends_at <= steps[0].starts_at + seconds]


def blueprint(app: App, members: Members, by_hand: HandOrders) -> Blueprint:
    """The pages over the query layer."""
    member = Blueprint("member", __name__, url_prefix="/me")

    @member.get("")
    def today() -> Response:
        its, day = gate.own_member(app, "today"), members.today()
        found, away = _if_it_answers(members.on_chain, its)
        standing = members.standing(its)
        text = render_template(
            "me.html",
            account=its.name,
            day=day,
            energy=members.energy(its, day, day, days.QUARTER),
            balances=members.balances(its, found) if found else None,
            away=away,
            standing=standing,
            order_state=members.order_state(standing, found, its) if found else None,
            words=sentence(order_of(standing)),
            bills=members.bills(its).bills,
            members=members,
            payment_states=WORDS,
        )
        return page(text)

    @member.get("/energy")
    def energy() -> Response:
        its, today_ = gate.own_member(app, "energy"), members.today()
        view = ranges.view_of(request.args.get("view", ""))
        first, last = ranges.around(view, ranges.day_of(request.args.get("day", ""), today_))
        named = ranges.between(request.args.get("from", ""), request.args.get("to", ""), today_)
        if named is not None:
            view, first, last = named
        is_whole = (first, last) == ranges.around(view, first)
        before = ranges.around(view, first - timedelta(days=1))
        found = members.energy(its, first, last, ranges.VIEWS[view])
        earlier = ranges.a_year_earlier(view, first) if is_whole else None
        labels = [ranges.label(step.starts_at, view, members.zone) for step in found.steps]
        with app.store.read() as session:
            until = traded_until(session, members.epoch_seconds, app.clock())
        text = render_template(
            "energy.html",
            account=its.name,
            view=view,
            first=first,
            last=last,
            before=before[0],
            after=last + timedelta(days=1),
            is_last=last >= today_,
            energy=found,
            is_whole=is_whole,
            compared=same_part(members, its, found, (first, last), before, view, today_) if is_whole else None,
            year_earlier=same_part(members, its, found, (first, last), earlier, view, today_) if earlier else None,
            tells=lambda step: tells_trades(step, until),
            labels=labels,
            marks=ranges.marks(labels, view),
            chart=chart(found, labels),
            height=HEIGHT,
            width=WIDTH,
            title=ranges.title(view, first) if is_whole else ranges.title_of_days(first, last),
            file_step=days.MONTH if is_whole and view == "year" else ranges.file_step(first, last),
            unknown=sum(1 for step in found.steps if step.flows is None),
            proofs=gate.principal().is_own and view != "year",
        )
        return page(text)

    def trading_page(
        given: Mapping[str, str] | None = None,
        message: str = "",
        status: int = 200,
        preview: bool = False,
        **hand: Any,
    ) -> Response:
        """The page; `hand` has the form of an order by hand (`order`), its preview, and what is wrong with it."""
        its = gate.own_member(app, "standing_order")
        standing = members.standing(its)
        order = order_of(standing)
        if given is None:
            given = _form(order)
        elif not message:
            order = _order(given)
        found, away = _if_it_answers(members.on_chain, its)
        book, closed = _if_it_answers(lambda _: by_hand.book(), its)
        order_state = members.order_state(standing, found, its) if found else None
        most = most_of(book) if book else 0
        shown = {
            "order": {"side": "bid", "quantity": "", "price": ""},
            "order_preview": None,
            "order_wrong": "",
            **hand,
        }
        text = render_template(
            "trading.html",
            **shown,
            key=sent_forms.fresh(),
            book=book,
            closed=closed,
            order_state=order_state,
            custodial=order_state is not None and order_state.signs_here,
            given=by_hand.given(its, epochs=SHOWN_EPOCHS).orders,
            state_words=STATE_WORDS,
            bids=levels(book.bids or (), most) if book else (),
            asks=levels(book.asks or (), most) if book else (),
            width=DEPTH_WIDTH,
            account=its.name,
            standing=standing,
            words=sentence(order_of(standing)),
            form=given,
            message=message,
            preview=members.preview(its, order) if preview else None,
            previewed=sentence(order),
            dear=order.buy_at is not None and order.buy_at > standing.worth_buying_up_to,
            orders=members.orders(its, found) if found else None,
            fills=members.fills.page(its, answers.place("before")),
            proofs=gate.principal().is_own,
            away=away,
            members=members,
            days=days,
        )
        return page(text, status)

    @member.get("/trading")
    def trading() -> Response:
        return trading_page()

    @member.post("/trading")
    def change_trading() -> Response:
        its, who, act = gate.own_member(app, "standing_order"), gate.principal(), request.form.get("act", "")
        try:
            if act in ("pause", "resume"):
                members.pause_standing(who, its, paused=act == "pause")
            elif act == "end":
                if request.form.get("confirm") != "yes":
                    return trading_page(None, gettext("nothing is done yet: tick the box to say that it is meant"), 409)
                members.end_standing(who, its)
            else:
                order = _order(request.form)
                if act != "save":
                    members.check_standing(order)
                    return trading_page(request.form, preview=True)
                members.set_standing(who, its, order)
        except (MarketError, amounts.AmountInvalidError) as error:
            return trading_page(request.form if act in ("save", "preview") else None, _plain(error), 409)
        return redirect(url_for("member.trading"))

    @member.post("/trading/orders")
    def give_order() -> Response:
        its, form = gate.own_member(app, "orders"), request.form
        typed = {name: form.get(name, "") for name in ("side", "quantity", "price")}
        try:
            order = _order_by_hand(typed)
            if form.get("act") != "place":
                return trading_page(order=typed, order_preview=by_hand.preview(its, order))
            by_hand.place(gate.principal(), its, order, form.get("key", ""))
        except (MarketError, ChainAwayError, NotFoundError, amounts.AmountInvalidError) as error:
            return trading_page(status=answers.status_of(error), order=typed, order_wrong=str(error))
        return redirect(f"{url_for('member.trading')}#given-title")

    @member.post("/trading/orders/<int:number>/cancel")
    def cancel_order(number: int) -> Response:
        its = gate.own_member(app, "orders")
        try:
            by_hand.cancel(gate.principal(), its, number)
        except (MarketError, ChainAwayError, NotFoundError) as error:
            return trading_page(status=answers.status_of(error), order_wrong=str(error))
        return redirect(f"{url_for('member.trading')}#given-title")

    @member.get("/money")
    def money() -> Response:
        its = gate.own_member(app, "balances")
        found, away = _if_it_answers(members.on_chain, its)
        text = render_template(
            "money.html",
            account=its.name,
            balances=members.balances(its, found) if found else None,
            away=away,
            organisation=app.home.settings.network.organisation,
            billing=app.home.settings.billing,
            spaced=spaced,
            kept_here=found is None or members.keeps_key(found),
            may_name=gate.principal().is_own,
        )
        return page(text)

    @member.get("/bills")
    def bills() -> Response:
        its = gate.account_of_bills(app)
        found = members.bills(its, answers.place("before"))
        text = render_template(
            "bills.html",
            account=its.name,
            bills=found.bills,
            next=found.next,
            payment_states=WORDS,
            members=members,
            days=days,
            own=gate.principal().is_own,
        )
        return page(text)

    @member.get("/bills/so-far")
    def bill_so_far() -> Response:
        its = gate.account_of_bills(app)
        found = members.bill_so_far(its, answers.place("period"))
        text = render_template(
            "bill_so_far.html",
            account=its.name,
            so_far=found,
            line_words=LINE_WORDS,
            members=members,
            days=days,
        )
        return page(text)

    @member.get("/bills/<int:number>")
    def bill(number: int) -> Response:
        its = gate.account_of_bills(app)
        head, document = members.bill(its, number)
        text = render_template(
            "bill.html",
            account=its.name,
            bill=head,
            code=members.payment_code(head),
            document=document,
            corrections=members.corrections(its, number),
            line_words=LINE_WORDS,
            payment_states=WORDS,
            spaced=spaced,
            members=members,
            days=days,
        )
        return page(text)

    @member.get("/bills/<int:number>.pdf")
    def bill_pdf(number: int) -> Response:
        return answers.bill_pdf(members.bill_pdf(gate.account_of_bills(app), number), number)

    return member


def _if_it_answers(ask: Callable[[MemberAccount], T], member: MemberAccount) -> tuple[T | None, str]:
    """What the chain says of a member; where it says nothing None, and a sentence that says why."""
    try:
        return ask(member), ""
    except (ChainAwayError, NotFoundError, BookClosedError) as error:
        return None, str(error)


def _plain(error: AuthorityError) -> str:
    """A refusal for a person, who counts in credits: the commands' and programs' unit is the micro-credit."""

    def in_credits(found: re.Match[str]) -> str:
        return credits_per_kwh(int(found[0]))

    if _OPTIONS.match(str(error)):
        return gettext("say at what price to sell or to buy, or what to feed in")
    return re.sub(r"\b\d{4,}\b", in_credits, said(str(error))).replace("micro-credit per kWh", "credits per kWh")


_OPTIONS = re.compile(r"give --sell-at.*")


def _order(form: Mapping[str, str]) -> StandingOrder:
    """The standing order that a form says; AmountInvalidError."""
    return StandingOrder(
        sell_at=amounts.parse(form.get("sell_at", ""), 6, marked("Sell at")),
        buy_at=amounts.parse(form.get("buy_at", ""), 6, marked("Buy at")),
        reserve_wh=amounts.parse(form.get("reserve", ""), 3, marked("Keep")) or 0,
        feed_in_above_wh=amounts.parse(form.get("feed_in", ""), 3, marked("Feed in beyond")),
    )


def _order_by_hand(form: Mapping[str, str]) -> ProposedOrder:
    """The order that a form says; AmountInvalidError, HandOrderInvalidError."""
    quantity, price = (
        amounts.parse(form["quantity"], 3, marked("Energy")),
        amounts.parse(form["price"], 6, marked("Limit")),
    )
    if form["side"] not in ("bid", "ask") or quantity is None or price is None:
        raise HandOrderInvalidError("say whether you buy or sell, how much, and at what limit")
    return proposed(form["side"], price, quantity)


def _form(order: StandingOrder) -> dict[str, str]:
    return {
        "sell_at": amounts.written(order.sell_at, 6),
        "buy_at": amounts.written(order.buy_at, 6),
        "reserve": amounts.written(order.reserve_wh or None, 3),
        "feed_in": amounts.written(order.feed_in_above_wh, 3),
    }
