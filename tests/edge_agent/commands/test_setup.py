"""`edge-agent setup` at a terminal, with emulated meters on real ptys, an authority on real TLS, and answers typed."""

from __future__ import annotations

import subprocess
import tomllib

import pytest
from at_a_terminal import AtATerminal, edge_agent
from emulator_process import ENVIRONMENT, ROOT, gmac_client, register, start

from edge_agent.config import load_config
from edge_agent.state.credentials import CredentialStore

METER = '[line]\nlink = "meter"\n{line}\n[[meter]]\nlogical_device_name = "KFM1000000000001"\n{more}\n'
PUBLIC = "  [[meter.client]]\n  address = 16\n"
KEY, AUTH_KEY = bytes(range(16)), bytes(range(16, 32))


@pytest.fixture
def place(tmp_path):
    """Starts emulators and commands in a directory of their own, and ends them."""
    running = []

    class Place:
        path = tmp_path
        file = tmp_path / "gateway.toml"

        def meter(self, text, name="emulator"):
            (tmp_path / name).mkdir()
            emulator = start(tmp_path / name, text)
            running.append(emulator)
            return emulator.port

        def setup(self, *words):
            command = AtATerminal(edge_agent("setup", "--config", str(self.file), *words), tmp_path)
            running.append(command)
            return command

    yield Place()
    for each in running:
        each.stop()


def public_meter(*registers, line="", more=""):
    return METER.format(line=line, more=PUBLIC + more) + "".join(registers)


def flags(port, authority=None, **more):
    given = {
        "--claim": "later" if authority is None else authority.claim("north-hall"),
        "--authority": "https://localhost:1" if authority is None else authority.url,
        "--state": "state",
        "--port": port,
        "--listen": "0",
        "--client": "16",
        "--baudrate": "9600",
        **({"--name": "north-hall"} if authority is None else {}),
        **{f"--{name.replace('_', '-')}": value for name, value in more.items()},
    }
    return [word for pair in given.items() for word in pair]


