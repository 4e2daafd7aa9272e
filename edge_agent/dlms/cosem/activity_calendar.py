"""Activity calendar (class 20): seasons, weeks and days of the tariff, active and to come."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import OCTETS, TIME


class ActivityCalendar(CosemObject):
    """Names are bytes; the tables are Data; the passive calendar becomes active at its time, or at once by method."""

    CLASS_ID = 20
    ATTRIBUTES = (
        Attribute(2, "calendar_name_active", OCTETS),
        Attribute(3, "season_profile_active"),
        Attribute(4, "week_profile_table_active"),
        Attribute(5, "day_profile_table_active"),
        Attribute(6, "calendar_name_passive", OCTETS, True),
        Attribute(7, "season_profile_passive", writable=True),
        Attribute(8, "week_profile_table_passive", writable=True),
        Attribute(9, "day_profile_table_passive", writable=True),
        Attribute(10, "activate_passive_calendar_time", TIME, True),
    )
    METHODS = ((1, "activate_passive_calendar"),)
