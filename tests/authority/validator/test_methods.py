"""The RPC calls, read by the clients that people use: every answer goes through solana's AsyncClient or solders.rpc."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import DataSliceOpts, MemcmpOpts, TokenAccountOpts, TxOpts
from solders.account_decoder import UiAccountEncoding
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.rpc import requests, responses
from solders.rpc.config import RpcAccountInfoConfig
from solders.signature import Signature
from solders.system_program import (
    CreateAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    create_account,
    initialize_nonce_account,
    transfer,
)
from solders.transaction import Transaction, VersionedTransaction
from solders.transaction_status import ParsedInstruction

from authority.validator import base58, tokens
from authority.validator.encoding import VERSION, zstd_stored
from authority.validator.errors import RpcError

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


def post(url: str, body: str) -> str:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


Run = Callable[[Callable[[AsyncClient], Awaitable[Any]]], Any]


@pytest.fixture
def run(server: Any) -> Run:
    """Runs a coroutine function with solana's client of the server."""

    def runner(work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            async with AsyncClient(server.url) as client:
                return await work(client)

        return asyncio.run(inside())

    return runner


@pytest.fixture
def call(server: Any) -> Callable[..., Any]:
    """One raw call: the whole answer."""

    def caller(method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        return json.loads(post(server.url, body))

    return caller


def pay(payer: Keypair, target: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=target, lamports=lamports))


async def signed(
    client: AsyncClient, payer: Keypair, instructions: list[Instruction], *more: Keypair
) -> VersionedTransaction:
    blockhash = (await client.get_latest_blockhash()).value.blockhash
    return VersionedTransaction(MessageV0.try_compile(payer.pubkey(), instructions, [], blockhash), [payer, *more])


async def send(client: AsyncClient, payer: Keypair, instructions: list[Instruction], *more: Keypair) -> Signature:
    return (await client.send_transaction(await signed(client, payer, instructions, *more))).value


async def make_token(client: AsyncClient, payer: Keypair, owner: Pubkey, amount: int) -> tuple[Pubkey, Pubkey]:
    """A mint of three decimals and an owner's associated account that holds some."""
    mint = Keypair()
    rent = (await client.get_minimum_balance_for_rent_exemption(82)).value
    account = Pubkey.find_program_address([bytes(owner), bytes(TOKEN), bytes(mint.pubkey())], ATA)[0]
    instructions = [
        create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=mint.pubkey(), lamports=rent, space=82, owner=TOKEN
            )
        ),
        Instruction(
            TOKEN,
            bytes([20, 3]) + bytes(payer.pubkey()) + b"\0",
            [AccountMeta(mint.pubkey(), is_signer=False, is_writable=True)],
        ),
        Instruction(
            ATA,
            b"\x01",
            [
                AccountMeta(payer.pubkey(), is_signer=True, is_writable=True),
                AccountMeta(account, is_signer=False, is_writable=True),
                AccountMeta(owner, is_signer=False, is_writable=False),
                AccountMeta(mint.pubkey(), is_signer=False, is_writable=False),
                AccountMeta(Pubkey.default(), is_signer=False, is_writable=False),
                AccountMeta(TOKEN, is_signer=False, is_writable=False),
            ],
        ),
        Instruction(
            TOKEN,
            b"\x07" + amount.to_bytes(8, "little"),
            [
                AccountMeta(mint.pubkey(), is_signer=False, is_writable=True),
                AccountMeta(account, is_signer=False, is_writable=True),
                AccountMeta(payer.pubkey(), is_signer=True, is_writable=False),
            ],
        ),
    ]
    await send(client, payer, instructions, mint)
    return mint.pubkey(), account


