"""The emulator's file: a line, a source of power, and the meters on the line (TOML).

epoch_seconds = 20                 # capture period; rows are captured at multiples of it (Unix time)
start_epoch = 0                    # the epoch of `start_row`: a number, "now" (default), or negative: so many ago

[line]
link = "run/solar"                 # a pty is made, and this symbolic link to it; or
# port = "/dev/ttyUSB1"            # a serial port, with baudrate = 9600, bytesize = 8, parity = "N", stopbits = 1
# tcp = "127.0.0.1:4059"           # the TCP wrapper; port 0 takes a free one; or
# udp = "127.0.0.1:4059"           # the same in datagrams
mode = "hdlc"                      # or "e": IEC 62056-21 sign-on with hand-over to HDLC, "c": its read-out alone; or
                                   # "mbus", "p1", "sml", "raw": nothing is answered, meters push: in wired M-Bus
                                   # frames (by default 2400 baud 8E1), as telegrams of the P1 port, as files of SML
                                   # (never ciphered), as APDUs without any frame
p1_version = 5                     # P1: DSMR 2 to 5; 2 and 3 have no CRC and no clock (by default 9600 baud 7E1, on a
                                   # pty with the parity bits), 4 and 5 have both (by default 115200 baud 8N1)
max_information = 128              # HDLC: longest information field, 8 to 2030 bytes; M-Bus: bytes of the APDU in a
                                   # frame, up to 250 (there by default 245)
window = 1                         # HDLC: frames in flight, 1 to 7
control = "run/solar.control"      # a datagram socket that takes faults as text: `flip`, `late 2.5`, ...

  [[line.fault]]                   # by schedule
  kind = "drop"                    # flip truncate double garbage_before garbage_after gap drop late wrong_fcs echo busy
                                   # lost_block doubled_block swapped_blocks refused_block aborted_blocks endless_blocks
                                   # reboot wrong_counter counter_reset wrong_baud clock_jump; none that has no meaning
                                   # on the line: no echo busy wrong_baud where nothing asks in HDLC, no wrong_fcs where
                                   # there is no check sum, over tcp and udp no flip either
  answer = 5                       # at the fifth answer on the line,
  every = 100                      # and at each hundredth after it; default: once
  seconds = 1.0                    # of gap, late and clock_jump

[source]                           # may be left out where no register names a column
csv = "campus.csv"                 # a header line of names, then decimal numbers; relative to this file
start_row = 0                      # counted from 0; after the last row the first follows
standstill = "run/standstill"      # epochs in which nothing flows and the rows wait: lines of FROM UNTIL (not
                                   # included); read again whenever it is replaced; it need not exist

[[meter]]
logical_device_name = "KFM1000000000001"   # up to 16 characters; P1: 64, Dutch meters have 17
serial = "1KFM0000000001"
server = 1                         # HDLC logical device; physical = 17 adds the lower address
deviation = 0                      # the clock's, in minutes, UTC minus local; "none" leaves it unspecified
zone = "Europe/Vienna"             # instead: the zone whose deviation and daylight saving the clock follows; P1 knows
                                   # UTC+1 and UTC+2 alone, by default those of Europe/Amsterdam
clock_error = 0                    # seconds by which the meter's clock is ahead
system_title = "4b464d0000000001"  # 8 bytes in hex, for gmac; default: made from the logical device name
push_seconds = 10                  # push name, clock and registers at each multiple of it; default: never;
                                   # ciphered (general-glo) where the meter has a client with gmac; P1 in kWh and kW,
                                   # ciphered as in Luxembourg
max_pdu = 1024                     # longest APDU in bytes: longer answers go in blocks
block_window = 3                   # offer general-block-transfer, 1 to 63 blocks in a row; default: blocks of the
                                   # services alone, one at a time

  [[meter.client]]                 # who may associate; default: client 16 without authentication
  address = 32
  auth = "lls"                     # "none", "lls" or "gmac" (HLS-5, ciphered under security suite 0)
  password = "12345678"            # with lls
  # key = "000102..."              # with gmac: encryption and authentication key, 16 bytes in hex
  # auth_key = "d0d1d2..."
  # ciphering = "glo"              # "glo" (service-specific), "general" (general-glo), "none" (HLS only)

  [[meter.register]]
  obis = "1-0:2.8.0.255"
  power = "max(0, pv - 0.5 * load)"   # watts: columns, numbers, + - * /, min(), max(); only what is positive counts
  unit = "Wh"                      # an energy (ends with h) is summed: watts x epoch_seconds / 3600 a row;
  scaler = 0                       # any other unit shows the watts as they are
  initial = 1234                   # Wh on the register at the start
  rollover = 100000000             # Wh at which it starts again; default: never
  states_unit = true               # false: the meter does not tell the register's unit

  [meter.profile]                  # the load profile; default: clock and all energy registers
  obis = "1-0:99.1.0.255"
  entries = 96                     # rows kept
  status = false                   # a status column (0-0:96.10.1.255)
  compress_time = false            # null-data for every row's time but the first
  selective_access = true
  increments = false               # each row holds its interval's energy (OBIS D = 29) instead of the registers

  [[meter.extended_register]]      # the highest average of an epoch so far, with the time at which the epoch ended
  obis = "1-0:1.6.0.255"
  power = "max(0, load - pv)"      # watts, as of a register
  unit = "W"
  scaler = 0

  [[meter.demand_register]]        # the average over the running epoch and over the last
  obis = "1-0:1.4.0.255"
  power = "max(0, load - pv)"
  unit = "W"
  scaler = 0

  [meter.disconnect_control]       # the switch at 0-0:96.3.10.255; each of these tables may be empty
  connected = true                 # output state at the start; remote disconnect and reconnect are obeyed
  mode = 2                         # control mode, 0 to 6; mode 0 allows neither

  [meter.image_transfer]           # firmware at 0-0:44.0.0.255, to be read
  block_size = 256                 # bytes
  blocks = 4                       # of the image,
  transferred = 0                  # of which so many have come
  enabled = true
  status = 0                       # 0 not initiated, 1 initiated, 2 to 4 verification, 5 to 7 activation
  identification = "KFM-2.1"       # of the image to activate, shown once all blocks have come

  [meter.activity_calendar]        # the tariff's calendar at 0-0:13.0.0.255: one season, one week, one day
  name = "campus"
  passive_name = "winter"          # the passive calendar, which a client may write and activate
  switch_hours = [6, 22]           # hours at which the day's script changes, from script 1 on

  [meter.security_setup]           # policy, suite and titles at 0-0:43.0.0.255
  version = 0                      # of the class; its policy demands of clients with gmac, in requests and responses:
  policy = 0                       # 0 to 3: nothing, authenticated, encrypted, both; in version 1 the sum of 4 and 8
                                   # for requests, 32 and 64 for responses; a client may raise it (security_activate)
  client_system_title = "4741544557415931"   # 8 bytes in hex

  [meter.iec_hdlc_setup]           # the line's parameters at 0-0:22.0.0.255; what a client writes counts once its link
                                   # is down; a pty then answers only at the speed that was written
  inactivity_time_out = 120        # seconds, as shown
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_agent.dlms.cosem.security_setup import POLICY_BITS
from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.obis import obis_bytes, obis_text
from edge_agent.dlms.units import UNIT_NUMBERS
from edge_agent.emulator.errors import EmulatorError
from edge_agent.emulator.fault_kinds import KINDS, Fault, FaultError
from edge_agent.wire.toml import Table, read_file

T = TypeVar("T")


class ConfigError(EmulatorError):
    """An entry of the emulator's file that cannot be used; the message names it."""

    code = "bad_config"


