"""A gateway's surroundings for tests: an authority on real TLS sockets, meters that count, a clock to turn by hand."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import ssl
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from free_ports import free_port

from edge_agent.agent.enrolment import enrol
from edge_agent.config import load_config
from edge_agent.state.keys import verify
from edge_agent.uplinks import UnreachableError
from edge_agent.wire.claim import Claim
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    NO_LOG_INDEX,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    Frame,
    Receipt,
    possession_message,
    record_hash,
    split_frames,
)

KEY_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _certificate(subject, public_key, issuer, issuer_key, *, ca=False, host=None):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if ca:
        signs = dict.fromkeys(KEY_USES, False) | {"key_cert_sign": True}
        builder = builder.add_extension(x509.KeyUsage(**signs), critical=True)
    if host:
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Ca:
    """The department's certificate authority."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _certificate("test CA", self.key.public_key(), "test CA", self.key, ca=True)
        self.pem = _pem(self.certificate)
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = base64.b32encode(hashlib.sha256(der).digest()[:10]).decode()
        self.file = directory / "ca.pem"
        self.file.write_text(self.pem)

    def server(self, name="server"):
        """Certificate and key files of a server on 127.0.0.1."""
        return self.files(name, host=True)

    def files(self, name, *, host=None):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        certificate.write_text(_pem(_certificate(name, key.public_key(), "test CA", self.key, host=host)))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key_file

    def sign(self, request: str):
        csr = x509.load_pem_x509_csr(request.encode())
        name = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return _pem(_certificate(name, csr.public_key(), "test CA", self.key))


class Authority:
    """The authority's side of docs/PROTOCOL.md as far as a gateway meets it, with switches for what can go wrong."""

    def __init__(self, directory: Path, *, epoch_seconds: int = 900) -> None:
        self.ca = Ca(directory)
        self.epoch_seconds = epoch_seconds
        self.network_id = b"campus-1"
        self.receipt_private = Ed25519PrivateKey.generate()
        self.receipt_key = self.receipt_private.public_key().public_bytes_raw()
        self.secret = base64.b32encode(b"0123456789").decode()
        self.lock = threading.RLock()
        self.logs: dict[bytes, list[tuple[Frame, Receipt]]] = {}
        self.keys: dict[str, bytes] = {}
        self.received: list[Frame] = []
        self.live: list[dict] = []
        self.statuses: list[dict] = []
        self.approved = True
        self.enrolments: dict[str, dict] = {}
        self.mqtt = None
        self.roles: dict[str, tuple[str, str]] = {}
        self.held: set[int] = set()
        self.before_readings = lambda frames: None
        self.after_readings = lambda receipts: receipts
        self.fail_with: list[tuple[int, dict]] = []
        self.requests: list[str] = []
        self.server = None
        self.port = free_port()  # it is stopped and started again there

    # -- what the collector does

    def accept(self, data: bytes) -> bytes:
        with self.lock:
            return b"".join(self._receipt(frame).to_bytes() for frame in split_frames(data))

    def _receipt(self, frame: Frame) -> Receipt:
        self.received.append(frame)
        log = self.logs.setdefault(frame.public_key, [])
        record = frame.record
        digest = record_hash(frame.record_bytes)
        expected = log[-1][0].record.sequence + 1 if log else 1
        for old, receipt in log:
            if old == frame:
                return receipt
        if frame.public_key not in self.keys.values():
            return self.sign(frame, VERDICT_REFUSED, "unknown_meter", expected)
        if not verify(frame.public_key, frame.signature, frame.record_bytes):
            return self.sign(frame, VERDICT_REFUSED, "bad_signature", expected)
        if record.network_id != self.network_id:
            return self.sign(frame, VERDICT_REFUSED, "wrong_network", expected)
        if record.sequence < expected:
            return self.sign(frame, VERDICT_REFUSED, "forked", expected)
        if record.sequence > expected:
            return self.sign(frame, VERDICT_PARKED, "sequence_gap", expected)
        if log and record.previous_hash != record_hash(log[-1][0].record_bytes)[:16]:
            return self.sign(frame, VERDICT_REFUSED, "forked", expected)
        assert digest
        verdict, code = (
            (VERDICT_HELD, "exceeds_nameplate") if record.sequence in self.held else (VERDICT_ACCEPTED, "ok")
        )
        receipt = self.sign(frame, verdict, code, expected + 1, index=sum(map(len, self.logs.values())))
        log.append((frame, receipt))
        return receipt

    def sign(self, frame, verdict, code, expected, index=NO_LOG_INDEX, **changes) -> Receipt:
        fields = {
            "verdict": verdict,
            "code": CODE_NUMBERS[code],
            "network_id": self.network_id,
            "meter_key": frame.public_key,
            "record_hash": record_hash(frame.record_bytes),
            "sequence": frame.record.sequence,
            "next_expected": expected,
            "log_index": index,
            "time": 0,
        }
        receipt = Receipt(**{**fields, **changes})
        receipt.signature = self.receipt_private.sign(receipt.body())
        return receipt

    def frames(self, key: bytes | None = None) -> list[Frame]:
        """What is in the log, of one key or of all."""
        with self.lock:
            keys = [key] if key is not None else list(self.logs)
            return [frame for one in keys for frame, _ in self.logs.get(one, [])]

    def head(self, key: bytes) -> bytes | None:
        with self.lock:
            log = self.logs.get(key)
            return None if not log else log[-1][0].to_bytes() + log[-1][1].to_bytes()

    # -- its HTTPS

    def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.ca.server())
        context.load_verify_locations(self.ca.file)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = _Server(("127.0.0.1", self.port), _handler(self), bind_and_activate=False)
        self.server.daemon_threads = True
        self.server.allow_reuse_address = True
        self.server.server_bind()
        self.server.server_activate()
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def claim(self, gateway: str) -> str:
        return f"{gateway}-{self.secret}-{self.ca.fingerprint}"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Gateways break off and distrust us as they are told to; any other fault is printed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError | ssl.SSLError):
            super().handle_error(request, client_address)


