"""The HTTPS client against servers that misbehave, on real TLS sockets."""

import socket
import ssl
import threading
import time

import pytest

from edge_agent.state.credentials import CredentialStore
from edge_agent.uplinks import (
    AuthorityTime,
    Batch,
    BatchFailed,
    BatchSent,
    HeadArrived,
    HeadFailed,
    LinkChanged,
    ReceiptsArrived,
    UplinkError,
)
from edge_agent.uplinks.https import MAX_ANSWER, HttpsClient, HttpsUplink
from edge_agent.wire.reading import Frame


@pytest.fixture
def enrolled(make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    return gateway


@pytest.fixture
def context(enrolled):
    store = CredentialStore(enrolled.config.state)
    return store.tls_context(store.load())


@pytest.fixture
def client(authority, context):
    made = HttpsClient(("127.0.0.1", authority.port), context, timeout=30)
    yield made
    made.close()


@pytest.fixture
def misbehaving(authority, context):
    """A TLS server that answers every connection with the bytes given, then closes."""
    listeners = []

    def make(*answers, drip=None):
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(*authority.ca.server("misbehaving"))
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        served = []

        def serve():
            for answer in [*answers, *[answers[-1]] * 20]:
                try:
                    connection, _ = listener.accept()
                    with server_context.wrap_socket(connection, server_side=True) as tls:
                        served.append(tls.recv(65536))
                        tls.sendall(answer)
                        while drip:
                            tls.sendall(drip)
                            time.sleep(0.05)
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        return HttpsClient(listener.getsockname(), context, timeout=0.5 if drip else 30), served

    yield make
    for listener in listeners:
        listener.close()


def ok(body, headers=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), headers) + body


def test_a_connection_is_kept(authority, client):
    for _ in range(3):
        client.call("GET", "/api/v1/gateways/dormitory-a/meters/solar/head")
        connection = client._connection
        assert connection is not None
    assert client._connection is connection


def test_a_connection_that_the_server_dropped_is_made_again(authority, client):
    client.call("GET", "/api/v1/gateways/dormitory-a/meters/solar/head")
    client._connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.call("GET", "/api/v1/gateways/dormitory-a/meters/solar/head").status == 204


@pytest.mark.parametrize(
    ("status", "headers", "code", "retry_after"),
    [
        (400, {}, "malformed", None),
        (403, {}, "not_permitted", None),
        (404, {}, "not_found", None),
        (413, {}, "too_large", None),
        (429, {"Retry_After": "7"}, "busy", 7.0),
        (503, {"Retry_After": "99999999"}, "busy", 3600.0),
        (503, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "busy", None),
        (500, {}, "server_error", None),
        (302, {"Location": "https://elsewhere/"}, "server_error", None),
    ],
)
def test_errors_have_codes(authority, client, status, headers, code, retry_after):
    authority.fail_with = [(status, headers)]
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/api/v1/gateways/dormitory-a/meters/solar/head")
    assert (caught.value.code, caught.value.retry_after) == (code, retry_after)
    assert "come back" in str(caught.value)


def test_another_gateways_name_is_refused(client):
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/api/v1/gateways/dormitory-b/meters/solar/head")
    assert caught.value.code == "not_permitted"


def test_no_server_is_unreachable(authority, client):
    authority.stop()
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/")
    assert caught.value.code == "unreachable"


def test_a_server_of_another_ca_is_not_trusted(authority):
    client = HttpsClient(("127.0.0.1", authority.port), ssl.create_default_context(), timeout=30)
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/api/v1/ca")
    assert caught.value.code == "server_not_trusted"


def test_a_certificate_for_another_host_is_not_trusted(authority, context):
    client = HttpsClient(("127.0.0.2", authority.port), context, timeout=30)
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/api/v1/ca")
    assert caught.value.code in ("server_not_trusted", "unreachable")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "unreachable"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ncut short", "unreachable"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "unreachable"),
        (ok(b"x" * (MAX_ANSWER + 1)), "malformed_answer"),
    ],
)
def test_hostile_answers_end_in_an_error(misbehaving, answer, code):
    client, _ = misbehaving(answer)
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/")
    assert caught.value.code == code


