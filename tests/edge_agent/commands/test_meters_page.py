"""docs/METERS.md: its two files are ones that the programs take."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

from edge_agent.config import load_config
from edge_agent.emulator.config import EmulatorConfig

PAGE = Path(__file__).resolve().parents[3] / "docs" / "METERS.md"


def _block(first: str) -> str:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index("    " + first)
    end = next(at for at in range(start, len(lines)) if lines[at] and not lines[at].startswith("    "))
    return textwrap.dedent("\n".join(lines[start:end]))


def test_the_gateways_file(tmp_path):
    (tmp_path / "gateway.toml").write_text(_block("[gateway]"))
    config = load_config(tmp_path / "gateway.toml")
    assert [meter.protocol for meter in config.meters] == ["dlms", "dlms", "dlms", "push", "mode-c"]
    assert config.meter("wing").tcp == ("10.0.0.7", 4059)
    assert config.meter("workshop").map.profile_kind == "increments"


def test_the_emulators_file():
    config = EmulatorConfig.from_dict(tomllib.loads(_block("epoch_seconds = 900")), Path())
    assert config.meters[0].disconnect is not None


def test_the_emulators_pushing_lines():
    text = PAGE.read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?m)^    \[line\]\n(?:    .+\n)+", text)]
    lines = [tomllib.loads(block)["line"] for block in blocks if "mode = " in block]
    assert [line["mode"] for line in lines] == ["mbus", "p1", "sml"]
    meter = {"logical_device_name": "KFM1000000000001", "push_seconds": 10}
    for line in lines:
        assert EmulatorConfig.from_dict({"line": line, "meter": [meter]}, Path()).line.pushes_only
