"""gateway.toml: what one gateway is told — its name, its authority, and the meters on its serial lines and network.

Secrets that the gateway makes itself (keys, certificate) are not here but in the state directory. Every error names the
file, the key and what to do, since the person who reads it is in a meter room.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from edge_agent.errors import USAGE, EdgeError
from edge_agent.wire.meter_map import MeterMap, MeterMapError
from edge_agent.wire.names import NAME_RULE, is_name
from edge_agent.wire.reading import MAX_FRAMES
from edge_agent.wire.toml import Table, read_file

UplinkKind = Literal["auto", "mqtt", "https"]
Auth = Literal["none", "lls", "gmac"]
MeterProtocol = Literal["dlms", "mode-c", "push"]
Parity = Literal["N", "E", "O"]
DlmsLink = Literal["hdlc", "wrapper"]

_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*", re.ASCII)
_BAUDRATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)

DEFAULT_QUOTA_FRAMES = 200_000
DEFAULT_LIVE_SECONDS = 10
DEFAULT_MAX_POWER_W = 2_000_000
DEFAULT_PUSH_SECONDS = 30.0
URL_SCHEMES = ("socket", "rfc2217")
"""Serial ports on the network, as pyserial writes them: bare bytes over TCP, or RFC 2217, which sets the speed."""


class ConfigError(EdgeError):
    """gateway.toml cannot be used. The message names the file, the key and what to do."""

    code = "config_invalid"
    exit_status = USAGE

    def __init__(self, path: Path, key: str, message: str) -> None:
        super().__init__(f"{path}: {key}: {message}" if key else f"{path}: {message}")
        self.path = path
        self.key = key


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, an IPv6 address in brackets; ValueError says what is wrong with it."""
    host, colon, number = text.rpartition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and 0 < int(number) < 65536) or not colon:
        raise ValueError(f"{text!r} should be HOST:PORT, such as 10.0.0.7:4059")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host.lower()
    if bracketed or ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError as error:
            raise ValueError(f"{text!r} has no IPv6 address between the brackets") from error
        if not bracketed:
            raise ValueError(f"{text!r} should have its IPv6 address in brackets: [{address}]:{number}")
        return str(address), int(number)
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError(f"{text!r} does not name a host; it should be HOST:PORT, such as 10.0.0.7:4059")
    if host.replace(".", "").isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError as error:
            raise ValueError(f"{text!r} has no IPv4 address in front: {error}") from error
    return host, int(number)


@dataclass(frozen=True)
class MeterSettings:
    """How to reach one meter on its line, and who it is.

    port is a device path or a URL of pyserial (`rfc2217://10.0.0.5:2001`), or where tcp or udp say at which host and
    port the meter is, that as a URL: meters with the same port share a line. Over tcp a DLMS meter speaks the wrapper,
    or as link says HDLC, as any other meter's bytes come from a serial server. block_window is the number of blocks in
    a row that is proposed (0: no general-block-transfer). client and server are the DLMS client and logical server
    addresses, physical the HDLC lower address (None: one-part addressing); timeout is in seconds per answer; password
    is the LLS secret, never printed.
    max_power_w bounds the step that a rolled-over register may have made. protocol: read over DLMS, read out in mode C
    (baudrate is that of the sign-on then, 300 where the file says nothing), or listened to. key and auth_key are the
    meter's encryption and authentication key (gmac, ciphered telegrams), system_title is this client's under gmac, and
    counters the directory in which invocation counters are kept (layouts: that of further push layouts). Of a push
    meter, system_title is the one under which its telegrams are ciphered where they do not state it, push_seconds how
    often it speaks, registers_seconds how often with the map's registers (None: not known), and power_unit what its
    powers count in where it does not say so. Of one read out in mode C, address is its device address, and without
    change_speed its read-out comes at the sign-on's speed.
    """

    name: str
    serial: str
    port: str
    map: MeterMap
    baudrate: int = 9600
    bytesize: int = 8
    parity: Parity = "N"
    stopbits: int = 1
    client: int = 16
    server: int = 1
    physical: int | None = None
    auth: Auth = "none"
    password: str | None = field(default=None, repr=False)
    timeout: float = 3.0
    max_power_w: int = DEFAULT_MAX_POWER_W
    protocol: MeterProtocol = "dlms"
    key: bytes | None = field(default=None, repr=False)
    auth_key: bytes | None = field(default=None, repr=False)
    system_title: bytes | None = None
    counters: Path | None = None
    tcp: tuple[str, int] | None = None
    udp: tuple[str, int] | None = None
    block_window: int = 0
    link: DlmsLink | None = None
    push_seconds: float = DEFAULT_PUSH_SECONDS
    registers_seconds: float | None = None
    power_unit: str | None = None
    address: str = ""
    change_speed: bool = True
    layouts: Path | None = None

    @property
    def listen_seconds(self) -> float:
        """How long a push meter may be silent until that is a fault: time for two telegrams."""
        return max(2 * self.push_seconds, self.timeout)

    @property
    def speaks_hdlc(self) -> bool:
        """Whether a DLMS meter's link is HDLC, on a serial line or over TCP."""
        return self.udp is None and (self.tcp is None or self.link == "hdlc")


