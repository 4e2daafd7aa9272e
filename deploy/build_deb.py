#!/usr/bin/env python3
"""Builds the Debian packages of the gateway and of the authority: `make deb`.

A package is a private environment under /opt, with the wheels of the project's lock by their hashes, for one Debian
release and one architecture. Installing it needs no network. The same commit gives the same bytes: wheels are fixed by
the lock, times by the commit, and nothing of the machine that built it is in it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FILES = Path(__file__).parent / "debian"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Suite:
    """A Debian release: its number, its Python, and its glibc's minor version, which bounds the wheels."""

    number: int
    python: str
    glibc: int


SUITES = {"bookworm": Suite(12, "3.11", 36), "trixie": Suite(13, "3.13", 41)}


@dataclass(frozen=True)
class Package:
    """name and prefix of the package; lock and projects are what is in it, commands what it puts on the path."""

    name: str
    prefix: str
    lock: str
    projects: tuple[str, ...]
    distribution: str
    extra: str
    commands: dict[str, str]
    units: tuple[str, ...]
    rules: tuple[str, ...] = ()


PACKAGES = {
    "edge-agent": Package(
        "campus-edge-agent",
        "opt/edge-agent",
        "edge",
        (".",),
        "campus-edge-agent",
        "",
        {"edge-agent": "edge_agent.cli", "meter-emulator": "edge_agent.emulator.cli"},
        ("edge_agent/systemd/edge-agent.service",),
        ("edge_agent/udev/60-edge-agent.rules",),
    ),
    "authority": Package(
        "campus-authority",
        "opt/campus",
        "authority-postgresql",
        (".", "./authority"),
        "campus-energy-authority",
        "postgresql",
        {"authority": "authority.cli"},
        tuple(
            f"authority/systemd/{name}"
            for name in (
                "authority.service",
                "campus-mosquitto.service",
                "campus-mosquitto-reload.path",
                "campus-mosquitto-reload.service",
                "campus-agave.service",
            )
        ),
    ),
}