@dataclass(frozen=True)
class LineConfig:
    """The line: a pty with a symbolic link to it, a serial port, or a TCP or UDP listener."""

    link: Path | None = None
    port: str | None = None
    tcp: tuple[str, int] | None = None
    udp: tuple[str, int] | None = None
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: int = 1
    mode: str = "hdlc"
    p1_version: int = 5
    control: Path | None = None
    faults: tuple[Fault, ...] = ()
    max_information: int = 128
    window: int = 1

    @property
    def pushes_only(self) -> bool:
        """Whether nothing that arrives is answered."""
        return self.mode in PUSH_MODES

    @property
    def kind(self) -> str:
        """What faults tell lines apart by: a key of fault_kinds.NOT_ON."""
        if self.tcp is not None or self.udp is not None:
            return "tcp" if self.udp is None else "udp"
        return "p1 without CRC" if self.mode == "p1" and self.p1_version < 4 else self.mode


PUSH_MODES = ("mbus", "p1", "sml", "raw")
_DEFAULT_FORMATS = {"mbus": (2400, 8, "E"), "p1": (115200, 8, "N")}
_OLD_P1_FORMAT = (9600, 7, "E")


@dataclass(frozen=True)
class ClientConfig:
    """A client address and how it must authenticate."""

    address: int = 16
    auth: str = "none"
    password: str | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    auth_key: bytes | None = field(default=None, repr=False)
    ciphering: str = "glo"


