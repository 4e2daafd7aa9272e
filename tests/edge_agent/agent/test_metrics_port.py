"""The port for Prometheus: what it answers, and that a bad client holds nothing."""

from __future__ import annotations

import http.client
import socket

import pytest

from edge_agent.agent.metrics_port import CONTENT_TYPE, MAX_CLIENTS, MetricsPort


@pytest.fixture
def served():
    port = MetricsPort(("127.0.0.1", 0), lambda: "edge_agent_up 1\n")
    yield port
    port.close()


def fetch(port, path="/metrics", method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body


def test_metrics_are_served(served):
    assert fetch(served.port) == (200, CONTENT_TYPE, b"edge_agent_up 1\n")


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/metrics", "POST", 501)])
def test_there_is_nothing_else(served, path, method, status):
    assert fetch(served.port, path, method)[0] == status


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x00", b"GET " + b"a" * 100_000, b"GET /metrics HTTP/9\r\n\r\n"])
def test_what_is_no_request_costs_nothing(served, sent):
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as client:
        client.sendall(sent)
    assert fetch(served.port)[0] == 200


def test_silent_clients_take_their_places_and_no_more(served):
    silent = [socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in range(MAX_CLIENTS)]
    turned_away = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    assert turned_away.recv(1) == b""
    for client in [*silent, turned_away]:
        client.close()
    while True:  # their places are free once their threads have seen it
        try:
            assert fetch(served.port)[0] == 200
            break
        except (http.client.RemoteDisconnected, ConnectionResetError):
            continue


def test_a_port_that_is_taken_is_an_error(served):
    with pytest.raises(OSError, match="in use"):
        MetricsPort(("127.0.0.1", served.port), str)
