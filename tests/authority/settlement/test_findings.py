"""Cases in which one member's trouble stopped the campus, or in which it was told nothing. One test for each."""

from __future__ import annotations

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair

from authority.audit.conservation import conservation
from authority.chain import programs
from authority.chain.accounts import EpochCheckpoint, MeterState, Retirement, Status
from authority.chain.errors import ProgramError, SignerMissingError
from authority.cli import main
from authority.market.standing_orders import StandingOrder
from authority.store.metering import Frame, Meter
from authority.store.settlement import Alert
from edge_agent.wire.reading import ZERO_HASH, possession_message

SIGNATURE_FEE = 5_000
GRACE = 20
MAP_HASH = bytes(range(32))


def alerts(campus, *, everything=False):
    with campus.app.store.read() as session:
        rows = session.query(Alert).all()
        return {alert.code: alert for alert in rows if everything or alert.resolved_at is None}


def run_epoch(campus, worker, **reading):
    """An epoch ends and everybody reads; then its grace passes, in steps in which refused things are tried again."""
    epoch = campus.run_epoch(worker, **reading)
    for seconds in (3, 6, 12, GRACE + 1):
        campus.go_to((epoch + 1) * 60 + seconds)
        worker.settle_down()
    return epoch


def lamports(campus):
    return campus.client.balance(campus.operator.pubkey())


def member_accounts(campus, name):
    return {"user": programs.user_address(campus.wallets[name])}


def half_enrolled(campus):
    """E's generation meter is on the chain, and its load meter's gateway is not enrolled yet."""
    campus.register_member("E")
    campus.register_meter("E", "solar", "generation", "solar", 1, 200_000_000, 0)
    campus.STEPS = {**campus.STEPS, "E.solar": (700,)}


def suspended(campus):
    campus.STEPS = dict(campus.STEPS)
    campus.do("registry", "set_user_status", {"status": Status.SUSPENDED}, **member_accounts(campus, "B"))


@pytest.mark.finding("chain-1")
@pytest.mark.parametrize("trouble", [half_enrolled, suspended])
def test_a_member_that_the_chain_refuses_stops_no_checkpoint_and_costs_no_rent(campus, trouble):
    campus.start_market()
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    trouble(campus)
    for _ in range(2):  # in the second C and D retire for the first time, which makes an account for each, forever
        run_epoch(campus, worker)
    spent = []
    for _ in range(5):
        before = lamports(campus)
        epoch = run_epoch(campus, worker)
        assert campus.checkpoint(epoch) is not None
        assert campus.energy("A").boundary == (epoch + 1) * 60
        spent.append(before - lamports(campus))
    rent = campus.client.rent(EpochCheckpoint.size())
    assert all(each - rent < 200 * SIGNATURE_FEE for each in spent), spent
    if trouble is half_enrolled:
        assert "MeterSetNotSettleable" in alerts(campus)
        campus.register_meter("E", "load", "load", "none", 0, 200_000_000, 0)
        campus.STEPS["E.load"] = (0, 200)
        run_epoch(campus, worker)
        epoch = run_epoch(campus, worker)
        assert campus.energy("E").boundary == (epoch + 1) * 60
        run_epoch(campus, worker)
        assert campus.energy("E").minted >= 500
    else:
        assert campus.energy("B").boundary == (epoch + 1) * 60  # its energy is its own; it only does not trade
    assert alerts(campus) == {}


@pytest.mark.finding("chain-2")
@pytest.mark.parametrize("late", [1, 2])
def test_a_map_that_changes_between_reading_and_settlement_holds_nobody_for_ever(campus, late):
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    boundary = campus.next_epoch()
    campus.read_all(boundary, but=("B.grid",))
    worker.settle_down()
    assert campus.state("B.wind").interval_end == boundary
    meter = programs.meter_address(campus.meters["B.wind"].meter_id)
    campus.do("registry", "set_meter_map", {"map_hash": bytes(32)}, meter=meter)
    campus.receive("B.grid", campus.meters["B.grid"].read(boundary, *campus.STEPS["B.grid"]))
    for _ in range(late + 2):
        epoch = run_epoch(campus, worker)
        assert campus.checkpoint(epoch) is not None
    assert campus.energy("B").boundary == (epoch + 1) * 60
    assert campus.energy("B").minted > 0
    assert alerts(campus) == {}


