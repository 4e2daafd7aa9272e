"""`authority audit`: checkpoints to hand to witnesses, proofs, and the verification of the log."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from authority.app import App
from authority.audit import log, merkle, verify
from authority.audit.log import SignedCheckpoint
from authority.audit.merkle import ProofError
from authority.chain.client import ChainClient
from authority.errors import AuthorityError
from authority.settlement.conservation import conservation


class AuditError(AuthorityError):
    """out_of_range, checkpoint_unreadable or log_forked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    checkpoint = actions.add_parser("checkpoint", help="sign the log as it stands (AML1), for witnesses to keep")
    checkpoint.add_argument("--out", type=Path, help="write its 124 bytes to a file (default: print them in hex)")
    prove = actions.add_parser("prove", help="print a leaf with its inclusion proof, as JSON")
    prove.add_argument("log_index", type=int)
    prove.add_argument("--size", type=int, help="in the tree of this many leaves (default: all)")
    consistent = actions.add_parser("consistent", help="check that the log extends a checkpoint that a witness kept")
    consistent.add_argument("file", type=Path, help="the witness's checkpoint")
    verifier = actions.add_parser("verify", help="compute the log anew, and compare the chain's checkpoints with it")
    verifier.add_argument("--url", help="the validator (default: the home's [validator] url)")
    verifier.add_argument("--log-only", action="store_true", help="do not ask the chain")
    counter = actions.add_parser("conservation", help="count every token on the chain, as JSON; 1 where one is missing")
    counter.add_argument("--url", help="the validator (default: the home's [validator] url)")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 where the verification found something."""
    app = App.open(arguments.home)
    try:
        if arguments.action == "checkpoint":
            return _checkpoint(app, arguments.out)
        if arguments.action == "prove":
            return _prove(app, arguments.log_index, arguments.size)
        if arguments.action == "consistent":
            return _consistent(app, arguments.file)
        if arguments.action == "conservation":
            return _conservation(arguments.url or app.home.rpc_url)
        return _verify(app, None if arguments.log_only else arguments.url or app.home.rpc_url)
    finally:
        app.store.close()


def _checkpoint(app: App, out: Path | None) -> int:
    with app.store.write() as session:
        signed = log.checkpoint(session, app.home.network_id, app.home.receipt_key, app.clock())
    if out is None:
        print(signed.to_bytes().hex())
    else:
        out.write_bytes(signed.to_bytes())
        print(f"{signed.size} leaves, root {signed.root.hex()}")
    return 0


def _conservation(url: str) -> int:
    totals = conservation(ChainClient(url))
    print(json.dumps(totals.as_json(), indent=2))
    return 0 if totals.ok else 1


def _prove(app: App, index: int, size: int | None) -> int:
    with app.store.read() as session:
        size = log.size(session) if size is None else size
        try:
            proof = log.inclusion_proof(session, index, size)
        except ProofError as error:
            raise AuditError("out_of_range", str(error)) from error
        shown = {
            "leaf": log.leaf(session, index).hex(),
            "log_index": index,
            "proof": [value.hex() for value in proof],
            "root": log.root(session, size).hex(),
            "size": size,
        }
    print(json.dumps(shown, indent=2))
    return 0


def _consistent(app: App, file: Path) -> int:
    try:
        kept = SignedCheckpoint.from_bytes(file.read_bytes())
    except OSError as error:
        raise AuditError("checkpoint_unreadable", f"{file} cannot be read: {error}") from error
    if kept.network_id != app.home.network_id or not kept.verify(bytes(app.home.receipt_key.pubkey())):
        raise AuditError("checkpoint_unreadable", f"{file} is not a checkpoint that this authority signed")
    with app.store.read() as session:
        size, root = log.size(session), log.root(session)
        if kept.size > size:
            raise AuditError("log_forked", f"the checkpoint has {kept.size} leaves, the log only {size}: it was cut")
        proof = log.consistency_proof(session, kept.size, size) if kept.size else []
    try:
        if kept.size:
            merkle.verify_consistency(kept.size, size, kept.root, root, proof)
        elif kept.root != merkle.EMPTY_ROOT:
            raise ProofError("wrong_root", "the empty log has another root")
    except ProofError as error:
        raise AuditError(
            "log_forked",
            f"the log does not extend the checkpoint of {kept.size} leaves: {error}; keep both as evidence",
        ) from error
    print(f"the log of {size} leaves extends the checkpoint of {kept.size}")
    return 0


def _verify(app: App, url: str | None) -> int:
    checkpoints: list[dict[str, Any]] = []
    meters: list[tuple[dict[str, Any], bytes]] = []
    if url is not None:
        client = ChainClient(url)
        try:
            checkpoints, meters = verify.read_chain(client)
        finally:
            client.close()
    audit = verify.Audit(app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    with app.store.read() as session:
        audit.log(session, sizes=[int(checkpoint["log_size"]) for checkpoint in checkpoints])
    audit.chain(checkpoints, meters)
    print(f"log: {audit.size} leaves ({audit.readings} readings, {audit.acts} acts, {audit.books} books)")
    print(f"root: {audit.root.hex()}")
    print(f"signed checkpoints: {audit.checkpoints}")
    if url is None:
        print("chain: not asked")
    else:
        print(f"chain: {audit.chain_checkpoints} epoch checkpoints, {audit.chain_meters} meters")
    for finding in audit.findings:
        print(f"{finding.where}: {finding.message} ({finding.code})", file=sys.stderr)
    print("everything holds" if not audit.findings else f"{len(audit.findings)} findings")
    return 1 if audit.findings else 0
