"""Campus plans of one member, for tests that need any."""

from __future__ import annotations


def one_meter(building: str = "A") -> bytes:
    """Dormitory A with a building meter behind a roof of 10 kW, in that building."""
    return f"""
user = [{{name = "Dormitory A", building = "{building}"}}]
installation = [{{n = 1, building = "{building}", kind = "solar", nameplate_w = 10000, since = 2020-01-01}}]
[[meter]]
name = "pv"
gateway = "gw-1"
serial = "S1"
role = "building"
source = "solar"
user = "Dormitory A"
installation = 1
""".encode()