class TestNode:
    def test_what_a_client_asks_first(self, run: Run) -> None:
        async def work(client: AsyncClient) -> None:
            assert await client.is_connected()
            assert (await client.get_version()).value.solana_core == VERSION
            genesis = (await client.get_genesis_hash()).value
            assert genesis != Hash.default()
            identity = (await client.get_identity()).value.identity
            nodes = (await client.get_cluster_nodes()).value
            assert [node.pubkey for node in nodes] == [identity]
            assert (await client.get_vote_accounts()).value.current == []
            for level in (Processed, Confirmed, Finalized):
                assert (await client.get_slot(level)).value >= 0
            info = (await client.get_epoch_info()).value
            assert (info.epoch, info.slots_in_epoch) == (0, 432_000)
            assert (await client.get_epoch_schedule()).value.slots_per_epoch == 432_000
            assert (await client.get_block_height()).value >= 0
            assert (await client.get_inflation_rate()).value.total == 0
            assert (await client.get_inflation_governor()).value.initial == 0
            assert (await client.get_first_available_block()).value == 0
            assert (await client.get_minimum_ledger_slot()).value == 0
            assert (await client.get_slot_leader()).value == identity
            assert (await client.get_recent_performance_samples()).value == []
            assert (await client.get_recent_prioritization_fees()).value[0].prioritization_fee == 0
            assert identity in (await client.get_leader_schedule()).value
            assert await client.get_block_commitment(0)

        run(work)

    def test_fees_and_rent(self, run: Run, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> None:
            latest = (await client.get_latest_blockhash()).value
            message = MessageV0.try_compile(payer.pubkey(), [pay(payer, MEMO, 1)], [], latest.blockhash)
            assert (await client.get_fee_for_message(message)).value == 5_000
            legacy = Message.new_with_blockhash([pay(payer, MEMO, 1)], payer.pubkey(), latest.blockhash)
            assert (await client.get_fee_for_message(legacy)).value == 5_000
            stale = MessageV0.try_compile(payer.pubkey(), [pay(payer, MEMO, 1)], [], Hash.default())
            assert (await client.get_fee_for_message(stale)).value is None
            assert (await client.get_minimum_balance_for_rent_exemption(165)).value == 2_039_280
            assert (await client.get_minimum_balance_for_rent_exemption(0)).value == 890_880

        run(work)


class TestAccounts:
    def test_balance_and_info(self, run: Run, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> None:
            assert (await client.get_balance(payer.pubkey())).value == 10**15
            assert (await client.get_balance(Keypair().pubkey())).value == 0
            found = (await client.get_account_info(payer.pubkey())).value
            assert (found.lamports, found.owner, found.executable) == (10**15, Pubkey.default(), False)
            assert (await client.get_account_info(Keypair().pubkey())).value is None
            program = (await client.get_account_info(MEMO, encoding="base64")).value
            part = (
                await client.get_account_info(MEMO, encoding="base64", data_slice=DataSliceOpts(offset=1, length=3))
            ).value
            assert (program.executable, part.data) == (True, program.data[1:4])
            several = (await client.get_multiple_accounts([payer.pubkey(), Keypair().pubkey()])).value
            assert [item is None for item in several] == [False, True]
            largest = (await client.get_largest_accounts()).value
            assert largest[1].lamports == 10**15
            supply = (await client.get_supply()).value
            assert supply.total == supply.circulating + supply.non_circulating

        run(work)

    def test_zstd_frames_are_stored_blocks(self, server: Any) -> None:
        found = []
        for encoding in (UiAccountEncoding.Base64Zstd, UiAccountEncoding.Base64):
            request = requests.GetAccountInfo(MEMO, RpcAccountInfoConfig(encoding=encoding))
            answer = responses.GetAccountInfoResp.from_json(post(server.url, request.to_json()))
            found.append(answer.value)
        assert found[0] == found[1]

    @pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 300_000])
    def test_zstd_of_any_size(self, size: int) -> None:
        frame = zstd_stored(b"x" * size)
        assert frame[:5] == bytes.fromhex("28b52ffde0")
        at, data = 13, b""
        while True:
            header = int.from_bytes(frame[at : at + 3], "little")
            data += frame[at + 3 : at + 3 + (header >> 3)]
            at += 3 + (header >> 3)
            if header & 1:
                break
        assert (data, at) == (b"x" * size, len(frame))

    @pytest.mark.parametrize(
        ("encoding", "message"),
        [("base58", "less than 128 bytes"), ("nonsense", "unknown variant `nonsense`")],
    )
    def test_encodings_that_cannot_be(self, call: Any, encoding: str, message: str) -> None:
        answer = call("getAccountInfo", str(MEMO), {"encoding": encoding})
        assert message in answer["error"]["message"]

    def test_parsed_accounts(self, call: Any) -> None:
        program = call("getAccountInfo", str(TOKEN), {"encoding": "jsonParsed"})["result"]["value"]["data"]
        assert (program["program"], program["parsed"]["type"]) == ("bpf-upgradeable-loader", "program")
        data = call("getAccountInfo", program["parsed"]["info"]["programData"], {"encoding": "jsonParsed"})
        assert data["result"]["value"] is None or "parsed" in data["result"]["value"]["data"]
        clock = call("getAccountInfo", str(CLOCK), {"encoding": "jsonParsed"})["result"]["value"]["data"]
        assert clock["parsed"]["info"]["epoch"] == 0

    def test_a_parsed_nonce_account(self, run: Run, call: Any, payer: Keypair) -> None:
        nonce = Keypair()

        async def work(client: AsyncClient) -> None:
            rent = (await client.get_minimum_balance_for_rent_exemption(80)).value
            create = CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=nonce.pubkey(), lamports=rent, space=80, owner=Pubkey.default()
            )
            begin = InitializeNonceAccountParams(nonce_pubkey=nonce.pubkey(), authority=payer.pubkey())
            await send(client, payer, [create_account(create), initialize_nonce_account(begin)], nonce)

        run(work)
        data = call("getAccountInfo", str(nonce.pubkey()), {"encoding": "jsonParsed"})["result"]["value"]["data"]
        assert (data["program"], data["space"], data["parsed"]["type"]) == ("nonce", 80, "initialized")
        info = data["parsed"]["info"]
        assert info["authority"] == str(payer.pubkey())
        assert info["feeCalculator"] == {"lamportsPerSignature": "5000"}
        assert len(base58.decode(info["blockhash"])) == 32

    def test_an_account_with_room_for_a_nonce_is_none_yet(self, run: Run, call: Any, payer: Keypair) -> None:
        empty = Keypair()

        async def work(client: AsyncClient) -> None:
            rent = (await client.get_minimum_balance_for_rent_exemption(80)).value
            create = CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=empty.pubkey(), lamports=rent, space=80, owner=Pubkey.default()
            )
            await send(client, payer, [create_account(create)], empty)

        run(work)
        data = call("getAccountInfo", str(empty.pubkey()), {"encoding": "jsonParsed"})["result"]["value"]["data"]
        assert data[1] == "base64"


