"""`edge-agent enrol | run | status | rebase | read | decode | scan`: what a person types at a gateway."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from edge_agent import log
from edge_agent.agent.enrolment import Claim, EnrolmentError, Pending, enrol
from edge_agent.commands.rebase import RebaseError, allow_rebase
from edge_agent.config import ConfigError, load_config
from edge_agent.state.credentials import CredentialsError
from edge_agent.state.journal import JournalError
from edge_agent.state.keys import KeyFileError
from edge_agent.state.status import StatusError, problems, read_status, render, utc
from edge_agent.uplinks import UplinkError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PENDING = 3
EXIT_PROBLEMS = 4
EXIT_PIPE = 141

_MORE = {"enrol": " --claim dormitory-a-ABCDEFGHIJKLMNOP-QRSTUVWXYZ234567 --wait", "rebase": " solar"}
DEFAULT_CONFIG = Path("/etc/edge-agent/gateway.toml")

_EPILOG = """from a line to signed readings (docs/METERS.md and docs/OPERATIONS.md):
  edge-agent scan /dev/ttyUSB0                            what is on the line
  edge-agent read --port /dev/ttyUSB0 --client 16         what the meter holds
  edge-agent enrol --claim CODE --wait                    once gateway.toml is written
  edge-agent run                                          as a service: edge_agent/systemd/edge-agent.service
  edge-agent status
  edge-agent rebase METER                                 a register fell, because the meter was reset

exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 enrolment waits for approval,
4 (status) running with problems or not running"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `edge-agent`; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        with _ended_in_good_order():
            status = int(options.run(options))
            sys.stdout.flush()
            return status
    except ConfigError as error:
        return _fail(error.code, str(error), EXIT_USAGE)
    except (
        EnrolmentError,
        UplinkError,
        CredentialsError,
        KeyFileError,
        JournalError,
        RebaseError,
        StatusError,
    ) as error:
        return _fail(error.code, str(error), EXIT_FAILED)
    except BrokenPipeError:  # whoever reads what is printed has had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except OSError as error:
        return _fail("system", str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def _ended_in_good_order() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that a meter on the line is told that nobody speaks to it any more."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(code: str, message: str, status: int) -> int:
    print(f"edge-agent: {message} [{code}]", file=sys.stderr)
    return status


def _version() -> str:
    try:
        return importlib.metadata.version("campus-edge-agent")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Reads a building's AMI meters over DLMS/COSEM, signs every interval reading with the "
        "meter's key and brings it to the authority.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edge-agent {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = _command(commands, "enrol", "bring this gateway and its meters to the authority with a claim code")
    command.add_argument(
        "--claim",
        required=True,
        metavar="CODE",
        help="the code that `authority enrol claim` printed, NAME-SECRET-FINGERPRINT; - reads it from stdin",
    )
    command.add_argument("--wait", action="store_true", help="wait until a person at the authority has decided")
    command.add_argument(
        "--no-probe", action="store_true", help="do not check over the line that the meters are the configured ones"
    )
    command.set_defaults(run=_enrol)

    command = _command(commands, "run", "read, sign and publish until SIGTERM")
    command.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="the least that is worth a line on stderr (default: %(default)s)",
    )
    command.add_argument(
        "--log-format",
        default="text",
        choices=("text", "json"),
        help="lines for a person, or one JSON object a line (default: %(default)s)",
    )
    command.set_defaults(run=_run)

    command = _command(commands, "status", "how far each meter's readings come, and what is wrong")
    command.add_argument("--json", action="store_true", help="print the status as JSON")
    command.set_defaults(run=_status)

    command = _command(
        commands, "rebase", "let a meter that stopped with needs_rebase go on from its registers as they are"
    )
    command.description = (
        "A meter whose register fell signs nothing more, since energy would be lost or counted twice. Where it was "
        "reset, this lets it go on: its next record says so, and sets a baseline that credits nothing. It changes "
        "nothing for a meter that has not stopped. The agent may run meanwhile."
    )
    command.add_argument("meter", metavar="METER", help="the meter's name in gateway.toml")
    command.set_defaults(run=_rebase)

    _add_read(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.epilog = f"example: edge-agent {name} --config gateway.toml{_MORE.get(name, '')}"
    command.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"gateway.toml (default {DEFAULT_CONFIG})"
    )
    return command


def _add_read(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from edge_agent.commands import decode, read, scan  # noqa: PLC0415 - the protocol stack, for these alone

    text = "read a meter on a serial line or behind a network module, once, and print what it holds"
    command = commands.add_parser("read", help=text, description=text[0].upper() + text[1:] + ".")
    command.formatter_class, command.epilog = argparse.RawDescriptionHelpFormatter, read.EXAMPLES
    read.add_arguments(command)
    command.set_defaults(run=read.run)
    decode.add_to(commands)
    scan.add_to(commands)


def _enrol(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    code = sys.stdin.readline() if options.claim == "-" else options.claim
    claim = Claim.parse(code)
    if not options.no_probe:
        from edge_agent.agent.meter_check import probe_meters  # noqa: PLC0415 - needs the lines, which --no-probe does not

        probe_meters(config.meters, tell=_say)
    outcome = enrol(config, claim, wait=options.wait, sleep=time.sleep, tell=_say)
    if isinstance(outcome, Pending):
        _say(f"enrolment {outcome.enrolment} waits for approval by the authority; then run this command again")
        return EXIT_PENDING
    roles = ", ".join(f"{meter.name} as {meter.role}" for meter in outcome.meters)
    _say(f"{config.name} is enrolled: {roles}. Start it with `edge-agent run --config {options.config}`")
    return EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from edge_agent.agent.run import RunError, run  # noqa: PLC0415 - status and enrol need neither meters nor uplinks

    log.set_up(options.log_level, options.log_format)
    config = load_config(options.config)
    try:
        run(config)
    except RunError as error:
        return _fail(error.code, str(error), EXIT_FAILED)
    return EXIT_OK


def _status(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    status, now = read_status(config.state), time.time()
    found = problems(status, now)
    if options.json:
        print(json.dumps({**status, "problems": found}, indent=2))
    else:
        print(render(status, now))
    return EXIT_PROBLEMS if found else EXIT_OK


def _rebase(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    made = allow_rebase(config, options.meter)
    _say(f"{made.meter} had stopped: {made.reason}")
    _say(
        "Its next record goes on from its registers as they are then. Nobody is credited with what it metered since "
        + ("its last." if made.last_end is None else f"{utc(made.last_end)}.")
    )
    _say(
        "At the authority it waits for the operator: `authority collector held`, then `authority collector release "
        "INDEX --reason TEXT`, and `authority settlement rebase INDEX` once `authority settlement alerts` names it."
    )
    return EXIT_OK


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
