"""What governs the campus on the chain: what holds, what is staged, and the acts that change it. Each is logged.

The parameters in authority.toml are those of the deployment. From then on the chain's hold, for every program and for
everybody; the file is brought into step with them by `adopt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import func, select

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import NotDeployedError
from authority.chain.in_force import parameters_in, stage_holds
from authority.errors import AuthorityError, OutOfRangeError
from authority.home.settings import ParameterSettings
from authority.language.reading import spoken
from authority.log import log
from authority.log.nameless import require_nameless
from authority.store.settlement import SettlementEpoch

NEAREST_EPOCHS = 2
"""How far ahead parameters must be staged (governance, stage_parameters): the next epoch's book may be open."""
FURTHEST_EPOCHS = 366 * 96
WEEK_SECONDS = 7 * 86_400
PARAMETER_NAMES = tuple(asdict(ParameterSettings()))
"""The market's parameters, by their names."""
ACTIVITIES = ("registration", "readings", "settlement", "orders", "clearing", "credit", "retirement")
"""What may be paused, by the number of its bit (governance, Pause)."""


class GovernanceError(AuthorityError):
    """A change of parameters that makes no sense."""


class NothingStagedError(GovernanceError):
    """No parameters are staged that could be cancelled."""

    code = "not_staged"


class NothingToChangeError(GovernanceError):
    """Everything is already as it was asked for."""

    code = "nothing_to_change"


@dataclass(frozen=True)
class Governance:
    """governance's Config now. staged holds from epoch staged_from on; None where nothing is to come."""

    epoch: int
    epoch_seconds: int
    parameters: Mapping[str, int]
    staged: Mapping[str, int] | None
    staged_from: int | None
    paused: tuple[str, ...]
    authority: str
    operator: str

    def starts(self, epoch: int) -> int:
        """When an epoch begins, Unix seconds."""
        return epoch * self.epoch_seconds


def read(client: ChainClient) -> Governance:
    """What the chain says. NotDeployedError."""
    config = client.account(accounts.Config, programs.config_address())
    if config is None:
        raise NotDeployedError("governance is not on the chain yet: authority deploy")
    epoch = int(client.clock().unix_timestamp) // config.epoch_seconds
    staged_from = config.staged_from
    parameters, staged = _numbers(parameters_in(config, epoch)), _numbers(config.staged)
    # the same ones are nothing to come
    to_come = bool(staged_from) and not stage_holds(config, epoch) and staged != parameters
    return Governance(
        epoch,
        config.epoch_seconds,
        parameters,
        staged if to_come else None,
        staged_from if to_come else None,
        names_of(config.pause),
        str(config.authority),
        str(config.operator),
    )


def _numbers(parameters: accounts.Parameters) -> dict[str, int]:
    return {name: getattr(parameters, name) for name in PARAMETER_NAMES}


def names_of(bits: int) -> tuple[str, ...]:
    """The activities of a set of pause bits."""
    return tuple(name for number, name in enumerate(ACTIVITIES) if bits >> number & 1)


def bits_of(names: Sequence[str]) -> int:
    """The pause bits of activities."""
    return sum(1 << ACTIVITIES.index(name) for name in set(names))


def drift(app: App, governance: Governance) -> dict[str, tuple[int, int]]:
    """Where authority.toml's [parameters] say something else than the chain: name -> (file, chain).

    Where billing periods follow the calendar, their length is not the file's to say.
    """
    file = asdict(app.home.settings.parameters)
    if app.home.settings.billing.calendar == "month":
        del file["billing_period_epochs"]
    chain = governance.parameters
    return {name: (value, chain[name]) for name, value in file.items() if chain[name] != value}


# Acts


