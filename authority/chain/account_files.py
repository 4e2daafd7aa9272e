"""Accounts as files that a validator takes into its genesis (Agave's `--account-dir`)."""

from __future__ import annotations

import base64
import json

from solders.pubkey import Pubkey

NO_RENT_EPOCH = (1 << 64) - 1


def account_file(address: Pubkey, owner: Pubkey, data: bytes, lamports: int) -> str:
    """An account as `solana account --output json` writes it, one line feed at the end."""
    account = {
        "lamports": lamports,
        "data": [base64.b64encode(data).decode(), "base64"],
        "owner": str(owner),
        "executable": False,
        "rentEpoch": NO_RENT_EPOCH,
        "space": len(data),
    }
    return json.dumps({"pubkey": str(address), "account": account}, indent=1) + "\n"
