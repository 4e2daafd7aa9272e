"""A meter's own HDLC channel as its setup object (class 23) describes it.

What a client writes is shown at once and counts from the next connection on, once no link to the meter is up any more:
window sizes and lengths in what the meter agrees to, the device address as its lower HDLC address, the time between
octets as the silence after which half a frame is forgotten, and the speed. A pty has no speed of its own; there the
meter hears and answers only a reader that has set its end to the speed that was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_agent.dlms.apdu.results import OTHER_REASON, access_error
from edge_agent.dlms.cosem.iec_hdlc_setup import SPEEDS, IecHdlcSetup
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.emulator.config import LineConfig, MeterConfig

if TYPE_CHECKING:
    from edge_agent.dlms.cosem.base import Attribute

HDLC_SETUP = "0-0:22.0.0.255"

RANGES = {
    "comm_speed": (0, len(SPEEDS) - 1),
    "window_size_transmit": (1, 7),
    "window_size_receive": (1, 7),
    "max_info_field_length_transmit": (32, 2030),
    "max_info_field_length_receive": (32, 2030),
    "inter_octet_time_out": (20, 6000),
    "inactivity_time_out": (0, 0xFFFF),
    "device_address": (0x10, 0x3FFD),
}
"""What may be written; other device addresses are reserved."""


class HdlcChannel:
    """The parameters in force. speed and inter_octet (seconds) are None until a client has written them."""

    def __init__(self, config: MeterConfig, line: LineConfig) -> None:
        size, window = line.max_information, line.window
        self.parameters = LinkParameters(size, size, window, window)
        self.physical = config.physical
        self.speed: int | None = None
        self.inter_octet: float | None = None
        self.changed = False
        self._written: set[str] = set()
        self.setup = _EmulatedSetup(self, config, line)

    def write(self, name: str) -> None:
        """An attribute of the setup was written."""
        self._written.add(name)
        self.changed = True

    def apply(self) -> None:
        """No link is up: what was written counts from here on."""
        values = self.setup.values
        self.parameters = LinkParameters(
            values["max_info_field_length_transmit"],
            values["max_info_field_length_receive"],
            values["window_size_transmit"],
            values["window_size_receive"],
        )
        if "device_address" in self._written:
            self.physical = values["device_address"]
        if "comm_speed" in self._written:
            self.speed = SPEEDS[values["comm_speed"]]
        if "inter_octet_time_out" in self._written:
            self.inter_octet = values["inter_octet_time_out"] / 1000
        self.changed = False


class _EmulatedSetup(IecHdlcSetup):
    def __init__(self, channel: HdlcChannel, config: MeterConfig, line: LineConfig) -> None:
        speed = SPEEDS.index(line.baudrate) if line.baudrate in SPEEDS else SPEEDS.index(9600)
        super().__init__(
            HDLC_SETUP,
            comm_speed=speed,
            window_size_transmit=line.window,
            window_size_receive=line.window,
            max_info_field_length_transmit=line.max_information,
            max_info_field_length_receive=line.max_information,
            inter_octet_time_out=25,
            inactivity_time_out=0 if config.hdlc_setup is None else config.hdlc_setup.inactivity_time_out,
            device_address=config.physical if config.physical is not None else config.server,
        )
        self._channel = channel

    def store(self, attribute: Attribute, value: Any) -> None:
        """Show what was written; DataAccessError for what no channel can do."""
        low, high = RANGES[attribute.name]
        if not low <= value <= high:
            raise access_error(OTHER_REASON, f"{attribute.name} {value}")
        super().store(attribute, value)
        self._channel.write(attribute.name)