def close_token_account(campus, name, mint):
    key = campus.key_of(name)
    account = programs.associated_token_address(key.pubkey(), mint)
    close = Instruction(
        programs.TOKEN_PROGRAM,
        b"\x09",
        [
            AccountMeta(account, is_signer=False, is_writable=True),
            AccountMeta(key.pubkey(), is_signer=False, is_writable=True),
            AccountMeta(key.pubkey(), is_signer=True, is_writable=False),
        ],
    )
    campus.client.send([close], [key], payer=campus.operator)


def give_token_account_away(campus, name, mint):
    """SetAuthority on the associated account: it is never the member's again."""
    key = campus.key_of(name)
    account = programs.associated_token_address(key.pubkey(), mint)
    thief = bytes(campus.key_of("D").pubkey())
    data = bytes([6, 2, 1]) + thief  # AccountOwner
    accounts = [
        AccountMeta(account, is_signer=False, is_writable=True),
        AccountMeta(key.pubkey(), is_signer=True, is_writable=False),
    ]
    campus.client.send([Instruction(programs.TOKEN_PROGRAM, data, accounts)], [key], payer=campus.operator)


@pytest.mark.finding("chain-3")
@pytest.mark.finding("chain-16")
@pytest.mark.parametrize("act", [close_token_account, give_token_account_away])
def test_a_member_without_its_token_accounts_is_minted_for_sells_and_is_paid(campus, act):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    for mint in (programs.energy_mint(), programs.credit_mint()):
        act(campus, "A", mint)
    campus.run_epoch(worker)
    campus.next_epoch()
    before = lamports(campus)
    worker.settle_down()
    wanted = campus.after_one_market()
    assert campus.energy("A").minted == wanted["A"][0]
    assert (campus.seat("A").energy, campus.seat("A").credit) == wanted["A"][1:]
    assert campus.balances()["D"] == wanted["D"]
    rents = campus.client.rent(EpochCheckpoint.size()) + 2 * campus.client.rent(Retirement.size())
    assert before - lamports(campus) - rents < 100 * SIGNATURE_FEE  # nothing is made again for it
    assert alerts(campus, everything=True) == {}
    assert conservation(campus.client).ok


@pytest.mark.finding("chain-4")
def test_a_held_reading_is_carried_by_nobody_else(campus):
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    boundary = campus.next_epoch()
    campus.receive("A.solar", campus.meters["A.solar"].read(boundary, 900_000), "held")
    campus.read_all(boundary, but=("A.solar",))
    worker.settle_down()
    stranger = campus.key_of("D")
    with campus.app.store.read() as session:
        frame = session.query(Frame).filter_by(disposition="held").one().frame
    signed = programs.ed25519_frames([campus.signed(frame)])
    pairs = [
        AccountMeta(programs.meter_address(campus.meters["A.solar"].meter_id), is_signer=False, is_writable=False),
        AccountMeta(programs.meter_state_address(campus.meters["A.solar"].meter_id), is_signer=False, is_writable=True),
    ]
    operator = campus.operator.pubkey()
    carried = campus.client.instruction("oracle", "submit_readings", {}, {"operator": operator}, pairs)
    with pytest.raises(SignerMissingError):
        campus.client.send([signed, carried], [stranger], payer=stranger)
    posing = campus.client.instruction("oracle", "submit_readings", {}, {"operator": stranger.pubkey()}, pairs)
    with pytest.raises(ProgramError) as refused:
        campus.client.send([signed, posing], [stranger, campus.operator], payer=campus.operator)
    assert refused.value.program in ("governance", "oracle")
    assert campus.state("A.solar").interval_end < boundary


