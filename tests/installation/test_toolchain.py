"""What the programs are built from stands still: crates by hash, and a release candidate by its exact version."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKSPACE = tomllib.loads((ROOT / "programs/Cargo.toml").read_text())
LOCK = tomllib.loads((ROOT / "programs/Cargo.lock").read_text())


def test_every_crate_from_a_registry_is_locked_by_its_hash() -> None:
    fetched = [package for package in LOCK["package"] if "source" in package]
    assert fetched
    assert all(package["source"].startswith("registry+") and len(package["checksum"]) == 64 for package in fetched)


def test_a_release_candidate_is_required_exactly() -> None:
    """Cargo would take a later candidate for `2.0.0-rc.2`, and candidates promise nothing to each other."""
    locked = {package["name"]: package["version"] for package in LOCK["package"]}
    candidates = []
    for name, requirement in WORKSPACE["workspace"]["dependencies"].items():
        version = requirement if isinstance(requirement, str) else requirement.get("version", "")
        if "-" in locked[name] and "path" not in requirement:
            candidates.append(name)
            assert version == f"={locked[name]}"
    assert candidates == ["anchor-lang"]


def test_every_build_keeps_to_the_lock() -> None:
    listed = subprocess.run(["git", "grep", "-lE", "CARGO"], cwd=ROOT, check=True, capture_output=True, text=True)
    builds = 0
    for name in listed.stdout.split():
        if name.endswith((".sh", ".py")) and name != str(Path(__file__).relative_to(ROOT)):
            for found in re.finditer(
                r'(?:"\$CARGO"|\bCARGO,) "?(?:build|test|install)\b[^\n]*', (ROOT / name).read_text()
            ):
                builds += 1
                assert "--locked" in found[0], f"{name}: {found[0]}"
    assert builds >= 3
