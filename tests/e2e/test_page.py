"""The public page in a real browser, against the running demo: it tells what the API tells, and it stays alive."""

import http.client
import json
import socket
import time
import urllib.parse

import pytest
from browser import CHROMIUM, Browser
from running_demo import RunningDemo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]

BOTH = """(async () => {
  const shown = () => Object.fromEntries([...document.querySelectorAll('[data-live]')]
    .map(e => [e.dataset.live, e.textContent.replace(/\\s+/g, ' ').trim()]));
  const before = await (await fetch('/api/v1/campus')).json();
  await new Promise(done => setTimeout(done, 1500));
  const page = shown();
  const after = await (await fetch('/api/v1/campus')).json();
  return {before, page, after};
})()"""
QUIET = ("buildings", "energy", "history")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    running = RunningDemo(tmp_path_factory.mktemp("demo"))
    try:
        running.wait_for(r"\d+ +\d\d:\d\d +9 +0\.\d+ +\d+ +0\.\d+ +0\.\d+ +settled")
        yield running
    finally:
        running.stop()


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as opened:
        opened.emulate(1280, 900)
        yield opened


def kwh(value):
    return f"{value // 1000}.{value % 1000:03d} kWh"


def kw(value):
    return f"{(value + 50) // 100 / 10:.1f} kW"


def quiet_pair(browser):
    """The page, and the API's answer that was the same before and after it was looked at."""
    for _ in range(40):
        found = browser.evaluate(BOTH)
        if all(found["before"][key] == found["after"][key] for key in QUIET):
            return found["page"], found["after"]
        time.sleep(0.5)
    raise AssertionError("the campus never stood still for two seconds")


def test_the_page_shows_what_the_api_says(demo, browser):
    browser.open(demo.address)
    browser.until("document.getElementById('connection').dataset.state === 'live'")
    page, campus = quiet_pair(browser)
    assert page["minted-total"] == kwh(campus["energy"]["minted_wh"])
    for number, building in enumerate(campus["buildings"], 1):
        assert page[f"building-{number}-generation"] == kw(building["generation_w"])
        assert page[f"building-{number}-consumption"] == kw(building["consumption_w"])
        assert page[f"building-{number}-minted"] == kwh(building["minted_wh"])
    cleared = [e for e in campus["history"] if e["clearing_price_micro_credits_per_kwh"] is not None][-1]
    assert page["traded"] == kwh(cleared["traded_wh"])
    price = page["price"].removesuffix(" credits per kWh")
    assert round(float(price) * 1_000_000) == cleared["clearing_price_micro_credits_per_kwh"]
    energy = campus["energy"]
    for part in ("minted_wh", "held_wh", "escrow_wh", "retired_wh"):
        assert kwh(energy[part]) in page["conservation"]
    assert "Yes, to the watt-hour" in page["conservation"]
    assert "emulated" in browser.evaluate("document.querySelector('.notice').textContent")
    assert browser.messages == []


def test_the_page_lives(demo, browser):
    browser.open(demo.address)
    browser.until("document.getElementById('connection').dataset.state === 'live'")
    number = int(browser.evaluate("document.querySelector('[data-live=epoch]').textContent"))
    browser.evaluate("document.querySelector('details').open = true")
    browser.until(f"Number(document.querySelector('[data-live=epoch]').textContent) > {number}")
    assert browser.evaluate("document.querySelector('details').open") is True
    rows = "document.querySelectorAll('[data-live=history-rows] tr').length"
    assert browser.evaluate(rows) >= 1
    assert browser.messages == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True), (320, False)])
def test_it_fits_the_screen(demo, browser, width, dark):
    browser.emulate(width, 800, dark=dark)
    browser.open(demo.address)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_first_render_stands(demo, browser):
    browser.emulate(1280, 900, scripts=False)
    browser.open(demo.address)
    html = browser.evaluate("document.querySelector('main').innerText")
    assert "Research Labs" in html
    assert "kWh" in html


def test_the_documentation_page_needs_nothing_from_elsewhere(demo, browser):
    browser.open(demo.address + "docs")
    assert "/api/v1/campus/stream" in browser.evaluate("document.body.innerText")
    assert browser.messages == []


def test_the_stream_tells_the_next_epoch(demo):
    address = urllib.parse.urlsplit(demo.address)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("GET", "/api/v1/campus/stream")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type").startswith("text/event-stream")
    numbers = []
    while len(set(numbers)) < 2:
        line = answer.readline().decode()
        assert line, "the stream ended"
        if line.startswith("data: "):
            numbers.append(json.loads(line[6:])["epoch"]["number"])
    assert numbers == sorted(numbers)
    connection.close()


def test_streams_are_bounded_and_leave_the_page_its_threads(demo):
    address = urllib.parse.urlsplit(demo.address)
    connections = []
    statuses = []
    try:
        for _ in range(40):
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
            connections.append(connection)
            connection.request("GET", "/api/v1/campus/stream")
            statuses.append(connection.getresponse().status)
            if statuses[-1] != 200:
                break
        assert statuses[-1] == 503
        assert 30 <= len(statuses) <= 33  # 32 places; a reader of another test may not be missed yet
        assert demo.get("/")[0] == 200
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "path", ["/api/v1/campus?history=x", "/api/v1/campus?history=-1", "/api/v1/campus?history=1e3"]
)
def test_malformed_requests_are_refused(demo, path):
    status, body = demo.get(path)
    assert status == 400
    assert json.loads(body)["code"] == "malformed"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ],
)
def test_hostile_bytes_are_refused_and_the_page_goes_on(demo, request_bytes):
    address = urllib.parse.urlsplit(demo.address)
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        line.sendall(request_bytes)
        line.shutdown(socket.SHUT_WR)
        answer = line.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert demo.get("/")[0] == 200
