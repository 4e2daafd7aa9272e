"""`authority`: the department's command. Each subcommand lives in its own area and is imported only when asked for.

A subcommand's module offers `add_arguments(parser)` and `run(arguments) -> int`; `arguments.home` is the home's path.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from authority.errors import AuthorityError
from authority.home import Home

COMMANDS = {
    "init": ("authority.service.init_command", "make a home directory: configuration, keys, certificates, store"),
    "serve": ("authority.service.serve_command", "run everything: validator, collector, settlement, web"),
    "web": ("authority.web.command", "run the pages and the API"),
    "collector": ("authority.collector.command", "run the collector; list, release and void held readings"),
    "settlement": ("authority.settlement.command", "run the settlement worker"),
    "validator": ("authority.local_validator.command", "run the embedded validator"),
    "deploy": ("authority.chain.deploy", "initialize the programs on the chain"),
    "enrol": ("authority.enrolment.command", "campus plan, claim codes, and approval of gateways"),
    "audit": ("authority.audit.command", "the log: checkpoints, proofs, verification"),
    "market": ("authority.market.command", "credits, standing orders and bills"),
    "demo": ("authority.demo.command", "four campus buildings, read, signed, minted and traded"),
}


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _chosen(arguments: Sequence[str]) -> str | None:
    """The subcommand in a command line: the first word that is one and is not --home's value."""
    previous = ""
    for word in arguments:
        if word in COMMANDS and previous != "--home":
            return word
        previous = word
    return None


def parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for this command line: all subcommands by name, the chosen one with its own arguments."""
    parser = argparse.ArgumentParser(prog="authority", description="The energy authority of the campus.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home",
        type=Path,
        default=Home.default_path(),
        help="the authority's home directory (default: $AUTHORITY_HOME, else ./.demo)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = _chosen(arguments)
    for name, (module_name, summary) in COMMANDS.items():
        if not _exists(module_name):
            continue
        command = commands.add_parser(name, help=summary, description=summary, parents=[common])
        if name == chosen:
            module: ModuleType = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status, 1 with the error's message where it raised a typed error."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser_for(words).parse_args(words)
    try:
        status: int = arguments.run(arguments)
    except AuthorityError as error:
        print(f"authority: {error} ({error.code})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
