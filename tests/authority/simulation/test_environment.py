"""A member as an agent that learns: a random one and the example strategy live through a day; Gymnasium's checks."""

from __future__ import annotations

import os
import random
import site
import subprocess
import sys
from pathlib import Path

import peer_programs
import pytest

from authority.simulation import report
from authority.simulation.environment import ACTION, OBSERVATION, Environment
from authority.simulation.errors import EnvironmentNotResetError, ScenarioInvalidError
from authority.simulation.own_code import OwnFunction
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Out, Spent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
HOURLY = Scenario.parse("epoch_seconds = 3600\n")
MEMBER = "Library 03"
"""It has sun, and draws by night."""


def test_the_example_strategy_and_a_random_agent_live_through_a_day_and_are_rewarded_what_they_gain(
    tmp_path: Path,
) -> None:
    environment = Environment(MEMBER, scenario=HOURLY, directory=tmp_path)
    trade = OwnFunction.read(ROOT / "docs/examples/patient.py", "trade").load()
    dice = random.Random(3)  # noqa: S311 - to be repeated
    for reset, by_random in enumerate((False, True), 1):
        observation, info = environment.reset(seed=11)
        gained, steps, truncated, traded = 0.0, 0, False, 0
        while not truncated:
            assert all(space.low <= value <= space.high for space, value in zip(OBSERVATION, observation, strict=True))
            assert observation[0] == steps % 24
            if by_random:
                observation, reward, terminated, truncated, info = environment.step([dice.random() for _ in ACTION])
            else:
                observation, reward, terminated, truncated, info = environment.order(trade(info["view"]))
            assert not terminated
            gained, steps = gained + reward, steps + 1
            traded += info["view"].past[-1].bought_wh + info["view"].past[-1].sold_wh
        assert steps == 24
        assert traded > 0
        with pytest.raises(EnvironmentNotResetError):
            environment.order([])
        request = environment._request(11)
        environment.close()
        with Out(tmp_path / f"reset-{reset}", request):
            found = report.make(tmp_path / f"reset-{reset}", request, Spent())
        assert found["audit"]["ok"], found["audit"]["problems"]
        (member,) = (each for each in found["measures"]["members"] if each["name"] == MEMBER)
        assert member["bought_wh"] + member["sold_wh"] == traded
        assert gained == pytest.approx(member["gain"] / 1e6, abs=1e-3)


def test_an_environment_says_what_it_lacks() -> None:
    with pytest.raises(ScenarioInvalidError, match="no member 'Nobody'"):
        Environment("Nobody", scenario=HOURLY)
    with pytest.raises(EnvironmentNotResetError):
        Environment(MEMBER, scenario=HOURLY).step([0.0] * 4)


GYMNASIUM = """
import warnings
warnings.simplefilter("ignore")
from gymnasium.utils.env_checker import check_env
from authority.simulation.environment import Environment, gymnasium_environment
from authority.simulation.scenario import Scenario

environment = gymnasium_environment(
    Environment("Dormitory 01", buildings=1, members=1, scenario=Scenario.parse("epoch_seconds = 3600\\n"))
)
check_env(environment, skip_render_check=True)
observation, reward, terminated, truncated, info = environment.step(environment.action_space.sample())
assert environment.observation_space.contains(observation)
print(environment.unwrapped.campus.view.member, info)
environment.close()
"""


def test_gymnasium_takes_it_for_one_of_its_environments() -> None:
    """In an environment of its own, with our packages behind Gymnasium's."""
    peer = peer_programs.python("gymnasium")
    behind = f"import sys; sys.path += {[str(ROOT), *site.getsitepackages()]!r}\n"
    ran = subprocess.run(
        [peer, "-c", behind + GYMNASIUM], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "Dormitory 01 {'refused': 0}\n"), ran.stderr
    assert "gymnasium" not in sys.modules