def _handler(authority: Authority):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def log_message(self, *arguments):
            pass

        def answer(self, status, body=b"", kind="application/json", **headers):
            data = json.dumps(body).encode() if not isinstance(body, bytes) else body
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if status != 204:
                self.wfile.write(data)

        def problem(self, status, code, detail="", **headers):
            body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
            self.answer(status, body, "application/problem+json", **headers)

        def body(self):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def name(self):
            certificate = self.connection.getpeercert()
            return dict(item[0] for item in certificate["subject"])["commonName"] if certificate else None

        def do_GET(self):
            self.route("GET", b"")

        def do_POST(self):
            self.route("POST", self.body())

        def route(self, method, body):
            path = self.path
            if authority.server is None:  # stopped: what was kept alive ends too
                self.close_connection = True
                return None
            authority.requests.append(f"{method} {path} {self.headers.get('Authorization')}")
            if path == "/api/v1/ca":
                return self.answer(200, authority.ca.pem.encode(), "application/x-pem-file")
            if path.startswith("/api/v1/enrolments"):
                return self.enrolment(method, path, body)
            gateway = path.split("/")[4]
            if self.name() != gateway:
                return self.problem(401 if self.name() is None else 403, "not_permitted")
            if authority.fail_with:
                status, headers = authority.fail_with.pop(0)
                return self.problem(status, "busy", "come back", **headers)
            if path.endswith("/readings"):
                authority.before_readings(body)
                receipts = authority.after_readings(authority.accept(body))
                return self.answer(200, receipts, "application/octet-stream")
            if path.endswith("/live"):
                authority.live.append(json.loads(body))
                return self.answer(204)
            if path.endswith("/status"):
                authority.statuses.append(json.loads(body))
                return self.answer(204)
            if path.endswith("/head"):
                head = authority.head(authority.keys[path.split("/")[6]])
                return self.answer(204) if head is None else self.answer(200, head, "application/octet-stream")
            return self.problem(404, "not_found")

        def enrolment(self, method, path, body):
            code = (self.headers.get("Authorization") or "").removeprefix("Claim ")
            _name, _, rest = code.partition(f"-{authority.secret}-")
            if rest != authority.ca.fingerprint:
                return self.problem(401, "claim_refused", "no such claim")
            if path == "/api/v1/enrolments":
                asked = json.loads(body)
                with authority.lock:
                    known = authority.enrolments.get("1")
                    if known is not None and {m["public_key"] for m in known["meters"]} != {
                        m["public_key"] for m in asked["meters"]
                    }:
                        return self.problem(409, "conflict", "this claim was used with other keys")
                    authority.enrolments["1"] = asked
                meters = [
                    {
                        "name": m["name"],
                        "meter_id": hashlib.sha256(m["serial"].encode()).hexdigest(),
                        "first_sequence": 1,
                    }
                    for m in asked["meters"]
                ]
                answer = {
                    "enrolment": "1",
                    "network_id": authority.network_id.hex(),
                    "epoch_seconds": authority.epoch_seconds,
                    "meters": meters,
                }
                return self.answer(201, answer)
            asked = authority.enrolments["1"]
            if path.endswith("/proofs"):
                proofs = json.loads(body)["proofs"]
                for meter in asked["meters"]:
                    message = possession_message(
                        first_sequence=1,
                        network_id=authority.network_id,
                        meter_id=hashlib.sha256(meter["serial"].encode()).digest(),
                        map_hash=MeterMap.from_dict(meter["map"]).hash(),
                    )
                    if not verify(bytes.fromhex(meter["public_key"]), bytes.fromhex(proofs[meter["name"]]), message):
                        return self.problem(400, "malformed", "a proof does not hold")
                asked["proven"] = True
                return self.answer(202, {"status": "pending"})
            if authority.approved != True or not asked.get("proven"):  # noqa: E712
                reason = {"reason": authority.approved} if isinstance(authority.approved, str) else {}
                return self.answer(200, {"status": "rejected" if reason else "pending", **reason})
            for meter in asked["meters"]:
                authority.keys[meter["name"]] = bytes.fromhex(meter["public_key"])
            credentials = {
                "certificate": authority.ca.sign(asked["csr"]),
                "ca_certificate": authority.ca.pem,
                "receipt_key": authority.receipt_key.hex(),
                "mqtt": authority.mqtt,
                "meters": [
                    {
                        "name": m["name"],
                        "meter_id": hashlib.sha256(m["serial"].encode()).hexdigest(),
                        "role": authority.roles.get(m["name"], ("building", "solar"))[0],
                        "source": authority.roles.get(m["name"], ("building", "solar"))[1],
                        "first_sequence": 1,
                    }
                    for m in asked["meters"]
                ],
            }
            return self.answer(200, {"status": "approved", "credentials": credentials})

    return Handler


