"""The documents' pictures: all that the script makes are there and shown, none is large, and the script still runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "site"))
import pictures  # noqa: E402

MOST_BYTES, MOST_BYTES_IN_ALL = 200_000, 2_500_000


def test_every_picture_is_there_and_shown_once() -> None:
    shown = re.findall(r"\]\(pictures/([a-z-]+\.webp)\)", (ROOT / "docs" / "PAGES.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(pictures.names())
    assert {path.name for path in pictures.PICTURES.iterdir()} == set(shown)


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in pictures.PICTURES.iterdir()}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}
    assert sum(sizes.values()) < MOST_BYTES_IN_ALL


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_the_script_makes_pictures(tmp_path: Path) -> None:
    command = [sys.executable, pictures.__file__, tmp_path, "--days", "2", "--only", "bill"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for look in pictures.LOOKS:
        data = (tmp_path / f"bill-{look}.webp").read_bytes()
        assert data[:4] == b"RIFF"
        assert data[8:12] == b"WEBP"
