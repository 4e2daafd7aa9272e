"""JSON-RPC over HTTP as a hostile or careless client meets it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authority.validator.jsonrpc import MAX_BATCH, answer
from authority.validator.methods import Methods
from authority.validator.server import MAX_BODY

JSON = {"Content-Type": "application/json"}
HEALTH = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
CHUNKED = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = {"jsonrpc": "2.0", "result": "ok", "id": 1}


def post(server: Any, body: bytes | str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    connection.request("POST", "/", body, JSON if headers is None else headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, data


def _batch(count: int) -> str:
    """So many calls, in as few bytes as a call has."""
    return "[" + ",".join(['{"jsonrpc":"2.0","id":1,"method":"getHealth"}'] * count) + "]"


def raw(server: Any, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received


class TestJsonRpc:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", -32700),
            (b"{", -32700),
            (b"nonsense", -32700),
            (b"\xff\xfe{}", -32700),
            (b'{"jsonrpc": "2.0", "id": NaN, "method": "getHealth"}', -32700),
            (b"[" * 40_000, -32700),
            (b'{"id": ' + b"9" * 5_000 + b"}", -32700),
            (b"[]", -32600),
            (b"7", -32600),
            (b'"text"', -32600),
            (b"null", -32600),
            (b"{}", -32600),
            (b'{"jsonrpc": "1.0", "id": 1, "method": "getHealth"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', -32600),
            (b'{"jsonrpc": "2.0", "id": {}, "method": "getHealth"}', -32600),
            (b'{"jsonrpc": "2.0", "id": true, "method": "getHealth"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "noSuchMethod"}', -32601),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "__class__"}', -32601),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": {"a": 1}}', -32602),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": [1]}', -32602),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": "x"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": 0}', -32600),
        ],
    )
    def test_wrong_requests_get_their_code(self, server: Any, body: bytes, code: int) -> None:
        status, data = post(server, body)
        answered = json.loads(data)
        assert (status, answered["jsonrpc"], answered["error"]["code"]) == (200, "2.0", code)

    @pytest.mark.parametrize("call_id", [1, 0, -5, "text", "", None, 1.5])
    def test_the_id_comes_back(self, server: Any, call_id: Any) -> None:
        _, data = post(server, json.dumps({**HEALTH, "id": call_id}))
        assert json.loads(data) == {**OK, "id": call_id}

    def test_a_batch_is_answered_in_order(self, server: Any) -> None:
        batch = [HEALTH, {**HEALTH, "id": 2, "method": "no"}, 7, {"jsonrpc": "2.0", "method": "getHealth"}]
        answers = json.loads(post(server, json.dumps(batch))[1])
        assert answers[0] == OK
        assert [item.get("error", {}).get("code") for item in answers] == [None, -32601, -32600]

    def test_notifications_have_no_answer(self, server: Any) -> None:
        notification = {"jsonrpc": "2.0", "method": "getHealth"}
        assert post(server, json.dumps(notification)) == (200, b"")
        assert post(server, json.dumps([notification] * 2)) == (200, b"")

    def test_a_batch_has_a_bound(self, server: Any) -> None:
        assert json.loads(post(server, _batch(MAX_BATCH + 1))[1])["error"]["code"] == -32600
        assert len(json.loads(post(server, _batch(MAX_BATCH))[1])) == MAX_BATCH

    def test_the_answers_of_a_batch_have_a_bound(self, machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("authority.validator.jsonrpc.MAX_BATCH_ANSWER", 100)
        notification = {"jsonrpc": "2.0", "method": "getHealth"}
        batch = [HEALTH] * 3 + [notification, {**HEALTH, "id": 7}, {**HEALTH, "id": []}, 5]
        answers = json.loads(answer(Methods(machine.bank), json.dumps(batch).encode()) or "")
        assert answers[:3] == [OK] * 3
        assert [(item["id"], item["error"]["code"]) for item in answers[3:]] == [
            (7, -32600),
            (None, -32600),
            (None, -32600),
        ]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
    @given(data=st.data())
    def test_any_parameters_give_a_result_or_a_known_error(self, machine: Any, data: Any) -> None:
        methods = Methods(machine.bank)
        value = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=90),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=6,
        )
        method = data.draw(st.sampled_from(sorted(methods._calls)))
        params = data.draw(st.lists(value, max_size=4))
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answered = json.loads(answer(methods, json.dumps(request).encode()) or "", parse_constant=pytest.fail)
        if "error" in answered:
            assert answered["error"]["code"] != -32603


class TestHttp:
    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
    def test_another_content_type(self, server: Any, kind: str) -> None:
        assert post(server, json.dumps(HEALTH), {"Content-Type": kind})[0] == 415

    def test_a_charset_is_fine(self, server: Any) -> None:
        headers = {"Content-Type": "Application/JSON; charset=utf-8"}
        assert json.loads(post(server, json.dumps(HEALTH), headers)[1]) == OK

    def test_the_body_has_a_bound(self, server: Any) -> None:
        padded = json.dumps(HEALTH).encode()
        assert json.loads(post(server, padded + b" " * (MAX_BODY - len(padded)))[1]) == OK
        assert raw(
            server, b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 51201\r\n\r\n"
        ).startswith(b"HTTP/1.1 413")

    @pytest.mark.parametrize("length", ["", "-1", "x", "1e3", "99999999999999999999"])
    def test_lengths_that_make_no_sense(self, server: Any, length: str) -> None:
        request = f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        assert raw(server, request.encode()).split(b" ")[1] in (b"411", b"413")

    @pytest.mark.finding("authority-16")
    @given(cuts=st.lists(st.integers(1, 60), max_size=8), extended=st.booleans(), trailer=st.integers(0, 3))
    def test_a_body_in_chunks(self, shared_server: Any, cuts: list[int], extended: bool, trailer: int) -> None:
        """However it is cut, with extensions and a trailer; and the connection serves the next request."""
        body = json.dumps(HEALTH).encode()
        chunks = b""
        rest = body
        for size in [*cuts, len(body)]:
            piece, rest = rest[:size], rest[size:]
            if piece:
                extension = b';name="value"' if extended else b""
                chunks += f"{len(piece):X}".encode() + extension + b"\r\n" + piece + b"\r\n"
        chunks += b"0\r\n" + b"Checksum: 1\r\n" * trailer + b"\r\n"
        answers = raw(shared_server, CHUNKED + chunks + CHUNKED + chunks)
        assert answers.count(b"HTTP/1.1 200 OK") == 2
        assert answers.count(json.dumps(OK, separators=(",", ":")).encode()) == 2

    @pytest.mark.finding("authority-16")
    @pytest.mark.parametrize(
        ("chunks", "status"),
        [
            (b"x\r\n", b"400"),
            (b"-1\r\n", b"400"),
            (b"0x5\r\n", b"400"),
            (b"\r\n", b"400"),
            (b"5\nhello\n0\n\n", b"400"),
            (b"3\r\nhello\r\n0\r\n\r\n", b"400"),
            (b"1;" + b"e" * 5_000 + b"\r\n{", b"400"),
            (b"C801\r\n", b"413"),
            (b"fffffffffffffffffff\r\n", b"413"),
            (b"C800\r\n" + b" " * 51_200 + b"\r\n1\r\n", b"413"),
            (b"0\r\n" + b"T: 1\r\n" * 100, b"431"),
        ],
    )
    def test_chunks_that_are_none(self, server: Any, chunks: bytes, status: bytes) -> None:
        assert raw(server, CHUNKED + chunks).startswith(b"HTTP/1.1 " + status)
        assert json.loads(post(server, json.dumps(HEALTH))[1]) == OK

    @pytest.mark.finding("authority-16")
    @pytest.mark.parametrize("sent", [b"", b"5", b"5\r\n", b"5\r\nhel", b"5\r\nhello", b"0\r\n", b"0\r\nT: 1\r\n"])
    def test_chunks_cut_short_have_no_effect(self, server: Any, sent: bytes) -> None:
        assert raw(server, CHUNKED + sent) == b""

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"400"),
            (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"411"),
            (b"Transfer-Encoding: gzip, chunked\r\n", b"501"),
            (b"Transfer-Encoding: identity\r\n", b"501"),
        ],
    )
    def test_a_body_of_two_lengths_is_refused(self, server: Any, headers: bytes, status: bytes) -> None:
        """Two servers in a row could take such a request for two different ones."""
        request = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\n" + headers + b"\r\n0\r\n\r\n"
        assert raw(server, request).startswith(b"HTTP/1.1 " + status)

    @pytest.mark.finding("authority-16")
    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_client_that_asks_first_is_told_to_send(self, server: Any, chunked: bool) -> None:
        body = json.dumps(HEALTH).encode()
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        head = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nExpect: 100-Continue\r\n" + length + b"\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=60) as connection:
            connection.sendall(head)
            assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")

    @pytest.mark.finding("authority-16")
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            (b"Content-Type: application/json\r\nContent-Length: 51201", b"413"),
            (b"Content-Type: text/plain\r\nContent-Length: 5", b"415"),
            (b"Content-Type: application/json", b"411"),
        ],
    )
    def test_what_would_be_refused_is_not_asked_for(self, server: Any, headers: bytes, status: bytes) -> None:
        request = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\n" + headers + b"\r\n\r\n"
        assert raw(server, request).startswith(b"HTTP/1.1 " + status)

    def test_a_body_cut_short_has_no_effect(self, server: Any) -> None:
        body = json.dumps(HEALTH).encode()
        head = f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body) + 5}\r\n\r\n"
        assert raw(server, head.encode() + body) == b""

    @pytest.mark.parametrize("noise", [b"\x00" * 100, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"A" * 70_000])
    def test_noise_ends_its_connection_alone(self, server: Any, noise: bytes) -> None:
        raw(server, noise)
        assert json.loads(post(server, json.dumps(HEALTH))[1]) == OK

    def test_other_methods(self, server: Any) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
        for method, path, status in (
            ("GET", "/health", 200),
            ("GET", "/", 405),
            ("PUT", "/", 405),
            ("DELETE", "/", 405),
            ("HEAD", "/", 405),
            ("OPTIONS", "/", 200),
        ):
            connection.request(method, path)
            response = connection.getresponse()
            text = response.read()
            assert response.status == status, method
            assert response.headers["Access-Control-Allow-Origin"] is None
            if path == "/health":
                assert text == b"ok"
            connection.close()

    def test_a_connection_serves_many_calls(self, server: Any) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
        for _ in range(50):
            connection.request("POST", "/", json.dumps(HEALTH), JSON)
            assert json.loads(connection.getresponse().read()) == OK
        connection.close()

    def test_many_connections_at_once(self, server: Any) -> None:
        answers: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: answers.append(post(server, json.dumps(HEALTH))[1])) for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [json.loads(item) for item in answers] == [OK] * 40

    def test_connections_beyond_the_bound_are_turned_away(self, server: Any) -> None:
        server._places = threading.BoundedSemaphore(2)
        held = [socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=60) for _ in range(2)]
        for connection in held:  # each has its place once it has been answered
            body = json.dumps(HEALTH).encode()
            connection.sendall(
                f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=60) as third:
            assert third.recv(100).startswith(b"HTTP/1.1 503")
        for connection in held:
            connection.close()
