"""How fast the embedded validator lands transfers and readings, durable, beside LiteSVM alone: JSON on standard output.

    python tests/benchmarks/local_validator.py [--count 500] [--threads 1 4]

Each figure is transfers per second of one run. `svm` is LiteSVM executing them in memory; `bank` adds the validator's
rules and one durable SQLite commit for each; `rpc` is sendTransaction over HTTP with preflight, as the client calls it,
answered after the commit; `commit` is the bare disk: empty commits of the same database settings.
`submit_readings` is the same of transactions with four readings each, as settlement sends them: one by one, and in
batches (`rpc_batches`), which are one commit each; `batches` is what the validator itself does for those: JSON-RPC in
and out, without the client and HTTP. Its `cpu_us` are of CPU a transaction (over RPC the client's too), which hold on a
busy machine; `of_svm` is by them, `svm` with its signatures verified, as the others do.
Slots go by this process's own time, so that blockhashes live as long on a busy machine.
The ratios compare with `svm` in the same run, so they carry over between machines better than the figures do.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from solders.account import Account  # noqa: E402
from solders.hash import Hash  # noqa: E402
from solders.instruction import Instruction  # noqa: E402
from solders.keypair import Keypair  # noqa: E402
from solders.litesvm import LiteSVM  # noqa: E402
from solders.message import MessageV0  # noqa: E402
from solders.pubkey import Pubkey  # noqa: E402
from solders.system_program import TransferParams, transfer  # noqa: E402
from solders.transaction import VersionedTransaction  # noqa: E402
from solders.transaction_metadata import FailedTransactionMetadata  # noqa: E402
from whole_campus import Campus  # noqa: E402

from authority.chain.errors import RpcError  # noqa: E402
from authority.chain.transport import Transport  # noqa: E402
from authority.settlement.actions import SubmitReading  # noqa: E402
from authority.settlement.journal import WaitingFrame  # noqa: E402
from authority.validator.bank import Bank  # noqa: E402
from authority.validator.genesis import Genesis  # noqa: E402
from authority.validator.jsonrpc import answer  # noqa: E402
from authority.validator.ledger import Ledger  # noqa: E402
from authority.validator.methods import Methods  # noqa: E402
from authority.validator.server import RpcServer  # noqa: E402

LAMPORTS = 10**18
AT_ONCE = 24
"""Transactions that a batch holds, as settlement sends them."""
METER_GROUPS = 10
"""Groups of four meters, whose readings go in one transaction each, in turn."""


def transfers(payer: Keypair, blockhash: Hash, count: int, start: int) -> list[VersionedTransaction]:
    """Signed transfers, each different."""
    target = Pubkey(bytes(31) + b"\x05")
    return [
        VersionedTransaction(
            MessageV0.try_compile(
                payer.pubkey(),
                [transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=target, lamports=10**6 + number))],
                [],
                blockhash,
            ),
            [payer],
        )
        for number in range(start, start + count)
    ]


def rate(count: int, work: Callable[[], None]) -> float:
    """Items per second."""
    started = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - started), 1)


def svm_rate(payer: Keypair, count: int) -> float:
    """LiteSVM alone."""
    svm = LiteSVM().with_blockhash_check(check=False).with_transaction_history(0)
    svm.set_account(payer.pubkey(), Account(LAMPORTS, b"", Pubkey.default()))
    prepared = transfers(payer, Hash.default(), count, 0)

    def work() -> None:
        for transaction in prepared:
            svm.send_transaction(transaction)

    return rate(count, work)


def commit_rate(directory: Path, count: int) -> float:
    """The disk alone: one-row commits in WAL mode with synchronous=FULL."""
    connection = sqlite3.connect(directory / "commits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE item (number INTEGER PRIMARY KEY, data BLOB)")

    def work() -> None:
        for _ in range(count):
            connection.execute("INSERT INTO item (data) VALUES (?)", (bytes(1_000),))

    result = rate(count, work)
    connection.close()
    return result


def rpc_rate(url: str, bank: Bank, payer: Keypair, count: int, threads: int, start: int) -> float:
    """sendTransaction over HTTP from some threads at once; each answer comes after its commit."""
    share = count // threads
    blockhash = bank.latest_blockhash()[0]
    prepared = [transfers(payer, blockhash, share, start + share * number) for number in range(threads)]
    encoded = [[base64.b64encode(bytes(item)).decode() for item in group] for group in prepared]

    def send(group: Sequence[str]) -> None:
        transport = Transport(url)
        for item in group:
            transport.call("sendTransaction", [item, {"encoding": "base64"}], retry=False)
        transport.close()

    def work() -> None:
        workers = [threading.Thread(target=send, args=(group,)) for group in encoded]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return rate(share * threads, work)


def reading_transactions(campus: Campus, count: int) -> list[tuple[list[Instruction], list[Any]]]:
    """Instructions and lookup tables of transactions with four readings each, which land in this order."""
    worker = campus.worker()
    worker.settle_down()
    while worker.chain.tables.grow:  # addresses count from the slot after the one that brought them
        campus.next_slot()
        worker.chain.refresh(campus.app.store)
    start = campus.epoch
    campus.go_to((start + count // METER_GROUPS + 2) * campus.epoch_seconds + 1)
    views = {view.meter_pk: view for view in worker.chain.snapshot(fresh=True).meters}
    names = list(campus.meters)
    made = []
    for number in range(count):
        group = names[4 * (number % METER_GROUPS) :][:4]
        end = (start + number // METER_GROUPS + 1) * campus.epoch_seconds
        actions = []
        for name in group:
            meter = campus.meters[name]
            frame = meter.read(end, 0, 100)
            waiting = WaitingFrame(0, meter.pk, meter.sequence, end, b"", frame, frame[96:128], "pending")
            actions.append(SubmitReading(views[meter.pk], waiting))
        outgoing = worker.chain.transaction(tuple(actions), {})
        made.append((list(outgoing.instructions), list(outgoing.lookup_tables)))
    return made


def readings(directory: Path, count: int) -> dict[str, dict[str, float]]:
    """Transactions of four readings: LiteSVM alone, the bank, JSON-RPC one by one and in batches."""
    plan = [(f"M{number}", "load", "load", "none", 0, 100_000_000, 0) for number in range(4 * METER_GROUPS)]
    campus = Campus(directory / "campus", plan=plan, epoch_seconds=900)
    campus.next_epoch()
    prepared = reading_transactions(campus, count)
    operator, wall = campus.operator, campus.wall.wall
    campus.close()
    source = campus.home.validator_directory
    found = {}
    for mode, measured in MODES.items():
        copy = directory / mode
        shutil.copytree(source, copy)
        ledger = Ledger(copy)
        bank = Bank(ledger, Genesis(), wall=wall, monotonic=time.process_time)
        blockhash = bank.latest_blockhash()[0]
        signed = [
            VersionedTransaction(MessageV0.try_compile(operator.pubkey(), instructions, tables, blockhash), [operator])
            for instructions, tables in prepared
        ]
        cpu = time.process_time()
        found[mode] = {
            "per_second": measured(bank, signed),
            "cpu_us": round((time.process_time() - cpu) * 1e6 / count, 1),
        }
        ledger.close()
    for each in found.values():
        each["of_svm"] = round(found["svm"]["cpu_us"] / each["cpu_us"], 3)
    return found


def _by_svm(bank: Bank, signed: Sequence[VersionedTransaction]) -> float:
    svm = bank._svm.with_sigverify(sigverify=True)

    def work() -> None:
        for transaction in signed:
            if isinstance(outcome := svm.send_transaction(transaction), FailedTransactionMetadata):
                raise RuntimeError(outcome)

    return rate(len(signed), work)


def _by_bank(bank: Bank, signed: Sequence[VersionedTransaction]) -> float:
    def work() -> None:
        for transaction in signed:
            if (error := bank.process(transaction).error) is not None:
                raise RuntimeError(error)

    return rate(len(signed), work)


def _by_rpc(bank: Bank, signed: Sequence[VersionedTransaction], at_once: int = 1) -> float:
    calls = [(base64.b64encode(bytes(each)).decode(), {"encoding": "base64"}) for each in signed]
    server = RpcServer(("127.0.0.1", 0), Methods(bank))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    transport = Transport(server.url)

    def work() -> None:
        for start in range(0, len(calls), at_once):
            for landed in transport.call_all("sendTransaction", calls[start : start + at_once], retry=False):
                if isinstance(landed, RpcError):
                    raise landed

    try:
        return rate(len(signed), work)
    finally:
        transport.close()
        server.shutdown()
        server.server_close()


def _by_rpc_in_batches(bank: Bank, signed: Sequence[VersionedTransaction]) -> float:
    return _by_rpc(bank, signed, AT_ONCE)


def _by_batches(bank: Bank, signed: Sequence[VersionedTransaction]) -> float:
    methods, bodies = Methods(bank), []
    for start in range(0, len(signed), AT_ONCE):
        calls = [
            {
                "jsonrpc": "2.0", "id": number, "method": "sendTransaction",
                "params": [base64.b64encode(bytes(each)).decode(), {"encoding": "base64"}],
            }
            for number, each in enumerate(signed[start : start + AT_ONCE])
        ]  # fmt: skip
        bodies.append(json.dumps(calls).encode())

    def work() -> None:
        for body in bodies:
            if (told := answer(methods, body)) is None or '"error"' in told:
                raise RuntimeError(told)

    return rate(len(signed), work)


MODES = {
    "svm": _by_svm, "bank": _by_bank, "batches": _by_batches, "rpc": _by_rpc, "rpc_batches": _by_rpc_in_batches,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="transfers in each run")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4], help="clients at once, one run for each")
    parser.add_argument("--directory", type=Path, help="where the ledger lies (default: a temporary directory)")
    arguments = parser.parse_args()
    payer = Keypair.from_seed(bytes(31) + b"\x01")
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        directory = Path(name)
        svm = svm_rate(payer, arguments.count)
        commit = commit_rate(directory, arguments.count)
        ledger = Ledger(directory / "validator")
        bank = Bank(ledger, Genesis(balances={payer.pubkey(): LAMPORTS}), monotonic=time.process_time)
        prepared = transfers(payer, bank.latest_blockhash()[0], arguments.count, 0)

        def process() -> None:
            for transaction in prepared:
                bank.process(transaction)

        banked = rate(arguments.count, process)
        server = RpcServer(("127.0.0.1", 0), Methods(bank))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rpc = {
            str(threads): rpc_rate(server.url, bank, payer, arguments.count, threads, (turn + 1) * 10 * arguments.count)
            for turn, threads in enumerate(arguments.threads)
        }
        server.shutdown()
        server.server_close()
        ledger.close()
        submitted = readings(directory, arguments.count)
    figures = {
        "transfers": arguments.count,
        "submit_readings": submitted,
        "per_second": {"svm": svm, "commit": commit, "bank": banked, "rpc_by_threads": rpc},
        "ratio_to_svm": {
            "bank": round(banked / svm, 3),
            "rpc_by_threads": {threads: round(value / svm, 3) for threads, value in rpc.items()},
        },
        "machine": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": platform.platform(),
        },
    }
    json.dump(figures, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
