"""governance over time: staged parameters, a new authority in two steps, the operator, billing periods."""

from __future__ import annotations

from typing import Any

import pytest
from campus import EPOCH_SECONDS, PARAMETERS, START, Campus, Outcome, key, unsigned
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs

EPOCH = START // EPOCH_SECONDS


def config(campus: Campus) -> dict[str, Any]:
    return campus.account("governance", programs.config_address())


def stage(campus: Campus, from_epoch: int, signer: Keypair | None = None, **changes: int) -> Outcome:
    authority = signer or campus.authority
    args = {"parameters": PARAMETERS | changes, "from_epoch": from_epoch}
    accounts = {"authority": authority.pubkey()}
    return campus.send(campus.instruction("governance", "stage_parameters", args, accounts), signers=[authority])


# Parameters


def test_parameters_are_staged_for_a_later_epoch(campus: Campus) -> None:
    event = stage(campus, EPOCH + 2, fee_bps=100).event("ParametersStaged")
    found = config(campus)
    assert event == {"from_epoch": EPOCH + 2, "parameters": found["staged"]}
    assert (found["parameters"]["fee_bps"], found["staged"]["fee_bps"], found["staged_from"]) == (50, 100, EPOCH + 2)


def test_staged_parameters_hold_from_their_epoch_on(campus: Campus, refused) -> None:
    """Seen through the oracle: the permitted clock skew."""
    member = campus.register_user("a")
    meter = campus.add_meter(member, "m", "load")
    stage(campus, EPOCH + 2, clock_skew_seconds=300)
    campus.set_time(campus.boundary(2) - 200)
    with refused("IntervalInFuture"):
        campus.submit((meter, meter.sign(meter.record(campus.boundary(2)))))
    campus.set_time(campus.boundary(3) - 200)
    campus.submit((meter, meter.read(campus.boundary(3))))


def test_what_holds_already_survives_the_next_staging(campus: Campus) -> None:
    stage(campus, EPOCH + 2, fee_bps=100)
    campus.set_time(campus.boundary(2))
    stage(campus, EPOCH + 5, fee_bps=200)
    found = config(campus)
    assert (found["parameters"]["fee_bps"], found["staged"]["fee_bps"]) == (100, 200)


def test_what_does_not_hold_yet_is_replaced(campus: Campus) -> None:
    stage(campus, EPOCH + 3, fee_bps=100)
    stage(campus, EPOCH + 2, fee_bps=200)
    found = config(campus)
    assert (found["parameters"]["fee_bps"], found["staged"]["fee_bps"], found["staged_from"]) == (50, 200, EPOCH + 2)


@pytest.mark.parametrize("from_epoch", [0, EPOCH - 1, EPOCH, EPOCH + 1])
def test_the_running_and_the_next_epoch_keep_their_parameters(campus: Campus, refused, from_epoch) -> None:
    with refused("StagedTooEarly"):
        stage(campus, from_epoch)


def open_book(campus: Campus, epoch: int) -> dict[str, Any]:
    """The book of an epoch, just opened."""
    campus.open_book(epoch)
    return campus.account("trading", programs.book_address(epoch))


def test_a_book_opened_an_epoch_ahead_has_the_parameters_of_its_epoch(campus: Campus, refused) -> None:
    """However parameters are staged around its opening: the Config shows the same for that epoch once it runs."""
    campus.make_market()
    stage(campus, EPOCH + 2, fee_bps=100)
    campus.set_time(campus.boundary(2) - 1)  # the last second of the epoch before
    assert open_book(campus, EPOCH + 1)["fee_bps"] == 50
    book = open_book(campus, EPOCH + 2)
    assert book["fee_bps"] == 100
    with refused("StagedTooEarly"):
        stage(campus, EPOCH + 2, fee_bps=200)
    for later in (EPOCH + 3, EPOCH + 9):  # would replace what the book was opened with
        with refused("StagedAlreadyDue"):
            stage(campus, later, fee_bps=200)
    campus.set_time(campus.boundary(2))
    stage(campus, EPOCH + 4, fee_bps=200)
    found = config(campus)
    assert (found["parameters"]["fee_bps"], found["staged"]["fee_bps"], found["staged_from"]) == (100, 200, EPOCH + 4)
    assert open_book(campus, EPOCH + 3)["fee_bps"] == 100


