"""General-block-transfer with emulated meters over real lines: whole profiles, long requests, and what goes wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from emulator_process import read_json, read_meter, start
from fake_line import Clock, FakeTransport

from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.conformance import BLOCK_ACTION, BLOCK_GET, BLOCK_SET, DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.general_block_transfer import GeneralBlockTransfer
from edge_agent.dlms.axdr import ARRAY, OCTET_STRING, STRUCTURE, UINT8, plain
from edge_agent.dlms.client import Client
from edge_agent.dlms.cosem.activity_calendar import ActivityCalendar
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.hdlc.address import encode_address
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.security import Security
from edge_agent.emulator.config import ConfigError, EmulatorConfig
from edge_agent.emulator.fault_kinds import BLOCK_FAULTS, ON_THE_LINE, Fault
from edge_agent.emulator.line import EmulatedLine
from edge_agent.emulator.session import spoilt
from edge_agent.meters.connection import Connection, HdlcLine, WrapperLine
from edge_agent.meters.transport import SerialTransport, TcpTransport, UdpTransport

KEY = "000102030405060708090a0b0c0d0e0f"
AUTH_KEY = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
FILE = f"""
epoch_seconds = 86400  # so long that the profile gets no row while a test reads it twice
start_epoch = -200
[line]
{{line}}
[[meter]]
logical_device_name = "KFM1000000000001"
max_pdu = {{pdu}}
block_window = {{offered}}
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{KEY}"
  auth_key = "{AUTH_KEY}"
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "4000"
  [meter.activity_calendar]
