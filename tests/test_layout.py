"""The project's shape: what the linter's import contracts count on."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHARED_WITH_THE_AUTHORITY = {"edge_agent.reading", "edge_agent.meter_map"}


def test_every_module_of_the_edge_is_named_in_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden = {
        name for contract in contracts for name in contract["forbidden_modules"] if name.startswith("edge_agent")
    }
    modules = {
        f"edge_agent.{path.stem}"
        for path in (ROOT / "edge_agent").iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert modules - SHARED_WITH_THE_AUTHORITY == forbidden
