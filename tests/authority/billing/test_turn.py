"""The worker stages each month's length by itself, on the real programs: months, a switch, and what is in the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from billing_campus import end_of_period
from whole_campus import PARAMETERS, Campus, Wall

from authority.app import App
from authority.billing.calendar import first_epoch_at, month_start
from authority.billing.errors import BillingError
from authority.billing.turn import each_epoch, stage_next
from authority.chain import accounts, programs
from authority.governance import acts
from authority.home.errors import HomeError
from authority.home.home import Home
from authority.home.settings import BillingSettings, SiteSettings
from authority.store.log import Act
from authority.store.settlement import Alert

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600


@pytest.fixture
def months(tmp_path):
    """A campus of hourly epochs in Berlin, at the end of February 2031, whose billing periods follow the calendar."""
    wall = Wall(now=float(month_start(2031, 2, BERLIN) + 20 * 86_400))
    made = Campus(
        tmp_path,
        wall=wall,
        epoch_seconds=HOUR,
        parameters=replace(PARAMETERS, billing_period_epochs=24),
        plan=Campus.PLAN[-2:],
    )
    settings = made.home.settings
    made.home.save(replace(settings, site=SiteSettings(zone="Europe/Berlin"), billing=BillingSettings("month")))
    made.app = App.open(made.home_path, made.wall.seconds)
    made.home = made.app.home
    yield made
    made.close()


def worker_of(campus):
    return campus.worker(bill=partial(each_epoch, campus.app, campus.client))


def config_of(campus):
    config = campus.client.account(accounts.Config, programs.config_address())
    assert config is not None
    return config


def go_to_epoch(campus, worker, epoch):
    campus.go_to(epoch * HOUR + 1)
    worker.settle_down()


def test_from_fixed_lengths_to_months_through_a_change_of_clocks(months):
    worker = worker_of(months)
    fixed_end = end_of_period(months)
    worker.settle_down()
    assert (
        config_of(months).staged.billing_period_epochs == first_epoch_at(month_start(2031, 3, BERLIN), HOUR) - fixed_end
    )
    go_to_epoch(months, worker, months.epoch + 2)
    turns = [fixed_end]
    for _ in range(3):
        go_to_epoch(months, worker, turns[-1])
        go_to_epoch(months, worker, turns[-1] + 1)
        assert config_of(months).billing_period_start == turns[-1]
        turns.append(end_of_period(months))
    starts = [datetime.fromtimestamp(turn * HOUR, UTC).astimezone(BERLIN) for turn in turns[1:]]
    assert [(each.month, each.day, each.hour) for each in starts] == [(3, 1, 0), (4, 1, 0), (5, 1, 0)]
    assert turns[2] - turns[1] == 31 * 24 - 1  # March lacks an hour
    with months.app.store.read() as session:
        assert session.query(Act).filter_by(kind="parameters_staged", actor="settlement").count() >= 3
        assert session.query(Alert).filter_by(resolved_at=None).count() == 0


def test_other_parameters_are_kept_and_what_stands_in_the_way_is_told(months):
    governance = acts.read(months.client)
    turn = end_of_period(months)
    cheaper = {**governance.parameters, "retail_price": 290_000}
    acts.stage(months.app, months.client, cheaper, turn, actor="test")
    act = stage_next(months.app, months.client)
    assert act is not None
    config = config_of(months)
    assert (config.staged.retail_price, config.staged_from) == (290_000, turn)
    assert config.staged.billing_period_epochs == first_epoch_at(month_start(2031, 3, BERLIN), HOUR) - turn
    assert stage_next(months.app, months.client) is None

    acts.stage(months.app, months.client, cheaper, turn + 1, actor="test")
    with pytest.raises(BillingError, match="parameters cancel") as told:
        stage_next(months.app, months.client)
    assert told.value.code == "turn_blocked"
    worker = worker_of(months)
    worker.settle_down()
    with months.app.store.read() as session:
        assert [row.code for row in session.query(Alert).filter_by(subject="billing")] == ["turn_blocked"]
    acts.cancel(months.app, months.client, acts.read(months.client), actor="test")
    go_to_epoch(months, worker, months.epoch + 1)
    assert config_of(months).staged_from <= turn
    assert config_of(months).staged.billing_period_epochs == first_epoch_at(month_start(2031, 3, BERLIN), HOUR) - turn
    assert config_of(months).staged.retail_price == governance.parameters["retail_price"]
    with months.app.store.read() as session:
        assert session.query(Alert).filter_by(subject="billing", resolved_at=None).count() == 0


def test_only_where_the_calendar_is_followed_the_settlement_process_has_the_authoritys_key(months):
    assert acts.drift(months.app, acts.read(months.client)) == {}
    Home.open(months.home_path, "settlement").authority  # noqa: B018 - that it opens
    months.home.save(replace(months.home.settings, billing=BillingSettings()))
    with pytest.raises(HomeError) as refused:
        Home.open(months.home_path, "settlement").authority  # noqa: B018
    assert refused.value.code == "key_withheld"
