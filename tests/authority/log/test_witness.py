"""Witnesses cosign what is published; one that is down, slow, wrong or ahead holds nothing up and is told about."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import witness as independent
from solders.keypair import Keypair
from sqlalchemy import delete, select, update

from authority.app import App
from authority.audit.verify import Audit, StoreLog
from authority.cli import main
from authority.log import log, note, publish
from authority.log.witness import POLL_SECONDS, Answer, Witness, WitnessError, Witnesses, cosignature_in, post
from authority.store.log import Act, KeptCosignature, LogLeaf, LogState, LogTile
from edge_agent.wire.checkpoint import note_text, origin


@pytest.fixture
def watching(app: App) -> Iterator[Callable[..., independent.Witness]]:
    """Starts witnesses that know the log."""
    running = []

    def start(name: str = "witness.example/w1", **options: Any) -> independent.Witness:
        logs = {origin(app.home.network_id): bytes(app.home.receipt_key.pubkey())}
        running.append(independent.Witness(name, logs, clock=app.clock, **options))
        return running[-1]

    yield start
    for each in running:
        each.close()


def grow(app: App, leaves: int, epoch: int) -> log.SignedCheckpoint:
    """The log grows, and an epoch's checkpoint is published."""
    with app.store.write() as session:
        log.append_all(session, [bytes([2]) + f"{epoch}/{n}".encode() for n in range(leaves)])
        return publish.publish(session, app.home.network_id, app.home.receipt_key, epoch)


def asking(app: App, *named: independent.Witness) -> Witnesses:
    return Witnesses(app.store, [Witness.parse(each.setting) for each in named], app.clock)


def served(app: App) -> bytes:
    with app.store.read() as session:
        newest = publish.newest(session)
        assert newest is not None
        return publish.note_of(session, *newest)


def test_each_published_checkpoint_is_cosigned_by_proof_from_the_last(app: App, watching: Any) -> None:
    first, second = watching(), watching("witness.example/w2")
    witnesses = asking(app, first, second)
    assert witnesses.ask_all() == {first.name: "has cosigned it already", second.name: "has cosigned it already"}
    for epoch, leaves in enumerate((1, 6, 300, 0, 57)):
        signed = grow(app, leaves, epoch)
        told = witnesses.ask_all()
        assert set(told.values()) == {"cosigned" if leaves else "has cosigned it already"}
        assert first.latest == {origin(app.home.network_id): (signed.size, signed.root)}
        text = served(app)
        assert note.open_note(text, note.VerifierKey(origin(app.home.network_id), bytes(app.home.receipt_key.pubkey())))
        assert text.decode().count("\n— witness.example/") == 2
    assert first.asked[-1].startswith(b"old 307\n")
    assert len(first.asked) == 4


def test_a_witness_that_is_further_on_than_we_knew_says_so_and_is_asked_from_there(app: App, watching: Any) -> None:
    """The store was restored: the cosignatures are gone, and the witness knows more of the log than the store does."""
    witness = watching()
    grow(app, 5, 1)
    asking(app, witness).ask_all()
    with app.store.write() as session:
        session.execute(delete(KeptCosignature))
    grow(app, 4, 2)
    assert asking(app, witness).ask_all() == {witness.name: "cosigned"}
    assert [body.split(b"\n")[0] for body in witness.asked] == [b"old 0", b"old 0", b"old 5"]


def test_a_forked_log_is_cosigned_by_no_witness(app: App, watching: Any) -> None:
    witness = watching()
    grow(app, 5, 1)
    asking(app, witness).ask_all()
    with app.store.write() as session:
        session.execute(delete(LogTile))
        session.execute(delete(LogLeaf))
        session.execute(delete(Act))
        session.execute(update(LogState).values(size=0, frontier=b""))
        log.append_all(session, [b"\x02other"] * 9)
        publish.publish(session, app.home.network_id, app.home.receipt_key, 2)
    (said,) = asking(app, witness).ask_all().values()
    assert "422" in said
    assert "witness_refused" in said
    assert witness.name not in served(app).decode()


def test_a_stranger_to_the_witness_is_refused(app: App, watching: Any) -> None:
    witness = watching()
    witness.logs.clear()
    grow(app, 2, 1)
    (said,) = asking(app, witness).ask_all().values()
    assert "404" in said


