"""Where the released programs lie: one `.so` and one IDL (`.json`) for each, built from programs/ and committed.

The environment's CAMPUS_ARTIFACTS names another directory of them: the tests run on what was just built from the
sources where the distribution's compiler is no longer the one that built the released files.
"""

from __future__ import annotations

import os
from pathlib import Path

from authority.chain.errors import ChainError

PROGRAM_NAMES = ("governance", "registry", "energy_token", "oracle", "trading")
"""The five programs, in the order in which they are initialised."""

_RELEASED = (
    Path(__file__).resolve().parent.parent / "program_artifacts"
)  # in the source tree a link to programs/artifacts


class ArtifactError(ChainError):
    """A released program or its IDL is not where it should be."""

    code = "artifact_missing"


def artifacts_directory() -> Path:
    """CAMPUS_ARTIFACTS, else the released ones, which are part of the package."""
    return Path(os.environ.get("CAMPUS_ARTIFACTS") or _RELEASED)


def idl_path(program: str) -> Path:
    """The IDL of one of PROGRAM_NAMES; ArtifactError where it is not there."""
    return _existing(artifacts_directory() / f"{program}.json")


def legacy_idl_path(program: str) -> Path:
    """The IDL of one of PROGRAM_NAMES in the form before Anchor 0.30; ArtifactError where it is not there."""
    return _existing(artifacts_directory() / "legacy" / f"{program}.json")


def program_bytes(program: str) -> bytes:
    """The ELF of one of PROGRAM_NAMES as released; ArtifactError where it is not there."""
    return _existing(artifacts_directory() / f"{program}.so").read_bytes()


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing: build the programs with `make programs`")
    return path
