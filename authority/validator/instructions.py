"""Instructions as `jsonParsed` has them: of the programs whose instructions Solana's validators can name.

That is the system program, SPL Token and Token-2022 (what both have), associated token accounts, memos, lookup tables
and the upgradeable loader. An instruction of any other program, and one that is malformed, stays as it is: program,
accounts, data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from solders.pubkey import Pubkey

from authority.validator import tokens
from authority.validator.genesis import SYSTEM_PROGRAM, UPGRADEABLE_LOADER

LOOKUP_TABLE_PROGRAM: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
ASSOCIATED_TOKEN_PROGRAM: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO_PROGRAMS: Final = (
    Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
    Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
)


class _Reader:
    """Little-endian fields, one after the other; ValueError where the data is too short for the next."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise ValueError("the instruction's data is too short")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data))

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def u8(self) -> int:
        return self.number(1)

    def u32(self) -> int:
        return self.number(4)

    def u64(self) -> int:
        return self.number(8)

    def u64_text(self) -> str:
        return str(self.number(8))

    def rest_as_text(self) -> str:
        return self.rest().decode()

    def base64(self) -> str:
        return base64.b64encode(self.take(self.number(8))).decode()

    def addresses(self) -> list[str]:
        return [self.address() for _ in range(self.number(8))]

    def address(self) -> str:
        return str(Pubkey.from_bytes(self.take(32)))

    def some_address(self) -> str | None:
        return self.address() if self.number(1) else None

    def text(self) -> str:
        return self.take(self.number(8)).decode()


_Field = Callable[[_Reader], Any]
_U8: Final[_Field] = _Reader.u8
_U32: Final[_Field] = _Reader.u32
_U64: Final[_Field] = _Reader.u64
_U64_TEXT: Final[_Field] = _Reader.u64_text
_ADDRESS: Final[_Field] = _Reader.address
_SOME_ADDRESS: Final[_Field] = _Reader.some_address
_ADDRESSES: Final[_Field] = _Reader.addresses
_TEXT: Final[_Field] = _Reader.text
_REST_AS_TEXT: Final[_Field] = _Reader.rest_as_text
_BYTES: Final[_Field] = _Reader.base64


def _token_amount(reader: _Reader) -> dict[str, Any]:
    units = reader.number(8)
    return tokens.amount(units, reader.number(1))


@dataclass(frozen=True)
class _Shape:
    """One instruction: its name, its accounts in order, its data in order.

    An account that may be missing has a `?` (it is null then) or a `~` (its key is left out then). `signers`: accounts
    after the named ones sign for a multisig, which the last named one is. A field's name with `~` is left out if None.
    """

    name: str
    accounts: str
    fields: tuple[tuple[str, _Field], ...] = ()
    signers: bool = False

    def parse(self, reader: _Reader, accounts: Sequence[str]) -> dict[str, Any]:
        info: dict[str, Any] = {}
        for key, field in self.fields:
            value = field(reader)
            if value is not None or not key.endswith("~"):
                info[key.rstrip("~")] = value
        names = self.accounts.split()
        for index, name in enumerate(names):
            plain = name.rstrip("?~")
            if index < len(accounts):
                last = index == len(names) - 1
                if self.signers and last and len(accounts) > len(names):
                    info[f"multisig{plain[0].upper()}{plain[1:]}"] = accounts[index]
                    info["signers"] = list(accounts[len(names) :])
                else:
                    info[plain] = accounts[index]
            elif name.endswith("?"):
                info[plain] = None
            elif not name.endswith("~"):
                raise ValueError(f"the instruction has no account {plain}")
        return {"type": self.name, "info": info}


_NEW = (("lamports", _U64), ("space", _U64), ("owner", _ADDRESS))
_SEED = (("base", _ADDRESS), ("seed", _TEXT))
_SYSTEM: Final = {
    0: _Shape("createAccount", "source newAccount", _NEW),
    1: _Shape("assign", "account", (("owner", _ADDRESS),)),
    2: _Shape("transfer", "source destination", (("lamports", _U64),)),
    3: _Shape("createAccountWithSeed", "source newAccount", _SEED + _NEW),
    4: _Shape("advanceNonce", "nonceAccount recentBlockhashesSysvar nonceAuthority"),
    5: _Shape(
        "withdrawFromNonce",
        "nonceAccount destination recentBlockhashesSysvar rentSysvar nonceAuthority",
        (("lamports", _U64),),
    ),
    6: _Shape("initializeNonce", "nonceAccount recentBlockhashesSysvar rentSysvar", (("nonceAuthority", _ADDRESS),)),
    7: _Shape("authorizeNonce", "nonceAccount nonceAuthority", (("newAuthorized", _ADDRESS),)),
    8: _Shape("allocate", "account", (("space", _U64),)),
    9: _Shape("allocateWithSeed", "account", (*_SEED, ("space", _U64), ("owner", _ADDRESS))),
    10: _Shape("assignWithSeed", "account", (*_SEED, ("owner", _ADDRESS))),
    11: _Shape(
        "transferWithSeed",
        "source sourceBase destination",
        (("lamports", _U64), ("sourceSeed", _TEXT), ("sourceOwner", _ADDRESS)),
    ),
    12: _Shape("upgradeNonce", "nonceAccount"),
}

