"""What the pages take: requests under load, event streams held, weight, time to first paint, and a member's ways.

    python tests/benchmarks/web.py [--short] [--rate N] [--seconds N] [--streams N] [--members N] [--epochs N]
        [--month EPOCHS] [--processes N] [--only PART ...]

Runs the demonstration (real meters, log, validator and settlement) until so many epochs are settled, and `authority
web` over the same home, while the demonstration goes on.
--short is 20 requests a second for five seconds, 30 streams, and a month of 12 members and one day, where nothing else
is said.
Tells each part on standard error as it ends, so that one that fails takes no other with it. Prints JSON:

- `load`: pages and resources asked for in turn at so many requests a second, on connections of their own, on time
  whether or not the one before is answered; p50 and p99 in milliseconds from when each was due, by page; errors; and
  the pages' processor milliseconds a request, which a busy machine changes less.
- `cost`: the same requests one after the other: processor milliseconds each, by page, and how many of them a second of
  one core is.
- `bare`: load and cost of the least there is, a page of Flask that asks nothing, under gunicorn's own threads, in the
  same run: what is above it is the authority's.
- `streams`: how many event streams were held, how many of them heard each of three views, and the process's memory.
- `weight`: kB over the wire of a first load of each page with all that it brings, first paint in ms, and MB an hour
  that the open first page takes.
- `flows`: clicks, keys, typed characters and seconds (of a machine, not of a person) of five ways through the pages in
  Chromium, among them closing a period of so many members and epochs of a month (tests/benchmarks/flows.py).
- `period`: processor seconds for the bills of such a month alone (tests/benchmarks/bills.py).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]

from browser import CHROMIUM, Browser  # noqa: E402
from free_ports import free_port  # noqa: E402
from running_demo import RunningDemo  # noqa: E402

from authority.home.home import Home  # noqa: E402
from authority.home.settings import WebSettings  # noqa: E402

PARTS = ("load", "cost", "bare", "streams", "weight", "flows", "period")
IN_CHROMIUM = ("weight", "flows")
ASKED = (
    ("stranger", "/"),
    ("stranger", "/market"),
    ("stranger", "/api/v1/campus"),
    ("stranger", "/api/v1/market/prices"),
    ("member", "/me"),
    ("member", "/me/energy"),
    ("member", "/me/trading"),
    ("member", "/me/money"),
    ("member", "/api/v1/me/energy?step=quarter"),
    ("operator", "/op"),
    ("treasurer", "/treasury"),
    ("auditor", "/audit/epochs"),
)
"""By whom, and what."""
LONG = {"rate": 200, "seconds": 60, "streams": 500, "members": 200, "epochs": 12, "month": 2_976}
SHORT = {"rate": 20, "seconds": 5, "streams": 30, "members": 12, "epochs": 4, "month": 96}
THREADS = 48
START_SECONDS = 600
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Site:
    """`authority web` over the demonstration's home: its address, its processes, and a cookie of each role."""

    host: str
    port: int
    pids: tuple[int, ...]
    cookies: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, connection: http.client.HTTPConnection, role: str, path: str) -> tuple[int, int]:
        """(status, bytes over the wire) of one request."""
        headers = {"Accept": "text/html" if not path.startswith("/api") else "application/json"}
        headers["Accept-Encoding"] = "gzip"
        if role in self.cookies:
            headers["Cookie"] = f"campus-here={self.cookies[role]}"
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, len(answer.read())

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def processor_ms(self) -> float:
        """Milliseconds of processor time of all its processes so far."""
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return 1_000 * total / TICKS

    def memory_mib(self) -> float:
        kib = 0
        for pid in self.pids:
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            kib += int(found[1]) if found else 0
        return round(kib / 1024, 1)


@contextmanager
def running(directory: Path, streams: int, epochs: int, processes: int | None) -> Iterator[Site]:
    """The demonstration after so many epochs, and the pages' processes over its home, as usual but for the streams.

    Each may hold so many streams; processes is how many there are, where not as usual.
    """
    demo, web = RunningDemo(directory), None
    try:
        address = demo.address
        links = {}
        for role in ("member", "operator", "treasurer", "auditor"):
            links[role] = demo.wait_for(rf"{role}\s+(http\S+/enter/\S+)").group(1)
        demo.wait_for(rf"(settled\s+(.|\n)*?){{{epochs}}}", 600 + 60 * epochs)
        home = Home.open(directory / ".demo")
        web_settings = WebSettings(notice=home.settings.web.notice, streams=streams + 8)
        web_settings = replace(web_settings, processes=processes or web_settings.processes)
        home.save(replace(home.settings, web=web_settings))
        port = free_port()
        command = [sys.executable, "-m", "authority.cli", "web", "--home", str(home.path), "--port", str(port)]
        web = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
            stdout=subprocess.DEVNULL,
            stderr=(directory / "web.txt").open("wb"),
        )
        site = Site("127.0.0.1", port, (web.pid,), {})
        _wait_for(site, "/healthz", web, directory / "web.txt", web_settings.processes)
        site.cookies = {role: _signed_in(address, link) for role, link in links.items()}
        yield site
    finally:
        if web is not None:
            web.terminate()
            web.wait(30)
        demo.stop()


