"""`edge-agent read`: one look at a meter, for commissioning. Needs neither a gateway's files nor the network.

    edge-agent read --port /dev/ttyUSB0 --client 16 --auth none --json

prints `{"meter", "clock", "registers": {OBIS: {"value", "unit"}}, "profile": [{"time", "values": {OBIS: value}}]}`.
Values are exact decimals as text; times ISO 8601, with an offset where the meter states its deviation.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from edge_agent.commands.listen import read_mode_c, read_push
from edge_agent.config import host_and_port
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.client import Client
from edge_agent.dlms.cosem.types import ListedObject
from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.obis import obis_bytes, obis_text
from edge_agent.dlms.push.telegram import Keys
from edge_agent.dlms.security import Security
from edge_agent.dlms.units import unit_text
from edge_agent.meters.connection import Connection, HdlcLine, Link, WrapperLine
from edge_agent.meters.counters import LIMIT, CounterStore, InvocationCounter, counter_too_far
from edge_agent.meters.datagrams import DatagramClient, DatagramLine
from edge_agent.meters.driver import password_bytes
from edge_agent.meters.errors import (
    BROKE_OFF,
    BadAddressError,
    BadObisError,
    MeterError,
    MeterTimeoutError,
    MissingKeyError,
    NoSuchObjectError,
    NotDlmsError,
    OptionsError,
    RangeError,
    meter_error,
)
from edge_agent.meters.faults import Faults
from edge_agent.meters.iec21 import ANSWER, switch_to_hdlc
from edge_agent.meters.reader import MeterReader, read_all, value_text
from edge_agent.meters.transport import SerialLine, SerialLineOptions, TcpTransport, UdpTransport, open_line
from edge_agent.wire.command import FAILED, add_json, message_line

MOST_SECONDS = 600.0
"""The longest wait for an answer that makes sense."""

MOST_COUNTER = 1 << 31
"""The highest invocation counter to which a meter's word alone leads: half of a key's numbers are left in any case."""


def _number(text: str) -> int:
    return int(text, 0)


def seconds(text: str) -> float:
    """A command's time to wait; argparse's ValueError for anything else."""
    value = float(text)
    if not 0 < value <= MOST_SECONDS:
        raise ValueError(text)
    return value


def baud_rate(text: str) -> int:
    """A command's line speed; ValueError for anything else (0 would hang the line up)."""
    value = int(text)
    if value <= 0:
        raise ValueError(text)
    return value


