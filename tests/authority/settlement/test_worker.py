"""Whole epochs on real programs: readings in, tokens minted, orders placed, a book cleared, paid and checkpointed."""

from __future__ import annotations

import hashlib
import json

import pytest
from solders.instruction import AccountMeta, Instruction

from authority.audit.conservation import conservation
from authority.chain import programs
from authority.chain.accounts import BookStatus, Config
from authority.chain.idl import Idl
from authority.cli import main
from authority.enrolment import wallets
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.market.report import epoch_reports
from authority.settlement.actions import SettleSurplus, SubmitReading
from authority.settlement.snapshot import Pause
from authority.settlement.worker import BLOCKING_REFUSALS, SKIPPED_REFUSALS
from authority.store.log import Act
from authority.store.metering import Frame
from authority.store.people import User
from authority.store.settlement import Alert
from edge_agent.wire.reading import FLAG_REGISTER_RESET

CREDIT = 10**9


def alerts(campus):
    with campus.app.store.read() as session:
        return {(alert.code, alert.resolved_at is None) for alert in session.query(Alert)}


def statuses(campus, name):
    with campus.app.store.read() as session:
        frames = session.query(Frame).filter_by(meter_pk=campus.meters[name].pk).order_by(Frame.sequence)
        return [(frame.chain_status, frame.chain_error) for frame in frames]


@pytest.mark.finding("chain-12")
def test_whole_epochs(campus, capsys):
    campus.start_market()
    worker = campus.worker()
    worker.settle_down()
    first = campus.run_epoch(worker, moving=False)
    assert campus.balances()["A"] == (0, 0, 0)
    metered = campus.run_epoch(worker)
    assert {name: campus.energy(name).withdrawals_open for name in "CD"} == {"C": 300, "D": 2_600}
    book = campus.book(campus.epoch)
    assert (book.bid_count, book.ask_count) == (2, 2)
    totals = conservation(campus.client)
    assert totals.ok
    assert (totals.energy.in_books, totals.credit.in_books) == (totals.energy.escrow, totals.credit.escrow)
    assert (totals.energy.in_books, totals.energy.in_seats) == (3_500, 0)
    campus.next_epoch()
    worker.settle_down()
    assert campus.balances() == campus.after_one_market()
    totals = conservation(campus.client)
    assert totals.ok
    assert (totals.energy.minted, totals.energy.held, totals.energy.in_seats) == (3_500, 0, 600)
    assert (totals.energy.in_books, totals.energy.retired, totals.credit.in_books) == (0, 2_900, 0)
    assert totals.credit.in_seats > 0
    assert totals.credit.fees > 0
    assert {name: campus.retirement(name).consumption_open for name in "CD"} == {"C": 300, "D": 2_600}
    campus.read_all(campus.epoch * 60, moving=False)
    worker.settle_down()

    with campus.app.store.read() as session:
        reports = {report.epoch: report for report in epoch_reports(session, 60)}
    traded = reports[metered + 1]
    assert (traded.orders, traded.traded_wh, traded.clearing_price) == (4, 2_900, 120_000)
    assert (reports[metered].minted_wh, reports[metered].readings_on_chain) == (3_500, 8)
    assert all(reports[epoch].settled for epoch in range(first, metered + 2))
    assert set(traded.stage_ms) == {
        "orders_placed", "submitted", "minted", "cleared", "settled", "checkpointed",
    }  # fmt: skip
    row = worker.journal.epoch(metered + 1)
    with campus.app.store.read() as session:
        data = book_of_leaf(log.leaf(session, row.book_log_index))
        assert log.root(session, row.log_size) == row.log_root
        kinds = {act.kind for act in session.query(Act) if act.actor == "settlement"}
    assert hashlib.sha256(data).digest() == campus.checkpoint(metered + 1).book_hash
    assert kinds == {
        "submit_readings", "settle_surplus", "open_epoch", "place_order", "trigger_clearing", "retire_energy",
        "checkpoint_epoch",
    }  # fmt: skip
    assert alerts(campus) == set()
    assert main(["audit", "--home", str(campus.home_path), "conservation"]) == 0
    assert json.loads(capsys.readouterr().out)["minted_wh"] == 3_500
    assert campus.audit() == 0


