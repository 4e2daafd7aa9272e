"""The files beside the code say of the release, the checks and the commits what is true of them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_the_citation_and_the_changelog_name_this_release() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION
    assert f"\n## {VERSION} - {citation['date-released']}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_workflow_runs_what_continuous_integration_runs() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["check"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_hooks_run_the_projects_own_tools() -> None:
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    for hook in HOOKS[0]["hooks"]:
        assert hook["language"] == "system"
        command = shlex.split(hook["entry"])[0].replace(".venv", str(ROOT / ".venv"))
        assert shutil.which(command), command


@pytest.mark.parametrize(("length", "status"), [(72, 0), (73, 1)])
def test_a_subject_that_is_too_long_is_refused(length: int, status: int, tmp_path: Path) -> None:
    (hook,) = [hook for hook in HOOKS[0]["hooks"] if hook.get("stages") == ["commit-msg"]]
    message = tmp_path / "message"
    message.write_text("x" * length + "\n\n" + "y" * 100 + "\n")
    assert subprocess.run([*shlex.split(hook["entry"]), message], check=False, capture_output=True).returncode == status
