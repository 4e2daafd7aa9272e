"""The base of the chain client's typed errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.errors import AuthorityError

TOP_UP_LAMPORTS = 2_000_000_000
"""What a payer that ran out is asked to be sent: about ten days of a small campus (docs/OPERATIONS.md)."""


class ChainError(AuthorityError):
    """Anything between the authority and its programs that did not work."""


class TransportError(ChainError):
    """The validator could not be reached, or answered something other than JSON-RPC, after all retries."""

    code = "validator_unreachable"


class RpcError(ChainError):
    """The validator refused a call; `number` is JSON-RPC's error code, `data` what came with it."""

    code = "rpc_refused"

    def __init__(self, method: str, number: int, text: str, data: Any = None) -> None:
        super().__init__(f"the validator refused {method}: {text} ({number})")
        self.number = number
        self.text = text
        self.data = data


class AccountMismatchError(ChainError):
    """An account is owned by another program, or is of another type, than it was asked for as."""

    code = "account_mismatch"


class TransactionTooLargeError(ChainError):
    """A transaction has more than 1,232 bytes: put fewer instructions in it, or use a lookup table."""

    code = "transaction_too_large"


class SignerMissingError(ChainError):
    """A transaction needs the signature of a key that was not given."""

    code = "signer_missing"


class TransactionFailedError(ChainError):
    """A transaction was refused or failed; nothing of it took effect except, where it landed, its fee.

    `error` is Solana's TransactionError as JSON; `logs` what the programs said; `signature` is set where it landed.
    """

    code = "transaction_failed"

    def __init__(self, message: str, error: Any, logs: Sequence[str], signature: Signature | None) -> None:
        super().__init__(message)
        self.error = error
        self.logs = list(logs)
        self.signature = signature


class InstructionFailedError(TransactionFailedError):
    """An instruction ended with one of Solana's own errors, such as InvalidSeeds. `index` is its place."""

    code = "instruction_failed"

    def __init__(
        self,
        program: str,
        index: int,
        name: str,
        error: Any,
        logs: Sequence[str],
        signature: Signature | None,
    ) -> None:
        super().__init__(f"{program}: {name} in instruction {index}{last_words(logs)}", error, logs, signature)
        self.program = program
        self.index = index
        self.name = name


class ProgramError(TransactionFailedError):
    """A program refused with an error of its own.

    `program` is its name (or id), `number` the code on the chain, `name` and `message` are the IDL's.
    """

    code = "program_error"

    def __init__(
        self,
        program: str,
        number: int,
        name: str,
        message: str,
        *,
        index: int,
        error: Any,
        logs: Sequence[str],
        signature: Signature | None,
    ) -> None:
        super().__init__(f"{program} refused ({name}, {number}): {message}", error, logs, signature)
        self.program = program
        self.number = number
        self.name = name
        self.message = message
        self.index = index


class PayerShortError(TransactionFailedError):
    """Who pays the fees and the rent has too little: `payer` and its `lamports`."""

    code = "payer_short"

    def __init__(self, payer: Pubkey, lamports: int, failed: TransactionFailedError) -> None:
        super().__init__(
            f"{payer}, which pays fees and rent, has {lamports / 10**9:.4f} SOL, and that is not enough: send it "
            f"{TOP_UP_LAMPORTS / 10**9:g} SOL or more ({failed})",
            failed.error,
            failed.logs,
            failed.signature,
        )
        self.payer = payer
        self.lamports = lamports


class NotDeployedError(ChainError):
    """The programs are not initialized on this chain: run `authority deploy`."""

    code = "not_deployed"


class TransactionExpiredError(ChainError):
    """A transaction did not land while its blockhash was valid, however often it was signed again; it never will."""

    code = "transaction_expired"


class TransactionUncertainError(ChainError):
    """The validator was lost while a transaction was under way: look at the chain before sending it again.

    `signature` is what to look for; until `last_valid_block_height` is past, it can still land.
    """

    code = "transaction_uncertain"

    def __init__(self, message: str, signature: Signature, last_valid_block_height: int) -> None:
        super().__init__(message)
        self.signature = signature
        self.last_valid_block_height = last_valid_block_height


def last_words(logs: Sequence[str]) -> str:
    """What the programs said last, for a message; empty where they said nothing."""
    said = [line.removeprefix("Program log: ") for line in logs if line.startswith("Program log: ")]
    return f": {said[-1]}" if said else ""
