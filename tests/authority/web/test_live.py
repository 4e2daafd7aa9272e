"""What the open page is told: each live element that changed, once, and nothing else."""

from __future__ import annotations

import json

import pytest

from authority.web.live import Told, changes, events, fragments

PAGE = """<main><p data-live="a">one &amp; <b>two</b></p>
<article data-live="card" data-attributes="data-stale" data-stale="no"><h3>Ä</h3><p data-live="b"
 data-attributes="data-tone" data-tone="even">x<br>y</p>
<svg><rect data-live="bar" data-attributes="width" width="7"/></svg></article>
<span data-live="age" data-ticks data-attributes="data-at" data-at="5">3 s ago</span></main>"""


def test_an_element_is_its_content_and_the_attributes_it_names():
    assert fragments(PAGE) == {
        "a": {"html": "one &amp; <b>two</b>"},
        "card": {"data-stale": "no"},
        "b": {"data-tone": "even", "html": "x<br>y"},
        "bar": {"width": "7"},
        "age": {"data-at": "5"},
    }


def test_pages_that_are_not_well_formed_are_noticed():
    with pytest.raises(ValueError, match="closes"):
        fragments("<p><b></p>")
    with pytest.raises(ValueError, match="two elements"):
        fragments('<p data-live="a"></p><p data-live="a"></p>')


def test_only_what_changed_is_told():
    before = fragments(PAGE)
    after = fragments(PAGE.replace("even", "short").replace('width="7"', 'width="8"').replace("3 s ago", "4 s ago"))
    assert changes(before, after) == {"b": {"data-tone": "short"}, "bar": {"width": "8"}}
    assert changes(before, before) == {}
    assert changes(None, before) == before
    assert changes(before, {"a": before["a"]}) is None


def test_a_reader_gets_all_then_what_changed_then_word_of_another_page():
    first, second = fragments(PAGE), fragments(PAGE.replace("one ", "three "))
    told = list(events(iter([(1, first), (2, first), None, (3, second), (4, {"a": first["a"]})]), Told()))
    assert [line.split("\n", 1)[0] for line in told] == [
        "event: figures",
        "event: beat",
        "event: figures",
        "event: page",
    ]
    data = [json.loads(event.split("data: ")[1]) for event in told]
    assert data[0] == {"time": 1, "changed": first}
    assert data[2] == {"time": 3, "changed": {"a": {"html": "three &amp; <b>two</b>"}}}
    assert all(event.endswith("\n\n") and event.count("\n\n") == 1 for event in told)


def test_an_event_is_made_once_for_all_who_read_the_same_views():
    first, second, third = (fragments(PAGE.replace("one ", f"{word} ")) for word in ("two", "three", "four"))
    shared = Told()
    one, other = (list(events(iter([(1, first), (2, second)]), shared)) for _ in range(2))
    assert one == other
    assert all(a is b for a, b in zip(one, other, strict=True))
    late = list(events(iter([(2, second), (3, third)]), shared))
    assert json.loads(late[0].split("data: ")[1])["changed"] == second
    assert late[1] == list(events(iter([(2, second), (3, third)]), Told()))[1]
