"""The locks install the same in a year: whatever is newer in the index by then, and with the oldest pip that is in use.

The index is one of files, made here: for every package that a lock names it has the locked release and a newer one, as
wheels without code that carry the real releases' requirements. What is run is the Makefile's own rule.
"""

from __future__ import annotations

import ensurepip
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("edge", "authority", "authority-postgresql", "dev")
EXTRAS = ("parquet",)
"""Extras of the authority that have a lock of their own, to be installed on top of any other."""
PEERS = tuple(sorted(path.stem for path in (ROOT / "requirements").glob("peer-*.lock")))
NEWER = "9999.0"
OURS = "campus-edge-agent"  # installed from the tree, never from an index

# Debian 12 has this one. Where it is not that system's own, it is fetched once.
OLDEST_PIP = "23.0.1"
OLDEST_PIP_SHA256 = "236bcb61156d76c4b8a05821b988c7b8c35bf0da28a4b614e8d6ab5212c25c6f"
DEBIANS_OWN = Path(f"/usr/share/python-wheels/pip-{OLDEST_PIP}-py3-none-any.whl")

SYSTEMS = [
    {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.2",
        "platform_machine": machine,
        "sys_platform": "linux",
    }
    for python in ("3.11", "3.12", "3.13", "3.14")
    for machine in ("x86_64", "aarch64")
]


@dataclass(frozen=True)
class Locked:
    """One entry of a lock."""

    name: str
    extras: frozenset[str]
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]

    @property
    def line(self) -> str:
        """The entry without its hashes."""
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.name}{extras}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def entries(text: str) -> Iterator[Locked]:
    """The entries of a lock: a requirement, and `--hash` options on lines continued with a backslash."""
    for entry in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = entry.split("--hash=")
        found = Requirement(requirement.strip())
        (specifier,) = found.specifier
        assert specifier.operator == "==", entry
        yield Locked(
            canonicalize_name(found.name),
            frozenset(found.extras),
            specifier.version,
            found.marker,
            tuple(value.strip() for value in hashes),
        )


def lock(name: str) -> list[Locked]:
    return list(entries((ROOT / "requirements" / f"{name}.lock").read_text()))


def asked_for(name: str) -> list[Requirement]:
    """What an installation from the lock `name` asks for directly."""
    edge = tomllib.loads((ROOT / "pyproject.toml").read_text())
    authority = tomllib.loads((ROOT / "authority/pyproject.toml").read_text())

    def group(of: str) -> list[str]:
        found = []
        for item in edge["dependency-groups"][of]:
            found += group(item["include-group"]) if isinstance(item, dict) else [item]
        return found

    asked = edge["project"]["dependencies"] + group("dev" if name == "dev" else "build")
    if name != "edge":
        asked += authority["project"]["dependencies"]
    if name in ("authority-postgresql", "dev"):
        asked += authority["project"]["optional-dependencies"]["postgresql"]
    return [requirement for text in asked if (requirement := Requirement(text)).name != OURS]


def requirements_of(locked: Locked) -> list[str] | None:
    """What the locked release requires, as its own metadata say it; None where it is not installed here."""
    try:
        distribution = importlib.metadata.distribution(locked.name)
    except PackageNotFoundError:
        return None
    assert distribution.version == locked.version, f"{locked.name}: run `make .venv/.dev`"
    return distribution.requires or []


def holds(marker: Marker | None, system: Mapping[str, str], extra: str = "") -> bool:
    return marker is None or marker.evaluate({**system, "extra": extra})


def unmet(asked: list[Requirement], locked: list[Locked], system: Mapping[str, str]) -> list[str]:
    """What an installation on `system` would lack, of what is asked for and of what each locked release requires."""
    there = {entry.name: entry for entry in locked if holds(entry.marker, system)}
    lacks = []

    def check(requirement: Requirement, of: str) -> None:
        found = there.get(canonicalize_name(requirement.name))
        if found is None:
            lacks.append(f"{of} requires {requirement}: not in the lock")
        elif not requirement.specifier.contains(found.version, prereleases=True):
            lacks.append(f"{of} requires {requirement}: the lock has {found.version}")
        elif not requirement.extras <= found.extras:
            lacks.append(f"{of} requires {requirement}: in the lock without the extra")

    for requirement in asked:
        if holds(requirement.marker, system):
            check(requirement, "the project")
    for entry in there.values():
        requires = requirements_of(entry)
        if requires is None:
            assert not holds(entry.marker, default_environment()), f"{entry.name}: run `make .venv/.dev`"
            continue
        for text in requires:
            requirement = Requirement(text)
            if any(holds(requirement.marker, system, extra) for extra in {"", *entry.extras}):
                check(requirement, entry.name)
    return lacks


@pytest.mark.parametrize(
    "system", SYSTEMS, ids=lambda system: f"{system['python_version']}-{system['platform_machine']}"
)
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_meets_every_requirement_of_what_it_names(name: str, system: dict[str, str]) -> None:
    assert unmet(asked_for(name), lock(name), system) == []


def test_a_requirement_that_an_extra_brings_is_not_forgotten() -> None:
    """The web framework asks for `pydantic[email]`, and that extra for `email-validator`; `pip check` sees neither."""
    asked, locked = asked_for("authority"), lock("authority")
    assert any(entry.line.startswith("pydantic[email]==") for entry in locked)
    without_it = [entry for entry in locked if entry.name != "email-validator"]
    without_the_extra = [replace(entry, extras=frozenset()) for entry in locked]
    assert [text.split(":")[1] for text in unmet(asked, without_it, SYSTEMS[0])] == [" not in the lock"]
    assert [text.split(":")[1] for text in unmet(asked, without_the_extra, SYSTEMS[0])] == [
        " in the lock without the extra"
    ]