@dataclass(frozen=True)
class UplinkSettings:
    """How frames reach the authority. `auto` takes MQTT where the credentials name a broker that answers, else HTTPS.

    timeout is in seconds per request; batch is the most frames in one message (the authority takes 256); in_flight is
    the most frames that wait for a receipt at once.
    """

    kind: UplinkKind = "auto"
    timeout: float = 15.0
    batch: int = 64
    in_flight: int = 512


@dataclass(frozen=True)
class GatewayConfig:
    """One gateway's configuration.

    authority is the https URL without a path; live_seconds is the time between two live power readings of a meter (0:
    none); read_delay is how long after a boundary the meters are read, in seconds (None: a twentieth of the epoch, at
    most 5 s); quota_frames bounds the journal; metrics_file is where the status is written for Prometheus, if
    anywhere, and metrics_listen at which host and port it may be fetched.
    """

    path: Path
    name: str
    state: Path
    authority: str
    meters: tuple[MeterSettings, ...]
    uplink: UplinkSettings = UplinkSettings()
    live_seconds: int = DEFAULT_LIVE_SECONDS
    read_delay: float | None = None
    quota_frames: int = DEFAULT_QUOTA_FRAMES
    metrics_file: Path | None = None
    metrics_listen: tuple[str, int] | None = None

    @property
    def authority_address(self) -> tuple[str, int]:
        """Host and port of the authority."""
        url = urllib.parse.urlsplit(self.authority)
        return str(url.hostname), url.port or 443

    def meter(self, name: str) -> MeterSettings:
        """The meter of that name; ConfigError where there is none."""
        for meter in self.meters:
            if meter.name == name:
                return meter
        known = ", ".join(meter.name for meter in self.meters)
        raise ConfigError(self.path, "meter", f"no meter is called {name!r}; there are {known}")


class _Table(Table):
    """A table of gateway.toml."""

    def __init__(self, path: Path, prefix: str, data: object) -> None:
        super().__init__(data, prefix, partial(ConfigError, path))
        self.path = path

    def identifier(self, key: str, what: str) -> str:
        value = self.required_text(key, what)
        if not is_name(value):
            raise self.error(key, f"{value!r} should be {NAME_RULE}; it is used in topics, paths and certificates")
        return value


def load_config(path: Path) -> GatewayConfig:
    """Read and check gateway.toml; ConfigError for the first thing that is wrong.

    Relative paths (state, password_file) are taken from the file's directory.
    """
    data = read_file(path, partial(ConfigError, path), "no such file; name the gateway's file with --config")
    return parse_config(path, data)


