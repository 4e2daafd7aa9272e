"""The door between verifiers and sequencer: who comes without its key, and messages that were changed on the way.

The attacker sits between a verifier that has the key and the sequencer, passes their greetings on, and then does what
it likes with the messages. Each attack has its own code, and none puts anything into the log twice.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from authority.app import App
from authority.collector import channel
from authority.collector.batches import pack_answer, pack_batch, read_answer, read_batch
from authority.collector.channel import BatchMalformedError, BatchTooLongError, ChannelError, SequencerForgedError
from authority.collector.frames import Ingested, Sent
from authority.collector.ingest import Collector, check
from authority.collector.sequencer import Sequencer
from authority.collector.standing import Shown
from authority.collector.verifier import SequencerLink
from authority.refusals import RefusalError, UnavailableError
from authority.store.metering import Frame as LoggedFrame
from edge_agent.wire.reading import (
    CODES,
    VERDICT_ACCEPTED,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    Receipt,
    split_receipts,
)

CUT = b""
"""In what an attacker sends: nothing more comes."""
Tamper = Callable[[list[bytes]], list[bytes]]


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (some := connection.recv(size - len(data))):
        data += some
    return data


def message(connection: socket.socket) -> bytes:
    header = read(connection, 12)
    return header + read(connection, struct.unpack("<I", header[:4])[0] + 32) if header else b""


class Attacker:
    """Listens where a verifier looks for the sequencer, and changes so many messages of it before they go on."""

    def __init__(self, directory: Path, target: Path, messages: int, tamper: Tamper, answers: Tamper) -> None:
        directory.mkdir()
        self._listener, self._target = channel.listen(directory), target
        self._messages, self._tamper, self._answers = messages, tamper, answers
        self._ends: list[socket.socket] = [self._listener]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        verifier, _ = self._listener.accept()
        sequencer = socket.socket(socket.AF_UNIX)
        self._ends += [verifier, sequencer]
        sequencer.connect(os.path.relpath(self._target / channel.SOCKET_NAME))
        for one, other, size in ((verifier, sequencer, 38), (sequencer, verifier, 68), (verifier, sequencer, 32)):
            other.sendall(read(one, size))
        verifier.sendall(read(sequencer, 32))
        with suppress(OSError):  # a sequencer that has refused one message takes no other
            for data in self._tamper([message(verifier) for _ in range(self._messages)]):
                if data == CUT:
                    sequencer.shutdown(socket.SHUT_WR)
                else:
                    sequencer.sendall(data)
        with suppress(OSError):  # a sequencer that ends the connection may have left something unread; or all is over
            while some := sequencer.recv(1 << 16):
                verifier.sendall(self._answers([some])[0])
        verifier.close()

    def close(self) -> None:
        for end in self._ends:
            end.close()


@pytest.fixture
def sequencer(app: App) -> Iterator[Sequencer]:
    running = Sequencer(app.home.path, app.home.verifiers_key, Collector(app))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def attack(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Put an attacker between; the directory where the verifier finds it."""
    attackers: list[Attacker] = []
    monkeypatch.chdir(tmp_path)

    def start(messages: int, tamper: Tamper, answers: Tamper = lambda data: data) -> Path:
        directory = tmp_path / f"between-{len(attackers)}"
        attackers.append(Attacker(directory, app.home.path, messages, tamper, answers))
        return directory

    yield start
    for attacker in attackers:
        attacker.close()


def batch(meter: Any, frames: bytes) -> bytes:
    return pack_batch([check(Sent(frames, meter.gateway, None, "mqtt"))])


def logged(app: App) -> int:
    with app.store.read() as session:
        return session.scalar(select(func.count()).select_from(LoggedFrame)) or 0


def refused(line: channel.Channel) -> str:
    """The code with which the sequencer ends a connection, after any answers."""
    try:
        while line.receive() is not None:
            pass
    except ChannelError as error:
        return error.code
    return ""


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