@dataclass(frozen=True)
class RegisterConfig:
    """One register: watts as an expression, unit, scaler, and the Wh that it starts with. Without states_unit the meter
    does not tell its unit."""

    obis: str
    power: str
    unit: str = "Wh"
    scaler: int = 0
    initial: int = 0
    rollover: int | None = None
    states_unit: bool = True

    @property
    def is_energy(self) -> bool:
        """Whether the watts are summed over time."""
        return self.unit.endswith("h")

    @property
    def told_unit(self) -> str:
        """The unit that the meter tells; none where it keeps it to itself."""
        return self.unit if self.states_unit else ""


@dataclass(frozen=True)
class ProfileConfig:
    """The load profile."""

    obis: str = "1-0:99.1.0.255"
    entries: int = 96
    status: bool = False
    compress_time: bool = False
    selective_access: bool = True
    increments: bool = False


@dataclass(frozen=True)
class DisconnectConfig:
    """The switch as it stands at the start."""

    connected: bool = True
    mode: int = 2


@dataclass(frozen=True)
class ImageConfig:
    """How far a firmware image has come; block_size in bytes."""

    block_size: int = 256
    blocks: int = 4
    transferred: int = 0
    enabled: bool = True
    status: int = 0
    identification: str = "KFM-2.1"


@dataclass(frozen=True)
class CalendarConfig:
    """The names of the calendars, and the hours of the day at which the script changes."""

    name: str = "campus"
    passive_name: str = "winter"
    switch_hours: tuple[int, ...] = (6, 22)


@dataclass(frozen=True)
class SecuritySetupConfig:
    """What the security setup demands, and shows beside the meter's own system title."""

    policy: int = 0
    client_system_title: bytes = bytes(8)
    version: int = 0


@dataclass(frozen=True)
class HdlcSetupConfig:
    """What the HDLC setup shows beside the line's own parameters; in seconds."""

    inactivity_time_out: int = 120


@dataclass(frozen=True)
class MeterConfig:
    """One meter on the line."""

    logical_device_name: str
    registers: tuple[RegisterConfig, ...]
    serial: str = ""
    server: int = 1
    physical: int | None = None
    deviation: int | None = 0
    zone: str | None = None
    clock_error: int = 0
    system_title: bytes = b""
    push_seconds: int = 0
    max_pdu: int = 1024
    block_window: int = 0
    clients: tuple[ClientConfig, ...] = (ClientConfig(),)
    profile: ProfileConfig = ProfileConfig()
    extended_registers: tuple[RegisterConfig, ...] = ()
    demand_registers: tuple[RegisterConfig, ...] = ()
    disconnect: DisconnectConfig | None = None
    image: ImageConfig | None = None
    calendar: CalendarConfig | None = None
    security_setup: SecuritySetupConfig | None = None
    hdlc_setup: HdlcSetupConfig | None = None


@dataclass(frozen=True)
class EmulatorConfig:
    """The whole file. start_epoch: None for the epoch in which the emulator starts, negative for so many before it."""

    meters: tuple[MeterConfig, ...]
    line: LineConfig = LineConfig()
    epoch_seconds: int = 900
    start_epoch: int | None = None
    csv: Path | None = None
    start_row: int = 0
    standstill: Path | None = None

    @classmethod
    def read(cls, path: Path) -> EmulatorConfig:
        """Read a file; ConfigError names the entry that is wrong. Paths in it are relative to it."""
        data = read_file(path, lambda _, message: ConfigError(f"{path}: {message}"))
        return cls.from_dict(data, path.parent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], base: Path) -> EmulatorConfig:
        """Check a parsed file; ConfigError."""
        top = _Table(data, "")
        line = _line(_Table(top.typed("line", dict, {}), "line"), base)
        source = _Table(top.typed("source", dict, {}), "source")
        csv = source.typed("csv", str, None)
        start_row = source.integer("start_row", 0, 0, 1 << 31)
        standstill = source.typed("standstill", str, None)
        source.done()
        start = top.typed("start_epoch", (int, str), "now")
        if isinstance(start, str) and start != "now":
            raise ConfigError(f'start_epoch: {start!r} should be a number or "now"')
        meters = top.typed("meter", list, [])
        if not meters:
            raise ConfigError("meter: there should be at least one [[meter]]")
        config = cls(
            meters=tuple(_meter(_Table(item, f"meter[{at}]"), line) for at, item in enumerate(meters)),
            line=line,
            epoch_seconds=top.integer("epoch_seconds", 900, 1, 86400),
            start_epoch=None if isinstance(start, str) else start,
            csv=None if csv is None else base / csv,
            start_row=start_row,
            standstill=None if standstill is None else base / standstill,
        )
        top.done()
        addresses = [(meter.server, meter.physical) for meter in config.meters]
        if len(set(addresses)) != len(addresses):
            raise ConfigError("meter: two meters on the line have the same server address")
        if line.pushes_only and not any(meter.push_seconds for meter in config.meters):
            raise ConfigError(f'line.mode: on a line of mode "{line.mode}" a [[meter]] should have push_seconds')
        return config