class TestTokens:
    @pytest.mark.parametrize(
        ("units", "decimals", "number", "text"),
        [
            (0, 3, 0.0, "0"),
            (500, 0, 500.0, "500"),
            (1_500, 3, 1.5, "1.5"),
            (2**64 - 1, 9, float(2**64 - 1) / 1e9, "18446744073.709551615"),
            (1, 19, 1e-19, "0.0000000000000000001"),
            (1, 20, None, "0.00000000000000000001"),
        ],
    )
    def test_amounts(self, units: int, decimals: int, number: float | None, text: str) -> None:
        shown = {"amount": str(units), "decimals": decimals, "uiAmount": number, "uiAmountString": text}
        assert tokens.amount(units, decimals) == shown

    def test_nothing_in_a_landed_transaction(self, run: Run, call: Any, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> Pubkey:
            return (await make_token(client, payer, Keypair().pubkey(), 0))[1]

        (landed,) = call("getSignaturesForAddress", str(run(work)))["result"]
        for encoding in ("json", "jsonParsed"):
            config = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
            meta = call("getTransaction", landed["signature"], config)["result"]["meta"]
            (held,) = meta["postTokenBalances"]
            assert held["uiTokenAmount"] == {"amount": "0", "decimals": 3, "uiAmount": None, "uiAmountString": "0"}

    def test_what_is_not_initialized_is_left_out_of_parsed_lists(self, run: Run, call: Any, payer: Keypair) -> None:
        blank = Keypair()

        async def work(client: AsyncClient) -> None:
            rent = (await client.get_minimum_balance_for_rent_exemption(165)).value
            create = CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=blank.pubkey(), lamports=rent, space=165, owner=TOKEN
            )
            await send(client, payer, [create_account(create)], blank)

        run(work)
        filters = [{"dataSize": 165}]
        for encoding, expected in (("base64", [str(blank.pubkey())]), ("jsonParsed", [])):
            found = call("getProgramAccounts", str(TOKEN), {"encoding": encoding, "filters": filters})["result"]
            assert [each["pubkey"] for each in found] == expected

    def test_a_parsed_multisig(self, run: Run, call: Any, payer: Keypair) -> None:
        shared, signers = Keypair(), [Keypair().pubkey() for _ in range(3)]

        async def work(client: AsyncClient) -> None:
            rent = (await client.get_minimum_balance_for_rent_exemption(355)).value
            create = CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=shared.pubkey(), lamports=rent, space=355, owner=TOKEN
            )
            metas = [AccountMeta(shared.pubkey(), is_signer=False, is_writable=True)]
            metas += [AccountMeta(signer, is_signer=False, is_writable=False) for signer in signers]
            await send(client, payer, [create_account(create), Instruction(TOKEN, bytes([19, 2]), metas)], shared)

        run(work)
        data = call("getAccountInfo", str(shared.pubkey()), {"encoding": "jsonParsed"})["result"]["value"]["data"]
        info = {
            "numRequiredSigners": 2,
            "numValidSigners": 3,
            "isInitialized": True,
            "signers": [str(signer) for signer in signers],
        }
        assert data == {"program": "spl-token", "parsed": {"type": "multisig", "info": info}, "space": 355}

    def test_all_calls(self, run: Run, payer: Keypair) -> None:
        owner = Keypair().pubkey()

        async def work(client: AsyncClient) -> None:
            mint, account = await make_token(client, payer, owner, 1_234_500)
            balance = (await client.get_token_account_balance(account)).value
            assert (balance.amount, balance.decimals, balance.ui_amount_string) == ("1234500", 3, "1234.5")
            assert (await client.get_token_supply(mint)).value.amount == "1234500"
            by_mint = (await client.get_token_accounts_by_owner(owner, TokenAccountOpts(mint=mint))).value
            assert [item.pubkey for item in by_mint] == [account]
            by_program = await client.get_token_accounts_by_owner_json_parsed(owner, TokenAccountOpts(program_id=TOKEN))
            info = by_program.value[0].account.data.parsed["info"]
            assert (info["mint"], info["tokenAmount"]["amount"]) == (str(mint), "1234500")
            nobody = await client.get_token_accounts_by_delegate(owner, TokenAccountOpts(mint=mint))
            assert nobody.value == []
            largest = (await client.get_token_largest_accounts(mint)).value
            assert [(item.address, item.amount.amount) for item in largest] == [(account, "1234500")]
            parsed = (await client.get_account_info_json_parsed(mint)).value.data.parsed
            assert parsed == {
                "type": "mint",
                "info": {
                    "mintAuthority": str(payer.pubkey()),
                    "supply": "1234500",
                    "decimals": 3,
                    "isInitialized": True,
                    "freezeAuthority": None,
                },
            }
            signature = (await client.get_signatures_for_address(account)).value[0].signature
            landed = (await client.get_transaction(signature, max_supported_transaction_version=0)).value
            post = landed.transaction.meta.post_token_balances
            assert [(item.owner, item.ui_token_amount.amount) for item in post] == [(owner, "1234500")]
            assert landed.transaction.meta.inner_instructions

        run(work)

    @pytest.mark.parametrize("method", ["getTokenAccountBalance", "getTokenSupply", "getTokenLargestAccounts"])
    def test_what_is_no_token(self, call: Any, method: str) -> None:
        assert call(method, str(MEMO))["error"]["code"] == -32602

    def test_program_accounts_are_filtered(self, run: Run, call: Any, payer: Keypair) -> None:
        owner = Keypair().pubkey()

        async def work(client: AsyncClient) -> None:
            mint, account = await make_token(client, payer, owner, 5)
            filters: list[int | MemcmpOpts] = [165, MemcmpOpts(offset=32, bytes=str(owner))]
            found = (await client.get_program_accounts(TOKEN, encoding="base64", filters=filters)).value
            assert [item.pubkey for item in found] == [account]
            mints = (await client.get_program_accounts(TOKEN, encoding="base64", filters=[82])).value
            assert {item.pubkey for item in mints} == {mint, NATIVE_MINT}

        run(work)
        by_base64 = {"memcmp": {"offset": 32, "bytes": base64.b64encode(bytes(owner)).decode(), "encoding": "base64"}}
        config = {
            "encoding": "base64",
            "filters": [by_base64],
            "dataSlice": {"offset": 64, "length": 8},
            "withContext": True,
        }
        answer = call("getProgramAccounts", str(TOKEN), config)["result"]
        assert answer["context"]["slot"] > 0
        assert [item["account"]["data"][0] for item in answer["value"]] == [
            base64.b64encode(b"\x05" + bytes(7)).decode()
        ]
        by_numbers = {"memcmp": {"offset": 32, "bytes": list(bytes(owner))}}
        mine = {"encoding": "base64", "filters": [by_numbers]}
        assert len(call("getProgramAccounts", str(TOKEN), mine)["result"]) == 1
        for holding in ("tokenAccountState", {"tokenAccountState": None}):
            accounts = call("getProgramAccounts", str(TOKEN), {"encoding": "base64", "filters": [holding]})["result"]
            assert len(accounts) == 1

    @pytest.mark.parametrize(
        "filters",
        [
            {},
            [{}],
            [{"dataSize": -1}],
            [{"dataSize": "82"}],
            [{"memcmp": {"offset": 0}}],
            [{"memcmp": {"offset": 0, "bytes": "0OIl"}}],
            [{"memcmp": {"offset": 0, "bytes": "1" * 200}}],
            [{"memcmp": {"offset": 0, "bytes": [300]}}],
            [{"memcmp": {"offset": 0, "bytes": "!!!", "encoding": "base64"}}],
            [{"memcmp": {"offset": 0, "bytes": "1", "encoding": "hex"}}],
            [{"memcmp": {"offset": 0, "bytes": "1", "encoding": "binary"}}],
            [{"dataSize": 82, "memcmp": {"offset": 0, "bytes": "1"}}],
            ["dataSize"],
            [None],
            [{"dataSize": 1}] * 5,
        ],
    )
    def test_filters_that_make_no_sense(self, call: Any, filters: Any) -> None:
        assert call("getProgramAccounts", str(TOKEN), {"filters": filters})["error"]["code"] == -32602


