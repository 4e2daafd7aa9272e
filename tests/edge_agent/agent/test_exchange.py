"""An exchanged meter in gateway.toml: three entries of one meter change, and not a byte of the rest."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from documents import block

from edge_agent.agent.exchange import EditError, exchanged
from edge_agent.config import ConfigError, parse_config
from edge_agent.wire.toml import read_text

PAGE = block("METERS.md", "[gateway]")
METERS = ("building", "wing", "workshop", "roof", "old-hall")
FILE = Path("gateway.toml")


def parsed(text: str):
    return parse_config(FILE, read_text(text, lambda key, message: AssertionError(f"{key}: {message}")))


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


@pytest.mark.parametrize("meter", METERS)
def test_the_page_s_own_file(meter):
    register = next(iter(parsed(PAGE).meter(meter).map.registers))
    after = exchanged(FILE, PAGE, meter, "9NEW", "KFM9", {register: 8_123_400})
    config = parsed(after)
    assert (config.meter(meter).serial, config.meter(meter).map.logical_device_name) == ("9NEW", "KFM9")
    assert config.meter(meter).map.offset_wh == {register: 8_123_400}
    assert [config.meter(each) for each in METERS if each != meter] == [
        parsed(PAGE).meter(each) for each in METERS if each != meter
    ]
    assert len(changed_lines(PAGE, after)) == 5  # two lines for two, and a new one
    assert PAGE.count("#") == after.count("#")


def test_a_second_exchange_replaces_the_offsets_of_the_first():
    once = exchanged(FILE, PAGE, "wing", "A", "KFM8", {"consumption": 5})
    twice = exchanged(FILE, once, "wing", "B", "KFM9", {"consumption": -7})
    assert parsed(twice).meter("wing").map.offset_wh == {"consumption": -7}
    none = exchanged(FILE, twice, "wing", "C", "KFM9", {})
    assert parsed(none).meter("wing").map.offset_wh == {}


def test_offsets_in_a_table_of_their_own_are_replaced_too():
    text = PAGE.replace(
        'consumption = ["1-0:1.8.0.255", 1]\n\n[[meter]]                                # pull, but',
        'consumption = ["1-0:1.8.0.255", 1]\n  [meter.map.offset_wh]\n  consumption = 3\n\n[[meter]]  # pull, but',
    )
    assert parsed(text).meter("wing").map.offset_wh == {"consumption": 3}
    after = exchanged(FILE, text, "wing", "A", "KFM8", {"consumption": 5})
    assert parsed(after).meter("wing").map.offset_wh == {"consumption": 5}


def test_doing_it_twice_is_doing_it_once():
    once = exchanged(FILE, PAGE, "roof", "A", "KFM8", {"generation": 5})
    assert exchanged(FILE, once, "roof", "A", "KFM8", {"generation": 5}) == once


def test_a_file_that_is_written_otherwise_is_left_alone():
    head, meters = PAGE.split("[[meter]]", 1)
    compact = (
        head + 'meter = [{ name = "roof", serial = "1", port = "/dev/p", map = { logical_device_name = "K", '
        'capture_period = 900, registers = { generation = ["1-0:2.8.0.255", 1] } } }]\n'
    )
    compact = compact.replace("[gateway]", "gateway = {", 1).replace('north-hall"', 'north-hall",', 1)
    compact = compact.replace('"state"', '"state",', 1).replace('8443"', '8443" }', 1).replace("{\n", "{ ")
    compact = compact.replace(",\n", ", ")
    assert meters
    parsed(compact)
    with pytest.raises(EditError, match="by hand"):
        exchanged(FILE, compact, "roof", "2", "K2", {})


def test_what_would_not_do_is_refused_before_anything_is_written():
    with pytest.raises(ConfigError, match="no meter is called"):
        exchanged(FILE, PAGE, "attic", "A", "K", {})
    with pytest.raises(ConfigError, match="also the serial"):
        exchanged(FILE, PAGE, "roof", "1KFM0000000005", "K", {})
    with pytest.raises(ConfigError, match="no such register"):
        exchanged(FILE, PAGE, "roof", "A", "K", {"consumption": 1})