def _refuse(key: str, message: str) -> ConfigError:
    return ConfigError(f"{key}: {message}" if key else message)


class _Table(Table):
    """A table of the emulator's file."""

    def __init__(self, data: object, name: str) -> None:
        super().__init__(data, name, _refuse)

    def typed(self, key: str, kind: Any, default: Any) -> Any:
        value = self.take(key, default)
        if value is default:
            return value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"{value!r} has the wrong type")
        return value

    def ascii(self, key: str, default: str) -> str:
        value = self.typed(key, str, default)
        if not value.isascii() or not value.isprintable():
            raise self.error(key, f"{value!r} should be ASCII characters")
        return str(value)

    def host_and_port(self, key: str) -> tuple[str, int] | None:
        value = self.typed(key, str, None)
        if value is None:
            return None
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise self.error(key, f'{value!r} should be "host:port"')
        return host.strip("[]"), int(port)

    def obis(self, key: str, default: str | None) -> str:
        value = self.typed(key, str, default)
        if value is None:
            raise self.error(key, "missing")
        try:
            return obis_text(obis_bytes(value))
        except DlmsError as error:
            raise self.error(key, f"{error}") from error


def _client(table: _Table) -> ClientConfig:
    config = ClientConfig(
        address=table.integer("address", 16, 1, 127),
        auth=table.choice("auth", "none", ("none", "lls", "gmac")),
        password=table.typed("password", str, None),
        key=table.octets("key", 16),
        auth_key=table.octets("auth_key", 16),
        ciphering=table.choice("ciphering", "glo", ("glo", "general", "none")),
    )
    if (config.auth == "gmac") != (config.key is not None and config.auth_key is not None):
        raise table.error("key", 'key and auth_key go with auth = "gmac"')
    if (config.auth == "lls") != (config.password is not None):
        raise table.error("password", 'goes with auth = "lls"')
    table.done()
    return config


def _line(table: _Table, base: Path) -> LineConfig:
    link, port = table.typed("link", str, None), table.typed("port", str, None)
    tcp, udp = table.host_and_port("tcp"), table.host_and_port("udp")
    if sum(place is not None for place in (link, port, tcp, udp)) > 1:
        raise table.error("link", "a line has one of link, port, tcp and udp")
    control = table.typed("control", str, None)
    mode = table.choice("mode", "hdlc", ("hdlc", "c", "e", *PUSH_MODES))
    if mode != "hdlc" and (tcp is not None or udp is not None):
        raise table.error("mode", f'"{mode}" is for a link or port; tcp and udp have the DLMS wrapper')
    if mode != "p1" and table.has("p1_version"):
        raise table.error("p1_version", 'goes with mode = "p1"')
    version = table.integer("p1_version", 5, 2, 5)
    baudrate, bytesize, parity = _DEFAULT_FORMATS.get(mode, (9600, 8, "N"))
    if mode == "p1" and version < 4:
        baudrate, bytesize, parity = _OLD_P1_FORMAT
    faults = [
        _fault(_Table(item, table.within(f"fault[{at}]"))) for at, item in enumerate(table.typed("fault", list, []))
    ]
    config = LineConfig(
        link=None if link is None else base / link,
        port=port,
        tcp=tcp,
        udp=udp,
        baudrate=table.integer("baudrate", baudrate, 300, 4_000_000),
        bytesize=table.integer("bytesize", bytesize, 7, 8),
        parity=table.choice("parity", parity, ("N", "E", "O")),
        stopbits=table.integer("stopbits", 1, 1, 2),
        mode=mode,
        p1_version=version,
        control=None if control is None else base / control,
        faults=tuple(faults),
        max_information=table.integer(
            "max_information", 245 if mode == "mbus" else 128, 8, 250 if mode == "mbus" else 2030
        ),
        window=table.integer("window", 1, 1, 7),
    )
    table.done()
    for at, fault in enumerate(config.faults):
        try:
            fault.check(config.kind)
        except FaultError as error:
            raise table.error(f"fault[{at}].kind", str(error)) from error
    return config


