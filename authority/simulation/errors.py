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


class SizeInvalidError(SimulationError):
    """A campus of that size cannot be simulated."""

    code = "size_invalid"
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


class ResultsUnlikeError(SimulationError):
    """Simulations that cannot be drawn together; the message says why."""

    code = "results_unlike"
    exit_status = USAGE


class ClusterError(SimulationError):
    """Runs that cannot be made on the cluster."""


class ClusterMissingError(ClusterError):
    """Dask's client is not installed here."""

    code = "cluster_missing"
    exit_status = USAGE


class ClusterUnreachableError(ClusterError):
    """No scheduler answers at the address."""

    code = "cluster_unreachable"


class ClusterUnfitError(ClusterError):
    """The cluster has no worker, or one that cannot run this release."""

    code = "cluster_unfit"


class ClusterLostError(ClusterError):
    """The cluster has lost its scheduler or all of its workers while it ran."""

    code = "cluster_lost"


class ClusterRunFailedError(ClusterError):
    """A run failed on the cluster, not by its own doing; the message has what the cluster says."""

    code = "cluster_run_failed"


class DatasetUnfitError(SimulationError):
    """The simulation cannot be published as it is; the message says why."""

    code = "dataset_unfit"
    exit_status = USAGE


class ReadingRefusedError(SimulationError):
    """The intake did not accept a reading of a simulated meter."""

    code = "simulated_reading_refused"
