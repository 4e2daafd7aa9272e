"""The emulator's file, its exact registers, and its command."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from emulator_process import ENVIRONMENT, start

from edge_agent.dlms.axdr import plain
from edge_agent.emulator.config import ConfigError, EmulatorConfig
from edge_agent.emulator.line import EmulatedLine
from edge_agent.emulator.source import Expression, PowerSeries, SourceError, Table
from edge_agent.wire.standstill import Standstill, StandstillError

METER = {"logical_device_name": "KFM1000000000001"}
REGISTER = {"obis": "1-0:1.8.0.255", "power": "1"}
HIGHEST = {"obis": "1-0:1.6.0.255", "power": "3600", "unit": "W"}


def _build(data, now, base=Path()):
    return EmulatedLine.build(EmulatorConfig.from_dict(data, base), lambda: now)


def test_registers_are_exact_sums_of_the_rows():
    table = Table({"pv": [Fraction("1000.1"), Fraction(0), Fraction("33.3")]})
    series = PowerSeries(Expression("pv").over(table), start_epoch=100, start_row=1, epoch_seconds=20)
    assert series.energy(99 * 20) == 0
    assert series.energy(100 * 20) == 0
    assert series.energy(101 * 20) == 0  # row 1
    assert series.energy(102 * 20) == Fraction("33.3") * 20 / 3600
    assert series.energy(103 * 20) == Fraction("1033.4") * 20 / 3600
    assert series.energy(103 * 20 + 5) == series.energy(103 * 20)
    assert series.energy(102 * 20 + 5) == (Fraction("33.3") * 20 + Fraction("1000.1") * 5) / 3600
    assert series.energy((100 + 3000) * 20) == 1000 * Fraction("1033.4") * 20 / 3600
    assert series.power(102 * 20) == Fraction("1000.1")
    assert series.power(0) == 0


def test_expressions():
    table = Table({"pv": [Fraction(3), Fraction(-2)], "load": [Fraction(5), Fraction("0.1")]})
    for text, values in (
        ("pv - load", [-2, Fraction("-2.1")]),
        ("max(0, load - pv) * 2", [4, Fraction("4.2")]),
        ("min(pv, load, 1) / 4 + 0.1", [Fraction("0.35"), Fraction("-0.4")]),
        ("-(pv + 1e3)", [-1003, -998]),
        ("42", [42, 42]),
    ):
        assert Expression(text).over(table) == values, text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pv +",
        "nothing",
        "pv ** 2",
        "pv.real",
        "__import__('os')",
        "pv / 0",
        "'a'",
        "abs(pv)",
        "pv if pv else 1",
        "True",
    ],
)
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(SourceError):
        Expression(text).over(Table({"pv": [Fraction(1)]}))


def test_only_what_is_positive_counts():
    config = {
        "epoch_seconds": 3600,
        "start_epoch": 0,
        "meter": [
            {
                **METER,
                "register": [
                    {"obis": "1-0:1.8.0.255", "power": "-5"},
                    {"obis": "1-0:2.8.0.255", "power": "5", "initial": 100, "scaler": -2},
                    {"obis": "1-0:16.7.0.255", "power": "-5", "unit": "W"},
                ],
            }
        ],
    }
    line = _build(config, 7200)
    assert [item.raw(7200) for item in line.meters[0].registers] == [0, 11000, -5]


def test_the_profile_keeps_its_last_rows_at_exact_boundaries():
    config = {
        "epoch_seconds": 20,
        "start_epoch": 10,
        "meter": [{**METER, "register": [REGISTER], "profile": {"entries": 4}}],
    }
    for now, epochs in ((199, []), (200, [10]), (219.9, [10]), (220, [10, 11]), (10_000, [497, 498, 499, 500])):
        line = _build(config, now)
        assert list(line.meters[0].boundaries()) == [epoch * 20 for epoch in epochs]
        assert len(line.meters[0].rows()) == len(epochs)


def test_the_same_file_and_time_give_the_same_meter():
    config = {"epoch_seconds": 20, "start_epoch": 10, "meter": [{**METER, "register": [REGISTER]}]}
    first, second = (_build(config, 100_000).meters[0] for _ in range(2))
    assert [[plain(value) for value in row] for row in first.rows()] == [
        [plain(value) for value in row] for row in second.rows()
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"meter": []}, "meter"),
        ({"extra": 1}, "extra"),
        ({"epoch_seconds": 0}, "epoch_seconds"),
        ({"epoch_seconds": True}, "epoch_seconds"),
        ({"start_epoch": "then"}, "start_epoch"),
        ({"line": {"window": 8}}, "line.window"),
        ({"line": {"parity": "X"}}, "line.parity"),
        ({"line": {"tcp": "nowhere"}}, "line.tcp"),
        ({"line": []}, "line"),
        ({"meter": [{}]}, "logical_device_name"),
        ({"meter": [{**METER, "deviation": 900}]}, "deviation"),
        ({"meter": [{**METER, "register": [{"obis": "1.8", "power": "1"}]}]}, "register[0].obis"),
        ({"meter": [{**METER, "register": [{"obis": "1-0:1.8.0.255"}]}]}, "register[0].power"),
        ({"meter": [{**METER, "register": [REGISTER, REGISTER]}]}, "twice"),
        ({"meter": [{**METER, "register": [{**REGISTER, "unit": "horsepower"}]}]}, "unit"),
        ({"meter": [{**METER, "client": [{"auth": "lls"}]}]}, "password"),
        ({"meter": [{**METER, "client": [{"auth": "gmac"}]}]}, "key"),
        ({"meter": [{**METER, "client": [{"auth": "gmac", "key": "zz", "auth_key": "00"}]}]}, "key"),
        ({"meter": [METER, METER]}, "same server address"),
    ],
)
def test_mistakes_in_the_file_are_named(change, word):
    with pytest.raises(ConfigError, match=word.replace("[", r"\[")):
        EmulatorConfig.from_dict({"meter": [METER], **change}, Path())


def test_the_example_file_works():
    import edge_agent.emulator

    config = EmulatorConfig.read(Path(edge_agent.emulator.__file__).with_name("example.toml"))
    assert len(EmulatedLine.build(config, lambda: 1e9).meters[0].rows()) == 96


@pytest.mark.parametrize(
    ("csv", "word"),
    [(None, "cannot be read"), ("a,b\n", "no rows"), ("a\nx\n", "no column"), ("a\n1\n", "the columns are a")],
)
def test_csv_files_that_cannot_be_used(tmp_path, csv, word):
    if csv is not None:
        (tmp_path / "p.csv").write_text(csv)
    config = {"source": {"csv": "p.csv"}, "meter": [{**METER, "register": [{**REGISTER, "power": "pv"}]}]}
    with pytest.raises(SourceError, match=word):
        _build(config, 0, tmp_path)


def test_bytes_that_are_no_frame_get_no_answer():
    line = _build({"meter": [METER]}, 0)
    assert line.receive(b"\x00\x7e\x7e\xff" * 100) == b""
    assert line.receive(bytes.fromhex("7ea00703219 30f017e".replace(" ", ""))) != b""
    assert line.receive(bytes.fromhex("7ea007032193")) == b""
    assert line.quiet() == b""
    assert line.receive(bytes.fromhex("7ea00703219 30f017e".replace(" ", ""))) != b""


def _run(*arguments):
    command = [sys.executable, "-m", "edge_agent.emulator.cli", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_explains_its_file():
    done = _run("--help")
    assert done.returncode == 0
    assert "logical_device_name" in done.stdout
    assert "epoch_seconds" in done.stdout


def test_the_command_names_mistakes(tmp_path):
    done = _run(str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "no such file" in done.stderr
    file = tmp_path / "a.toml"
    file.write_text("meter = 3")
    assert _run(str(file)).returncode == 2
    file.write_text('[line]\nport = "/nowhere"\n[[meter]]\nlogical_device_name = "A"\n')
    done = _run(str(file))
    assert done.returncode == 1
    assert "/nowhere" in done.stderr


def test_sigterm_ends_it_and_takes_the_link_away(tmp_path):
    running = start(tmp_path, '[line]\nlink = "deep/meter"\n[[meter]]\nlogical_device_name = "A"\n')
    assert (tmp_path / "deep" / "meter").is_symlink()
    assert running.stop() == 0
    assert not (tmp_path / "deep" / "meter").is_symlink()


def test_in_a_standstill_nothing_flows_and_the_rows_wait():
    table = Table({"pv": [Fraction(1000), Fraction(2000), Fraction(4000)]})
    rest = Standstill()
    series = PowerSeries(Expression("pv").over(table), 100, 0, 20, rest)
    free = PowerSeries(Expression("pv").over(table), 100, 0, 20)
    rest.stand(102)
    rest.go_on(105)
    assert [series.power(epoch * 20) for epoch in range(100, 107)] == [1000, 2000, 0, 0, 0, 4000, 1000]
    for seconds in range(0, 40, 7):
        assert series.energy(2000 + seconds) == free.energy(2000 + seconds)
        assert series.energy(2040 + seconds) == free.energy(2040)
        assert series.energy(2100 + seconds) == free.energy(2040 + seconds)


def test_an_emulator_reads_its_standstills_again(tmp_path):
    file = tmp_path / "standstill"
    data = {
        "epoch_seconds": 20,
        "start_epoch": 10,
        "source": {"standstill": "standstill"},
        "meter": [{**METER, "register": [{**REGISTER, "power": "3600"}], "extended_register": [HIGHEST]}],
    }
    (meter,) = _build(data, 300, tmp_path).meters
    (register,) = meter.registers
    assert register.raw(300) == 100
    Standstill(file).stand(12)
    assert (register.raw(240), register.raw(300)) == (40, 40)
    file.write_text("none\n")
    with pytest.raises(StandstillError, match="two epoch numbers"):
        register.raw(300)
    with pytest.raises(StandstillError, match="two epoch numbers"):
        _build(data, 300, tmp_path)
