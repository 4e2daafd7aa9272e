"""Several members in one transaction: what is refused of one holds none of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.audit.conservation import conservation
from authority.chain import programs
from authority.chain.accounts import Status
from authority.chain.accounts import User as RegistryUser
from authority.cli import main
from authority.enrolment import wallets
from authority.home.settings import ValidatorSettings
from authority.market.standing_orders import StandingOrder
from authority.settlement.actions import PlaceOrder, Retire, SettleSurplus
from authority.store.log import Act
from authority.store.people import User
from authority.store.settlement import Alert

NAMES = [f"M{number}" for number in range(5)]
PLAN = [
    row
    for name in NAMES
    for row in (
        (name, "solar", "generation", "solar", 1, 200_000_000, 0),
        (name, "load", "load", "none", 0, 200_000_000, 0),
    )
]
WALLET_DELAY = 96


def started(make_campus, plan=PLAN):
    campus = make_campus(plan)
    campus.STEPS = {meter: (1_000,) if meter.endswith("solar") else (0, 0) for meter in campus.meters}
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    return campus, worker


def settling_transactions(campus, since):
    """How many members each transaction settled, of those after the signature."""
    newest = campus.client.signatures(campus.operator.pubkey(), until=since)
    events = [campus.client.events("oracle", signature) for signature in newest]
    return sorted(len([event for event in found if event.name == "SurplusSettled"]) for found in events if found)


def newest(campus):
    return campus.client.signatures(campus.operator.pubkey(), limit=1)[0]


def test_members_share_a_transaction(make_campus):
    campus, worker = started(make_campus)
    campus.next_slot()  # the lookup tables can be used from the slot after their last extension on
    since = newest(campus)
    campus.run_epoch(worker)
    assert settling_transactions(campus, since)[-1] == 5
    assert [campus.energy(name).minted for name in NAMES] == [1_000] * 5


def test_one_whose_settlement_is_refused_holds_none_of_the_others(make_campus):
    """Between the worker's look at the chain and its transaction the member is closed by the department's hand."""
    campus, worker = started(make_campus)
    boundary = campus.next_epoch()
    campus.read_all(boundary)
    carry = worker.chain.send_all
    closed = []

    def close_first(outgoing, departing):
        settles = any(isinstance(action, SettleSurplus) for action in worker.last_actions)
        if settles and not closed:
            closed.append(True)
            meter = programs.meter_address(campus.meters["M2.load"].meter_id)
            accounts = {"user": programs.user_address(campus.wallets["M2"]), "meter": meter}
            campus.do("registry", "set_meter_status", {"status": Status.CLOSED}, **accounts)
        return carry(outgoing, departing)

    worker.chain.send_all = close_first
    worker.settle_down()
    assert closed
    others = [name for name in NAMES if name != "M2"]
    assert [campus.energy(name).minted for name in others] == [1_000] * 4
    assert {campus.energy(name).boundary for name in others} == {boundary}
    assert campus.energy("M2").minted == 0
    campus.go_to(boundary + 21)
    worker.settle_down()
    assert campus.checkpoint(boundary // 60 - 1) is not None
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def members(campus, *words):
    """`authority members`, as the department calls it."""
    campus.home.save(replace(campus.home.settings, validator=ValidatorSettings(url=campus.validator.url)))
    return main(["members", *words, "--home", str(campus.home_path)])


TRADERS = [
    ("S", "solar", "generation", "solar", 1, 200_000_000, 0),
    ("S", "load", "load", "none", 0, 200_000_000, 0),
    ("B", "load", "load", "none", 0, 200_000_000, 0),
]


def traders(make_campus):
    campus = make_campus(TRADERS)
    campus.STEPS = {"S.solar": (2_000,), "S.load": (0, 0), "B.load": (0, 1_500)}
    campus.standing_order("S", StandingOrder(sell_at=120_000))
    campus.standing_order("B", StandingOrder(buy_at=250_000))
    campus.issue_credit("B", 10**9)
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    return campus, worker


def trades_and_retires(campus, worker, epochs=3):
    """Epochs with both; what the seller minted meanwhile, what the buyer retired."""
    minted, retired = campus.energy("S").minted, getattr(campus.retirement("B"), "consumption_total", 0)
    for _ in range(epochs):
        campus.run_epoch(worker)
    return campus.energy("S").minted - minted, campus.retirement("B").consumption_total - retired


class Killed(BaseException):
    """The worker's process ends here."""


def test_a_worker_that_follows_one_killed_after_a_retirement_does_all_that_is_left(make_campus):
    """Also where it first has to learn that the retirement has landed, and has nothing else to do in that round."""
    campus, worker = traders(make_campus)
    send_all = worker.chain.send_all

    def killed_after_a_retirement(outgoing, departing):
        outcomes = send_all(outgoing, departing)
        if any(isinstance(action, Retire) for action in worker.last_actions):
            raise Killed
        return outcomes

    worker.chain.send_all = killed_after_a_retirement
    with pytest.raises(Killed):
        trades_and_retires(campus, worker, epochs=4)
    retired = campus.retirement("B").consumption_total
    campus.worker().settle_down()
    assert campus.retirement("B").consumption_total == retired > 0
    book = campus.book(campus.epoch)
    assert (book.bid_count, book.ask_count) == (1, 1)
    assert conservation(campus.client).ok


class Departs(BaseException):
    """The worker's process ends between its note of what it sends and the sending."""


