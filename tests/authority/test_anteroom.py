"""What the anteroom takes for a whole request is what gunicorn's parser reads: no more, and no less."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from authority.anteroom import Limits, TooLargeError, plain_head, request_end

LIMITS = Limits(max_header=1_000, max_body=2_000)
NAMES = st.sampled_from(["Accept", "X-Other", "X-Long-Name"])
VALUES = st.text("abc;=, ", max_size=30).map(str.strip)


def read_by_gunicorn(data: bytes) -> tuple[bytes, bytes]:
    """The first request's body, and what is left behind it."""
    unreader = IterUnreader(iter([data]))
    request = Request(Config(), unreader, ("127.0.0.1", 1))
    body = request.body.read()
    return body, unreader.read()


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(request, body): with a length, chunked, or without a body."""
    body = draw(st.binary(max_size=200))
    head = "POST /x HTTP/1.1\r\n" + "".join(
        f"{draw(NAMES)}: {draw(VALUES)}\r\n" for _ in range(draw(st.integers(0, 3)))
    )
    kind = draw(st.sampled_from(["length", "chunked", "none"]))
    if kind == "none":
        return head.encode() + b"\r\n", b""
    if kind == "length":
        return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body, body
    sent, rest = b"", body
    while rest:
        size = draw(st.integers(1, len(rest)))
        extension = draw(st.sampled_from([b"", b";a=b"]))
        sent += f"{size:x}".encode() + extension + b"\r\n" + rest[:size] + b"\r\n"
        rest = rest[size:]
    trailer = draw(st.sampled_from([b"", b"T: 1\r\n"]))
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + sent + b"0\r\n" + trailer + b"\r\n", body


@given(requests(), st.binary(max_size=50))
def test_a_request_ends_where_gunicorns_parser_ends(request_and_body: tuple[bytes, bytes], behind: bytes) -> None:
    request, body = request_and_body
    assert read_by_gunicorn(request + behind) == (body, behind)
    assert request_end(request + behind, LIMITS) == len(request)
    assert all(request_end(request[:size], LIMITS) is None for size in range(len(request)))


@given(st.binary(max_size=300).map(lambda data: b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + data))
def test_noise_is_waited_for_or_ends(data: bytes) -> None:
    end = request_end(data, LIMITS)
    assert end is None or 0 < end <= len(data)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 2001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2_001, 413),
    ],
)
def test_what_is_too_large_is_seen_as_soon_as_it_can_be(data: bytes, status: int) -> None:
    with pytest.raises(TooLargeError) as caught:
        request_end(data, LIMITS)
    assert caught.value.status == status


READINGS = plain_head("POST", "/x/([a-z]+)/readings")
HEADERS = st.sampled_from(
    [
        "Host: a", "Accept: */*", "accept-encoding: identity", "User-Agent: x y", "Content-Type: a/b",
        "Connection: keep-alive", "Connection: close", "Transfer-Encoding: chunked", "Content-Length: 7", "X: y",
        "Expect: 100-continue", "Host : a", " folded", "content-length: +5", "Content-Encoding: gzip",
    ]
)  # fmt: skip


@given(st.lists(HEADERS, max_size=4), st.lists(HEADERS, max_size=4), st.integers(0, 99))
def test_a_head_that_is_taken_without_gunicorn_means_the_same_to_it(
    before: list[str], after: list[str], size: int
) -> None:
    head = "\r\n".join(["POST /x/gw/readings HTTP/1.1", *before, f"Content-Length: {size}", *after]).encode()
    data = head + b"\r\n\r\n" + bytes(size)
    plain = ("Host: a", "Accept: */*", "accept-encoding", "User-Agent", "Content-Type", "Connection: keep-alive")
    assert (READINGS.fullmatch(head) is not None) == all(line.startswith(plain) for line in (*before, *after))
    if READINGS.fullmatch(head) is not None:
        request = Request(Config(), IterUnreader(iter([data + b"next"])), ("127.0.0.1", 1))
        assert (request.method, request.path, request.should_close()) == ("POST", "/x/gw/readings", False)
        assert read_by_gunicorn(data + b"next") == (bytes(size), b"next")
        assert request_end(data + b"next", LIMITS) == len(data)


@pytest.mark.parametrize(
    "line",
    [
        "POST /x/gw/readings HTTP/1.0", "POST /x/GW/readings HTTP/1.1", "POST /x/gw/readings?a HTTP/1.1",
        "GET /x/gw/readings HTTP/1.1", "POST  /x/gw/readings HTTP/1.1", "POST /x/gw/../gw/readings HTTP/1.1",
    ],
)  # fmt: skip
def test_any_other_request_line_takes_the_usual_way(line: str) -> None:
    assert READINGS.fullmatch(f"{line}\r\nContent-Length: 0".encode()) is None
