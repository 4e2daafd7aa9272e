"""Mail and webhook against real receivers, through outages; and the command."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from hypothesis import example, given
from hypothesis import strategies as st

from authority.home.errors import HomeConfigError, KeyMissingError
from authority.home.home import Home
from authority.home.settings import AlertSettings, Settings, is_mailbox
from authority.monitoring import delivery
from authority.monitoring.changes import RAISED, Change, Memory
from authority.monitoring.delivery import Mail, Message, UndeliveredError, Webhook, headed
from authority.monitoring.watcher import CampusLook, Watcher, channels
from authority.status.judgement import Problem

NOW = 1_782_000_000
ROOT = Path(__file__).parents[3]
SILENT = Problem("gateway_silent", "gateway gw-1", "was heard 3 min ago")
CHANGE = Message("change", "campus.example", NOW, (Change(NOW, RAISED, SILENT.code, SILENT.subject, SILENT.text),))


def by_mail(port: int, **more: Any) -> AlertSettings:
    named = {"mail_to": ("a@ops.example", "b@ops.example"), "mail_from": "campus@campus.example"}
    return AlertSettings(**{**named, "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", **more})


class Campus:
    """A home whose problems and clock are what the test says."""

    def __init__(self, home: Home, settings: AlertSettings) -> None:
        home.save(replace(home.settings, alerts=settings))
        self.home, self.now, self.found = Home.open(home.path), NOW, [SILENT]

    def rounds(self, *seconds: int) -> None:
        """A round after each pause, each by a process that was just started."""
        for pause in seconds:
            self.now += pause
            Watcher(self.home, channels(self.home), lambda: self.found, clock=lambda: self.now).round()


class TestMail:
    def test_a_change_and_its_end(self, home: Home, relay: Any) -> None:
        campus = Campus(home, by_mail(relay.port, digest=False))
        campus.rounds(0, 60, 60, 30)
        [mail] = relay.mails
        assert (mail["From"], mail["To"]) == ("campus@campus.example", "a@ops.example, b@ops.example")
        assert mail["Subject"] == "[localhost] 1 new"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert "gateway gw-1: was heard 3 min ago [gateway_silent]" in mail.get_content()
        campus.found = []
        campus.rounds(30, 120)
        assert [each["Subject"] for each in relay.mails] == ["[localhost] 1 new", "[localhost] 1 over"]

    def test_the_digest_comes_once_a_day_at_its_hour(self, home: Home, relay: Any) -> None:
        """Also where all is well: who hears nothing can tell that from a dead process."""
        campus = Campus(home, by_mail(relay.port, digest_hour=7))
        campus.now = NOW - NOW % 86_400 + 6 * 3_600  # six o'clock UTC
        campus.found = []
        campus.rounds(0, 1_800)
        assert relay.mails == []
        campus.rounds(1_800, 30, 3_600, 43_200)
        assert [mail["Subject"] for mail in relay.mails] == ["[localhost] all is well"]
        campus.found = [SILENT]
        campus.rounds(43_200, 120, 120)
        assert [mail["Subject"] for mail in relay.mails[1:]] == ["[localhost] all is well", "[localhost] 1 new"]
        campus.rounds(86_400)
        assert relay.mails[-1]["Subject"] == "[localhost] 1 standing"
        assert "Standing:" in relay.mails[-1].get_content()

    def test_nothing_is_lost_while_mail_is_down(self, home: Home, relay: Any) -> None:
        campus = Campus(home, by_mail(relay.port, digest=False))
        relay.stop()
        campus.rounds(0, 120, 30, 60)
        campus.found = [SILENT, Problem("disk", "disk", "full")]
        campus.rounds(120, 120)
        campus.found = []
        campus.rounds(120, 120, 600)
        outbox = Memory.read(home.path).outboxes["mail"]
        assert outbox.failing_since == NOW + 120
        assert "127.0.0.1" in outbox.error
        relay.start()
        campus.rounds(3_600)
        [mail] = relay.mails
        assert mail["Subject"] == "[localhost] 2 new, 2 over"
        assert Memory.read(home.path).outboxes["mail"].failing_since is None
        campus.rounds(3_600)
        assert len(relay.mails) == 1

    @pytest.mark.parametrize("answer", ["451 try later", "554 no", "421 closing"])
    def test_what_the_relay_does_not_take_stays(self, home: Home, relay: Any, answer: str) -> None:
        campus = Campus(home, by_mail(relay.port, digest=False))
        relay.answer = answer
        campus.rounds(0, 120)
        assert answer[:3] in Memory.read(home.path).outboxes["mail"].error
        relay.answer = "250 OK"
        campus.rounds(30)
        assert len(relay.mails) == 1

    def test_refused_recipients_are_counted_and_not_named(self, relay: Any) -> None:
        relay.refuse = ("b@ops.example",)
        with pytest.raises(UndeliveredError, match=r"refuses: 1 \(550 no such mailbox\)"):
            Mail(by_mail(relay.port)).deliver(CHANGE)
        relay.refuse = ("a@ops.example", "b@ops.example")
        with pytest.raises(UndeliveredError, match="every recipient") as caught:
            Mail(by_mail(relay.port)).deliver(CHANGE)
        assert "ops.example" not in str(caught.value)

    def test_a_silent_relay_has_a_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(delivery, "DEADLINE_SECONDS", 0.2)
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            pytest.raises(UndeliveredError, match="timed out"),
        ):
            Mail(by_mail(silent.getsockname()[1])).deliver(CHANGE)

    def test_starttls_and_a_login(self, home: Home, relay: Any) -> None:
        relay.stop()
        relay.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        relay.tls.load_cert_chain(home.key_path("server.pem"), home.key_path("server.key"))
        relay.login = ("campus", "secret")
        relay.start()
        settings = by_mail(relay.port, smtp_security="starttls", smtp_user="campus", smtp_host="localhost")
        ours = ssl.create_default_context(cafile=str(home.key_path("ca.pem")))
        Mail(settings, "secret", ours).deliver(CHANGE)
        assert len(relay.mails) == 1
        with pytest.raises(UndeliveredError, match="keys/smtp-password"):
            Mail(settings, "wrong", ours).deliver(CHANGE)
        with pytest.raises(UndeliveredError, match="certificate verify failed"):
            Mail(settings, "secret").deliver(CHANGE)

    def test_a_relay_without_tls_is_not_spoken_to(self, relay: Any) -> None:
        with pytest.raises(UndeliveredError, match="does not offer"):
            Mail(by_mail(relay.port, smtp_security="starttls")).deliver(CHANGE)
        assert relay.mails == []

    def test_the_password_is_a_key(self, home: Home, relay: Any) -> None:
        campus = Campus(home, by_mail(relay.port, smtp_security="starttls", smtp_user="campus"))
        with pytest.raises(KeyMissingError):
            channels(campus.home)
        campus.home.keys.make("smtp-password", b"secret\n")
        [mail] = channels(Home.open(home.path)).values()
        assert isinstance(mail, Mail)
        assert mail.password == "secret"


class TestWebhook:
    def test_it_is_signed(self, home: Home, receiver: Any) -> None:
        campus = Campus(home, AlertSettings(webhook_url=receiver.url, digest=False))
        campus.rounds(0, 120)
        [(headers, body)] = receiver.posts
        assert headers["path"] == "/hook?campus=1"
        assert headers["Content-Type"] == "application/json"
        at, given = (part.partition("=")[2] for part in headers["Campus-Signature"].split(","))
        secret = bytes.fromhex((home.path / "keys" / "webhook-secret").read_text())
        assert hmac.compare_digest(hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest(), given)
        told = json.loads(body)
        assert int(at) == told["time"] == NOW + 120
        assert (told["kind"], told["campus"]) == ("change", "localhost")
        [change] = told["changes"]
        assert (change["what"], change["code"], change["at"]) == (RAISED, "gateway_silent", NOW)

    def test_what_comes_twice_has_the_same_id(self, home: Home, receiver: Any) -> None:
        campus = Campus(home, AlertSettings(webhook_url=receiver.url, digest=False))
        receiver.status = 500
        campus.rounds(0, 120, 60)
        receiver.status = 200
        campus.rounds(120)
        assert len({json.loads(body)["id"] for _, body in receiver.posts}) == 1
        assert len(receiver.posts) == 3

    @pytest.mark.parametrize("status", [301, 307, 400, 404, 500, 503])
    def test_only_2xx_has_taken_it(self, receiver: Any, status: int) -> None:
        receiver.status = status
        with pytest.raises(UndeliveredError, match=str(status)):
            Webhook(receiver.url, bytes(32)).deliver(CHANGE)
        assert len(receiver.posts) == 1

    def test_a_receiver_that_answers_a_byte_at_a_time_holds_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It would keep every alert and mail behind it waiting; its answer here would come to an end, much later."""
        monkeypatch.setattr(delivery, "DEADLINE_SECONDS", 0.5)

        def dribble(listening: socket.socket) -> None:
            client, _ = listening.accept()
            with client, suppress(OSError):
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                for _ in range(100):
                    time.sleep(0.1)
                    client.sendall(b"x")
                client.sendall(b"\r\nContent-Length: 0\r\n\r\n")

        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=dribble, args=(listening,), daemon=True).start()
            with pytest.raises(UndeliveredError, match="no whole answer"):
                Webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/", bytes(32)).deliver(CHANGE)

    def test_one_channel_that_is_down_does_not_hold_the_other(self, home: Home, receiver: Any) -> None:
        campus = Campus(home, by_mail(free_port(), webhook_url=receiver.url, digest=False))
        campus.rounds(0, 120)
        assert len(receiver.posts) == 1
        assert Memory.read(home.path).outboxes["mail"].failing_since is not None


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        [
            'mail_to = ["nobody"]',
            'mail_to = ["a@b.example"]',
            'mail_to = ["a@b.example\\nBcc: c@d.example"]\nmail_from = "a@b.example"',
            'smtp_security = "maybe"',
            'smtp_security = "none"\nsmtp_user = "campus"',
            "smtp_port = 0",
            'webhook_url = "http://elsewhere.example/"',
            'webhook_url = "file:///etc/passwd"',
            'webhook_url = "https://"',
            "settle_seconds = -1",
            "digest_hour = 24",
        ],
    )
    def test_what_cannot_be_is_named(self, wrong: str) -> None:
        with pytest.raises(HomeConfigError, match=r"\[alerts\]"):
            Settings.from_toml(f"[alerts]\n{wrong}\n")

    def test_what_can_be(self) -> None:
        text = (
            '[alerts]\nmail_to = ["ops@campus.example"]\nmail_from = "campus@campus.example"\nsmtp_security = "tls"\n'
            'smtp_user = "campus"\nwebhook_url = "https://hooks.example/a?b=c"\ndigest = false\n'
        )
        assert Settings.from_toml(text).alerts.channels == ("mail", "webhook")