ATTACKS: dict[str, tuple[str, Tamper, int]] = {
    "a changed frame": ("verifier_forged", lambda sent: [flipped(sent[0], 60), sent[1]], 0),
    "a changed number": ("verifier_forged", lambda sent: [flipped(sent[0], 4), sent[1]], 0),
    "a changed proof": ("verifier_forged", lambda sent: [flipped(sent[0], -1 % len(sent[0])), sent[1]], 0),
    "a message of the attacker's own": ("verifier_forged", lambda _: [struct.pack("<IQ", 3, 1) + bytes(35)], 0),
    "a message sent again": ("batch_replayed", lambda sent: [sent[0], sent[0]], 1),
    "an old message after a later one": ("batch_replayed", lambda sent: [*sent, sent[0]], 2),
    "messages in the wrong order": ("batch_out_of_order", lambda sent: [sent[1], sent[0]], 0),
    "a message left out": ("batch_out_of_order", lambda sent: [sent[1]], 0),
    "a message too long": ("batch_too_long", lambda sent: [struct.pack("<IQ", channel.MAX_BODY + 1, 1), *sent], 0),
    "a message cut short": ("batch_cut", lambda sent: [sent[0], sent[1][:-1], CUT], 1),
    "a header cut short": ("batch_cut", lambda sent: [sent[0], sent[1][:5], CUT], 1),
}


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_message_that_was_changed_on_the_way_is_refused_by_its_code(
    app: App, sequencer: Sequencer, add_meter: Callable[..., Any], attack: Callable[..., Path], name: str
) -> None:
    code, tamper, taken = ATTACKS[name]
    meter = add_meter()
    frames = [meter.next(), meter.next()]
    line = channel.connect(attack(2, tamper), app.home.verifiers_key, 1)
    for frame in frames:
        line.send(batch(meter, frame))
    assert refused(line) == code
    line.close()
    assert logged(app) <= taken  # what came before the attack is good, and may be decided or not
    link = SequencerLink(app.store, app.home.path, app.home.verifiers_key, 1)
    while not link.connect():  # the sequencer is about to see the end of the first connection
        time.sleep(0.05)
    done = link.ingest(b"".join(frames), gateway=meter.gateway, meter=None, over="mqtt")
    link.close()
    assert [Receipt.from_bytes(receipt).verdict for receipt in done.receipts] == [VERDICT_ACCEPTED] * 2
    assert logged(app) == 2


