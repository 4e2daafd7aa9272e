"""`authority restore`: make a home from a backup."""

from __future__ import annotations

import argparse
from pathlib import Path

from authority.service import backup
from authority.service.backup_command import add_secret_arguments, given_secret, tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where."""
    parser.add_argument("file", type=Path, help="the backup")
    add_secret_arguments(parser)
    parser.add_argument("--store", metavar="URL", help="an empty database to restore into (default: as it was)")
    parser.add_argument("--dry-run", action="store_true", help="read the whole backup and check it, and make nothing")
    parser.epilog = (
        "--home names a directory that is empty or not there. A backup that was never read is none: --dry-run."
    )


def run(arguments: argparse.Namespace) -> int:
    """Restore, and say what was."""
    secret = given_secret(arguments, new=False)
    manifest = backup.restore(
        arguments.file, arguments.home, secret, store_url=arguments.store, check_only=arguments.dry_run
    )
    tell(
        arguments, manifest, f"{arguments.file} is whole: it holds" if arguments.dry_run else f"{arguments.home} holds"
    )
    return 0
