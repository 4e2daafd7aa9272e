"""`authority`: the department's command. Each subcommand lives in its own area and is imported only when asked for.

A subcommand's module offers `add_arguments(parser)` and `run(arguments) -> int`; `arguments.home` is the home's path.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from authority.errors import AuthorityError
from authority.home.home import Home

COMMANDS = {
    "init": ("authority.service.init_command", "make a home directory: configuration, keys, certificates, store"),
    "serve": ("authority.service.serve_command", "run everything: validator, collector, settlement, web"),
    "status": ("authority.status.command", "everything that waits for a person, on one screen"),
    "parameters": (
        "authority.governance.command",
        "governance's parameters: show, stage for a later epoch, cancel, adopt",
    ),
    "pause": ("authority.governance.command", "have activities on the chain stand still"),
    "resume": ("authority.governance.command", "have paused activities go on"),
    "operator": ("authority.governance.command", "name another operator"),
    "backup": ("authority.service.backup_command", "seal configuration, keys, store and ledger into one file"),
    "restore": ("authority.service.restore_command", "make a home of a backup"),
    "web": ("authority.web.command", "run the pages and the API"),
    "collector": ("authority.collector.command", "run the collector; list, release and void held readings"),
    "settlement": ("authority.settlement.command", "run the settlement worker"),
    "validator": ("authority.service.validator_command", "run the embedded validator"),
    "deploy": ("authority.chain.deploy", "initialize the programs on the chain"),
    "enrol": ("authority.enrolment.command", "campus plan, claim codes, and approval of gateways"),
    "audit": ("authority.audit.command", "the log: checkpoints, proofs, verification"),
    "market": ("authority.market.command", "credits, standing orders, and the last epochs"),
    "demo": ("authority.demo.command", "four campus buildings, read, signed, minted and traded"),
}


EXAMPLES = """a campus from nothing, in this order (docs/OPERATIONS.md has it in full):
  authority init --home /var/lib/campus --name energy.campus.example
  authority serve --home /var/lib/campus            (leave it running; the rest in another terminal)
  authority deploy --home /var/lib/campus
  authority enrol --home /var/lib/campus campus plan.toml
  authority enrol --home /var/lib/campus claim GATEWAY

`authority COMMAND ACTION --help` describes each. Exit status: 0 done, 1 failed (and says why), 2 wrong usage."""


def _home_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--home",
        type=Path,
        default=Home.default_path(),
        metavar="DIR",
        help="the authority's home directory (default: $AUTHORITY_HOME, else ./.demo)",
    )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; --home may stand anywhere in it. Only the chosen subcommand's module is imported."""
    anywhere = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _home_option(anywhere)
    home, rest = anywhere.parse_known_args(words)
    chosen = next((word for word in rest if not word.startswith("-")), None)

    parser = argparse.ArgumentParser(
        prog="authority",
        description="The energy authority of the campus.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        _home_option(command)
        if name == chosen:
            module: ModuleType = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    arguments = parser.parse_args(rest)
    arguments.home = home.home
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status, 1 with the error's message where it raised a typed error."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except AuthorityError as error:
        print(f"authority: {error} ({error.code})", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads what is printed has had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