def test_a_refusal_is_heard_by_who_went_on_sending() -> None:
    mine, other = socket.socketpair()
    line, refusing = channel.Channel(mine, b"a", b"b"), channel.Channel(other, b"b", b"a")
    line.send(b"never read")
    refusing.refuse(BatchTooLongError("too long"))
    other.close()
    del refusing  # which ends the connection, and resets it because bytes are unread
    with pytest.raises(OSError, match="Broken pipe"):
        line.send(b"one more")
    assert refused(line) == "batch_too_long"
    line.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_who_does_not_prove_the_key_is_refused(app: App, sequencer: Sequencer) -> None:
    with pytest.raises(SequencerForgedError):  # the sequencer proves it first, and that is no proof to a stranger
        channel.connect(app.home.path, bytes(32), 1)
    for greeting, proof in (
        (channel.GREETING + bytes(34), os.urandom(32)),
        (b"GET / HTTP/1.1\r\nHost: sequencer\r\n\r\n   ", b""),
    ):
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(30)
        stranger.connect(os.path.relpath(app.home.path / channel.SOCKET_NAME))
        stranger.sendall(greeting)
        told = read(stranger, 68) if proof else b""
        with suppress(BrokenPipeError):  # one who did not speak as a verifier does is refused by now
            stranger.sendall(proof)
        while some := stranger.recv(4096):
            told += some
        stranger.close()
        assert b'"code": "verifier_forged"' in told
    assert sequencer.verifiers == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_who_says_that_it_is_the_sequencer_must_prove_it_too(app: App, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    listener = channel.listen(tmp_path / "elsewhere")

    def impostor() -> None:
        connection, _ = listener.accept()
        read(connection, 38)
        connection.sendall(channel.GREETING + bytes(64))
        connection.close()

    threading.Thread(target=impostor, daemon=True).start()
    with pytest.raises(SequencerForgedError) as caught:
        channel.connect(tmp_path / "elsewhere", app.home.verifiers_key, 1)
    listener.close()
    assert caught.value.code == "sequencer_forged"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_verifier_runs_once(app: App, sequencer: Sequencer) -> None:
    first = channel.connect(app.home.path, app.home.verifiers_key, 1)
    other = channel.connect(app.home.path, app.home.verifiers_key, 2)
    with pytest.raises(ChannelError) as caught:
        channel.connect(app.home.path, app.home.verifiers_key, 1)
    assert caught.value.code == "verifier_doubled"
    first.close()
    while 1 in sequencer.verifiers:
        time.sleep(0.01)
    channel.connect(app.home.path, app.home.verifiers_key, 1).close()
    other.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_an_answer_that_was_changed_is_not_believed(
    app: App, sequencer: Sequencer, add_meter: Callable[..., Any], attack: Callable[..., Path]
) -> None:
    meter = add_meter()
    frame = meter.next()
    between = attack(1, lambda sent: sent, lambda data: [flipped(data[0], len(data[0]) // 2)])
    link = SequencerLink(app.store, between, app.home.verifiers_key, 1)
    with pytest.raises(UnavailableError):
        link.ingest(frame, gateway=meter.gateway, meter=None, over="mqtt")
    link.close()
    assert logged(app) == 1  # so sending it again gives its receipt, as the next test shows


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_link_answers_as_the_collector_does(
    app: App, sequencer: Sequencer, add_meter: Callable[..., Any], certify: Callable[[str], Path]
) -> None:
    meter, other = add_meter(), add_meter("pv", "gw-2")
    certify("gw-1")
    link = SequencerLink(app.store, app.home.path, app.home.verifiers_key, 1)

    def ask(*sent: Sent) -> list[list[tuple[int, str]] | str]:
        def shown(done: Ingested | RefusalError) -> list[tuple[int, str]] | str:
            if isinstance(done, RefusalError):
                return done.code
            receipts = [Receipt.from_bytes(each) for each in (*done.receipts, *done.later)]
            return [(receipt.verdict, CODES[receipt.code]) for receipt in receipts]

        return [shown(done) for done in link.ingest_all(sent)]

    good, later, unsigned = meter.next(), [meter.next(), meter.next()], other.next()
    accepted, ok = VERDICT_ACCEPTED, "ok"
    assert ask(Sent(good, "gw-1", None, "mqtt"), Sent(good, "gw-1", "pv", "https")) == [[(accepted, ok)]] * 2
    assert ask(Sent(later[1], "gw-1", None, "mqtt")) == [[(VERDICT_PARKED, "sequence_gap")]]
    assert ask(Sent(later[0], "gw-1", None, "mqtt")) == [[(accepted, ok), (accepted, ok)]]
    assert ask(
        Sent(flipped(unsigned, 191), "gw-2", None, "mqtt"),
        Sent(unsigned, "gw-1", None, "mqtt"),
        Sent(unsigned[:96] + good[96:], "gw-2", None, "mqtt"),
        Sent(b"AMR9" + good[4:], "gw-1", None, "mqtt"),
        Sent(good[:-1], "gw-1", None, "mqtt"),
        Sent(good * 257, "gw-1", None, "mqtt"),
        Sent(good, "gw-3", None, "mqtt"),
        Sent(good, "gw-1", None, "https", Shown(bytes(32))),
        Sent(good, "gw-1", None, "https", Shown(None)),
        Sent(good, "g" * 300, None, "mqtt"),
        Sent(unsigned, "gw-2", None, "mqtt"),
    ) == [
        [(VERDICT_REFUSED, "bad_signature")],
        [(VERDICT_REFUSED, "unknown_meter")],
        [(VERDICT_REFUSED, "unknown_meter")],
        [(VERDICT_REFUSED, "malformed")],
        "malformed",
        "too_many",
        "not_authenticated",
        "not_authenticated",
        "not_authenticated",
        "not_authenticated",
        [(accepted, ok)],
    ]
    link.close()
    assert logged(app) == 4


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_link_without_a_sequencer_has_everything_sent_again(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    frame = meter.next()
    link = SequencerLink(app.store, app.home.path, app.home.verifiers_key, 1)
    assert not link.connect()
    with pytest.raises(UnavailableError):
        link.ingest(frame, gateway="gw-1", meter=None, over="mqtt")
    running = Sequencer(app.home.path, app.home.verifiers_key, Collector(app))
    running.start()
    while not link.connect():
        time.sleep(0.05)
    first = link.ingest(frame, gateway="gw-1", meter=None, over="mqtt")
    running.stop()
    while link.connect():
        time.sleep(0.05)
    running = Sequencer(app.home.path, app.home.verifiers_key, Collector(app))
    running.start()
    while not link.connect():
        time.sleep(0.05)
    assert link.ingest(frame, gateway="gw-1", meter=None, over="mqtt") == first
    link.close()
    running.stop()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_answer_to_a_whole_group_comes_back(app: App, sequencer: Sequencer, add_meter: Callable[..., Any]) -> None:
    """2,048 receipts are longer than what a verifier may send at once."""
    meters = [add_meter("pv", f"gw-{n}") for n in range(8)]
    sent = [Sent(b"".join(meter.next() for _ in range(256)), meter.gateway, None, "mqtt") for meter in meters]
    link = SequencerLink(app.store, app.home.path, app.home.verifiers_key, 1)
    outcomes = [done for done in link.ingest_all(sent) if isinstance(done, Ingested)]
    link.close()
    assert len(pack_answer(1, outcomes)) > channel.MAX_BODY
    assert [len(split_receipts(b"".join(done.receipts))) for done in outcomes] == [256] * 8


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_batch_in_another_layout_is_refused(app: App, sequencer: Sequencer, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    good = batch(meter, meter.next())
    for body in (b"", b"\0\0", b"\xff\xff" + good[2:], good[:-1], good + b"\0", b"\1\0\7" + good[3:]):
        line = channel.connect(app.home.path, app.home.verifiers_key, 3)
        line.send(body)
        assert refused(line) == "batch_malformed"
        line.close()
        while sequencer.verifiers:
            time.sleep(0.01)
    assert logged(app) == 0


@given(st.binary(max_size=400))
def test_any_bytes_are_a_batch_or_refused_as_one(data: bytes) -> None:
    for read_it in (read_batch, read_answer):
        try:
            read_it(data)
        except BatchMalformedError:
            continue


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    st.integers(0, 2**64 - 1),
    st.lists(
        st.one_of(
            st.builds(
                Ingested,
                st.lists(st.binary(max_size=300), max_size=4),
                st.lists(st.binary(max_size=300), max_size=2),
                st.just([]),
            ),
            texts.map(UnavailableError),
        ),
        max_size=4,
    ),
)
def test_answers_come_back_as_they_were_given(number: int, outcomes: list[Ingested | RefusalError]) -> None:
    back, found = read_answer(pack_answer(number, outcomes))
    assert back == number
    assert [(type(one), str(one)) for one in found] == [(type(one), str(one)) for one in outcomes]