def parse_config(path: Path, data: Mapping[str, Any]) -> GatewayConfig:
    """Check a configuration that has been read from TOML; path is for messages and relative paths."""
    top = _Table(path, "", data)
    gateway = _Table(path, "gateway", top.take("gateway", required="a [gateway] table with name, state and authority"))
    uplink = _Table(path, "uplink", top.take("uplink", {}))
    meters = top.take("meter", required="at least one [[meter]] table")
    top.done()
    if not isinstance(meters, list) or not meters:
        raise ConfigError(path, "meter", "should be one or more [[meter]] tables")

    name = gateway.identifier("name", "the name under which the authority knows this gateway")
    state = gateway.required_text("state", "the directory for keys, credentials and the journal")
    authority = _authority_url(
        gateway, gateway.required_text("authority", "the authority's address, https://HOST:PORT")
    )
    live_seconds = gateway.integer("live_seconds", DEFAULT_LIVE_SECONDS, 0, 3600, "seconds; 0 for none")
    read_delay = gateway.seconds("read_delay", 0.0, 0.0, 300.0) if gateway.has("read_delay") else None
    quota = gateway.integer("quota_frames", DEFAULT_QUOTA_FRAMES, 100, 10_000_000, "frames in the journal")
    metrics, listen = gateway.text("metrics_file"), gateway.text("metrics_listen")
    try:
        metrics_listen = None if listen is None else host_and_port(listen)
    except ValueError as error:
        raise gateway.error("metrics_listen", str(error)) from error
    gateway.done()

    settings = UplinkSettings(
        kind=uplink.choice("kind", "auto", get_args(UplinkKind)),
        timeout=uplink.seconds("timeout", 15.0, 0.5, 300.0),
        batch=uplink.integer("batch", 64, 1, MAX_FRAMES, "frames in one message"),
        in_flight=uplink.integer("in_flight", 512, 1, 100_000, "frames without a receipt"),
    )
    uplink.done()

    return GatewayConfig(
        path=path,
        name=name,
        state=_relative(path, state),
        authority=authority,
        meters=tuple(
            replace(meter, counters=_relative(path, state) / "counters", layouts=_relative(path, state) / "layouts")
            for meter in _meters(path, meters)
        ),
        uplink=settings,
        live_seconds=live_seconds,
        read_delay=read_delay,
        quota_frames=quota,
        metrics_file=None if metrics is None else _relative(path, metrics),
        metrics_listen=metrics_listen,
    )


MAX_MISTAKES = 100


def find_mistakes(path: Path) -> list[ConfigError]:
    """Every mistake in gateway.toml, in the order in which they are met; none for a file that can be used.

    After each the file is read again with the entry left out, or with one in its place that would do, so that a mistake
    hides no other. Nothing is written.
    """
    found: list[ConfigError] = []
    try:
        data = read_file(path, partial(ConfigError, path), "no such file; name the gateway's file with --config")
    except ConfigError as error:
        return [error]
    while len(found) < MAX_MISTAKES:
        try:
            parse_config(path, data)
            break
        except ConfigError as error:
            again = error.key in [other.key for other in found]
            found.append(error)
            if again or not _mend(data, error.key, len(found)):
                break
    return found


def _mend(data: dict[str, Any], key: str, number: int) -> bool:
    """Make the entry good that a message names; False where nothing can be put in its place."""
    table, entry = _named_table(data, key)
    if table is None or not entry:
        return False
    first, _, rest = entry.partition(".")
    good = _good_values(number)
    if first == "map" and rest and isinstance(table.get("map"), dict):
        return _mend_map(table, rest, good["map"])
    if first == "auth":
        table.update(auth="lls", password=table.get("password", "0"))
    elif first == "protocol":
        protocols = {"push_seconds": "push", "registers_seconds": "push", "power_unit": "push", "address": "mode-c"}
        table["protocol"] = next((of for name, of in protocols.items() if name in table), "dlms")
    elif first == "password_file":
        del table["password_file"]
        table.setdefault("password", "0")
    elif first in ("tcp", "udp") and sum(place in table for place in ("port", "tcp", "udp")) == 1:
        table[first] = f"host:{1000 + number}"
    elif first == "meter":
        data["meter"] = [{**good, "name": "meter"}]
    elif first in table and first not in good:
        del table[first]
    elif first in good:
        table[first] = good[first]
    else:
        return False
    return True


