"""Members' webhooks: told once, signed, tried again and given up; and nothing inside is ever spoken to."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from people_site import PeopleSite, application, build, no_chain
from sample_market import add_book

from authority.app import App
from authority.collector.ingest import Collector
from authority.monitoring.delivery import SIGNATURE_HEADER
from authority.monitoring.member_hooks import send_due
from authority.people import records, webhooks
from authority.people.errors import AddressRefusedError, NotTakenError
from authority.people.outside import Outside, is_public
from authority.people.roles import MEMBER
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.metering import Meter
from authority.store.people import User
from authority.store.persons import Person, Webhook, WebhookDelivery

STEP = 900
ALL = ["bill_issued", "order_filled", "epoch_cleared", "meter_silent"]


@pytest.fixture
def store_url() -> str:
    return ""


class Receiver:
    """A program of a member's, behind TLS, on this machine."""

    def __init__(self, receiver: Any, app: App) -> None:
        self.server = receiver
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(app.home.key_path("server.pem"), app.home.key_path("server.key"))
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        self.url = f"https://localhost:{receiver.server.server_address[1]}/hook?campus=1"
        trusted = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
        self.looked_up: list[str] = []
        self.outside = Outside(self._resolve, lambda _: True, trusted)

    def _resolve(self, host: str, _port: int) -> list[str]:
        self.looked_up.append(host)
        return ["127.0.0.1"]

    @property
    def told(self) -> list[Any]:
        return [json.loads(body) for _, body in self.server.posts]


@pytest.fixture
def program(receiver: Any, app: App) -> Receiver:
    return Receiver(receiver, app)


@pytest.fixture
def site(app: App, clock: Any, add_meter: Any) -> PeopleSite:
    settings = app.home.settings
    app.home.settings = replace(settings, web=replace(settings.web, webhooks=True))
    add_meter()  # of somebody else
    made = build(app, first_installation=7)
    with app.store.write() as session:
        session.get_one(User, made.members["Dormitory A"].id).member_index = 1
    return made


def rewired(site: PeopleSite, outside: Outside) -> PeopleSite:
    """The same site with another way out."""
    site.flask = application(site.app, no_chain, outside)
    return site


def make(site: PeopleSite, url: str, status: int = 200, once: str = "", **more: Any) -> str:
    client = site.client(MEMBER)
    page = client.get("/account/webhooks").text
    once = once or re.findall(r'name="once" value="([^"]+)"', page)[0]
    form = site.form(MEMBER, url=url, event=ALL, once=once, **more)
    answer = client.post("/account/webhooks", data=form)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def issue(app: App, member: User, number: int) -> None:
    with app.store.write() as session:
        if session.get(BillingPeriod, 0) is None:
            session.add(
                BillingPeriod(
                    period=0, first_epoch=1, end_epoch=2, closed_at=1, closed_by="x", log_index=0, issued_at=1,
                    bills=1, due=5,
                )
            )  # fmt: skip
            session.flush()
        session.add(
            IssuedBill(
                number=number, period=number, wallet=member.wallet, document=b"{}", sha256=bytes(32), due=5,
                log_index=number, issued_at=1,
            )
        )  # fmt: skip


def test_what_happens_is_told_once_signed_and_to_whom_it_belongs(
    site: PeopleSite, program: Receiver, clock: Any
) -> None:
    site = rewired(site, program.outside)
    app, epoch = site.app, clock.now // STEP
    page = make(site, program.url)
    secret = re.findall(r"<code>([\w-]{43})</code>", page)[0]
    assert secret not in site.client(MEMBER).get("/account/webhooks").text
    assert send_due(app, program.outside) == 0, "nothing that was before"
    issue(app, site.members["Dormitory A"], 1)
    issue(app, site.members["Dormitory B"], 2)
    fill = (200_000, 500, 500, 1)
    add_book(app, epoch, 200_000, [fill], [(200_000, 500, 500, 0)])
    add_book(app, epoch + 1, 210_000, [(210_000, 100, 100, 3)], [(210_000, 100, 100, 0)])
    for _ in range(2):
        send_due(app, program.outside)
    told = {(each["event"], each["id"].partition(":")[2]): each["data"] for each in program.told}
    assert len(told) == len(program.told) == 4
    assert told["bill_issued", "bill:1"] == {"bill": 1, "due_micro_credits": 5, "period": 1}
    filled = told["order_filled", f"fill:{epoch}:0"]
    assert (filled["side"], filled["filled_wh"], filled["price_micro_credits_per_kwh"]) == ("bid", 500, 200_000)
    cleared = told["epoch_cleared", f"epoch:{epoch + 1}"]
    assert (cleared["price_micro_credits_per_kwh"], cleared["traded_wh"]) == (None, None), "two members traded alone"
    headers, body = program.server.posts[0]
    stamp, tag = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers[SIGNATURE_HEADER]).groups()  # type: ignore[union-attr]
    assert int(stamp) == clock.now
    assert hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest() == tag
    assert headers["path"] == "/hook?campus=1"
    assert set(program.looked_up) == {"localhost"}
    with app.store.read() as session:
        for wallet in (each.wallet for each in site.members.values()):
            assert wallet not in json.dumps(program.told)
        assert {each.state for each in session.query(WebhookDelivery)} == {"delivered"}


