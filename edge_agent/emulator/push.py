"""What emulated meters push: an APDU in the frames of the line, a telegram of the P1 port, or a file of SML."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge_agent.dlms import llc
from edge_agent.dlms.hdlc.address import encode_address
from edge_agent.dlms.hdlc.frame import FINAL, UI, HdlcFrame
from edge_agent.dlms.iec62056_21.messages import with_parity
from edge_agent.dlms.iec62056_21.p1 import write_telegram
from edge_agent.dlms.mbus import split_apdu
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.sml import write_file
from edge_agent.dlms.units import UNIT_NUMBERS, scaled_text

if TYPE_CHECKING:
    from edge_agent.emulator.config import LineConfig, MeterConfig
    from edge_agent.emulator.meter import EmulatedMeter, EmulatedRegister

PUSH_CLIENT = encode_address(32)
"""The HDLC client address that telegrams go to."""

MBUS_DESTINATION = 0x67
"""The SAP that telegrams go to on the M-Bus."""

_KILO = ("W", "VA", "var", "Wh", "VAh", "varh")


def on_the_line(data: bytes, meter: MeterConfig, line: LineConfig) -> bytes:
    """An APDU, a P1 telegram or an SML file as it goes onto a line of this mode."""
    if line.mode == "p1":
        return with_parity(data) if (line.bytesize, line.parity) == (7, "E") else data
    if line.mode in ("raw", "sml"):
        return data
    if line.mode == "mbus":
        frames = split_apdu(data, meter.server, MBUS_DESTINATION, line.max_information)
        return b"".join(frame.to_bytes() for frame in frames)
    data = llc.wrap(data, False)
    source = encode_address(meter.server, meter.physical)
    out = b""
    for at in range(0, len(data), line.max_information):
        more = at + line.max_information < len(data)
        out += HdlcFrame(PUSH_CLIENT, source, UI | FINAL, data[at : at + line.max_information], more).to_bytes()
    return out


def p1_telegram(meter: EmulatedMeter, time: float, version: int) -> bytes:
    """The telegram of DSMR `version` at a time by the meter's clock: energies and powers in kilo with three decimals.

    Versions 4 and 5 tell version and time and end with a CRC; 2 and 3 do not.
    """
    config = meter.config
    lines = []
    if version >= 4:
        lines.append(f"1-3:0.2.8({42 if version == 4 else 50})")
        lines.append(f"0-0:1.0.0({_clock(config, time)})")
    lines.append(f"0-0:96.1.1({config.logical_device_name.encode('ascii').hex().upper()})")
    lines += [_line(item, time, 6 if version >= 4 else 5) for item in meter.registers]
    return write_telegram(f"KFM5\\2{config.serial}", lines, version >= 4)


def sml_file(meter: EmulatedMeter, time: float, number: int) -> bytes:
    """The file of SML at a time by the meter's clock: its name as server id, and every register."""
    values: list[tuple[bytes, int | bytes, int | None, int | None]] = []
    for item in meter.registers:
        told = item.config.told_unit
        scale = (item.config.scaler, UNIT_NUMBERS[told]) if told else (None, None)
        values.append((obis_bytes(item.config.obis), item.raw(time), *scale))
    return write_file(meter.config.logical_device_name, values, int(time), number)


def _clock(config: MeterConfig, time: float) -> str:
    """`YYMMDDhhmmss` and S for UTC+2, W for UTC+1; the meter's file allows no others."""
    zone = ZoneInfo(config.zone) if config.zone is not None else timezone(timedelta(minutes=-(config.deviation or 0)))
    local = datetime.fromtimestamp(int(time), zone)
    return local.strftime("%y%m%d%H%M%S") + ("S" if local.utcoffset() == timedelta(hours=2) else "W")


def _line(item: EmulatedRegister, time: float, digits: int) -> str:
    config = item.config
    code = config.obis.removesuffix(".255")
    raw = item.raw(time)
    if config.unit not in _KILO:
        unit = f"*{config.unit}" if config.unit else ""
        return f"{code}({scaled_text(raw, config.scaler)}{unit})"
    value = int(raw * Fraction(10) ** config.scaler // 1)
    sign, (whole, thousandths) = "-" if value < 0 else "", divmod(abs(value), 1000)
    width = digits if config.is_energy else 2
    return f"{code}({sign}{whole:0{width}d}.{thousandths:03d}*k{config.unit})"
