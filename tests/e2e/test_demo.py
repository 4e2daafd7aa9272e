"""`make demo EPOCHS=2` as a newcomer runs it: two epochs over real parts, then a report whose sums meet."""

import os
import signal
from pathlib import Path

import pytest
from demo_report import check_report
from running_demo import RunningDemo

from authority.collector.broker import find_mosquitto

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


@pytest.mark.parametrize("words", [["--epochs", "0"], ["--epochs", "-1"], ["--epochs", "three"], ["--what"]])
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
