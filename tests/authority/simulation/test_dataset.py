"""The published data set: the recipe gives the sample's bytes, and others' programs take it for what it says."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields
from pathlib import Path

import behind_a_peer
import pytest

from authority.cli import main
from authority.errors import USAGE
from authority.simulation import dataset
from authority.simulation.dataset import SUMS_NAME, About, differing
from authority.simulation.errors import DatasetUnfitError
from edge_agent.wire.command import PROBLEMS
from edge_agent.wire.files import sha256_of

DOCS = Path(__file__).parents[3] / "docs/dataset"
SAMPLE = DOCS / "sample"
WORDS = ["--scenario", str(DOCS / "campus-month.toml")]
ABOUT = ["--about", str(DOCS / "about-day.toml")]
OF_THE_MONTH = ["--about", str(DOCS / "about.toml")]

PEERS = """
import json, sys
from pathlib import Path
import frictionless, yaml
from datacite import schema45

place = Path(sys.argv[1])
report = frictionless.validate(str(place / "datapackage.json"))
citation = yaml.safe_load((place / "CITATION.cff").read_text())
metadata = json.loads((place / "datacite.json").read_text())
# A DOI and where it leads to are the repository's to give.
doi = {"doi": "10.5072/simulated-campus-month", "url": "https://example.org/"}
print(json.dumps({
    "valid": report.valid,
    "rows": [task.stats.get("rows") for task in report.tasks],
    "problems": report.flatten(["type"]),
    "citation": citation,
    "datacite": [error.message for error in schema45.validator.iter_errors(metadata | doi)],
    "datacite_of_nothing": schema45.validate({}),
}))
"""


def checked(place: Path, tmp_path: Path) -> dict[str, object]:
    """What frictionless, PyYAML and DataCite's schema make of a data set."""
    ran = behind_a_peer.run("dataset", PEERS, tmp_path, str(place))
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_recipe_gives_the_samples_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first day of the month. Where a change of models or market means other bytes, renew the sample with this."""
    day = tmp_path / "day"
    assert main(["simulate", "--days", "1", "--buildings", "20", *WORDS, "--out", str(day), "--quiet"]) == 0
    into = tmp_path / "sample"
    assert main(["dataset", str(day), *WORDS, *ABOUT, "--into", str(into)]) == 0
    capsys.readouterr()
    made = {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}
    kept = {str(file.relative_to(SAMPLE)): file.read_bytes() for file in SAMPLE.rglob("*") if file.is_file()}
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == []
    # Written again, it is the same again.
    assert main(["dataset", str(day), *WORDS, *ABOUT, "--into", str(into), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == len(kept)
    assert differing(into, SAMPLE / SUMS_NAME) == []


def sums_of(path: Path) -> dict[str, str]:
    """The checksums of a SHA256SUMS, by file."""
    return {name: digest for digest, name in (line.split("  ") for line in path.read_text().splitlines())}


def test_the_sample_calls_itself_a_day_and_else_says_what_the_month_says() -> None:
    day, month = About.load(DOCS / "about-day.toml"), About.load(DOCS / "about.toml")
    told = {"name", "title", "description", "text"}
    assert {each.name for each in fields(About) if getattr(day, each.name) != getattr(month, each.name)} == told
    for name in ("README.md", "CITATION.cff", "datacite.json", "datapackage.json"):
        text = (SAMPLE / name).read_text()
        assert day.title in text
        assert month.title not in text
        assert "over June" not in text


def test_the_months_checksums_are_of_the_files_that_the_recipe_writes() -> None:
    """Those that need no month: the scenario, the words, the licence. The others are of the same names."""
    month, day = sums_of(DOCS / SUMS_NAME), sums_of(SAMPLE / SUMS_NAME)
    assert month.keys() == day.keys()
    for name, file in (
        ("scenario.toml", DOCS / "campus-month.toml"),
        ("about.toml", DOCS / "about.toml"),
        ("LICENSE.txt", SAMPLE / "LICENSE.txt"),
    ):
        assert month[name] == sha256_of(file), f"renew docs/dataset/SHA256SUMS: {file} is another one"
    assert [name for name in month if month[name] == day[name]] == ["LICENSE.txt", "scenario.toml"]


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.skipif(os.environ.get("DATASET") != "month", reason="simulates the month, seven minutes: DATASET=month")
def test_the_recipe_gives_the_months_checksums(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole data set. Where a change of models or market means other bytes, renew the checksums with this."""
    out, into = tmp_path / "out", tmp_path / "campus-month"
    assert main(["simulate", "--days", "30", "--buildings", "20", *WORDS, "--out", str(out), "--quiet"]) == 0
    assert main(["dataset", str(out), *WORDS, *OF_THE_MONTH, "--into", str(into)]) == 0
    capsys.readouterr()
    assert sums_of(into / SUMS_NAME) == sums_of(DOCS / SUMS_NAME)