_AMOUNT = (("amount", _U64_TEXT),)
_CHECKED = (("tokenAmount", _token_amount),)
_MINT = (("decimals", _U8), ("mintAuthority", _ADDRESS), ("freezeAuthority~", _SOME_ADDRESS))
_AUTHORITY_TYPES: Final = ("mintTokens", "freezeAccount", "accountOwner", "closeAccount")
_TOKEN: Final = {
    0: _Shape("initializeMint", "mint rentSysvar", _MINT),
    1: _Shape("initializeAccount", "account mint owner rentSysvar"),
    3: _Shape("transfer", "source destination authority", _AMOUNT, signers=True),
    4: _Shape("approve", "source delegate owner", _AMOUNT, signers=True),
    5: _Shape("revoke", "source owner", signers=True),
    7: _Shape("mintTo", "mint account mintAuthority", _AMOUNT, signers=True),
    8: _Shape("burn", "account mint authority", _AMOUNT, signers=True),
    9: _Shape("closeAccount", "account destination owner", signers=True),
    10: _Shape("freezeAccount", "account mint freezeAuthority", signers=True),
    11: _Shape("thawAccount", "account mint freezeAuthority", signers=True),
    12: _Shape("transferChecked", "source mint destination authority", _CHECKED, signers=True),
    13: _Shape("approveChecked", "source mint delegate owner", _CHECKED, signers=True),
    14: _Shape("mintToChecked", "mint account mintAuthority", _CHECKED, signers=True),
    15: _Shape("burnChecked", "account mint authority", _CHECKED, signers=True),
    16: _Shape("initializeAccount2", "account mint rentSysvar", (("owner", _ADDRESS),)),
    17: _Shape("syncNative", "account"),
    18: _Shape("initializeAccount3", "account mint", (("owner", _ADDRESS),)),
    20: _Shape("initializeMint2", "mint", _MINT),
    22: _Shape("initializeImmutableOwner", "account"),
    23: _Shape("amountToUiAmount", "mint", _AMOUNT),
    24: _Shape("uiAmountToAmount", "mint", (("uiAmount", _REST_AS_TEXT),)),
}
_MULTISIGS: Final = {
    2: ("initializeMultisig", "multisig rentSysvar"),
    19: ("initializeMultisig2", "multisig"),
}
_EXTENSIONS: Final = (
    "uninitialized",
    "transferFeeConfig",
    "transferFeeAmount",
    "mintCloseAuthority",
    "confidentialTransferMint",
    "confidentialTransferAccount",
    "defaultAccountState",
    "immutableOwner",
    "memoTransfer",
    "nonTransferable",
    "interestBearingConfig",
    "cpiGuard",
    "permanentDelegate",
    "nonTransferableAccount",
    "transferHook",
    "transferHookAccount",
)

_ASSOCIATED: Final = {
    0: _Shape("create", "source account wallet mint systemProgram tokenProgram"),
    1: _Shape("createIdempotent", "source account wallet mint systemProgram tokenProgram"),
    2: _Shape("recoverNested", "nestedSource nestedMint destination nestedOwner ownerMint wallet tokenProgram"),
}

_LOADER: Final = {
    0: _Shape("initializeBuffer", "account authority?"),
    1: _Shape("write", "account authority", (("offset", _U32), ("bytes", _BYTES))),
    2: _Shape(
        "deployWithMaxDataLen",
        "payerAccount programDataAccount programAccount bufferAccount rentSysvar clockSysvar systemProgram authority",
        (("maxDataLen", _U64),),
    ),
    3: _Shape(
        "upgrade", "programDataAccount programAccount bufferAccount spillAccount rentSysvar clockSysvar authority"
    ),
    4: _Shape("setAuthority", "account authority newAuthority?"),
    5: _Shape("close", "account recipient authority programAccount?"),
    6: _Shape(
        "extendProgram", "programDataAccount programAccount systemProgram? payerAccount?", (("additionalBytes", _U32),)
    ),
    7: _Shape("setAuthorityChecked", "account authority newAuthority"),
    9: _Shape(
        "extendProgramChecked",
        "programDataAccount programAccount authority systemProgram? payerAccount?",
        (("additionalBytes", _U32),),
    ),
}

