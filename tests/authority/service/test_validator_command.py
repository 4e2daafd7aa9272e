"""`authority validator` as a process: what a kill leaves, and how it starts and ends."""

from __future__ import annotations

import base64
import http.client
import resource
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory
from authority.chain.client import ChainClient, sign_transaction
from authority.chain.deploy import Deployment, check_programs, deploy
from authority.chain.errors import ChainError, RpcError
from authority.cli import main
from authority.home.home import Home

pytestmark = pytest.mark.skipif(
    not all((artifacts_directory() / f"{name}.so").is_file() for name in PROGRAM_NAMES),
    reason="the programs are not built: run `make programs`",
)

Start = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "home", now=1_800_000_000)


def pay(payer: Keypair, target: Pubkey, lamports: int) -> Any:
    return transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=target, lamports=lamports))


def test_nothing_is_lost_by_a_kill(home: Home, validator_process: Start) -> None:
    """A stream of transfers is cut by SIGKILL; every one that was answered is there afterwards, exactly once."""
    first = validator_process(home.path)
    payer, answered = home.operator, []
    stop = threading.Event()

    def stream() -> None:
        client = ChainClient(first.url, attempts=1)
        number = 0
        while not stop.is_set():
            number += 1
            try:
                target = Keypair().pubkey()
                answered.append((client.send([pay(payer, target, 10**7 + number)], [], payer=payer), target, number))
            except ChainError:
                return

    threads = [threading.Thread(target=stream) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(answered) < 60:
        stop.wait(0.01)
    before = ChainClient(first.url)
    genesis, slot = before.genesis_hash(), before.slot("processed")
    blockhash, _ = before.latest_blockhash()
    first.kill()
    stop.set()
    for thread in threads:
        thread.join()

    second = validator_process(home.path)
    client = ChainClient(second.url)
    assert client.genesis_hash() == genesis
    assert client.slot("processed") >= slot
    # A blockhash from before the kill still works, and what landed before it cannot land again; both but for a minute.
    signed = sign_transaction([pay(payer, Keypair().pubkey(), 10**7)], [], payer, [], blockhash)
    raw = base64.b64encode(bytes(signed)).decode()
    assert client.call("sendTransaction", raw, {"encoding": "base64"}) == str(signed.signatures[0])
    landed = client.transaction(answered[0][0])
    assert landed is not None
    replay = base64.b64encode(bytes(landed.transaction)).decode()
    with pytest.raises(RpcError) as caught:
        client.call("sendTransaction", replay, {"encoding": "base64"})
    assert caught.value.data["err"] == "AlreadyProcessed"
    for signature, target, number in answered:
        record = client.transaction(signature)
        assert record is not None
        assert (record.error, client.balance(target)) == (None, 10**7 + number)
        assert client.signatures(target) == [signature]
    assert client.call("getTransactionCount") >= len(answered)


def test_a_disk_that_is_full_is_named_and_loses_nothing(home: Home, validator_process: Start) -> None:
    """The limit on a file's size stands for the disk's: at the genesis, then in the middle of a stream."""

    def limited(size: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    with pytest.raises(AssertionError, match="ledger_unwritable"):
        validator_process(home.path, preexec_fn=limited(100_000))
    assert validator_process(home.path).stop() == 0
    size = (home.validator_directory / "ledger.db").stat().st_size
    full = validator_process(home.path, preexec_fn=limited(size + 200_000))
    client, payer, target = ChainClient(full.url, attempts=1), home.operator, Keypair().pubkey()
    amounts: list[int] = []

    def stream() -> None:
        while True:
            amount = 10**7 + len(amounts)
            client.send([pay(payer, target, amount)], [], payer=payer)
            amounts.append(amount)

    with pytest.raises(ChainError, match="the ledger could not be written"):
        stream()
    with pytest.raises(ChainError, match="look at the disk"):
        client.call("getHealth")
    assert client.balance(target) == sum(amounts) > 0
    full.kill()
    again = ChainClient(validator_process(home.path).url)
    assert again.balance(target) == sum(amounts)
    assert again.call("getHealth") == "ok"


def test_a_file_that_is_no_ledger(home: Home, validator_process: Start) -> None:
    home.validator_directory.mkdir()
    (home.validator_directory / "ledger.db").write_bytes(b"minutes of the campus council\n" * 400)
    with pytest.raises(
        AssertionError, match=r"file is not a database\): restore it, or start again from nothing with --reset"
    ):
        validator_process(home.path)
    assert validator_process(home.path, "--reset").stop() == 0


def test_the_programs_stand_deploy_and_stay(home: Home, validator_process: Start) -> None:
    first = validator_process(home.path)
    client = ChainClient(first.url)
    found = check_programs(client)
    assert [program.name for program in found] == list(PROGRAM_NAMES)
    assert {program.upgrade_authority for program in found} == {home.authority.pubkey()}
    steps = ("governance", "registry", "energy_token", "fee_account", "market", "books")
    done = deploy(client, Deployment.of(home), authority=home.authority, operator=home.operator)
    assert done == list(steps)
    first.kill()
    client = ChainClient(validator_process(home.path).url)
    assert deploy(client, Deployment.of(home), authority=home.authority, operator=home.operator) == []


def test_the_deploy_command(home: Home, validator_process: Start, capfd: pytest.CaptureFixture[str]) -> None:
    url = validator_process(home.path).url
    command = ["deploy", "--home", str(home.path), "--url", url]
    assert main(command) == 0
    assert "market: initialized" in capfd.readouterr().out
    assert main(command) == 0
    assert "nothing to do" in capfd.readouterr().err
    assert main([*command, "--check"]) == 0
    assert f"upgrade authority {home.authority.pubkey()}" in capfd.readouterr().out
    assert main(["deploy", "--home", str(home.path), "--url", "nonsense"]) == 1
    assert "not the address of a validator" in capfd.readouterr().err


def test_sigterm_ends_it_well(home: Home, validator_process: Start) -> None:
    validator = validator_process(home.path)
    ChainClient(validator.url).health()
    assert validator.stop() == 0


def test_two_on_one_home(home: Home, validator_process: Start) -> None:
    validator_process(home.path)
    with pytest.raises(AssertionError, match="another validator runs on"):
        validator_process(home.path)


def test_a_port_that_is_taken(home: Home, tmp_path: Path, validator_process: Start) -> None:
    first = validator_process(home.path)
    port = first.url.rsplit(":", 1)[1]
    other = Home.create(tmp_path / "other", now=1_800_000_000)
    with pytest.raises(AssertionError, match="cannot listen on"):
        validator_process(other.path, "--rpc-port", port)


def test_the_subscriptions_port_is_taken(home: Home, validator_process: Start) -> None:
    """They are served at the port after the RPC's, where clients look for them; without it nothing starts."""
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port + 1)),
        pytest.raises(AssertionError, match=rf"cannot listen on 127\.0\.0\.1:{port + 1} .*--rpc-port"),
    ):
        validator_process(home.path, "--rpc-port", str(port))
    validator = validator_process(home.path, "--rpc-port", str(port))
    [node] = ChainClient(validator.url).call("getClusterNodes")
    assert (node["rpc"], node["pubsub"]) == (f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}")


