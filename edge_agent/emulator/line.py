"""The line that emulated meters share: frames to each by its HDLC address, answers back."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.address import decode_address
from edge_agent.dlms.hdlc.frame import HdlcFrame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.reader import FrameReader
from edge_agent.dlms.hdlc.server_link import CONNECTED, HdlcServerLink
from edge_agent.dlms.iec62056_21.messages import Identification
from edge_agent.dlms.iec62056_21.server import HDLC, Iec21Server
from edge_agent.dlms.server import ServerSession
from edge_agent.dlms.wrapper import WrapperUnit, read_unit
from edge_agent.emulator.config import EmulatorConfig, LineConfig
from edge_agent.emulator.meter import EmulatedMeter
from edge_agent.emulator.push import on_the_line
from edge_agent.emulator.session import new_session
from edge_agent.emulator.source import Table
from edge_agent.wire.standstill import Standstill


class EmulatedLine:
    """All meters on one line: `receive` takes what arrived and gives what to write."""

    def __init__(self, meters: Iterable[EmulatedMeter], config: LineConfig) -> None:
        self.meters = list(meters)
        self.config = config
        size, window = config.max_information, config.window
        self.parameters = LinkParameters(size, size, window, window)
        self._connections: weakref.WeakSet[WrapperConnection] = weakref.WeakSet()
        self._reader = FrameReader()
        self.sign_on: Iec21Server | None = None
        self.garbled = False  # as with another speed at the other end
        self.heard_at: int | None = None  # the speed of the other end, where it is known
        self._links: dict[tuple[bytes, bytes], HdlcServerLink] = {}
        self._owners: dict[tuple[bytes, bytes], EmulatedMeter] = {}

    @classmethod
    def build(cls, config: EmulatorConfig, now: Callable[[], float]) -> EmulatedLine:
        """The line that a file describes; SourceError where its CSV or an expression is wrong, StandstillError."""
        table = Table({}) if config.csv is None else Table.read(config.csv)
        standstill = Standstill(config.standstill)
        _ = standstill.spans  # what cannot be read is said at the start
        start = config.start_epoch
        if start is None or start < 0:
            start = int(now() // config.epoch_seconds) + (start or 0)
        meters = [
            EmulatedMeter(
                meter,
                table,
                epoch_seconds=config.epoch_seconds,
                start_epoch=start,
                start_row=config.start_row,
                standstill=standstill,
                now=now,
                line=config.line,
            )
            for meter in config.meters
        ]
        server = None
        if config.line.mode in ("c", "e"):
            first = meters[0]
            enhanced = "2" if config.line.mode == "e" else ""
            identification = Identification("KFM", "5", first.config.logical_device_name, enhanced)
            server = Iec21Server(identification, first.readout_lines, first.config.serial)
        line = cls(meters, config.line)
        line.sign_on = server
        return line

    def forget(self) -> None:
        """Every meter reboots: links and associations are gone."""
        self._links.clear()
        self._settle()
        for connection in self._connections:
            connection.forget()

    @property
    def engaged(self) -> bool:
        """Whether a client has a link to one of the meters, or may sign on."""
        if self.sign_on is not None and self.sign_on.state != HDLC:
            return True
        return any(link.state == CONNECTED for link in self._links.values())

    def connect(self) -> WrapperConnection:
        """A new connection to the meters by the wrapper."""
        connection = WrapperConnection(self.meters)
        self._connections.add(connection)
        return connection

    def make_busy(self) -> None:
        """Every link answers the next time that it is not ready."""
        for link in self._links.values():
            link.busy = True

    def receive(self, data: bytes) -> bytes:
        """The answers to these bytes; what is not a frame, or for nobody here, is passed over as a meter does."""
        out = b""
        if self.config.pushes_only:
            return out
        if self.sign_on is not None:
            was = self.sign_on.state
            out = self.sign_on.receive(data)
            if self.sign_on.state != HDLC or was != HDLC:
                if out[:1] == b"/":
                    self.garbled = False
                    self.forget()
                return out
        for item in self._reader.receive(data):
            if isinstance(item, HdlcFrame):
                out += self._take(item)
        if not self.garbled or not out:
            return out
        if self.sign_on is None:
            self.garbled = False  # no sign-on could ever repair it
        return bytes([byte ^ 0x55 for byte in out])

    def push(self, meter: EmulatedMeter) -> bytes:
        """The telegram that a meter has to push, as it goes onto the line; empty where none is due."""
        data = meter.push()
        return b"" if data is None else on_the_line(data, meter.config, self.config)

    def quiet(self) -> bytes:
        """The line has been silent: what was half a frame is forgotten."""
        out = b""
        for item in self._reader.flush():
            if isinstance(item, HdlcFrame):
                out += self._take(item)
        return out

    def _take(self, frame: HdlcFrame) -> bytes:
        key = (frame.destination, frame.source)
        link, meter = self._links.get(key), self._owners.get(key)
        if link is None or meter is None:
            meter = self._addressed(frame)
            if meter is None:
                return b""
            if len(self._links) > 256:
                self._links.clear()
                self._owners.clear()
            link = self._links[key] = self._open(frame, meter)
            self._owners[key] = meter
        if self.heard_at is not None and self.sign_on is None and meter.channel.speed not in (None, self.heard_at):
            return b""  # noise, to a meter of another speed; a sign-on settles the speed by itself
        answer = link.take(frame)
        if frame.kind == "DISC":
            self._settle()
        return answer

    def _settle(self) -> None:
        """What was written to a meter's HDLC setup counts once none of its links is up."""
        busy = {id(self._owners[key]) for key, link in self._links.items() if link.state == CONNECTED}
        for meter in self.meters:
            if meter.channel.changed and id(meter) not in busy:
                meter.channel.apply()
                for key in [key for key, owner in self._owners.items() if owner is meter]:
                    del self._owners[key]
                    self._links.pop(key, None)

    @property
    def speed(self) -> int | None:
        """The speed that a client has given a meter of this line; None where it is as at the start."""
        return next((meter.channel.speed for meter in self.meters if meter.channel.speed is not None), None)

    @property
    def inter_octet(self) -> float | None:
        """Seconds of silence within a frame that a client has allowed; None where it is as at the start."""
        return max((meter.channel.inter_octet or 0.0 for meter in self.meters), default=0.0) or None

    def _addressed(self, frame: HdlcFrame) -> EmulatedMeter | None:
        """The meter that a frame is for."""
        try:
            logical, physical = decode_address(frame.destination)
            decode_address(frame.source)
        except DecodeError:
            return None
        for meter in self.meters:
            own = meter.channel.physical
            if meter.config.server == logical and (own is None or physical in (own, None)):
                return meter
        return None

    def _open(self, frame: HdlcFrame, meter: EmulatedMeter) -> HdlcServerLink:
        client, _ = decode_address(frame.source)
        parameters = meter.channel.parameters
        for allowed in meter.config.clients:
            if allowed.address == client:
                session = new_session(meter, allowed)
                return HdlcServerLink(frame.destination, frame.source, session.handle, parameters, session.reset)
        return HdlcServerLink(frame.destination, frame.source, None, parameters)