def test_a_server_that_drips_does_not_hold_the_gateway(misbehaving):
    client, _ = misbehaving(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", drip=b"x")
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/")
    assert caught.value.code == "unreachable"


def test_a_problem_text_cannot_write_on_the_terminal(misbehaving):
    body = b'{"detail": "\\u001b[2Jgone", "code": "x\\ny"}'
    client, _ = misbehaving(b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_no_json(misbehaving, body):
    client, _ = misbehaving(ok(body))
    with pytest.raises(UplinkError) as caught:
        client.call("GET", "/").json()
    assert caught.value.code == "malformed_answer"


# -- the uplink


def make_uplink(client, now=1000.0):
    events = []
    return HttpsUplink("dormitory-a", client, events.append, lambda: now), events


def test_a_batch_brings_its_receipts(authority, client, enrolled):
    uplink, events = make_uplink(client)
    batch = Batch(("solar",), (1,), (Frame(bytes(96), bytes(32), bytes(64)),))
    authority.accept = lambda data: b"receipts"
    uplink.handle(batch)
    assert [type(event) for event in events] == [AuthorityTime, LinkChanged, BatchSent, ReceiptsArrived]
    assert events[-1].data == b"receipts"
    assert uplink.connected


def test_a_failed_batch_is_told_with_its_cause(authority, client):
    authority.stop()
    uplink, events = make_uplink(client)
    batch = Batch(("solar",), (1,), (Frame(bytes(96), bytes(32), bytes(64)),))
    uplink.handle(batch)
    assert [type(event) for event in events] == [BatchFailed, LinkChanged]
    assert events[0].error.code == "unreachable"
    assert not uplink.connected


def test_a_refused_call_does_not_take_the_link_down(authority, client):
    uplink, events = make_uplink(client)
    uplink.handle("head solar")
    assert isinstance(events[-1], HeadArrived)
    authority.fail_with = [(404, {})]
    uplink.handle("head solar")
    assert isinstance(events[-1], HeadFailed)
    assert uplink.connected


def test_a_head_of_another_size_is_none(misbehaving):
    client, _ = misbehaving(ok(bytes(359)))
    uplink, events = make_uplink(client)
    uplink.handle("head solar")
    failed = [event for event in events if isinstance(event, HeadFailed)]
    assert failed[0].error.code == "malformed_answer"


@pytest.mark.parametrize("date", [b"", b"Date: yesterday\r\n", b"Date: \r\n", b"Date: Tue, 99 Foo 9999\r\n"])
def test_a_wrong_date_tells_nothing(misbehaving, date):
    client, _ = misbehaving(ok(b"", date))
    assert client.call("GET", "/").date is None


def test_a_fault_of_ours_ends_one_exchange_only(client):
    uplink, events = make_uplink(client)
    call, client.call = client.call, lambda *arguments, **options: 1 // 0
    uplink.start()
    uplink.send(Batch(("solar",), (1,), (Frame(bytes(96), bytes(32), bytes(64)),)))
    uplink.request_head("solar")
    deadline = time.monotonic() + 60
    while len(events) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [type(event) for event in events] == [BatchFailed, HeadFailed]
    client.call = call
    uplink.request_head("solar")
    while not any(isinstance(event, HeadArrived) for event in events) and time.monotonic() < deadline:
        time.sleep(0.01)
    uplink.close()
    assert isinstance(events[-1], HeadArrived)


def test_live_power_of_several_meters_goes_in_one_call(authority, client):
    uplink, _ = make_uplink(client)
    uplink.live({"solar": {"power_w": 1, "time": 1}})
    uplink.live({"load": {"power_w": 2, "time": 2}})
    uplink.live({"solar": {"power_w": 3, "time": 3}})
    uplink.handle("tell live")
    assert authority.live == [{"meters": {"solar": {"power_w": 3, "time": 3}, "load": {"power_w": 2, "time": 2}}}]


def test_the_newest_status_wins(authority, client):
    uplink, _ = make_uplink(client)
    uplink.status({"n": 1})
    uplink.status({"n": 2})
    uplink.start()
    deadline = time.monotonic() + 60
    while not authority.statuses and time.monotonic() < deadline:
        time.sleep(0.01)
    uplink.close()
    assert authority.statuses == [{"n": 2}]