def alerts(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "authority.cli", "alerts", "--home", str(home.path), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)


class TestCommand:
    def test_a_trial_message(self, home: Home, relay: Any, receiver: Any) -> None:
        assert "[alerts_no_channel]" in alerts(home, "test").stderr
        home.save(replace(home.settings, alerts=by_mail(relay.port, webhook_url=receiver.url)))
        done = alerts(home, "test")
        assert (done.returncode, done.stdout) == (0, "mail: delivered\nwebhook: delivered\n")
        assert relay.mails[0]["Subject"] == "[localhost] trial message"
        assert json.loads(receiver.posts[0][1])["kind"] == "test"
        receiver.status = 500
        done = alerts(home, "test", "--json")
        assert done.returncode == 1
        told = json.loads(done.stdout)
        assert told["mail"] is None
        assert "500" in told["webhook"]

    def test_what_waits_is_shown(self, home: Home) -> None:
        campus = Campus(home, by_mail(free_port(), digest=False))
        assert "authority alerts test" in alerts(home, "show").stdout
        campus.rounds(0, 120)
        done = alerts(home, "show", "--json")
        assert done.returncode == 4
        told = json.loads(done.stdout)
        assert told["channels"]["mail"]["waiting"] == 1
        assert told["standing"] == [{"code": "gateway_silent", "subject": "gateway gw-1", "since": NOW}]
        assert "takes nothing" in alerts(home, "show").stdout


