"""Many simulations on a Dask cluster that is there already: a run to a task, and the results come back.

A worker simulates into a directory of its own, which it throws away; what comes back are the files that tell of the
run: report, tables, plots. They are those of a run on this machine, byte for byte. The home is not kept: the same run
without --dask makes it again. Dask moves pickles: whoever reaches the scheduler runs what it likes on the workers.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from authority.chain.artifacts import PROGRAM_NAMES, program_bytes
from authority.errors import AuthorityError
from authority.simulation import report
from authority.simulation.errors import (
    ClusterLostError,
    ClusterMissingError,
    ClusterRunFailedError,
    ClusterUnfitError,
    ClusterUnreachableError,
)
from authority.simulation.runs import Run, live
from authority.simulation.simulation import DONE, FETCHED, SET_UP, STATE_NAME, Out
from edge_agent.wire.files import write_atomically

RESULTS = frozenset({".csv", ".json", ".jsonl", ".parquet", ".png", ".svg", ".txt"})
"""How files that tell of a run end; all else in its directory is the home."""
CONNECT_SECONDS = 20
LOOK_SECONDS = 0.1
ASK_SECONDS = 2.0
"""How often the scheduler is asked for its workers."""
LOST_SECONDS = 60.0
"""How long a cluster may be without a worker before its runs are given up."""
DISTRIBUTION = "campus-energy-authority"


def release() -> str:
    """What has to be the same on every worker: the release, and the programs that it runs."""
    programs = hashlib.sha256(b"".join(program_bytes(name) for name in PROGRAM_NAMES)).hexdigest()
    return f"{importlib.metadata.version(DISTRIBUTION)} with programs {programs[:16]}"


def results_of(run: Run) -> dict[str, bytes]:
    """One run in a directory that is gone afterwards: its files that tell of it, by name. What a worker does."""
    with tempfile.TemporaryDirectory(prefix="campus-simulation-") as place:
        directory = Path(place) / run.out.name
        live(replace(run, out=directory))
        return {
            file.name: file.read_bytes()
            for file in sorted(directory.iterdir())
            if file.is_file() and file.suffix in RESULTS and file.name != STATE_NAME
        }


def live_all(runs: Sequence[Run], address: str, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """All runs on the cluster of a scheduler; their reports in order. The first error ends them all.

    What is there already is not run again: results of an earlier time, and what was begun on this machine.
    ClusterErrors; those of a run.
    """
    distributed = _distributed()
    found: dict[int, dict[str, Any]] = {}
    with _client(distributed, address) as client:
        _check(client, address)
        left = []
        for number, run in enumerate(runs):
            known = _known(run)
            if known is None:
                left.append(number)
            else:
                found[number] = known
        sent = {number: client.submit(results_of, runs[number], pure=False) for number in left}
        try:
            for number in _as_they_end(client, address, sent):
                run = runs[number]
                try:
                    files = sent[number].result()
                except AuthorityError:
                    raise
                except Exception as error:
                    raise ClusterRunFailedError(f"{run.name}: {type(error).__name__}: {error}") from error
                found[number] = document = _keep(run, files)
                gain = report.credits_(document["measures"]["money"]["gain"])
                tell(f"{len(found)} of {len(runs)}: {run.name}: gain {gain} credits")
        finally:
            client.cancel(list(sent.values()))
    return [found[number] for number in range(len(runs))]


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise ClusterMissingError(
            "--dask takes Dask's client, which is not installed here: pip install distributed, in the version that "
            "the cluster has; without --dask the runs go to this machine's cores"
        ) from error


def _client(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:
        # OSError where nobody answers, ValueError for what is no address; Dask has no class for all of it
        raise ClusterUnreachableError(
            f"no Dask scheduler answers at {address} ({error}): give its address, such as tcp://scheduler:8786"
        ) from error


def _check(client: Any, address: str) -> None:
    """ClusterUnfitError where there is no worker, or one with another release than ours, or without it."""
    try:
        releases: Mapping[str, str] = client.run(release)
    except Exception as error:
        raise ClusterUnfitError(
            f"a worker of {address} cannot run {DISTRIBUTION} ({type(error).__name__}: {error}): install {release()} "
            "where the workers are"
        ) from error
    if not releases:
        raise ClusterUnfitError(f"the scheduler at {address} has no worker: start one with `dask worker {address}`")
    for worker, other in sorted(releases.items()):
        if other != release():
            raise ClusterUnfitError(f"worker {worker} has release {other}, this machine {release()}: install the same")


def _as_they_end(client: Any, address: str, sent: Mapping[int, Any]) -> Iterator[int]:
    """The numbers of what was sent, each when it has ended. ClusterLostError where nobody is left to do the rest.

    Dask itself waits without an end for a worker to come back.
    """
    left, ask_at, alone_since = set(sent), 0.0, None
    while left:
        ended = sorted(number for number in left if sent[number].done())
        yield from ended
        left -= set(ended)
        if ended or (now := time.monotonic()) < ask_at:
            time.sleep(0 if ended else LOOK_SECONDS)
            continue
        ask_at = now + ASK_SECONDS
        if client.scheduler_info()["workers"]:
            alone_since = None
        elif alone_since is None:
            alone_since = now
        elif now - alone_since >= LOST_SECONDS:
            raise ClusterLostError(
                f"the scheduler at {address} has had no worker for {LOST_SECONDS:.0f} seconds, with {len(left)} runs "
                "to do: what came back is kept, and the same line goes on from there"
            )


def _told(run: Run) -> dict[str, object]:
    """What else than the request a run's files depend on."""
    return {
        "compare": run.compare,
        "own": [each.sha256.hex() for each in run.own],
        "as_parquet": run.as_parquet,
        "release": release(),
    }


def _known(run: Run) -> dict[str, Any] | None:
    """The report of a run that is not to be sent: its results are there, or it was begun on this machine."""
    run.out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Out(run.out, run.request, keep=(SET_UP, DONE, FETCHED)) as out:
        if out.stage == FETCHED and out.results == _told(run):
            document: dict[str, Any] = json.loads((out.path / report.JSON_NAME).read_text(encoding="utf-8"))
            return document
        begun = out.stage in (SET_UP, DONE)
    return live(run) if begun else None


def _keep(run: Run, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Write what came back where the run belongs; its report."""
    with Out(run.out, run.request) as out:
        for name, data in files.items():
            write_atomically(out.path / name, data)
        out.reach(FETCHED, results=_told(run))
    document: dict[str, Any] = json.loads(files[report.JSON_NAME])
    return document
