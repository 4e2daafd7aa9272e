"""`authority demo`: four campus buildings and four flats on one machine, metered, minted, traded, nothing mocked."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from authority.demo import agave, campus, playback
from authority.demo.children import Children, DemoError, StopRequestedError
from authority.demo.orchestrator import Demo
from authority.demo.playback import QUARTERS_A_DAY, Playback
from authority.demo.progress import Progress
from authority.demo.report import REPORT_NAME
from authority.demo.stage import Stage
from edge_agent.wire.standstill import Standstill


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long it runs."""
    parser.add_argument(
        "--epochs",
        type=_epochs,
        metavar="N",
        help=f"end after N settled quarters of an hour (default: with --day the day's {QUARTERS_A_DAY}, else run until "
        f"Ctrl-C); {REPORT_NAME} is written either way",
    )
    parser.add_argument(
        "--day",
        type=playback.day,
        metavar="YYYY-MM-DD",
        help=f"a day of the profiles from its midnight on, {campus.days()[0]} to {campus.days()[-1]} (default: "
        f"{campus.FIRST_COUNTED_ROW.replace('T', ', ')})",
    )
    parser.add_argument(
        "--speed",
        dest="epoch_seconds",
        type=playback.epoch_seconds,
        default=campus.EPOCH_SECONDS,
        metavar="X",
        help=f"how many times faster than real time, 1 to {playback.FASTEST} (default: 45, a quarter of an hour in "
        f"{campus.EPOCH_SECONDS} s and a day in 32 min); on a terminal p or space pauses and goes on",
    )
    parser.add_argument(
        "--https", action="store_true", help="carry readings over HTTPS even where a Mosquitto is found"
    )
    parser.add_argument(
        "--agave",
        type=Path,
        metavar="FILE",
        help="run on a real validator, Agave's solana-test-validator, instead of the embedded one",
    )
    parser.add_argument("--port", type=int, default=0, help="port of the page (default: a free one, 8000 if it is)")


def _epochs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 1")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 where it ended as asked, 1 where something failed (and says what)."""

    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:  # whatever it waits for, it has waited long enough
            raise StopRequestedError("somebody asked the demo to end twice")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, stop)
    first_row = campus.first_counted_row() if arguments.day is None else campus.midnight_row(arguments.day)
    epochs = arguments.epochs or (None if arguments.day is None else QUARTERS_A_DAY)
    progress = Progress(sys.stdout, sys.stdout.isatty())
    try:
        with Stage.take(arguments.home) as stage, Children(stage.logs, stopping=lambda: bool(asked)) as children:
            demo = Demo(
                stage,
                children,
                progress,
                report=Path.cwd() / REPORT_NAME,
                epochs=epochs,
                agave=None if arguments.agave is None else agave.checked(arguments.agave),
                playback=Playback(first_row, arguments.epoch_seconds, Standstill(stage.path / "standstill")),
            )
            demo.run(https=arguments.https, port=arguments.port)
    except DemoError:
        progress.bad("The demo failed.")
        raise
    except StopRequestedError:
        progress.say("Stopped. The state stays until the next run.")
        return 130 if epochs else 0
    return 0