@pytest.mark.parametrize("name", [*LOCKS, *EXTRAS, *PEERS])
def test_a_lock_names_each_package_once_and_by_hash(name: str) -> None:
    for system in SYSTEMS:
        names = [entry.name for entry in lock(name) if holds(entry.marker, system)]
        assert len(names) == len(set(names))
    assert all(entry.hashes for entry in lock(name))


def test_every_peer_has_a_lock_with_what_it_asks_for() -> None:
    """What else they need shows when they are installed, for `pip check` follows."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {name for name in groups if name.startswith("peer-")} == set(PEERS)
    for name in PEERS:
        locked = {entry.name: entry.version for entry in lock(name)}
        for requirement in map(Requirement, groups[name]):
            assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), name


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_has_a_lock_with_what_it_asks_for(name: str) -> None:
    authority = tomllib.loads((ROOT / "authority/pyproject.toml").read_text())
    locked = {entry.name: entry.version for entry in lock(name)}
    for requirement in map(Requirement, authority["project"]["optional-dependencies"][name]):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
    elsewhere = {entry.name: entry.version for entry in lock("dev")}
    for package, version in locked.items():
        assert elsewhere.get(package, version) == version  # on top of any other, nothing changes


def test_the_locks_agree_on_every_release() -> None:
    everything = {entry.name: entry.version for entry in lock("dev")}
    for name in LOCKS:
        assert {entry.name: entry.version for entry in lock(name)}.items() <= everything.items(), name


def stub_wheel(directory: Path, name: str, version: str, requires: list[str], extras: list[str]) -> Path:
    """A wheel without code, with a real one's name, version and requirements."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Provides-Extra: {extra}\n" for extra in extras] + [f"Requires-Dist: {text}\n" for text in requires]
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "".join(metadata))
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@dataclass(frozen=True)
class Index:
    """A package index in a directory (PEP 503), and the locks with the hashes of its wheels."""

    url: str
    locks: Path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Every locked release, and a newer one of each."""
    base = tmp_path_factory.mktemp("index")
    hashes = {}
    for entry in lock("dev"):
        requires = requirements_of(entry)
        if requires is None:  # for another system than this one
            continue
        directory = base / "simple" / entry.name
        directory.mkdir(parents=True)
        extras = importlib.metadata.metadata(entry.name).get_all("Provides-Extra") or []
        wheels = [stub_wheel(directory, entry.name, version, requires, extras) for version in (entry.version, NEWER)]
        hashes[entry.name] = digest(wheels[0])
        links = "".join(
            f'<a href="{wheel.name}#{digest(wheel).replace(":", "=")}">{wheel.name}</a>\n' for wheel in wheels
        )
        (directory / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    locks = base / "locks"
    locks.mkdir()
    for name in LOCKS:
        lines = [f"{entry.line} --hash={hashes.get(entry.name, entry.hashes[0])}\n" for entry in lock(name)]
        (locks / f"{name}.lock").write_text("".join(lines))
    return Index((base / "simple").as_uri(), locks)


@pytest.fixture(scope="session")
def oldest_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the oldest pip that this Python's users may have: Debian 12's, else Python's own."""
    if sys.version_info >= (3, 12):  # where Debian 12's no longer runs
        wheels = Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).parent / "_bundled")
        (bundled,) = wheels.glob("pip-*.whl")
        return bundled
    if DEBIANS_OWN.exists():
        return DEBIANS_OWN
    directory = tmp_path_factory.mktemp("pip")
    (directory / "pip.lock").write_text(f"pip=={OLDEST_PIP} --hash=sha256:{OLDEST_PIP_SHA256}\n")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", "pip.lock"]
    subprocess.run(download, cwd=directory, check=True)
    (wheel,) = directory.glob("*.whl")
    return wheel


def install(venv: Path, pip: Path, name: str, index: Index, locks: Path) -> subprocess.CompletedProcess[str]:
    """Install a lock into a fresh environment by the Makefile's rule, with this pip, from this index alone."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (library,) = venv.glob("lib/python*/site-packages")
    with zipfile.ZipFile(pip) as wheel:
        wheel.extractall(library)
    (venv / ".created").touch()
    return subprocess.run(
        ["make", "--no-print-directory", f"VENV={venv}", f"LOCKS={locks}", venv / f".locked-{name}"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(venv),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_INDEX_URL": index.url,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.finding("ops-3")
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_installs_though_every_package_has_a_newer_release(
    name: str, index: Index, oldest_pip: Path, tmp_path: Path
) -> None:
    done = install(tmp_path / "venv", oldest_pip, name, index, index.locks)
    assert done.returncode == 0, done.stdout + done.stderr
    (library,) = tmp_path.glob("venv/lib/python*/site-packages")
    installed = {
        canonicalize_name(found.metadata["Name"]): found.version
        for found in importlib.metadata.distributions(path=[str(library)])
    }
    del installed["pip"]
    assert installed == {
        entry.name: entry.version for entry in lock(name) if holds(entry.marker, default_environment())
    }


def test_a_lock_that_lacks_something_is_not_taken_for_installed(index: Index, oldest_pip: Path, tmp_path: Path) -> None:
    shutil.copytree(index.locks, tmp_path / "locks")
    path = tmp_path / "locks/edge.lock"
    lines = path.read_text().splitlines(keepends=True)
    without = [line for line in lines if not line.startswith("cffi==")]
    assert len(without) == len(lines) - 1
    path.write_text("".join(without))
    done = install(tmp_path / "venv", oldest_pip, "edge", index, tmp_path / "locks")
    assert done.returncode != 0
    assert not (tmp_path / "venv/.locked-edge").exists()
    assert "requires cffi, which is not installed" in done.stderr
