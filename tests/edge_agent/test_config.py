import tomllib

import pytest

from edge_agent.config import ConfigError, find_mistakes, host_and_port, load_config, parse_config

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


MISTAKES = [
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
    (
        'port = "/dev/ttyUSB0"',
        'port = "/dev/ttyUSB0"\ntcp = "h:1"',
        "meter 'solar'.tcp: a meter is reached in one way",
    ),
    ('port = "/dev/ttyUSB0"', 'tcp = "h:1"\nudp = "h:1"', "meter 'solar'.udp: a meter is reached in one way"),
    ('port = "/dev/ttyUSB0"', 'tcp = "10.0.0.7"', "meter 'solar'.tcp: '10.0.0.7' should be HOST:PORT"),
    ('port = "/dev/ttyUSB0"', 'udp = ""', "meter 'solar'.udp"),
    ('port = "/dev/ttyUSB0"', "tcp = 4059", "meter 'solar'.tcp"),
    ('port = "/dev/ttyUSB0"', 'tcp = "h:1"\nbaudrate = 9600', "meter 'solar'.baudrate: belongs to a serial line"),
    ('port = "/dev/ttyUSB0"', 'udp = "h:1"\nphysical = 17', "meter 'solar'.physical: belongs to a serial line"),
    ('port = "/dev/ttyUSB0"', 'udp = "h:1"\nprotocol = "push"', "meter 'solar'.protocol"),
    ('port = "/dev/ttyUSB0"', 'udp = "h:1"\nprotocol = "mode-c"', "meter 'solar'.protocol"),
    ('port = "/dev/ttyUSB0"', 'udp = "h:1"\nblock_window = 3', "meter 'solar'.block_window"),
    ('port = "/dev/ttyUSB0"', 'port = "p"\nprotocol = "push"\nblock_window = 3', "meter 'solar'.block_window"),
    ('port = "/dev/ttyUSB0"', 'tcp = "h:1"\nblock_window = 64', "meter 'solar'.block_window"),
    ("server = 1", "server = 16384", "meter 'solar'.server"),
    ("server = 1", "server = 65536", "meter 'solar'.server"),
]


@pytest.mark.parametrize(("old", "new", "says"), MISTAKES)
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


def test_a_meter_may_be_behind_a_network_module(tmp_path):
    tcp = TEXT.replace('port = "/dev/ttyUSB0"', 'tcp = "Meters-A.campus.example:4059"\nblock_window = 3')
    udp = SECOND.replace('port = "/dev/ttyUSB0"', 'udp = "[2001:DB8::7]:4059"')
    udp = udp.replace('"solar"', '"wind"', 1).replace('"KFM-1"', '"KFM-2"', 1).replace("client = 32", "client = 300")
    meter, other = load_config(write(tmp_path, tcp + udp)).meters
    assert (meter.tcp, meter.udp, meter.block_window) == (("meters-a.campus.example", 4059), None, 3)
    assert meter.port == "tcp://meters-a.campus.example:4059"
    assert (other.tcp, other.udp, other.client) == (None, ("2001:db8::7", 4059), 300)
    assert other.port == "udp://[2001:db8::7]:4059"


@pytest.mark.parametrize(("server", "says"), [("17", None), ("1", "the same server address on this line")])
def test_logical_devices_may_share_a_module(tmp_path, server, says):
    first = TEXT.replace('port = "/dev/ttyUSB0"', 'tcp = "[::1]:4059"')
    second = SECOND.replace('port = "/dev/ttyUSB0"', 'tcp = "[0:0::1]:4059"').replace(
        "server = 1", f"server = {server}"
    )
    second = second.replace('"solar"', '"wind"', 1).replace('"KFM-1"', '"KFM-2"', 1)
    if says is not None:
        with pytest.raises(ConfigError, match=says):
            load_config(write(tmp_path, first + second))
        return
    assert {meter.port for meter in load_config(write(tmp_path, first + second)).meters} == {"tcp://[::1]:4059"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.7:4059", ("10.0.0.7", 4059)),
        ("Hall_1.local:1", ("hall_1.local", 1)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
    ],
)
def test_hosts_and_ports(text, found):
    assert host_and_port(text) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "should be HOST:PORT"),
        ("host", "should be HOST:PORT"),
        (":4059", "names no host"),
        ("host:", "should be HOST:PORT"),
        ("host:0", "should be HOST:PORT"),
        ("host:65536", "should be HOST:PORT"),
        ("host:+1", "should be HOST:PORT"),
        ("host:١", "should be HOST:PORT"),
        ("host:" + "9" * 5000, "should be HOST:PORT"),
        ("::1:4059", "in brackets: .::1.:4059"),
        ("1:2:3", "no IPv6 address"),
        ("[10.0.0.7]:1", "no IPv6 address"),
        ("[]:1", "no IPv6 address"),
        ("10.0.0.300:1", "no IPv4 address"),
        ("10.0.7:1", "no IPv4 address"),
        ("tcp://h:1", "no IPv6 address"),
        ("a..b:1", "names no host"),
        ("me@host:1", "names no host"),
        ("häuser:1", "names no host"),
        ("x" * 254 + ":1", "names no host"),
    ],
)
def test_what_is_no_host_and_port(text, says):
    with pytest.raises(ValueError, match=says):
        host_and_port(text)


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


@pytest.mark.parametrize(("old", "new", "says"), MISTAKES)
def test_one_mistake_is_found_alone(tmp_path, old, new, says):
    found = find_mistakes(write(tmp_path, TEXT.replace(old, new, 1)))
    assert says in str(found[0])
    renamed = {"[gateway]", "[[meter]]", "[meter.map]"} & {old}  # an unknown table, and another that lacks
    assert len(found) == 1 or renamed, found


def test_every_mistake_is_found(tmp_path):
    """One of each entry's mistakes, all at once: a mistake hides no other."""
    apart = {}
    for old, new, says in MISTAKES:
        if old in TEXT and new and old not in ("[gateway]", "[[meter]]", "[meter.map]") and "=" in old:
            apart.setdefault(old, (new, says))
    text = TEXT
    for old, (new, _) in apart.items():
        text = text.replace(old, new, 1)
    told = [str(error) for error in find_mistakes(write(tmp_path, text))]
    assert len(apart) >= 8
    for new, says in apart.values():
        assert any(says in line for line in told), (new, says, told)


def test_a_right_file_has_no_mistake(tmp_path):
    assert find_mistakes(write(tmp_path, TEXT)) == []


def test_a_file_that_is_not_there_is_one_mistake(tmp_path):
    assert [error.code for error in find_mistakes(tmp_path / "nowhere.toml")] == ["config_invalid"]


def test_meters_that_are_not_apart_are_told_each(tmp_path):
    told = [str(error) for error in find_mistakes(write(tmp_path, TEXT + SECOND + SECOND))]
    assert sum("two meters have this name" in line for line in told) == 2
    assert sum("is also the serial" in line for line in told) == 2
    assert sum("same server and physical address" in line for line in told) == 2
