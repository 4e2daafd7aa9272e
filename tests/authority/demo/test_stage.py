"""The demo's directory: emptied where it is a demo's, left alone where it is anything else, held by one demo."""

import socket

import pytest
from free_ports import free_port

from authority.demo.children import DemoError
from authority.demo.stage import MARK, Ports, Stage


def test_a_new_directory_is_made_and_an_earlier_demos_is_emptied(tmp_path):
    home = tmp_path / "here" / ".demo"
    with Stage.take(home):
        (home / "keys").mkdir()
        (home / "keys" / "ca.key").write_text("secret")
        (home / "link").symlink_to(tmp_path)
        (tmp_path / "precious").write_text("kept")
    with Stage.take(home) as stage:
        assert [entry.name for entry in home.iterdir()] == [MARK]
        assert stage.logs == home / "logs"
        assert home.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.parametrize("content", ["authority.toml", "thesis.tex"])
def test_a_directory_that_is_not_a_demos_is_not_touched(tmp_path, content):
    (tmp_path / content).write_text("precious")
    with pytest.raises(DemoError, match="is not a demo's directory") as caught:
        Stage.take(tmp_path)
    assert caught.value.code == "home_foreign"
    assert [entry.name for entry in tmp_path.iterdir()] == [content]


def test_a_file_in_its_place_is_not_touched(tmp_path):
    (tmp_path / "demo").write_text("precious")
    with pytest.raises(DemoError):
        Stage.take(tmp_path / "demo")
    assert (tmp_path / "demo").read_text() == "precious"


def test_an_empty_directory_will_do(tmp_path):
    with Stage.take(tmp_path):
        assert (tmp_path / MARK).exists()


def test_two_demos_do_not_share_one(tmp_path):
    with Stage.take(tmp_path):
        (tmp_path / "authority.db").write_text("in use")
        with pytest.raises(DemoError) as caught:
            Stage.take(tmp_path)
        assert caught.value.code == "home_busy"
        assert (tmp_path / "authority.db").exists()
    with Stage.take(tmp_path):
        pass


def test_ports_are_free_and_differ():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = Ports.free()
        numbers = [ports.web, ports.collector, ports.mqtt, ports.validator]
        assert len(set(numbers)) == 4
        assert taken.getsockname()[1] not in numbers
        free = free_port()
        assert Ports.free(free).web == free
