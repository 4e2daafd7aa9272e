"""`authority backup` and `authority restore`: a home, sealed into one file, and out of it again."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path

from authority.app import App
from authority.errors import AuthorityError
from authority.service import backup
from authority.service.sealing import BY_KEY, BY_PASSPHRASE, KEY_BYTES, Secret
from edge_agent.wire.command import add_json, print_json

LEAST_WORDS = 12
"""Characters of a passphrase: whoever has the backup may guess for as long as it likes."""


class SecretError(AuthorityError):
    """A passphrase or key that cannot be used."""


class SecretUnreadableError(SecretError):
    """The passphrase's or key's file cannot be read."""

    code = "secret_unreadable"


class SecretWeakError(SecretError):
    """The passphrase is too short, or the key is not one."""

    code = "secret_weak"


def add_secret_arguments(parser: argparse.ArgumentParser) -> None:
    """What the file is sealed with."""
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--passphrase-file", type=Path, metavar="FILE", help="its first line is the passphrase")
    secret.add_argument(
        "--key-file", type=Path, metavar="FILE", help="64 hex digits, such as `openssl rand -hex 32` writes"
    )
    add_json(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument(
        "file", type=Path, help="the backup to write; an existing one is replaced when the new is whole"
    )
    add_secret_arguments(parser)
    parser.epilog = "The processes may run meanwhile. Without an option the passphrase is asked for."


def given_secret(arguments: argparse.Namespace, *, new: bool) -> Callable[[int], Secret]:
    """The secret by the options, asked for at the terminal where there are none. SecretError."""

    def read(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8").splitlines()[0].strip()
        except (OSError, IndexError, UnicodeDecodeError) as error:
            raise SecretUnreadableError(f"{path} cannot be read, or is empty: {error}") from error

    if arguments.key_file is not None:
        try:
            value = bytes.fromhex(read(arguments.key_file))
        except ValueError:
            value = b""
        if len(value) != KEY_BYTES:
            raise SecretWeakError(f"{arguments.key_file} must hold 64 hex digits: openssl rand -hex 32")
        return lambda kind: _of_kind(Secret.key(value), kind, BY_KEY, "--key-file")
    words = read(arguments.passphrase_file) if arguments.passphrase_file is not None else _ask(new=new)
    if new and len(words) < LEAST_WORDS:
        raise SecretWeakError(f"a passphrase has {LEAST_WORDS} characters or more")
    return lambda kind: _of_kind(Secret.passphrase(words), kind, BY_PASSPHRASE, "a passphrase")


def _of_kind(secret: Secret, kind: int, wanted: int, given: str) -> Secret:
    if kind != wanted:
        other = "a passphrase" if kind == BY_PASSPHRASE else "a key file: --key-file"
        raise SecretUnreadableError(f"the backup was sealed with {other}, not with {given}")
    return secret


def _ask(*, new: bool) -> str:
    if not sys.stdin.isatty():
        raise SecretUnreadableError("name the secret: --passphrase-file FILE or --key-file FILE")
    words = getpass.getpass("passphrase of the backup: ")
    if new and getpass.getpass("again: ") != words:
        raise SecretWeakError("the two passphrases differ")
    return words


def run(arguments: argparse.Namespace) -> int:
    """Write a backup, and say what it holds."""
    secret = given_secret(arguments, new=True)
    kind = BY_KEY if arguments.key_file is not None else BY_PASSPHRASE
    app = App.open(arguments.home)
    try:
        manifest = backup.backup(app, arguments.file.resolve(), secret(kind))
    finally:
        app.store.close()
    tell(arguments, manifest, f"{arguments.file} holds")
    return 0


def tell(arguments: argparse.Namespace, manifest: backup.Manifest, begin: str) -> None:
    """What a backup holds, for a person or a program."""
    if arguments.json:
        print_json(manifest.as_json())
        return
    ledger = (
        "with the embedded ledger" if backup.LEDGER in manifest.files else "without a ledger: the chain is elsewhere"
    )
    print(f"{begin} network {manifest.network_id}, {len(manifest.files)} files, {ledger}")
    print(f"the log has {manifest.log_size} leaves, root {manifest.log_root}")
