"""A proof in an auditor's hands: what is right is said in words, what was changed anywhere is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authority.app import App
from authority.cli import main
from authority.collector.ingest import Collector
from authority.log import log, merkle, proof
from authority.log.note import BadSignatureError
from authority.log.proof import ProofCheckError


@pytest.fixture
def proven(app: App, add_meter: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The document of a meter's second reading, in a log with an act."""
    meter = add_meter()
    Collector(app).ingest(
        b"".join([meter.next(), meter.next(), meter.next()]), gateway="gw-1", meter=None, over="https"
    )
    with app.store.write() as session:
        log.record_act(session, "market_opened", "operator", 1, {})
    assert main(["audit", "prove", "1", "--home", str(app.home.path)]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def refused(document: object, **options: Any) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises((ProofCheckError, BadSignatureError)) as caught:
        proof.check(data, **options)
    return caught.value.code


def test_a_reading_is_checked_without_a_home(
    proven: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reading.json"
    file.write_text(json.dumps(proven))
    words = ["audit", "check", str(file), "--home", str(tmp_path / "none")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    checked = proof.check(file.read_bytes())
    assert checked.reading is not None
    assert f"generation      {checked.reading.frame.record.generation} Wh" in shown
    assert checked.reading.frame.public_key.hex() in shown
    assert "compare it with a checkpoint" in shown
    assert main([*words, "--root", proven["root"]]) == 0
    assert "compare it" not in capsys.readouterr().out
    assert main([*words, "--root", "00" * 32]) == 1
    assert "other_root" in capsys.readouterr().err
    file.unlink()
    assert main(words) == 1
    assert "proof_unreadable" in capsys.readouterr().err


def test_an_act_is_shown_as_it_was_written(app: App, proven: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    assert main(["audit", "prove", "3", "--home", str(app.home.path)]) == 0
    file = tmp_path / "act.json"
    file.write_text(capsys.readouterr().out)
    assert main(["audit", "check", str(file)]) == 0
    assert '"kind":"market_opened"' in capsys.readouterr().out


def test_the_readings_of_a_meter_are_listed(app: App, proven: dict[str, Any], capsys: Any) -> None:
    home = ["--home", str(app.home.path)]
    assert main(["audit", "readings", "gw-1/nothing", *home]) == 1
    known = capsys.readouterr().err
    name = known.split("has ")[1].split(" [")[0].strip()
    assert main(["audit", "readings", name, "--last", "2", *home]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["LOG", "1", "2"]


def test_every_change_is_found_out(proven: dict[str, Any]) -> None:
    leaf = bytes.fromhex(proven["leaf"])
    for at in range(len(leaf)):
        changed = leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :]
        assert refused({**proven, "leaf": changed.hex()}) == "not_in_the_log"
    assert refused({**proven, "log_index": 2}) == "not_in_the_log"
    assert refused({**proven, "log_index": -1}) == "not_in_the_log"
    assert refused({**proven, "size": 1}) == "not_in_the_log"
    assert refused({**proven, "proof": proven["proof"][:-1]}) == "not_in_the_log"
    assert refused({**proven, "root": "11" * 32}) == "not_in_the_log"


def test_a_size_that_the_root_does_not_prove_is_refused(proven: dict[str, Any]) -> None:
    """The path of leaf 1 of 4 holds for 3 leaves as well: its root says nothing of how many there are."""
    root = bytes.fromhex(proven["root"])
    path = [bytes.fromhex(value) for value in proven["proof"]]
    merkle.verify_inclusion(merkle.leaf_hash(bytes.fromhex(proven["leaf"])), 1, 3, path, root)
    for size in (2, 3, 5, 6, 7, 8, 2**40):
        assert refused({**proven, "size": size}, root=root) == "not_in_the_log"
    assert refused({**proven, "edges": proven["edges"][:-1]}, root=root) == "not_in_the_log"
    del proven["edges"]
    assert refused(proven, root=root) == "proof_malformed"


def alone(leaf: bytes) -> dict[str, Any]:
    """The proof of a log of this one leaf."""
    edges = [{"leaf": leaf.hex(), "proof": []}]
    root = merkle.leaf_hash(bytes(leaf)).hex()
    return {"edges": edges, "leaf": leaf.hex(), "log_index": 0, "size": 1, "proof": [], "root": root}


def test_a_log_that_takes_in_what_no_meter_signed_is_found_out(proven: dict[str, Any]) -> None:
    leaf = bytearray.fromhex(proven["leaf"])
    leaf[12 + 24] ^= 1  # one watt-hour more or less on the generation register
    assert refused(alone(leaf)) == "bad_signature"
    assert refused(alone(leaf[:-1])) == "proof_malformed"
    magic = bytearray.fromhex(proven["leaf"])
    magic[12] ^= 1
    assert refused(alone(magic)) == "proof_malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"leaf": "zz"},
        {"leaf": 5},
        {"root": "00"},
        {"proof": "00"},
        {"proof": [7]},
        {"size": "4"},
        {"size": True},
        {"edges": 1},
        {"edges": [1]},
    ],
)
def test_what_is_no_proof_is_named(proven: dict[str, Any], change: dict[str, Any]) -> None:
    assert refused({**proven, **change}) == "proof_malformed"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"{}", b"\xff", b"[" * 100_000, b" " * (proof.MAX_DOCUMENT + 1)])
def test_bytes_that_are_no_document_are_named(data: bytes) -> None:
    assert refused(data) == "proof_malformed"