def test_staged_parameters_can_be_replaced_until_the_epoch_before_theirs(campus: Campus) -> None:
    stage(campus, EPOCH + 3, fee_bps=100)
    campus.set_time(campus.boundary(2) - 1)
    stage(campus, EPOCH + 3, fee_bps=200)
    assert config(campus)["staged"]["fee_bps"] == 200


def test_nothing_is_staged_beyond_a_year(campus: Campus, refused) -> None:
    stage(campus, EPOCH + 35_136)
    with refused("StagedTooLate"):
        stage(campus, EPOCH + 35_137)


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"fee_bps": 1_001}, "FeeOutOfBounds"), ({"feed_in_price": 0}, "PricesOutOfBounds")],
    ids=str,
)
def test_staged_parameters_are_bounded_too(campus: Campus, refused, changes, error) -> None:
    with refused(error):
        stage(campus, EPOCH + 2, **changes)


def test_only_the_authority_stages(campus: Campus, refused) -> None:
    with refused("NotAuthority"):
        stage(campus, EPOCH + 2, campus.operator)


# Authority and operator


def propose(campus: Campus, pending: Pubkey, signer: Keypair | None = None) -> Outcome:
    authority = signer or campus.authority
    accounts = {"authority": authority.pubkey()}
    instruction = campus.instruction("governance", "propose_authority", {"pending": pending}, accounts)
    return campus.send(instruction, signers=[authority])


def accept(campus: Campus, pending: Keypair) -> Outcome:
    instruction = campus.instruction("governance", "accept_authority", {}, {"pending": pending.pubkey()})
    return campus.send(instruction, signers=[pending])


def test_the_authority_changes_hands_in_two_steps(campus: Campus, refused) -> None:
    heir = key("heir")
    propose(campus, heir.pubkey())
    assert config(campus)["authority"] == campus.authority.pubkey()
    event = accept(campus, heir).event("AuthorityChanged")
    assert event == {"before": campus.authority.pubkey(), "after": heir.pubkey()}
    found = config(campus)
    assert (found["authority"], found["pending_authority"]) == (heir.pubkey(), Pubkey.default())
    with refused("NotAuthority"):
        campus.set_paused(1)


def test_only_the_proposed_one_accepts(campus: Campus, refused) -> None:
    with refused("NoPendingAuthority"):
        accept(campus, key("heir"))
    propose(campus, key("heir").pubkey())
    with refused("NotPendingAuthority"):
        accept(campus, key("thief"))


def test_the_proposed_one_must_sign(campus: Campus, refused) -> None:
    heir = key("heir").pubkey()
    propose(campus, heir)
    instruction = campus.instruction("governance", "accept_authority", {}, {"pending": heir})
    with refused("NotPendingAuthority"):
        campus.send(unsigned(instruction, heir))


def test_a_proposal_can_be_withdrawn(campus: Campus, refused) -> None:
    propose(campus, key("heir").pubkey())
    propose(campus, Pubkey.default())
    with refused("NoPendingAuthority"):
        accept(campus, key("heir"))


def test_only_the_authority_proposes(campus: Campus, refused) -> None:
    with refused("NotAuthority"):
        propose(campus, key("thief").pubkey(), campus.operator)


def set_operator(campus: Campus, operator: Pubkey, signer: Keypair | None = None) -> Outcome:
    authority = signer or campus.authority
    accounts = {"authority": authority.pubkey()}
    instruction = campus.instruction("governance", "set_operator", {"operator": operator}, accounts)
    return campus.send(instruction, signers=[authority])


def test_another_operator_takes_over_at_once(campus: Campus, refused) -> None:
    event = set_operator(campus, key("night shift").pubkey()).event("OperatorChanged")
    assert event == {"before": campus.operator.pubkey(), "after": key("night shift").pubkey()}
    with refused("NotOperator"):
        campus.register_user("a")


