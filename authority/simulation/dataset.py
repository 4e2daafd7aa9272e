"""A simulation's tables as a data set to publish: with its schema, recipe, licence, citation, limits and checksums.

A Frictionless Data Package (specs.frictionlessdata.io), a CITATION.cff (citation-file-format.github.io, 1.2.0), and
DataCite's metadata as JSON (schema 4, schema.datacite.org), with which a repository gives out a DOI. Nothing in it is
of the time or the machine: the same simulation and the same words are the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from authority.measures import parquet, tables
from authority.simulation import plots
from authority.simulation.errors import DatasetUnfitError, OutForeignError
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import DONE, FETCHED, STATE_NAME
from edge_agent.wire.files import sha256_of, write_atomically
from edge_agent.wire.toml import Table as TomlTable
from edge_agent.wire.toml import read_text

SUMS_NAME, README_NAME, LICENCE_NAME = "SHA256SUMS", "README.md", "LICENSE.txt"
CITATION_NAME, DATACITE_NAME, SCENARIO_NAME = "CITATION.cff", "datacite.json", "scenario.toml"
INDICATORS_NAME, ABOUT_NAME = "indicators.json", "about.toml"
TABLES = (tables.EPOCHS, tables.MEMBERS, tables.METERS)
LICENCE_TITLE = "Creative Commons Attribution 4.0 International"
LICENCE_ID, LICENCE_URL = "CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"
LICENCE = f"""{LICENCE_TITLE} ({LICENCE_ID})

You may share and adapt this data set for any purpose, even commercially, as long as you give appropriate credit, link
to the licence, and say whether changes were made. {CITATION_NAME} says how to cite it.