def test_witnesses_that_are_down_or_slow_hold_nothing(app: App, watching: Any) -> None:
    good = watching()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        down = f"http://127.0.0.1:9 {good.vkey}"
        slow = Witness(f"http://127.0.0.1:{silent.getsockname()[1]}", note.VerifierKey("slow", bytes(32)))
        grow(app, 3, 1)
        witnesses = [Witness.parse(good.setting), slow]
        told = Witnesses(app.store, witnesses, app.clock, partial(post, deadline=0.3)).ask_all()
        assert told[good.name] == "cosigned"
        assert "witness_silent" in told["slow"]
        grow(app, 1, 2)
        with pytest.raises(WitnessError) as caught:
            Witnesses(app.store, [], app.clock).ask(Witness.parse(down))
        assert caught.value.code == "witness_silent"


@pytest.mark.parametrize(
    "change",
    [
        lambda witness, text: b"",
        lambda witness, text: b"nothing of the kind\n",
        lambda witness, text: b"\xff\n",
        lambda witness, text: witness.cosign(text + b"more\n"),
        lambda witness, text: witness.cosign(text).replace(witness.name.encode(), b"somebody.else"),
        lambda witness, text: f"— {witness.name} {base64.b64encode(witness.key_id + bytes(64)).decode()}\n".encode(),
    ],
)
def test_what_is_no_cosignature_is_not_kept(app: App, watching: Any, change: Any) -> None:
    witness = watching()
    signed = grow(app, 3, 1)
    text = note_text(origin(app.home.network_id), signed.size, signed.root)
    witness.answer = lambda body: (200, "text/plain", change(witness, text))
    (said,) = asking(app, witness).ask_all().values()
    assert "witness_wrong" in said
    with app.store.read() as session:
        assert session.scalars(select(KeptCosignature)).all() == []


def test_a_cosignature_of_the_future_is_not_taken(app: App, watching: Any) -> None:
    witness, text = watching(), b"origin\n1\nroot\n"
    known = Witness.parse(witness.setting)
    now = app.clock()
    assert cosignature_in(witness.cosign(text), known, text, now).time == now
    with pytest.raises(WitnessError, match="future"):
        cosignature_in(witness.cosign(text), known, text, now - 301)


def test_the_example_of_the_specification_has_its_key_id() -> None:
    """Every one of the 32 bytes counts, and the kind of the key."""
    key = bytes(Keypair.from_seed(bytes(32)).pubkey())
    plain = note.VerifierKey("witness.example.com/w1", key)
    cosigning = note.VerifierKey("witness.example.com/w1", key, note.COSIGNATURE)
    assert plain.key_hash != cosigning.key_hash
    assert note.VerifierKey.parse(str(cosigning)) == cosigning
    assert Witness.parse(f"https://witness.example.com {plain}").key == cosigning


@pytest.mark.parametrize(
    "setting",
    ["", "https://w.example", "ftp://w.example {key}", "https://w.example?x=1 {key}", "https://w.example key"],
)
def test_a_setting_that_names_no_witness_says_so(setting: str) -> None:
    key = note.VerifierKey("w", bytes(Keypair.from_seed(bytes(32)).pubkey()), note.COSIGNATURE)
    with pytest.raises(WitnessError) as caught:
        Witness.parse(setting.format(key=key))
    assert caught.value.code == "witness_invalid"


def test_what_is_published_is_asked_for_in_the_background(app: App, watching: Any) -> None:
    witness, stop, answered = watching(), threading.Event(), threading.Event()
    grow(app, 3, 1)

    def send(url: str, body: bytes) -> Answer:
        answer = post(url, body)
        answered.set()
        return answer

    witnesses = Witnesses(app.store, [Witness.parse(witness.setting)], app.clock, send)
    running = threading.Thread(target=witnesses.run, args=(stop,), daemon=True)
    running.start()
    assert answered.wait(10 * POLL_SECONDS)
    stop.set()
    running.join()
    assert witness.asked


def test_the_command_shows_who_cosigned(app: App, watching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    witness = watching()
    home = ["--home", str(app.home.path)]
    assert main(["audit", "witnesses", *home]) == 0
    settings = app.home.settings
    app.home.save(type(settings)(**{**vars(settings), "log": type(settings.log)((witness.setting,))}))
    grow(app, 3, 1)
    assert main(["audit", "witnesses", *home]) == 1
    assert "has cosigned nothing" in capsys.readouterr().out
    assert main(["audit", "witnesses", "--ask", *home]) == 0
    assert "cosigned 3 leaves" in capsys.readouterr().out
    with app.store.write() as session:
        session.execute(update(KeptCosignature).values(time=KeptCosignature.time + 1))
    audit = Audit(app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    with app.store.read() as session:
        audit.run(StoreLog.of(session))
    assert "cosignature_differs" in {finding.code for finding in audit.findings}
