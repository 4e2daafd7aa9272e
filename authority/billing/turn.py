"""The next billing period's length, staged ahead of the turn, where billing periods follow the site's calendar.

Governance takes a period's length from the parameters in force at its start, and those by the authority's key alone: so
the settlement process has that key where, and only where, `[billing] calendar = "month"`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from zoneinfo import ZoneInfo

from authority.app import App
from authority.billing import calendar
from authority.billing.errors import TurnBlockedError
from authority.billing.history import catch_up
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.in_force import parameters_in, stage_holds
from authority.log import log

ACTOR = "settlement"


def stage_next(app: App, client: ChainClient) -> calendar.Staging | None:
    """Stage the next period's length where that is due; what was staged. Logged as `parameters_staged`.

    BillingError `turn_blocked` where the next period would get another length, for what the operator has staged holds
    only after the turn, or too little time is left; `epoch_too_short`. ChainErrors.
    """
    settings = app.home.settings
    config = client.account(accounts.Config, programs.config_address())
    if settings.billing.calendar != "month" or config is None:
        return None
    zone = ZoneInfo(settings.site.zone)
    epoch = int(client.clock().unix_timestamp) // config.epoch_seconds
    to_come = bool(config.staged_from) and not stage_holds(config, epoch)
    current = parameters_in(config, epoch)
    if to_come and config.staged_from > config.billing_period_end:
        # what was taken back, or is but another length, is in nobody's way
        same = replace(config.staged, billing_period_epochs=current.billing_period_epochs) == current
        to_come = not same
    chain = calendar.Parameters(
        epoch,
        config.billing_period_end,
        current.billing_period_epochs,
        config.staged.billing_period_epochs if to_come else None,
        config.staged_from if to_come else None,
    )
    act = calendar.staging(chain, config.epoch_seconds, zone)
    if act is None:
        length = calendar.cannot(chain, config.epoch_seconds, zone)
        if length is not None and epoch < config.billing_period_end:
            raise TurnBlockedError(
                f"billing period {config.billing_period + 1} should have {length} epochs and will not: what is staged "
                f"holds from epoch {config.staged_from} on, the turn is at {config.billing_period_end}; take it back "
                "(authority parameters cancel), and stage it again after the turn",
            )
        return None
    parameters = replace(config.staged if act.base == "staged" else current, billing_period_epochs=act.length)
    args = {"parameters": asdict(parameters), "from_epoch": act.from_epoch}
    authority = app.home.authority
    instruction = client.instruction("governance", "stage_parameters", args, {"authority": authority.pubkey()})
    signature = str(client.send([instruction], [authority], payer=app.home.operator))
    with app.store.write() as session:
        data = {"from_epoch": act.from_epoch, "parameters": asdict(parameters), "signature": signature}
        log.record_act(session, "parameters_staged", ACTOR, app.clock(), data)
    return act


def each_epoch(app: App, client: ChainClient) -> None:
    """What billing does once an epoch: take in the chain's history before it is forgotten, and see to the next turn.

    BillingErrors and ChainErrors; whatever was not done is done the next time.
    """
    try:
        stage_next(app, client)
    finally:
        catch_up(app.store, client)
