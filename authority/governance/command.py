"""`authority parameters`, `authority pause`, `authority resume` and `authority operator`: governance's acts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from solders.pubkey import Pubkey

from authority.app import App
from authority.chain.client import ChainClient
from authority.governance import acts
from authority.governance.acts import ACTIVITIES, Governance, NothingToChangeError
from authority.home.settings import ParameterSettings
from edge_agent.wire.command import add_acting, add_json, print_json, tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """By the command's own name."""
    command = parser.prog.rpartition(" ")[2]
    _ARGUMENTS[command](parser)


def _parameters(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what holds on the chain, what is staged, and where authority.toml differs")
    staged = actions.add_parser("stage", help="have other values hold from a later epoch on")
    for name in asdict(ParameterSettings()):
        staged.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", dest=f"set_{name}")
    staged.add_argument(
        "--from-epoch", type=int, metavar="EPOCH", help="(default: the nearest that may be, in two epochs)"
    )
    staged.add_argument(
        "--from-time",
        type=_time,
        metavar="TIME",
        help="the first epoch that begins then (UTC, 2026-12-01T00:00) or later",
    )
    cancel = actions.add_parser("cancel", help="take back what is staged")
    adopt = actions.add_parser("adopt", help="write the chain's values into authority.toml")
    add_json(show)
    for action in (staged, cancel, adopt):
        _common(action, reason=False)


def _pause(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("activity", nargs="*", metavar="ACTIVITY", help=", ".join(ACTIVITIES))
    parser.add_argument("--all", action="store_true", help="every activity")
    _common(parser)


def _operator(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    setter = actions.add_parser("set", help="name another operator: who registers, settles and pays")
    setter.add_argument("address", type=_address, help="its public key, base58")
    _common(setter)


_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "parameters": _parameters,
    "pause": _pause,
    "resume": _pause,
    "operator": _operator,
}


def _common(parser: argparse.ArgumentParser, *, reason: bool = True) -> None:
    if reason:
        parser.add_argument("--reason", required=True, help="why; it is logged, so it names no person and no building")
    add_acting(parser)


def _time(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("write it like 2026-12-01T00:00, in UTC") from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _address(text: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("this is not a public key in base58") from error


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[tuple[App, ChainClient, Governance]]:
    app = App.open(arguments.home)
    client = ChainClient(app.home.rpc_url, attempts=2)
    try:
        yield app, client, acts.read(client)
    finally:
        client.close()
        app.store.close()


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    with _opened(arguments) as (app, client, governance):
        if arguments.command == "parameters":
            return _PARAMETERS[arguments.action](app, client, governance, arguments)
        if arguments.command == "operator":
            return _set_operator(app, client, governance, arguments)
        return _set_paused(app, client, governance, arguments)


def _when(governance: Governance, epoch: int) -> str:
    return datetime.fromtimestamp(governance.starts(epoch), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _show(app: App, _client: ChainClient, governance: Governance, arguments: argparse.Namespace) -> int:
    differs = acts.drift(app, governance)
    if arguments.json:
        print_json({**asdict(governance), "differs": differs})
        return 0
    print(f"epoch {governance.epoch}; authority {governance.authority}, operator {governance.operator}")
    print(f"paused: {', '.join(governance.paused) or 'nothing'}")
    for name, value in governance.parameters.items():
        staged = (
            "" if governance.staged is None or governance.staged[name] == value else f" -> {governance.staged[name]}"
        )
        file = f"   authority.toml says {differs[name][0]}, which does not act" if name in differs else ""
        print(f"  {name:<26} {value}{staged}{file}")
    if governance.staged_from is not None:
        from_time = _when(governance, governance.staged_from)
        print(f"the value after -> holds from epoch {governance.staged_from}, {from_time}")
    if differs:
        print("to change the chain: authority parameters stage; to change the file: authority parameters adopt")
    return 0


def _stage(app: App, client: ChainClient, governance: Governance, arguments: argparse.Namespace) -> int:
    app.home.settings.people.refuse_alone("parameters")
    changes = {
        name: value for name in governance.parameters if (value := getattr(arguments, f"set_{name}")) is not None
    }
    if not changes:
        raise NothingToChangeError("name what is to change, such as --feed-in-price 90000")
    from_epoch = governance.epoch + acts.NEAREST_EPOCHS
    if arguments.from_epoch is not None:
        from_epoch = arguments.from_epoch
    elif arguments.from_time is not None:
        from_epoch = -(-arguments.from_time // governance.epoch_seconds)
    wanted = acts.check_staging(governance, changes, from_epoch)
    before = acts.preview(app, governance, wanted)
    told: dict[str, Any] = {
        "changes": {name: {"from": governance.parameters[name], "to": value} for name, value in changes.items()},
        "from_epoch": from_epoch,
        "from_time": governance.starts(from_epoch),
        "last_week": asdict(before),
        "replaces": governance.staged_from,
        "signature": None if arguments.dry_run else acts.stage(app, client, wanted, from_epoch, actor=arguments.actor),
    }
    lines = [f"{name}: {governance.parameters[name]} -> {value}" for name, value in changes.items()]
    lines.append(
        f"last week {before.traded_epochs} epochs traded {before.traded_wh} Wh; {before.outside} cleared at a price "
        "that would be outside the new bounds"
    )
    if governance.staged_from is not None:
        lines.append(f"this replaces what was staged for epoch {governance.staged_from}")
    done = "would hold" if arguments.dry_run else "holds"
    lines.append(f"it {done} from epoch {from_epoch}, {_when(governance, from_epoch)}")
    if not arguments.dry_run:
        lines.append(
            "once it holds: authority parameters adopt, and systemctl reload authority; until then it is taken back "
            f"with: authority parameters cancel ({told['signature']})"
        )
    tell(arguments, told, "\n".join(lines))
    return 0


def _cancel(app: App, client: ChainClient, governance: Governance, arguments: argparse.Namespace) -> int:
    if governance.staged is None:
        tell(arguments, {"cancelled": None}, "nothing is staged")
        return 0
    signature = None if arguments.dry_run else acts.cancel(app, client, governance, actor=arguments.actor)
    told = {"cancelled": governance.staged_from, "signature": signature}
    word = "would not hold" if arguments.dry_run else "does not hold"
    tell(arguments, told, f"what was staged for epoch {governance.staged_from} {word}: the present values go on")
    return 0


def _adopt(app: App, _client: ChainClient, governance: Governance, arguments: argparse.Namespace) -> int:
    differs = acts.drift(app, governance)
    if differs and not arguments.dry_run:
        acts.adopt(app, governance)
    words = [f"{name}: {file} -> {chain}" for name, (file, chain) in differs.items()]
    done = "would be written" if arguments.dry_run else "written: systemctl reload authority"
    tell(
        arguments,
        {"changed": {name: {"from": file, "to": chain} for name, (file, chain) in differs.items()}},
        "\n".join([*words, f"authority.toml {done}"]) if words else "authority.toml says what the chain says",
    )
    return 0


_PARAMETERS = {"show": _show, "stage": _stage, "cancel": _cancel, "adopt": _adopt}


def _set_paused(app: App, client: ChainClient, governance: Governance, arguments: argparse.Namespace) -> int:
    named = set(ACTIVITIES) if arguments.all else set(arguments.activity)
    if not named or named - set(ACTIVITIES):
        raise NothingToChangeError(f"name an activity, or --all: {', '.join(ACTIVITIES)}")
    now = set(governance.paused)
    wanted = now | named if arguments.command == "pause" else now - named
    signature = None
    if wanted != now and not arguments.dry_run:
        signature = acts.set_paused(
            app, client, sorted(wanted, key=ACTIVITIES.index), reason=arguments.reason, actor=arguments.actor
        )
    paused = [name for name in ACTIVITIES if name in wanted]
    word = "would be paused" if arguments.dry_run else "paused"
    tell(arguments, {"paused": paused, "signature": signature}, f"{word}: {', '.join(paused) or 'nothing'}")
    return 0


def _set_operator(app: App, client: ChainClient, governance: Governance, arguments: argparse.Namespace) -> int:
    app.home.settings.people.refuse_alone("operator")
    address = str(arguments.address)
    signature = None
    if address != governance.operator and not arguments.dry_run:
        signature = acts.set_operator(app, client, arguments.address, reason=arguments.reason, actor=arguments.actor)
    word = "would be" if arguments.dry_run else "is"
    told = {"before": governance.operator, "operator": address, "signature": signature}
    hint = (
        ""
        if address == str(app.home.operator.pubkey())
        else "; its key must be keys/operator.json before settlement goes on"
    )
    tell(arguments, told, f"the operator {word} {address}{hint}")
    return 0