@pytest.fixture
def running(home: Home, relay: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`authority alerts run` on a home without a validator."""
    home.save(replace(home.settings, alerts=by_mail(relay.port, settle_seconds=0, digest=False)))
    command = [sys.executable, "-m", "authority.cli", "alerts", "--home", str(home.path), "run"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        yield process
        process.kill()


def test_the_process_tells_of_a_real_home(home: Home, relay: Any, running: subprocess.Popen[bytes]) -> None:
    """No validator answers there, and there was no backup: both are told."""
    while not relay.mails:
        assert running.poll() is None
        time.sleep(0.05)
    text = relay.mails[0].get_content()
    assert "[validator_unreachable]" in text
    assert "[backup]" in text
    running.terminate()
    assert running.wait(60) == 0


def test_a_store_that_is_away_is_told(home: Home) -> None:
    settings = replace(home.settings.store, url="postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    home.save(replace(home.settings, store=settings))
    looking = CampusLook(home.path, lambda: NOW)
    for _ in range(2):
        assert [problem.code for problem in looking()] == ["store_unreachable"]


def test_a_disk_that_is_full_is_told_all_the_same(home: Home, relay: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written then, and it is told once, as everything else."""
    campus = Campus(home, by_mail(relay.port, digest=False))
    campus.found = [Problem("disk", "disk", "0.0 GiB are free")]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("authority.monitoring.changes.write_atomically", full)
    watcher = Watcher(campus.home, channels(campus.home), lambda: campus.found, clock=lambda: campus.now)
    for _ in range(6):
        watcher.round()
        campus.now += 60
    assert [mail["Subject"] for mail in relay.mails] == ["[localhost] 1 new"]


_PIECES = (
    "a",
    "B",
    "1",
    ".",
    "..",
    "@",
    "=?",
    "?=",
    "=?utf-8?q?a?=",
    "=?utf-8?b??=",
    "=2C",
    ",",
    " ",
    "'",
    "%",
    "!",
    "\u00df",
    "\n",
    '"',
    "(",
)


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6), st.lists(st.sampled_from(_PIECES), max_size=3))
@example(["=?utf-8?b??="], ["xn--"])
@example(["=?utf-8?q?a=2Cb?="], ["campus.example"])
@example(["o'neil+x", ".", "y"], ["campus.example"])
def test_whatever_counts_as_a_mailbox_is_the_one_recipient_of_its_mail(local: list[str], domain: list[str]) -> None:
    """A head is parsed again by whoever sends it, and reads encoded words: an address may become another, or two."""
    address = f"{''.join(local)}@{''.join(domain)}"
    if is_mailbox(address):
        mail = headed(by_mail(25), address, "x", NOW, "id")
        assert [each.addr_spec for each in mail["To"].addresses] == [address]
        assert bytes(mail).count(b"\nTo: ") == 1


@pytest.mark.parametrize("address", ["a@b.example", "o'neil+bills@campus.example", "a.b-c@localhost", "x@1.2.example"])
def test_usual_addresses_are_mailboxes(address: str) -> None:
    assert is_mailbox(address)
