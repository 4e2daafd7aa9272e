"""The worker killed at random lines of its own code, beside a campus whose worker lives: both end alike.

Each epoch's readings are random and the same in both. In the one, the worker is a process that dies of SIGKILL before
a random line, again and again, until one comes to its end. RANDOM_KILLS_EPOCHS, RANDOM_KILLS_A_STAGE and
RANDOM_KILLS_SEED make the run longer, and another.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from dataclasses import replace

import mortal_worker
import pytest
from sqlalchemy import func, select

from authority.audit.conservation import conservation
from authority.chain import accounts, programs
from authority.home.settings import ValidatorSettings
from authority.store.settlement import SettledSpan

EPOCHS = int(os.environ.get("RANDOM_KILLS_EPOCHS", "2"))
KILLS = int(os.environ.get("RANDOM_KILLS_A_STAGE", "5"))
SEED = int(os.environ.get("RANDOM_KILLS_SEED", "1"))


class Mortal:
    """Settles a campus by one process after another, of which all but the last are killed."""

    def __init__(self, campus, chance: random.Random) -> None:
        self.campus, self.chance = campus, chance
        self.kills = 0
        self.lines = 5_000
        """How many lines a whole stage took last time: about there, the next deaths lie."""
        campus.home.save(replace(campus.home.settings, validator=ValidatorSettings(url=campus.validator.url)))
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(["mortal_worker"])

    def settle(self) -> None:
        """Do all that there is to do."""
        counted = self.campus.home_path.parent / "lines"
        for death in range(KILLS + 1):
            line = self.chance.randint(1, self.lines) if death < KILLS else None
            arguments = (str(self.campus.home_path), self.campus.wall.ms(), line, str(counted))
            process = self.forks.Process(target=mortal_worker.settle, args=arguments)
            process.start()
            process.join()
            if process.exitcode == 0:
                self.lines = max(self.lines, int(counted.read_text()))
                return
            assert process.exitcode == -signal.SIGKILL
            self.kills += 1
        raise AssertionError("the worker never came to an end")


def random_steps(campus, chance: random.Random) -> dict[str, tuple[int, ...]]:
    """What each meter measures in an epoch: within its role, sometimes more generation than load, sometimes less."""
    most = {"generation": (6_000,), "storage": (0, 0, 1_500, 700), "load": (0, 4_000), "grid": (1_500, 1_500)}
    most |= {"building": (3_000, 3_000, 0, 0), "submeter": (0, 900)}
    return {
        name: tuple(chance.randint(0, top) for top in most[meter.role]) for name, meter in sorted(campus.meters.items())
    }


def totals(campus) -> dict[str, tuple[int, ...]]:
    """Everything that a member's energy came to."""
    found = {}
    for name in "ABCD":
        energy, retired = campus.energy(name), campus.retirement(name)
        fed = (retired.consumption_total, retired.feed_in_total, retired.feed_in_credits) if retired else (0, 0, 0)
        found[name] = (energy.minted, energy.withdrawn, *fed, campus.held(name), campus.credit(name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(0)  # as many processes as asked for, one after the other
def test_killed_at_random_lines_nothing_is_lost_or_done_twice(campus, make_campus):
    chance = random.Random(SEED)  # noqa: S311 - a test, to be repeated
    living, dying = campus, make_campus(campus.PLAN)
    worker, mortal = living.worker(), Mortal(dying, chance)
    for each in (living, dying):
        each.start_market()
        each.read_all(each.epoch * 60, moving=False)
    worker.settle_down()
    mortal.settle()
    for _ in range(EPOCHS):
        steps = random_steps(living, chance)
        for each in (living, dying):
            each.STEPS = steps
            each.read_all(each.next_epoch())
        worker.settle_down()
        mortal.settle()
        for each in (living, dying):
            each.go_to(each.wall.now + 40)
        worker.settle_down()
        mortal.settle()
        assert totals(dying) == totals(living), f"after {mortal.kills} kills"
        assert conservation(dying.client).ok
    for each in (living, dying):
        each.next_epoch()
    worker.settle_down()
    mortal.settle()
    assert mortal.kills > EPOCHS
    assert totals(dying) == totals(living)
    assert conservation(dying.client).ok
    assert dying.audit() == 0
    oracle = dying.client.account(accounts.Oracle, programs.oracle_authority())
    with dying.app.store.read() as session:
        minted = session.scalars(select(func.sum(SettledSpan.minted_wh))).one()
    assert minted == oracle.minted == sum(each[0] for each in totals(dying).values()) > 0
    print(f"{mortal.kills} kills")