@pytest.mark.finding("chain-4")
def test_the_worker_settles_nothing_by_a_record_that_the_log_did_not_let_pass(campus):
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    boundary = campus.next_epoch()
    held = campus.receive("A.solar", campus.meters["A.solar"].read(boundary, 900_000), "held")
    campus.read_all(boundary, but=("A.solar",))
    # the operator's own key carries it past the log
    with campus.app.store.read() as session:
        frame = session.get(Frame, held).frame
    meter = next(each for each in worker.observe().chain.meters if each.meter_pk == campus.meters["A.solar"].pk)
    pairs = [
        AccountMeta(meter.address, is_signer=False, is_writable=False),
        AccountMeta(meter.state_address, is_signer=False, is_writable=True),
    ]
    carried = campus.client.instruction("oracle", "submit_readings", {}, {"operator": campus.operator.pubkey()}, pairs)
    signed = programs.ed25519_frames([campus.signed(frame)])
    campus.client.send([signed, carried], [campus.operator], payer=campus.operator)
    worker.settle_down()
    assert campus.client.account(MeterState, meter.state_address).interval_end == boundary
    assert (campus.energy("A").minted, campus.energy("B").minted) == (0, 1_000)
    alert = alerts(campus)["standing_not_passed"]
    assert "gw_a/solar (A/solar)" in alert.message
    campus.go_to(boundary + GRACE + 1)
    worker.settle_down()
    assert campus.checkpoint(boundary // 60 - 1) is not None
    with campus.app.store.write() as session:
        session.get(Frame, held).disposition = "released"
    worker.settle_down()
    assert campus.energy("A").minted == 900_000 - 1_500 - 1_000
    assert alerts(campus) == {}


@pytest.mark.finding("authority-02")
def test_trading_does_not_stop_at_a_periods_turn(campus):
    """A sells, D buys what it withdraws; the period turns; what was bought is retired for it and covers no other."""
    for name, order in (("A", StandingOrder(sell_at=90_000)), ("D", StandingOrder(sell_at=90_000, buy_at=250_000))):
        campus.standing_order(name, order)
    campus.issue_credit("D", 10**12)
    campus.STEPS = {**campus.STEPS, "D.load": (0, 500)}
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    end = worker.observe().chain.config.billing_period_end
    campus.go_to((end - 5) * 60 + 1)
    worker.settle_down()
    for _ in range(12):
        campus.run_epoch(worker)
    traded = {}
    for epoch in range(end - 2, end + 6):
        traded[epoch] = worker.journal.epoch(epoch).traded_wh
    assert set(traded.values()) == {500}, traded
    energy, retired = campus.energy("D"), campus.retirement("D")
    assert energy.withdrawals_previous > 0
    assert retired.consumption_previous == energy.withdrawals_previous
    assert retired.consumption_open >= energy.withdrawals_open - 1_000
    assert campus.held("D") == 0
    assert conservation(campus.client).ok


@pytest.mark.finding("authority-14")
@pytest.mark.finding("authority-03")
def test_a_member_that_waits_for_a_meter_raises_an_alert_until_the_meter_is_taken_out(campus, capsys, run):
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    since = campus.epoch * 60
    for _ in range(4):
        run_epoch(campus, worker, but=("A.load",))
    (alert,) = alerts(campus).values()
    assert alert.code == "member_stalled"
    settlement = ["settlement", "--home", str(campus.home_path)]
    assert main([*settlement, "alerts"]) == 0
    printed = capsys.readouterr().out
    assert "A is not settled" in printed
    assert "gw_a/load (A/load)" in printed
    assert "UTC), 6 readings of its meters wait" in printed
    assert campus.energy("A").boundary <= since
    # the meter was exchanged: another load meter takes its place
    words = ("settlement", "take-out", "gw_a/load", "--reason", "exchanged")
    assert run(*words, "--dry-run")["changed"] is False
    assert [run(*words)["changed"] for _ in range(2)] == [True, False]
    campus.register_meter("A", "load2", "load", "none", 0, 200_000_000, 0)
    campus.STEPS = {**campus.STEPS, "A.load2": (0, 1_500)}
    for _ in range(2):
        run_epoch(campus, worker, but=("A.load",))
    assert campus.energy("A").boundary == campus.epoch * 60
    assert alerts(campus) == {}
    minted = campus.energy("A").minted
    run_epoch(campus, worker, but=("A.load",))
    assert campus.energy("A").minted > minted


def test_a_meter_that_is_not_there_is_not_taken_out(campus, capsys):
    settlement = ["settlement", "--home", str(campus.home_path)]
    assert main([*settlement, "take-out", "gw_a/nothing", "--reason", "x"]) == 1
    assert "there is no meter 'gw_a/nothing'" in capsys.readouterr().err


def test_feed_in_by_the_standing_order(campus):
    campus.standing_order("A", StandingOrder(feed_in_above_wh=500))
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    assert (campus.energy("A").minted, campus.held("A")) == (2_500, 500)
    assert campus.retirement("A").feed_in_total == 2_000
    assert campus.credit("A") == 2_000 * 80
    assert conservation(campus.client).ok


def test_what_a_member_wants_paid_out_goes_to_its_own_account(campus):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    key = campus.key_of("A")
    payout = campus.client.instruction(
        "trading", "set_payout", {"assets": 2}, {"authority": key.pubkey(), **member_accounts(campus, "A")}
    )
    campus.client.send([payout], [key], payer=campus.operator)
    campus.run_epoch(worker)
    campus.next_epoch()
    worker.settle_down()
    account = programs.associated_token_address(key.pubkey(), programs.credit_mint())
    assert campus.client.token_balance(account) == campus.after_one_market()["A"][2] > 0
    assert campus.seat("A").credit == 0
    assert campus.balances() == campus.after_one_market()


def replace_key(campus, name):
    """The meter's gateway lost its disk: a new key, which numbers its own records, approved and on the chain."""
    meter, key = campus.meters[name], Keypair()
    message = possession_message(
        first_sequence=1, network_id=campus.home.network_id, meter_id=meter.meter_id, map_hash=MAP_HASH
    )
    proof = programs.ed25519_instruction([(message, bytes(key.pubkey()), bytes(key.sign_message(message)))])
    campus.do(
        "registry", "replace_meter_key", {"first_sequence": 1}, before=[proof],
        meter=programs.meter_address(meter.meter_id), key_use=programs.key_use_address(bytes(key.pubkey())),
    )  # fmt: skip
    with campus.app.store.write() as session:
        session.get(Meter, meter.pk).public_key = bytes(key.pubkey())
    meter.key, meter.sequence, meter.previous = key, 1, ZERO_HASH


@pytest.mark.finding("chain-6")
def test_a_new_key_numbers_its_own_records_and_what_the_old_one_signed_waits_for_nobody(campus):
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    campus.meters["D.load"].sequence += 10
    run_epoch(campus, worker)
    left = campus.receive("D.load", campus.meters["D.load"].read(campus.next_epoch(), *campus.STEPS["D.load"]))
    replace_key(campus, "D.load")
    epoch = run_epoch(campus, worker)
    with campus.app.store.read() as session:
        frame = session.get(Frame, left)
        assert (frame.chain_status, frame.chain_error) == ("skipped", "WrongKey")
    assert campus.state("D.load").sequence == 1
    assert campus.energy("D").boundary == (epoch + 1) * 60
    assert campus.energy("D").withdrawn == 3 * 2_600  # a baseline credits nothing and bills everything
    run_epoch(campus, worker)
    assert campus.energy("D").withdrawn == 4 * 2_600
    assert alerts(campus) == {}


@pytest.mark.finding("authority-04")
def test_a_building_meter_that_was_exchanged_makes_room_for_the_new_one(campus):
    worker = campus.worker()
    run_epoch(campus, worker, moving=False)
    new = ("C", "building2", "building", "solar", 1, 200_000_000, 0)
    with pytest.raises(ProgramError):
        campus.register_meter(*new)
    settlement = ["settlement", "--home", str(campus.home_path)]
    assert main([*settlement, "take-out", "gw_c/building", "--reason", "exchanged"]) == 0
    campus.register_meter(*new)
    campus.STEPS = {**campus.STEPS, "C.building2": (1_100, 800)}
    for _ in range(3):
        epoch = run_epoch(campus, worker, but=("C.building",))
    assert campus.energy("C").boundary == (epoch + 1) * 60
    assert campus.energy("C").minted == 2 * 300
    assert alerts(campus) == {}
