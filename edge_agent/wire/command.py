"""How the project's commands are built: one registration, and the same options, messages and exit statuses in all.

A subcommand's module offers `add_arguments(parser)` and `run(options) -> int`, and, where it has them, `DESCRIPTION`
and `EXAMPLES` for its help. It is imported only when its subcommand is called.

An error is printed as `command: message [code]`. `--version` and the log options are in every command; a `Place`
(--home DIR, --config FILE) may stand anywhere on the line; `--json` asks for one JSON document instead of text.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import FrameType, ModuleType

DONE, FAILED, USAGE, PENDING, PROBLEMS = range(5)
INTERRUPTED, PIPE_CLOSED = 130, 141
EXIT_STATUSES = {
    DONE: "done",
    FAILED: "failed (and says why)",
    USAGE: "wrong usage or configuration",
    PENDING: "waits for a person's approval",
    PROBLEMS: "done, and found problems",
    INTERRUPTED: "interrupted",
    PIPE_CLOSED: "whoever read the output stopped reading",
}
"""The exit statuses of every command; 128 + n where signal n ended it."""

LEVEL_VARIABLE = "CAMPUS_LOG_LEVEL"
FORMAT_VARIABLE = "CAMPUS_LOG_FORMAT"
"""The environment's say in the log options."""

AGAIN_SECONDS = 0.05
"""After which a signal is handled again whose exception was dropped."""

_LEVELS, _FORMATS = ("debug", "info", "warning", "error"), ("text", "json")  # as edge_agent.wire.log has them


class Command(NamedTuple):
    """A subcommand: its module, its line in the help, whether it takes the place, whether it runs until stopped,
    and its other names.

    A service logs from `info` on, other commands from `warning` on.
    """

    module: str
    summary: str
    place: bool = True
    service: bool = False
    aliases: tuple[str, ...] = ()


class Place(NamedTuple):
    """The option that says where a command's files are: --home or --config."""

    option: str
    metavar: str
    default: Callable[[], Path]
    help: str