def done(place, *words):
    command = subprocess.run(
        edge_agent("setup", "--config", str(place.file), *words),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "Traceback" not in command.stderr, command.stderr
    return command


def test_a_person_goes_from_an_unknown_meter_to_an_enrolled_gateway(place, authority):
    with_profile = "epoch_seconds = 900\nstart_epoch = -4\n"
    port = place.meter(with_profile + public_meter(register("1-0:1.8.0.255", "0", initial=13_925_512)))
    person = place.setup("--state", "state", "--port", port, "--listen", "0", "--client", "16")
    person.answers("claim code.*: ", "not a code")
    person.answers(r"copy it whole\nThe claim code.*: ", authority.claim("north-hall"))
    person.answers("authority's address.*: ", "http://localhost")
    person.answers("https://.*\n.*authority's address.*: ", authority.url)
    shown = person.answers(r"serial number.*\[KFM1000000000001\]: ", "1KFM0000000001")
    assert "--client 16 --server 1" in shown
    assert "1-0:1.8.0.255" in shown
    person.answers("short name.*: ", "Building!")
    person.answers("short name.*: ", "building")
    person.answers(r"measure\?.*\[consumption\]: ", "")
    refused = person.answers("display show for 1-0:1.8.0.255.*: ", "557.02")
    assert "kWh" in refused
    assert "times that" in person.answers("display show for 1-0:1.8.0.255.*: ", "13925.5")
    meaning = person.answers(r"Take this meter so\?.*: ", "")
    assert "13925512 Wh" in meaning
    assert person.ends() == 0, person.text
    assert "compare these digits by telephone" in person.text
    assert "north-hall is enrolled" in person.text
    config = load_config(place.file)
    (meter,) = config.meters
    assert (config.name, config.authority, meter.serial) == ("north-hall", authority.url, "1KFM0000000001")
    assert (meter.map.capture_period, meter.map.logical_device_name) == (900, "KFM1000000000001")
    assert meter.map.registers.keys() == {"consumption"}
    assert "compared with the display" in place.file.read_text()
    assert place.file.stat().st_mode & 0o777 == 0o600
    assert CredentialStore(config.state).load().meter("building") is not None


def test_flags_answer_everything(place, authority):
    port = place.meter(
        public_meter(register("1-0:1.8.0.255", "0", initial=5_000), register("1-0:2.8.0.255", "0", initial=7_000))
    )
    made = done(
        place, *flags(port, authority, meter="roof", serial="7", measures="generation", display="7.000"), "--yes"
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (meter,) = load_config(place.file).meters
    assert meter.map.registers["generation"].codes == ("1-0:2.8.0.255",)


def test_a_register_without_a_unit_takes_it_from_the_display(place):
    pushing = 'mode = "mbus"'
    register_without = register("1-0:1.8.0.255", "0", initial=8_582_328, states_unit=False)
    port = place.meter(METER.format(line=pushing, more="push_seconds = 1\n") + register_without)
    words = flags(port, meter="building", serial="7", measures="consumption", capture_period="900")
    words[words.index("--listen") + 1] = "3"
    made = done(place, *words, "--display", "85823.28", "--yes")
    assert made.returncode == 0, made.stdout + made.stderr
    (meter,) = load_config(place.file).meters
    assert (meter.protocol, meter.baudrate) == ("push", 9600)
    assert meter.map.registers["consumption"].terms[0].unit == "10 Wh"
    assert "85823280 Wh" in made.stdout
    place.file.unlink()
    refused = done(place, *words, "--display", "none", "--yes")
    assert "display_differs" in refused.stderr
    assert not place.file.exists()


def test_a_figure_that_does_not_fit_is_refused(place):
    port = place.meter(public_meter(register("1-0:1.8.0.255", "0", initial=5_000_000)))
    words = flags(port, meter="building", serial="7", measures="consumption")
    made = done(place, *words, "--display", "125.0", "--yes")
    assert made.returncode == 1
    assert "display_differs" in made.stderr
    assert "0.025 times" in made.stdout
    assert not place.file.exists()


def test_a_ciphered_meter_is_asked_for_its_keys(place):
    port = place.meter(
        METER.format(line="", more=gmac_client(KEY, AUTH_KEY).replace("auth =", "address = 1\n  auth ="))
        + register("1-0:1.8.0.255", "0", initial=5_000)
    )
    words = flags(port, meter="building", serial="7", measures="consumption", display="5", capture_period="60")
    words[words.index("--client") + 1] = "1"
    person = place.setup(*words)
    person.answers("encryption key.*: ", KEY.hex()[2:])
    person.answers("16 bytes are needed.*\n.*encryption key.*: ", KEY.hex())
    person.answers("authentication key.*: ", AUTH_KEY.hex())
    person.answers(r"system title.*\[4341555444520001\]: ", "")
    person.answers(r"Take this meter so\?.*: ", "yes")
    assert person.ends() == 0, person.text
    (meter,) = load_config(place.file).meters
    assert (meter.auth, meter.client, meter.key) == ("gmac", 1, KEY)
    assert (place.path / "state/counters").is_dir()


def test_a_second_run_adds_a_meter_and_leaves_the_rest(place):
    first = place.meter(public_meter(register("1-0:1.8.0.255", "0", initial=5_000)), "first")
    second = place.meter(
        public_meter(register("1-0:2.8.0.255", "0", initial=6_000)).replace("KFM1000000000001", "KFM2"), "second"
    )
    assert (
        done(place, *flags(first, meter="load", serial="1", measures="consumption", display="5"), "--yes").returncode
        == 0
    )
    with place.file.open("a") as file:
        file.write("# mine\n")
    before = place.file.read_text()
    made = done(place, *flags(second, meter="solar", serial="2", measures="generation", display="6"), "--yes")
    assert made.returncode == 0, made.stdout + made.stderr
    assert place.file.read_text().startswith(before.rstrip("\n"))
    assert [meter.name for meter in load_config(place.file).meters] == ["load", "solar"]
    again = done(place, *flags(second, meter="solar", serial="3", measures="generation", display="6"), "--yes")
    assert "solar is in the file already" in again.stderr


def test_what_nobody_answers_is_named_with_its_flag(place):
    made = done(place, "--claim", "later", "--name", "north-hall")
    assert made.returncode == 1
    assert "--authority" in made.stderr
    assert "answer_missing" in made.stderr


def test_no_meter_leaves_no_file(place):
    made = done(place, *flags(str(place.path / "none")), "--yes")
    assert made.returncode == 1
    assert "no_port" in made.stderr
    assert not place.file.exists()


def test_the_file_is_plain_toml(place):
    port = place.meter(public_meter(register("1-0:1.8.0.255", "0", initial=5_000)))
    odd = 'a "quoted" \\ serial'
    made = done(place, *flags(port, meter="load", serial=odd, measures="consumption", display="5"), "--yes")
    assert made.returncode == 0, made.stderr
    assert tomllib.loads(place.file.read_text())["meter"][0]["serial"] == odd


@pytest.mark.parametrize(
    ("line", "pushes", "protocol"),
    [
        ('mode = "c"', "", "mode-c"),
        ('mode = "sml"', "push_seconds = 1", "push"),
        ('mode = "p1"', "push_seconds = 1", "push"),
    ],
)
def test_every_kind_of_line_ends_in_a_map_that_is_read(place, line, pushes, protocol):
    """What setup writes it reads again as the agent does, before it says that it is done."""
    port = place.meter(METER.format(line=line, more=pushes) + register("1-0:1.8.0.255", "0", initial=5_000_000))
    words = flags(port, meter="load", serial="7", measures="consumption", display="5000", timeout="0.05")
    words[words.index("--listen") + 1] = "3" if pushes else "0"
    made = done(place, *words, "--yes")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "load: KFM1000000000001 answers" in made.stdout
    (meter,) = load_config(place.file).meters
    assert (meter.protocol, meter.map.logical_device_name) == (protocol, "KFM1000000000001")
