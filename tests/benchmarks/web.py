"""What the pages take: requests under load, event streams held, weight, time to first paint, and a member's ways.

    python tests/benchmarks/web.py [--short] [--rate N] [--seconds N] [--streams N] [--members N] [--only PART ...]

Runs the demonstration (real meters, log, validator and settlement), and a web process of its own over the same home.
--short is 20 requests a second for five seconds, 30 streams and 10 members, where nothing else is said.
Tells each part on standard error as it ends, so that one that fails takes no other with it. Prints JSON:

- `load`: pages and resources asked for in turn at so many requests a second, on connections of their own, on time
  whether or not the one before is answered; p50 and p99 in milliseconds from when each was due, by page; errors; and
  the web process's processor milliseconds a request, which a busy machine changes less.
- `cost`: the same requests one after the other: processor milliseconds each, by page.
- `streams`: how many event streams were held, how many of them heard each of three views, and the process's memory.
- `weight`: kB over the wire of a first load of each page with all that it brings, first paint in ms, and MB an hour
  that the open first page takes.
- `flows`: clicks, typed characters and seconds (of a machine, not of a person) of ways through the pages in Chromium.
- `period`: processor seconds for the bills of a month of so many members (tests/benchmarks/bills.py).
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]

from browser import CHROMIUM, Browser  # noqa: E402
from free_ports import free_port  # noqa: E402
from person_at_pages import Person  # noqa: E402
from running_demo import RunningDemo  # noqa: E402

PARTS = ("load", "cost", "streams", "weight", "flows", "period")
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
LONG = {"rate": 200, "seconds": 60, "streams": 500, "members": 200}
SHORT = {"rate": 20, "seconds": 5, "streams": 30, "members": 10}
THREADS = 48
EPOCHS = 4
START_SECONDS = 600
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Site:
    """A web process over the demonstration's home: its address, its processes, and a cookie of each role."""

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
        """Milliseconds of processor time of the web process and its children so far."""
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
def running(directory: Path, streams: int) -> Iterator[Site]:
    """The demonstration after some epochs, and a web process over its home that may hold so many streams."""
    demo, web = RunningDemo(directory), None
    try:
        address = demo.address
        links = {}
        for role in ("member", "operator", "treasurer", "auditor"):
            links[role] = demo.wait_for(rf"{role}\s+(http\S+/enter/\S+)").group(1)
        demo.wait_for(rf"(settled\s+(.|\n)*?){{{EPOCHS}}}", 600)
        home = directory / ".demo"
        settings = home / "authority.toml"
        before = settings.read_text()
        text, count = re.subn(r"(?m)^#?\s*streams\s*=.*$", f"streams = {streams + 8}", before)
        if not count:
            text = re.sub(r"(?m)^\[web\]\s*$", f"[web]\nstreams = {streams + 8}", before)
        settings.write_text(text)
        port = free_port()
        command = [sys.executable, "-m", "authority.cli", "web", "--home", str(home), "--port", str(port)]
        web = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
            stdout=subprocess.DEVNULL,
            stderr=(directory / "web.txt").open("wb"),
        )
        site = Site("127.0.0.1", port, (web.pid,), {})
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = site.connection()
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                break
            except OSError:
                if time.monotonic() > end or web.poll() is not None:
                    raise RuntimeError((directory / "web.txt").read_text()) from None
                time.sleep(0.2)
        children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()
        site.pids = (web.pid, *(int(pid) for pid in children))
        site.cookies = {role: _signed_in(address, link) for role, link in links.items()}
        yield site
    finally:
        if web is not None:
            web.terminate()
            web.wait(30)
        demo.stop()


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


def load(site: Site, rate: int, seconds: int) -> dict[str, Any]:
    """So many requests a second for so long, each on time, over as many connections as it takes."""
    due: queue.Queue[tuple[float, str, str] | None] = queue.Queue()
    taken: dict[str, list[float]] = {path: [] for _, path in ASKED}
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
        due.put((at, *ASKED[n % len(ASKED)]))
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


def cost(site: Site, times: int = 30) -> dict[str, Any]:
    """Processor milliseconds and kB of each page and resource, one request after the other."""
    connection, found = site.connection(), {}
    for role, path in ASKED:
        site.ask(connection, role, path)
        before = site.processor_ms()
        answers = [site.ask(connection, role, path) for _ in range(times)]
        found[path] = {
            "processor_ms": round((site.processor_ms() - before) / times, 1),
            "kb": round(answers[-1][1] / 1_000, 1),
            "status": sorted({status for status, _ in answers}),
        }
    return found


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
    connection.request("GET", "/live", headers={"Accept": "text/event-stream"})
    answer, size, start = connection.getresponse(), 0, time.monotonic()
    while time.monotonic() - start < 60:
        size += len(answer.readline())
    seconds = time.monotonic() - start
    return {"pages": pages, "open_first_page_mb_an_hour": round(size / seconds * 3_600 / 1e6, 2)}


def flows(site: Site, directory: Path) -> dict[str, Any]:
    """A standing order, the way from a day to a proof that the browser checks, and a bill as it comes to so far."""
    found: dict[str, Any] = {}

    def way(name: str, role: str, start: str, walk: Callable[[Person, Browser], None]) -> None:
        with Browser(directory / f"flow-{name}") as browser:
            browser.emulate(390, 844)
            browser.sign_in(site.cookies[role], site.address)
            browser.open(site.address + start)
            person = Person(browser)
            walk(person, browser)
            found[name] = person.told()

    def order(person: Person, browser: Browser) -> None:
        person.click("a[href='/me/trading']", "location.pathname === '/me/trading'")
        person.type("#sell-at", "0.2")
        person.click("button[value=preview]", "document.body.innerText.includes('Nothing is saved yet')")
        person.click("button[value=save]", "!document.body.innerText.includes('Nothing is saved yet')")

    def proof(person: Person, browser: Browser) -> None:
        person.click("a[href='/me/energy']", "location.pathname === '/me/energy'")
        person.click("details summary", "document.querySelector('details').open")
        person.click("td a[href*='/me/proofs']", "location.pathname === '/me/proofs'")
        person.click(".card form button", "location.pathname.startsWith('/kwh/')")
        browser.until("document.querySelectorAll('#steps [data-state=holds]').length > 3")

    def bill(person: Person, browser: Browser) -> None:
        person.click("a[href^='/treasury/periods/']", "location.pathname.startsWith('/treasury/periods/')")
        person.click("a[href*='/members/']", "location.pathname.includes('/members/')")

    way("standing_order", "member", "/me", order)
    way("kwh_proof", "member", "/me", proof)
    way("bill_so_far", "treasurer", "/treasury", bill)
    return found


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
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    for name, usual in (SHORT if arguments.short else LONG).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, usual)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends too
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    found: dict[str, Any] = {"processors": os.cpu_count()}
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        if set(arguments.only) - {"period"}:
            with running(directory, arguments.streams) as site:
                parts: dict[str, Callable[[], Any]] = {
                    "cost": lambda: cost(site),
                    "load": lambda: load(site, arguments.rate, arguments.seconds),
                    "weight": lambda: weight(site, directory),
                    "flows": lambda: flows(site, directory),
                    "streams": lambda: streams(site, arguments.streams),
                }
                for name, measure in parts.items():
                    if name in arguments.only and (CHROMIUM is not None or name not in ("weight", "flows")):
                        found[name] = _measured(name, measure)
    if "period" in arguments.only:
        command = [sys.executable, HERE / "bills.py", "--members", str(arguments.members)]
        found["period"] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps(found, indent=2))
    return 1 if any(isinstance(each, dict) and "failed" in each for each in found.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
