"""The compose file, as far as it can be looked at without a container engine: what it names is there, its commands are
ones that the program takes, and its variables are all explained. Where docker is, docker reads it too."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from authority.cli import COMMANDS, parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/compose"
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
FILE = yaml.safe_load(TEXT)
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
VARIABLES = {"CAMPUS_NAME": "energy.campus.example", "POSTGRES_PASSWORD": "secret"}


def test_what_it_names_is_there() -> None:
    assert set(FILE["volumes"]) == {"home", "store"}
    for service in FILE["services"].values():
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in FILE["volumes"]
        if "build" in service:
            assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
        for other in service.get("depends_on", {}):
            assert other in FILE["services"]
    assert FILE["services"]["broker"]["pid"].removeprefix("service:") in FILE["services"]
    assert FILE["services"]["authority"]["depends_on"]["store"] == {"condition": "service_healthy"}


def test_its_variables_are_those_of_its_first_lines() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert used == set(VARIABLES)
    assert all(f"{name}=" in TEXT.partition("name: campus")[0] for name in used)


def test_its_commands_are_ones_that_the_program_takes() -> None:
    (script,) = FILE["services"]["init"]["command"]
    script = re.sub(r"\\\n\s*", "", script.replace("$$", "$"))
    lines = [line for line in script.splitlines() if line.startswith("authority ")]
    assert len(lines) == 2
    for line in [*lines, "authority serve"]:
        words = shlex.split(re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], line))[1:]
        assert parse(words).command in COMMANDS
    assert 'CMD ["authority", "serve"]' in DOCKERFILE


def test_the_settings_that_it_changes_are_changed(tmp_path: Path) -> None:
    """The sed line of `init`, on a fresh authority.toml."""
    from authority.home.home import Home

    home = Home.create(tmp_path / "home", now=1_782_000_000)
    (script,) = FILE["services"]["init"]["command"]
    (sed,) = re.findall(r"sed -i .*?authority\.toml\"", script.replace("$$", "$"), re.DOTALL)
    subprocess.run(["sh", "-ec", sed], check=True, env={**os.environ, "AUTHORITY_HOME": str(home.path)})
    settings = Home.open(home.path).settings
    assert (settings.collector.host, settings.web.host) == ("0.0.0.0", "0.0.0.0")
    assert settings.validator.host == "127.0.0.1"


def test_what_the_image_is_built_from_is_not_ignored() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_through >= {
        "Makefile",
        "requirements",
        "pyproject.toml",
        "authority",
        "edge_agent",
        "programs/artifacts",
    }
    assert "make install-authority PREFIX=/opt/campus POSTGRESQL=1" in DOCKERFILE


def test_docker_takes_it() -> None:
    asked = ["docker", "compose", "version"]
    if shutil.which("docker") is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed: nothing else reads the file whole")
    command = ["docker", "compose", "-f", str(FOLDER / "compose.yaml"), "config", "--quiet"]
    subprocess.run(command, check=True, env={**os.environ, **VARIABLES})