def test_a_late_meter_holds_its_user_and_nobody_else(campus):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    late = campus.next_epoch()
    frame = campus.meters["B.grid"].read(late, *campus.STEPS["B.grid"])
    campus.read_all(late, but=("B.grid",))
    worker.settle_down()
    assert (campus.energy("A").minted, campus.energy("B").minted) == (2_500, 0)
    epoch = late // 60 - 1
    assert worker.journal.epoch(epoch).state == "collecting"
    campus.go_to(late + 21)
    worker.settle_down()
    assert worker.journal.epoch(epoch).state == "checkpointed"
    following = campus.next_epoch()
    campus.read_all(following, but=("B.grid",))
    worker.settle_down()
    assert campus.state("B.wind").interval_end == late
    campus.receive("B.grid", frame)
    campus.receive("B.grid", campus.meters["B.grid"].read(following, *campus.STEPS["B.grid"]))
    worker.settle_down()
    assert (campus.energy("B").minted, campus.energy("B").boundary) == (2_000, following)
    with campus.app.store.read() as session:
        minted = {report.epoch: report.minted_wh for report in epoch_reports(session, 60)}
    assert (minted[epoch], minted[epoch + 1]) == (3_500, 3_500)


def test_a_missing_interval_widens_the_span(campus):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    skipped = campus.next_epoch()
    for index, step in enumerate(campus.STEPS["B.grid"]):
        campus.meters["B.grid"].registers[index] += step  # the meter counted on; its row was lost
    campus.read_all(skipped, but=("B.grid",))
    worker.settle_down()
    campus.run_epoch(worker)
    assert (campus.energy("B").minted, campus.energy("B").boundary) == (2_000, skipped + 60)
    assert campus.energy("A").minted == 5_000


def test_a_reading_that_somebody_else_carried_is_taken_as_done(campus):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    boundary = campus.next_epoch()
    campus.read_all(boundary)
    situation = worker.observe()
    meter = next(meter for meter in situation.chain.meters if meter.meter_pk == campus.meters["C.building"].pk)
    other = campus.worker().chain
    other.send_all([other.transaction((SubmitReading(meter, situation.queue(meter)[0]),), {})], lambda _: None)
    worker.settle_down()
    assert campus.energy("C").withdrawn == 300
    assert statuses(campus, "C.building") == [("confirmed", None), ("confirmed", None)]
    assert alerts(campus) == set()


def test_a_refused_reading_stops_nobody_and_the_next_carries_its_energy(campus):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    boundary = campus.next_epoch()
    campus.read_all(boundary, but=("C.building",))
    campus.receive("C.building", campus.meters["C.building"].read(boundary, 10**9, 10**9))
    worker.settle_down()
    assert (campus.energy("A").minted, campus.energy("B").minted) == (2_500, 1_000)
    assert statuses(campus, "C.building")[-1] == ("skipped", "ExceedsNameplate")
    assert alerts(campus) == {("ExceedsNameplate", True)}
    campus.meters["C.building"].registers[:2] = [1_800, 2_100]
    campus.run_epoch(worker)
    assert campus.energy("C").withdrawn == 600
    assert statuses(campus, "C.building")[-1] == ("confirmed", None)


def test_a_held_reading_that_is_released_too_late_is_passed_over(campus):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    boundary = campus.next_epoch()
    held = campus.receive("C.building", campus.meters["C.building"].read(boundary, 800, 1_100), "held")
    campus.read_all(boundary, but=("C.building",))
    worker.settle_down()
    campus.run_epoch(worker)
    assert campus.energy("C").withdrawn == 600
    with campus.app.store.write() as session:
        session.get(Frame, held).disposition = "released"
    worker.settle_down()
    assert statuses(campus, "C.building")[1] == ("skipped", None)
    assert campus.energy("C").withdrawn == 600


