"""The chain client against the embedded validator, over real HTTP."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from free_ports import free_port
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer

from authority.chain.accounts import Config
from authority.chain.client import ChainClient, failing_program, public_key, sign_transaction
from authority.chain.errors import (
    AccountMismatchError,
    InstructionFailedError,
    ProgramError,
    RpcError,
    SignerMissingError,
    TransactionExpiredError,
    TransactionFailedError,
    TransactionTooLargeError,
    TransactionUncertainError,
    TransportError,
)
from authority.chain.programs import (
    CLOCK_SYSVAR,
    SYSTEM_PROGRAM,
    TOKEN_PROGRAM,
    associated_token_address,
    create_associated_token_account,
    ed25519_frames,
    ed25519_instruction,
)
from authority.chain.transport import Transport, UrlError
from edge_agent.wire.reading import Frame, Record

UNAFFORDABLE = 2**63  # lamports: more than there are
MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


def pay(source: Keypair, target: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=target, lamports=lamports))


def memo(text: bytes) -> Instruction:
    return Instruction(MEMO_PROGRAM, text, [])


def fresh() -> Pubkey:
    return Keypair().pubkey()


class TestSending:
    def test_a_transfer_is_confirmed_when_send_returns(self, client: ChainClient, payer: Keypair) -> None:
        target = fresh()
        signature = client.send([pay(payer, target, 5_000_000)], [], payer=payer)
        assert client.balance(target) == 5_000_000
        record = client.transaction(signature)
        assert record is not None
        assert (record.error, record.fee) == (None, 5_000)
        assert record.units > 0
        assert client.signatures(target) == [signature]

    def test_the_same_twice_lands_twice(self, client: ChainClient, payer: Keypair) -> None:
        """Within one slot they would be one transaction, and the second payment would be lost without a word."""
        target = fresh()
        signatures = {client.send([pay(payer, target, 5_000_000)], [], payer=payer) for _ in range(3)}
        assert len(signatures) == 3
        other = ChainClient(client.url)
        assert other.send([pay(payer, target, 5_000_000)], [], payer=payer) not in signatures
        assert client.balance(target) == 20_000_000

    def test_a_compute_budget_goes_in_front(self, client: ChainClient, payer: Keypair) -> None:
        signature = client.send(
            [pay(payer, fresh(), 5_000_000)], [], payer=payer, compute_units=1_000, compute_unit_price=1_000_000
        )
        record = client.transaction(signature)
        assert record is not None
        assert record.fee == 5_000 + 1_000
        first = record.transaction.message.instructions[0]
        assert bytes(first.data) == bytes(set_compute_unit_limit(1_000).data)

    def test_native_program_errors_are_named(self, client: ChainClient, payer: Keypair) -> None:
        with pytest.raises(ProgramError, match="not enough lamports") as caught:
            client.send([memo(b"x"), pay(payer, fresh(), UNAFFORDABLE)], [], payer=payer)
        assert (caught.value.number, caught.value.name, caught.value.index) == (1, "ResultWithNegativeLamports", 1)
        assert caught.value.program == str(SYSTEM_PROGRAM)
        assert caught.value.signature is None
        assert any("insufficient lamports" in line for line in caught.value.logs)

    def test_a_failure_that_landed_has_its_signature(self, client: ChainClient, payer: Keypair) -> None:
        with pytest.raises(ProgramError) as caught:
            client.send([pay(payer, fresh(), UNAFFORDABLE)], [], payer=payer, preflight=False)
        assert caught.value.signature is not None
        record = client.transaction(caught.value.signature)
        assert record is not None
        assert record.error == {"InstructionError": [0, {"Custom": 1}]}

    def test_built_in_errors_have_their_name(self, client: ChainClient, payer: Keypair) -> None:
        with pytest.raises(InstructionFailedError) as caught:
            client.send([memo(b"\xff\xfe")], [], payer=payer)
        assert caught.value.name in ("InvalidInstructionData", "ProgramFailedToComplete")
        assert caught.value.program == str(MEMO_PROGRAM)

    def test_a_payer_without_lamports(self, client: ChainClient) -> None:
        poor = Keypair()
        with pytest.raises(TransactionFailedError, match="AccountNotFound"):
            client.send([pay(poor, fresh(), 1)], [], payer=poor)

    def test_a_missing_signer_is_named_before_anything_is_sent(self, client: ChainClient, payer: Keypair) -> None:
        other = Keypair()
        with pytest.raises(SignerMissingError, match=str(other.pubkey())):
            client.send([pay(other, fresh(), 1)], [], payer=payer)

    def test_signers_that_are_not_needed_are_passed_over(self, client: ChainClient, payer: Keypair) -> None:
        client.send([memo(b"spare")], [payer, Keypair()], payer=payer)

    def test_1232_bytes_fit_and_one_more_does_not(self, client: ChainClient, payer: Keypair) -> None:
        # Agave's memo program takes many units for its log; the limit is an instruction too.
        limit = set_compute_unit_limit(1_400_000)
        room = 1_232 - len(bytes(sign_transaction([limit, memo(b"")], [], payer, [], Hash.default())))
        # From 128 bytes on the length takes a second byte.
        client.send([limit, memo(b"x" * (room - 1))], [], payer=payer)
        with pytest.raises(TransactionTooLargeError, match="1233 bytes"):
            client.send([limit, memo(b"x" * room)], [], payer=payer)

    def test_simulation_needs_no_signature(self, client: ChainClient, payer: Keypair) -> None:
        good = client.simulate([pay(payer, fresh(), 5_000_000)], payer.pubkey())
        assert (good.error, good.units) == (None, 150)
        bad = client.simulate([pay(payer, fresh(), UNAFFORDABLE)], payer.pubkey())
        assert bad.error == {"InstructionError": [0, {"Custom": 1}]}

    def test_many_threads_share_a_client(self, client: ChainClient, payer: Keypair) -> None:
        targets = [fresh() for _ in range(8)]
        failures: list[BaseException] = []

        def work(target: Pubkey) -> None:
            try:
                for amount in range(1, 6):
                    client.send([pay(payer, target, 1_000_000 * amount)], [], payer=payer)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(target,)) for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert [client.balance(target) for target in targets] == [15_000_000] * 8

    def test_airdrop(self, client: ChainClient) -> None:
        target = fresh()
        client.airdrop(target, 7_000_000)
        client.airdrop(target, 7_000_000)
        assert client.balance(target) == 14_000_000


class TestReading:
    def test_absent_accounts(self, client: ChainClient) -> None:
        assert client.raw_account(fresh()) is None
        assert client.raw_accounts([CLOCK_SYSVAR, fresh()])[1] is None
        assert client.balance(fresh()) == 0
        assert client.token_balance(fresh()) is None
        assert client.token_supply(fresh()) is None
        assert client.transaction(Signature.default()) is None
        assert client.lookup_table(fresh()) is None

    def test_the_clock_moves(self, client: ChainClient) -> None:
        first = client.clock()
        assert first.unix_timestamp > 1_700_000_000
        assert client.clock().slot >= first.slot
        assert client.genesis_hash() != Hash.default()
        client.health()

    def test_more_accounts_than_one_call_takes(self, client: ChainClient, payer: Keypair) -> None:
        found = client.raw_accounts([payer.pubkey()] * 205)
        assert len(found) == 205
        assert all(account is not None for account in found)

    def test_an_account_of_another_program(self, client: ChainClient, payer: Keypair) -> None:
        with pytest.raises(AccountMismatchError, match="not a lookup table"):
            client.lookup_table(MEMO_PROGRAM)
        with pytest.raises(AccountMismatchError, match="not a token account"):
            client.token_balance(MEMO_PROGRAM)
        with pytest.raises(AccountMismatchError, match="not a mint"):
            client.token_supply(MEMO_PROGRAM)

    def test_a_call_that_the_validator_refuses(self, client: ChainClient) -> None:
        with pytest.raises(RpcError) as caught:
            client.call("noSuchMethod")
        assert caught.value.number == -32601


def make_mint(client: ChainClient, payer: Keypair, decimals: int) -> Pubkey:
    mint = Keypair()
    rent = client.call("getMinimumBalanceForRentExemption", 82)
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=mint.pubkey(), lamports=rent, space=82, owner=TOKEN_PROGRAM
        )
    )
    initialize = Instruction(
        TOKEN_PROGRAM,
        bytes([20, decimals]) + bytes(payer.pubkey()) + b"\x00",
        [AccountMeta(mint.pubkey(), is_signer=False, is_writable=True)],
    )
    client.send([create, initialize], [mint], payer=payer)
    return mint.pubkey()


def mint_to(payer: Keypair, mint: Pubkey, account: Pubkey, amount: int) -> Instruction:
    return Instruction(
        TOKEN_PROGRAM,
        b"\x07" + amount.to_bytes(8, "little"),
        [
            AccountMeta(mint, is_signer=False, is_writable=True),
            AccountMeta(account, is_signer=False, is_writable=True),
            AccountMeta(payer.pubkey(), is_signer=True, is_writable=False),
        ],
    )


class TestTokens:
    def test_balances_are_exact_integers(self, client: ChainClient, payer: Keypair) -> None:
        mint = make_mint(client, payer, 3)
        owner = fresh()
        account = associated_token_address(owner, mint)
        create = create_associated_token_account(payer.pubkey(), owner, mint)
        amount = 2**63 + 1  # no float holds it
        client.send([create, mint_to(payer, mint, account, amount)], [], payer=payer)
        client.send([create, memo(b"again")], [], payer=payer)  # making it twice changes nothing
        assert client.token_balance(account) == amount
        assert client.token_supply(mint) == amount
        assert client.token_balances([account, fresh()]) == [amount, None]

    def test_token_errors_are_named(self, client: ChainClient, payer: Keypair) -> None:
        mint, other = make_mint(client, payer, 0), make_mint(client, payer, 0)
        account = associated_token_address(payer.pubkey(), mint)
        create = create_associated_token_account(payer.pubkey(), payer.pubkey(), mint)
        with pytest.raises(ProgramError) as caught:
            client.send([create, mint_to(payer, other, account, 1)], [], payer=payer)
        assert (caught.value.name, caught.value.program) == ("MintMismatch", str(TOKEN_PROGRAM))


def frame(sequence: int) -> Frame:
    key = Keypair.from_seed(bytes([sequence]) * 32)
    record = Record(
        sequence=sequence,
        network_id=b"testnet!",
        interval_end=900 * sequence,
        generation=sequence,
        consumption=0,
        charge=0,
        discharge=0,
        interval_seconds=900,
        source=1,
    ).to_bytes()
    return Frame(record, bytes(key.pubkey()), bytes(key.sign_message(record)))


class TestEd25519:
    def test_the_precompile_takes_what_is_built(self, client: ChainClient, payer: Keypair) -> None:
        client.send([ed25519_frames([frame(1), frame(2)]), memo(b"two")], [], payer=payer)

    def test_one_wrong_byte_is_refused(self, client: ChainClient, payer: Keypair) -> None:
        good = frame(1)
        bad = Frame(good.record_bytes, good.public_key, good.signature[:-1] + b"\x00")
        with pytest.raises(TransactionFailedError):
            client.send([ed25519_frames([good, bad])], [], payer=payer)

    def test_layout(self) -> None:
        data = bytes(ed25519_frames([frame(1), frame(2)]).data)
        assert data[:2] == b"\x02\x00"
        assert len(data) == 2 + 2 * 14 + 2 * 192
        assert data[30:222] == frame(1).to_bytes()
        here = 0xFFFF
        row = [int.from_bytes(data[16 + 2 * n : 18 + 2 * n], "little") for n in range(7)]
        assert row == [222 + 128, here, 222 + 96, here, 222, 96, here]

    @pytest.mark.parametrize("signed", [[], [(b"", b"short", bytes(64))], [(b"", bytes(32), b"")]])
    def test_what_is_no_signature_is_refused(self, signed: list[tuple[bytes, bytes, bytes]]) -> None:
        with pytest.raises(ValueError, match="signature"):
            ed25519_instruction(signed)


class TestLookupTables:
    def test_four_readings_fit_with_a_table(self, client: ChainClient, payer: Keypair) -> None:
        addresses = [fresh() for _ in range(45)]
        table = client.create_lookup_table(payer, payer=payer)
        client.extend_lookup_table(table, addresses, payer, payer=payer)
        client.extend_lookup_table(table, addresses, payer, payer=payer)  # nothing is missing any more
        usable = client.wait_for_lookup_table(table)
        assert usable.addresses == addresses
        # What submit_readings takes: config, sysvar, and per reading a Meter and a writable MeterState.
        metas = [AccountMeta(addresses[0], is_signer=False, is_writable=False) for _ in range(2)]
        for n in range(4):
            metas.append(AccountMeta(addresses[2 + 2 * n], is_signer=False, is_writable=False))
            metas.append(AccountMeta(addresses[3 + 2 * n], is_signer=False, is_writable=True))
        instructions = [
            ed25519_frames([frame(n) for n in range(1, 5)]),
            pay(payer, addresses[3], 5_000_000),
            Instruction(
                SYSTEM_PROGRAM,
                (2).to_bytes(4, "little") + (0).to_bytes(8, "little"),
                [AccountMeta(payer.pubkey(), is_signer=True, is_writable=True), *metas[3:]],
            ),
        ]
        assert len(bytes(sign_transaction(instructions, [], payer, [usable], Hash.default()))) <= 1_232
        with pytest.raises(TransactionTooLargeError):
            sign_transaction(instructions, [], payer, [], Hash.default())
        signature = client.send(instructions, [], payer=payer, lookup_tables=[usable])
        assert client.balance(addresses[3]) == 5_000_000
        assert signature in client.signatures(addresses[3])
        landed = client.call(
            "getTransaction",
            str(signature),
            {"commitment": "confirmed", "encoding": "json", "maxSupportedTransactionVersion": 0},
        )
        assert str(addresses[3]) in landed["meta"]["loadedAddresses"]["writable"]


class Script(BaseHTTPRequestHandler):
    """Answers each method from a list, the last answer forever; counts the calls."""

    answers: ClassVar[dict[str, list[Any]]] = {}
    calls: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = request["method"]
        self.calls.append(method)
        answers = self.answers[method]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, int):
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = answer if isinstance(answer, bytes) else json.dumps({"jsonrpc": "2.0", "id": 1, **answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class HangingUp:
    """A validator that keeps a connection for one call and then ends it without a word; answers count the calls."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                while (line := lines.readline()) not in (b"", b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not line:
                    continue
                lines.read(length)
                number += 1
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": number}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