@pytest.mark.parametrize("end", ["noted", "sent"])
def test_a_worker_killed_in_the_middle_of_a_members_acts_doubles_and_loses_none(make_campus, end):
    """Its orders are in one transaction: all of them, or none."""
    campus = make_campus(TRADERS)
    campus.STEPS = {"S.solar": (1_600_000,), "S.load": (0, 700), "B.load": (0, 1_500)}
    campus.standing_order("S", StandingOrder(sell_at=120_000, buy_at=130_000))
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.read_all(campus.next_epoch())
    send_all = worker.chain.send_all
    seen = []

    def killed(outgoing, departing):
        orders = [action for action in worker.last_actions if isinstance(action, PlaceOrder)]
        if len(orders) < 2:
            return send_all(outgoing, departing)
        seen.append(len(orders))
        if end == "noted":

            def gone(signed):
                departing(signed)
                raise Departs

            return send_all(outgoing, gone)
        send_all(outgoing, departing)
        raise Departs

    worker.chain.send_all = killed
    with pytest.raises(Departs):
        worker.settle_down()
    assert seen == [2]
    book = campus.book(campus.epoch)
    assert (book.bid_count, book.ask_count) == ((0, 0) if end == "noted" else (0, 2))
    campus.worker().settle_down()
    book = campus.book(campus.epoch)
    assert (book.bid_count, book.ask_count) == (0, 2)
    with campus.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind == "place_order")).all()
    assert len({act.data["signature"] for act in acts}) == 1
    assert sum(act.data["quantity"] for act in acts) == campus.energy("S").minted == 1_599_300
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def test_after_a_wallet_was_replaced_settlement_goes_on_by_itself(make_campus):
    campus, worker = traders(make_campus)
    assert trades_and_retires(campus, worker)[1] > 0
    for name in "SB":
        assert members(campus, "replace-wallet", name) == 0
    assert members(campus, "replace-wallet", "S", "--finish") == 3  # its time has not come
    campus.go_to((campus.epoch + WALLET_DELAY) * 60 + 1)
    for name in "SB":
        assert members(campus, "replace-wallet", name, "--finish") == 0
    assert members(campus, "replace-wallet", "S", "--finish") == 0  # done before
    new = campus.client.account(RegistryUser, programs.user_address(campus.wallets["S"])).wallet
    assert new != campus.wallets["S"]
    old = {name: campus.client.token_balance(campus.account_of(name, programs.energy_mint())) for name in "SB"}
    campus.run_epoch(worker, moving=False)  # a day without readings: a long span
    minted, retired = trades_and_retires(campus, worker)
    assert minted == 6_000
    assert retired > 0
    book = campus.book(campus.epoch)
    assert (book.bid_count, book.ask_count) == (1, 1)
    user = campus.client.account(RegistryUser, programs.user_address(campus.wallets["S"]))
    assert (user.wallet, user.member) == (new, campus.wallets["S"])
    assert {name: campus.client.token_balance(campus.account_of(name, programs.energy_mint())) for name in "SB"} == old
    assert conservation(campus.client).ok
    assert campus.audit() == 0


@pytest.mark.parametrize("deposited", [True, False])
def test_orders_of_members_who_hold_their_own_keys_by_their_delegate(make_campus, deposited):
    """The department's key is the delegate: it trades out of seat and token account, and retires out of the seat."""
    campus, worker = traders(make_campus)
    own = {name: campus.key_of(name) for name in "SB"}
    delegates = {}
    with campus.app.store.write() as session:
        for name in "SB":
            user = session.scalars(select(User).where(User.name == name)).one()
            address = wallets.add(
                session, campus.home, user, lambda size: Keypair().secret()[:size], campus.wall.seconds()
            )
            delegates[name] = Pubkey.from_string(address)
            user.sealed_key = None  # from now on the member holds its key alone
    placed = len(orders(campus))
    campus.run_epoch(worker)
    assert len(orders(campus)) == placed
    for name in "SB":
        delegate(campus, name, own[name], delegates[name], 10**9 if deposited else 0)
    minted, retired = trades_and_retires(campus, worker)
    assert minted == 6_000
    if deposited:
        assert retired > 0
        assert len(orders(campus)) > placed
    else:
        # without an allowance the delegate reaches what is in the seats alone
        assert conservation(campus.client).ok
    with campus.app.store.read() as session:
        assert {alert.code for alert in session.query(Alert) if alert.resolved_at is None} == set()
    assert campus.audit() == 0


def orders(campus):
    with campus.app.store.read() as session:
        return session.scalars(select(Act).where(Act.kind == "place_order")).all()


def delegate(campus, name, key, address, allowance):
    """Name it for a day, and let the market take so much out of each of the member's token accounts."""
    accounts = {
        "wallet": key.pubkey(),
        "user": programs.user_address(campus.wallets[name]),
        "delegate": address,
    }
    args = {"until": campus.wall.seconds() + 86_400}
    instructions = [campus.client.instruction("registry", "set_delegate", args, accounts)]
    for mint in (programs.energy_mint(), programs.credit_mint()) if allowance else ():
        metas = [
            AccountMeta(campus.account_of(name, mint), is_signer=False, is_writable=True),
            AccountMeta(programs.market_address(), is_signer=False, is_writable=False),
            AccountMeta(key.pubkey(), is_signer=True, is_writable=False),
        ]
        approve = b"\x04" + allowance.to_bytes(8, "little")
        instructions.append(Instruction(programs.TOKEN_PROGRAM, approve, metas))
    campus.client.send(instructions, [key], payer=campus.operator)
