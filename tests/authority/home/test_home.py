"""The home directory: what is made, what is refused, and what an interruption leaves."""

from __future__ import annotations

import json
import ssl
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from authority.cli import main
from authority.home import certificates
from authority.home.errors import HomeError
from authority.home.home import Home
from authority.home.settings import CollectorSettings, NetworkSettings, Settings

NOW = 1_782_000_000


def code_of(path: Path) -> str:
    with pytest.raises(HomeError) as caught:
        Home.open(path)
    return caught.value.code


def test_a_home_is_made_once_and_opened_again(tmp_path: Path) -> None:
    made = Home.create(tmp_path / "h", now=NOW)
    opened = Home.open(tmp_path / "h")
    assert opened.settings == made.settings
    assert len(opened.network_id) == 8
    assert opened.operator == made.operator
    assert len({str(key.pubkey()) for key in (opened.authority, opened.operator, opened.receipt_key)}) == 3
    assert len(opened.meter_salt) == 16
    assert len(opened.wallet_key) == 32
    with pytest.raises(HomeError) as caught:
        Home.create(tmp_path / "h", now=NOW)
    assert caught.value.code == "home_exists"


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    for path in home.key_path("").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    home.key_path("operator.json").chmod(0o640)
    with pytest.raises(HomeError, match="chmod 600") as caught:
        _ = Home.open(home.path).operator
    assert caught.value.code == "key_exposed"


@pytest.mark.parametrize(("name", "code"), [("operator.json", "key_missing"), ("ca.pem", "key_missing")])
def test_a_missing_key_is_named(tmp_path: Path, name: str, code: str) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    home.key_path(name).unlink()
    opened = Home.open(home.path)
    with pytest.raises(HomeError, match=name) as caught:
        _ = opened.operator if name == "operator.json" else opened.ca_certificate
    assert caught.value.code == code


@pytest.mark.parametrize("content", ["", "[1, 2", "[1, 2]", '"text"', "[300, 1]"])
def test_a_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    home.key_path("receipt.json").write_text(content)
    with pytest.raises(HomeError) as caught:
        _ = Home.open(home.path).receipt_key
    assert caught.value.code == "key_unreadable"


def test_an_interrupted_creation_is_completed_with_the_same_keys(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    (home.path / "authority.toml").unlink()
    assert code_of(home.path) == "home_missing"
    again = Home.create(tmp_path / "h", now=NOW)
    assert again.operator == home.operator
    assert again.ca_certificate == home.ca_certificate
    assert again.meter_salt == home.meter_salt


def test_settings_round_trip_through_toml() -> None:
    settings = Settings(
        network=NetworkSettings("00ff00ff00ff00ff", 'Engineering "Department" Ü'),
        collector=CollectorSettings(names=("a.example", "10.0.0.1")),
    )
    assert Settings.from_toml(settings.to_toml()) == settings
    assert set(tomllib.loads(settings.to_toml())) >= {"network", "parameters"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[network", "not TOML"),
        ("[surprise]", "surprise"),
        ("[web]\nprot = 1", "prot"),
        ('[web]\nport = "80"', "port"),
        ("[web]\nport = true", "port"),
        ("[web]\nport = 0", "port"),
        ("[web]\nport = 70000", "port"),
        ("[validator]\nport = 65535", "subscriptions"),
        ("[collector]\nnames = []", "names"),
        ("[collector]\nnames = [1]", "names"),
        ("[epoch]\nseconds = 9", "seconds"),
        ("[epoch]\nseconds = -900", "seconds"),
        ("[epoch]\nseconds = 900.5", "seconds"),
        ("[site]\nlatitude = 91", "latitude"),
        ("web = 3", "table"),
        ('[network]\nid = "xyz"', "16 hex"),
        ("[network]\n", "init"),
    ],
)
def test_a_wrong_configuration_names_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    (home.path / "authority.toml").write_text(text)
    with pytest.raises(HomeError, match=words) as caught:
        Home.open(home.path)
    assert caught.value.code == "config_invalid"


def test_the_network_id_is_kept_for_ever(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    with pytest.raises(HomeError, match="forever"):
        home.save(replace(home.settings, network=NetworkSettings("00" * 8)))


def test_certificates_make_a_tls_context_and_are_renewed_for_new_names(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "h", now=NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.key_path("server.pem"), home.key_path("server.key"))
    first = home.key_path("server.pem").read_bytes()
    home.renew_certificates(NOW + 3600)
    assert home.key_path("server.pem").read_bytes() == first
    home.save(replace(home.settings, collector=CollectorSettings(names=("other.example",))))
    home.renew_certificates(NOW)
    second = home.key_path("server.pem").read_bytes()
    assert second != first
    home.renew_certificates(NOW + 800 * 86400)
    assert home.key_path("server.pem").read_bytes() != second
    assert len(certificates.fingerprint(home.ca_certificate)) == 10


def test_init_prints_what_the_operator_needs_and_says_no_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--home", str(tmp_path / "h"), "--epoch-seconds", "20", "--dry-run"]) == 0
    assert not (tmp_path / "h").exists()
    assert main(["init", "--home", str(tmp_path / "h"), "--epoch-seconds", "20"]) == 0
    home = Home.open(tmp_path / "h")
    assert home.settings.epoch.seconds == 20
    assert home.settings.network.id in capsys.readouterr().out
    for words in ([], ["--dry-run"]):
        assert main(["init", "--home", str(tmp_path / "h"), *words]) == 1
        assert "home_exists" in capsys.readouterr().err
    assert main(["init", "--home", str(tmp_path / "other"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["operator"] == str(Home.open(tmp_path / "other").operator.pubkey())
    assert told["changed"] is True


def test_the_operators_page_explains_every_key() -> None:
    page = (Path(__file__).parents[3] / "docs/OPERATIONS.md").read_text(encoding="utf-8")
    table = page.split("### authority.toml")[1].split("\n## ")[0]
    for name, keys in tomllib.loads(Settings().to_toml()).items():
        assert f"`[{name}]`" in table
        for key in keys:
            assert f"`{key}`" in table, f"{name}.{key}"
