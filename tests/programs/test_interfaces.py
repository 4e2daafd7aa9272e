"""What the five programs promise to whoever reads them: codes, words, versions, and accounts that may grow."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from campus import Campus, Member
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES, idl_path

ERRORS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "ERRORS.md"


def released(program: str) -> dict[str, Any]:
    """A program's IDL as it was built."""
    found: dict[str, Any] = json.loads(idl_path(program).read_bytes())
    return found


def test_every_refusal_has_a_code_of_its_own_across_the_programs() -> None:
    codes = [error["code"] for program in PROGRAM_NAMES for error in released(program)["errors"]]
    assert len(codes) == len(set(codes)) > 200


@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_every_refusal_says_something_and_stands_in_the_table(program: str) -> None:
    page = ERRORS_PAGE.read_text(encoding="utf-8")
    for error in released(program)["errors"]:
        message = error["msg"].replace("|", "/")
        assert f"| {error['code']} | {error['name']} | {message} |" in page


@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_everything_is_described(program: str) -> None:
    """Every instruction, account of an instruction, type and field."""
    found = released(program)
    undescribed = [
        item["name"]
        for item in chain(
            found["instructions"],
            chain.from_iterable(item["accounts"] for item in found["instructions"]),
            found["types"],
            chain.from_iterable(item["type"].get("fields", ()) for item in found["types"]),
        )
        if not item.get("docs")
    ]
    assert undescribed == []


@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_every_account_has_its_version_first_its_bump_and_room(program: str) -> None:
    found = released(program)
    types = {item["name"]: [field["name"] for field in item["type"].get("fields", [])] for item in found["types"]}
    for account in found["accounts"]:
        assert types[account["name"]][:2] == ["version", "bump"]
        assert "reserved" in types[account["name"]]


def test_accounts_that_a_later_release_made_longer_are_read(campus: Campus) -> None:
    """Config, User, Meter, MeterState, EnergyAccount and Oracle, each with 32 bytes more: all goes on as before."""
    member = campus.register_user("alice")
    house = campus.add_meter(member, "house", "building", "solar")
    campus.round(member, campus.boundary(1), (house, (0, 0)))
    for address in (*accounts_of(member), house.meter, house.state):
        found = campus.svm.get_account(address)
        assert found is not None
        campus.put(address, bytes(found.data) + b"later".ljust(32), found.owner)
    campus.round(member, campus.boundary(2), (house, (1_500, 500)))
    assert campus.tokens(member.energy_tokens) == 1_000
    found = campus.svm.get_account(house.state)
    assert found is not None
    assert bytes(found.data).endswith(b"later".ljust(32))


def accounts_of(member: Member) -> list[Pubkey]:
    """What settles a member, besides its meters."""
    return [programs.config_address(), programs.oracle_authority(), member.user, member.energy_account]