def _octets(text: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise argparse.ArgumentTypeError("this is not hex") from None
    if len(data) != size:
        raise argparse.ArgumentTypeError(f"{size} bytes are needed, these are {len(data)}")
    return data


def key(text: str) -> bytes:
    """A command's key of 16 bytes in hex; argparse's error for anything else."""
    return _octets(text, 16)


def title(text: str) -> bytes:
    """A command's system title of 8 bytes in hex."""
    return _octets(text, 8)


def _counter(text: str) -> int:
    value = int(text)
    if not 0 < value < LIMIT:
        raise ValueError(text)
    return value


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-23T05:00+01:00") from None


EXAMPLES = """examples:
  edge-agent read --port /dev/ttyUSB0 --client 16
  edge-agent read --port /dev/ttyUSB0 --client 32 --auth lls --password 12345678
  edge-agent read --port /dev/ttyUSB0 --client 16 --object 1-0:1.8.0.255 --json
  edge-agent read --port /dev/ttyUSB0 --mode-c
  edge-agent read --port /dev/ttyUSB0 --push --baudrate 115200
  edge-agent read --tcp 10.0.0.5:2001 --link hdlc --client 16
  edge-agent read --tcp 10.0.0.7:4059 --client 16 --range 2026-11-23T05:00+00:00 2026-11-23T06:00+00:00
  edge-agent read --port /dev/ttyUSB0 --client 1 --auth gmac --key HEX --auth-key HEX --system-title HEX"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent read`."""
    line = parser.add_mutually_exclusive_group(required=True)
    line.add_argument("--port", metavar="DEV", help="serial port, such as /dev/ttyUSB0")
    line.add_argument(
        "--tcp",
        metavar="HOST:PORT",
        help="a meter that speaks the TCP wrapper, such as 10.0.0.7:4059 or [2001:db8::7]:4059",
    )
    line.add_argument("--udp", metavar="HOST:PORT", help="the same in datagrams, over UDP")
    parser.add_argument(
        "--baudrate", type=baud_rate, metavar="BAUD", help="speed of the line (default 9600; of a sign-on 300)"
    )
    parser.add_argument("--bytesize", type=int, choices=(7, 8), default=8, help="data bits (default 8)")
    parser.add_argument("--parity", choices=("N", "E", "O"), default="N", help="parity (default N)")
    parser.add_argument("--stopbits", type=int, choices=(1, 2), default=1, help="stop bits (default 1)")
    parser.add_argument(
        "--mode-e", action="store_true", help="sign on at 300 baud 7E1 and hand over to HDLC (IEC 62056-21, mode E)"
    )
    parser.add_argument(
        "--mode-c", action="store_true", help="a meter that is read out by its sign-on (IEC 62056-21, modes A, B and C)"
    )
    parser.add_argument("--push", action="store_true", help="a meter that pushes: listen for its telegram")
    parser.add_argument(
        "--listen", type=seconds, default=60.0, metavar="SECONDS", help="--push: how long to listen (default 60)"
    )
    parser.add_argument("--address", default="", help="--mode-c: the device address, where several share the line")
    parser.add_argument(
        "--same-speed", action="store_true", help="--mode-c: the read-out comes at the speed of the sign-on"
    )
    parser.add_argument(
        "--link",
        choices=("wrapper", "hdlc"),
        default="wrapper",
        help="--tcp: the DLMS wrapper (default), or the bytes of an HDLC line behind a serial server",
    )
    parser.add_argument(
        "--client", type=_number, metavar="N", default=16, help="client address (default 16, the public client)"
    )
    parser.add_argument(
        "--server",
        type=_number,
        metavar="N",
        default=1,
        help="logical device address (default 1); from 128 on the combined address that other tools print",
    )
    parser.add_argument("--physical", type=_number, metavar="N", help="physical device address (HDLC lower address)")
    parser.add_argument("--address-size", type=int, choices=(1, 2, 4), help="bytes of the server address")
    parser.add_argument("--auth", choices=("none", "lls", "gmac"), default="none", help="authentication (default none)")
    parser.add_argument("--password", help="the LLS password; 0x... gives it in hex")
    parser.add_argument("--key", type=key, metavar="HEX", help="gmac, push: encryption key, 16 bytes")
    parser.add_argument("--auth-key", type=key, metavar="HEX", help="gmac, push: authentication key, 16 bytes")
    parser.add_argument(
        "--system-title",
        type=title,
        metavar="HEX",
        help="gmac: the client's system title, 8 bytes; push: the meter's, where its telegrams do not state it",
    )
    parser.add_argument(
        "--ciphering",
        choices=("glo", "ded", "general", "none"),
        default="glo",
        help="gmac: service-specific global (default) or dedicated ciphering, general ciphering, or HLS alone",
    )
    parser.add_argument("--counters", type=Path, metavar="DIR", help="where invocation counters are kept, by key")
    parser.add_argument(
        "--counter-from", type=_counter, metavar="N", help="gmac: go on from this invocation counter, if not higher yet"
    )
    parser.add_argument(
        "--range",
        nargs=2,
        type=_time,
        metavar=("FROM", "TO"),
        help="only these rows of the profile; a time without an offset is UTC",
    )
    parser.add_argument("--object", metavar="OBIS[:ATTRIBUTE]", help="read this object alone, attribute 2 by default")
    parser.add_argument("--list-objects", action="store_true", help="print the object list alone")
    parser.add_argument(
        "--block-window",
        type=int,
        choices=range(64),
        metavar="N",
        default=0,
        help="propose general-block-transfer, 1 to 63 blocks in a row (default: not proposed)",
    )
    parser.add_argument(
        "--timeout", type=seconds, default=3.0, metavar="SECONDS", help="how long to wait for each answer (default 3)"
    )
    add_json(parser)


def _counters(args: argparse.Namespace) -> CounterStore:
    if args.counters is not None:
        return CounterStore(args.counters)
    state = os.environ.get("XDG_STATE_HOME")
    home = Path(state) if state else Path.home() / ".local" / "state"
    return CounterStore(home / "edge-agent" / "counters")


def _security(args: argparse.Namespace) -> tuple[Security, InvocationCounter]:
    missing = [name for name in ("key", "auth_key", "system_title") if getattr(args, name) is None]
    if missing:
        names = " and ".join("--" + name.replace("_", "-") for name in missing)
        raise MissingKeyError(f"--auth gmac needs {names}")
    counter = _counters(args).counter(args.key, args.system_title)
    if args.counter_from is not None:
        counter.raise_to(args.counter_from)
    security = Security(
        system_title=args.system_title,
        key=args.key,
        authentication_key=args.auth_key,
        next_counter=counter,
        challenge=secrets.token_bytes(16),
        ciphered=args.ciphering != "none",
        general=args.ciphering == "general",
        dedicated_key=secrets.token_bytes(16) if args.ciphering == "ded" else None,
    )
    return security, counter


def _host_and_port(option: str, text: str) -> tuple[str, int]:
    try:
        return host_and_port(text)
    except ValueError as error:
        raise BadAddressError(f"{option}: {error}") from error


def _line(args: argparse.Namespace) -> Link:
    if args.udp is not None:
        host, port = _host_and_port("--udp", args.udp)
        return DatagramLine(UdpTransport(host, port), args.client, args.server, args.timeout)
    if args.tcp is not None and args.link != "hdlc":
        host, port = _host_and_port("--tcp", args.tcp)
        return WrapperLine(TcpTransport(host, port, args.timeout), args.client, args.server, args.timeout)
    try:
        server = server_address(args.server, args.physical, args.address_size)
        client = encode_address(args.client)
        if len(client) != 1:
            raise BadAddressError(f"a client address is from 1 to 127, not {args.client}")
    except DlmsError as error:
        raise BadAddressError(str(error)) from error
    transport = open_line(_serial_line(args, 9600))
    line = HdlcLine(transport, HdlcClientLink(client, server, LinkParameters()), args.timeout)
    if args.mode_e:
        try:
            switch_to_hdlc(transport, timeout=min(args.timeout, ANSWER), faults=line.faults)
        except BaseException:
            transport.close()
            raise
    return line


def _serial_line(args: argparse.Namespace, baudrate: int) -> SerialLineOptions:
    """The serial line of the options, here or behind a serial server."""
    return SerialLineOptions(
        args.port or "",
        None if args.tcp is None else _host_and_port("--tcp", args.tcp),
        args.baudrate or baudrate,
        args.bytesize,
        args.parity,
        args.stopbits,
        args.timeout,
    )


def open_connection(args: argparse.Namespace) -> Connection:
    """An open association as the options say; MeterError. Whatever ends it early, the line is left free."""
    password = password_bytes(args.password or "") if args.auth == "lls" else None
    security, counter = _security(args) if args.auth == "gmac" else (None, None)
    link = _line(args)
    try:
        connection = Connection(link, _client(args, password, security))
        try:
            _open(connection, args)
        except MeterError as error:
            least = getattr(error.__cause__, "least_counter", None)
            if counter is None or least is None:
                raise
            if not counter.follow(least, MOST_COUNTER):
                raise counter_too_far(counter, least) from error
            connection.open()
    except BaseException:
        link.transport.close()
        raise
    return connection


def _client(args: argparse.Namespace, password: bytes | None, security: Security | None) -> Client:
    window = args.block_window
    if args.udp is None:
        conformance = DEFAULT | GENERAL_BLOCK_TRANSFER if window else DEFAULT
        return Client(password, security, conformance, window=window or 1)
    if window:
        raise OptionsError("--block-window is for --port and --tcp: over UDP its blocks could be mixed up")
    return DatagramClient(password, security)


def _open(connection: Connection, args: argparse.Namespace) -> None:
    """Open; under mode E sign on once more where nothing can be understood after the hand-over."""
    try:
        connection.open()
    except (NotDlmsError, MeterTimeoutError) as error:
        if not args.mode_e:
            raise
        connection.link.note(error.code)
        _sign_on_again(connection.link, args)
        connection.open()


def _sign_on_again(line: Link, args: argparse.Namespace) -> None:
    """Where a meter is read in mode E: begin again, at 300 baud."""
    if args.mode_e and isinstance(line, HdlcLine) and isinstance(line.transport, SerialLine):
        switch_to_hdlc(line.transport, timeout=min(args.timeout, ANSWER), faults=line.faults)


def _found(connection: Connection, args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for; once more in a new association where the one broke on the way."""
    try:
        return _look(MeterReader(connection), args)
    except BROKE_OFF as error:
        silent = isinstance(error, MeterTimeoutError)
        if silent and connection.link.repeats and not args.mode_e:
            raise
        connection.abandon()
        connection.link.note(error.code)
        if silent:
            _sign_on_again(connection.link, args)
        _open(connection, args)
        return _look(MeterReader(connection), args)


def _look(reader: MeterReader, args: argparse.Namespace) -> dict[str, Any]:
    if args.list_objects:
        return {"objects": [_listed(item) for item in reader.object_list()]}
    if args.object is not None:
        return read_object(reader, args.object)
    return read_all(reader, since=_utc(args.range, 0), until=_utc(args.range, 1))


def read_once(args: argparse.Namespace) -> tuple[dict[str, Any], Counter[str]]:
    """What was found, and what was repaired on the way."""
    if args.push or args.mode_c:
        if args.udp is not None or args.mode_e or (args.push and args.mode_c):
            raise OptionsError("one of --push, --mode-c and --mode-e, over --port or --tcp")
        if args.push:
            return read_push(
                _serial_line(args, 9600), Keys(args.key, args.auth_key, args.system_title), args.listen
            ), Counter()
        faults = Faults()
        return read_mode_c(_serial_line(args, 300), args.address, not args.same_speed, faults), Counter(faults)
    connection = open_connection(args)
    try:
        found = _found(connection, args)
    except DlmsError as error:
        raise meter_error(error) from error
    finally:
        connection.close()
    return found, Counter(getattr(connection.link, "faults", ()))


def run(args: argparse.Namespace, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Read the meter and print it; 0, or 1 with one line on stderr that says what to do."""
    out = out or sys.stdout
    err = err or sys.stderr
    try:
        if args.range is not None and (_utc(args.range, 0) or 0) > (_utc(args.range, 1) or 0):
            raise RangeError("--range takes FROM TO, and FROM lies after TO")
        found, mended = read_once(args)
    except MeterError as error:
        print(message_line("edge-agent", str(error), error.code), file=err)
        return FAILED
    if mended:
        told = ", ".join(f"{code} ({count})" for code, count in mended.items())
        print(f"edge-agent: the line was disturbed, and no value is lost: {told}", file=err)
    for line in found.get("unread", ()):
        print(f"edge-agent: a line that is not read: {line}", file=err)
    if args.json:
        json.dump(found, out, indent=2, ensure_ascii=False)
        out.write("\n")
    elif "profile" in found:
        _print_table(found, out)
    elif "objects" in found:
        for item in found["objects"]:
            print(f"{item['class']:>5} v{item['version']} {item['obis']}", file=out)
    else:
        print(f"{found['object']} attribute {found['attribute']}: {found['value']} {found['unit'] or ''}", file=out)
    return 0


def _utc(span: list[datetime] | None, at: int) -> int | None:
    """Unix seconds of one end of --range; a time without an offset is UTC."""
    if span is None:
        return None
    time = span[at]
    return int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp())


def _listed(item: ListedObject) -> dict[str, Any]:
    return {"class": item.class_id, "version": item.version, "obis": item.obis}


def read_object(reader: MeterReader, text: str) -> dict[str, Any]:
    """One attribute of one object, whose class the object list tells; NoSuchObjectError."""
    name, _, number = text.partition(":") if text.count(":") < 2 else text.rpartition(":")
    if "-" in text and text.count(":") == 1:
        name, number = text, ""
    if number and not (number.isdecimal() and 0 < int(number) < 128):
        raise BadObisError(f"--object takes OBIS or OBIS:ATTRIBUTE, not {text!r}")
    attribute = int(number) if number else 2
    obis = obis_text(obis_bytes(name))
    for item in reader.object_list():
        if item.obis == obis:
            data = reader.get(CosemAttribute(item.class_id, obis_bytes(obis), attribute))
            scaler, unit = reader.scaler_unit(item.class_id, obis, attribute) or (0, 255)
            return {
                "object": obis,
                "class": item.class_id,
                "attribute": attribute,
                "value": value_text(data, scaler),
                "unit": unit_text(unit),
            }
    raise NoSuchObjectError(f"the meter has no object {obis} for this client: --list-objects shows those it has")


def _print_table(found: dict[str, Any], out: TextIO) -> None:
    print(f"meter  {found['meter'] or 'tells no name'}", file=out)
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
