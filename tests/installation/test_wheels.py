"""The two wheels, opened: a gateway's holds the edge agent alone; the authority's, service and programs."""

from __future__ import annotations

import configparser
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from authority.chain.artifacts import PROGRAM_NAMES

ROOT = Path(__file__).parents[2]
PROJECTS = {"edge": ROOT / "pyproject.toml", "authority": ROOT / "authority/pyproject.toml"}

# What of the two source directories is not a part of an installation.
NOT_INSTALLED = {
    "edge": ("edge_agent/probe/",),
    "authority": ("authority/pyproject.toml", "authority/LICENSE", "authority/program_artifacts"),
}


class Wheel:
    """A wheel's names, texts and metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zip = zipfile.ZipFile(path)
        self.files = {name for name in self.zip.namelist() if ".dist-info/" not in name}
        (self.information,) = {name.partition("/")[0] for name in self.zip.namelist() if ".dist-info/" in name}

    def read(self, name: str) -> str:
        return self.zip.read(f"{self.information}/{name}").decode()

    @property
    def metadata(self) -> Message:
        return Parser().parsestr(self.read("METADATA"))

    @property
    def commands(self) -> dict[str, str]:
        parser = configparser.ConfigParser()
        parser.read_string(self.read("entry_points.txt"))
        return dict(parser["console_scripts"])

    @property
    def requires(self) -> list[Requirement]:
        return [Requirement(text) for text in self.metadata.get_all("Requires-Dist") or []]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wheel]:
    """Both, built as `pip install . ./authority` builds them."""
    out = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out]
    subprocess.run([*build, ".", "./authority"], cwd=ROOT, check=True)
    (edge,) = out.glob("campus_edge_agent-*.whl")
    (authority,) = out.glob("campus_energy_authority-*.whl")
    assert len(list(out.iterdir())) == 2
    return {"edge": Wheel(edge), "authority": Wheel(authority)}


def tracked(directory: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", directory], cwd=ROOT, check=True, capture_output=True, text=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def test_a_gateways_wheel_holds_the_edge_agent_alone(wheels: dict[str, Wheel]) -> None:
    left_out = NOT_INSTALLED["edge"]
    assert wheels["edge"].files == {name for name in tracked("edge_agent") if not name.startswith(left_out)}


def test_the_authoritys_wheel_holds_the_service_and_the_released_programs(wheels: dict[str, Wheel]) -> None:
    left_out = NOT_INSTALLED["authority"]
    programs = {f"{program}.{kind}" for program in PROGRAM_NAMES for kind in ("so", "json")} | {"manifest.json"}
    programs |= {f"legacy/{program}.json" for program in PROGRAM_NAMES}
    assert wheels["authority"].files == {name for name in tracked("authority") if not name.startswith(left_out)} | {
        f"authority/program_artifacts/{name}" for name in programs
    }


def test_the_programs_in_the_wheel_are_those_of_the_manifest(wheels: dict[str, Wheel]) -> None:
    wheel = wheels["authority"].zip
    manifest = json.loads(wheel.read("authority/program_artifacts/manifest.json"))
    for program in PROGRAM_NAMES:
        for kind in ("so", "json"):
            name = f"{program}.{kind}"
            data = wheel.read(f"authority/program_artifacts/{name}")
            assert hashlib.sha256(data).hexdigest() == manifest["sha256"][name]


@pytest.mark.parametrize("which", PROJECTS)
def test_a_source_distribution_gives_the_same_wheel(which: str, wheels: dict[str, Wheel], tmp_path: Path) -> None:
    pack = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path]
    subprocess.run(pack, cwd=PROJECTS[which].parent, check=True, capture_output=True)
    (packed,) = tmp_path.glob("*.tar.gz")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", packed]
    subprocess.run(build, cwd=tmp_path, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert Wheel(wheel).files == wheels[which].files


@pytest.mark.parametrize("which", PROJECTS)
def test_a_wheel_brings_nothing_that_only_tests_use(which: str, wheels: dict[str, Wheel]) -> None:
    for name in wheels[which].files:
        parts = PurePosixPath(name).parts
        assert not {"tests", "testing", "test", "conftest.py"} & set(parts), name
        assert not parts[-1].startswith("test_"), name
    needed = {canonicalize_name(requirement.name) for requirement in wheels[which].requires}
    assert not needed & {"pytest", "hypothesis", "solana", "hatchling", "sphinx"}


@pytest.mark.parametrize("which", PROJECTS)
def test_a_wheel_says_what_it_is(which: str, wheels: dict[str, Wheel]) -> None:
    project = tomllib.loads(PROJECTS[which].read_text())["project"]
    metadata = wheels[which].metadata
    assert metadata["Name"] == project["name"]
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == {"edge": "Apache-2.0", "authority": "Apache-2.0 AND OFL-1.1"}[which]
    assert wheels[which].read("licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert metadata["Requires-Python"] == ">=3.11"
    links = dict(value.split(", ") for value in metadata.get_all("Project-URL") or [])
    assert links.keys() == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert metadata.get_payload().strip()


def test_the_authoritys_wheel_reads_and_writes_thai(wheels: dict[str, Wheel]) -> None:
    """The compiled catalogue, and the fonts of bills with their licence."""
    wheel, language = wheels["authority"], "authority/language"
    for name in ("catalogues/th.mo", "fonts/NotoSansThai-Regular.ttf", "fonts/NotoSansThai-Bold.ttf", "fonts/OFL.txt"):
        assert f"{language}/{name}" in wheel.files
    assert "SIL OPEN FONT LICENSE" in wheel.read("licenses/language/fonts/OFL.txt")
    assert not [need.name for need in wheel.requires if need.name == "babel"]


def test_the_two_are_of_one_release_and_one_address(wheels: dict[str, Wheel]) -> None:
    edge, authority = wheels["edge"].metadata, wheels["authority"].metadata
    assert edge["Version"] == authority["Version"]
    assert sorted(edge.get_all("Project-URL") or []) == sorted(authority.get_all("Project-URL") or [])
    (on_edge,) = [need for need in wheels["authority"].requires if need.name == "campus-edge-agent"]
    assert str(on_edge.specifier) == f"=={edge['Version']}"
    assert not any(need.name == "campus-energy-authority" for need in wheels["edge"].requires)


Host = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def host(wheels: dict[str, Wheel], tmp_path: Path) -> Callable[[str], Host]:
    """A host on which a lock and its wheels are installed, and nothing else: no source tree, nothing that tests use.

    `host(lock)` makes it; what it gives runs Python there. Locked packages are those of this environment.
    """

    def make(lock: str) -> Host:
        library = tmp_path / "library"
        library.mkdir()
        for entry in (ROOT / f"requirements/{lock}.lock").read_text().splitlines():
            if entry.startswith((" ", "hatchling", "editables", "pathspec", "trove", "pluggy")):
                continue
            name = entry.partition("==")[0].partition("[")[0]
            try:
                distribution = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another system
            for top in {Path(str(file)).parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
                if not (library / top).exists():
                    (library / top).symlink_to(Path(str(distribution.locate_file(top))))
        for which in ("edge",) if lock == "edge" else ("edge", "authority"):
            wheels[which].zip.extractall(library)
        start = f"import sys; sys.path.insert(0, {str(library)!r}); "

        def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                # -S: without this environment's own packages; -I: without this directory
                [sys.executable, "-I", "-S", "-c", start + code, *arguments],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                check=False,
            )

        return run

    return make


def modules(wheel: Wheel) -> list[str]:
    names = (
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in wheel.files
        if name.endswith(".py")
    )
    return sorted(name for name in names if not name.endswith("__main__") and ".migrations." not in name)


IMPORT_ALL = "import importlib; [importlib.import_module(name) for name in sys.argv[1:]]"


def test_every_module_of_the_gateway_runs_without_the_authority(
    wheels: dict[str, Wheel], host: Callable[[str], Host]
) -> None:
    run = host("edge")
    done = run(
        IMPORT_ALL + "; assert not {'authority', 'solders', 'flask', 'sqlalchemy'} & set(sys.modules)",
        *modules(wheels["edge"]),
    )
    assert done.returncode == 0, done.stderr
    assert "No module named 'authority'" in run("import authority").stderr


@pytest.mark.parametrize("lock", ["authority", "authority-postgresql"])
def test_every_module_of_the_authority_runs_on_its_lock(
    lock: str, wheels: dict[str, Wheel], host: Callable[[str], Host]
) -> None:
    run = host(lock)
    done = run(IMPORT_ALL, *modules(wheels["authority"]), *(["psycopg"] if lock == "authority-postgresql" else []))
    assert done.returncode == 0, done.stderr
    # The store's migrations and the programs come along.
    home = ["init", "--home", "home"]
    made = run("from authority.cli import main; sys.exit(main(sys.argv[1:]))", *home)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("which", PROJECTS)
def test_every_command_of_a_wheel_starts(which: str, wheels: dict[str, Wheel], host: Callable[[str], Host]) -> None:
    expected = {"edge": {"edge-agent", "meter-emulator"}, "authority": {"authority"}}
    assert wheels[which].commands.keys() == expected[which]
    run = host(which)
    for command, entry in wheels[which].commands.items():
        module, _, function = entry.partition(":")
        done = run(f"from {module} import {function}; sys.argv[0] = {command!r}; sys.exit({function}())", "--help")
        assert done.returncode == 0, done.stderr
        assert f"usage: {command}" in done.stdout
