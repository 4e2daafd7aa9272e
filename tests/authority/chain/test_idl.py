"""The IDL codec, against a small IDL written by hand and the bytes that Anchor would make of it."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta
from solders.pubkey import Pubkey

from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory
from authority.chain.idl import (
    EVENT_INSTRUCTION_TAG,
    Idl,
    IdlAccountsError,
    IdlDataError,
    IdlError,
    IdlFormatError,
    IdlNameError,
    IdlValueError,
    logged_data,
)

PROGRAM = Pubkey.from_string("CampusGovernance1111111111111111111111111112")
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
WALLET = Pubkey(bytes(range(32)))


def tag(kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}:{name}".encode()).digest()[:8]


def pod(name: str, fields: list[Any]) -> dict[str, object]:
    return {
        "name": name,
        "serialization": "bytemuck",
        "repr": {"kind": "c"},
        "type": {"kind": "struct", "fields": fields},
    }


def borsh(name: str, kind: dict[str, object]) -> dict[str, object]:
    return {"name": name, "type": kind}


DOCUMENT = {
    "address": str(PROGRAM),
    "metadata": {"name": "sample", "version": "0.1.0", "spec": "0.1.0"},
    "instructions": [
        {
            "name": "place",
            "discriminator": list(tag("global", "place")),
            "accounts": [
                {"name": "payer", "writable": True, "signer": True},
                {
                    "name": "book",
                    "writable": True,
                    "pda": {
                        "seeds": [{"kind": "const", "value": list(b"book")}, {"kind": "arg", "path": "epoch"}],
                    },
                },
                {
                    "name": "user",
                    "pda": {
                        "seeds": [{"kind": "const", "value": list(b"user")}, {"kind": "account", "path": "payer"}],
                        "program": {"kind": "const", "value": list(bytes(WALLET))},
                    },
                },
                {
                    "name": "owned",
                    "pda": {"seeds": [{"kind": "account", "path": "user.wallet", "account": "User"}]},
                },
                {"name": "delegate", "signer": True, "optional": True},
                {"name": "config", "address": "data.config"},
                {"name": "system_program", "address": str(SYSTEM)},
            ],
            "args": [
                {"name": "epoch", "type": "u32"},
                {"name": "side", "type": {"defined": {"name": "Side"}}},
                {"name": "terms", "type": {"defined": {"name": "Terms"}}},
                {"name": "note", "type": {"option": "string"}},
                {"name": "keys", "type": {"vec": "pubkey"}},
                {"name": "hash", "type": {"array": ["u8", 4]}},
            ],
        },
        {
            "name": "nested",
            "discriminator": [7],
            "accounts": [
                {"name": "inner", "accounts": [{"name": "a"}, {"name": "b", "writable": True}]},
                {"name": "a", "pda": {"seeds": [{"kind": "arg", "path": "terms.price"}]}},
            ],
            "args": [{"name": "terms", "type": {"defined": {"name": "Terms"}}}],
        },
    ],
    "accounts": [
        {"name": "Book", "discriminator": list(tag("account", "Book"))},
        {"name": "Tree", "discriminator": list(tag("account", "Tree"))},
        {"name": "List", "discriminator": list(tag("account", "List"))},
    ],
    "events": [
        {"name": "Cleared", "discriminator": list(tag("event", "Cleared"))},
        {"name": "Noted", "discriminator": list(tag("event", "Noted"))},
    ],
    "errors": [{"code": 6500, "name": "Crossed", "msg": "the order crosses your own"}, {"code": 6501, "name": "Full"}],
    "constants": [{"name": "SIDE", "type": "u32", "value": "512"}],
    "types": [
        pod("Order", [{"name": "price", "type": "u32"}, {"name": "quantity", "type": "u32"}]),
        pod(
            "Book",
            [
                {"name": "version", "type": "u8"},
                {"name": "bump", "type": "u8"},
                {"name": "open", "type": "bool"},
                {"name": "flags", "type": "u8"},
                {"name": "owner", "type": "pubkey"},
                {"name": "sum", "type": {"defined": {"name": "WattHours"}}},
                {"name": "change", "type": "i64"},
                {"name": "orders", "type": {"array": [{"defined": {"name": "Order"}}, 3]}},
                {"name": "reserve", "type": {"array": ["u8", 6]}},
            ],
        ),
        borsh(
            "Terms",
            {
                "kind": "struct",
                "fields": [{"name": "price", "type": "u32"}, {"name": "pair", "type": {"defined": {"name": "Pair"}}}],
            },
        ),
        borsh("Pair", {"kind": "struct", "fields": ["u16", "i8"]}),
        borsh(
            "Side",
            {
                "kind": "enum",
                "variants": [
                    {"name": "Bid"},
                    {"name": "Ask", "fields": [{"name": "limit", "type": "u32"}]},
                    {"name": "Both", "fields": ["u8", "u8"]},
                ],
            },
        ),
        borsh(
            "Tree",
            {
                "kind": "struct",
                "fields": [
                    {"name": "value", "type": "u8"},
                    {"name": "children", "type": {"vec": {"defined": {"name": "Tree"}}}},
                ],
            },
        ),
        borsh("Amount", {"kind": "type", "alias": "u64"}),
        pod("WattHours", ["u64"]),
        {
            "name": "Bounded",
            "generics": [{"kind": "type", "name": "T"}, {"kind": "const", "name": "MAX", "type": "usize"}],
            "serialization": "bytemuckunsafe",
            "repr": {"kind": "c"},
            "type": {
                "kind": "struct",
                "fields": [
                    {"name": "len", "type": "u16"},
                    {"name": "data", "type": {"array": [{"generic": "T"}, {"generic": "MAX"}]}},
                ],
            },
        },
        pod(
            "List",
            [
                {
                    "name": "items",
                    "type": {
                        "defined": {
                            "name": "Bounded",
                            "generics": [
                                {"kind": "type", "type": {"defined": {"name": "Amount"}}},
                                {"kind": "const", "value": "2"},
                            ],
                        }
                    },
                }
            ],
        ),
        pod("Cleared", [{"name": "epoch", "type": "u32"}, {"name": "price", "type": "u32"}]),
        borsh("Noted", {"kind": "struct", "fields": [{"name": "text", "type": "string"}]}),
    ],
}

ARGS = {
    "epoch": 9,
    "side": {"Ask": {"limit": 5}},
    "terms": {"price": 70_000, "pair": [3, -2]},
    "note": "né",
    "keys": [WALLET, bytes(32)],
    "hash": b"\x01\x02\x03\x04",
}
ARGS_BYTES = (
    struct.pack("<I", 9)
    + b"\x01"
    + struct.pack("<I", 5)
    + struct.pack("<IHb", 70_000, 3, -2)
    + b"\x01"
    + struct.pack("<I", 3)
    + "né".encode()
    + struct.pack("<I", 2)
    + bytes(WALLET)
    + bytes(32)
    + b"\x01\x02\x03\x04"
)


@pytest.fixture(scope="module")
def idl() -> Idl:
    return Idl(json.loads(json.dumps(DOCUMENT)))


def changed(**changes: object) -> dict[str, object]:
    return {**copy.deepcopy(DOCUMENT), **changes}


class TestInstructionData:
    def test_is_the_discriminator_then_borsh(self, idl: Idl) -> None:
        assert idl.instruction("place").encode(ARGS) == tag("global", "place") + ARGS_BYTES

    def test_reads_back(self, idl: Idl) -> None:
        name, args = idl.decode_instruction(tag("global", "place") + ARGS_BYTES)
        assert name == "place"
        assert args == {**ARGS, "keys": [WALLET, Pubkey(bytes(32))]}

    @pytest.mark.parametrize(
        ("side", "data"),
        [("Bid", b"\x00"), ({"Both": [1, 2]}, b"\x02\x01\x02"), ({"Ask": {"limit": 1}}, b"\x01\x01\x00\x00\x00")],
    )
    def test_enum_variants(self, idl: Idl, side: object, data: bytes) -> None:
        encoded = idl.instruction("place").encode({**ARGS, "side": side})
        assert encoded[12 : 12 + len(data)] == data
        assert idl.decode_instruction(encoded)[1]["side"] == side

    def test_an_option_left_out_is_one_zero_byte(self, idl: Idl) -> None:
        full = idl.instruction("place").encode(ARGS)
        bare = idl.instruction("place").encode({**ARGS, "note": None})
        assert len(full) - len(bare) == 4 + 3

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"epoch": -1}, "place.epoch: -1 does not fit u32"),
            ({"epoch": 1 << 32}, "does not fit u32"),
            ({"epoch": True}, "takes an int, not bool"),
            ({"epoch": 1.0}, "takes an int, not float"),
            ({"side": "Neither"}, "is not one of Bid, Ask, Both"),
            ({"side": "Ask"}, "needs content"),
            ({"side": {"Bid": {}}}, "has no content"),
            ({"terms": {"price": 1}}, "place.terms.pair: is missing"),
            ({"terms": {"price": 1, "pair": [1, 1], "more": 1}}, "has no field more"),
            ({"terms": {"price": 1, "pair": [1]}}, "takes 2 items, these are 1"),
            ({"terms": {"price": 1, "pair": [1, 128]}}, "place.terms.pair.1: 128 does not fit i8"),
            ({"terms": 3}, "takes a dict, not int"),
            ({"note": b"bytes"}, "takes str, not bytes"),
            ({"keys": WALLET}, "takes a list, not Pubkey"),
            ({"keys": [b"short"]}, r"place.keys\[0\]: pubkey takes"),
            ({"hash": b"123"}, "takes 4 bytes, these are 3"),
            ({"hash": [1, 2, 3, 4]}, "takes 4 bytes, not list"),
            ({"extra": 1}, "has no field extra"),
        ],
    )
    def test_a_value_that_does_not_fit_names_its_place(self, idl: Idl, change: dict[str, object], where: str) -> None:
        with pytest.raises(IdlValueError, match=where):
            idl.instruction("place").encode({**ARGS, **change})

    @pytest.mark.parametrize("cut", range(8, 8 + len(ARGS_BYTES)))
    def test_cut_short_anywhere_is_refused(self, idl: Idl, cut: int) -> None:
        with pytest.raises(IdlDataError):
            idl.decode_instruction((tag("global", "place") + ARGS_BYTES)[:cut])

    def test_trailing_bytes_are_refused(self, idl: Idl) -> None:
        with pytest.raises(IdlDataError, match="1 bytes follow"):
            idl.decode_instruction(tag("global", "place") + ARGS_BYTES + b"\x00")

    def test_another_programs_data_is_refused(self, idl: Idl) -> None:
        with pytest.raises(IdlDataError, match="not an instruction of sample"):
            idl.decode_instruction(b"\xff" * 8)

    @given(st.binary(max_size=200))
    def test_hostile_data_raises_nothing_else(self, data: bytes) -> None:
        idl = Idl(DOCUMENT)
        for prefix in (tag("global", "place"), b"\x07"):
            try:
                idl.decode_instruction(prefix + data)
            except IdlDataError:
                continue


class TestAccountsOfAnInstruction:
    def given_accounts(self) -> dict[str, Pubkey | None]:
        return {"payer": WALLET, "owned": PROGRAM, "config": PROGRAM}

    def test_fixed_addresses_and_pdas_come_from_the_idl(self, idl: Idl) -> None:
        metas = idl.instruction("place").account_metas(self.given_accounts(), ARGS)
        book = Pubkey.find_program_address([b"book", struct.pack("<I", 9)], PROGRAM)[0]
        user = Pubkey.find_program_address([b"user", bytes(WALLET)], WALLET)[0]
        assert metas == [
            AccountMeta(WALLET, is_signer=True, is_writable=True),
            AccountMeta(book, is_signer=False, is_writable=True),
            AccountMeta(user, is_signer=False, is_writable=False),
            AccountMeta(PROGRAM, is_signer=False, is_writable=False),
            AccountMeta(PROGRAM, is_signer=False, is_writable=False),  # the optional delegate, left out
            AccountMeta(PROGRAM, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM, is_signer=False, is_writable=False),
        ]

    def test_what_is_given_goes_before_the_idl(self, idl: Idl) -> None:
        other = Pubkey(bytes(31) + b"\x09")
        metas = idl.instruction("place").account_metas(
            {**self.given_accounts(), "book": other, "delegate": other, "system_program": other}, ARGS
        )
        assert [metas[1].pubkey, metas[4], metas[6].pubkey] == [
            other,
            AccountMeta(other, is_signer=True, is_writable=False),
            other,
        ]

    def test_remaining_accounts_follow(self, idl: Idl) -> None:
        more = [AccountMeta(SYSTEM, is_signer=False, is_writable=True)]
        instruction = idl.instruction("place").build(ARGS, self.given_accounts(), more)
        assert instruction.program_id == PROGRAM
        assert instruction.accounts[-1:] == more
        assert len(instruction.accounts) == 8

    def test_composites_nest_and_names_may_repeat(self, idl: Idl) -> None:
        item = idl.instruction("nested")
        args = {"terms": {"price": 5, "pair": [0, 0]}}
        metas = item.account_metas({"inner": {"a": WALLET, "b": SYSTEM}}, args)
        derived = Pubkey.find_program_address([struct.pack("<I", 5)], PROGRAM)[0]
        assert [(meta.pubkey, meta.is_writable) for meta in metas] == [
            (WALLET, False),
            (SYSTEM, True),
            (derived, False),
        ]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"payer": None}, "payer is not optional"),
            ({"nobody": WALLET}, "has no account nobody"),
            ({"payer": "text"}, "payer takes a Pubkey, not str"),
        ],
    )
    def test_wrong_accounts_are_named(self, idl: Idl, change: dict[str, object], message: str) -> None:
        with pytest.raises(IdlAccountsError, match=message):
            idl.instruction("place").account_metas({**self.given_accounts(), **change}, ARGS)  # type: ignore[dict-item]

    @pytest.mark.parametrize("name", ["payer", "owned", "config"])
    def test_what_cannot_be_derived_must_be_given(self, idl: Idl, name: str) -> None:
        accounts = self.given_accounts()
        del accounts[name]
        with pytest.raises(IdlAccountsError, match=f"account {name} is not given"):
            idl.instruction("place").account_metas(accounts, ARGS)

    def test_a_seed_from_a_missing_argument_is_refused(self, idl: Idl) -> None:
        with pytest.raises(IdlValueError, match=r"place.epoch"):
            idl.instruction("place").account_metas(self.given_accounts(), {})


BOOK = {
    "version": 1,
    "bump": 254,
    "open": True,
    "flags": 0,
    "owner": WALLET,
    "sum": 2**64 - 1,
    "change": -5,
    "orders": [{"price": 1, "quantity": 2}, {"price": 3, "quantity": 4}, {"price": 0, "quantity": 0}],
    "reserve": bytes(6),
}
BOOK_BYTES = (
    tag("account", "Book")
    + struct.pack("<BB?B32sQq", 1, 254, True, 0, bytes(WALLET), 2**64 - 1, -5)
    + struct.pack("<6I", 1, 2, 3, 4, 0, 0)
    + bytes(6)
)


class TestAccountData:
    def test_bytemuck_is_read_field_after_field(self, idl: Idl) -> None:
        assert idl.decode_account(BOOK_BYTES) == ("Book", BOOK)
        assert idl.encode_account("Book", BOOK) == BOOK_BYTES

    def test_room_to_grow_is_passed_over(self, idl: Idl) -> None:
        assert idl.decode_account(BOOK_BYTES + bytes(100))[1] == BOOK

    def test_borsh_recursion(self, idl: Idl) -> None:
        tree = {"value": 1, "children": [{"value": 2, "children": []}, {"value": 3, "children": []}]}
        data = tag("account", "Tree") + bytes.fromhex("01 02000000 02 00000000 03 00000000")
        assert idl.decode_account(data) == ("Tree", tree)
        assert idl.encode_account("Tree", tree) == data

    def test_generic_types(self, idl: Idl) -> None:
        data = tag("account", "List") + struct.pack("<HQQ", 1, 7, 0)
        assert idl.decode_account(data) == ("List", {"items": {"len": 1, "data": [7, 0]}})

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "starts with nothing"),
            (bytes(8), "not an account of sample"),
            (BOOK_BYTES[:-1], "Book.reserve: cut short"),
            (BOOK_BYTES[:10] + b"\x02" + BOOK_BYTES[11:], "expected a bool"),
            (tag("account", "Tree") + b"\x01\xff\xff\xff\xff", "says it has 4294967295 items, there is room for 0"),
            (tag("account", "Tree") + b"\x01\x01\x00\x00\x00" * 40 + b"\x00" * 8, "nests deeper than 32"),
        ],
    )
    def test_damaged_data_is_refused(self, idl: Idl, data: bytes, message: str) -> None:
        with pytest.raises(IdlDataError, match=message):
            idl.decode_account(data)

    def test_discriminator_for_filters(self, idl: Idl) -> None:
        assert idl.account_discriminator("Book") == tag("account", "Book")
        with pytest.raises(IdlNameError, match="there are Book, Tree, List"):
            idl.account_discriminator("Nothing")

    @given(st.binary(max_size=300), st.sampled_from(["Book", "Tree", "List"]))
    def test_hostile_data_raises_nothing_else(self, data: bytes, name: str) -> None:
        idl = Idl(DOCUMENT)
        try:
            idl.decode_account(tag("account", name) + data)
        except IdlDataError:
            return


def data_line(data: bytes) -> str:
    return f"Program data: {base64.b64encode(data).decode()}"


CLEARED = tag("event", "Cleared") + struct.pack("<II", 4, 90)


class TestEvents:
    def test_of_this_program_only(self, idl: Idl) -> None:
        other = str(WALLET)
        logs = [
            f"Program {PROGRAM} invoke [1]",
            "Program log: Instruction: Clear",
            f"Program log: {data_line(CLEARED)}",  # what a program says itself is not an event
            f"Program {other} invoke [2]",
            data_line(CLEARED),
            f"Program {other} consumed 5 of 200000 compute units",
            f"Program {other} success",
            data_line(CLEARED),
            data_line(tag("event", "Noted") + b"\x02\x00\x00\x00hi"),
            data_line(b"unknown!"),
            "Program data: not base64!",
            f"Program {PROGRAM} success",
            data_line(CLEARED),
        ]
        events = idl.events(logs)
        assert [(event.name, event.data) for event in events] == [
            ("Cleared", {"epoch": 4, "price": 90}),
            ("Noted", {"text": "hi"}),
        ]
        assert [program for program, _ in logged_data(logs)] == [other] + [str(PROGRAM)] * 3

    def test_self_cpi(self, idl: Idl) -> None:
        event = idl.decode_event(EVENT_INSTRUCTION_TAG + CLEARED)
        assert event is not None
        assert event.data == {"epoch": 4, "price": 90}
        assert hashlib.sha256(b"anchor:event").digest()[:8] == EVENT_INSTRUCTION_TAG[::-1]

    def test_damaged_events_are_refused(self, idl: Idl) -> None:
        for data in (CLEARED[:-1], CLEARED + b"\x00"):
            with pytest.raises(IdlDataError):
                idl.decode_event(data)

    def test_a_variant_is_read_with_the_row_and_a_number_that_is_none_is_named(self) -> None:
        types = [
            pod("Ended", [{"name": "epoch", "type": "u32"}, {"name": "how", "type": {"defined": {"name": "How"}}}]),
            borsh("How", {"kind": "enum", "variants": [{"name": "Cleared"}, {"name": "Refunded"}]}),
        ]
        discriminator = tag("event", "Ended")
        idl = Idl(
            changed(
                events=[{"name": "Ended", "discriminator": list(discriminator)}], types=[*DOCUMENT["types"], *types]
            )
        )
        event = idl.decode_event(discriminator + struct.pack("<IB", 4, 1))
        assert event is not None
        assert (event.data["epoch"], event.data["how"].name, event.data["how"]) == (4, "Refunded", 1)
        with pytest.raises(IdlDataError, match=r"Ended\.how: 2 is not a variant; the type has 2"):
            idl.decode_event(discriminator + struct.pack("<IB", 4, 2))


class TestErrors:
    def test_by_code(self, idl: Idl) -> None:
        crossed = idl.error(6500)
        assert crossed is not None
        assert (crossed.name, crossed.message) == ("Crossed", "the order crosses your own")
        full = idl.error(6501)
        assert full is not None
        assert full.message == "Full"
        framework = idl.error(2012)
        assert framework is not None
        assert framework.name == "ConstraintAddress"
        assert idl.error(1) is None


class TestBadIdls:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"metadata": {"name": "old", "version": "1", "spec": "0.0.1"}}, "this IDL says '0.0.1'"),
            ({"metadata": None}, "this IDL says None"),
            ({"address": "not an address"}, "cannot read the IDL's address"),
            ({"address": None}, "no text under 'address'"),
            ({"types": []}, "is used but not defined"),
            ({"instructions": [{"name": "x", "args": []}]}, "x has no discriminator"),
            ({"instructions": [{"name": "x", "discriminator": [1], "args": [{"name": "a", "type": "f64"}]}]}, "'f64'"),
            ({"instructions": [{"name": "x", "discriminator": [300], "args": []}]}, "x has no discriminator"),
            ({"instructions": 7}, "has not the shape"),
            ({"instructions": [], "types": [{"name": "Book", "serialization": "custom", "type": {}}]}, "'custom'"),
        ],
    )
    def test_are_refused(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(IdlFormatError, match=message):
            Idl(changed(**change))

    def test_files(self, tmp_path: object) -> None:
        from pathlib import Path

        path = Path(str(tmp_path)) / "idl.json"
        path.write_text("{", "utf-8")
        with pytest.raises(IdlFormatError, match="cannot be read"):
            Idl.load(path)
        path.write_text("[]", "utf-8")
        with pytest.raises(IdlFormatError, match="expected a JSON object"):
            Idl.load(path)
        path.write_text(json.dumps(DOCUMENT), "utf-8")
        assert Idl.load(path).instruction_names == ("place", "nested")

    def test_every_cause_has_its_own_code(self) -> None:
        causes = (IdlFormatError, IdlNameError, IdlValueError, IdlAccountsError, IdlDataError)
        assert len({cause.code for cause in causes}) == len(causes)
        assert all(issubclass(cause, IdlError) for cause in causes)

    def test_unknown_instruction(self, idl: Idl) -> None:
        with pytest.raises(IdlNameError, match="there are place, nested"):
            idl.instruction("nothing")


@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_released_idls_load(program: str) -> None:
    if not (artifacts_directory() / f"{program}.json").is_file():
        pytest.skip(f"the IDL of {program} is not built: run `make programs`")
    idl = Idl.load(program)
    assert idl.name == program
    assert idl.instruction_names
    assert "initialize" in idl.instruction_names or "initialize_market" in idl.instruction_names or program == "oracle"


@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_accounts_that_an_idl_states_are_the_same_given_or_not(program: str) -> None:
    idl = Idl.released(program)
    document = json.loads((artifacts_directory() / f"{program}.json").read_bytes())
    for raw in document["instructions"]:
        item = idl.instruction(raw["name"])
        stated = {each["name"]: Pubkey.from_string(each["address"]) for each in raw["accounts"] if "address" in each}
        assert all(item.is_at(name, address) for name, address in stated.items())
        others = [each["name"] for each in raw["accounts"] if each["name"] not in stated]
        given: dict[str, Pubkey | None] = {name: Pubkey(bytes([n + 1]) * 32) for n, name in enumerate(others)}
        expected = [
            AccountMeta(
                {**stated, **given}[each["name"]], bool(each.get("signer", False)), bool(each.get("writable", False))
            )
            for each in raw["accounts"]
        ]
        assert item.account_metas(given) == item.account_metas({**stated, **given}) == expected
        other = Pubkey(b"\xee" * 32)
        for name in stated:
            assert not item.is_at(name, other)
            place = [each["name"] for each in raw["accounts"]].index(name)
            assert item.account_metas({**given, name: other})[place].pubkey == other, "what is given goes before"
        with pytest.raises(IdlAccountsError):
            item.account_metas({**given, "nobody": other})
