"""What happens to lines under people's hands: interrupted, pulled out, held by others, forbidden, shared."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
import tty

import pytest
from emulator_process import ENVIRONMENT, read_json, read_meter, register, start

from edge_agent.config import MeterSettings
from edge_agent.dlms.hdlc.frame import HdlcFrame
from edge_agent.dlms.hdlc.reader import FrameReader
from edge_agent.meters import open_meter
from edge_agent.meters.lines import MeterLine, MeterRead, ReadRequest
from edge_agent.wire.meter_map import MeterMap

METER = """
epoch_seconds = 900
start_epoch = -100
[line]
link = "m"
[[meter]]
logical_device_name = "KFM1000000000001"
max_pdu = 64
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "0"
  initial = 42
[[meter]]
logical_device_name = "KFM1000000000002"
server = 2
""" + register("1-0:1.8.0.255", initial=43)


@pytest.fixture
def emulator(tmp_path):
    running = start(tmp_path, METER)
    yield running
    running.stop()


class Tap:
    """A pty that passes everything on to another and notes what the reader sends; `pull` takes it away."""

    def __init__(self, port: str, after: int = 1 << 30, then=lambda tap: None) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave
        self._meter = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self._reader = FrameReader()
        self.frames: list[HdlcFrame] = []
        self._after, self._then = after, then
        self._pulled = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self.master, self._meter], [], [], 0.05)
            for source in ready:
                with contextlib.suppress(OSError):
                    data = os.read(source, 4096)
                    if source == self.master:
                        self.frames += [item for item in self._reader.receive(data) if isinstance(item, HdlcFrame)]
                        if len(self.frames) >= self._after:
                            self._after = 1 << 30
                            self._then(self)
                    os.write(self._meter if source == self.master else self.master, data)

    @property
    def kinds(self) -> list[str]:
        return [frame.kind for frame in self.frames]

    def pull(self) -> None:
        self._pulled = True
        os.close(self._slave)
        os.close(self.master)
        self._stop.set()

    def until_disconnected(self) -> None:
        """What the reader wrote last may still be on its way."""
        deadline = time.monotonic() + 60
        while self.kinds[-1] != "DISC":
            assert time.monotonic() < deadline, self.kinds
            time.sleep(0.02)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)
        for descriptor in (self._meter,) if self._pulled else (self.master, self._slave, self._meter):
            os.close(descriptor)  # once: its number may be another's by then


def _begin(*arguments: str, **options) -> subprocess.Popen[str]:
    """Start the command with Ctrl-C as a terminal gives it: whoever runs the tests in the background ignores it."""
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "edge_agent", *arguments],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
    finally:
        signal.signal(signal.SIGINT, ours)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("frames", [1, 2, 3, 9, 20])
def test_an_interrupted_reader_takes_the_link_down(emulator, number, frames):
    ready = threading.Event()
    tap = Tap(emulator.port, frames, lambda tap: ready.wait(60) and process.send_signal(number))
    try:
        process = _begin("read", "--port", tap.port, "--client", "16", "--timeout", "2")
        ready.set()
        out, err = process.communicate(timeout=60)
        assert process.returncode == (130 if number == signal.SIGINT else 143), err
        assert (out, err) == ("", "")
        tap.until_disconnected()
        assert read_json("--port", tap.port, "--client", "16")["meter"] == "KFM1000000000001"
    finally:
        tap.end()


def test_an_interrupted_scan_takes_the_link_down(emulator):
    ready = threading.Event()
    tap = Tap(emulator.port, 2, lambda tap: ready.wait(60) and process.send_signal(signal.SIGINT))
    try:
        process = _begin("scan", tap.port, "--client", "16", "--timeout", "2", "--baudrate", "19200")
        ready.set()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in err
        tap.until_disconnected()
    finally:
        tap.end()


@pytest.mark.parametrize("frames", [1, 2, 5, 12])
@pytest.mark.parametrize("command", ["read", "scan"])
def test_an_adapter_that_is_pulled_out_is_named(emulator, command, frames):
    tap = Tap(emulator.port, frames, Tap.pull)
    try:
        where = [tap.port] if command == "scan" else ["--port", tap.port]
        process = _begin(command, *where, "--client", "16", "--timeout", "1")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        last = err.splitlines()[-1]
        assert last.startswith(f"edge-agent: {tap.port} is gone"), err
        assert last.endswith("[no_port]")
        assert "Traceback" not in err
    finally:
        tap.end()


def test_a_port_that_another_process_holds_is_named_and_left_alone(emulator, tmp_path):
    hold = "import serial, sys; line = serial.Serial(sys.argv[1], exclusive=True); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, emulator.port],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "1\n"
        for command in (["read", "--client", "16", "--port"], ["scan"]):
            done = _begin(*command, emulator.port)
            _, err = done.communicate(timeout=60)
            assert done.returncode == 1
            assert f"{emulator.port} is in use by another process" in err
    finally:
        holder.communicate("\n", timeout=30)
    assert read_json("--port", emulator.port, "--client", "16")["meter"] == "KFM1000000000001"


def test_a_port_that_is_forbidden_is_named(tmp_path):
    master, slave = pty.openpty()
    try:
        name = os.ttyname(slave)
        os.chmod(name, 0o600)
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if not other:
            os.chmod(name, 0)
        # As another user the modules may be out of reach: what says no is the port alone.
        code = "import sys; from edge_agent.cli import main; import os; os.setgroups([]); os.setgid(65534); "
        code += "os.setuid(65534); sys.exit(main(sys.argv[1:]))"
        if not other:
            code = "import sys; from edge_agent.cli import main; sys.exit(main(sys.argv[1:]))"
        for command in (["read", "--client", "16", "--port", name], ["scan", name]):
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "from edge_agent.cli import main; main(['scan', '/none']); main(['read', '--port', '/none']); "
                    + code,
                    *command,
                ],
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 1, done.stderr
            assert f"no permission to open {name}: add this user to the group dialout" in done.stderr
    finally:
        os.close(master)
        os.close(slave)


def test_a_wrong_speed_is_guessed_at(tmp_path):
    """What a line at another speed brings is noise."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    stop = threading.Event()

    def noise():
        while not stop.is_set():
            if select.select([master], [], [], 0.05)[0]:
                os.write(master, bytes(byte * 37 % 256 | 0x80 for byte in os.read(master, 4096)))

    thread = threading.Thread(target=noise, daemon=True)
    thread.start()
    try:
        done = read_meter("--port", os.ttyname(slave), "--client", "16", "--timeout", "3")
        assert done.returncode == 1
        assert "not_dlms" in done.stderr
        assert "speed" in done.stderr
    finally:
        stop.set()
        thread.join(10)
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--timeout", "nan"], "--timeout"),
        (["--timeout", "-1"], "--timeout"),
        (["--timeout", "inf"], "--timeout"),
        (["--baudrate", "0"], "--baudrate"),
        (["--baudrate", "fast"], "--baudrate"),
        (["--key", "00"], "--key"),
        (["--system-title", "zz"], "--system-title"),
        (["--counter-from", "4294967296"], "--counter-from"),
        (["--range", "yesterday", "today"], "--range"),
        (["--client", "sixteen"], "--client"),
    ],
)
def test_options_that_make_no_sense_are_named_before_the_line_is_touched(options, word):
    done = read_meter("--port", "/nowhere", *([] if "--client" in options else ["--client", "16"]), *options)
    assert done.returncode == 2
    assert f"argument {word}: " in done.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--object", "1-0:1.8.0.255:0"], "bad_obis"),
        (["--object", "1-0:1.8.0.255:300"], "bad_obis"),
        (["--object", "1-0:1.8.0.255:\N{SUPERSCRIPT TWO}"], "bad_obis"),
        (["--range", "2026-01-02", "2026-01-01"], "bad_range"),
        (["--auth", "lls", "--password", "\udcff"], "mechanism_not_supported"),
        (["--server", "-1"], "bad_address"),
        (["--physical", "99999999"], "bad_address"),
    ],
)
def test_values_that_make_no_sense_are_named(emulator, options, code):
    done = read_meter("--port", emulator.port, "--client", "16", *options)
    assert done.returncode == 1
    assert done.stderr.startswith("edge-agent: "), done.stderr
    assert f" [{code}]\n" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["h:0", "h:\N{SUPERSCRIPT TWO}", "h:65536", ":1", "h"])