"""
PROFILE = ProfileGeneric("1-0:99.1.0.255").attribute("buffer")
CALENDAR = ActivityCalendar("0-0:13.0.0.255")
TABLE = CALENDAR.attribute("day_profile_table_passive")
ONLY_BLOCKS = (DEFAULT | GENERAL_BLOCK_TRANSFER) & ~(BLOCK_GET | BLOCK_SET | BLOCK_ACTION)
PTY = 'link = "m"\ncontrol = "control"\nmax_information = {size}\nwindow = {frames}'


def _counter(start):
    state = [start]

    def following():
        state[0] += 1
        return state[0]

    return following


def _security(start=100, **options):
    return Security(
        system_title=b"GATEWAY1",
        key=bytes.fromhex(KEY),
        authentication_key=bytes.fromhex(AUTH_KEY),
        next_counter=_counter(start),
        challenge=b"a challenge of 1",
        **options,
    )


class _Reader:
    """An association over a real line, and the blocks that came."""

    def __init__(self, link, window, security=None):
        self.seen = []
        self.client = Client(None, security, ONLY_BLOCKS, received=self.seen.append, window=window)
        self.connection = Connection(link, self.client)
        self.connection.open()

    def rows(self):
        self.seen.clear()
        return plain(self.connection.run(self.client.get(PROFILE)))

    @property
    def blocks(self):
        return [GeneralBlockTransfer.from_bytes(apdu) for apdu in self.seen if apdu[0] == 0xE0]

    def close(self):
        self.connection.close()


def _hdlc(port, client=16, size=128, frames=1):
    parameters = LinkParameters(size, size, frames, frames)
    link = HdlcClientLink(encode_address(client), encode_address(1), parameters)
    return HdlcLine(SerialTransport(port), link, timeout=20)


def _command(directory, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        control.sendto(text.encode(), str(directory / "control"))


@pytest.mark.parametrize(("size", "frames"), [(128, 1), (64, 7), (512, 3)])
def test_whole_profiles_in_windows_over_a_pty(tmp_path, size, frames):
    running = start(tmp_path, FILE.format(line=PTY.format(size=size, frames=frames), pdu=200, offered=63))
    try:
        whole = None
        for security in (None, _security(), _security(1000, general=True), _security(2000, dedicated_key=bytes(16))):
            for window in (1, 3, 63):
                if security is not None:
                    security.next_counter = _counter(security.next_counter() + 1)
                reader = _Reader(_hdlc(running.port, 16 if security is None else 1, size, frames), window, security)
                rows = reader.rows()
                assert len(rows) == 96
                whole = whole or rows
                assert rows == whole
                streams = [block.streaming for block in reader.blocks]
                assert streams.count(True) == (0 if window == 1 else len(streams) - streams.count(False))
                assert streams.count(False) == 1 + -(-(len(streams) - 1) // window)
                reader.close()
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("kind", ["pty", "tcp", "udp"])
def test_long_requests_go_in_blocks_too(tmp_path, kind):
    line = PTY.format(size=128, frames=7) if kind == "pty" else f'{kind} = "127.0.0.1:0"'
    running = start(tmp_path, FILE.format(line=line, pdu=128, offered=4))
    table = (
        ARRAY,
        [(STRUCTURE, [(UINT8, day), (ARRAY, [(OCTET_STRING, bytes([day] * 40))])]) for day in range(1, 40)],
    )
    try:
        for client, security in ((16, None), (1, _security())):
            if kind == "pty":
                link = _hdlc(running.port, client, 128, 7)
            else:
                host, port = running.port.rsplit(":", 1)
                transport = TcpTransport(host, int(port), 20) if kind == "tcp" else UdpTransport(host, int(port))
                link = WrapperLine(transport, client, 1, timeout=20)
            reader = _Reader(link, 3, security)
            reader.connection.run(reader.client.set(TABLE, table))
            assert reader.connection.run(reader.client.get(TABLE)) == table
            assert len(reader.rows()) == 96
            unknown = reader.client.action(CosemAttribute(8, bytes(6), 1), table)
            with pytest.raises(DlmsError) as refused:
                reader.connection.run(unknown)
            assert refused.value.code == "object_undefined"
            reader.close()
    finally:
        assert running.stop() == 0


NAMED = {"refused_block": "exception_other_reason", "aborted_blocks": "transfer_aborted", "endless_blocks": "too_long"}
MENDED = {
    "lost_block": {"missing_block"},
    "doubled_block": {"doubled_block"},
    "swapped_blocks": {"block_out_of_order"},
}


@pytest.mark.parametrize("auth", ["none", "gmac"])
def test_what_goes_wrong_with_blocks_is_mended_or_named(tmp_path, auth):
    running = start(tmp_path, FILE.format(line=PTY.format(size=512, frames=7), pdu=200, offered=63))
    security = None if auth == "none" else _security()
    try:
        link = _hdlc(running.port, 16 if auth == "none" else 1, 512, 7)
        reader = _Reader(link, 8, security)
        whole = reader.rows()
        sound = [block.block_number for block in reader.blocks]
        assert sound == list(range(1, len(sound) + 1))
        for fault in BLOCK_FAULTS:
            _command(tmp_path, fault)
            if fault in NAMED:
                with pytest.raises(DlmsError) as caught:
                    reader.rows()
                assert caught.value.code == NAMED[fault], fault
                reader.connection.abandon()
                reader.connection.open()
            else:
                assert reader.rows() == whole, fault
                assert set(link.faults) == MENDED[fault]
                link.faults.clear()
                numbers = [block.block_number for block in reader.blocks]
                assert numbers != sound, fault
                assert sorted(set(numbers)) == sound
            # The next reading is as ever.
            assert reader.rows() == whole
            assert [block.block_number for block in reader.blocks] == sound
            assert not link.faults
        reader.close()
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("kind", [*ON_THE_LINE, "busy"])
@pytest.mark.parametrize("frames", [1, 7])
def test_what_a_line_does_to_streams_is_mended_below_them(kind, frames):
    meter = {
        "logical_device_name": "A",
        "max_pdu": 100,
        "block_window": 63,
        "register": [{"obis": "1-0:1.8.0.255", "power": "4000"}],
    }
    data = {"start_epoch": -9, "line": {"window": frames, "max_information": 64}, "meter": [meter]}
    parameters = LinkParameters(64, 64, frames, frames)
    for answer in range(3, 16):
        clock = Clock(1_780_000_000)
        line = EmulatedLine.build(EmulatorConfig.from_dict(data, Path()), clock.time)
        transport = FakeTransport(line, clock, [Fault(kind, answer, seconds=0.6)])
        link = HdlcLine(
            transport, HdlcClientLink(encode_address(16), encode_address(1), parameters), clock=clock.monotonic
        )
        reader = _Reader(link, 5)
        rows = reader.rows()
        assert [row[1] for row in rows] == [1000 * at for at in range(10)], answer
        numbers = [block.block_number for block in reader.blocks]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 2
        assert reader.rows() == rows, answer


def test_the_end_of_a_stream_that_is_lost(tmp_path):
    """With window 1 the lost block is all there is of the stream: the meter says nothing, and is asked again."""
    running = start(tmp_path, FILE.format(line=PTY.format(size=512, frames=7), pdu=200, offered=63))
    try:
        for window in (1, 2):
            reader = _Reader(_hdlc(running.port, 16, 512, 7), window)
            whole = reader.rows()
            _command(tmp_path, "lost_block")
            assert reader.rows() == whole, window
            assert set(reader.connection.link.faults) == {"missing_block"}
            assert reader.rows() == whole
            reader.close()
    finally:
        assert running.stop() == 0


def test_a_reboot_in_the_midst_of_blocks(tmp_path):
    running = start(tmp_path, FILE.format(line=PTY.format(size=128, frames=1), pdu=200, offered=63))
    try:
        reader = _Reader(_hdlc(running.port), 8)
        whole = reader.rows()
        conversation = reader.client.get(PROFILE)
        first = reader.connection.link.exchange(next(conversation))
        acknowledgement = conversation.send(first)
        _command(tmp_path, "reboot")
        with pytest.raises(DlmsError) as caught:
            reader.connection.link.exchange(acknowledgement)
        assert caught.value.code == "disconnected"
        conversation.close()
        reader.connection.abandon()
        reader.connection.open()
        assert reader.rows() == whole
        reader.close()
    finally:
        assert running.stop() == 0


def test_the_read_command_proposes_blocks(tmp_path):
    running = start(tmp_path, FILE.format(line='link = "m"', pdu=200, offered=3))
    try:
        options = ("--port", running.port, "--client", "16")
        plainly = read_json(*options)
        assert len(plainly["profile"]) == 96
        for window in ("1", "3", "63"):
            assert read_json(*options, "--block-window", window)["profile"] == plainly["profile"]
        done = read_meter(*options, "--block-window", "64")
        assert done.returncode == 2
    finally:
        assert running.stop() == 0


def test_what_becomes_of_a_stream():
    stream = [GeneralBlockTransfer(at == 5, at, 1, bytes([at]), at < 5, 5).to_bytes() for at in range(2, 6)]

    def numbers(fault):
        return [GeneralBlockTransfer.from_bytes(item).block_number for item in spoilt(fault, list(stream))]

    assert numbers("lost_block") == [2, 4, 5]
    assert numbers("doubled_block") == [2, 3, 3, 4, 5]
    assert numbers("swapped_blocks") == [2, 4, 3, 5]
    assert numbers("aborted_blocks") == [2, 3]
    assert spoilt("refused_block", list(stream))[1:] == [bytes.fromhex("d80103")]
    assert len(numbers("endless_blocks")) > 300
    assert spoilt("lost_block", stream[:1]) == []


@pytest.mark.parametrize("window", [-1, 64, "3"])
def test_windows_that_do_not_exist_are_named(window):
    with pytest.raises(ConfigError, match="block_window"):
        EmulatorConfig.from_dict({"meter": [{"logical_device_name": "A", "block_window": window}]}, None)
