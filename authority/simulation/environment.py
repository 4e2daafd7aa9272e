"""One member of a simulated campus as an agent that learns: reset, step, observation, action, reward.

The interface is Gymnasium's. `Environment` needs nothing but this program; `gymnasium_environment` makes a
`gymnasium.Env` of it where Gymnasium is installed. A step is an epoch: the agent orders for its book, the epoch passes
with everybody's readings, and the agent sees what became of it.

The reward is what the member gained in the step, in credits, against paying retail and getting the feed-in alone. A
kWh that it holds counts as the feed-in pays for it, until it is sold or covers what the member drew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from authority.simulation.asking import Question, Questions
from authority.simulation.campus_home import start_of
from authority.simulation.errors import EnvironmentNotResetError
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Out, Request, Simulation
from authority.simulation.strategies import Buy, Order, Sell, View
from authority.simulation.weather import DAY_SECONDS

KILO, MICRO = 1_000, 1_000_000


class Space(NamedTuple):
    """A number of an observation or an action: its name, unit and bounds."""

    name: str
    unit: str
    low: float
    high: float


MOST_KWH, HIGHEST_PRICE = 1e9, 2**32 / MICRO
OBSERVATION = (
    Space("hour", "h of the day, UTC", 0.0, 24.0),
    Space("held", "kWh", 0.0, MOST_KWH),
    Space("need", "kWh", 0.0, MOST_KWH),
    Space("given", "kWh in the epoch before", 0.0, MOST_KWH),
    Space("drawn", "kWh in the epoch before", 0.0, MOST_KWH),
    Space("price", "credits/kWh, of the last epoch that traded; 0 before", 0.0, HIGHEST_PRICE),
    Space("volume", "kWh in the epoch before", 0.0, MOST_KWH),
    Space("feed_in", "credits/kWh", 0.0, HIGHEST_PRICE),
    Space("retail", "credits/kWh", 0.0, HIGHEST_PRICE),
)
ACTION = (
    Space("buy_price", "from the feed-in (0) to retail (1)", 0.0, 1.0),
    Space("buy_share", "of what it needs and does not hold", 0.0, 1.0),
    Space("sell_price", "from the feed-in (0) to retail (1)", 0.0, 1.0),
    Space("sell_share", "of what it holds", 0.0, 1.0),
)


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where the member stood when it was asked; energy in Wh, money in micro-credits."""

    credit: int
    own_wh: int
    period: int
    retired: int
    retired_before: int

    @classmethod
    def of(cls, question: Question) -> _Standing:
        account = question.account
        return cls(
            account.all_credit,
            account.all_wh + account.fed_in_wh - account.minted_wh,
            question.period,
            account.retired_wh,
            account.previous_retired_wh,
        )

    def covered_since(self, before: _Standing) -> int:
        """What was retired for what the member drew, Wh; in a new billing period the old one's is the one before."""
        if self.period == before.period:
            return self.retired - before.retired + self.retired_before - before.retired_before
        return self.retired + max(0, self.retired_before - before.retired)


class Environment:
    """A member of a campus that learns; all others trade by their standing orders or the scenario's strategies.

    Each reset begins a simulation from its first day, with a seed of its own; the same seed and the same orders come to
    the same. Under a directory each leaves a home to look at (`reset-1`, ...), else nothing.
    """

    def __init__(
        self,
        member: str,
        *,
        days: int = 1,
        buildings: int = 4,
        members: int | None = None,
        start: str = "2026-06-01",
        scenario: Scenario | None = None,
        directory: Path | None = None,
    ) -> None:
        """As the options of `authority simulate`. SizeInvalidError; ScenarioInvalidError where nobody is called so."""
        self._scenario = (scenario or Scenario()).with_agent(member)
        self._size = days, buildings, members
        self._start = start_of(start)
        self._member, self._directory = member, directory
        self._resets = 0
        self._questions: Questions | None = None
        self._out: Out | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._question: Question | None = None
        self._end = self._request(0).end
        self._request(0).campus()

    def _request(self, seed: int) -> Request:
        days, buildings, members = self._size
        return Request.of(days, buildings, members, seed, self._start, self._scenario)

    @property
    def view(self) -> View:
        """What the member may see now. EnvironmentNotResetError."""
        if self._question is None:
            raise EnvironmentNotResetError("reset the environment first")
        return self._question.view

    def reset(self, seed: int = 0) -> tuple[list[float], dict[str, Any]]:
        """Begin anew; the observation of the first epoch, and the view as `info["view"]`."""
        self.close()
        self._resets += 1
        request = self._request(seed)
        if self._directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="campus-")
            path = Path(self._temporary.name) / "home"
        else:
            path = self._directory / f"reset-{self._resets}"
        self._out = Out(path, request)
        self._questions = Simulation(request, self._out, lambda *_: None).questions()
        self._question = next(self._questions)
        return observation_of(self.view), {"view": self.view}

    def step(self, action: Sequence[float]) -> tuple[list[float], float, bool, bool, dict[str, Any]]:
        """Order as an action says (see ACTION), and let the epoch pass: see `order`."""
        return self.order(orders_of(self.view, action))

    def order(self, orders: Iterable[Order]) -> tuple[list[float], float, bool, bool, dict[str, Any]]:
        """Give these orders and let the epoch pass: observation, reward, terminated, truncated, info.

        terminated: the member has left. truncated: the days are over. StrategyFailedError for what is no order.
        EnvironmentNotResetError before a reset, and after the end.
        """
        if self._question is None or self._questions is None:
            raise EnvironmentNotResetError("reset the environment first")
        before, over = self._question, False
        try:
            self._question = self._questions.send(orders)
            over = self._question.view.start >= self._end
            if over:
                self._questions.send(())  # lives to its end: the home is whole
        except StopIteration:
            self._questions = None
        view = self._question.view
        left = self._questions is None and not over
        return observation_of(view), reward_of(before, self._question), left, over, {"view": view}

    def close(self) -> None:
        """Give everything back; a home under a directory stays."""
        if self._questions is not None:
            self._questions.close()
        if self._out is not None:
            self._out.__exit__()
        if self._temporary is not None:
            self._temporary.cleanup()
        self._questions = self._out = self._temporary = self._question = None