def test_addresses_that_are_none(address):
    for option in ("--tcp", "--udp"):
        done = read_meter(option, address, "--client", "16")
        assert done.returncode == 1
        assert "bad_address" in done.stderr


@pytest.mark.parametrize(("option", "value"), [("--client", "300"), ("--client", "-2"), ("--server", "999999999")])
def test_addresses_that_a_scan_cannot_ask(emulator, option, value):
    process = _begin("scan", emulator.port, option, value)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("edge-agent: ")
    assert "[bad_address]" in err


MAPS = {
    name: MeterMap.from_dict(
        {
            "capture_period": 900,
            "logical_device_name": f"KFM100000000000{number}",
            "registers": {"consumption": ["1-0:1.8.0.255", 1]},
        }
    )
    for number, name in enumerate(("first", "second", "dead"), 1)
}


def test_a_silent_meter_delays_the_others_of_its_line_and_stops_none(emulator):
    meters = [
        MeterSettings(
            name=name,
            serial=name,
            port=emulator.port,
            map=MAPS[name],
            server=server,
            timeout=0.3 if name == "dead" else 20.0,
        )
        for name, server in (("dead", 7), ("first", 1), ("second", 2))
    ]
    results: list[MeterRead] = []
    port = MeterLine(
        emulator.port,
        meters,
        open_meter,
        results.append,
        time.time,
        live_seconds=0,
        observe=lambda meter, stage, count: None,
    )
    boundary = int(time.time()) // 900 * 900
    for _ in range(3):
        results.clear()
        port.handle(ReadRequest(boundary, dict.fromkeys(("dead", "first", "second"), boundary - 9000)))
        assert [result.meter for result in results] == ["dead", "first", "second"]
        assert getattr(results[0].error, "code", None) == "timeout"
        assert [result.error for result in results[1:]] == [None, None]
        assert [{row.consumption for row in result.rows} for result in results] == [set(), {42}, {43}]
        assert len(results[1].rows) == len(results[2].rows) == 10


