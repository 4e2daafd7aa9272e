"""The line that emulated meters share: frames to each by its HDLC address, answers back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.address import decode_address
from edge_agent.dlms.hdlc.frame import Frame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.reader import FrameReader
from edge_agent.dlms.hdlc.server_link import HdlcServerLink
from edge_agent.dlms.server import ServerSession
from edge_agent.emulator.config import ClientConfig, EmulatorConfig
from edge_agent.emulator.meter import EmulatedMeter
from edge_agent.emulator.source import Table


class EmulatedLine:
    """All meters on one line: `receive` takes what arrived and gives what to write."""

    def __init__(self, meters: Iterable[EmulatedMeter], parameters: LinkParameters) -> None:
        self.meters = list(meters)
        self.parameters = parameters
        self._reader = FrameReader()
        self._links: dict[tuple[bytes, bytes], HdlcServerLink] = {}

    @classmethod
    def build(cls, config: EmulatorConfig, now: Callable[[], float]) -> EmulatedLine:
        """The line that a file describes; SourceError where its CSV or an expression is wrong."""
        table = Table({}) if config.csv is None else Table.read(config.csv)
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
                now=now,
            )
            for meter in config.meters
        ]
        size, window = config.line.max_information, config.line.window
        return cls(meters, LinkParameters(size, size, window, window))

    def receive(self, data: bytes) -> bytes:
        """The answers to these bytes; what is no frame, or for nobody here, is passed over as a meter does."""
        out = b""
        for item in self._reader.receive(data):
            if isinstance(item, Frame):
                out += self._take(item)
        return out

    def quiet(self) -> bytes:
        """The line has been silent: what was half a frame is forgotten."""
        out = b""
        for item in self._reader.flush():
            if isinstance(item, Frame):
                out += self._take(item)
        return out

    def _take(self, frame: Frame) -> bytes:
        key = (frame.destination, frame.source)
        link = self._links.get(key)
        if link is None:
            link = self._open(frame)
            if link is None:
                return b""
            if len(self._links) > 256:
                self._links.clear()
            self._links[key] = link
        return link.take(frame)

    def _open(self, frame: Frame) -> HdlcServerLink | None:
        try:
            logical, physical = decode_address(frame.destination)
            client, _ = decode_address(frame.source)
        except DecodeError:
            return None
        for meter in self.meters:
            config = meter.config
            if config.server != logical or (config.physical is not None and physical not in (config.physical, None)):
                continue
            for allowed in config.clients:
                if allowed.address == client:
                    session = new_session(meter, allowed)
                    return HdlcServerLink(
                        frame.destination, frame.source, session.handle, self.parameters, session.reset
                    )
            return HdlcServerLink(frame.destination, frame.source, None, self.parameters)
        return None


def new_session(meter: EmulatedMeter, client: ClientConfig) -> ServerSession:
    """A session of one client with one meter."""
    password = None if client.password is None else client.password.encode("utf-8")
    return ServerSession(meter.objects, password, max_pdu=meter.config.max_pdu)