GATEWAY = """
[gateway]
name = "dormitory-a"
state = "state"
authority = "{url}"
live_seconds = {live}

[uplink]
kind = "{kind}"
timeout = 5
"""

METER = """
[[meter]]
name = "{name}"
serial = "KFM-{name}"
port = "{port}"
[meter.map]
logical_device_name = "LDN-{name}"
capture_period = {period}
[meter.map.registers]
generation = ["1-0:2.8.0.255", 1]
consumption = ["1-0:1.8.0.255", 1]
"""


class Gateway:
    """A gateway.toml in a directory of its own, and its enrolment."""

    def __init__(self, directory: Path, authority: Authority, *, meters=("solar",), kind="https", live=0) -> None:
        self.authority = authority
        self.file = directory / "gateway.toml"
        text = GATEWAY.format(url=authority.url, kind=kind, live=live)
        for meter in meters:
            text += METER.format(name=meter, port=f"/dev/tty-{meter}", period=authority.epoch_seconds)
        self.file.write_text(text)

    @property
    def config(self):
        return load_config(self.file)

    def enrol(self):
        claim = Claim.parse(self.authority.claim("dormitory-a"))
        return enrol(self.config, claim, wait=False, sleep=time.sleep, tell=lambda text: None)


@pytest.fixture
def authority(tmp_path):
    """An authority with epochs of 900 s on a TLS port of its own."""
    directory = tmp_path / "authority"
    directory.mkdir()
    made = Authority(directory)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def make_gateway(tmp_path, authority):
    """Makes gateways, not enrolled yet."""

    def make(name="gateway", **options):
        directory = tmp_path / name
        directory.mkdir()
        return Gateway(directory, authority, **options)

    return make


