"""Many simulations on a Dask cluster: a real one of two workers, in an environment of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import behind_a_peer
import pytest

from authority.cli import main
from authority.errors import USAGE
from authority.simulation.simulation import STATE_NAME

LOST = """
def trade(view):
    raise RuntimeError("lost")
"""

CLUSTER = """
import contextlib, io, json, sys
from pathlib import Path
from distributed import LocalCluster
from authority.cli import main
from authority.simulation import cluster

cluster.CONNECT_SECONDS = 3
place = Path(sys.argv[1])


def run(address, out, *words):
    told, wrong = io.StringIO(), io.StringIO()
    line = ["simulate", "--buildings", "1", "--quiet", "--json", "--seeds", "1,4", "--dask", address]
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(wrong):
        status = main([*line, "--out", str(place / out), *words])
    return status, told.getvalue(), wrong.getvalue()


if __name__ == "__main__":
    hourly = ["--scenario", str(place / "hourly.toml")]
    found = {"nobody": run("tcp://127.0.0.1:9", "none", *hourly), "no_address": run("nonsense://x", "none", *hourly)}
    with LocalCluster(n_workers=0, dashboard_address=None) as alone:
        found["no_worker"] = run(alone.scheduler_address, "none", *hourly)
    found["none"] = sorted(entry.name for entry in place.glob("none*"))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers:
        address = workers.scheduler_address
        found["first"] = run(address, "runs", *hourly, "--compare")
        reports = sorted((place / "runs").glob("*/report.json"))
        before = [report.stat().st_mtime_ns for report in reports]
        found["again"] = run(address, "runs", *hourly, "--compare")
        found["kept"] = before == [report.stat().st_mtime_ns for report in reports] and len(before) == 2
        found["failed"] = run(address, "failed", "--scenario", str(place / "lost.toml"))
        cluster.DISTRIBUTION = "distributed"  # here, not in the workers: as if this machine had another release
        found["releases"] = run(address, "other", *hourly)
    print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_gives_what_this_machine_gives_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hourly.toml").write_text("epoch_seconds = 3600\n")
    (tmp_path / "lost.py").write_text(LOST)
    (tmp_path / "lost.toml").write_text(
        'epoch_seconds = 3600\n[[strategy]]\nmember = "Dormitory 01"\nfile = "lost.py"\n'
    )
    ran = behind_a_peer.run("dask", CLUSTER, tmp_path, str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    for name in ("nobody", "no_address"):
        assert found[name][0] == 1
        assert "[cluster_unreachable]" in found[name][2]
    assert found["no_worker"][0] == 1
    assert "has no worker: start one with `dask worker tcp://" in found["no_worker"][2]
    assert found["none"] == []

    status, told, _ = found["first"]
    assert status == 0
    assert [(run["scenario"], run["seed"], run["audit"]) for run in json.loads(told)["runs"]] == [
        ("hourly", 1, True),
        ("hourly", 4, True),
    ]
    words = ["simulate", "--buildings", "1", "--scenario", str(tmp_path / "hourly.toml"), "--quiet", "--compare"]
    assert main([*words, "--seeds", "1,4", "--out", str(tmp_path / "here")]) == 0
    capsys.readouterr()
    for file in ("runs.csv", "spread.csv", "runs.txt", "datapackage.json"):
        assert (tmp_path / "runs" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()
    for seed in (1, 4):
        there, here = (tmp_path / where / f"hourly-seed-{seed}" for where in ("runs", "here"))
        fetched = {file.name for file in there.iterdir()} - {STATE_NAME, "simulation.lock"}
        assert {"report.json", "report.txt", "meters.csv", "markets.csv", "plots.svg", "plots.png"} <= fetched
        assert "authority.db" not in fetched  # the home stays where it was made, and is gone
        for name in fetched:
            assert (there / name).read_bytes() == (here / name).read_bytes(), name

    assert found["kept"]
    assert found["again"][:2] == found["first"][:2]
    assert found["failed"][0] == 1
    assert "lost" in found["failed"][2]
    assert "[strategy_failed]" in found["failed"][2]
    assert found["releases"][0] == 1
    assert "[cluster_unfit]" in found["releases"][2]
    assert "install the same" in found["releases"][2]

    # Given without the cluster, the same line makes the home too, and the same report.
    there = tmp_path / "runs" / "hourly-seed-4"
    report = (there / "report.json").read_bytes()
    assert main([*words, "--seed", "4", "--out", str(there)]) == 0
    assert (there / "report.json").read_bytes() == report
    assert (there / "authority.db").is_file()


def test_without_dasks_client_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)  # as if it were not installed
    out = tmp_path / "runs"
    assert main(["simulate", "--seeds", "1-2", "--out", str(out), "--dask", "tcp://127.0.0.1:8786"]) == USAGE
    told = capsys.readouterr().err
    assert "pip install distributed" in told
    assert "[cluster_missing]" in told
    assert not out.exists()
