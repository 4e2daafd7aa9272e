"""How fast the embedded validator lands transfers, durable, beside LiteSVM alone: JSON on standard output.

    python tests/benchmarks/local_validator.py [--count 500] [--threads 1 4]

Each figure is transfers per second of one run. `svm` is LiteSVM executing them in memory; `bank` adds the validator's
rules and one durable SQLite commit for each; `rpc` is sendTransaction over HTTP with preflight, as the client calls it,
answered after the commit; `commit` is the bare disk: empty commits of the same database settings.
The ratios compare with `svm` in the same run, so they carry over between machines better than the figures do.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from authority.chain.transport import Transport
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer

LAMPORTS = 10**18


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
        bank = Bank(ledger, Genesis(balances={payer.pubkey(): LAMPORTS}))
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
    figures = {
        "transfers": arguments.count,
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