_TABLES: Final = {
    0: _Shape(
        "createLookupTable",
        "lookupTableAccount lookupTableAuthority payerAccount systemProgram",
        (("recentSlot", _U64), ("bumpSeed", _U8)),
    ),
    1: _Shape("freezeLookupTable", "lookupTableAccount lookupTableAuthority"),
    2: _Shape(
        "extendLookupTable",
        "lookupTableAccount lookupTableAuthority payerAccount~ systemProgram~",
        (("newAddresses", _ADDRESSES),),
    ),
    3: _Shape("deactivateLookupTable", "lookupTableAccount lookupTableAuthority"),
    4: _Shape("closeLookupTable", "lookupTableAccount lookupTableAuthority recipient"),
}

_PROGRAMS: Final = {
    str(SYSTEM_PROGRAM): ("system", _SYSTEM, 4),
    str(UPGRADEABLE_LOADER): ("bpf-upgradeable-loader", _LOADER, 4),
    str(LOOKUP_TABLE_PROGRAM): ("address-lookup-table", _TABLES, 4),
    str(ASSOCIATED_TOKEN_PROGRAM): ("spl-associated-token-account", _ASSOCIATED, 1),
    **{str(program): ("spl-token", _TOKEN, 1) for program in tokens.PROGRAM_LABELS},
}
_MEMOS: Final = tuple(str(program) for program in MEMO_PROGRAMS)


def parsed(program: str, accounts: Sequence[str], data: bytes) -> dict[str, Any] | None:
    """`program` and `parsed` of an instruction, or None where it stays as it is."""
    try:
        if program in _MEMOS:
            return {"program": "spl-memo", "parsed": data.decode()}
        if program not in _PROGRAMS:
            return None
        label, shapes, tag_size = _PROGRAMS[program]
        # The first release of the associated token program had one instruction, without any data.
        reader = _Reader(data or b"\0" if shapes is _ASSOCIATED else data)
        tag = reader.number(tag_size)
        if shapes is _TOKEN and (special := _special_token_instruction(tag, reader, accounts)) is not None:
            return {"program": label, "parsed": special}
        return {"program": label, "parsed": shapes[tag].parse(reader, accounts)} if tag in shapes else None
    except ValueError:
        return None


def _special_token_instruction(tag: int, reader: _Reader, accounts: Sequence[str]) -> dict[str, Any] | None:
    if tag in _MULTISIGS:
        name, named = _MULTISIGS[tag]
        count = len(named.split())
        found = _Shape(name, named, (("m", _U8),)).parse(reader, accounts[:count])
        found["info"]["signers"] = list(accounts[count:])
        return found
    if tag == 6:
        kind = reader.number(1)
        if kind >= len(_AUTHORITY_TYPES):
            raise ValueError("an authority of a Token-2022 extension")
        owned = "mint" if kind < 2 else "account"
        fields = (("authorityType", lambda _: _AUTHORITY_TYPES[kind]), ("newAuthority", _SOME_ADDRESS))
        return _Shape("setAuthority", f"{owned} authority", fields, signers=True).parse(reader, accounts)
    if tag == 21:
        found = _Shape("getAccountDataSize", "mint").parse(reader, accounts)
        wanted = reader.rest()
        kinds = [int.from_bytes(wanted[at : at + 2], "little") for at in range(0, len(wanted), 2)]
        if any(kind >= len(_EXTENSIONS) for kind in kinds):
            raise ValueError("an extension that is not known here")
        if kinds:
            found["info"]["extensionTypes"] = [_EXTENSIONS[kind] for kind in kinds]
        return found
    return None


def memo(programs_and_data: Sequence[tuple[Pubkey, bytes]]) -> str | None:
    """The memos among a transaction's instructions as getSignaturesForAddress has them, or None."""
    found = []
    for program, data in programs_and_data:
        if program in MEMO_PROGRAMS:
            try:
                found.append(f"[{len(data)}] {data.decode()}")
            except UnicodeDecodeError:
                found.append("(unparseable)")
    return "; ".join(found) or None