def test_a_line_that_is_pulled_out_and_put_back_is_read_again_whole(emulator, tmp_path):
    """The port's name stays (by-id), the device behind it is another."""
    link = tmp_path / "by-id"

    def pull(tap):
        link.unlink()  # the device's number may be another test's pty at once
        tap.pull()

    first = Tap(emulator.port, 12, pull)
    link.symlink_to(first.port)
    settings = MeterSettings(name="first", serial="1", port=str(link), map=MAPS["first"], timeout=20.0)
    results: list[MeterRead] = []
    port = MeterLine(
        str(link),
        [settings],
        open_meter,
        results.append,
        time.time,
        live_seconds=0,
        observe=lambda meter, stage, count: None,
    )
    boundary = int(time.time()) // 900 * 900
    request = ReadRequest(boundary, {"first": boundary - 9000})
    port.handle(request)
    port.handle(request)
    second = Tap(emulator.port)
    try:
        link.symlink_to(second.port)
        port.handle(request)
        port.handle(request)
        assert [getattr(result.error, "code", None) for result in results] == ["no_port", "no_port", None, None]
        assert [len(result.rows) for result in results] == [0, 0, 10, 10]
        assert "there is no port" in str(results[1].error)
    finally:
        first.end()
        second.end()


def test_what_was_mended_on_a_line_is_in_the_log_once(tmp_path, caplog):
    fault = '[[line.fault]]\nkind = "flip"\nanswer = 7\n'
    running = start(tmp_path, METER.replace("[[meter]]", fault + "[[meter]]", 1))
    settings = MeterSettings(name="first", serial="1", port=running.port, map=MAPS["first"], timeout=5.0)
    port = MeterLine(
        running.port,
        [settings],
        open_meter,
        lambda event: None,
        time.time,
        live_seconds=0,
        observe=lambda meter, stage, count: None,
    )
    boundary = int(time.time()) // 900 * 900
    with caplog.at_level("INFO", "edge_agent"):
        for _ in range(3):
            port.handle(ReadRequest(boundary, {"first": boundary - 9000}))
    running.stop()
    (told,) = [record for record in caplog.records if "disturbed" in record.getMessage()]
    assert told.fields["faults"] in ("bad_fcs (1)", "bad_hcs (1)")