def observation_of(view: View) -> list[float]:
    """The numbers of OBSERVATION."""
    last = view.past[-1]
    price = next((past.price for past in reversed(view.past) if past.price is not None), 0)
    return [
        view.start % DAY_SECONDS / 3_600,
        view.held_wh / KILO,
        view.need_wh / KILO,
        last.given_wh / KILO,
        last.drawn_wh / KILO,
        price / MICRO,
        last.volume_wh / KILO,
        view.terms.feed_in / MICRO,
        view.terms.retail / MICRO,
    ]


def orders_of(view: View, action: Sequence[float]) -> list[Order]:
    """The orders that an action means, none that the book would not take for its size."""
    buy_price, buy_share, sell_price, sell_share = (min(1.0, max(0.0, float(each))) for each in action)
    terms = view.terms
    buys = min(round(buy_share * max(0, view.need_wh - view.held_wh)), terms.max_wh)
    sells = min(int(sell_share * view.held_wh), terms.max_wh)

    def price(share: float) -> int:
        return round(terms.feed_in + share * (terms.retail - terms.feed_in))

    orders: list[Order] = []
    if buys >= max(1, terms.min_wh):
        orders.append(Buy(price(buy_price), buys))
    if sells >= max(1, terms.min_wh):
        orders.append(Sell(price(sell_price), sells))
    return orders


def reward_of(before: Question, after: Question) -> float:
    """What the member gained from one question to the next, credits."""
    was, now, terms = _Standing.of(before), _Standing.of(after), before.view.terms
    worth = terms.feed_in * (now.own_wh - was.own_wh) + terms.retail * now.covered_since(was)
    return (now.credit - was.credit + worth / KILO) / MICRO


def gymnasium_environment(environment: Environment) -> Any:
    """The same as a `gymnasium.Env`, with Box spaces of 32-bit floats. ImportError where Gymnasium is not installed.

    `info["refused"]` is how many orders of the epoch before the market refused; `env.unwrapped.campus` is the
    Environment, with its view.
    """
    import gymnasium  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - optional
    import numpy  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - comes with it

    def box(spaces: Sequence[Space]) -> Any:
        bounds = ([getattr(each, bound) for each in spaces] for bound in ("low", "high"))
        low, high = (numpy.array(each, dtype=numpy.float32) for each in bounds)
        return gymnasium.spaces.Box(low, high, dtype=numpy.float32)

    class CampusMember(gymnasium.Env):  # type: ignore[misc,unused-ignore]
        """A member of a simulated campus."""

        observation_space, action_space = box(OBSERVATION), box(ACTION)
        campus = environment
        metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's name and kind

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            super().reset(seed=seed, options=options)
            drawn = int(self.np_random.integers(2**31)) if seed is None else seed
            observation, _ = environment.reset(drawn)
            return numpy.array(observation, dtype=numpy.float32), {"refused": 0}

        def step(self, action: Any) -> Any:
            observation, reward, terminated, truncated, info = environment.step(action)
            refused = sum(not answer.taken for answer in info["view"].answers)
            seen = numpy.array(observation, dtype=numpy.float32)
            return seen, reward, terminated, truncated, {"refused": refused}

        def close(self) -> None:
            environment.close()

    return CampusMember()
