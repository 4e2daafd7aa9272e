"""`make demo EPOCHS=2` as a newcomer runs it: two epochs over real parts, then a report whose sums meet."""

import os
import signal
import termios
import time
from pathlib import Path

import pytest
from demo_report import check_report
from running_demo import RunningDemo

from authority.collector.broker import find_mosquitto

WRONG = [["--speed", "91"], ["--day", "2016-08-04"]]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    demo = RunningDemo(tmp_path_factory.mktemp("demo"), "--epochs", "2")
    try:
        demo.status = demo.wait(400)
        yield demo
    finally:
        demo.stop()


def test_it_ends_by_itself_and_well(finished):
    assert finished.status == 0, finished.text + finished.logs()
    assert finished.leftovers() == []


def test_the_report_has_its_shape_and_its_sums_meet(finished):
    report = finished.report()
    check_report(report, 2)
    assert any(row["traded_wh"] > 0 for row in report["epochs"])
    assert report["transport"] == ("mqtt" if find_mosquitto() else "https")
    assert report["validator"] == "embedded"
    assert report["timings"]["start_ms"]["page"] > 0


def test_the_first_counted_epoch_holds_the_profiles_eleven_oclock_row(finished):
    """Surplus of three buildings at 11:00, 20 s of it, to the watt-hour that registers cut off."""
    first = finished.report()["epochs"][0]
    watts = (50_751 - 29_273 - 10_739) + 13_047 + (28_848 - 8_551)
    assert abs(first["minted_wh"] - watts * 20 // 3600) <= 6


def test_the_terminal_tells_what_happened(finished):
    text = finished.text
    assert "the page is up: http://127.0.0.1:" in text
    assert "MQTT 5" in text if find_mosquitto() else "HTTPS" in text
    for row in finished.report()["epochs"]:
        assert str(row["epoch"]) in text
    assert "\x1b" not in text


def test_the_state_stays_until_the_next_run(finished):
    home = finished.directory / ".demo"
    assert (home / "authority.db").exists()
    assert (home / "validator").is_dir()
    assert (home / "logs" / "settlement.log").exists()


def test_a_part_that_dies_ends_the_demo_and_is_named(tmp_path):
    demo = RunningDemo(tmp_path)
    try:
        demo.wait_for("emulated meters answer")
        victims = [
            line for line in _processes(tmp_path) if "edge_agent.emulator.cli" in line[1] and "research_labs" in line[1]
        ]
        assert victims
        os.kill(victims[0][0], signal.SIGKILL)
        assert demo.wait(120) == 1
        assert "meters-research_labs ended (SIGKILL)" in demo.text
        assert demo.leftovers() == []
    finally:
        demo.stop()


def test_being_told_to_stop_leaves_nothing_running(tmp_path):
    demo = RunningDemo(tmp_path, "--https")
    try:
        demo.wait_for("the page is up")
        demo.process.terminate()
        demo.wait(120)
        assert demo.leftovers() == []
        assert "Traceback" not in demo.text
        assert "HTTPS" in demo.text or "collector listens" not in demo.text
    finally:
        demo.stop()


def test_a_day_at_another_speed_pauses_and_goes_on_by_a_key_and_the_terminal_stays_as_it_was(tmp_path):
    """Two quarters of one day with a pause between them; then a pause in which it is told to stop."""
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    demo = RunningDemo(tmp_path, "--day", "2016-07-22", "--speed", "90", "--https", stdin=slave)
    try:
        first = int(demo.wait_for(r"\n *(\d+) +00:00 .* settled").group(1))
        os.write(master, b"p")
        demo.wait_for("Paused; p goes on")
        while not (held := demo.campus())["notice"].startswith("Paused at "):
            time.sleep(0.2)
        standstill = tmp_path / ".demo" / "standstill"
        assert "emulated" in held["notice"]
        begin = int(standstill.read_text())
        while time.time() < (begin + 1) * 10 + 3:
            time.sleep(0.2)
        assert demo.campus() == held
        os.write(master, b" ")
        goes_on = int(demo.wait_for(r"It goes on: epoch (\d+) holds").group(1))
        assert standstill.read_text() == f"{begin} {goes_on}\n"
        demo.wait_for(rf"\n *{goes_on} +00:\d\d .* settled")
        while (report := demo.report())["profile"][-1]["epoch"] < goes_on:
            time.sleep(0.2)
        os.write(master, b"p")
        demo.wait_for(r"(?s)Paused; p goes on.*Paused; p goes on")
        assert termios.tcgetattr(slave) != before
        demo.process.terminate()
        assert demo.wait(120) == 130
        assert termios.tcgetattr(slave) == before
        assert demo.leftovers() == []
        assert "Traceback" not in demo.text
        assert not (tmp_path / ".demo" / "page-stands").exists()
    finally:
        demo.stop()
        os.close(master)
        os.close(slave)
    quarters = {entry["epoch"]: entry["quarter"] for entry in report["profile"]}
    lived = [f"2016-07-22T00:{minutes:02}" for minutes in (0, 15, 30, 45)]
    assert report["epoch_seconds"] == 10
    assert [quarters[epoch] for epoch in range(first, begin)] == lived[: begin - first]
    assert {quarters[epoch] for epoch in range(begin, goes_on)} == {None}
    assert quarters[goes_on] == lived[begin - first]
    minted = {row["epoch"]: row["minted_wh"] for row in report["epochs"]}
    assert {minted[epoch] for epoch in range(begin, goes_on)} == {0}
    assert minted[first] > 0


def test_a_second_demo_in_the_same_place_is_refused_and_a_foreign_directory_too(tmp_path):
    first = RunningDemo(tmp_path)
    try:
        first.wait_for("the validator answers")
        (tmp_path / "second").mkdir()
        second = RunningDemo(tmp_path / "second", "--home", str(tmp_path / ".demo"))
        assert second.wait(120) == 1
        assert "home_busy" in second.text
    finally:
        first.stop()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    third = RunningDemo(tmp_path, "--home", str(tmp_path / "thesis"))
    assert third.wait(120) == 1
    assert "home_foreign" in third.text
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"


@pytest.mark.parametrize("words", [["--epochs", "0"], ["--epochs", "-1"], ["--epochs", "three"], ["--what"], *WRONG])
def test_wrong_words_are_refused_before_anything_starts(tmp_path, words):
    demo = RunningDemo(tmp_path, *words)
    assert demo.wait(120) == 2
    assert not (tmp_path / ".demo").exists()


def _processes(directory):
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words:
            yield int(entry.name), words