@pytest.fixture
def evidence():
    """Sixteen bytes for a row."""
    return lambda interval_end: struct.pack("<qq", interval_end, 0)


class Clock:
    """A clock that stands until a test moves it. Both times move together."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.up = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.up

    def forward(self, seconds: float) -> None:
        self.now += seconds
        self.up += seconds


class CountingMeter:
    """A meter whose registers are a function of time, with a load profile of `depth` rows. Faults are set by tests."""

    def __init__(self, name: str, clock, *, period: int = 900, depth: int = 96) -> None:
        self.name = name
        self.clock = clock
        self.period = period
        self.depth = depth
        self.error = None
        self.missing: set[int] = set()
        self.extra_rows: list = []
        self.offset = 0
        self.modulus = None
        self.deviation = 0
        self.calls: list[tuple] = []
        self.live_error = None

    def generation(self, at: int) -> int:
        value = at // 10 + self.offset
        return value if self.modulus is None else value % self.modulus

    def open(self, settings, meter_map, observe):
        if self.error is not None:
            raise self.error
        return self

    def identity(self) -> str:
        return f"LDN-{self.name}"

    def clock_deviation(self):
        return self.deviation

    def rows(self, since: int, until: int):
        from edge_agent.meters import IntervalRow

        self.calls.append((since, until))
        if self.error is not None:
            raise self.error
        newest = int(self.clock.time()) // self.period * self.period
        ends = [newest - n * self.period for n in reversed(range(self.depth))]
        rows = [
            IntervalRow(
                interval_end=end,
                generation=self.generation(end),
                consumption=end // 5,
                evidence=struct.pack("<qq", end, 0),
            )
            for end in ends
            if since < end <= until and end not in self.missing
        ]
        return rows + self.extra_rows

    def power(self):
        if self.error is not None and self.live_error is None:
            raise self.error
        return -1500

    def close(self) -> None:
        pass


class InlinePort:
    """A serial line without a thread: requests are done when the test says so (at once, unless `silent`)."""

    def __init__(self, real) -> None:
        self.real = real
        self.silent = False
        self.waiting: list = []

    @property
    def meters(self):
        return self.real.meters

    def request(self, request) -> None:
        self.waiting.append(request)
        if not self.silent:
            self.answer()

    def answer(self) -> None:
        while self.waiting:
            self.real.handle(self.waiting.pop(0))


class DirectCarrier:
    """Carries batches straight into an authority, as a link that a test can cut and bend."""

    name = "https"

    def __init__(self, authority, events) -> None:
        self.authority = authority
        self.events = events
        self.up = True
        self.mute = False
        self.bend = lambda receipts: receipts
        self.sent: list = []
        self.heads: list[str] = []
        self.lives: list = []
        self.statuses: list = []
        self.head = lambda meter: authority.head(authority.keys[meter])

    @property
    def connected(self) -> bool:
        return self.up

    def send(self, batch, tries) -> None:
        from edge_agent.uplinks import BatchFailed, BatchSent, ReceiptsArrived

        if not self.up:
            self.events.emit(BatchFailed(batch, self.name, UnreachableError("the link is cut")))
            return
        self.sent.append((batch, tries))
        self.events.emit(BatchSent(batch, self.name))
        if not self.mute:
            self.events.emit(ReceiptsArrived(self.bend(self.authority.accept(batch.to_bytes())), self.name))

    def request_head(self, meter) -> None:
        from edge_agent.uplinks import HeadArrived, HeadFailed

        self.heads.append(meter)
        if not self.up:
            self.events.emit(HeadFailed(meter, UnreachableError("the link is cut")))
        else:
            self.events.emit(HeadArrived(meter, self.head(meter)))

    def live(self, powers) -> None:
        self.lives.append(powers)

    def status(self, status) -> None:
        self.statuses.append(status)


START = 1_750_000_500 // 900 * 900 + 10
"""Ten seconds past a boundary."""


class Bench:
    """One gateway's agent on a bench: real keys and journal; meters, link and clock in hand."""

    def __init__(self, gateway, *, quota=None) -> None:
        import random

        from edge_agent.agent.gateway import EventQueue
        from edge_agent.agent.loop import Agent
        from edge_agent.meters.lines import MeterLine
        from edge_agent.state.credentials import CredentialStore
        from edge_agent.state.journal import Journal
        from edge_agent.state.keys import KeyStore
        from edge_agent.state.status import StatusBoard

        self.gateway = gateway
        self.authority = gateway.authority
        self.config = gateway.config
        self.credentials = CredentialStore(self.config.state).load()
        self.clock = Clock(START)
        self.meters = {meter.name: CountingMeter(meter.name, self.clock) for meter in self.config.meters}
        self.keys = {meter.name: KeyStore(self.config.state).load(meter.name) for meter in self.config.meters}
        self.quota = quota or self.config.quota_frames

        def open_journal(damaged=False):
            self.journal = Journal.open(self.config.state / "journal.db", quota=self.quota, damaged=damaged)
            return self.journal

        def start():
            self.events = EventQueue()
            self.board = StatusBoard(self.config.name, self.clock.time)
            for meter in self.config.meters:
                self.board.add_meter(meter.name, port=meter.port)
            self.carrier = DirectCarrier(self.authority, self.events)
            self.ports = {
                meter.name: InlinePort(
                    MeterLine(
                        meter.port,
                        [meter],
                        self.meters[meter.name].open,
                        self.events.emit,
                        self.clock.time,
                        live_seconds=0,
                        observe=self.board.count,
                    )
                )
                for meter in self.config.meters
            }
            self.agent = Agent(
                self.config,
                self.credentials,
                self.keys,
                journal=open_journal(),
                reopen_journal=lambda: open_journal(True),
                board=self.board,
                carrier=self.carrier,
                lines=list(self.ports.values()),
                events=self.events,
                clock=self.clock,
                random=random.Random(7),  # noqa: S311
            )

        self._start = start
        start()

    def settle(self, rounds: int = 12) -> None:
        """Step until nothing moves at this instant."""
        for _ in range(rounds):
            self.agent.step()

    def forward(self, seconds: float, step: float = 20.0) -> None:
        """Turn the clock, stepping the agent on the way."""
        while seconds > 0:
            self.clock.forward(min(step, seconds))
            seconds -= step
            self.settle(3)

    def restart(self) -> None:
        """The process ends, and another starts on the same state directory."""
        self.agent.close()
        self._start()

    def log(self, meter="solar"):
        """The records in the authority's log."""
        return [frame.record for frame in self.authority.frames(self.keys[meter].public_key)]

    def errors(self, meter=None):
        snapshot = self.board.snapshot()
        errors = snapshot["errors"] if meter is None else snapshot["meters"][meter]["errors"]
        return {part: error["code"] for part, error in errors.items()}


@pytest.fixture
def make_bench(make_gateway):
    """Makes benches of enrolled gateways."""
    benches = []

    def make(*, quota=None, **options):
        gateway = make_gateway(**options)
        gateway.enrol()
        benches.append(Bench(gateway, quota=quota))
        return benches[-1]

    yield make
    for bench in benches:
        bench.agent.close()


@pytest.fixture
def bench(make_bench):
    """A bench with one meter, `solar`."""
    return make_bench()
