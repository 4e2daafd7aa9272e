"""The public page and its API over HTTP: what they show, what they refuse, and that nothing is invented."""

import dataclasses
import gzip
import json
import re
import time
import zlib
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest
from flask import has_app_context
from sample_campus import NOW, Source, building, campus, epochs, meter

from authority.api.campus import CampusUnavailableError
from authority.api.feed import CampusFeed
from authority.web import figures, presentation
from authority.web.application import create_app

SITE = ZoneInfo("UTC")


def client_of(source, **options):
    return create_app(source, feed=CampusFeed(source, interval=0.01, **options)).test_client()


@pytest.fixture
def client():
    return client_of(Source())


class Live(HTMLParser):
    """The text of every element that the page keeps up to date, by its key."""

    def __init__(self, text):
        super().__init__()
        self.found, self._open = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "img", "rect", "path", "circle", "input", "br"):
            self._open.append(dict(attributes).get("data-live"))
            if self._open[-1]:
                self.found[self._open[-1]] = ""

    def handle_endtag(self, tag):
        if tag not in ("meta", "link", "img", "rect", "path", "circle", "input", "br"):
            self._open.pop()

    def handle_data(self, data):
        for key in self._open:
            if key:
                self.found[key] += data


def shown(client):
    response = client.get("/")
    assert response.status_code == 200
    return {key: " ".join(text.split()) for key, text in Live(response.text).found.items()}


def test_the_first_render_has_every_figure_without_any_script(client):
    page = shown(client)
    assert page["generation"] == "116.0 kW"
    assert page["consumption"] == "227.5 kW"
    assert page["epoch"] == "14:13:20–14:13:40"
    assert page["countdown"] == "0:13"
    assert page["readings"] == "9 of 9"
    assert page["orders"] == "3 selling, 1 buying"
    assert page["minted-total"] == "4.392 kWh"
    newest = epochs(18, NOW // 20 - 1)[-1]
    assert page["minted-note"].startswith(
        f"{newest.minted_wh / 1000:.3f} kWh for {presentation.span(newest.number, 20, SITE)}"
    )
    assert page["traded"] == f"{newest.traded_wh / 1000:.3f} kWh"
    assert page["price"] == f"0.{newest.clearing_price_micro_credits_per_kwh} credits per kWh"
    assert page["building-1-verdict"] == "10.7 kW to spare"
    assert page["building-1-storage-word"] == "Battery takes in"
    assert page["building-4-verdict"] == "166.3 kW short"
    assert page["building-4-age"] == "3 s ago"
    assert "Yes, to the watt-hour" in page["conservation"]


def test_everything_comes_from_here_and_no_script_or_style_is_inline(client):
    response = client.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r'(?:src|href)="(?!/|#)', response.text)
    assert not re.findall(r"<style|style=|<script(?! src=)|\son\w+=", response.text)
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', response.text):
        assert client.get(path).status_code == 200


def test_what_is_unknown_is_a_dash_and_what_is_old_is_called_stale():
    buildings = (
        building("Dormitory A", None, None, [meter("solar", "generation", "solar")], measured_at=None, minted_wh=None),
        building("Dormitory B", 1000, 2000, [meter("grid", "grid")], measured_at=NOW - 240),
    )
    service = dataclasses.replace(campus().service, validator=None, slot=None, log_root=None, transport=None)
    view = campus(history=0, buildings=buildings, energy=None, service=service)
    view = dataclasses.replace(
        view, epoch=dataclasses.replace(view.epoch, bids=None, asks=None, bid_wh=None, ask_wh=None)
    )
    client = client_of(Source(view))
    page = shown(client)
    assert page["minted-total"] == page["price"] == page["traded"] == "–"
    assert (page["generation"], page["totals-note"]) == ("–", "no building is heard")
    assert page["building-1-generation"] == "–"
    assert page["building-1-verdict"] == "no measurement yet"
    assert page["building-1-basis"] == "Nothing heard yet"
    assert page["building-2-age"] == "4 min ago"
    assert page["orders"] == "not open, or of fewer than 3 members who keep to themselves"
    assert "does not answer" in page["conservation"]
    assert "nothing is claimed" in page["conservation"]
    assert client.get("/").text.count('data-stale="yes"') == 1


