import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.wire.problems import MAX_TEXT, STATUS, problem, read_problem, usual_code


@pytest.mark.parametrize(("code", "status"), STATUS.items())
def test_a_problem_is_read_as_it_was_written(code, status):
    document = problem(status, code, "do this")
    assert document["status"] == status
    assert read_problem(json.dumps(document).encode()) == (code, "do this")


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", ("", "")),
        (b"<html>", ("", "")),
        (b"[]", ("", "")),
        (b"[" * 100_000, ("", "")),
        (b'{"code": 7, "detail": null, "title": "Gone"}', ("", "Gone")),
        (b'{"code": "x\\u001b[2J", "detail": "a\\nb"}', ("x [2J", "a b")),
    ],
)
def test_what_is_no_problem_says_nothing_and_steers_no_terminal(body, read):
    assert read_problem(body) == read


@given(st.binary(max_size=64) | st.builds(lambda text: json.dumps({"detail": text}).encode(), st.text()))
def test_any_body_can_be_printed(body):
    for text in read_problem(body):
        assert len(text) <= MAX_TEXT
        assert not text or text.isprintable()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (413, "too_large"),
        (410, "gone"),
        (429, "busy"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "busy"),
        (599, "server_error"),
        (302, "server_error"),
    ],
)
def test_a_status_has_a_code_where_nothing_says_more(status, code):
    assert usual_code(status) == code
