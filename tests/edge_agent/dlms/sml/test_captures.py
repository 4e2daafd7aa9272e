"""SML: captures of real meters, noise in whole frames, and what the stream makes of files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge_agent.dlms import sml
from edge_agent.dlms.hdlc.checksum import checksum_bytes
from edge_agent.dlms.push.stream import TelegramStream
from edge_agent.dlms.push.telegram import decode_telegrams
from edge_agent.dlms.push.unframe import SML, detect_link, has_noise

ACTIVE_IN, ACTIVE_OUT, POWER = "1-0:1.8.0.255", "1-0:2.8.0.255", "1-0:16.7.0.255"

CAPTURES = {
    "iskra_mt175": [("1ISK0075126084", {ACTIVE_IN: "79139.3 Wh", ACTIVE_OUT: "0.0 Wh", POWER: "2144 W"})],
    "ebz_dd3": [(None, {ACTIVE_IN: "450091.89911 Wh", ACTIVE_OUT: "2198.00000 Wh", POWER: "352.89 W"})],
    "holley_dtz541": [
        ("1HLY0200879590", {ACTIVE_IN: "2355929.0 Wh", POWER: "376 W"}),
        ("1HLY0200879590", {ACTIVE_IN: "2355929.1 Wh", POWER: "374 W"}),
    ],
    "dzg_dvs7420": [("1DZG0060694611", {ACTIVE_IN: "13232.9 Wh", ACTIVE_OUT: "1500321.3 Wh", POWER: "-105.50 W"})],
    "itron_openway_3hz": [("1ITR0055046208", {ACTIVE_IN: "25892776.1 Wh", POWER: "542 W"})],
    "dr_neuhaus_smarty": [("0901444e540100002030", {ACTIVE_OUT: "4373.0 Wh", "1-0:15.7.0.255": "0 W"})],
    "apator": [("1APA0189477330", {ACTIVE_IN: "449720.8 Wh", ACTIVE_OUT: "1206.5 Wh", "1-0:14.7.0.255": "50.0 Hz"})],
}


def capture(name: str) -> bytes:
    return bytes.fromhex((Path(__file__).parent / f"{name}.hex").read_text())


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_of_real_meters(name):
    data = capture(name)
    assert detect_link(data) == SML
    telegrams = decode_telegrams(data)
    assert [(telegram.meter, telegram.errors) for telegram in telegrams] == [(m, []) for m, _ in CAPTURES[name]]
    for telegram, (_, values) in zip(telegrams, CAPTURES[name], strict=True):
        said = {code: f"{reading.value} {reading.unit}" for code, reading in telegram.values.items()}
        assert values.items() <= said.items()
    assert has_noise(data, SML) == (name == "apator")


def test_a_capture_that_was_altered_has_no_values():
    (telegram,) = decode_telegrams(capture("easymeter_q3b_altered"))
    assert (telegram.values, [error.code for error in telegram.errors]) == ({}, ["bad_crc"])


def _framed(content: bytes) -> bytes:
    fill = -len(content) % 4
    data = sml.START + content + bytes(fill) + sml.ESCAPE + bytes((0x1A, fill))
    return data + checksum_bytes(data)


def test_noise_makes_no_values():
    rng = random.Random(7)  # noqa: S311 - no secret
    for _ in range(300):
        content = bytes(rng.choices((0x00, 0x01, 0x1B, 0x62, 0x65, 0x72, 0x76, 0x77, 0xFF, rng.randrange(256)), k=64))
        for file in sml.read_files(_framed(content)):
            assert file.errors
            assert not file.values


@pytest.mark.parametrize("name", CAPTURES)
def test_a_stream_takes_each_file_with_its_last_byte(name):
    data = capture(name)
    stream, taken = TelegramStream(), []
    for at in range(len(data)):
        taken += [(at + 1, found) for found in stream.receive(data[at : at + 1])]
    ends = sml.file_ends(data)
    assert [at for at, _ in taken] == ends
    assert [telegram.meter for _, found in taken for telegram in found.telegrams] == [m for m, _ in CAPTURES[name]]


def test_a_stream_that_starts_within_a_file_reads_the_next():
    data = capture("holley_dtz541")
    stream = TelegramStream()
    taken = [found for piece in (data[100:300], data[300:]) for found in stream.receive(piece)]
    assert [telegram.values[ACTIVE_IN].value for found in taken for telegram in found.telegrams] == ["2355929.1"]
    assert taken[0].noise


def test_a_silence_within_a_file_waits_for_the_rest():
    data = capture("iskra_mt175")
    stream = TelegramStream()
    assert stream.receive(data[:100]) == []
    assert stream.quiet() == []
    (found,) = stream.receive(data[100:])
    assert found.telegrams[0].values
    assert not found.noise


def test_a_file_that_never_ends_is_given_up():
    stream = TelegramStream()
    assert stream.receive(capture("iskra_mt175")[:100]) == []
    (found,) = stream.end()
    assert [error.code for telegram in found.telegrams for error in telegram.errors] == ["cut_short"]