def test_the_sample_is_what_its_checksums_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", str(SAMPLE), "--check", str(SAMPLE / SUMS_NAME)]) == 0
    assert "every file is as it should be" in capsys.readouterr().out
    copy = tmp_path / "copy"
    shutil.copytree(SAMPLE, copy)
    meters = copy / "data/meters.csv"
    meters.write_bytes(meters.read_bytes().replace(b",0,0,0,0\n", b",0,0,0,1\n", 1))
    (copy / "README.md").unlink()
    assert main(["dataset", str(copy), "--check", str(SAMPLE / SUMS_NAME), "--json"]) == PROBLEMS
    assert json.loads(capsys.readouterr().out) == {"differing": ["README.md", "data/meters.csv"]}


def test_others_programs_take_it_for_what_it_says(tmp_path: Path) -> None:
    found = checked(SAMPLE, tmp_path)
    assert (found["valid"], found["problems"]) == (True, [])
    assert found["rows"] == [96, 20, 60 * 96]
    assert found["datacite"] == []
    assert found["datacite_of_nothing"] is False
    citation = found["citation"]
    assert isinstance(citation, dict)
    assert (citation["cff-version"], citation["type"], citation["license"]) == ("1.2.0", "dataset", "CC-BY-4.0")
    assert {"message", "title", "authors", "version", "date-released"} <= citation.keys()

    copy = tmp_path / "copy"
    shutil.copytree(SAMPLE, copy)
    epochs = copy / "data/epochs.csv"
    epochs.write_bytes(epochs.read_bytes()[:-3])
    broken = checked(copy, tmp_path)
    assert broken["valid"] is False


@pytest.mark.parametrize("name", ["", "one\n", f"{'0' * 64}  ../etc/passwd\n", f"{'0' * 64}  /etc/passwd\n", "\udc80"])
def test_checksums_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    sums.write_bytes(name.encode(errors="surrogateescape"))
    with pytest.raises(DatasetUnfitError):
        differing(tmp_path, sums)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "simulated-campus-month"', 'name = "Simulated Month"', "name: 'Simulated Month' should be of small"),
        ('date = "2026-12-01"', 'date = "today"', "date: 'today' should be a day"),
        ("[[creators]]", "[[authors]]", "creators: missing"),
        ("keywords", "tags", "tags: not a key"),
        ('version = "1.1.0"', "", "version: missing"),
        ("limitations = [", "limitations = []\nothers = [", "others: not a key"),
    ],
)
def test_words_about_it_that_are_wrong_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = (DOCS / "about.toml").read_text()
    assert old in text
    (tmp_path / "about.toml").write_text(text.replace(old, new))
    with pytest.raises(DatasetUnfitError) as refused:
        About.load(tmp_path / "about.toml")
    assert message in str(refused.value)


def test_what_cannot_be_published_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = tmp_path / "into"
    words = ["dataset", str(tmp_path), *ABOUT, "--into", str(into)]
    assert main(words) == USAGE
    assert "holds no finished simulation" in capsys.readouterr().err
    assert main(["dataset", str(tmp_path)]) == USAGE
    assert "--into" in capsys.readouterr().err

    day = tmp_path / "day"
    assert main(["simulate", "--buildings", "1", "--out", str(day), "--quiet", *hourly(tmp_path)]) == 0
    capsys.readouterr()
    words = ["dataset", str(day), *ABOUT, "--into", str(into)]
    for more, message in (
        ([], "name its file with --scenario"),
        (WORDS, "is not what was simulated"),
    ):
        assert main([*words, *more]) == USAGE
        assert message in capsys.readouterr().err
    assert not into.exists()
    into.mkdir()
    (into / "thesis.tex").write_text("years of work")
    assert main([*words, *hourly(tmp_path)]) == USAGE
    assert "holds something else" in capsys.readouterr().err
    assert [file.name for file in into.iterdir()] == ["thesis.tex"]
    report = json.loads((day / "report.json").read_text())
    report["audit"]["ok"] = False
    (day / "report.json").write_text(json.dumps(report))
    assert main([*words, *hourly(tmp_path)]) == USAGE
    assert "the audit of" in capsys.readouterr().err
    assert dataset.command_of(report["simulation"]).startswith(
        "authority simulate --days 1 --buildings 1 --members 1 --seed 1 --start 2026-06-01 --scenario scenario.toml"
    )


def hourly(place: Path) -> list[str]:
    """A scenario of hours."""
    (place / "hourly.toml").write_text("epoch_seconds = 3600\n")
    return ["--scenario", str(place / "hourly.toml")]