def test_a_meter_of_the_members_that_falls_silent_is_told_once(
    site: PeopleSite, program: Receiver, clock: Any, add_meter: Any
) -> None:
    site, meter = rewired(site, program.outside), add_meter("roof", gateway="gw-9")
    meter.interval_end = clock.now
    Collector(site.app).ingest(meter.next(0), gateway="gw-9", meter=None, over="https")
    with site.app.store.write() as session:
        session.get_one(Meter, meter.pk).user_id = site.members["Dormitory A"].id
    make(site, program.url)
    clock.now += webhooks.SILENT_EPOCHS * STEP
    send_due(site.app, program.outside)
    assert program.told == []
    for _ in range(3):
        clock.now += STEP
        send_due(site.app, program.outside)
    (told,) = program.told
    assert (told["event"], told["data"]["meter"]) == ("meter_silent", "gw-9/roof")


def test_a_receiver_that_takes_nothing_is_tried_later_and_given_up_with_a_notice(
    site: PeopleSite, program: Receiver, clock: Any
) -> None:
    site = rewired(site, program.outside)
    program.server.status = 500
    make(site, program.url)
    issue(site.app, site.members["Dormitory A"], 1)
    waits = []
    for _ in range(webhooks.MOST_TRIES):
        assert send_due(site.app, program.outside) == 0
        with site.app.store.read() as session:
            (row,) = session.query(WebhookDelivery)
            waits.append(row.next_at - clock.now)
        assert send_due(site.app, program.outside) == 0
        clock.now += max(1, waits[-1])
    assert waits[:3] == [60, 120, 240]
    assert max(waits) == webhooks.LONGEST_WAIT_SECONDS
    assert len(program.server.posts) == webhooks.MOST_TRIES, "not once more than it says"
    client = site.client(MEMBER)
    page = client.get("/account/webhooks").text
    assert "Nothing is sent until you switch it on again" in page
    (link,) = re.findall(r'href="(/account/webhooks/\w+)"', page)
    listed = client.get(link).text
    assert "was given up" in listed
    assert "answers 500" in listed
    issue(site.app, site.members["Dormitory A"], 3)
    assert send_due(site.app, program.outside) == 0
    program.server.status = 204
    assert site.client("other").post(f"{link}/resume", data=site.form("other")).status_code == 404
    assert client.post(f"{link}/resume", data=site.form(MEMBER)).status_code == 303
    assert send_due(site.app, program.outside) == 1
    assert program.told[-1]["data"]["bill"] == 3


def test_a_clock_that_was_a_day_ahead_puts_no_message_off(site: PeopleSite, program: Receiver, clock: Any) -> None:
    site = rewired(site, program.outside)
    make(site, program.url)
    issue(site.app, site.members["Dormitory A"], 1)
    program.server.status = 500
    clock.now += 86_400
    assert send_due(site.app, program.outside) == 0
    program.server.status = 204
    clock.now -= 86_400
    assert send_due(site.app, program.outside) == 1


