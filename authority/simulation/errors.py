"""Why a simulation does not run."""

from __future__ import annotations

from authority.errors import USAGE, AuthorityError


class SimulationError(AuthorityError):
    """A simulation that cannot be run."""


class OutForeignError(SimulationError):
    """The directory holds something else than a simulation."""

    code = "out_foreign"
    exit_status = USAGE


class OutOtherError(SimulationError):
    """The directory holds another simulation."""

    code = "out_other"
    exit_status = USAGE


class OutBusyError(SimulationError):
    """Another process simulates into the directory."""

    code = "out_busy"


class ScenarioInvalidError(SimulationError):
    """The scenario's file cannot be used; the message names the entry."""

    code = "scenario_invalid"
    exit_status = USAGE


class ProfileInvalidError(SimulationError):
    """A profile of one's own cannot be used; the message names its line."""

    code = "profile_invalid"
    exit_status = USAGE


class OwnCodeInvalidError(SimulationError):
    """A Python file of one's own cannot be used; the message names its line."""

    code = "own_code_invalid"
    exit_status = USAGE


class StrategyFailedError(SimulationError):
    """A strategy failed, or ordered what is no order; the message names its file, the line and the epoch."""

    code = "strategy_failed"


class RuleFailedError(SimulationError):
    """A market rule of one's own failed; the message names its file and line."""

    code = "rule_failed"


class EnvironmentNotResetError(SimulationError):
    """A step of an environment that was not reset, or has come to its end."""

    code = "environment_not_reset"


class ResultsMissingError(SimulationError):
    """There is nothing to plot: no finished simulation in the directory, or not the days that were asked for."""

    code = "results_missing"
    exit_status = USAGE


class ReadingRefusedError(SimulationError):
    """The intake did not accept a reading of a simulated meter."""

    code = "simulated_reading_refused"