class TestTransactions:
    def test_send_and_look_back(self, run: Run, payer: Keypair) -> None:
        target = Keypair().pubkey()

        async def work(client: AsyncClient) -> None:
            signatures = [await send(client, payer, [pay(payer, target, 10**7 + n)]) for n in range(5)]
            statuses = (await client.get_signature_statuses([*signatures, Signature.default()])).value
            assert [status is None for status in statuses] == [False] * 5 + [True]
            assert statuses[0].err is None
            newest_first = [item.signature for item in (await client.get_signatures_for_address(target)).value]
            assert newest_first == signatures[::-1]
            page = await client.get_signatures_for_address(target, before=signatures[4], until=signatures[1], limit=2)
            assert [item.signature for item in page.value] == [signatures[3], signatures[2]]
            landed = (await client.get_transaction(signatures[0], max_supported_transaction_version=0)).value
            meta = landed.transaction.meta
            assert (meta.fee, meta.err, meta.compute_units_consumed) == (5_000, None, 150)
            assert meta.post_balances[1] - meta.pre_balances[1] == 10**7
            assert (await client.get_transaction(Signature.default())).value is None
            count = (await client.get_transaction_count()).value
            assert count == 5
            confirmed = await client.confirm_transaction(signatures[4], Finalized)
            assert confirmed.value[0].err is None

        run(work)

    @pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base58", "base64"])
    def test_encodings(self, run: Run, payer: Keypair, encoding: str) -> None:
        async def work(client: AsyncClient) -> None:
            signature = await send(client, payer, [pay(payer, Keypair().pubkey(), 10**7)])
            answer = await client.get_transaction(signature, encoding=encoding, max_supported_transaction_version=0)
            assert answer.value.transaction.meta.fee == 5_000
            if encoding.startswith("base"):
                assert answer.value.transaction.transaction.signatures == [signature]

        run(work)

    def test_a_v0_transaction_must_be_asked_for(self, run: Run, call: Any, payer: Keypair) -> None:
        signature = run(lambda client: send(client, payer, [pay(payer, Keypair().pubkey(), 10**7)]))
        assert call("getTransaction", str(signature))["error"]["code"] == -32015
        assert call("getTransaction", str(signature), {"maxSupportedTransactionVersion": 0})["result"]["version"] == 0

    def test_legacy_in_base58(self, run: Run, call: Any, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> Signature:
            blockhash = (await client.get_latest_blockhash()).value.blockhash
            message = Message.new_with_blockhash([pay(payer, Keypair().pubkey(), 10**7)], payer.pubkey(), blockhash)
            legacy = Transaction([payer], message, blockhash)
            request = requests.SendLegacyTransaction(legacy)
            return (
                request.tx.signatures[0]
                if (await client.send_raw_transaction(bytes(legacy))).value
                else Signature.default()
            )

        signature = run(work)
        assert "version" not in call("getTransaction", str(signature))["result"]

    def test_preflight_refuses_and_tells_why(self, run: Run, call: Any, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> None:
            before = (await client.get_balance(payer.pubkey())).value
            with pytest.raises(RPCException) as caught:
                await send(client, payer, [pay(payer, MEMO, 10**17)])
            failure = caught.value.args[0]
            assert failure.message.endswith("Error processing Instruction 0: custom program error: 0x1")
            assert failure.data.units_consumed == 150
            assert any("insufficient lamports" in line for line in failure.data.logs)
            assert (await client.get_balance(payer.pubkey())).value == before
            transaction = await signed(client, payer, [pay(payer, MEMO, 10**17)])
            landed = (await client.send_transaction(transaction, TxOpts(skip_preflight=True))).value
            assert (await client.get_signature_statuses([landed])).value[0].err is not None
            assert (await client.get_balance(payer.pubkey())).value == before - 5_000

        run(work)

    def test_simulation(self, run: Run, call: Any, payer: Keypair) -> None:
        target = Keypair().pubkey()

        async def work(client: AsyncClient) -> str:
            good = await signed(client, payer, [pay(payer, target, 10**7)])
            value = (await client.simulate_transaction(good, sig_verify=True)).value
            assert (value.err, value.units_consumed) == (None, 150)
            bad = await signed(client, payer, [pay(payer, target, 10**17)])
            assert (await client.simulate_transaction(bad)).value.err is not None
            stale = VersionedTransaction.populate(
                MessageV0.try_compile(payer.pubkey(), [pay(payer, target, 10**7)], [], Hash.default()),
                [Signature.default()],
            )
            assert str((await client.simulate_transaction(stale)).value.err).endswith("BlockhashNotFound")
            return base64.b64encode(bytes(stale)).decode()

        stale = run(work)
        accounts = {"encoding": "base64", "addresses": [str(target), str(payer.pubkey())]}
        config = {"encoding": "base64", "replaceRecentBlockhash": True, "accounts": accounts, "innerInstructions": True}
        value = call("simulateTransaction", stale, config)["result"]["value"]
        assert value["err"] is None
        assert value["accounts"][0]["lamports"] == 10**7
        assert value["replacementBlockhash"]["blockhash"]
        both = {"encoding": "base64", "replaceRecentBlockhash": True, "sigVerify": True}
        assert call("simulateTransaction", stale, both)["error"]["code"] == -32602
        unsigned = call("simulateTransaction", stale, {"encoding": "base64", "sigVerify": True})["result"]["value"]
        assert unsigned["err"] == "SignatureFailure"

    def test_what_cannot_land(self, run: Run, call: Any, payer: Keypair) -> None:
        transaction = run(lambda client: signed(client, payer, [pay(payer, Keypair().pubkey(), 10**7)]))
        text = base64.b64encode(bytes(transaction)).decode()
        assert call("sendTransaction", text, {"encoding": "base64"})["result"] == str(transaction.signatures[0])
        again = call("sendTransaction", text, {"encoding": "base64"})["error"]
        assert (again["code"], again["data"]["err"]) == (-32002, "AlreadyProcessed")
        forged = VersionedTransaction.populate(transaction.message, [Signature(bytes([7]) * 64)])
        wrong = call("sendTransaction", base64.b64encode(bytes(forged)).decode(), {"encoding": "base64"})["error"]
        assert (wrong["code"], wrong["data"]["err"]) == (-32002, "SignatureFailure")
        unchecked = {"encoding": "base64", "skipPreflight": True}
        assert call("sendTransaction", base64.b64encode(bytes(forged)).decode(), unchecked)["error"]["code"] == -32003
        large = base64.b64encode(bytes(1_233)).decode()
        assert "too large" in call("sendTransaction", large, {"encoding": "base64"})["error"]["message"]
        for damaged in ("", "AAAA", "!", text[:-8], "x" * 2_000):
            assert call("sendTransaction", damaged, {"encoding": "base64"})["error"]["code"] == -32602
        assert call("sendTransaction", text)["error"]["code"] == -32602  # base64 is not base58

    def test_airdrop(self, run: Run, call: Any) -> None:
        target = Keypair().pubkey()

        async def work(client: AsyncClient) -> None:
            one = (await client.request_airdrop(target, 10**9)).value
            two = (await client.request_airdrop(target, 10**9)).value
            assert one != two
            assert (await client.get_balance(target)).value == 2 * 10**9

        run(work)
        assert call("requestAirdrop", str(target), 10**18)["error"]["code"] == -32602


def encoded(transaction: VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode()


class TestWhatAnExplorerShows:
    """What has just landed, in words; what is sent twice; what is asked of a validator that has no votes."""

    def test_instructions_in_words(self, run: Run, call: Any, payer: Keypair) -> None:
        owner = Keypair().pubkey()

        async def work(client: AsyncClient) -> tuple[Signature, Pubkey]:
            mint, _ = await make_token(client, payer, owner, 5)
            return await send(client, payer, [pay(payer, owner, 10**7), Instruction(MEMO, b"rent", [])]), mint

        paid, mint = run(work)
        config = {"encoding": "jsonParsed", "maxSupportedTransactionVersion": 0}
        transfer_, memo = call("getTransaction", str(paid), config)["result"]["transaction"]["message"]["instructions"]
        info = {"source": str(payer.pubkey()), "destination": str(owner), "lamports": 10**7}
        assert transfer_["parsed"] == {"type": "transfer", "info": info}
        assert (memo["program"], memo["parsed"]) == ("spl-memo", "rent")
        minting = call("getSignaturesForAddress", str(mint))["result"][0]["signature"]

        async def look(client: AsyncClient) -> None:
            landed = (
                await client.get_transaction(
                    Signature.from_string(minting), encoding="jsonParsed", max_supported_transaction_version=0
                )
            ).value
            assert landed is not None
            found = landed.transaction.transaction.message.instructions
            kinds = [item.parsed["type"] for item in found if isinstance(item, ParsedInstruction)]
            assert kinds == ["createAccount", "initializeMint2", "createIdempotent", "mintTo"]
            assert landed.transaction.meta is not None
            inner = landed.transaction.meta.inner_instructions
            assert inner is not None
            assert [item.parsed["type"] for item in inner[0].instructions] == [
                "getAccountDataSize",
                "createAccount",
                "initializeImmutableOwner",
                "initializeAccount3",
            ]

        run(look)
        assert call("getSignaturesForAddress", str(owner), {"limit": 1})["result"][0]["memo"] == "[4] rent"

    def test_the_block_of_what_has_just_landed(self, machine: Any, payer: Keypair) -> None:
        """Its status says finalized, so its block is there at once, and does not change after that."""

        def ask(method: str, *params: Any) -> Any:
            return machine.methods.call(method, list(params))

        def land(lamports: int) -> str:
            blockhash = machine.bank.latest_blockhash()[0]
            message = MessageV0.try_compile(payer.pubkey(), [pay(payer, MEMO, lamports)], [], blockhash)
            signature: str = ask(
                "sendTransaction", encoded(VersionedTransaction(message, [payer])), {"encoding": "base64"}
            )
            return signature

        config = {"maxSupportedTransactionVersion": 0, "transactionDetails": "signatures"}
        empty = machine.bank.advance()
        with pytest.raises(RpcError, match="Block not available"):
            ask("getBlock", empty, config)
        first = land(1)
        slot = ask("getSignatureStatuses", [first])["value"][0]["slot"]
        assert slot == empty
        block = ask("getBlock", slot, config)
        assert block["signatures"] == [first]
        assert ask("getBlockTime", slot) == block["blockTime"]
        assert ask("getSlot") >= slot
        second = land(2)
        assert ask("getSignatureStatuses", [second])["value"][0]["slot"] == slot + 1
        assert ask("getBlock", slot, config) == block
        assert ask("getBlock", slot + 1, config)["previousBlockhash"] == block["blockhash"]
        machine.restart()
        assert ask("getBlock", slot, config) == block
        assert ask("getSlot", {"commitment": "processed"}) > slot + 1

    def test_sysvars_in_words(self, call: Any) -> None:
        names = {
            "SysvarRent111111111111111111111111111111111": "rent",
            "SysvarEpochSchedu1e111111111111111111111111": "epochSchedule",
            "SysvarEpochRewards1111111111111111111111111": "epochRewards",
            "SysvarS1otHashes111111111111111111111111111": "slotHashes",
            "SysvarRecentB1ockHashes11111111111111111111": "recentBlockhashes",
            "SysvarStakeHistory1111111111111111111111111": "stakeHistory",
            "SysvarLastRestartS1ot1111111111111111111111": "lastRestartSlot",
        }
        found = call("getMultipleAccounts", list(names), {"encoding": "jsonParsed"})["result"]["value"]
        parsed = [item["data"]["parsed"] for item in found]
        assert [item["type"] for item in parsed] == list(names.values())
        assert parsed[0]["info"]["exemptionThreshold"] * int(parsed[0]["info"]["lamportsPerByteYear"]) * 128 == 890_880
        assert parsed[1]["info"]["slotsPerEpoch"] == 432_000
        slots = [item["slot"] for item in parsed[3]["info"]]
        assert slots == sorted(slots, reverse=True)

    def test_sending_again_is_no_failure_without_preflight(self, run: Run, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> None:
            transaction = await signed(client, payer, [pay(payer, MEMO, 7)])
            signature = (await client.send_transaction(transaction)).value
            again = await client.send_raw_transaction(bytes(transaction), opts=TxOpts(skip_preflight=True))
            assert again.value == signature
            with pytest.raises(RPCException, match="already been processed"):
                await client.send_transaction(transaction)
            assert len((await client.get_signatures_for_address(payer.pubkey())).value) == 1

        run(work)

    def test_wrapped_sol(self, run: Run, payer: Keypair) -> None:
        account = Pubkey.find_program_address([bytes(payer.pubkey()), bytes(TOKEN), bytes(NATIVE_MINT)], ATA)[0]
        accounts = [payer.pubkey(), account, payer.pubkey(), NATIVE_MINT, Pubkey.default(), TOKEN]
        metas = [AccountMeta(key, is_signer=index == 0, is_writable=index < 2) for index, key in enumerate(accounts)]
        synced = [AccountMeta(account, is_signer=False, is_writable=True)]

        async def work(client: AsyncClient) -> None:
            wrapping = [
                Instruction(ATA, b"\x01", metas),
                pay(payer, account, 1_500),
                Instruction(TOKEN, b"\x11", synced),
            ]
            await send(client, payer, wrapping)
            assert (await client.get_token_account_balance(account)).value.amount == "1500"

        run(work)

    def test_what_is_refused_before_it_is_simulated(self, run: Run, call: Any, payer: Keypair) -> None:
        limit = set_compute_unit_limit(1_000)
        cases = [
            ([limit, limit], "invalid transaction: Transaction contains a duplicate instruction (1)"),
            (
                [Instruction(COMPUTE_BUDGET, b"\x09", [])],
                "invalid transaction: Error processing Instruction 0: invalid instruction data",
            ),
        ]

        async def work(client: AsyncClient) -> list[VersionedTransaction]:
            return [await signed(client, payer, instructions) for instructions, _ in cases]

        for transaction, (_, message) in zip(run(work), cases, strict=True):
            for method in ("sendTransaction", "simulateTransaction"):
                for skip in (True, False):
                    config = {"encoding": "base64", "skipPreflight": skip}
                    error = call(method, encoded(transaction), config)["error"]
                    assert error["code"] == -32602
                    assert error["message"].startswith(message)

    def test_a_program_that_is_not_there(self, run: Run, call: Any, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> VersionedTransaction:
            return await signed(client, payer, [Instruction(Keypair().pubkey(), b"", [])])

        error = call("sendTransaction", encoded(run(work)), {"encoding": "base64"})["error"]
        assert error["data"]["err"] == "ProgramAccountNotFound"
        assert "Attempt to load a program that does not exist" in error["message"]

    def test_history_is_confirmed_at_least(self, call: Any) -> None:
        processed = {"commitment": "processed"}
        for method, params in (
            ("getTransaction", [str(Signature.default()), processed]),
            ("getBlock", [0, processed]),
            ("getBlocks", [0, 1, processed]),
            ("getBlocks", [0, processed]),
            ("getBlocksWithLimit", [0, 1, processed]),
            ("getSignaturesForAddress", [str(MEMO), processed]),
        ):
            error = call(method, *params)["error"]
            assert (error["code"], error["message"]) == (
                -32602,
                "Method does not support commitment below `confirmed`",
            ), method

    def test_nobody_votes_or_stakes_here(self, call: Any) -> None:
        identity = call("getIdentity")["result"]["identity"]
        production = call("getBlockProduction")["result"]["value"]
        last = production["range"]["lastSlot"]
        assert production == {
            "byIdentity": {identity: [last + 1, last + 1]},
            "range": {"firstSlot": 0, "lastSlot": last},
        }
        one = {"range": {"firstSlot": 0, "lastSlot": 0}, "identity": identity}
        assert call("getBlockProduction", one)["result"]["value"]["byIdentity"] == {identity: [1, 1]}
        assert call("getBlockProduction", {"identity": str(MEMO)})["result"]["value"]["byIdentity"] == {}
        assert call("getLeaderSchedule", None, {"identity": str(MEMO)})["result"] == {}
        # The first epoch is not over for two days.
        assert call("getInflationReward", [str(MEMO)])["error"]["code"] == -32004

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("getVoteAccounts", ["x"]),
            ("getSlotLeader", [1]),
            ("getLeaderSchedule", ["x"]),
            ("getLeaderSchedule", [1.5]),
            ("getLeaderSchedule", [None, {"identity": "x"}]),
            ("getBlockCommitment", []),
            ("getBlockCommitment", [-1]),
            ("getBlockProduction", [{"range": 5}]),
            ("getBlockProduction", [{"range": {"firstSlot": 10**9}}]),
            ("getBlockProduction", [{"range": {"firstSlot": 0, "lastSlot": 10**9}}]),
            ("getBlockProduction", [{"identity": "x"}]),
            ("getRecentPerformanceSamples", [721]),
            ("getRecentPerformanceSamples", ["x"]),
            ("getInflationGovernor", [1]),
            ("getInflationReward", ["x"]),
            ("getInflationReward", [["x"]]),
            ("getInflationReward", [[], {"epoch": -1}]),
            ("getStakeMinimumDelegation", [[]]),
            ("getAccountInfo", [str(ATA), {"encoding": "hex"}]),
            ("getAccountInfo", [str(Pubkey(bytes(31) + b"\x77")), {"encoding": "hex"}]),
            ("getProgramAccounts", [str(Pubkey(bytes(31) + b"\x77")), {"encoding": "hex"}]),
            ("getProgramAccounts", [str(Pubkey(bytes(31) + b"\x77")), {"dataSlice": {"offset": 1}}]),
        ],
    )
    def test_constants_read_their_parameters_too(self, call: Any, method: str, params: list[Any]) -> None:
        assert call(method, *params)["error"]["code"] == -32602

    @pytest.mark.parametrize(
        ("method", "kind"),
        [("getTokenAccountBalance", "account"), ("getTokenSupply", "account"), ("getTokenLargestAccounts", "mint")],
    )
    def test_a_token_that_is_not_there(self, call: Any, method: str, kind: str) -> None:
        error = call(method, str(Pubkey(bytes(31) + b"\x77")))["error"]
        assert (error["code"], error["message"]) == (-32602, f"Invalid param: could not find {kind}")

    def test_no_more_accounts_than_the_transaction_has(self, run: Run, call: Any, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> VersionedTransaction:
            return await signed(client, payer, [pay(payer, MEMO, 7)])

        transaction = encoded(run(work))
        accounts = {"encoding": "base64", "addresses": [str(MEMO)] * 4}
        error = call("simulateTransaction", transaction, {"encoding": "base64", "accounts": accounts})["error"]
        assert (error["code"], error["message"]) == (-32602, "Too many accounts provided; max 3")

    def test_one_that_nobody_can_pay_for(self, run: Run, call: Any) -> None:
        poor = Keypair()

        async def work(client: AsyncClient) -> VersionedTransaction:
            return await signed(client, poor, [pay(poor, MEMO, 7)])

        transaction = encoded(run(work))
        config = {"encoding": "base64", "innerInstructions": True}
        value = call("simulateTransaction", transaction, config)["result"]["value"]
        assert (value["err"], value["fee"], value["innerInstructions"]) == ("AccountNotFound", None, None)
        error = call("sendTransaction", transaction, {"encoding": "base64"})["error"]
        assert (error["code"], error["data"]["err"], error["data"]["fee"]) == (-32002, "AccountNotFound", None)


class TestBlocks:
    def test_a_block_holds_its_transactions(self, run: Run, call: Any, payer: Keypair) -> None:
        async def work(client: AsyncClient) -> None:
            signature = await send(client, payer, [pay(payer, Keypair().pubkey(), 10**7)])
            slot = (await client.get_transaction(signature, max_supported_transaction_version=0)).value.slot
            while (await client.get_slot(Finalized)).value < slot:
                await asyncio.sleep(0.05)
            block = (await client.get_block(slot, max_supported_transaction_version=0)).value
            assert [item.transaction.signatures[0] for item in block.transactions] == [signature]
            parent = (await client.get_block(slot - 1, max_supported_transaction_version=0)).value
            assert block.previous_blockhash == parent.blockhash
            assert (block.parent_slot, block.block_height, parent.transactions) == (slot - 1, slot, [])
            assert (await client.get_block_time(slot)).value == block.block_time
            assert slot in (await client.get_blocks(0)).value
            assert call("getBlocksWithLimit", 0, 2)["result"] == [0, 1][: slot + 1]
            for details, key in (("signatures", "signatures"), ("accounts", "transactions"), ("none", None)):
                config = {"transactionDetails": details, "maxSupportedTransactionVersion": 0, "rewards": False}
                answer = call("getBlock", slot, config)["result"]
                assert key is None or len(answer[key]) == 1
                assert "rewards" not in answer

        run(work)

    def test_a_block_that_is_not_there_yet(self, call: Any) -> None:
        assert call("getBlock", 10**9)["error"]["code"] == -32004
        assert call("getBlockTime", 10**9)["error"]["code"] == -32004
        assert call("getBlocks", 10**9)["result"] == []


class TestParameters:
    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("getBalance", []),
            ("getBalance", [7]),
            ("getBalance", ["short"]),
            ("getBalance", ["0" * 44]),
            ("getBalance", [str(MEMO), "finalized"]),
            ("getBalance", [str(MEMO), {"commitment": "certain"}]),
            ("getBalance", [str(MEMO), {"minContextSlot": -1}]),
            ("getBalance", [str(MEMO), {}, {}]),
            ("getAccountInfo", [str(MEMO), {"encoding": 7}]),
            ("getAccountInfo", [str(MEMO), {"dataSlice": {"offset": 0}}]),
            ("getMultipleAccounts", [[str(MEMO)] * 101]),
            ("getMultipleAccounts", [str(MEMO)]),
            ("getMultipleAccounts", [[7]]),
            ("getTransaction", ["nonsense"]),
            ("getTransaction", [str(Signature.default()), {"encoding": "xml"}]),
            ("getSignatureStatuses", [[str(Signature.default())] * 257]),
            ("getSignaturesForAddress", [str(MEMO), {"limit": 1_001}]),
            ("getSignaturesForAddress", [str(MEMO), {"limit": 0}]),
            ("getBlock", ["7"]),
            ("getBlock", [True]),
            ("getBlock", [1.5]),
            ("getBlocks", [0, "x"]),
            ("getMinimumBalanceForRentExemption", [-1]),
            ("isBlockhashValid", ["nonsense"]),
            ("getFeeForMessage", ["nonsense"]),
            ("getTokenAccountsByOwner", [str(MEMO), {}]),
            ("getTokenAccountsByOwner", [str(MEMO), {"mint": str(MEMO)}]),
            ("getTokenAccountsByOwner", [str(MEMO), {"programId": str(MEMO)}]),
            ("requestAirdrop", [str(MEMO), 0]),
            ("simulateTransaction", ["AAAA", {"encoding": "base64"}]),
        ],
    )
    def test_wrong_ones_are_named(self, call: Any, method: str, params: list[Any]) -> None:
        error = call(method, *params)["error"]
        assert error["code"] == -32602
        assert error["message"]

    def test_min_context_slot(self, call: Any) -> None:
        error = call("getBalance", str(MEMO), {"minContextSlot": 10**12})["error"]
        assert (error["code"], error["message"]) == (-32016, "Minimum context slot has not been reached")
        assert error["data"]["contextSlot"] < 10**12

    @pytest.mark.parametrize(
        ("method", "params", "words"),
        [
            ("getBalance", ["short"], "Invalid param: WrongSize"),
            ("getBalance", ["l" * 32], "Invalid param: Invalid"),
            ("getTransaction", ["short"], "Invalid param: WrongSize"),
            ("isBlockhashValid", ["short"], "Invalid param: WrongSize"),
            ("getSignaturesForAddress", [str(MEMO), {"limit": 1_001}], "Invalid limit; max 1000"),
            ("getSlotLeaders", [0, 5_001], "Invalid limit; max 5000"),
            ("getRecentPerformanceSamples", [721], "Invalid limit; max 720"),
            ("getBlocksWithLimit", [0, 500_001], "Limit too large; max 500000"),
            ("getTokenSupply", [str(MEMO)], "Invalid param: not a Token mint"),
            ("getTokenLargestAccounts", [str(MEMO)], "Invalid param: Token mint could not be unpacked"),
            (
                "getTokenAccountsByOwner",
                [str(MEMO), {"mint": str(MEMO), "programId": str(TOKEN)}],
                "Invalid params: give a mint or a programId",
            ),
            (
                "sendTransaction",
                ["AAAA", {"encoding": "json"}],
                "unsupported encoding: json. Supported encodings: base58, base64",
            ),
        ],
    )
    def test_agaves_words_where_clients_look_for_them(
        self, call: Any, method: str, params: list[Any], words: str
    ) -> None:
        assert call(method, *params)["error"] == {"code": -32602, "message": words}

    def test_a_commitment_that_is_no_text(self, call: Any) -> None:
        for value in ({}, [], 7):
            assert call("getBalance", str(MEMO), {"commitment": value})["error"]["code"] == -32602

    def test_more_data_than_an_account_can_have(self, call: Any) -> None:
        assert "result" in call("getMinimumBalanceForRentExemption", 10_485_760)
        error = call("getMinimumBalanceForRentExemption", 10_485_761)["error"]
        assert error == {"code": -32600, "message": "Invalid request"}

    def test_no_leaders_are_as_many_as_asked(self, call: Any) -> None:
        assert call("getSlotLeaders", 0, 0)["result"] == []

    def test_calls_that_know_no_context_slot(self, call: Any) -> None:
        later = {"minContextSlot": 10**12}
        for method, params in (
            ("getMinimumBalanceForRentExemption", [1]),
            ("getTransaction", [str(Signature.default())]),
            ("getBlock", [0]),
            ("getSupply", []),
            ("getLargestAccounts", []),
            ("getVoteAccounts", []),
            ("getInflationGovernor", []),
            ("getBlockProduction", []),
        ):
            assert "result" in call(method, *params, later), method

    def test_whose_lamports_circulate(self, call: Any) -> None:
        supply = call("getSupply")["result"]["value"]
        (held_back,) = supply["nonCirculatingAccounts"]
        short = call("getSupply", {"excludeNonCirculatingAccountsList": True})["result"]["value"]
        assert short == {**supply, "nonCirculatingAccounts": []}
        largest = {
            wanted: [each["address"] for each in call("getLargestAccounts", {"filter": wanted})["result"]["value"]]
            for wanted in ("circulating", "nonCirculating", None)
        }
        assert largest["nonCirculating"] == [held_back]
        assert held_back in largest[None]
        assert sorted([*largest["circulating"], held_back]) == sorted(largest[None])
        assert call("getLargestAccounts", {"filter": "all"})["error"]["code"] == -32602

    def test_a_voter_that_is_no_address(self, call: Any) -> None:
        assert call("getVoteAccounts", {"votePubkey": "x"})["error"]["code"] == -32602

    def test_old_commitment_names(self, call: Any) -> None:
        assert "result" in call("getSlot", {"commitment": "recent"})

    def test_no_snapshot(self, call: Any) -> None:
        assert call("getHighestSnapshotSlot")["error"]["code"] == -32008