def test_a_reset_register_waits_for_a_person(campus, capsys, run):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    boundary = campus.next_epoch()
    campus.read_all(boundary, but=("D.load",))
    campus.meters["D.load"].registers[1] = 0
    campus.meters["D.load"].register_epoch = 1
    campus.receive("D.load", campus.meters["D.load"].read(boundary, flags=FLAG_REGISTER_RESET))
    worker.settle_down()
    status, error = statuses(campus, "D.load")[-1]
    assert status == "pending"
    assert alerts(campus) == {(error, True)}
    assert campus.energy("A").minted == 2_500
    campus.go_to(boundary + 21)
    worker.settle_down()
    assert worker.journal.epoch(boundary // 60 - 1).state == "checkpointed"
    capsys.readouterr()
    settlement = ["settlement", "--home", str(campus.home_path)]
    assert main([*settlement, "alerts"]) == 0
    printed = capsys.readouterr().out
    assert error in printed
    index = printed.partition(":")[0].removeprefix("reading ")
    assert main([*settlement, "rebase", "0"]) == 1
    assert run("settlement", "retry", "--dry-run")["readings"] == [int(index)]
    assert statuses(campus, "D.load")[-1][1] is not None
    assert run("settlement", "retry")["changed"] is True
    assert run("settlement", "retry")["changed"] is False  # nothing is left that waits for a person
    worker.settle_down()
    assert alerts(campus) == {(error, True)}  # sent again, and refused as before
    tried = run("settlement", "rebase", index, "--dry-run")
    assert (tried["changed"], tried["steps"][0]["outcome"]) == (False, "would go on from its new registers")
    assert [run("settlement", "rebase", index)["changed"] for _ in range(2)] == [True, False]
    worker.settle_down()
    assert run("settlement", "rebase", index)["changed"] is False
    assert statuses(campus, "D.load")[-1] == ("confirmed", None)
    assert alerts(campus) == {(error, False)}
    assert (campus.energy("D").withdrawn, campus.energy("D").boundary) == (0, boundary)
    campus.run_epoch(worker)
    assert campus.energy("D").withdrawn == 2_600


def pause(campus, bits):
    accounts = {"authority": campus.home.authority.pubkey()}
    instruction = campus.client.instruction("governance", "set_paused", {"bits": bits}, accounts)
    signature = campus.client.send([instruction], [campus.home.authority], payer=campus.operator)
    with campus.app.store.write() as session:
        log.record_act(session, "set_paused", "test", campus.wall.seconds(), {"signature": str(signature)})


def test_paused_activities_wait_and_go_on(campus):
    campus.start_market()
    worker = campus.worker()
    worker.settle_down()
    campus.run_epoch(worker, moving=False)
    pause(campus, Pause.SETTLEMENT | Pause.ORDERS | Pause.CLEARING)
    metered = campus.run_epoch(worker)
    assert campus.state("A.solar").interval_end == (metered + 1) * 60
    assert (campus.energy("A").minted, campus.book(metered + 1)) == (0, None)
    assert campus.book(metered).status == BookStatus.OPEN
    pause(campus, 0)
    worker.settle_down()
    assert campus.energy("A").minted == 2_500
    assert campus.book(metered + 1).ask_count == 2
    campus.next_epoch()
    worker.settle_down()
    assert campus.balances() == campus.after_one_market()
    assert alerts(campus) == set()


def test_a_book_that_was_never_cleared_gives_everything_back(campus):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    metered = campus.run_epoch(worker)
    pause(campus, Pause.CLEARING | Pause.ORDERS)
    campus.go_to((metered + 9) * 60 + 1)
    worker.settle_down()
    assert worker.chain.snapshot().books[metered + 1].status is BookStatus.OPEN  # whoever paused may still clear it
    campus.go_to((metered + 10) * 60 + 1)
    worker.settle_down()
    assert campus.balances() == {
        "A": (2_500, 2_500, 0),
        "B": (1_000, 1_000, 0),
        "C": (0, 0, CREDIT),
        "D": (0, 0, CREDIT),
    }
    assert campus.book(metered + 1).status == BookStatus.FINAL
    assert conservation(campus.client).ok


@pytest.mark.parametrize(("at_once", "steps"), [(1, 4), (3, 2)])
def test_a_book_larger_than_a_transaction_takes_is_paid_and_refunded_in_steps(campus, monkeypatch, at_once, steps):
    """Four orders, so many a transaction; the full 4,096 a side are in tests/benchmarks/settlement.py."""
    monkeypatch.setattr("authority.settlement.chain.ORDERS_PER_STEP", at_once)
    campus.start_market()
    worker = campus.worker()
    build, done = worker.chain.transaction, []

    def noted(bundle, signers):
        done.extend(type(action).__name__ for action in bundle)
        return build(bundle, signers)

    worker.chain.transaction = noted
    campus.run_epoch(worker, moving=False)
    metered = campus.run_epoch(worker)
    campus.next_epoch()
    worker.settle_down()
    assert campus.balances() == campus.after_one_market()
    assert campus.book(metered + 1).status == BookStatus.FINAL
    assert done.count("TriggerClearing") == steps + 1  # and the empty book of the epoch before
    campus.read_all(campus.next_epoch())
    worker.settle_down()
    filled = campus.epoch
    orders = campus.book(filled).bid_count + campus.book(filled).ask_count
    assert orders >= 3
    pause(campus, Pause.CLEARING | Pause.ORDERS)
    campus.go_to((filled + 9) * 60 + 1)
    worker.settle_down()
    assert campus.book(filled).status == BookStatus.FINAL
    assert done.count("RefundBook") == -(-orders // at_once)
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def close_energy_account(campus, name):
    """The member closes its token account of energy: everything that it has is in the book."""
    with campus.app.store.read() as session:
        key = wallets.unseal(campus.home, session.query(User).filter_by(name=name).one())
    account = programs.associated_token_address(key.pubkey(), programs.energy_mint())
    close = Instruction(
        programs.TOKEN_PROGRAM,
        b"\x09",  # CloseAccount
        [
            AccountMeta(account, is_signer=False, is_writable=True),
            AccountMeta(key.pubkey(), is_signer=False, is_writable=True),
            AccountMeta(key.pubkey(), is_signer=True, is_writable=False),
        ],
    )
    campus.client.send([close], [key], payer=campus.operator)


def test_a_closed_token_account_delays_nobody_and_loses_nothing(campus):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    close_energy_account(campus, "A")
    campus.next_epoch()
    worker.settle_down()
    assert campus.balances() == campus.after_one_market()
    assert alerts(campus) == set()


def test_a_mint_goes_to_the_seat_where_the_account_was_lost_meanwhile(campus):
    """The worker last saw it whole, and settles its member among others, without the accounts for a seat."""
    campus.start_market()
    worker = campus.worker()
    built, build, to_close = [], worker.chain.transaction, []

    def noted(bundle, signers):
        settled = [action.member.name for action in bundle if isinstance(action, SettleSurplus)]
        if settled and to_close:  # after the worker looked, before its transaction arrives
            close_energy_account(campus, to_close.pop())
        outgoing = build(bundle, signers)
        if settled:
            listed = {meta.pubkey for each in outgoing.instructions for meta in each.accounts}
            built.append((settled, programs.seats_address() in listed))
        return outgoing

    worker.chain.transaction = noted
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    built.clear()
    to_close.append("A")
    campus.run_epoch(worker)
    assert built[0] == (["A", "B", "C", "D"], False)
    assert (["A"], True) in built
    assert campus.energy("A").minted == 5_000
    (member,) = (each for each in worker.chain.snapshot(fresh=True).members if each.name == "A")
    assert member.held_wh is None
    assert conservation(campus.client).ok
    assert alerts(campus) == set()
    built.clear()
    campus.run_epoch(worker)
    assert built == [(["A", "B", "C", "D"], True)]
    assert campus.energy("A").minted == 7_500


def test_the_next_billing_period_is_opened_when_its_time_comes(campus):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    config = campus.client.account(Config, programs.config_address())
    last = config.billing_period_end - 1
    campus.go_to(last * 60 + 1)
    worker.settle_down()
    assert campus.run_epoch(worker) == last
    assert campus.client.account(Config, programs.config_address()).billing_period == 1
    assert (campus.energy("D").withdrawals_previous, campus.energy("D").withdrawals_open) == (2_600, 0)
    campus.run_epoch(worker)
    assert (campus.energy("D").withdrawals_previous, campus.energy("D").withdrawals_open) == (2_600, 2_600)
    assert alerts(campus) == set()


def test_without_lookup_tables_transactions_carry_less(campus):
    campus.start_market()
    worker = campus.worker()
    worker.chain.tables.ensure = lambda groups: None
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    campus.next_epoch()
    worker.settle_down()
    assert campus.balances() == campus.after_one_market()


def test_a_member_whose_key_does_not_open_stops_nobody(campus):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    with campus.app.store.write() as session:
        member = session.query(User).filter_by(name="A").one()
        member.sealed_key, sealed = bytes(61), member.sealed_key
    metered = campus.run_epoch(worker)
    for _ in range(2):
        campus.go_to(campus.wall.now + 5)
        worker.settle_down()
    assert campus.book(metered + 1).ask_count == 1
    assert campus.book(metered + 1).bid_count == 2
    assert alerts(campus) == {("seal_broken", True)}
    with campus.app.store.write() as session:
        session.query(User).filter_by(name="A").one().sealed_key = sealed
    campus.worker().settle_down()  # one that was started since
    assert campus.book(metered + 1).ask_count == 2
    assert alerts(campus) == {("seal_broken", False)}


def test_a_clock_that_is_set_back_delays_no_second_try(campus):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    with campus.app.store.write() as session:
        member = session.query(User).filter_by(name="A").one()
        member.sealed_key, sealed = bytes(61), member.sealed_key
    metered = campus.run_epoch(worker)
    with campus.app.store.write() as session:
        session.query(User).filter_by(name="A").one().sealed_key = sealed
    worker.settle_down()
    assert campus.book(metered + 1).ask_count == 1  # it waits a little after a failure
    worker.clock_ms = lambda: campus.wall.ms() - 7_200_000
    worker.settle_down()
    assert campus.book(metered + 1).ask_count == 2


def test_the_refusals_that_it_knows_are_the_oracles():
    names = {error.name for error in Idl.load("oracle").errors.values()}
    assert names >= SKIPPED_REFUSALS | BLOCKING_REFUSALS