def main() -> None:
    """Build what the command line asks for, and print each package's path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="*", default=list(PACKAGES), help=f"{', '.join(PACKAGES)} (default: both)")
    parser.add_argument("--suite", choices=SUITES, action="append", help="the Debian release (default: all)")
    parser.add_argument("--arch", choices=MACHINES, default="amd64", help="the architecture (default %(default)s)")
    parser.add_argument("--revision", type=int, default=1, help="the package's revision (default %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "build/deb", help="where packages go (default build/deb)")
    options = parser.parse_args()
    os.umask(0o022)
    os.environ["SOURCE_DATE_EPOCH"] = _commit_time()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.package:
        for suite in options.suite or SUITES:
            print(build(PACKAGES[name], suite, options.arch, options.revision, options.out), flush=True)


def build(package: Package, suite: str, arch: str, revision: int, out: Path) -> Path:
    """One package for one release; the path of the .deb."""
    with tempfile.TemporaryDirectory(prefix="deb-") as directory:
        tree = Path(directory) / "tree"
        _environment(package, SUITES[suite], arch, tree, Path(directory))
        for unit in package.units:
            _copy(ROOT / unit, tree / "usr/lib/systemd/system" / Path(unit).name)
        for rule in package.rules:
            _copy(ROOT / rule, tree / "usr/lib/udev/rules.d" / Path(rule).name)
        default = Path(package.units[0]).stem
        _copy(FILES / f"{package.name}.default", tree / "etc/default" / default)
        for document in ("LICENSE", "CHANGELOG.md", "docs/OPERATIONS.md", "docs/METERS.md"):
            _copy(ROOT / document, tree / "usr/share/doc" / package.name / Path(document).name)
        _control(package, suite, arch, revision, tree, f"/etc/default/{default}\n")
        path = out / f"{package.name}_{_version(suite, revision)}_{arch}.deb"
        _finish(tree)
        # One thread: xz cuts its blocks otherwise where there are more.
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--threads-max=1", "--build", tree, path],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return path


def _commit_time() -> str:
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    shown = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return shown.stdout.strip() or "1735689600"


def _version(suite: str, revision: int) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['version']}-{revision}+deb{SUITES[suite].number}"


def _environment(package: Package, suite: Suite, arch: str, tree: Path, work: Path) -> None:
    """The private environment under the prefix, as `python -m venv` lays it out, without pip."""
    prefix = tree / package.prefix
    library = prefix / f"lib/python{suite.python}/site-packages"
    library.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    machine, number = MACHINES[arch], suite.python.replace(".", "")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(suite.glibc, 4, -1)]
    target = ["--target", library, "--no-deps", "--no-compile", "--quiet"]
    subprocess.run(
        [
            *pip, "install", *target, "--only-binary", ":all:", "--require-hashes", "--implementation", "cp",
            "--python-version", suite.python, "--abi", f"cp{number}", "--abi", "abi3", "--abi", "none",
            *(word for platform in [*platforms, f"manylinux2014_{machine}"] for word in ("--platform", platform)),
            "--requirement", ROOT / "requirements" / f"{package.lock}.lock",
        ],
        check=True,
    )  # fmt: skip
    shutil.rmtree(library / "bin", ignore_errors=True)
    wheels = work / "wheels"
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, *package.projects],
        cwd=ROOT,
        check=True,
    )
    subprocess.run([*pip, "install", *target, *sorted(wheels.iterdir())], check=True)
    shutil.rmtree(library / "bin", ignore_errors=True)
    _prune(library, package)
    binaries = prefix / "bin"
    binaries.mkdir()
    for link in ("python", "python3"):
        (binaries / link).symlink_to(f"/usr/bin/python{suite.python}")
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8")
    for command, module in package.commands.items():
        script = binaries / command
        script.write_text(
            f"#!/{package.prefix}/bin/python\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
        link = tree / "usr/bin" / command
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/{package.prefix}/bin/{command}")


def _prune(library: Path, package: Package) -> None:
    """Take out what only builds need, and what tells of the building machine: scripts' hashes, origins."""
    installed = {
        canonicalize_name(each.metadata["Name"]): each for each in importlib.metadata.distributions(path=[str(library)])
    }
    needed: set[str] = set()
    waiting = [(canonicalize_name(package.distribution), {package.extra} if package.extra else set())]
    while waiting:
        name, extras = waiting.pop()
        needed.add(name)
        for text in installed[name].requires or []:
            requirement = Requirement(text)
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
            )
            found = canonicalize_name(requirement.name)
            if wanted and found in installed and found not in needed:
                waiting.append((found, set(requirement.extras)))
    for name, distribution in installed.items():
        files = [library / str(file) for file in distribution.files or []]
        if name not in needed:
            for file in files:
                if file.is_relative_to(library):
                    file.unlink(missing_ok=True)
    for pattern in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for file in library.glob(f"*.dist-info/{pattern}"):
            file.unlink()
    for folder in sorted((path for path in library.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _control(package: Package, suite: str, arch: str, revision: int, tree: Path, conffiles: str) -> None:
    control = tree / "DEBIAN"
    control.mkdir()
    python = SUITES[suite].python
    following = f"3.{int(python.partition('.')[2]) + 1}"
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink()) // 1024
    text = (FILES / f"{package.name}.control").read_text(encoding="utf-8")
    fields = {
        "VERSION": _version(suite, revision),
        "ARCHITECTURE": arch,
        "PYTHON": f"python3 (>= {python}), python3 (<< {following})",
        "SIZE": str(size),
    }
    (control / "control").write_text(re.sub(r"@(\w+)@", lambda match: fields[match[1]], text), encoding="utf-8")
    (control / "conffiles").write_text(conffiles, encoding="utf-8")
    for script in ("postinst", "prerm", "postrm"):
        (control / script).write_bytes((FILES / f"{package.name}.{script}").read_bytes())
        (control / script).chmod(0o755)
    sums = "".join(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}\n"
        for path in sorted(tree.rglob("*"))
        if control not in path.parents and path.is_file() and not path.is_symlink()
    )
    (control / "md5sums").write_text(sums, encoding="utf-8")


def _finish(tree: Path) -> None:
    """Modes and times that do not depend on who builds it."""
    moment = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (moment, moment), follow_symlinks=False)


if __name__ == "__main__":
    main()