class ScriptServer(ThreadingHTTPServer):
    """One whose clients go away in the middle: that alone is not worth a traceback."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def result(value: Any) -> dict[str, Any]:
    return {"result": value}


def status(value: Any) -> dict[str, Any]:
    return result({"context": {"slot": 1}, "value": [value]})


CONFIRMED = {"slot": 1, "confirmations": None, "err": None, "confirmationStatus": "confirmed"}
PROCESSED = {**CONFIRMED, "confirmationStatus": "processed"}


def blockhash(number: int) -> dict[str, Any]:
    value = {"blockhash": str(Hash(bytes([number]) * 32)), "lastValidBlockHeight": 150}
    return result({"context": {"slot": 1}, "value": value})


def preflight_failure(error: Any) -> dict[str, Any]:
    return {"error": {"code": -32002, "message": "Transaction simulation failed", "data": {"err": error, "logs": []}}}


@pytest.fixture
def scripted() -> Iterator[tuple[ChainClient, dict[str, list[Any]], list[str]]]:
    """A client of a validator that answers as the test says; pauses take no time."""

    class Here(Script):
        answers: ClassVar[dict[str, list[Any]]] = {
            "getLatestBlockhash": [blockhash(number) for number in range(1, 9)],
            "sendTransaction": [result("sent")],
            "getBlockHeight": [result(100)],
        }
        calls: ClassVar[list[str]] = []

    server = ScriptServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    time = [0.0]

    def sleep(seconds: float) -> None:
        time[0] += seconds

    client = ChainClient(
        f"http://127.0.0.1:{server.server_address[1]}", sleep=sleep, monotonic=lambda: time[0], attempts=4
    )
    yield client, Here.answers, Here.calls
    server.shutdown()
    server.server_close()


class TestNothingLandsTwice:
    def test_it_waits_for_its_commitment(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["getSignatureStatuses"] = [status(None), status(PROCESSED), status(PROCESSED), status(CONFIRMED)]
        client.send([memo(b"x")], [], payer=payer)
        assert calls.count("getSignatureStatuses") == 4
        assert calls.count("getLatestBlockhash") == 1

    def test_the_same_bytes_are_sent_again_while_they_can_land(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["getSignatureStatuses"] = [status(None)] * 12 + [status(CONFIRMED)]
        client.send([memo(b"x")], [], payer=payer)
        assert calls.count("sendTransaction") > 1
        assert calls.count("getLatestBlockhash") == 1

    def test_it_signs_anew_only_when_the_time_is_surely_over(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["getSignatureStatuses"] = [status(None)] * 4 + [status(CONFIRMED)]
        answers["getBlockHeight"] = [result(149), result(150), result(151)]
        client.send([memo(b"x")], [], payer=payer)
        assert calls.count("getLatestBlockhash") == 2

    def test_what_lands_in_the_last_block_is_not_sent_again(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["getSignatureStatuses"] = [status(None), status(CONFIRMED)]
        answers["getBlockHeight"] = [result(151)]
        client.send([memo(b"x")], [], payer=payer)
        assert calls.count("getLatestBlockhash") == 1

    def test_it_gives_up_after_some_signings(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["getSignatureStatuses"] = [status(None)]
        answers["getBlockHeight"] = [result(151)]
        with pytest.raises(TransactionExpiredError):
            client.send([memo(b"x")], [], payer=payer)
        assert calls.count("getLatestBlockhash") == 4

    def test_a_chain_that_stands_still_is_named(self, scripted: Any, payer: Keypair) -> None:
        client, answers, _ = scripted
        answers["getLatestBlockhash"] = [blockhash(1)]
        answers["getSignatureStatuses"] = [status(CONFIRMED)]
        client.send([memo(b"x")], [], payer=payer)
        with pytest.raises(TransactionExpiredError, match="same blockhash"):
            client.send([memo(b"x")], [], payer=payer)

    def test_an_answer_lost_on_the_way_is_no_failure(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["sendTransaction"] = [503, preflight_failure("AlreadyProcessed")]
        answers["getSignatureStatuses"] = [status(CONFIRMED)]
        client.send([memo(b"x")], [], payer=payer)
        assert calls.count("sendTransaction") == 2

    def test_what_another_client_has_landed_is_not_taken_for_ones_own(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["sendTransaction"] = [preflight_failure("AlreadyProcessed"), result("sent")]
        answers["getSignatureStatuses"] = [status(CONFIRMED)]
        client.send([memo(b"x")], [], payer=payer)
        assert calls.count("getLatestBlockhash") == 2

    def test_a_node_that_has_not_seen_the_block_yet(self, scripted: Any, payer: Keypair) -> None:
        client, answers, _ = scripted
        answers["sendTransaction"] = [preflight_failure("BlockhashNotFound"), result("sent")]
        answers["getSignatureStatuses"] = [status(None)] * 12 + [status(CONFIRMED)]
        client.send([memo(b"x")], [], payer=payer)

    def test_a_validator_lost_on_the_way_leaves_it_open(self, scripted: Any, payer: Keypair) -> None:
        client, answers, _ = scripted
        answers["getSignatureStatuses"] = [503]
        with pytest.raises(TransactionUncertainError) as caught:
            client.send([memo(b"x")], [], payer=payer)
        assert caught.value.last_valid_block_height == 150

    def test_a_refusal_is_raised_at_once(self, scripted: Any, payer: Keypair) -> None:
        client, answers, calls = scripted
        answers["sendTransaction"] = [preflight_failure("InsufficientFundsForFee")]
        answers["getSignatureStatuses"] = [status(None)]
        with pytest.raises(TransactionFailedError, match="InsufficientFundsForFee"):
            client.send([memo(b"x")], [], payer=payer)
        assert calls.count("sendTransaction") == 1


class TestTransport:
    @pytest.mark.parametrize("url", ["", "127.0.0.1:8899", "ftp://host", "http://", "nonsense"])
    def test_what_is_no_url(self, url: str) -> None:
        with pytest.raises(UrlError, match="not the address of a validator"):
            Transport(url)

    def test_a_validator_that_is_not_there(self) -> None:
        pauses: list[float] = []
        transport = Transport(f"http://127.0.0.1:{free_port()}", attempts=4, sleep=pauses.append, jitter=lambda: 0.0)
        with pytest.raises(TransportError, match="is it running"):
            transport.call("getSlot")
        assert pauses == [0.1, 0.2, 0.4]

    def test_a_kept_connection_that_the_validator_has_ended_is_no_validator_away(self) -> None:
        """As after IDLE_SECONDS, or a restart: readers that are not patient at all must not notice."""
        with HangingUp() as url:
            transport = Transport(url, attempts=1, sleep=lambda _: None)
            assert [transport.call("getSlot") for _ in range(4)] == [1, 2, 3, 4]

    def test_what_must_not_be_made_twice_is_not_made_twice_on_a_connection_that_ended(self) -> None:
        with HangingUp() as url:
            transport = Transport(url, attempts=4, sleep=lambda _: None)
            assert transport.call("requestAirdrop", retry=False) == 1
            with pytest.raises(TransportError):
                transport.call("requestAirdrop", retry=False)
            assert transport.call("requestAirdrop", retry=False) == 2

    def test_busy_answers_are_tried_again(self, scripted: Any) -> None:
        client, answers, calls = scripted
        unhealthy = {"error": {"code": -32005, "message": "Node is unhealthy"}}
        answers["getSlot"] = [429, unhealthy, 503, result(7)]
        assert client.slot() == 7
        assert len(calls) == 4

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (b"<html>", "not JSON"),
            (b"[]", "not in JSON-RPC"),
            (b"{}", "without a result"),
            (b"[" * 100_000, "not JSON"),
            ({"error": "text"}, "damaged error"),
            (404, "is this a Solana RPC"),
        ],
    )
    def test_what_is_no_validator(self, scripted: Any, answer: Any, message: str) -> None:
        client, answers, calls = scripted
        answers["getSlot"] = [answer]
        with pytest.raises(TransportError, match=message):
            client.slot()
        assert len(calls) == 1

    @pytest.mark.parametrize(
        "content",
        [
            None,
            {},
            [],
            "text",
            [5],
            {"value": "text"},
            {"value": []},
            {"value": {}},
            {"value": [{"confirmationStatus": "later"}]},
            {"value": {"blockhash": "text", "lastValidBlockHeight": 1}},
            {"value": {"data": ["!", "base64"], "owner": "text", "lamports": -1, "executable": False}},
            {"slot": 1, "meta": {"err": None, "fee": 5_000}, "transaction": ["AAAA", "base64"]},
        ],
        ids=str,
    )
    def test_answers_to_another_question(self, scripted: Any, payer: Keypair, content: Any) -> None:
        """A proxy, another chain's RPC, a damaged answer: no call ends with an error that has no name."""
        client, answers, _ = scripted
        address, signature = payer.pubkey(), Signature.default()
        asked: list[tuple[str, Callable[[], Any]]] = [
            ("getGenesisHash", client.genesis_hash),
            ("getSlot", client.slot),
            ("getBalance", lambda: client.balance(address)),
            ("getAccountInfo", lambda: client.raw_account(address)),
            ("getMultipleAccounts", lambda: client.raw_accounts([address])),
            ("getProgramAccounts", lambda: client.accounts(Config)),
            ("getLatestBlockhash", client.latest_blockhash),
            ("simulateTransaction", lambda: client.simulate([], payer=address)),
            ("requestAirdrop", lambda: client.airdrop(address, 1)),
            ("getTransaction", lambda: client.transaction(signature)),
            ("getSignaturesForAddress", lambda: client.signatures(address)),
        ]
        for method, ask in asked:
            if (method, content) in (
                ("getTransaction", None),
                ("getSignaturesForAddress", []),
                ("getProgramAccounts", []),
            ):
                continue  # which are answers
            answers[method] = [result(content)]
            with pytest.raises(TransportError, match=f"an answer to {method} that does not belong to it"):
                ask()


def test_a_key_pairs_public_half_is_what_is_computed_of_its_secret() -> None:
    for keypair in (Keypair(), Keypair.from_seed(bytes(range(32)))):
        assert public_key(keypair) == keypair.pubkey()


def test_the_innermost_program_is_to_blame() -> None:
    logs = [
        "Program A invoke [1]",
        "Program B invoke [2]",
        "Program log: Program C failed: nonsense",
        "Program B failed: custom program error: 0x1",
        "Program A failed: custom program error: 0x1",
    ]
    assert failing_program(logs) == "B"
    assert failing_program([]) is None