The licence itself: {LICENCE_URL}legalcode
"""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Creator:
    """Who made it: a name, and an ORCID iD (https://orcid.org/...) where there is one."""

    name: str
    orcid: str


@dataclass(frozen=True)
class About:
    """What the data set says of itself; date is when it was published (YYYY-MM-DD)."""

    name: str
    title: str
    version: str
    date: str
    publisher: str
    description: str
    keywords: tuple[str, ...]
    limitations: tuple[str, ...]
    creators: tuple[Creator, ...]
    text: str
    """The file, as it was read."""

    @classmethod
    def load(cls, path: Path) -> About:
        """Read it from TOML. DatasetUnfitError names the entry that is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetUnfitError(f"cannot read {path}: {error}") from error
        top = TomlTable(read_text(text, _refuse), "", _refuse)
        name = top.required_text("name", "what the package is called, such as simulated-campus-month")
        if not _NAME.fullmatch(name):
            raise _refuse("name", f"{name!r} should be of small letters, digits, '.', '_' and '-'")
        day = top.required_text("date", "when it is published, such as 2026-11-29")
        try:
            date.fromisoformat(day)
        except ValueError as error:
            raise _refuse("date", f"{day!r} should be a day like 2026-11-29") from error
        listed = top.take("creators", required="who made it, as [[creators]] with a name")
        if not isinstance(listed, list) or not listed:
            raise _refuse("creators", "should be tables under [[creators]]")
        creators = []
        for number, each in enumerate(listed, 1):
            table = TomlTable(each, f"[[creators]] {number}", _refuse)
            creators.append(Creator(table.required_text("name", "a name"), table.text("orcid", "-") or "-"))
            table.done()
        found = cls(
            name,
            top.required_text("title", "its title"),
            top.required_text("version", "its version, such as 1.0.0"),
            day,
            top.required_text("publisher", "who publishes it"),
            " ".join(top.required_text("description", "what it holds").split()),
            top.like("keywords", ()),
            top.like("limitations", ()),
            tuple(creators),
            text,
        )
        top.done()
        if not found.limitations:
            raise _refuse("limitations", "should say what the data cannot tell: a list of sentences")
        return found


def write(simulation: Path, into: Path, about: About, scenario: Path | None, *, as_parquet: bool) -> list[Path]:
    """Write a finished simulation's data set into a new directory, or again into its own; the files, by name.

    scenario is the file that it was simulated with. DatasetUnfitError, OutForeignError, ParquetMissingError.
    """
    report, request = _finished(simulation)
    files: dict[str, bytes] = {}
    resources = []
    for table in TABLES:
        text = (simulation / table.file).read_text(encoding="utf-8")
        found: list[tuple[str, bytes, dict[str, Any]]] = [(table.file, text.encode(), table.resource())]
        if as_parquet:
            found.append((parquet.file_of(table), parquet.written(table, text), parquet.resource(table)))
        for name, data, resource in found:
            files[f"data/{name}"] = data
            resources.append(_described(resource, f"data/{name}", data))
    files[INDICATORS_NAME] = _json({"simulation": request, "measures": report["measures"]})
    if request["scenario"]:
        files[SCENARIO_NAME] = _scenario(scenario, str(request["scenario"]))
    files[ABOUT_NAME] = about.text.encode()
    files[tables.PACKAGE_NAME] = _json(_package(about, request, resources))
    files[DATACITE_NAME] = _json(_datacite(about, request, files))
    files[CITATION_NAME] = _citation(about).encode()
    files[LICENCE_NAME] = LICENCE.encode()
    files[README_NAME] = _readme(about, request, report).encode()
    sums = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]
    files[SUMS_NAME] = "".join(f"{line}\n" for line in sums).encode()
    _make_room(into, files)
    for name, data in sorted(files.items()):
        write_atomically(into / name, data, mode=0o644)
    return [into / name for name in sorted(files)]


def differing(directory: Path, sums: Path) -> list[str]:
    """Files that checksums (as `sha256sum` writes them) name and that are missing or other ones; DatasetUnfitError."""
    wrong = []
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetUnfitError(f"cannot read {sums}: {error}") from error
    for number, line in enumerate(lines, 1):
        digest, gap, name = line.partition("  ")
        if (
            not gap
            or not re.fullmatch("[0-9a-f]{64}", digest)
            or not name
            or ".." in Path(name).parts
            or name[0] == "/"
        ):
            raise DatasetUnfitError(f"{sums}, line {number}: should be a SHA-256, two spaces and a file's name")
        file = directory / name
        if not file.is_file() or sha256_of(file) != digest:
            wrong.append(name)
    if not lines:
        raise DatasetUnfitError(f"{sums} names no file")
    return wrong


def _finished(simulation: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A simulation's report, and what was simulated."""
    try:
        state = json.loads((simulation / STATE_NAME).read_text(encoding="utf-8"))
        report = json.loads((simulation / plots.REPORT_NAME).read_text(encoding="utf-8"))
        stage, request, audit = state["stage"], report["simulation"], report["audit"]["ok"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetUnfitError(
            f"{simulation} holds no finished simulation ({error}): make one with authority simulate --out {simulation}"
        ) from error
    if stage not in (DONE, FETCHED) or any(not (simulation / table.file).is_file() for table in TABLES):
        raise DatasetUnfitError(f"{simulation} is not finished: give its authority simulate line again")
    if not audit:
        raise DatasetUnfitError(f"the audit of {simulation} found something: {simulation / 'report.txt'} says what")
    return report, request


def _scenario(path: Path | None, digest: str) -> bytes:
    """The scenario's file, which must be the one that was simulated."""
    if path is None:
        raise DatasetUnfitError("the simulation had a scenario: name its file with --scenario")
    read = Scenario.load(path)
    if read.sha256 != digest:
        raise DatasetUnfitError(f"{path} is not what was simulated: give the file as it was then")
    if read.profiles or read.strategies:
        raise DatasetUnfitError(
            f"{path} names files of your own (profiles, strategies): publish those yourself, where you may"
        )
    return path.read_bytes()


def _make_room(into: Path, files: dict[str, bytes]) -> None:
    """The directory, without anything that is not the data set's. OutForeignError."""
    ours = {into / name for name in files} | {into / f"data/{parquet.file_of(table)}" for table in TABLES}
    if into.exists():
        there = [entry for entry in into.rglob("*") if not entry.is_dir()] if into.is_dir() else [into]
        if strange := [str(entry) for entry in there if entry not in ours]:
            raise OutForeignError(f"{into} holds something else ({strange[0]}): name a new directory with --into")
        for entry in there:
            entry.unlink()
    (into / "data").mkdir(parents=True, exist_ok=True)


def _described(resource: dict[str, Any], path: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {**resource, "path": path, "bytes": len(data), "hash": f"sha256:{digest}"}


def _json(document: dict[str, Any]) -> bytes:
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()


def _span(request: dict[str, Any]) -> tuple[str, str]:
    """The first and the last day."""
    start = int(request["start"])
    first, last = (datetime.fromtimestamp(each, UTC) for each in (start, start + int(request["days"]) * 86_400 - 1))
    return first.date().isoformat(), last.date().isoformat()


def command_of(request: dict[str, Any]) -> str:
    """The line that makes the simulation again."""
    words = [f"--{name} {request[name]}" for name in ("days", "buildings", "members", "seed")]
    scenario = f" --scenario {SCENARIO_NAME}" if request["scenario"] else ""
    return f"authority simulate {' '.join(words)} --start {_span(request)[0]}{scenario} --out simulation"


def _package(about: About, request: dict[str, Any], resources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "profile": "data-package" if any(each["format"] == "parquet" for each in resources) else "tabular-data-package",
        "name": about.name,
        "title": about.title,
        "description": about.description,
        "version": about.version,
        "created": f"{about.date}T00:00:00Z",
        "keywords": list(about.keywords),
        "licenses": [{"name": LICENCE_ID, "path": LICENCE_URL, "title": LICENCE_TITLE}],
        "contributors": [{"title": each.name, "role": "author"} for each in about.creators],
        "sources": [{"title": f"Simulated: {command_of(request)}"}],
        "resources": list(resources),
    }


def _datacite(about: About, request: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
    """DataCite's metadata; the repository that gives out the DOI adds it."""
    first, last = _span(request)
    creators = []
    for each in about.creators:
        creator: dict[str, Any] = {"name": each.name, "nameType": "Personal" if each.orcid != "-" else "Organizational"}
        if each.orcid != "-":
            identifier = {"nameIdentifier": each.orcid, "nameIdentifierScheme": "ORCID"}
            creator["nameIdentifiers"] = [{**identifier, "schemeUri": "https://orcid.org"}]
        creators.append(creator)
    limits = " ".join(about.limitations)
    return {
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Simulated time series"},
        "creators": creators,
        "titles": [{"title": about.title}],
        "publisher": {"name": about.publisher},
        "publicationYear": about.date[:4],
        "version": about.version,
        "language": "en",
        "subjects": [{"subject": each} for each in about.keywords],
        "dates": [
            {"date": about.date, "dateType": "Issued"},
            {"date": f"{first}/{last}", "dateType": "Other", "dateInformation": "the simulated time"},
        ],
        "descriptions": [
            {"description": about.description, "descriptionType": "Abstract"},
            {"description": f"Known limitations: {limits}", "descriptionType": "TechnicalInfo"},
        ],
        "rightsList": [
            {
                "rights": LICENCE_TITLE,
                "rightsUri": f"{LICENCE_URL}legalcode",
                "rightsIdentifier": LICENCE_ID,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "formats": [
            "text/csv",
            *(["application/vnd.apache.parquet"] if any(".parquet" in name for name in files) else []),
        ],
        "sizes": [f"{sum(len(data) for name, data in files.items() if name.startswith('data/'))} bytes"],
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }


def _quoted(text: str) -> str:
    """Text as YAML takes it: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _citation(about: About) -> str:
    lines = [
        "cff-version: 1.2.0",
        "message: If you use this data set, please cite it as below.",
        "type: dataset",
        f"title: {_quoted(about.title)}",
        f"abstract: {_quoted(about.description)}",
        f"version: {_quoted(about.version)}",
        f"date-released: {_quoted(about.date)}",
        f"license: {LICENCE_ID}",
        "authors:",
    ]
    for each in about.creators:
        lines.append(f"  - name: {_quoted(each.name)}")
        if each.orcid != "-":
            lines.append(f"    orcid: {_quoted(each.orcid)}")
    if about.keywords:
        lines += ["keywords:", *(f"  - {_quoted(each)}" for each in about.keywords)]
    return "\n".join([*lines, ""])


def _readme(about: About, request: dict[str, Any], report: dict[str, Any]) -> str:
    first, last = _span(request)
    audit = report["audit"]
    rows = [f"| `data/{table.file}` | {table.row[0].lower()}{table.row[1:]} |" for table in TABLES]
    return "\n".join(
        [
            f"# {about.title}",
            "",
            f"Version {about.version}, {about.date}.",
            about.description,
            "",
            f"Simulated time: {first} to {last} (UTC), {request['buildings']} buildings, {request['members']} members, "
            f"intervals of {request['epoch_seconds']} s.",
            "",
            "## What is in it",
            "",
            "| file | a row is |",
            "|---|---|",
            *rows,
            "",
            "Energy is in Wh, money in micro-credits, prices in micro-credits per kWh, times are UTC.",
            "What is unknown is empty.",
            f"`{tables.PACKAGE_NAME}` has every column's type, unit and meaning (a Frictionless Data Package).",
            f"`{INDICATORS_NAME}` has what was simulated, and the indicators of it.",
            "",
            "## How it was made, and how to make it again",
            "",
            f"    {command_of(request)}",
            f"    authority dataset simulation --into {about.name} --about {ABOUT_NAME}"
            + (f" --scenario {SCENARIO_NAME}" if request["scenario"] else ""),
            "",
            "by the `authority` command of campus energy trading, whose docs/SIMULATION.md tells the models and their "
            "sources.",
            f"The files are then those of `{SUMS_NAME}`, byte for byte: `sha256sum -c {SUMS_NAME}` says so.",
            f"The audit recomputed {audit['readings']:,} signed readings and {audit['books']:,} books from log and "
            "chain, and found nothing wrong.",
            "",
            "## Known limitations",
            "",
            *(f"- {each}" for each in about.limitations),
            "",
            "## Licence and citation",
            "",
            f"{LICENCE_TITLE} ({LICENCE_ID}), see `{LICENCE_NAME}`; `{CITATION_NAME}` says how to cite it, and "
            f"`{DATACITE_NAME}` is what a repository asks for to give out a DOI.",
            "",
        ]
    )


def _refuse(key: str, message: str) -> DatasetUnfitError:
    return DatasetUnfitError(f"{key}: {message}")