def test_reset_starts_anew(home: Home, validator_process: Start) -> None:
    first = validator_process(home.path)
    genesis = ChainClient(first.url).genesis_hash()
    assert first.stop() == 0
    second = validator_process(home.path, "--reset")
    assert ChainClient(second.url).genesis_hash() != genesis


@pytest.mark.finding("ops-24")
def test_airdrops_and_browsers_are_for_who_asks_for_them(home: Home, validator_process: Start) -> None:
    """The command that `serve` runs gives no lamports away, and no web page's script is answered."""
    running = validator_process(home.path)
    with pytest.raises(RpcError, match="gives no airdrops"):
        ChainClient(running.url).airdrop(Keypair().pubkey(), 10**9)
    assert status_for_a_page(running.url) == (403, None)
    assert running.stop() == 0
    running = validator_process(home.path, "--airdrop", "--browsers")
    ChainClient(running.url).airdrop(Keypair().pubkey(), 10**9)
    assert status_for_a_page(running.url) == (200, "*")
    assert running.stop() == 0
    home.save(replace(home.settings, validator=replace(home.settings.validator, airdrop=True, browsers=True)))
    running = validator_process(home.path, "--no-browsers")
    ChainClient(running.url).airdrop(Keypair().pubkey(), 10**9)
    assert status_for_a_page(running.url) == (403, None)


def status_for_a_page(url: str) -> tuple[int, str | None]:
    """What a web page's script gets: the status, and whom the answer may be shown to."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    body = '{"jsonrpc": "2.0", "id": 1, "method": "getHealth"}'
    connection.request("POST", "/", body, {"Content-Type": "application/json", "Origin": "http://localhost:8899"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers["Access-Control-Allow-Origin"]


def test_more_programs_can_stand_in_the_genesis(home: Home, tmp_path: Path, validator_process: Start) -> None:
    path = tmp_path / "probe.so"
    path.write_bytes((artifacts_directory() / "governance.so").read_bytes())
    address = Keypair().pubkey()
    client = ChainClient(validator_process(home.path, "--upgradeable-program", str(address), str(path)).url)
    account = client.raw_account(address)
    assert account is not None
    assert account.executable
    other = Home.create(tmp_path / "other", now=1_800_000_000)
    with pytest.raises(AssertionError, match="--upgradeable-program nonsense"):
        validator_process(other.path, "--upgradeable-program", "nonsense", str(path))


def test_a_missing_home_is_named(tmp_path: Path, validator_process: Start) -> None:
    with pytest.raises(AssertionError, match="authority init"):
        validator_process(tmp_path / "nowhere")