def test_an_operator_is_a_real_key_named_by_the_authority(campus: Campus, refused) -> None:
    with refused("ZeroKey"):
        set_operator(campus, Pubkey.default())
    with refused("NotAuthority"):
        set_operator(campus, key("thief").pubkey(), campus.operator)


# Billing periods


def open_period(campus: Campus, signer: Keypair | None = None) -> Outcome:
    operator = signer or campus.operator
    instruction = campus.instruction("governance", "open_billing_period", {}, {"operator": operator.pubkey()})
    return campus.send(instruction, signers=[operator])


def test_billing_periods_follow_one_another_without_a_gap(refused) -> None:
    campus = Campus(parameters={"billing_period_epochs": 16})
    campus.set_time(campus.boundary(16) - 1)
    with refused("BillingPeriodNotOver"):
        open_period(campus)
    campus.set_time(campus.boundary(20))  # late: the period begins where the last one ended all the same
    assert open_period(campus).event("BillingPeriodOpened") == {"period": 1, "first_epoch": EPOCH + 16}
    found = config(campus)
    assert (found["billing_period"], found["billing_period_start"]) == (1, EPOCH + 16)
    assert found["billing_period_end"] == EPOCH + 32
    with refused("BillingPeriodNotOver"):
        open_period(campus)


def test_a_period_has_the_length_in_force_at_its_start() -> None:
    campus = Campus(parameters={"billing_period_epochs": 16})
    stage(campus, EPOCH + 16, billing_period_epochs=100)
    campus.set_time(campus.boundary(16))
    open_period(campus)
    assert config(campus)["billing_period_end"] == EPOCH + 116


def test_an_overdue_period_keeps_the_length_in_force_at_its_start(refused) -> None:
    """Staging twice would forget it; so the period is opened first."""
    campus = Campus(parameters={"billing_period_epochs": 16})
    stage(campus, EPOCH + 18, billing_period_epochs=100)
    campus.set_time(campus.boundary(16) - 1)
    stage(campus, EPOCH + 18, billing_period_epochs=90)
    campus.set_time(campus.boundary(20))
    with refused("BillingPeriodOverdue"):
        stage(campus, EPOCH + 30, billing_period_epochs=80)
    open_period(campus)
    assert config(campus)["billing_period_end"] == EPOCH + 32
    stage(campus, EPOCH + 30, billing_period_epochs=80)
    campus.set_time(campus.boundary(32))
    open_period(campus)
    assert config(campus)["billing_period_end"] == EPOCH + 32 + 80


def test_only_the_operator_opens_periods(refused) -> None:
    campus = Campus(parameters={"billing_period_epochs": 16})
    campus.set_time(campus.boundary(16))
    with refused("NotOperator"):
        open_period(campus, campus.authority)


def test_the_operator_must_sign(refused) -> None:
    campus = Campus(parameters={"billing_period_epochs": 16})
    campus.set_time(campus.boundary(16))
    operator = campus.operator.pubkey()
    instruction = campus.instruction("governance", "open_billing_period", {}, {"operator": operator})
    with refused("OperatorMustSign"):
        campus.send(unsigned(instruction, operator), payer=campus.authority)


INSTRUCTIONS = {
    "stage_parameters": ("authority", {"parameters": PARAMETERS, "from_epoch": EPOCH + 2}),
    "propose_authority": ("authority", {"pending": key("heir").pubkey()}),
    "accept_authority": ("pending", {}),
    "set_operator": ("authority", {"operator": key("night shift").pubkey()}),
    "open_billing_period": ("operator", {}),
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_each_wants_the_config_itself(campus: Campus, refused, name: str) -> None:
    signer, args = INSTRUCTIONS[name]
    fake = key("fake config").pubkey()
    found = campus.svm.get_account(programs.config_address())
    campus.put(fake, bytes(found.data), programs.PROGRAM_IDS["governance"])
    accounts = {signer: campus.authority.pubkey(), "config": fake}
    with refused("WrongConfig"):
        campus.send(campus.instruction("governance", name, args, accounts))