def check_staging(governance: Governance, changes: Mapping[str, int], from_epoch: int) -> dict[str, int]:
    """The whole set of parameters with the changes in it; GovernanceError where it cannot be staged for that epoch."""
    wanted = {**governance.parameters, **changes}
    if wanted == dict(governance.parameters) and governance.staged is None:
        raise NothingToChangeError("these values hold already: see authority parameters show")
    ahead = from_epoch - governance.epoch
    if not NEAREST_EPOCHS <= ahead <= FURTHEST_EPOCHS:
        first, last = governance.epoch + NEAREST_EPOCHS, governance.epoch + FURTHEST_EPOCHS
        raise OutOfRangeError(
            f"parameters change with epoch {first} at the earliest and {last} at the latest: "
            f"now is epoch {governance.epoch}",
        )
    for name, value in changes.items():
        most = (1 << (16 if name.endswith("_bps") or name == "max_orders_per_member" else 32)) - 1
        if not 0 <= value <= most:
            raise OutOfRangeError(f"{name} is 0 to {most}, not {value}")
    for wrong, message in (
        (wanted["feed_in_price"] > wanted["retail_price"], spoken("feed_in_price must not be above retail_price")),
        (wanted["min_order_wh"] > wanted["max_order_wh"], spoken("min_order_wh must not be above max_order_wh")),
        (wanted["grace_seconds"] > governance.epoch_seconds, spoken("grace_seconds must fit in an epoch")),
        (
            wanted["cancel_cutoff_seconds"] >= governance.epoch_seconds,
            spoken("cancel_cutoff_seconds must be less than an epoch"),
        ),
        (wanted["fee_bps"] > 10_000, spoken("fee_bps is a share of 10000")),
        (wanted["storage_efficiency_bps"] > 10_000, spoken("storage_efficiency_bps is a share of 10000")),
    ):
        if wrong:
            raise OutOfRangeError(message)
    return wanted


@dataclass(frozen=True)
class Preview:
    """What last week's epochs say of new prices: how many traded, and how many cleared outside the new bounds."""

    traded_epochs: int
    traded_wh: int
    outside: int


def preview(app: App, governance: Governance, wanted: Mapping[str, int]) -> Preview:
    """Last week, in the light of other parameters."""
    first = governance.epoch - WEEK_SECONDS // governance.epoch_seconds
    with app.store.read() as session:
        traded = (SettlementEpoch.epoch >= first) & (SettlementEpoch.traded_wh > 0)
        count, total = session.execute(
            select(func.count(), func.coalesce(func.sum(SettlementEpoch.traded_wh), 0)).where(traded)
        ).one()
        inside = SettlementEpoch.clearing_price.between(wanted["feed_in_price"], wanted["retail_price"])
        outside = session.scalar(select(func.count()).select_from(SettlementEpoch).where(traded, ~inside))
    return Preview(int(count), int(total), int(outside or 0))


def stage(app: App, client: ChainClient, wanted: Mapping[str, int], from_epoch: int, *, actor: str) -> str:
    """Have other parameters hold from an epoch on; what was staged before is replaced. The signature."""
    args = {"parameters": dict(wanted), "from_epoch": from_epoch}
    data = {"from_epoch": from_epoch, "parameters": dict(wanted)}
    return _act(app, client, "stage_parameters", args, "parameters_staged", data, actor)


def cancel(app: App, client: ChainClient, governance: Governance, *, actor: str) -> str:
    """Take back what is staged: the parameters that hold are staged in its place. NothingStagedError."""
    if governance.staged is None or governance.staged_from is None:
        raise NothingStagedError("nothing is staged: authority parameters show")
    from_epoch = max(governance.staged_from, governance.epoch + NEAREST_EPOCHS)
    return stage(app, client, governance.parameters, from_epoch, actor=actor)


def set_paused(app: App, client: ChainClient, names: Sequence[str], *, reason: str, actor: str) -> str:
    """Have exactly these activities stand still. The signature. NamesSomebodyError for the reason."""
    _require_nameless(app, reason)
    data = {"paused": sorted(names), "reason": reason}
    return _act(app, client, "set_paused", {"bits": bits_of(names)}, "pause_set", data, actor)


def set_operator(app: App, client: ChainClient, operator: Pubkey, *, reason: str, actor: str) -> str:
    """Name another operator. The signature. NamesSomebodyError for the reason."""
    _require_nameless(app, reason)
    data = {"operator": str(operator), "reason": reason}
    return _act(app, client, "set_operator", {"operator": operator}, "operator_set", data, actor)


def _require_nameless(app: App, reason: str) -> None:
    with app.store.read() as session:
        require_nameless(session, reason)


def adopt(app: App, governance: Governance) -> None:
    """Write the chain's parameters into authority.toml."""
    app.home.save(replace(app.home.settings, parameters=ParameterSettings(**dict(governance.parameters))))


def _act(
    app: App,
    client: ChainClient,
    instruction: str,
    args: Mapping[str, object],
    kind: str,
    data: Mapping[str, object],
    actor: str,
) -> str:
    authority: Keypair = app.home.authority
    built: Instruction = client.instruction("governance", instruction, args, {"authority": authority.pubkey()})
    signature = str(client.send([built], [authority], payer=app.home.operator))
    with app.store.write() as session:
        log.record_act(session, kind, actor, app.clock(), {**data, "signature": signature})
    return signature
