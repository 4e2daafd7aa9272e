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

SLOW = """
import os, time
from pathlib import Path


def trade(view):
    Path(view.options["place"], f"begun-{os.getpid()}").touch()
    time.sleep(0.5)
    return []
"""

CLUSTER = """
import contextlib, faulthandler, io, json, subprocess, sys, threading, time
from pathlib import Path
import distributed
from authority.cli import main
from authority.simulation import cluster

cluster.CONNECT_SECONDS = 30
place = Path(sys.argv[1])


def run(address, out, *words):
    told, wrong = io.StringIO(), io.StringIO()
    line = ["simulate", "--buildings", "1", "--quiet", "--json", "--seeds", "1,4", "--dask", address]
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(wrong):
        status = main([*line, "--out", str(place / out), *words])
    return status, told.getvalue(), wrong.getvalue()


class Cluster:
    "The processes that somebody starts who has a cluster: a scheduler, and workers of one thread each."

    def __init__(self):
        self.started, file = [], place / "scheduler.json"
        self.start("scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        while not file.exists():
            assert self.started[0].poll() is None
            time.sleep(0.1)
        self.address = json.loads(file.read_text())["address"]

    def start(self, what, *words):
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, *words]
        self.started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

    def work(self, workers):
        for _ in range(workers):
            self.start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)

    def end(self, which):
        for process in self.started[which]:
            process.kill()
            process.wait()
        del self.started[which]


def lose(dask, which, out):
    "Run while a part of the cluster is killed as soon as both runs have begun."
    def kill():
        while len(list(place.glob("begun-*"))) < 2:
            time.sleep(0.05)
        dask.end(which)
    thread = threading.Thread(target=kill)
    thread.start()
    found = run(dask.address, out, "--scenario", str(place / "slow.toml"))
    thread.join()
    for begun in place.glob("begun-*"):
        begun.unlink()
    return found


if __name__ == "__main__":
    faulthandler.dump_traceback_later(500, exit=True)
    hourly = ["--scenario", str(place / "hourly.toml")]
    cluster.CONNECT_SECONDS = 3
    found = {"nobody": run("tcp://127.0.0.1:9", "none", *hourly), "no_address": run("nonsense://x", "none", *hourly)}
    cluster.CONNECT_SECONDS, cluster.LOST_SECONDS = 60, 3.0
    dask = Cluster()
    try:
        found["no_worker"] = run(dask.address, "none", *hourly)
        found["none"] = sorted(entry.name for entry in place.glob("none*"))
        dask.work(2)
        found["first"] = run(dask.address, "runs", *hourly, "--compare")
        reports = sorted((place / "runs").glob("*/report.json"))
        before = [report.stat().st_mtime_ns for report in reports]
        found["again"] = run(dask.address, "runs", *hourly, "--compare")
        found["kept"] = before == [report.stat().st_mtime_ns for report in reports] and len(before) == 2
        found["failed"] = run(dask.address, "failed", "--scenario", str(place / "lost.toml"))
        distribution, cluster.DISTRIBUTION = cluster.DISTRIBUTION, "distributed"  # as if here were another release
        found["releases"] = run(dask.address, "other", *hourly)
        cluster.DISTRIBUTION = distribution
        found["workers_lost"] = lose(dask, slice(1, None), "workers")
        dask.work(2)
        found["scheduler_lost"] = lose(dask, slice(0, 1), "scheduler")
    finally:
        dask.end(slice(None))
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
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow.toml").write_text(
        'epoch_seconds = 3600\n[[strategy]]\nmember = "Dormitory 01"\nfile = "slow.py"\n'
        f"options = {{ place = '{tmp_path}' }}\n"
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

    for lost, code in (("workers_lost", "[cluster_lost]"), ("scheduler_lost", "[cluster_run_failed]")):
        assert found[lost][0] == 1
        assert code in found[lost][2]

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