def _mend_map(table: dict[str, Any], entry: str, good: dict[str, Any]) -> bool:
    first, _, rest = entry.partition(".")
    registers = table["map"].get("registers")
    if first == "registers" and isinstance(registers, dict) and rest in registers and len(registers) > 1:
        del registers[rest]
    elif first in good:
        table["map"][first] = good[first]
    elif first in table["map"]:
        del table["map"][first]
    else:
        table["map"] = good
    return True


def _named_table(data: dict[str, Any], key: str) -> tuple[dict[str, Any] | None, str]:
    """The table that a message's key stands in, and the rest of the key."""
    meters = data.get("meter")
    if key.startswith("meter") and isinstance(meters, list):
        for index, meter in enumerate(meters):
            for where in (f"meter[{index}]", f"meter {meter['name']!r}" if _is_named(meter) else ""):
                if where and (key == where or key.startswith(f"{where}.")):
                    return (meter, key[len(where) + 1 :]) if isinstance(meter, dict) else (None, "")
    first, _, rest = key.partition(".")
    if rest and isinstance(data.get(first), dict):
        return data[first], rest
    if first in ("gateway", "uplink") and not rest:
        data[first] = {}
        return {}, ""
    return data, key


def _is_named(meter: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(meter, Mapping) and isinstance(meter.get("name"), str)


def _good_values(number: int) -> dict[str, Any]:
    """Entries that would do, each time others where no two may be the same."""
    registers = {"consumption": ["1-0:1.8.0.255", 1]}
    return {
        "name": f"name-{number}",
        "serial": f"serial {number}",
        "port": f"/dev/port{number}",
        "server": 1000 + number,
        "address": f"{number}",
        "state": "state",
        "authority": "https://localhost",
        "password": "0",
        "key": "00" * 16,
        "auth_key": "00" * 16,
        "system_title": "00" * 8,
        "map": {"logical_device_name": "name", "capture_period": 900, "registers": registers},
    }


def _relative(path: Path, value: str) -> Path:
    return path.absolute().parent / Path(value).expanduser()


def _authority_url(table: _Table, value: str) -> str:
    try:
        url = urllib.parse.urlsplit(value)
        port = url.port
    except ValueError as error:
        raise table.error("authority", f"{value!r} is not a URL: {error}") from error
    if url.scheme != "https" or not url.hostname or url.username or url.path not in ("", "/") or url.query or port == 0:
        raise table.error(
            "authority", f"{value!r} should be https://HOST:PORT, without a path; readings go over TLS only"
        )
    return f"https://{url.netloc}"


def _meters(path: Path, tables: list[object]) -> tuple[MeterSettings, ...]:
    meters: list[MeterSettings] = []
    for index, data in enumerate(tables):
        where = f"meter[{index}]"
        if _is_named(data) and not any(_is_named(other) and other["name"] == data["name"] for other in tables[:index]):
            where = f"meter {data['name']!r}"
        meter = _meter(_Table(path, where, data))
        for other in meters:
            if other.name == meter.name:
                raise ConfigError(path, f"{where}.name", "two meters have this name; give each its own")
            if other.serial == meter.serial:
                raise ConfigError(path, f"{where}.serial", f"{meter.serial!r} is also the serial of {other.name!r}")
            if other.port == meter.port:
                if _line(other) != _line(meter):
                    raise ConfigError(
                        path, f"{where}.port", f"{other.name!r} shares this line with other baudrate, parity or bits"
                    )
                if other.protocol == meter.protocol == "mode-c":
                    if other.address == meter.address or not other.address or not meter.address:
                        raise ConfigError(
                            path, f"{where}.address", f"{other.name!r} is on this line too: give each its own address"
                        )
                elif (other.server, other.physical) == (meter.server, meter.physical):
                    what = "server and physical address" if meter.speaks_hdlc else "server address"
                    raise ConfigError(path, f"{where}.server", f"{other.name!r} has the same {what} on this line")
        meters.append(meter)
    return tuple(meters)


def _line(meter: MeterSettings) -> tuple[int, int, str, int]:
    return (meter.baudrate, meter.bytesize, meter.parity, meter.stopbits)


def _meter(table: _Table) -> MeterSettings:
    name = table.identifier("name", "a short name, such as solar; it becomes part of topics")
    serial = table.required_text("serial", "the serial number on the meter's plate")
    port, tcp, udp = _place(table)
    network = tcp is not None or udp is not None
    map_table = table.take("map", required="a [meter.map] table: how the meter's registers come about")
    try:
        meter_map = MeterMap.from_dict(map_table)
    except MeterMapError as error:
        raise table.error(f"map.{error.key}" if error.key else "map", error.reason) from error
    protocol = table.choice("protocol", "dlms", get_args(MeterProtocol))
    link: DlmsLink | None = None
    if table.has("link"):
        link = table.choice("link", "hdlc", get_args(DlmsLink))
        if protocol != "dlms" or udp is not None or (tcp is None and link != "hdlc"):
            raise table.error("link", 'is for protocol = "dlms" over tcp: "wrapper" (as most modules), or "hdlc"')
    if udp is not None and protocol != "dlms":
        raise table.error("protocol", f'"{protocol}" does not run in datagrams; over udp write "dlms"')
    wrapped = network and protocol == "dlms" and link != "hdlc"
    physical: int | None = None
    if table.has("physical") and not wrapped:
        physical = table.integer("physical", 0, 0, 0x3FFF, "the HDLC lower address")
    if wrapped:
        for key in ("baudrate", "bytesize", "parity", "stopbits", "physical"):
            if table.has(key):
                raise table.error(
                    key,
                    'belongs to a serial line; the wrapper over tcp and udp has none (a serial server: link = "hdlc")',
                )
    settings = MeterSettings(
        name=name,
        serial=serial,
        port=port,
        map=meter_map,
        baudrate=table.choice("baudrate", 300 if protocol == "mode-c" else 9600, _BAUDRATES),
        bytesize=table.choice("bytesize", 8, (7, 8)),
        parity=table.choice("parity", "N", get_args(Parity)),
        stopbits=table.choice("stopbits", 1, (1, 2)),
        client=table.integer(
            "client", 16, 1, 0xFFFF if wrapped else 0x7F, "the DLMS client address; 16 is the public client"
        ),
        server=table.integer(
            "server", 1, 0, 0xFFFF if wrapped else 0x3FFF, "the logical device's address; 1 is the management device"
        ),
        physical=physical,
        auth=table.choice("auth", "none", get_args(Auth)),
        password=_password(table),
        timeout=table.seconds("timeout", 3.0, 0.1, 60.0),
        max_power_w=table.integer("max_power_w", DEFAULT_MAX_POWER_W, 1, 10**12, "W"),
        protocol=protocol,
        key=_octets(table, "key", 16),
        auth_key=_octets(table, "auth_key", 16),
        system_title=_octets(table, "system_title", 8),
        tcp=tcp,
        udp=udp,
        block_window=table.integer("block_window", 0, 0, 63, "blocks in a row; 0: no general-block-transfer"),
        link=link,
        **_of_protocol(table, protocol),
    )
    table.done()
    if settings.block_window and (udp is not None or protocol != "dlms"):
        raise table.error("block_window", 'is for protocol = "dlms" over port and tcp: blocks mix up in datagrams')
    if settings.auth == "gmac":
        for key in ("key", "auth_key", "system_title"):
            if getattr(settings, key) is None:
                raise table.error(key, 'missing: auth = "gmac" takes key, auth_key and system_title')
    if settings.auth == "lls" and settings.password is None:
        raise table.error("password", 'missing: auth = "lls" takes a password or a password_file')
    if settings.auth != "lls" and settings.password is not None:
        raise table.error("auth", f'a password is given, but auth is "{settings.auth}"; write auth = "lls"')
    return settings


def _of_protocol(table: _Table, protocol: str) -> dict[str, Any]:
    """The entries that meters of one protocol alone have."""
    keys = {"push": ("push_seconds", "registers_seconds", "power_unit"), "mode-c": ("address", "change_speed")}
    for of, names in keys.items():
        for key in names:
            if of != protocol and table.has(key):
                raise table.error(key, f'is for protocol = "{of}"')
    if protocol == "push":
        often = table.seconds("registers_seconds", 0.0, 1.0, 86400.0) if table.has("registers_seconds") else None
        return {
            "push_seconds": table.seconds("push_seconds", DEFAULT_PUSH_SECONDS, 1.0, 86400.0),
            "registers_seconds": often,
            "power_unit": table.choice("power_unit", "W", ("W", "kW")) if table.has("power_unit") else None,
        }
    if protocol == "mode-c":
        address = table.text("address") or ""
        if len(address) > 32 or not all(c.isascii() and (c.isalnum() or c == " ") for c in address):
            raise table.error("address", f"{address!r} should be the device address, up to 32 letters and digits")
        return {"address": address, "change_speed": table.choice("change_speed", True, (True, False))}
    return {}


def _place(table: _Table) -> tuple[str, tuple[str, int] | None, tuple[str, int] | None]:
    """Where the meter is: the line's name, and the address over TCP or UDP."""
    given = [key for key in ("port", "tcp", "udp") if table.has(key)]
    if len(given) > 1:
        raise table.error(given[1], f"a meter is reached in one way: {given[0]} is given too; leave one of them out")
    if not given or given == ["port"]:
        what = (
            "the serial device, such as /dev/ttyUSB0 (better one from /dev/serial/by-id); or, of a meter behind a "
            'network module, tcp or udp = "HOST:PORT"'
        )
        port = table.required_text("port", what)
        table.take("tcp")
        table.take("udp")
        scheme, separator, rest = port.partition("://")
        if separator and scheme not in URL_SCHEMES:
            raise table.error("port", f"{port!r} should be a device, rfc2217://HOST:PORT or socket://HOST:PORT")
        if separator:
            try:
                host_and_port(rest.partition("?")[0].rstrip("/"))
            except ValueError as error:
                raise table.error("port", str(error)) from error
        return port, None, None
    kind = given[0]
    table.take("port")
    table.take("udp" if kind == "tcp" else "tcp")
    try:
        address = host_and_port(table.required_text(kind, "HOST:PORT"))
    except ConfigError:
        raise
    except ValueError as error:
        raise table.error(kind, str(error)) from error
    name = f"{kind}://[{address[0]}]:{address[1]}" if ":" in address[0] else f"{kind}://{address[0]}:{address[1]}"
    return name, address if kind == "tcp" else None, address if kind == "udp" else None


def _octets(table: _Table, key: str, size: int) -> bytes | None:
    text = table.text(key)
    if text is None:
        return None
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != size:
        raise table.error(key, f"should be {size} bytes in hex")  # a key is never repeated in a message
    return data


def _password(table: _Table) -> str | None:
    password = table.text("password")
    file = table.text("password_file")
    if file is None:
        return password
    if password is not None:
        raise table.error("password_file", "give password or password_file, not both")
    try:
        text = _relative(table.path, file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise table.error("password_file", f"cannot be read: {error}") from error
    if not text:
        raise table.error("password_file", f"{file} is empty; write the meter's LLS password into it")
    return text
