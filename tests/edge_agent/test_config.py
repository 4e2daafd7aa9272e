import tomllib

import pytest

from edge_agent.config import ConfigError, load_config, parse_config

TEXT = """
[gateway]
name = "dormitory-a"
state = "state"
authority = "https://authority.campus.example:8443"

[uplink]
kind = "https"

[[meter]]
name = "solar"
serial = "KFM-1"
port = "/dev/ttyUSB0"
client = 32
server = 1
auth = "lls"
password = "12345678"
[meter.map]
logical_device_name = "KFM1000000000001"
capture_period = 900
[meter.map.registers]
generation = ["1-0:2.8.0.255", 1]
"""


def write(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


def test_a_whole_file_reads(tmp_path):
    config = load_config(write(tmp_path, TEXT))
    assert config.name == "dormitory-a"
    assert config.state == tmp_path / "state"
    assert config.authority_address == ("authority.campus.example", 8443)
    assert config.uplink.kind == "https"
    meter = config.meter("solar")
    assert (meter.baudrate, meter.bytesize, meter.parity, meter.stopbits) == (9600, 8, "N", 1)
    assert (meter.client, meter.server, meter.physical, meter.auth) == (32, 1, None, "lls")


def test_the_password_is_never_printed(tmp_path):
    assert "12345678" not in repr(load_config(write(tmp_path, TEXT)))


def test_a_password_may_lie_in_a_file_of_its_own(tmp_path):
    (tmp_path / "solar.password").write_text("hunter2\n")
    text = TEXT.replace('password = "12345678"', 'password_file = "solar.password"')
    assert load_config(write(tmp_path, text)).meter("solar").password == "hunter2"


SECOND = TEXT[TEXT.index("[[meter]]") :]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[gateway]", "[gate]", "gateway"),
        ('name = "dormitory-a"', "", "gateway.name: missing"),
        ('name = "dormitory-a"', 'name = "Dormitory A"', "gateway.name"),
        ('name = "dormitory-a"', 'name = "a/+/#"', "gateway.name"),
        ('name = "dormitory-a"', 'name = "authority-1"', "gateway.name"),
        ('name = "dormitory-a"', "name = 3", "gateway.name"),
        ("https://authority.campus.example:8443", "http://authority", "gateway.authority"),
        ("https://authority.campus.example:8443", "https://authority/api", "gateway.authority"),
        ("https://authority.campus.example:8443", "https://authority:99999", "gateway.authority"),
        ("https://authority.campus.example:8443", "https://me:secret@authority", "gateway.authority"),
        ('state = "state"', 'state = "state"\nstat = 1', "gateway.stat: not a key"),
        ('state = "state"', 'state = "state"\nlive_seconds = -1', "gateway.live_seconds"),
        ('state = "state"', 'state = "state"\nread_delay = nan', "gateway.read_delay"),
        ('state = "state"', 'state = "state"\nquota_frames = 1', "gateway.quota_frames"),
        ('kind = "https"', 'kind = "pigeon"', "uplink.kind"),
        ('kind = "https"', 'kind = ["https"]', "uplink.kind"),
        ('kind = "https"', "batch = 257", "uplink.batch"),
        ('port = "/dev/ttyUSB0"', "", "meter 'solar'.port: missing"),
        ('port = "/dev/ttyUSB0"', 'port = "/dev/ttyUSB0"\nbaudrate = 9601', "meter 'solar'.baudrate"),
        ('port = "/dev/ttyUSB0"', 'port = "/dev/ttyUSB0"\nparity = "X"', "meter 'solar'.parity"),
        ('port = "/dev/ttyUSB0"', 'port = "/dev/ttyUSB0"\nphysical = -1', "meter 'solar'.physical"),
        ('port = "/dev/ttyUSB0"', 'port = "/dev/ttyUSB0"\ntimeout = 0', "meter 'solar'.timeout"),
        ("client = 32", "client = 200", "meter 'solar'.client"),
        ("client = 32", "client = true", "meter 'solar'.client"),
        ('password = "12345678"', "", "meter 'solar'.password: missing"),
        ('auth = "lls"', 'auth = "none"', "meter 'solar'.auth"),
        ('password = "12345678"', 'password_file = "nowhere"', "meter 'solar'.password_file"),
        ("capture_period = 900", "", "meter 'solar'.map.capture_period: missing"),
        ('generation = ["1-0:2.8.0.255", 1]', "generation = 1", "meter 'solar'.map.registers.generation"),
        ("[meter.map]", "[meter.card]", "meter 'solar'.map.logical_device_name: missing"),
        ("[[meter]]", "[meter]", "meter"),
        ("[[meter]]", "[[metre]]", "metre: not a key"),
    ],
)
def test_an_error_names_file_and_key(tmp_path, old, new, says):
    path = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "two meters have this name"),
        ({'"solar"': '"wind"'}, "also the serial"),
        ({'"solar"': '"wind"', '"KFM-1"': '"KFM-2"'}, "same server and physical address"),
        (
            {'"solar"': '"wind"', '"KFM-1"': '"KFM-2"', "server = 1": "server = 2\nbaudrate = 2400"},
            "shares this line",
        ),
    ],
)
def test_meters_must_be_apart(tmp_path, changes, says):
    second = SECOND
    for old, new in changes.items():
        second = second.replace(old, new, 1)
    with pytest.raises(ConfigError, match=says):
        load_config(write(tmp_path, TEXT + second))


def test_two_meters_may_share_a_line(tmp_path):
    second = SECOND.replace('"solar"', '"wind"', 1).replace('"KFM-1"', '"KFM-2"', 1).replace("server = 1", "server = 2")
    assert len(load_config(write(tmp_path, TEXT + second)).meters) == 2


@pytest.mark.parametrize("content", [b"[gateway", b"\xff\xfe", b""])
def test_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "gateway.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"gateway\.toml"):
        load_config(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "gateway.toml")


def test_defaults_need_no_uplink_table(tmp_path):
    data = tomllib.loads(TEXT)
    del data["uplink"]
    assert parse_config(tmp_path / "gateway.toml", data).uplink.kind == "auto"