class WrapperConnection:
    """One client's TCP connection or datagrams to the meters: wrapper ports are client address and logical device."""

    def __init__(self, meters: Iterable[EmulatedMeter]) -> None:
        self.meters = {meter.config.server: meter for meter in meters}
        self._buffer = b""
        self._sessions: dict[tuple[int, int], ServerSession] = {}

    def forget(self) -> None:
        """The meters reboot: associations are gone."""
        self._sessions.clear()

    def receive(self, data: bytes) -> bytes:
        """The answers to these bytes; DecodeError where they are not the wrapper's: the connection must close."""
        self._buffer += data
        out = b""
        while True:
            unit, end = read_unit(self._buffer, 0)
            if unit is None:
                return out
            self._buffer = self._buffer[end:]
            session = self._session(unit.source, unit.destination)
            for answer in [] if session is None else session.handle(unit.apdu):
                out += WrapperUnit(unit.destination, unit.source, answer).to_bytes()

    def receive_datagram(self, data: bytes) -> bytes:
        """The answer to one datagram; nothing to one that is not exactly a wrapper unit."""
        try:
            WrapperUnit.from_bytes(data)
        except DecodeError:
            return b""
        return self.receive(data)

    def _session(self, client: int, server: int) -> ServerSession | None:
        key = (client, server)
        if key not in self._sessions:
            meter = self.meters.get(server)
            for allowed in () if meter is None else meter.config.clients:
                if meter is not None and allowed.address == client:
                    self._sessions[key] = new_session(meter, allowed)
        return self._sessions.get(key)