class Program:
    """A command with its subcommands. errors are the exceptions that are answers to a person: `code`, `exit_status`."""

    def __init__(
        self,
        name: str,
        description: str,
        commands: dict[str, Command],
        *,
        distribution: str,
        place: Place,
        errors: tuple[type[Exception], ...],
        epilog: str = "",
    ) -> None:
        self.name = name
        self.commands = commands
        self._description = description
        self._distribution = distribution
        self._place = place
        self._errors = errors
        self._epilog = epilog

    def main(self, words: Sequence[str] | None = None) -> int:
        """Run one command line; its exit status."""
        options = self.parse(sys.argv[1:] if words is None else words)
        self._set_up_log(options)
        try:
            with ended_in_good_order():
                status = int(options.run(options))
                sys.stdout.flush()
                return status
        except self._errors as error:
            self.complain("; ".join((str(error), *getattr(error, "__notes__", ()))), getattr(error, "code", "failed"))
            return int(getattr(error, "exit_status", FAILED))
        except BrokenPipeError:  # whoever reads what is printed has had enough, such as `head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        except OSError as error:
            self.complain(str(error), "system")
            return FAILED
        except KeyboardInterrupt:
            return INTERRUPTED

    def complain(self, message: str, code: str) -> None:
        """One line on stderr: what is wrong, what to do, and the code for programs."""
        print(message_line(self.name, message, code), file=sys.stderr)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a command line. Only the chosen subcommand's module is imported."""
        anywhere = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        self._add_place(anywhere)
        given, rest = anywhere.parse_known_args(words)
        chosen = next((word for word in rest if not word.startswith("-")), None)
        parser = self._parser(chosen)
        options = parser.parse_args(rest)
        name = self._place.option.removeprefix("--")
        if self.commands[options.command].place:
            setattr(options, name, getattr(given, name))
        elif len(rest) != len(words):
            parser.error(f"{options.command} takes no {self._place.option}")
        return options

    def _parser(self, chosen: str | None) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(
            prog=self.name,
            description=self._description,
            epilog=f"{self._epilog}\n\n{exit_statuses()}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--version", action=Version, nargs=0, distribution=self._distribution)
        subparsers = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
        for name, command in self.commands.items():
            subparser = subparsers.add_parser(
                name,
                aliases=command.aliases,
                help=command.summary,
                description=command.summary[0].upper() + command.summary[1:] + ".",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            subparser.set_defaults(command=name)
            if chosen == name or chosen in command.aliases:
                self._fill(subparser, command)
        return parser

    def _fill(self, parser: argparse.ArgumentParser, command: Command) -> None:
        module: ModuleType = importlib.import_module(command.module)
        parser.description = getattr(module, "DESCRIPTION", None) or parser.description
        parser.epilog = getattr(module, "EXAMPLES", None)
        module.add_arguments(parser)
        parser.set_defaults(run=module.run)
        common = parser.add_argument_group("common options")
        if command.place:
            self._add_place(common)
        level = _from_environment(LEVEL_VARIABLE, _LEVELS) or ("info" if command.service else "warning")
        common.add_argument(
            "--log-level",
            choices=_LEVELS,
            default=level,
            help=f"the least that is worth a line on stderr (default: ${LEVEL_VARIABLE}, else %(default)s)",
        )
        common.add_argument(
            "--log-format",
            choices=_FORMATS,
            default=_from_environment(FORMAT_VARIABLE, _FORMATS) or "text",
            help=f"lines for a person, or one JSON object a line (default: ${FORMAT_VARIABLE}, else text)",
        )

    def _add_place(self, parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
        place = self._place
        parser.add_argument(place.option, type=Path, default=place.default(), metavar=place.metavar, help=place.help)

    def _set_up_log(self, options: argparse.Namespace) -> None:
        from edge_agent.wire import log  # noqa: PLC0415 - the help needs no logging

        log.set_up(options.log_level, options.log_format)


def say(text: str) -> None:
    """A line for the person, at once: what is being done."""
    print(text, flush=True)


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option of every command that has a result for programs."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def add_actor(parser: argparse.ArgumentParser) -> None:
    """Who decides, of a command whose act is logged."""
    import getpass  # noqa: PLC0415 - the help of other commands needs none

    parser.add_argument("--actor", default=getpass.getuser(), help="who decides; it is logged (default: %(default)s)")


def add_acting(parser: argparse.ArgumentParser) -> None:
    """The options of every act that can be tried first: who decides, --dry-run, --json."""
    add_actor(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_json(parser)


def print_json(value: Any) -> None:
    """The result of a command that was asked for JSON."""
    import json  # noqa: PLC0415 - the help needs none

    print(json.dumps(value, indent=2, ensure_ascii=False))


def tell(options: argparse.Namespace, told: Any, text: str) -> None:
    """A command's result: as JSON where that was asked for (`add_json`), else as text for a person."""
    print_json(told) if options.json else print(text)


def log_options(options: argparse.Namespace) -> list[str]:
    """The log options of a command line, for a process that it starts."""
    return ["--log-level", options.log_level, "--log-format", options.log_format]


def message_line(program: str, message: str, code: str) -> str:
    """How every command says what is wrong."""
    return f"{program}: {message} [{code}]"


def exit_statuses() -> str:
    """The table of exit statuses, for a help page."""
    lines = "\n".join(f"  {status:<5}{meaning}" for status, meaning in EXIT_STATUSES.items())
    return f"exit status:\n{lines}\n  128+n ended by signal n"


@contextlib.contextmanager
def ended_in_good_order() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that what is open is closed; a service may have handlers of its own.

    Python handles a signal between any two steps, also of a callback of its garbage collector, from which no exception
    comes out: it is printed and dropped. Such a signal is handled again a moment later.
    """

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(128 + number)

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is KeyboardInterrupt:
            number = signal.SIGINT
        elif isinstance(what.exc_value, SystemExit) and what.exc_value.code == 128 + signal.SIGTERM:
            number = signal.SIGTERM
            signal.signal(number, end)
        else:
            hook(what)
            return
        again = threading.Timer(AGAIN_SECONDS, signal.pthread_kill, [threading.main_thread().ident, number])
        again.daemon = True
        again.start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, end), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def _from_environment(variable: str, words: tuple[str, ...]) -> str | None:
    value = os.environ.get(variable, "")
    return value if value in words else None


class Version(argparse.Action):
    """Prints the distribution's version; looks it up only when asked, since that takes longer than all the help."""

    def __init__(self, option_strings: Sequence[str], dest: str, distribution: str, **options: Any) -> None:
        super().__init__(option_strings, dest, **{**options, "help": "print the version and exit"})
        self._distribution = distribution

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and end."""
        import importlib.metadata  # noqa: PLC0415

        try:
            version = importlib.metadata.version(self._distribution)
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"{parser.prog} {version}")
        parser.exit()