def _wait_for(site: Site, path: str, process: subprocess.Popen[bytes], said: Path, workers: int = 1) -> None:
    """Until a server answers and has so many workers, whose processes are the site's then."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = site.connection()
            connection.request("GET", path)
            connection.getresponse().read()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if len(children) >= workers:
                break
            time.sleep(2)  # the last of them is still loading
        except OSError:
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(said.read_text()) from None
            time.sleep(0.2)
    site.pids = (process.pid, *(int(pid) for pid in children))


def bare(directory: Path, rate: int, seconds: int) -> dict[str, Any]:
    """The same load upon, and cost of, a page that asks nothing."""
    port, said = free_port(), directory / "bare.txt"
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "16", "--workers", "1"]
    process = subprocess.Popen(
        [
            *command,
            "--keep-alive",
            "60",
            "--bind",
            f"127.0.0.1:{port}",
            "--chdir",
            HERE.parent / "support",
            "bare_page:app",
        ],
        stdout=subprocess.DEVNULL,
        stderr=said.open("wb"),
    )
    try:
        site = Site("127.0.0.1", port, (process.pid,), {})
        _wait_for(site, "/", process, said)
        asked = (("stranger", "/"),)
        loaded = load(site, rate, seconds, asked)
        return {"load": {name: loaded[name] for name in loaded if name != "pages"}, "cost": cost(site, asked=asked)}
    finally:
        process.terminate()
        process.wait(30)


def _signed_in(address: str, link: str) -> str:
    """The session's cookie of whoever opens a link of the demonstration."""
    host = address.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=60)
    path = link.partition(host)[2]
    connection.request("GET", path, headers={"Accept": "text/html"})
    answer = connection.getresponse()
    answer.read()
    for name, value in answer.getheaders():
        found = re.match(r"campus-here=([^;]+)", value)
        if name.lower() == "set-cookie" and found:
            return found[1]
    raise AssertionError(f"{path} signs nobody in: {answer.status}")


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies, milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def load(site: Site, rate: int, seconds: int, asked: Sequence[tuple[str, str]] = ASKED) -> dict[str, Any]:
    """So many requests a second for so long, each on time, over as many connections as it takes."""
    due: queue.Queue[tuple[float, str, str] | None] = queue.Queue()
    taken: dict[str, list[float]] = {path: [] for _, path in asked}
    wrong: list[str] = []
    lock = threading.Lock()

    def ask_on() -> None:
        connection = site.connection()
        while (job := due.get()) is not None:
            at, role, path = job
            try:
                status, _ = site.ask(connection, role, path)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status = type(error).__name__  # type: ignore[assignment]
            took = 1_000 * (time.monotonic() - at)
            with lock:
                taken[path].append(took)
                if status != 200:
                    wrong.append(f"{path}: {status}")
        connection.close()

    threads = [threading.Thread(target=ask_on) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    before, start = site.processor_ms(), time.monotonic()
    for n in range(rate * seconds):
        at = start + n / rate
        time.sleep(max(0.0, at - time.monotonic()))
        due.put((at, *asked[n % len(asked)]))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    took, spent = time.monotonic() - start, site.processor_ms() - before
    every = [value for values in taken.values() for value in values]
    return {
        "asked_a_second": rate,
        "answered_a_second": round(len(every) / took, 1),
        "p50_ms": percentile(every, 0.5),
        "p99_ms": percentile(every, 0.99),
        "processor_ms_a_request": round(spent / len(every), 2),
        "errors": {each: wrong.count(each) for each in sorted(set(wrong))},
        "pages": {
            path: {"p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99)}
            for path, values in taken.items()
        },
        "machine_load_average": round(os.getloadavg()[0], 1),
    }


def cost(site: Site, times: int = 50, asked: Sequence[tuple[str, str]] = ASKED) -> dict[str, Any]:
    """Processor milliseconds and kB of each page and resource, one request after the other."""
    connection, found = site.connection(), {}
    for role, path in asked:
        site.ask(connection, role, path)
        before = site.processor_ms()
        answers = [site.ask(connection, role, path) for _ in range(times)]
        found[path] = {
            "processor_ms": round((site.processor_ms() - before) / times, 1),
            "kb": round(answers[-1][1] / 1_000, 1),
            "status": sorted({status for status, _ in answers}),
        }
    mean = sum(each["processor_ms"] for each in found.values()) / len(found)
    return {"pages": found, "requests_of_all_a_core_second": round(1_000 / max(mean, 0.01), 1)}


def streams(site: Site, count: int) -> dict[str, Any]:
    """Hold so many event streams until each has heard three views, or for a minute and a half."""
    heard = [0] * count
    refused = []
    stop = threading.Event()

    def listen(n: int) -> None:
        connection = site.connection()
        try:
            connection.request("GET", "/live", headers={"Accept": "text/event-stream"})
            answer = connection.getresponse()
            if answer.status != 200:
                refused.append(answer.status)
                return
            while not stop.is_set() and (line := answer.readline()):
                heard[n] += line.startswith(b"data:")
        except OSError:
            refused.append(0)
        finally:
            connection.close()

    before = site.memory_mib()
    threads = [threading.Thread(target=listen, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    end, spent, start = time.monotonic() + 90, site.processor_ms(), time.monotonic()
    while time.monotonic() < end and sum(each >= 3 for each in heard) < count - len(refused):
        time.sleep(0.5)
    seconds = time.monotonic() - start
    stop.set()
    return {
        "asked": count,
        "held": sum(each >= 1 for each in heard),
        "heard_three_views": sum(each >= 3 for each in heard),
        "refused": len(refused),
        "seconds": round(seconds, 1),
        "processor_share_of_a_core": round((site.processor_ms() - spent) / 1_000 / seconds, 2),
        "memory_mib": site.memory_mib(),
        "memory_mib_before": before,
    }


SIZE = "performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))"
SIZE += ".reduce((sum, each) => sum + each.transferSize, 0)"
PAINT = "(performance.getEntriesByName('first-contentful-paint')[0] || {startTime: null}).startTime"


def weight(site: Site, directory: Path) -> dict[str, Any]:
    """What a first load of each page takes, with an empty cache, and what the first page takes in an hour."""
    pages: dict[str, Any] = {}
    for n, (role, path) in enumerate(ASKED):
        if path.startswith("/api"):
            continue
        with Browser(directory / f"profile-{n}") as browser:
            browser.emulate(390, 844)
            if role in site.cookies:
                browser.sign_in(site.cookies[role], site.address)
            browser.open(site.address + path)
            browser.until(f"{PAINT} !== null")
            kb = round(browser.evaluate(SIZE) / 1_000, 1)
            pages[path] = {"first_load_kb": kb, "first_paint_ms": round(browser.evaluate(PAINT))}
    connection = site.connection()
    connection.request("GET", "/live", headers={"Accept": "text/event-stream", "Accept-Encoding": "gzip"})
    answer, size, start = connection.getresponse(), 0, time.monotonic()
    while time.monotonic() - start < 60:
        size += len(answer.read1())
    seconds = time.monotonic() - start
    return {"pages": pages, "open_first_page_mb_an_hour": round(size / seconds * 3_600 / 1e6, 2)}


def _told_by(script: str, *words: object) -> Any:
    """What another benchmark prints."""
    command = [sys.executable, HERE / script, *map(str, words)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _measured(name: str, measure: Callable[[], Any]) -> Any:
    """What a part found, told at once; of one that fails, why."""
    try:
        found = measure()
    except (OSError, AssertionError, RuntimeError, http.client.HTTPException, subprocess.SubprocessError) as error:
        found = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps({name: found}), file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Run the parts that are asked for, and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--rate", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--streams", type=int)
    parser.add_argument("--members", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--month", type=int)
    parser.add_argument("--processes", type=int, help="how many serve the pages (default: as usual)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    for name, usual in (SHORT if arguments.short else LONG).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, usual)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends too
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    found: dict[str, Any] = {"processors": os.cpu_count()}
    wanted = [name for name in arguments.only if CHROMIUM is not None or name not in IN_CHROMIUM]
    if left_out := [name for name in arguments.only if name not in wanted]:
        found["not_measured_without_chromium"] = left_out
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        if set(wanted) - {"flows", "period"}:
            with running(directory, arguments.streams, arguments.epochs, arguments.processes) as site:
                parts: dict[str, Callable[[], Any]] = {
                    "cost": lambda: cost(site),
                    "bare": lambda: bare(directory, arguments.rate, arguments.seconds),
                    "load": lambda: load(site, arguments.rate, arguments.seconds),
                    "weight": lambda: weight(site, directory),
                    "streams": lambda: streams(site, arguments.streams),
                }
                for name, measure in parts.items():
                    if name in wanted:
                        found[name] = _measured(name, measure)
    members = ("--members", arguments.members)
    others: dict[str, Callable[[], Any]] = {
        "flows": lambda: _told_by("flows.py", *members, "--epochs", arguments.month),
        "period": lambda: _told_by("bills.py", *members, "--epochs", arguments.month),
    }
    for name, measure in others.items():
        if name in wanted:
            found[name] = _measured(name, measure)
    print(json.dumps(found, indent=2))
    return 1 if any(isinstance(each, dict) and "failed" in each for each in found.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
