"""authority.toml as people write it: comments, order and spelling survive what the authority rewrites."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.errors import USAGE
from authority.home.errors import HomeError
from authority.home.home import Home
from authority.home.settings import CONFIG_NAME, CollectorSettings, MqttSettings, Settings, StoreSettings, WebSettings

NOW = 1_782_000_000
EDITED = """\
# Ours: kept by the metering group, room 214.
[web]
port = 8080   # the campus's proxy knows this one
notice = "Maintenance on Sunday"

[network]
id = "c0ffee0123456789"

[collector]
# the gateways' network
host = "10.20.0.1"
names = [
    "energy.campus.example",  # what gateways dial
]
"""


def test_rewriting_keeps_comments_and_changes_what_changed(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", Settings.from_toml(EDITED), now=NOW)
    (home.path / CONFIG_NAME).write_text(EDITED, encoding="utf-8")
    home = Home.open(home.path)
    home.save(replace(home.settings, web=replace(home.settings.web, port=9090)))
    text = (home.path / CONFIG_NAME).read_text(encoding="utf-8")
    for comment in ("# Ours: kept by the metering group", "# the gateways' network", "# what gateways dial"):
        assert comment in text
    assert "port = 9090   # the campus's proxy knows this one" in text
    assert Home.open(home.path).settings == home.settings
    assert home.settings.web == WebSettings(port=9090, notice="Maintenance on Sunday")


def test_rewriting_without_a_change_changes_no_line_that_is_there(tmp_path: Path) -> None:
    written = Settings.from_toml(EDITED).to_toml(EDITED)
    lines = iter(written.splitlines())
    assert all(line in lines for line in EDITED.splitlines())


@given(
    names=st.lists(st.text(min_size=1), min_size=1).map(tuple),
    notice=st.text(st.characters(exclude_categories=["Cs"])),
    url=st.text(st.characters(exclude_categories=["Cs"])),
    host=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_is_written_is_read_again(names: tuple[str, ...], notice: str, url: str, host: str) -> None:
    settings = Settings(
        collector=CollectorSettings(names=names),
        web=WebSettings(notice=notice),
        store=StoreSettings(url),
        mqtt=MqttSettings(host),
    )
    for before in ("", Settings().to_toml()):
        written = settings.to_toml(before)
        assert Settings.from_toml(written) == settings
        assert set(tomllib.loads(written)) == {table.name for table in fields(Settings)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[web]\nport = ", "not TOML"),
        ("[wbe]\n", "wbe: not a key of this table; it takes alerts, billing, collector, "),
        ("web = 7\n", "[web]: should be a table"),
        ("[web]\nprot = 7\n", "[web] prot: not a key of this table; it takes host, "),
        ('[web]\nport = "8000"\n', "[web] port: '8000' should be like 8000"),
        ("[web]\nport = true\n", "[web] port: True should be like 8000"),
        ("[web]\nport = 0\n", "[web] port must be 1 to 65535"),
        ("[site]\nlatitude = 91.0\n", "[site] latitude must be -90 to 90"),
        ('[site]\nzone = "Berlin"\n', "[site] zone must be an IANA time zone, not 'Berlin'"),
        ('[billing]\ncalendar = "week"\n', "[billing] calendar must be one of fixed, month"),
        ('[billing]\ncurrency = "Euro"\n', "[billing] currency is three capitals"),
        ('[billing]\nstatement_columns = ["date=Day", "text=Text"]\n', "[billing] statement_columns are texts such as"),
        ('[billing]\nstatement_columns = ["date=D", "text=", "amount=A"]\n', "[billing] statement_columns are texts"),
        ('[billing]\nstatement_decimal = "x"\n', "[billing] statement_decimal is"),
        ('[billing]\niban = "DE88370400440532013000"\n', "[billing] iban is no IBAN"),
        ('[billing]\npromptpay = "0994000165501"\n', "[billing] promptpay is the biller id"),
        ('[billing]\nbic = "MARK"\n', "[billing] bic is eight or eleven"),
        ('[network]\nid = "c0ffee"\n', "[network] id must be 16 hex digits"),
    ],
)
def test_each_mistake_has_its_sentence(text: str, says: str) -> None:
    with pytest.raises(HomeError) as caught:
        Settings.from_toml(text)
    assert says in str(caught.value)
    assert (caught.value.code, caught.value.exit_status) == ("config_invalid", USAGE)
