"""The emulated meter's objects beside its registers: averages, switch, firmware, calendar, security, the line."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from edge_agent.dlms.apdu.results import READ_WRITE_DENIED, TYPE_UNMATCHED, access_error
from edge_agent.dlms.axdr import ARRAY, BIT_STRING, ENUM, INT64, OCTET_STRING, STRUCTURE, UINT8, UINT16, UINT32
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.activity_calendar import ActivityCalendar
from edge_agent.dlms.cosem.demand_register import DemandRegister
from edge_agent.dlms.cosem.disconnect_control import (
    CONNECTED,
    DISCONNECTED,
    READY_FOR_RECONNECTION,
    DisconnectControl,
)
from edge_agent.dlms.cosem.extended_register import ExtendedRegister
from edge_agent.dlms.cosem.image_transfer import ImageTransfer
from edge_agent.dlms.cosem.security_setup import SecuritySetup, strengthens
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.units import UNIT_NUMBERS
from edge_agent.emulator.config import (
    CalendarConfig,
    DisconnectConfig,
    ImageConfig,
    MeterConfig,
    RegisterConfig,
    SecuritySetupConfig,
)
from edge_agent.emulator.source import PowerSeries

if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data
    from edge_agent.dlms.cosem.base import CosemObject

DISCONNECT = "0-0:96.3.10.255"
IMAGE_TRANSFER = "0-0:44.0.0.255"
CALENDAR = "0-0:13.0.0.255"
SECURITY_SETUP = "0-0:43.0.0.255"
TARIFF_SCRIPTS = "0-0:10.0.100.255"


class Averages:
    """Watts of a power series as a register's integers. The source is constant within an epoch: its value is the
    epoch's average."""

    def __init__(self, config: RegisterConfig, series: PowerSeries) -> None:
        self.config = config
        self.series = series

    @property
    def scaler_unit(self) -> tuple[int, int]:
        """As a register shows them."""
        return self.config.scaler, UNIT_NUMBERS[self.config.unit]

    def data(self, time: float) -> Data:
        """The average over the epoch that a time lies in."""
        return (INT64, math.floor(self.series.power(time) / Fraction(10) ** self.config.scaler))

    def highest(self, time: float) -> int:
        """The end of the epoch with the highest average among those that are over, the first of equals; the start
        where none is."""
        series = self.series
        over = series.standstill.lived(series.start_epoch, int(time // series.epoch_seconds))
        rounds = range(max(0, min(over, len(series.watts))))  # after one round the powers repeat
        epochs = (series.standstill.epoch_of(series.start_epoch, at) for at in rounds)
        times = [epoch * series.epoch_seconds for epoch in epochs if epoch is not None]
        best = max(times, key=series.power, default=series.start_epoch * series.epoch_seconds - series.epoch_seconds)
        return best + series.epoch_seconds


def extended_register(item: Averages, time: Callable[[], float], show: Callable[[float], ClockTime]) -> CosemObject:
    """The highest average so far and when it was captured."""

    def value() -> Data:
        return item.data(item.highest(time()) - item.series.epoch_seconds)

    return ExtendedRegister(
        item.config.obis,
        value=value,
        scaler_unit=item.scaler_unit,
        status=(UINT8, 0),
        capture_time=lambda: show(item.highest(time())),
    )


def demand_register(item: Averages, time: Callable[[], float], show: Callable[[float], ClockTime]) -> CosemObject:
    """The average over the running epoch and over the last."""
    period = item.series.epoch_seconds

    def start() -> float:
        return time() // period * period

    return DemandRegister(
        item.config.obis,
        current_average_value=lambda: item.data(time()),
        last_average_value=lambda: item.data(time() - period),
        scaler_unit=item.scaler_unit,
        status=(UINT8, 0),
        capture_time=lambda: show(start()),
        start_time_current=lambda: show(start()),
        period=period,
        number_of_periods=1,
    )


def disconnect_control(config: DisconnectConfig) -> CosemObject:
    """The switch. Every control mode but 0 can be disconnected remotely; 2 and 4 are reconnected so, the others are
    made ready for someone to press the meter's button."""
    state = CONNECTED if config.connected else DISCONNECTED
    switch = DisconnectControl(DISCONNECT, output_state=config.connected, control_state=state, control_mode=config.mode)

    def turn(state: int) -> None:
        if switch.values["control_mode"] == 0:
            raise access_error(READ_WRITE_DENIED, "control mode 0 leaves the switch connected")
        switch.values["control_state"] = state
        switch.values["output_state"] = state == CONNECTED

    def reconnect(_parameters: Data | None) -> None:
        if switch.values["control_state"] != CONNECTED:
            turn(CONNECTED if switch.values["control_mode"] in (2, 4) else READY_FOR_RECONNECTION)

    switch.methods = {"remote_disconnect": lambda _parameters: turn(DISCONNECTED), "remote_reconnect": reconnect}
    return switch


def image_transfer(config: ImageConfig) -> CosemObject:
    """How far the image has come."""
    done = config.transferred == config.blocks
    info: list[Data] = []
    if done:
        size, name = config.block_size * config.blocks, config.identification.encode("ascii")
        info = [(STRUCTURE, [(UINT32, size), (OCTET_STRING, name), (OCTET_STRING, b"")])]
    return ImageTransfer(
        IMAGE_TRANSFER,
        image_block_size=config.block_size,
        image_transferred_blocks_status=(
            BIT_STRING,
            "1" * config.transferred + "0" * (config.blocks - config.transferred),
        ),
        image_first_not_transferred_block_number=config.transferred,
        image_transfer_enabled=config.enabled,
        image_transfer_status=config.status,
        image_to_activate_info=(ARRAY, info),
    )


_TABLES = ("calendar_name", "season_profile", "week_profile_table", "day_profile_table")


def activity_calendar(config: CalendarConfig) -> CosemObject:
    """One season of one week of one day, active and passive alike but for the name; activating takes the passive."""
    every_day = bytes((0xFF,)) * 5 + bytes(4) + b"\x80\x00\x00"
    actions: list[Data] = [
        (
            STRUCTURE,
            [
                (OCTET_STRING, bytes((hour, 0, 0, 0))),
                (OCTET_STRING, obis_bytes(TARIFF_SCRIPTS)),
                (UINT16, script),
            ],
        )
        for script, hour in enumerate(config.switch_hours, 1)
    ]
    season: Data = (STRUCTURE, [(OCTET_STRING, b"1"), (OCTET_STRING, every_day), (OCTET_STRING, b"1")])
    week: Data = (STRUCTURE, [(OCTET_STRING, b"1")] + [(UINT8, 1)] * 7)
    day: Data = (STRUCTURE, [(UINT8, 1), (ARRAY, actions)])
    tables = {name: (ARRAY, [item]) for name, item in zip(_TABLES[1:], (season, week, day), strict=True)}
    values = {f"{name}_{side}": table for name, table in tables.items() for side in ("active", "passive")}
    calendar = ActivityCalendar(
        CALENDAR,
        calendar_name_active=config.name.encode("ascii"),
        calendar_name_passive=config.passive_name.encode("ascii"),
        activate_passive_calendar_time=ClockTime(None, None, None, None, None, None, status=0xFF),
        **values,
    )

    def activate(_parameters: Data | None) -> None:
        for name in _TABLES:
            calendar.values[f"{name}_active"] = calendar.values[f"{name}_passive"]

    calendar.methods["activate_passive_calendar"] = activate
    return calendar


def security_setup(config: SecuritySetupConfig, title: bytes) -> CosemObject:
    """The security setup, whose policy a client may raise, and nobody lower."""
    setup = SecuritySetup(
        SECURITY_SETUP,
        security_policy=config.policy,
        security_suite=0,
        client_system_title=config.client_system_title,
        server_system_title=title,
    )
    setup.VERSION = config.version

    def activate(parameters: Data | None) -> None:
        if parameters is None or parameters[0] != ENUM:
            raise access_error(TYPE_UNMATCHED, "security_activate without a policy")
        if not strengthens(parameters[1], setup.values["security_policy"], config.version):
            raise access_error(READ_WRITE_DENIED, "a weaker security policy")
        setup.values["security_policy"] = parameters[1]

    setup.methods["security_activate"] = activate
    return setup


def management_objects(
    config: MeterConfig,
    channel: CosemObject,
    series: Callable[[str], PowerSeries],
    time: Callable[[], float],
    show: Callable[[float], ClockTime],
) -> list[CosemObject]:
    """Those objects that the meter's file asks for. channel is the HDLC setup; series gives an expression's power;
    show writes a time."""
    objects: list[CosemObject] = []
    for item in config.extended_registers:
        objects.append(extended_register(Averages(item, series(item.power)), time, show))
    for item in config.demand_registers:
        objects.append(demand_register(Averages(item, series(item.power)), time, show))
    if config.disconnect is not None:
        objects.append(disconnect_control(config.disconnect))
    if config.image is not None:
        objects.append(image_transfer(config.image))
    if config.calendar is not None:
        objects.append(activity_calendar(config.calendar))
    if config.security_setup is not None:
        objects.append(security_setup(config.security_setup, config.system_title))
    if config.hdlc_setup is not None:
        objects.append(channel)
    return objects
