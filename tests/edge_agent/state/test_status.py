import json
import os
import time

import pytest

from edge_agent.state.status import NoStatusError, StatusBoard, StatusError, age, problems, read_status, render


class Now:
    def __init__(self):
        self.at = 1_750_000_000.0

    def __call__(self):
        return self.at


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def board(now):
    made = StatusBoard("dormitory-a", now)
    made.add_meter("solar", port="/dev/ttyUSB0")
    made.set(
        uplink={"configured": "auto", "kind": "mqtt", "connected": True, "since": int(now())},
        journal={"depth": 0, "waiting": 0, "parked": 0, "refused": 0, "superseded": 0, "quota": 100},
    )
    return made


def test_each_stage_has_its_age(board, now, tmp_path):
    board.count("solar", "bytes", 120)
    now.at += 60
    board.stage("solar", "signed")
    now.at += 30
    board.write(tmp_path)
    stages = read_status(tmp_path)["meters"]["solar"]["stages"]
    assert (stages["bytes"]["count"], stages["signed"]["count"]) == (120, 1)
    page = render(read_status(tmp_path), now())
    assert "90 s  (120)" in page
    assert "30 s  (1)" in page
    assert "never  (0)" in page


def test_an_error_is_new_once_and_goes(board):
    assert board.error("line", "timeout", "no answer", meter="solar")
    assert not board.error("line", "timeout", "no answer", meter="solar")
    assert board.error("line", "wrong_password", "the meter refuses the password", meter="solar")
    assert board.clear("line", meter="solar")
    assert not board.clear("line", meter="solar")


def test_since_stays_and_at_moves(board, now):
    board.error("journal", "journal_full", "full")
    now.at += 600
    board.error("journal", "journal_full", "full")
    error = board.snapshot()["errors"]["journal"]
    assert error["at"] - error["since"] == 600


def test_problems_are_sentences(board, now, tmp_path):
    board.error("line", "wrong_password", "the meter refuses the password", meter="solar")
    board.write(tmp_path)
    status = read_status(tmp_path)
    status["running"] = True
    assert problems(status, now()) == ["solar: wrong_password: the meter refuses the password"]
    assert "PROBLEM" in render(status, now())
    board.clear("line", meter="solar")
    board.write(tmp_path)
    status = {**read_status(tmp_path), "running": True}
    assert problems(status, now()) == []
    assert "stuck" in problems(status, now() + 600)[0]


def test_a_process_that_is_gone_is_not_running(board, tmp_path):
    board.set(pid=2**22 + 1)
    board.write(tmp_path)
    assert read_status(tmp_path)["running"] is False
    assert "the agent is not running" in problems(read_status(tmp_path), 0)


def test_the_authority_is_not_told_the_process_number(board):
    assert "pid" not in board.summary()
    json.dumps(board.summary())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"version": 99}', b"\xff"])
def test_a_status_file_that_is_none(tmp_path, content):
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(StatusError) as caught:
        read_status(tmp_path)
    assert caught.value.code == "status_unreadable"


def test_no_status_yet(tmp_path):
    with pytest.raises(StatusError) as caught:
        read_status(tmp_path)
    assert caught.value.code == "no_status"


def test_the_file_is_whole_at_any_time(board, tmp_path):
    for _ in range(20):
        board.write(tmp_path)
    assert os.listdir(tmp_path) == ["status.json"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "never"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d"), (-5, "in 5 s")],
)
def test_ages(seconds, text):
    assert age(None if seconds is None else 1000 - seconds, 1000) == text


def test_the_status_lies_in_memory_where_the_service_has_a_place_there(tmp_path, monkeypatch):
    """As systemd's RuntimeDirectory= has it: an SD card is not written to, and who reads the status notices nothing."""
    state, runtime = tmp_path / "state", tmp_path / "run"
    state.mkdir()
    runtime.mkdir()
    board = StatusBoard("g", time.time)
    board.write(state)
    assert not (state / "status.json").is_symlink()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{runtime}:/run/another")
    for _ in range(2):
        board.write(state)
    assert read_status(state)["gateway"] == "g"
    assert (state / "status.json").readlink() == runtime / "status.json"
    assert [path.name for path in (*state.iterdir(), *runtime.iterdir())] == ["status.json", "status.json"]
    (runtime / "status.json").unlink()  # the machine was started anew
    with pytest.raises(NoStatusError, match="since this machine started"):
        read_status(state)
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    board.write(state)
    assert not (state / "status.json").is_symlink()
    assert read_status(state)["gateway"] == "g"
