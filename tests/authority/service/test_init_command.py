"""`authority init`: what goes wrong is said in a sentence, and leaves nothing behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authority.app import App
from authority.cli import main
from authority.home.home import Home
from authority.validator.ledger import Ledger
from edge_agent.wire.command import FAILED, USAGE


@pytest.mark.finding("ops-20")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--store", "postgresql+psycopg://nobody@127.0.0.1:1/none"], "store_unreachable"),
        (["--store", "nonsense://"], "store_url"),
        (["--store", "sqlite:////nonexistent/directory/x.db"], "store_unreachable"),
        (["--name", "bad name!"], "wrong_name"),
        (["--name", "*.campus.example"], "wrong_name"),
        (["--name", "energy.campus.example", "--name", ""], "wrong_name"),
        (["--name", "300.1.1.1"], "wrong_name"),
        (["--mqtt", "mqtt://broker"], "wrong_name"),
        (["--organisation", ""], "config_invalid"),
        (["--organisation", "x" * 65], "config_invalid"),
        (["--epoch-seconds", "1"], "config_invalid"),
    ],
)
def test_a_wrong_word_leaves_nothing(
    words: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    assert main(["init", "--home", str(home), *words]) == (USAGE if code == "config_invalid" else FAILED)
    assert f"{code}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["init", "--home", str(home)]) == 0  # the corrected command


@pytest.mark.finding("ops-20")
def test_a_database_of_another_network_leaves_nothing(
    tmp_path: Path, postgres: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres()
    assert main(["init", "--home", str(tmp_path / "first"), "--store", url]) == 0
    assert main(["init", "--home", str(tmp_path / "second"), "--store", url]) == 1
    assert "store_in_use" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


@pytest.mark.finding("ops-20")
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "home", Path("/proc/home")):
        assert main(["init", "--home", str(place)]) == 1
        assert "home_unwritable" in capsys.readouterr().err


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask of an ordinary shell, and a worse one."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.finding("ops-25")
@pytest.mark.usefixtures("open_umask")
def test_nobody_else_may_read_a_file_of_the_home(tmp_path: Path) -> None:
    """Whatever the umask, while the databases are open (their logs lie beside them), and where one was open to all."""
    path = tmp_path / "home"
    assert main(["init", "--home", str(path)]) == 0
    assert main(["collector", "broker", str(path / "broker"), "--home", str(path)]) == 0
    app = App.open(path)
    ledger = Ledger(app.home.validator_directory)
    try:
        with app.store.write():
            pass
        assert set(os.listdir(path / "validator")) >= {"ledger.db", "ledger.db-wal"}
        assert readable(path) == []
    finally:
        ledger.close()
        app.store.close()
    (path / "authority.db").chmod(0o644)
    (path / "validator/ledger.db").chmod(0o644)
    App.open(path).store.close()
    Ledger(Home.open(path).validator_directory).close()
    assert readable(path) == []


def readable(path: Path) -> list[str]:
    """Files and directories that others than the owner may do anything with."""
    return [str(each) for each in (path, *path.rglob("*")) if stat.S_IMODE(each.stat().st_mode) & 0o077]
