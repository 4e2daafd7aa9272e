"""Which of governance's parameters hold in an epoch: what is staged from its epoch on, the others until then."""

from __future__ import annotations

from authority.chain.accounts import Config, Parameters


def stage_holds(config: Config, epoch: int) -> bool:
    """Whether what is staged holds in an epoch, as `Config::parameters` of the programs has it."""
    return config.staged_from != 0 and epoch >= config.staged_from


def parameters_in(config: Config, epoch: int) -> Parameters:
    """The parameters in force in an epoch."""
    return config.staged if stage_holds(config, epoch) else config.parameters