def _fault(table: _Table) -> Fault:
    seconds = table.typed("seconds", (int, float), 1.0)
    answer, every = table.integer("answer", 1, 1, 1 << 31), table.integer("every", 0, 0, 1 << 31)
    kind = table.choice("kind", "", KINDS)
    table.done()
    try:
        return Fault(kind, answer, every, float(seconds))
    except (FaultError, OverflowError) as error:
        raise table.error("seconds", f"{error}") from error


def _disconnect(table: _Table) -> DisconnectConfig:
    return DisconnectConfig(table.typed("connected", bool, True), table.integer("mode", 2, 0, 6))


def _image(table: _Table) -> ImageConfig:
    blocks = table.integer("blocks", 4, 1, 100_000)
    return ImageConfig(
        table.integer("block_size", 256, 1, 65535),
        blocks,
        table.integer("transferred", 0, 0, blocks),
        table.typed("enabled", bool, True),
        table.integer("status", 0, 0, 7),
        table.ascii("identification", "KFM-2.1"),
    )


def _calendar(table: _Table) -> CalendarConfig:
    hours = table.typed("switch_hours", list, [6, 22])
    if not hours or any(type(hour) is not int or not 0 <= hour <= 23 for hour in hours) or hours != sorted(set(hours)):
        raise table.error("switch_hours", "should be hours from 0 to 23, in their order")
    return CalendarConfig(table.ascii("name", "campus"), table.ascii("passive_name", "winter"), tuple(hours))


def _security_setup(table: _Table) -> SecuritySetupConfig:
    version = table.integer("version", 0, 0, 1)
    bits = POLICY_BITS[version]
    policy = table.integer("policy", 0, 0, bits)
    if policy & ~bits:
        raise table.error("policy", f"{policy} should be a sum of 4, 8, 32 and 64")
    return SecuritySetupConfig(policy, table.octets("client_system_title", 8) or bytes(8), version)


def _hdlc_setup(table: _Table) -> HdlcSetupConfig:
    return HdlcSetupConfig(table.integer("inactivity_time_out", 120, 0, 65535))


def _optional(meter: _Table, key: str, parse: Callable[[_Table], T]) -> T | None:
    """A table that may be left out; there, even empty, it makes an object."""
    if not meter.has(key):
        return None
    table = _Table(meter.typed(key, dict, {}), meter.within(key))
    parsed = parse(table)
    table.done()
    return parsed


def _powers(meter: _Table, key: str) -> tuple[RegisterConfig, ...]:
    """Registers of averages, in watts."""
    found = []
    for at, item in enumerate(meter.typed(key, list, [])):
        in_watts = {"unit": "W", **item} if isinstance(item, Mapping) else item
        table = _Table(in_watts, meter.within(f"{key}[{at}]"))
        config = _register(table)
        if config.is_energy:
            raise table.error("unit", f"{config.unit} is an energy; an average has a unit such as W")
        found.append(config)
    return tuple(found)


def _register(table: _Table) -> RegisterConfig:
    power = table.typed("power", (str, int), None)
    if power is None:
        raise table.error("power", "missing: an expression over the columns, in watts")
    config = RegisterConfig(
        obis=table.obis("obis", None),
        power=str(power),
        unit=table.choice("unit", "Wh", tuple(UNIT_NUMBERS)),
        scaler=table.integer("scaler", 0, -9, 9),
        initial=table.integer("initial", 0, 0, 1 << 60),
        rollover=table.integer("rollover", 1, 1, 1 << 62) if table.has("rollover") else None,
        states_unit=bool(table.typed("states_unit", bool, True)),
    )
    table.done()
    return config


