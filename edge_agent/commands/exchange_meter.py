"""`edge-agent exchange-meter`: the new device of a metering point, written into gateway.toml and enrolled."""

from __future__ import annotations

import argparse

from edge_agent.agent.exchange import exchanged
from edge_agent.commands.enrol import add_claim, enrol_and_tell
from edge_agent.commands.install import own
from edge_agent.config import MeterSettings, load_config
from edge_agent.errors import EdgeError
from edge_agent.meters import MeterError, open_meter
from edge_agent.wire.command import DONE, say
from edge_agent.wire.files import write_atomically
from edge_agent.wire.rules import REGISTERS

DESCRIPTION = (
    "After `authority meters exchange` has recorded the exchange: gives the meter's entry the new serial, the new "
    "device's own name, which is read over the line, and the offsets that the authority printed; then enrols with the "
    "claim code. The metering point keeps its key and its history. Stop the agent first: a line has one reader."
)
EXAMPLES = """examples:
  edge-agent exchange-meter load --serial 1KFM00042 --offset consumption=8123400 --claim CODE
  edge-agent exchange-meter load --serial 1KFM00042 --device KFM1000000000042 --offset consumption=8123400 --dry-run"""


class OffsetError(EdgeError):
    """--offset names no register, or no whole number of Wh."""

    code = "offset_invalid"


class DeviceUnknownError(EdgeError):
    """The new device does not tell its name over the line."""

    code = "device_unknown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent exchange-meter`."""
    parser.add_argument("meter", metavar="METER", help="the meter's name in gateway.toml")
    parser.add_argument("--serial", required=True, help="the new device's serial number, as on its plate")
    parser.add_argument("--device", metavar="NAME", help="the new device's own name (default: read over the line)")
    parser.add_argument(
        "--offset", action="append", default=[], metavar="REGISTER=WH", help="as `authority meters exchange` printed it"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the new file, and write nothing")
    add_claim(parser, required=False)


def run(options: argparse.Namespace) -> int:
    """Change the file and enrol; EditError, OffsetError, DeviceUnknownError, ConfigError."""
    config = load_config(options.config)
    offsets = _offsets(options.offset)
    device = options.device or _told_name(config.meter(options.meter))
    before = options.config.read_text(encoding="utf-8")
    text = exchanged(options.config, before, options.meter, options.serial, device, offsets)
    if options.dry_run:
        print(text, end="")
        return DONE
    write_atomically(options.config, text.encode())
    own(options.config)
    say(f"{options.meter} is {device}, serial {options.serial}, in {options.config}")
    if options.claim is None:
        say("next: `edge-agent enrol --claim CODE --wait`, then start the agent")
        return DONE
    return enrol_and_tell(load_config(options.config), options)


def _offsets(words: list[str]) -> dict[str, int]:
    offsets = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in REGISTERS or not text.removeprefix("-").isdecimal():
            raise OffsetError(
                f"--offset {word}: write REGISTER=WH, such as consumption=8123400; registers are {', '.join(REGISTERS)}"
            )
        offsets[name] = int(text)
    return offsets


def _told_name(meter: MeterSettings) -> str:
    try:
        driver = open_meter(meter, meter.map)
        try:
            return driver.identity()
        finally:
            driver.close()
    except MeterError as error:
        raise DeviceUnknownError(
            f"the new device on {meter.port} does not tell its name: {error}. Stop the agent, look at the line, or say "
            "--device"
        ) from error
