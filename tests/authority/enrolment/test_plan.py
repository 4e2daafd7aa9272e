"""The campus plan: what it says, what is refused and how, and that applying it again changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import select

from authority.app import App
from authority.enrolment import plan, wallets
from authority.enrolment.plan import PlanError
from authority.enrolment.wallets import WalletError
from authority.store.log import Act
from authority.store.metering import Gateway, Meter
from authority.store.people import Installation, User

PLAN = """
[[user]]
name = "Dormitory Ä"
building = "Dormitory A"
public = true

[[installation]]
n = 1
building = "Dormitory A"
kind = "solar"
nameplate_w = 120_000
since = 2016-07-01

[[installation]]
n = 2
building = "Dormitory A"
kind = "load"
nameplate_w = 90_000
since = 2016-07-01

[[meter]]
name = "solar"
gateway = "dormitory-a"
serial = "S1"
role = "generation"
source = "solar"
user = "Dormitory Ä"
installation = 1

[[meter]]
name = "load"
gateway = "dormitory-a"
serial = "S2"
role = "load"
user = "Dormitory Ä"
installation = 2
"""


def apply(app: App, text: str, now: int = 1) -> plan.Applied:
    with app.store.write() as session:
        return plan.apply(session, plan.parse(text.encode()), app.home, actor="operator", now=now, random=os.urandom)


def test_a_plan_becomes_users_installations_gateways_and_meters(app: App) -> None:
    act = apply(app, PLAN)
    with app.store.read() as session:
        user = session.scalars(select(User)).one()
        assert (user.name, user.building, user.public, user.member_index) == ("Dormitory Ä", "Dormitory A", True, None)
        installation = session.get(Installation, 1)
        assert installation is not None
        assert (installation.nameplate_w, installation.storage_wh, installation.since) == (120_000, 0, 1_467_331_200)
        gateway = session.get(Gateway, "dormitory-a")
        assert gateway is not None
        assert [(meter.name, meter.role, meter.source, meter.state) for meter in gateway.meters] == [
            ("load", "load", "none", "expected"),
            ("solar", "generation", "solar", "expected"),
        ]
        logged = session.get(Act, act.act)
        assert logged is not None
        assert (logged.kind, logged.data["users"]) == ("campus_plan", 1)
        assert "Dormitory" not in str(logged.data)  # who owns a wallet is not the log's business


def test_applying_again_keeps_wallets_and_takes_corrections(app: App) -> None:
    apply(app, PLAN)
    with app.store.read() as session:
        wallet = session.scalars(select(User.wallet)).one()
    apply(app, PLAN.replace("public = true", "").replace("90_000", "95_000"), 2)
    with app.store.read() as session:
        user = session.scalars(select(User)).one()
        assert (user.wallet, user.public) == (wallet, False)
        assert session.get_one(Installation, 2).nameplate_w == 95_000


def test_what_is_in_use_cannot_be_changed_by_a_plan(app: App) -> None:
    apply(app, PLAN)
    with app.store.write() as session:
        session.get_one(Installation, 1).registered_at = 5
        meter = session.scalars(select(Meter).where(Meter.serial == "S2")).one()
        meter.public_key = bytes(32)
    apply(app, PLAN)
    for change in (
        PLAN.replace("120_000", "130_000"),
        PLAN.replace('role = "load"', 'role = "submeter"').replace('"generation"', '"submeter"'),
    ):
        with pytest.raises(PlanError) as caught:
            apply(app, change)
        assert caught.value.code == "plan_conflict"
    with pytest.raises(PlanError, match="authority meters exchange dormitory-a/load --serial S9"):
        apply(app, PLAN.replace('"S2"', '"S9"'))


def test_a_meter_that_is_anothers_now_is_told_by_the_members_names(app: App) -> None:
    apply(app, PLAN)
    with app.store.write() as session:
        meter = session.scalars(select(Meter).where(Meter.serial == "S2")).one()
        meter.public_key = bytes(32)
        meter.user = User(name="Fay", building="A", wallet="f")
    with pytest.raises(PlanError, match=r"S2 is Fay's .* meters reassign dormitory-a/load --to 'Dormitory Ä'"):
        apply(app, PLAN)


def test_a_device_that_was_exchanged_and_stands_elsewhere_is_told_what_to_write(app: App) -> None:
    apply(app, PLAN)
    with app.store.write() as session:
        session.scalars(select(Meter).where(Meter.serial == "S2")).one().serial = "S7"
    plans = PLAN.replace('"S2"', '"S7"')
    second = plans.index("[[meter]]", plans.index("[[meter]]") + 1)
    elsewhere = plans[second:].replace('"load"', '"load2"', 1).replace('"S7"', '"S2"')
    with pytest.raises(PlanError, match=r"S2 was the first device of dormitory-a/load, .* such as S2-2"):
        apply(app, plans + elsewhere)
    assert apply(app, plans + elsewhere.replace('"S2"', '"S2-2"')).added == 1


def test_names_that_look_alike_are_one_members(app: App) -> None:
    apply(app, PLAN)
    decomposed = PLAN.replace("Dormitory Ä", "Dormitory A\N{COMBINING DIAERESIS} ")
    assert apply(app, decomposed).act is None
    with pytest.raises(PlanError, match="former member"):
        apply(app, PLAN.replace("Dormitory Ä", "former member 3"))


def test_a_member_has_as_many_meters_as_the_registry_takes(app: App) -> None:
    meter = PLAN[PLAN.rindex("[[meter]]") :]
    more = [meter.replace('"load"', f'"load{n}"', 1).replace('"S2"', f'"S{n}"') for n in range(3, 26)]
    assert apply(app, PLAN + "".join(more[:-1])).added
    with pytest.raises(PlanError, match="at most 24 meters"):
        apply(app, PLAN + "".join(more))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[[user]]", "[[user"), "TOML"),
        (("[[user]]", "[[person]]"), "person"),
        (("[[user]]", "[user]"), r"\[\[user\]\]"),
        (('building = "Dormitory A"\npublic', 'bilding = "Dormitory A"\npublic'), "bilding"),
        (("public = true", 'public = "yes"'), "public"),
        (("nameplate_w = 120_000", "nameplate_w = 0"), "nameplate_w"),
        (("nameplate_w = 120_000", "nameplate_w = 120000.5"), "nameplate_w"),
        (("nameplate_w = 120_000\n", ""), "nameplate_w"),
        (('kind = "solar"', 'kind = "coal"'), "coal"),
        (("since = 2016-07-01", 'since = "yesterday"'), "since"),
        (("since = 2016-07-01", "since = 2016-07-01T00:00:00Z"), "since"),
        (('"dormitory-a"', '"Dormitory A"'), "gateway"),
        (('"dormitory-a"', '"a/b"'), "gateway"),
        (('"dormitory-a"', '"authority-collector"'), "gateway"),
        (('name = "solar"', 'name = "sol+ar"'), "name"),
        (('role = "generation"', 'role = "producer"'), "producer"),
        (('source = "solar"', 'source = "none"'), "source"),
        (('role = "load"', 'role = "load"\nsource = "solar"'), "no source"),
        (('source = "solar"', 'source = "wind"'), "wind or mixed"),
        (('role = "load"', 'role = "storage"'), "storage or mixed"),
        (('"S2"', '"S1"'), "twice"),
        (('name = "load"', 'name = "solar"'), "twice"),
        (("n = 2", "n = 1"), "twice"),
        (("installation = 2", "installation = 3"), "installation"),
        (('user = "Dormitory Ä"\ninstallation = 2', 'user = "Nobody"\ninstallation = 2'), "Nobody"),
        (('role = "load"', 'role = "building"'), "building meter"),
        (('role = "load"', 'role = "submeter"'), "settles only"),
        (('kind = "solar"', 'kind = "solar"\nstorage_wh = 5'), "storage"),
    ],
)
def test_a_wrong_plan_names_the_entry(change: tuple[str, str], words: str) -> None:
    assert change[0] in PLAN
    with pytest.raises(PlanError, match=words) as caught:
        plan.parse(PLAN.replace(*change).encode())
    assert caught.value.code == "plan_invalid"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(PlanError):
        plan.parse(b"\xff\xfe")


def test_the_demos_plan_is_one() -> None:
    path = Path(__file__).parents[3] / "authority" / "demo" / "campus.toml"
    read = plan.parse(path.read_bytes())
    assert len(read.users) == 8


def test_a_wallet_opens_with_its_key_and_no_other(app: App) -> None:
    apply(app, PLAN)
    with app.store.write() as session:
        user = session.scalars(select(User)).one()
        assert user.sealed_key is not None
        assert str(wallets.unseal(app.home, user).pubkey()) == user.wallet
        good = user.sealed_key
        for bad in (b"", good[:-1], good[:-1] + bytes([good[-1] ^ 1]), b"\x02" + good[1:]):
            user.sealed_key = bad
            with pytest.raises(WalletError) as caught:
                wallets.unseal(app.home, user)
            assert caught.value.code == "seal_broken"
        other_address, other_sealed = wallets.make(app.home.wallet_key, os.urandom)
        user.sealed_key = other_sealed
        with pytest.raises(WalletError):
            wallets.unseal(app.home, user)
        user.wallet = other_address
        assert str(wallets.unseal(app.home, user).pubkey()) == other_address
        user.sealed_key = None
        with pytest.raises(WalletError) as caught:
            wallets.unseal(app.home, user)
        assert caught.value.code == "not_custodial"