def test_the_table_says_why_a_book_has_no_figures():
    view = campus()
    newest = dataclasses.replace(view.history[-2], traded_wh=None, clearing_price_micro_credits_per_kwh=None)
    view = dataclasses.replace(view, history=(*view.history[:-2], newest, view.history[-1]))
    text = client_of(Source(view)).get("/").text
    assert "fewer than 3 members who keep to themselves" in text.partition('id="history-table"')[2]


def test_sums_are_over_what_is_heard_now_and_say_what_they_leave_out():
    heard, silent, old = campus().buildings[:3]
    silent = dataclasses.replace(silent, generation_w=None, consumption_w=None, basis="none", measured_at=None)
    old = dataclasses.replace(old, measured_at=NOW - 3600)
    page = shown(client_of(Source(campus(buildings=(heard, silent, old)))))
    assert (page["generation"], page["consumption"]) == ("50.8 kW", "29.3 kW")
    assert page["totals-note"] == "without 2 of 3 buildings, not heard lately"


def test_every_epoch_stands_in_its_place_in_the_chart():
    view = campus(history=30)
    gap = dataclasses.replace(view, history=view.history[:-3] + view.history[-2:])
    chart = presentation.chart(gap, SITE)
    last = view.epoch.number - 1
    assert (chart.first, chart.last) == (last - 23, last)
    assert [c.epoch.number for c in chart.columns] == [n for n in range(last - 23, last + 1) if n != last - 2]
    places = [(c.x - chart.columns[0].x) // presentation.SLOT for c in chart.columns]
    assert places == [n for n in range(24) if n != 21]
    assert all(0 <= y <= presentation.CHART_HEIGHT for c in chart.columns for y in (c.minted_y, c.traded_y))


def test_a_silent_validator_is_said_at_the_top_with_the_time_of_what_is_shown():
    view = campus()
    away = dataclasses.replace(view.service, validator=None, slot=None)
    page = shown(client_of(Source(dataclasses.replace(view, service=away))))
    assert "The validator does not answer" in page["alarm"]
    assert re.search(r"is of \d\d:\d\d:\d\d UTC", page["alarm"])
    never = dataclasses.replace(away, chain_read_at=None)
    page = shown(client_of(Source(dataclasses.replace(view, service=never, energy=None))))
    assert "nothing is known" in page["alarm"]
    assert shown(client_of(Source()))["alarm"] == ""


def test_an_epoch_that_is_being_settled_has_no_zeros_yet():
    newest, older = epochs(2, 9)[::-1]
    waiting = dataclasses.replace(newest, state="collecting", minted_wh=0, traded_wh=0, orders=4)
    done = dataclasses.replace(older, minted_wh=0)
    assert presentation.so_far(waiting, waiting.minted_wh, figures.kilowatt_hours) == "\N{HORIZONTAL ELLIPSIS}"
    assert presentation.so_far(waiting, waiting.orders) == "4"
    assert presentation.so_far(done, done.minted_wh, figures.kilowatt_hours) == "0.000 kWh"
    rows = shown(client_of(Source(dataclasses.replace(campus(), history=(done, waiting)))))
    assert rows["history-rows"].count("\N{HORIZONTAL ELLIPSIS}") == 2 + 1, "and what was minted once more, for phones"


def test_a_moment_of_another_day_has_its_date():
    view = campus()
    old = dataclasses.replace(meter("solar", "generation"), interval_end_at=NOW - 3 * 86_400)
    page = shown(client_of(Source(dataclasses.replace(view, buildings=(building("Dormitory A", 1, 2, [old]),)))))
    assert page["building-1-meter-1-until"] == presentation.moment(NOW - 3 * 86_400, NOW, SITE)
    assert presentation.moment(NOW - 3 * 86_400, NOW, SITE) == "18 Sep 2026, 14:13:27"
    assert presentation.moment(NOW - 60, NOW, SITE) == "14:12:27"
    bangkok = ZoneInfo("Asia/Bangkok")
    assert presentation.moment(NOW - 3 * 86_400, NOW, bangkok) == "18 Sep 2026, 21:13:27"
    assert presentation.span(NOW // 900, 900, bangkok) == "21:00\N{EN DASH}21:15"


def test_power_heard_long_ago_is_not_called_live():
    heard = meter("solar", "generation", power_w=-5000)
    meters = [heard, dataclasses.replace(heard, name="old", power_at=NOW - 16)]
    page = shown(client_of(Source(dataclasses.replace(campus(), buildings=(building("Dormitory A", 1, 2, meters),)))))
    assert page["building-1-meter-1"] == figures.kilowatts(-5000)
    assert page["building-1-meter-2"] == figures.UNKNOWN


def test_a_chart_without_recent_epochs_says_so():
    fresh, long_ago = campus(history=0), campus()
    assert "first epoch is still running" in shown(client_of(Source(fresh)))["history"]
    moved = tuple(dataclasses.replace(epoch, number=epoch.number - 100) for epoch in long_ago.history)
    page = shown(client_of(Source(dataclasses.replace(long_ago, history=moved))))
    assert "No reading came in the last 24 epochs" in page["history"]


def test_sums_that_differ_are_said_to_differ():
    view = campus()
    wrong = dataclasses.replace(view.energy, held_wh=1, conserved=False)
    page = shown(client_of(Source(dataclasses.replace(view, energy=wrong))))
    assert "No. The sums differ" in page["conservation"]


def test_names_are_text_and_not_markup():
    hostile = '<script>alert("x")</script>'
    view = campus(buildings=(building(hostile, 1, 2, [meter(hostile, "load")]),), notice=hostile)
    text = client_of(Source(view)).get("/").text
    assert hostile not in text
    assert text.count("&lt;script&gt;") >= 3


def test_the_api_gives_the_view_in_integers(client):
    body = client.get("/api/v1/campus?history=5").get_json()
    whole = campus().as_json()
    whole["history"] = whole["history"][-5:]
    assert body == json.loads(json.dumps(whole))

    def numbers(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [n for v in value for n in numbers(v)]
        return [value] if isinstance(value, int | float) else []

    assert all(isinstance(number, int) for number in numbers(body))
    assert client.get("/api/v1/campus?history=0").get_json()["history"] == []


@pytest.mark.parametrize(
    "query", ["history=x", "history=-1", "history=97", "history=1.5", "history=", "history=1&history=%00"]
)
def test_a_malformed_query_is_refused_with_what_is_wrong(client, query):
    response = client.get(f"/api/v1/campus?{query}")
    if query.startswith("history=1&"):
        assert response.status_code == 200  # the first value counts
        return
    assert response.status_code == 400
    assert response.mimetype == "application/problem+json"
    body = response.get_json()
    assert body["code"] == "malformed"
    assert body["status"] == 400
    assert body["detail"].startswith("history: ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/api/v1/nothing", 404),
        ("get", "/api/v1/campus/", 404),
        ("post", "/api/v1/campus", 405),
        ("delete", "/", 405),
        ("get", "/static/../application.py", 404),
        ("get", "/%00", 404),
    ],
)
def test_other_requests_are_refused_as_problems(client, method, path, status):
    response = getattr(client, method)(path)
    assert response.status_code == status
    assert response.get_json()["status"] == status
    assert "Content-Security-Policy" in response.headers


def test_nothing_set_up_is_said_on_the_page_and_in_the_api():
    client = client_of(
        Source(CampusUnavailableError("The store holds no campus plan; load one with: authority enrol campus FILE"))
    )
    for path in ("/", "/api/v1/campus", "/api/v1/campus/stream"):
        response = client.get(path)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        told = "Whoever looks after the server does that" if path == "/" else "authority enrol campus"
        assert told in response.text


def test_the_stream_gives_the_view_again_only_when_it_changed():
    source = Source()
    client = client_of(source)
    response = client.get("/api/v1/campus/stream", buffered=False)
    assert response.mimetype == "text/event-stream"
    stream = iter(response.response)
    assert next(stream).startswith(b"retry: ")
    first = next(stream).decode()
    source.view = campus(now=NOW)  # the same, but for the object
    source.view = campus(now=NOW + 20)
    second = next(stream).decode()
    for text, at in ((first, NOW), (second, NOW + 20)):
        kind, number, data, *_ = text.split("\n")
        assert (kind, number) == ("event: campus", f"id: {at}")
        assert json.loads(data.removeprefix("data: ")) == json.loads(json.dumps(campus(now=at).as_json()))
    response.close()


def test_a_slot_that_passes_is_no_news():
    source = Source()
    response = client_of(source, heartbeat=0.0).get("/api/v1/campus/stream", buffered=False)
    stream = iter(response.response)
    next(stream), next(stream)
    service = dataclasses.replace(source.view.service, slot=99_999, chain_read_at=NOW + 1)
    source.view = dataclasses.replace(source.view, time=NOW + 1, service=service)
    assert next(stream).startswith(b"event: beat")
    response.close()


def test_a_quiet_stream_is_kept_alive():
    client = client_of(Source(), heartbeat=0.0)
    response = client.get("/api/v1/campus/stream", buffered=False)
    stream = iter(response.response)
    next(stream), next(stream)
    assert next(stream) == b"event: beat\ndata: {}\n\n"
    response.close()


def test_streams_are_bounded_and_a_place_is_free_again_when_a_reader_leaves():
    client = client_of(Source(), streams=2)
    first, second = (client.get("/api/v1/campus/stream", buffered=False) for _ in range(2))
    next(iter(second.response))
    refused = client.get("/api/v1/campus/stream")
    assert refused.status_code == 503
    assert refused.get_json()["code"] == "too_many_streams"
    first.close()  # never read
    second.close()
    third, fourth = (client.get("/api/v1/campus/stream", buffered=False) for _ in range(2))
    assert third.status_code == fourth.status_code == 200
    third.close()
    fourth.close()


def test_a_hundred_readers_cost_the_source_one_look():
    source = Source()
    client = create_app(source, feed=CampusFeed(source, interval=1, monotonic=lambda: 0.0)).test_client()
    for _ in range(100):
        client.get("/api/v1/campus")
    assert source.asked == 1


def test_a_page_that_is_held_stays_as_it_was_and_says_why():
    source, why = Source(), []
    client = client_of(source, held=lambda: why[-1] if why else None)
    before = client.get("/api/v1/campus").get_json()
    why.append("Paused at 12:00:00 UTC. This page stays as it was then.")
    source.view = dataclasses.replace(source.view, buildings=())
    time.sleep(0.02)
    assert client.get("/api/v1/campus").get_json() == {**before, "notice": why[0], "stands": True}
    assert why[0] in client.get("/").get_data(as_text=True)
    why.clear()
    time.sleep(0.02)
    assert client.get("/api/v1/campus").get_json() == {**before, "buildings": []}


def test_a_page_that_is_held_before_anybody_saw_it_is_read_once():
    source = Source()
    client = client_of(source, held=lambda: "Paused.")
    for _ in range(3):
        assert client.get("/api/v1/campus").get_json()["notice"] == "Paused."
        time.sleep(0.02)
    assert source.asked == 1


def test_the_api_describes_itself_and_every_field(client):
    spec = client.get("/openapi.json").get_json()
    assert spec["openapi"].startswith("3.1")
    assert set(spec["paths"]) == {"/api/v1/campus", "/api/v1/campus/stream"}
    view = client.get("/api/v1/campus").get_json()
    schemas = spec["components"]["schemas"]
    assert set(schemas["Campus"]["properties"]) == set(view)
    assert set(schemas["BuildingNow"]["properties"]) == set(view["buildings"][0])
    for name in ("Campus", "BuildingNow", "MeterNow", "EpochNow", "EpochPast", "EnergyTokens", "Service", "Problem"):
        for field, schema in schemas[name]["properties"].items():
            assert schema.get("description") or "$ref" in json.dumps(schema), (name, field)


def test_the_reference_for_people_names_every_call_and_needs_nothing_from_elsewhere(client):
    text = client.get("/docs").text
    assert "/api/v1/campus/stream" in text
    assert "<code>stream_campus</code>, for anybody." in text
    assert "clearing_price_micro_credits_per_kwh" in text
    assert "http://" not in text
    assert "https://" not in text


def test_the_page_is_told_what_changed_and_no_more():
    source = Source()
    client = client_of(source)
    response = client.get("/live", buffered=False)
    assert response.mimetype == "text/event-stream"
    stream = iter(response.response)
    assert next(stream).startswith(b"retry: ")
    first = json.loads(next(stream).decode().split("data: ")[1])
    assert set(first["changed"]) == set(re.findall(r'data-live="([^"]+)"', client.get("/").text))
    buildings = (dataclasses.replace(source.view.buildings[0], generation_w=987_600), *source.view.buildings[1:])
    source.view = dataclasses.replace(source.view, time=NOW + 1, buildings=buildings)
    second = json.loads(next(stream).decode().split("data: ")[1])
    assert second["time"] == NOW + 1
    assert second["changed"]["building-1-generation"] == {"html": "987.6 kW"}
    assert "building-1-verdict" in second["changed"]
    assert not [key for key in second["changed"] if key.startswith("building-2") and not key.endswith("-bar")]
    response.close()


def test_a_compressed_stream_says_the_same_and_each_event_at_once():
    source = Source()
    plain = iter(client_of(source).get("/live", buffered=False).response)
    answer = client_of(source).get("/live", buffered=False, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert answer.headers["Content-Encoding"] == "gzip"
    packed, unpack, whole, sent = iter(answer.response), zlib.decompressobj(16 + 15), 0, 0
    for n in range(4):
        said, bytes_ = next(plain), next(packed)
        whole, sent = whole + len(said), sent + len(bytes_)
        assert unpack.decompress(bytes_) == said
        building = dataclasses.replace(source.view.buildings[0], generation_w=1_000 * (n + 1))
        source.view = dataclasses.replace(
            source.view, time=NOW + n + 1, buildings=(building, *source.view.buildings[1:])
        )
    assert sent < whole / 2
    answer.close()


def test_a_stream_holds_no_context_from_one_event_to_the_next():
    source = Source()
    streams = [iter(client_of(source).get("/live", buffered=False).response) for _ in range(2)]
    for stream in streams:  # as one thread reads them, in turn
        assert next(stream).startswith(b"retry: ")
    source.view = dataclasses.replace(source.view, time=NOW + 1)
    for stream in streams:
        assert next(stream).startswith(b"event: figures")
        assert not has_app_context()
    for stream in streams:  # and in the order in which they began, which would be the wrong one for contexts
        stream.close()


@pytest.mark.parametrize("path", ["/", "/static/campus.css", "/static/campus.js", "/api/v1/campus"])
def test_what_is_worth_it_is_compressed_for_who_takes_it(client, path):
    plain = client.get(path)
    packed = client.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) // 2


def test_people_get_pages_and_programs_get_problems(client):
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    for path, status in (("/nothing", 404), ("/static/nothing.css", 404)):
        page = client.get(path, headers=browser)
        assert (page.status_code, page.mimetype) == (status, "text/html")
        assert "There is no page at this address" in page.text
        assert "Content-Security-Policy" in page.headers
        assert client.get(path).get_json()["status"] == status
    assert client.post("/", headers=browser).mimetype == "text/html"
    assert client.get("/api/v1/nothing", headers=browser).get_json()["status"] == 404


def test_no_two_landmarks_have_one_name(client):
    page = client.get("/").text
    labels = re.findall(r'role="region" aria-label="([^"]+)"', page)
    titles = re.findall(r'<h2 id="[^"]+"[^>]*>([^<]+)', page)
    assert len(set(labels)) == len(labels)
    assert not {*labels} & {title.strip() for title in titles}