def test_the_api_makes_one_once_and_a_persons_webhooks_go_with_it(site: PeopleSite, program: Receiver) -> None:
    site = rewired(site, program.outside)
    client, body = site.client(MEMBER), {"url": program.url, "events": ["bill_issued"]}
    sent = {"X-Form-Token": site.form(MEMBER)["form_token"], "Idempotency-Key": "program-1"}
    made = client.post("/api/v1/me/webhooks", json=body, headers=sent)
    assert made.status_code == 201, made.text
    again = client.post("/api/v1/me/webhooks", json=body, headers={**sent, "Accept": "application/json"})
    assert (again.status_code, again.json) == (201, made.json), "the first answer, with the secret"
    (listed,) = client.get("/api/v1/me/webhooks").json["webhooks"]
    assert (listed["webhook"], listed["events"]) == (made.json["webhook"], ["bill_issued"])
    assert "secret" not in listed
    assert client.get(f"/api/v1/me/webhooks/{listed['webhook']}/deliveries").json == {"deliveries": [], "next": None}
    wrong = {**body, "events": ["everything"]}
    fresh = {**sent, "Idempotency-Key": "program-2"}
    assert client.post("/api/v1/me/webhooks", json=wrong, headers=fresh).status_code == 400
    for n in range(webhooks.MOST - 1):
        make(site, program.url, once=f"number {n}")
    assert "You have 5 webhooks already" in make(site, program.url, 400)
    ending = {**sent, "Idempotency-Key": "program-3"}
    assert client.delete(f"/api/v1/me/webhooks/{listed['webhook']}", headers=ending).status_code == 204
    issue(site.app, site.members["Dormitory A"], 1)
    with site.app.store.write() as session:
        webhooks.collect(session, site.app.clock(), STEP)
        assert session.query(WebhookDelivery).count() == webhooks.MOST - 1
        records.erase(session, session.get_one(Person, site.people[MEMBER].id), by="test", now=1)
        assert session.query(Webhook).count() == session.query(WebhookDelivery).count() == 0


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fc00::1", "ff02::1", "fec0::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1",
        "2002:0a00:0001::1", "2001:db8::1", "localhost", "", "1",
    ],
)  # fmt: skip
def test_no_address_inside_is_public(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_are() -> None:
    assert all(map(is_public, ("93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e")))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https:///x", "https://a:b@example.org/", "x", "",
        "https://example.org/\n", "https://example.org/ x", "https://example.org:99999/", "https://[::1/",
        "//example.org",
        "https://ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple.org/", "https://example.org/" + "x" * 500,
        "https://example.org\\@10.0.0.1/",
    ],
)  # fmt: skip
def test_only_plain_https_addresses_are_looked_at(url: str) -> None:
    def nobody(*_: Any) -> list[str]:
        raise AssertionError("nothing is looked up")

    with pytest.raises(AddressRefusedError):
        Outside(nobody).look(url)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses to which a connection was begun."""
    found: list[str] = []

    def connect(address: tuple[str, int], *_: Any) -> socket.socket:
        found.append(address[0])
        raise OSError("nobody is there")

    monkeypatch.setattr(socket, "create_connection", connect)
    return found


def test_a_name_that_leads_inside_is_refused_and_one_that_changes_its_mind_is_not_followed(
    connected: list[str], site: PeopleSite
) -> None:
    inside = Outside(lambda *_: ["93.184.215.14", "10.0.0.1"])
    for _ in range(2):
        with pytest.raises(AddressRefusedError, match="private network"):
            inside.post("https://example.org/", b"{}", {})
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    with pytest.raises(NotTakenError):
        Outside(lambda *_: answers.pop(0)).post("https://example.org/", b"{}", {})
    assert connected == ["93.184.215.14"], "the address that was looked at, and no second look-up"
    with pytest.raises(AddressRefusedError, match="not known"):
        Outside(lambda *_: (_ for _ in ()).throw(socket.gaierror())).look("https://example.org/")  # type: ignore[arg-type, return-value]
    assert "leads to a private network" in make(rewired(site, inside), "https://example.org/x", 400)
    literal = make(rewired(site, Outside()), "https://127.0.0.1/x", 400)
    assert "leads to a private network" in literal
    site.app.home.settings = replace(site.app.home.settings, web=replace(site.app.home.settings.web, webhooks=False))
    assert "This site sends none" in site.client(MEMBER).get("/account/webhooks").text
    assert "ask the department" in site.client(MEMBER).post(
        "/account/webhooks", data=site.form(MEMBER, url="https://example.org/", event=ALL, once="x")
    ).text.lower()  # fmt: skip


def test_redirects_are_not_followed(program: Receiver) -> None:
    program.server.status = 302
    with pytest.raises(NotTakenError, match="answers 302"):
        program.outside.post(program.url, b"{}", {})
    assert len(program.server.posts) == 1
    with pytest.raises(NotTakenError, match="certificate verify failed"):
        replace(program.outside, context=ssl.create_default_context()).post(program.url, b"{}", {})
