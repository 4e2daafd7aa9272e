"""`edge-agent read`: one look at a meter, for commissioning. Needs neither a gateway's files nor the network.

    edge-agent read --port /dev/ttyUSB0 --client 16 --auth none --json

prints `{"meter", "clock", "registers": {OBIS: {"value", "unit"}}, "profile": [{"time", "values": {OBIS: value}}]}`.
Values are exact decimals as text; times ISO 8601, with an offset where the meter states its deviation.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, TextIO

from edge_agent.dlms.client import Client
from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.meters.connection import Connection, HdlcLine
from edge_agent.meters.errors import MeterError, meter_error
from edge_agent.meters.reader import MeterReader, read_all
from edge_agent.meters.transport import SerialTransport


def _number(text: str) -> int:
    return int(text, 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent read`."""
    parser.add_argument("--port", metavar="DEV", required=True, help="serial port, such as /dev/ttyUSB0")
    parser.add_argument("--baudrate", type=int, default=9600, help="speed of the line (default 9600)")
    parser.add_argument("--bytesize", type=int, choices=(7, 8), default=8, help="data bits (default 8)")
    parser.add_argument("--parity", choices=("N", "E", "O"), default="N", help="parity (default N)")
    parser.add_argument("--stopbits", type=int, choices=(1, 2), default=1, help="stop bits (default 1)")
    parser.add_argument("--client", type=_number, metavar="N", required=True, help="client address, such as 16")
    parser.add_argument(
        "--server",
        type=_number,
        metavar="N",
        default=1,
        help="logical device address (default 1); from 128 on the combined address that other tools print",
    )
    parser.add_argument("--physical", type=_number, metavar="N", help="physical device address (HDLC lower address)")
    parser.add_argument("--address-size", type=int, choices=(1, 2, 4), help="bytes of the server address")
    parser.add_argument("--auth", choices=("none", "lls"), default="none", help="authentication (default none)")
    parser.add_argument("--password", help="the LLS password; 0x... gives it in hex")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds to wait for each answer (default 3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Put `read` among the commands of `edge-agent`."""
    parser = commands.add_parser("read", help="read one meter and print what it holds", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_arguments(parser)
    parser.set_defaults(run=run)


def password_bytes(text: str) -> bytes:
    """A password as the meter gets it: the text's bytes, or those that `0x...` spells in hex."""
    if text[:2].lower() == "0x":
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    return text.encode("utf-8")


def open_connection(args: argparse.Namespace) -> Connection:
    """An open association as the options say; MeterError."""
    password: bytes | None = None
    if args.auth == "lls":
        password = password_bytes(args.password or "")
    try:
        server = server_address(args.server, args.physical, args.address_size)
        client = encode_address(args.client)
        if len(client) != 1:
            raise MeterError(f"a client address is from 1 to 127, not {args.client}", "bad_address")
    except DlmsError as error:
        raise MeterError(str(error), error.code) from error
    transport = SerialTransport(args.port, args.baudrate, args.bytesize, args.parity, args.stopbits)
    link = HdlcClientLink(client, server, LinkParameters())
    connection = Connection(HdlcLine(transport, link, args.timeout), Client(password))
    try:
        connection.open()
    except MeterError:
        transport.close()
        raise
    return connection


def run(args: argparse.Namespace, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Read the meter and print it; 0, or 1 with one line on stderr that says what to do."""
    out = out or sys.stdout
    err = err or sys.stderr
    try:
        connection = open_connection(args)
        try:
            found = read_all(MeterReader(connection))
        except DlmsError as error:
            raise meter_error(error) from error
        finally:
            connection.close()
    except MeterError as error:
        print(f"edge-agent read: {error.code}: {error}", file=err)
        return 1
    if args.json:
        json.dump(found, out, indent=2, ensure_ascii=False)
        out.write("\n")
    else:
        _print_table(found, out)
    return 0


def _print_table(found: dict[str, Any], out: TextIO) -> None:
    print(f"meter  {found['meter']}", file=out)
    print(f"clock  {found['clock'] or 'not set'}", file=out)
    print(file=out)
    for obis, register in found["registers"].items():
        value = register["value"] if register["value"] is not None else register.get("error", "none")
        print(f"{obis:<20} {value:>20} {register['unit'] or ''}", file=out)
    rows = found["profile"]
    if not rows:
        return
    names = list(rows[0]["values"])
    print(file=out)
    print(f"{'load profile':<26}" + "".join(f"{name:>20}" for name in names), file=out)
    for row in rows:
        cells = "".join(f"{row['values'][name] or '':>20}" for name in names)
        print(f"{row['time'] or '':<26}{cells}", file=out)
