"""A bundle says the same as log and chain did, without either; and whatever is changed in it is found and named."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from authority.audit import bundle as bundles
from authority.audit.bundle import Bundle, BundleError, Identity, audit_bundle, write_bundle
from authority.audit.verify import Audit
from authority.chain.accounts import EnergyAccount, EpochCheckpoint, MeterState
from authority.cli import main

MEMBERS = ("leaves", "checkpoints", "accounts", "history", "manifest.json", "idl/oracle.json")


def codes(audit: Audit) -> set[str]:
    return {finding.code for finding in audit.findings}


def audited(path: Path) -> set[tuple[str, str]]:
    """What is found in a bundle: codes, and where; or that the file is not a bundle any more."""
    try:
        return {(finding.code, finding.where) for finding in audit_bundle(path).findings}
    except BundleError as error:
        return {(error.code, path.name)}


def region(path: Path, name: str) -> tuple[int, int]:
    """Where a member's bytes lie in the file: first, and how many."""
    info = zipfile.ZipFile(path).getinfo(name)
    head = path.read_bytes()[info.header_offset : info.header_offset + 30]
    name_size, extra_size = struct.unpack("<26xHH", head)
    return info.header_offset + 30 + name_size + extra_size, info.file_size


def test_a_bundle_says_the_same_years_later(traded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    key = ["--key", traded.receipt_key.hex()]
    assert main(["audit", "verify", "--bundle", str(traded.bundle), "--json", *key]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == []
    assert said["ok"] is True
    assert said["minted_wh"] == traded.minted_wh == 10_500
    assert said["entries"] == Bundle(traded.bundle).size()
    chain = Bundle(traded.bundle).chain()
    assert chain is not None
    pinned, signed = len(list(chain.state.all(EpochCheckpoint))), list(Bundle(traded.bundle).checkpoints())
    assert said["checkpoints"] == pinned + len(signed) > 2
    roots = {(pin.log_size, pin.log_root) for _, pin in chain.state.all(EpochCheckpoint)}
    assert roots <= {(each.size, each.root) for each in signed}  # what is pinned was signed and published
    assert main(["audit", "verify", "--bundle", str(traded.bundle)]) == 0
    assert "minted: 10500 Wh by the signed readings" in capsys.readouterr().out
    assert main(["audit", "verify", "--bundle", str(traded.bundle), "--log-only", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["minted_wh"] is None


def test_a_bundle_of_another_key_is_not_believed(traded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--bundle", str(traded.bundle), "--json", "--key", "11" * 32]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [problem["code"] for problem in said["problems"]] == ["bundle_key"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found_and_its_member_named(traded: Any, tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(MEMBERS))
    start, size = region(traded.bundle, name)
    at = start + data.draw(st.integers(0, size - 1))
    changed = tmp_path / "changed"
    raw = bytearray(traded.bundle.read_bytes())
    raw[at] ^= data.draw(st.integers(1, 255))
    changed.write_bytes(raw)
    found = audited(changed)
    assert {"bundle_changed", "bundle_unreadable"} & {code for code, _ in found}
    assert name == "manifest.json" or ("bundle_changed", name) in found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_the_file_is_found(traded: Any, tmp_path: Path, data: st.DataObject) -> None:
    changed = tmp_path / "changed"
    raw = bytearray(traded.bundle.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed.write_bytes(raw)
    assert {"bundle_changed", "bundle_unreadable"} & {code for code, _ in audited(changed)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_of_a_leaf_names_the_leaf(traded: Any, tmp_path: Path, data: st.DataObject) -> None:
    leaves = list(Bundle(traded.bundle).leaves())
    leaf = data.draw(st.sampled_from(leaves))
    start, _ = region(traded.bundle, "leaves")
    start += sum(4 + len(each.data) + 32 for each in leaves[: leaf.log_index]) + 4
    at = start + data.draw(st.integers(0, len(leaf.data) + 32 - 1))
    changed = tmp_path / "changed"
    raw = bytearray(traded.bundle.read_bytes())
    raw[at] ^= data.draw(st.integers(1, 255))
    changed.write_bytes(raw)
    assert {("bundle_changed", "leaves"), ("leaf_hash", str(leaf.log_index))} <= audited(changed)


class Forged(Bundle):
    """A bundle with something put in place of what it holds: what one who owns database and receipt key could seal."""

    leaf_changes: dict[int, Any]

    def leaves(self) -> Any:
        for leaf in super().leaves():
            change = self.leaf_changes.get(leaf.log_index)
            data = leaf.data if change is None else change(leaf.data)
            yield type(leaf)(leaf.log_index, data, bundles.merkle.leaf_hash(data))


def audit_forged(traded: Any, **leaf_changes: Any) -> Audit:
    forged = Forged(traded.bundle)
    forged.leaf_changes = {int(name.removeprefix("leaf_")): change for name, change in leaf_changes.items()}
    audit = Audit(forged.network_id, forged.receipt_key)
    audit.run(forged, forged.chain())
    return audit


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_a_leaf_breaks_the_tree_even_with_its_hash_made_anew(
    traded: Any, data: st.DataObject
) -> None:
    leaves = list(Bundle(traded.bundle).leaves())
    leaf = data.draw(st.sampled_from(leaves))
    at = data.draw(st.integers(0, len(leaf.data) - 1))
    flip = data.draw(st.integers(1, 255))

    def change(raw: bytes) -> bytes:
        return raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]

    audit = audit_forged(traded, **{f"leaf_{leaf.log_index}": change})
    assert codes(audit) & {"log_rewritten", "root_differs"}


HOSTILE = (None, True, 2.0, -1, 2**63, 10**400, "", "\ud800", "ff" * 40, [], [1], {}, {"a": {}})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to a value of JSON and to all that is in it."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a value of JSON in which something else stands there."""
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_act_that_says_anything_at_all_is_audited_to_the_end(traded: Any, data: st.DataObject) -> None:
    """Not only one changed byte: whoever owns the database writes what he likes, and makes the hashes anew."""
    acts = {json.loads(leaf.data[1:])["kind"]: leaf for leaf in Bundle(traded.bundle).leaves() if leaf.data[0] == 2}
    leaf = acts[data.draw(st.sampled_from(sorted(acts)))]
    said = json.loads(leaf.data[1:])
    text = data.draw(st.sampled_from(HOSTILE).map(json.dumps) | st.just("NaN") | st.just("[" * 10_000))
    path = data.draw(st.sampled_from(list(places(said))))
    whole = json.dumps(put(said, path, "\0here"), sort_keys=True, separators=(",", ":"))
    forged = b"\2" + whole.replace(json.dumps("\0here"), text).encode()
    audit = audit_forged(traded, **{f"leaf_{leaf.log_index}": lambda _: forged})
    assert codes(audit) & {"log_rewritten", "root_differs"}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_reading_or_a_book_of_any_bytes_is_audited_to_the_end(traded: Any, data: st.DataObject) -> None:
    leaves = [leaf for leaf in Bundle(traded.bundle).leaves() if leaf.data[0] != 2]
    leaf = data.draw(st.sampled_from(leaves))
    at = data.draw(st.integers(0, len(leaf.data) - 1))
    with_ = data.draw(st.binary(min_size=1, max_size=16) | st.just(b"\xff" * 16) | st.just(bytes(16)))
    end = data.draw(st.integers(0, len(leaf.data)) | st.just(len(leaf.data)))
    forged = (leaf.data[:at] + with_ + leaf.data[at + len(with_) :])[:end]
    audit = audit_forged(traded, **{f"leaf_{leaf.log_index}": lambda _: forged})
    assert forged == leaf.data or codes(audit) & {"log_rewritten", "root_differs"}


@pytest.mark.parametrize("kind", [EnergyAccount, MeterState, EpochCheckpoint])
def test_an_account_that_was_changed_is_named_by_what_the_log_says(traded: Any, kind: Any) -> None:
    """Every byte of an account that the log speaks of: changed, the account is named, whatever the seal says."""
    source = Bundle(traded.bundle)
    chain = source.chain()
    assert chain is not None
    address, _ = next(each for each in chain.state.all(kind))
    owner, raw = chain.state.accounts[address]
    fields = {
        EnergyAccount: ("minted", "withdrawn", "generated", "consumed", "charged", "boundary", "bank"),
        MeterState: ("interval_end", "sequence", "registers", "hash", "settled_end", "settled"),
        EpochCheckpoint: ("epoch", "log_size", "log_root", "book_hash", "minted", "energy_supply", "credit_supply"),
    }[kind]
    before = kind.from_account(raw)
    named = 0
    for at in range(8, kind.size()):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        after = kind.from_account(changed)
        if all(getattr(before, name) == getattr(after, name) for name in fields):
            continue
        chain = source.chain()
        assert chain is not None
        chain.state.accounts[address] = (owner, changed)
        audit = Audit(source.network_id, source.receipt_key)
        audit.run(source, chain)
        assert audit.findings, f"byte {at} of {kind.__name__}"
        named += 1
    assert named >= 32


def test_a_bundle_that_is_none_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none"
    assert main(["audit", "verify", "--bundle", str(path)]) == 1
    path.write_bytes(b"PK\x05\x06")
    assert main(["audit", "verify", "--bundle", str(path)]) == 1
    assert capsys.readouterr().err.count("bundle_unreadable") == 2


def test_a_sealed_bundle_of_a_forged_log_is_found_out(traded: Any, tmp_path: Path) -> None:
    """Whoever holds the receipt key can seal what he likes: the chain's checkpoints still say what the log was."""
    forged = Forged(traded.bundle)
    forged.leaf_changes = {9: lambda raw: raw[:20] + bytes([raw[20] ^ 1]) + raw[21:]}
    path = tmp_path / "forged"
    write_bundle(path, Identity(forged.network_id, Keypair()), forged, forged.chain(), {})
    found = audit_bundle(path)
    assert {"log_rewritten", "root_differs"} <= codes(found)
    assert not any(finding.code == "bundle_changed" for finding in found.findings)
