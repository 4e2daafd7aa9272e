"""`edge-agent scan PORT`: which speeds, modes and addresses answer on a line. For commissioning; changes nothing.

At each speed it listens for pushed telegrams where --listen says how long, signs on as IEC 62056-21 does (at 300 baud
7E1), and asks HDLC addresses with SNRM. Where a link comes up without authentication it reads the logical device name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from edge_agent.commands.listen import heard
from edge_agent.commands.read import baud_rate, key, seconds, title
from edge_agent.dlms.client import Client
from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import DISCONNECTED, HdlcClientLink
from edge_agent.dlms.iec62056_21.client import sign_on
from edge_agent.dlms.push.diagnosis import likely_cause
from edge_agent.dlms.push.telegram import Keys
from edge_agent.dlms.push.unframe import HDLC
from edge_agent.meters.connection import Connection, HdlcLine
from edge_agent.meters.errors import BadAddressError, MeterError, PortUnavailableError
from edge_agent.meters.iec21 import run_conversation
from edge_agent.meters.reader import MeterReader
from edge_agent.meters.transport import SerialLine, SerialLineOptions, SerialServerTransport, open_line
from edge_agent.wire.command import FAILED, add_json, message_line

DESCRIPTION = __doc__
EXAMPLES = """examples:
  edge-agent scan /dev/ttyUSB0
  edge-agent scan --baudrate 9600 --client 16 --all /dev/ttyUSB0
  edge-agent scan --listen 12 /dev/ttyUSB0           a meter that pushes every 10 s"""

BAUD_RATES = (9600, 19200, 38400, 57600, 115200, 4800, 2400, 300)
CLIENTS = (16, 1, 32, 2, 100)
SERVERS: tuple[tuple[int, int | None, int], ...] = (
    (1, None, 1),
    (1, 16, 2),
    (1, 17, 2),
    (1, 127, 2),
    (1, 16, 4),
    (1, 17, 4),
    (1, 16383, 4),
)

WANTS_SECRETS = ("authentication_required", "context_not_supported", "refused")
"""How a client answers that exists, or may exist, and shows nothing without a password or keys."""


def listening(text: str) -> float:
    """A command's time to listen, 0 for not at all; ValueError for anything else."""
    return 0.0 if text == "0" else seconds(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent scan`."""
    parser.add_argument(
        "port",
        metavar="PORT",
        help="serial port, such as /dev/ttyUSB0, or one of a serial server: rfc2217://HOST:PORT or socket://HOST:PORT",
    )
    again = "(may be given again)"
    parser.add_argument(
        "--baudrate", type=baud_rate, action="append", metavar="BAUD", help=f"only this speed, such as 9600 {again}"
    )
    parser.add_argument(
        "--client", type=int, action="append", metavar="N", help=f"only this client address, such as 16 {again}"
    )
    parser.add_argument(
        "--server", type=int, action="append", metavar="N", help=f"a logical device to ask besides 1 {again}"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=0.5,
        metavar="SECONDS",
        help="how long to wait for each answer (default 0.5; more for a slow meter)",
    )
    parser.add_argument(
        "--listen",
        type=listening,
        default=0.0,
        metavar="SECONDS",
        help="how long to listen for telegrams at each speed and parity (default 0; more than the time between two)",
    )
    parser.add_argument("--address", default="", help="the device address of a sign-on (IEC 62056-21)")
    parser.add_argument("--key", type=key, metavar="HEX", help="encryption key of pushed telegrams, 16 bytes")
    parser.add_argument("--auth-key", type=key, metavar="HEX", help="authentication key, 16 bytes")
    parser.add_argument("--system-title", type=title, metavar="HEX", help="for telegrams that do not state it, 8 bytes")
    parser.add_argument("--all", action="store_true", help="go on with other speeds after one that answered")
    add_json(parser)


def scan(args: argparse.Namespace, tell: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """What answered, as it is found; MeterError where the port cannot be used."""
    try:
        for client in args.client or ():
            if len(encode_address(client)) != 1:
                raise BadAddressError(f"a client address is from 1 to 127, not {client}")
        for logical in args.server or ():
            server_address(logical, None)
    except DlmsError as error:
        raise BadAddressError(str(error)) from error
    transport = open_line(SerialLineOptions(args.port))
    rates = args.baudrate or BAUD_RATES
    if isinstance(transport, SerialServerTransport):
        rates = rates[:1]  # its speed is set there, not here
    seen: set[str] = set()
    try:
        for baudrate in rates:
            tell(f"{baudrate} baud")
            answered = False
            for found in _at_speed(transport, baudrate, args, tell):
                answered = True
                # One meter answers under many addresses: the first that reads it says all.
                again = found.get("answer") == "reads" and found["meter"] in seen
                if not again or args.all:
                    yield {"baudrate": baudrate, **found}
                if found.get("answer") == "reads":
                    seen.add(found["meter"])
            if answered and not args.all:
                return
    finally:
        transport.close()


def _at_speed(
    transport: SerialLine, baudrate: int, args: argparse.Namespace, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    transport.set_line(baudrate, 8, "N")
    transport.discard()
    if args.listen > 0:
        keys = Keys(args.key, args.auth_key, args.system_title)
        pushed = list(_listen(transport, baudrate, args.listen, keys, tell))
        yield from pushed
        if any(found["link"] != HDLC for found in pushed) and not args.all:
            return  # who pushes so answers nothing
        transport.set_line(baudrate, 8, "N")
        transport.discard()
    if baudrate in (300, 9600):
        found = _sign_on(transport, baudrate, args.timeout, args.address)
        if found is not None:
            yield found
        transport.set_line(baudrate, 8, "N")
    for logical, physical, size in [*SERVERS, *((number, None, None) for number in args.server or () if number != 1)]:
        for client in args.client or CLIENTS:
            found = _hdlc(transport, client, logical, physical, size, args.timeout)
            if found is not None:
                yield found


def _listen(
    transport: SerialLine, baudrate: int, duration: float, keys: Keys, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Pushed telegrams, each kind once. 7E1 shows in 8N1 with its parity bits; 8E1, which M-Bus has, does not."""
    for parity in ("N", "E"):
        transport.set_line(baudrate, 8, parity)
        transport.discard()
        told: list[dict[str, Any]] = []
        sample = b""
        for item in heard(transport, keys, duration):
            if isinstance(item, bytes):
                sample = item
                continue
            for telegram in item.telegrams:
                if telegram.values or telegram.ciphered:
                    found: dict[str, Any] = {"mode": "push", "link": telegram.link, "parity": parity}
                    found.update(meter=telegram.name, errors=[error.code for error in telegram.errors])
                    if found not in [{name: one[name] for name in found} for one in told]:
                        values = {
                            code: f"{reading.value} {reading.unit or ''}".rstrip()
                            for code, reading in telegram.values.items()
                        }
                        told.append({**found, "values": values})
            if told:
                break
        yield from told
        if told:
            return
        if sample:
            tell(f"{baudrate} baud, parity {parity}: {likely_cause(sample, baudrate, 8, parity)}")


def _sign_on(transport: SerialLine, baudrate: int, timeout: float, address: str) -> dict[str, Any] | None:
    conversation = sign_on(address, baudrate)
    try:
        identification = run_conversation(conversation, transport, timeout)
    except DlmsError:
        return None
    return {
        "mode": "E" if identification.offers_hdlc else identification.mode,
        "meter": identification.manufacturer + identification.identification,
        "offers": identification.baud_rate,
    }


def _hdlc(
    transport: SerialLine, client: int, logical: int, physical: int | None, size: int | None, timeout: float
) -> dict[str, Any] | None:
    """One pair of addresses: what came of it, None for silence."""
    server = server_address(logical, physical, size)
    link = HdlcClientLink(encode_address(client), server)
    line = HdlcLine(transport, link, timeout, retries=0)
    found = {"mode": "hdlc", "client": client, "server": logical, "physical": physical, "address_size": len(server)}
    connection = Connection(line, Client())
    answered = False
    try:
        line.open()
        answered = True
        connection.run(connection.client.associate())
        return {**found, "answer": "reads", "meter": MeterReader(connection).logical_device_name()}
    except PortUnavailableError:
        raise
    except MeterError as error:
        return {**found, "answer": error.code, "meter": None} if answered else None
    except DlmsError as error:
        return {**found, "answer": error.code, "meter": None}
    except BaseException:  # an interruption leaves no meter with an open link
        answered = True
        raise
    finally:
        connection.client.lost()
        if answered:
            line.shut()
        else:
            link.state = DISCONNECTED


def run(args: argparse.Namespace, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Scan and print; 0 where something answered, 1 for silence or a port that cannot be used."""
    out = out or sys.stdout
    err = err or sys.stderr
    answers: list[dict[str, Any]] = []
    try:
        for found in scan(args, lambda text: print(f"edge-agent: {text}", file=err)):
            answers.append(found)
            if not args.json:
                print(line(found), file=out, flush=True)
    except MeterError as error:
        print(message_line("edge-agent", str(error), error.code), file=err)
        return FAILED
    if args.json:
        json.dump({"answers": answers}, out, indent=2, ensure_ascii=False)
        out.write("\n")
    if not answers:
        nothing = "nothing answered: check the wiring, the optical head, and the meter's power"
        print(message_line("edge-agent", nothing, "no_answer"), file=err)
    return 0 if answers else 1


def line(found: dict[str, Any]) -> str:
    """An answer as a person reads it, with the options that reach the meter."""
    head = f"{found['baudrate']:>6} baud  {found['mode']:<5}"
    meter = found["meter"] or ""
    if found["mode"] == "push":
        parity = "" if found["parity"] == "N" else f"parity {found['parity']}  "
        first = f"{head} {found['link']}  {parity}{' '.join([meter, *found['errors']])}"
        values = [f"             {code:<22} {value:>24}" for code, value in found["values"].items()]
        return "\n".join([first, *values])
    if found["mode"] != "hdlc":
        return f"{head} {meter}"
    physical = "" if found["physical"] is None else f" --physical {found['physical']}"
    options = f"--client {found['client']} --server {found['server']}{physical} --address-size {found['address_size']}"
    return f"{head} {options}  {found['answer']}  {meter}"