def _check_p1(table: _Table, config: MeterConfig, version: int) -> None:
    """What a P1 telegram cannot say of a meter."""
    ciphered = any(client.auth == "gmac" for client in config.clients)
    if ciphered and version < 4:
        raise table.error("client", f"DSMR {version} knows no ciphered telegrams: p1_version 4 or 5")
    if any(character in "/!" for character in config.serial):
        raise table.error("serial", f"{config.serial!r} holds / or !, which start and end a P1 telegram")
    if config.zone is None:
        offsets = {None if config.deviation is None else -config.deviation}
    else:
        zone = ZoneInfo(config.zone)
        moments = [datetime(2026, month, 15, tzinfo=zone) for month in range(1, 13)]
        offsets = {(moment.utcoffset() or timedelta()) // timedelta(minutes=1) for moment in moments}
    if not offsets <= {60, 120}:
        key = "deviation" if config.zone is None else "zone"
        raise table.error(key, "the P1 clock shows UTC+1 or UTC+2: -60, -120, or a zone with these")


LONGEST_NUMBER = 64
"""Characters of a meter's number where it is no logical device name of COSEM, as maps take it."""


def _meter(table: _Table, line: LineConfig) -> MeterConfig:
    p1 = line.mode == "p1"
    name, most = table.typed("logical_device_name", str, None), LONGEST_NUMBER if p1 else 16
    if name is None or not name.isascii() or not 1 <= len(name) <= most:
        raise table.error("logical_device_name", f"should be 1 to {most} ASCII characters")
    own_zone = "Europe/Amsterdam" if p1 and not table.has("deviation") else None
    deviation = table.typed("deviation", (int, str), 0)
    if deviation == "none":
        deviation = None
    elif not isinstance(deviation, int) or not -840 <= deviation <= 840:
        raise table.error("deviation", f'{deviation!r} should be minutes from -840 to 840, or "none"')
    zone = table.typed("zone", str, own_zone)
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise table.error("zone", f"{zone!r} is not a time zone") from error
    registers = table.typed("register", list, [])
    clients = table.typed("client", list, [])
    profile = _Table(table.typed("profile", dict, {}), table.within("profile"))
    physical = table.typed("physical", int, None)
    config = MeterConfig(
        logical_device_name=name,
        serial=table.ascii("serial", name),
        registers=tuple(_register(_Table(item, table.within(f"register[{at}]"))) for at, item in enumerate(registers)),
        server=table.integer("server", 1, 1, 0xFF if line.mode == "mbus" else 0x3FFF),
        physical=physical,
        deviation=deviation,
        zone=zone,
        clock_error=table.integer("clock_error", 0, -(1 << 31), 1 << 31),
        system_title=table.octets("system_title", 8) or b"KFM" + hashlib.sha256(name.encode()).digest()[:5],
        push_seconds=table.integer("push_seconds", 0, 0, 86400),
        max_pdu=table.integer("max_pdu", 1024, 64, 65535 if line.udp is None else 65000),
        block_window=table.integer("block_window", 0, 0, 63),
        clients=tuple(_client(_Table(item, table.within(f"client[{at}]"))) for at, item in enumerate(clients))
        or (ClientConfig(),),
        profile=ProfileConfig(
            obis=profile.obis("obis", "1-0:99.1.0.255"),
            entries=profile.integer("entries", 96, 1, 100_000),
            status=profile.typed("status", bool, False),
            compress_time=profile.typed("compress_time", bool, False),
            selective_access=profile.typed("selective_access", bool, True),
            increments=profile.typed("increments", bool, False),
        ),
        extended_registers=_powers(table, "extended_register"),
        demand_registers=_powers(table, "demand_register"),
        disconnect=_optional(table, "disconnect_control", _disconnect),
        image=_optional(table, "image_transfer", _image),
        calendar=_optional(table, "activity_calendar", _calendar),
        security_setup=_optional(table, "security_setup", _security_setup),
        hdlc_setup=_optional(table, "iec_hdlc_setup", _hdlc_setup),
    )
    profile.done()
    table.done()
    if p1:
        _check_p1(table, config, line.p1_version)
    if line.mode == "sml" and any(client.auth == "gmac" for client in config.clients):
        raise table.error("client", 'SML over a meter\'s optical head is never ciphered: leave out auth = "gmac"')
    if config.push_seconds and (line.tcp is not None or line.udp is not None):
        raise table.error("push_seconds", "over tcp and udp nothing is pushed: use a link or port")
    codes = [item.obis for item in config.registers + config.extended_registers + config.demand_registers]
    if len(set(codes)) != len(codes):
        raise table.error("register", "an OBIS code occurs twice")
    return config
