"""`edge-agent setup`: from an unknown meter to a running service, by questions that flags answer as well."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.agent import proposal
from edge_agent.agent.enrolment import Pending, enrol
from edge_agent.agent.meter_check import probe_meters
from edge_agent.agent.proposal import Figure, ProposalError
from edge_agent.commands import install, read, scan
from edge_agent.config import GatewayConfig, load_config
from edge_agent.errors import EdgeError
from edge_agent.meters.errors import MeterError
from edge_agent.wire.claim import Claim, ClaimError
from edge_agent.wire.command import DONE, PENDING, say
from edge_agent.wire.files import write_atomically
from edge_agent.wire.meter_map import CLOCK_DEVIATION, DEFAULT_PROFILE, MeterMap
from edge_agent.wire.names import NAME_RULE, is_name
from edge_agent.wire.toml import value_text

DESCRIPTION = (
    "Finds ports and meters, reads or listens, proposes each meter's map with what its registers would mean today, "
    "compares one figure with the meter's display, writes gateway.toml, enrols the gateway and starts its service. "
    "Each question has a flag; with all of them given nothing is asked. Run again, it adds meters to the file. It "
    "changes nothing on a meter."
)
EXAMPLES = """examples:
  sudo edge-agent setup
  sudo edge-agent setup --port /dev/serial/by-id/usb-FTDI-if00 --client 16
  edge-agent setup --config gateway.toml --state state --claim CODE --authority https://energy.campus.example:8443 \\
      --port /dev/ttyUSB0 --meter building --serial 1KFM0000000001 --measures consumption --display 13925.5 --yes"""

DEFAULT_PERIOD = 900
LISTEN_SECONDS = 12.0
PORTS = Path("/dev/serial/by-id")
NO_FIGURE = "none"
"""The answer where a meter has no display, or shows none of its registers."""

Answer = TypeVar("Answer")
_NO_ANSWER = (ValueError, EdgeError, argparse.ArgumentTypeError)


class SetupError(EdgeError):
    """Setting up cannot go on; the message says what to do."""


class AnswerMissingError(SetupError):
    """A question has no answer: the input ended, and its flag was not given."""

    code = "answer_missing"


class AnswerInvalidError(SetupError):
    """A flag's value cannot be used."""

    code = "answer_invalid"


class DisplayDiffersError(SetupError):
    """A register and the meter's display do not agree."""

    code = "display_differs"


class NothingFoundError(SetupError):
    """No port, or no meter on any."""

    code = "nothing_found"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent setup`."""
    gateway = parser.add_argument_group("the gateway")
    gateway.add_argument("--claim", metavar="CODE", help="what `authority enrol claim` printed; 'later' enrols later")
    gateway.add_argument("--name", help="the gateway's name, where there is no claim code yet")
    gateway.add_argument("--authority", metavar="URL", help="https://HOST:PORT of the authority's collector")
    gateway.add_argument("--state", help=f"directory for keys and journal (default {install.STATE_FOLDER})")
    line = parser.add_argument_group("the line, as for `edge-agent scan`")
    line.add_argument("--port", action="append", default=[], help="look here alone (may be given again)")
    line.add_argument("--baudrate", type=read.baud_rate, action="append", metavar="BAUD", help="only this speed")
    line.add_argument("--client", type=int, action="append", metavar="N", help="only this client address")
    line.add_argument("--server", type=int, action="append", metavar="N", help="a logical device to ask besides 1")
    line.add_argument("--timeout", type=read.seconds, default=0.5, metavar="SECONDS", help="wait so long for an answer")
    line.add_argument(
        "--listen", type=scan.listening, default=LISTEN_SECONDS, metavar="SECONDS",
        help="listen so long for telegrams at each speed and parity (default %(default)s; 0: ask only)",
    )  # fmt: skip
    line.add_argument("--password", help="the meter's LLS password")
    line.add_argument("--key", type=read.key, metavar="HEX", help="the meter's encryption key, 16 bytes")
    line.add_argument("--auth-key", type=read.key, metavar="HEX", help="its authentication key, 16 bytes")
    line.add_argument("--system-title", type=read.title, metavar="HEX", help="this client's system title, 8 bytes")
    meter = parser.add_argument_group("the meter, where one is set up")
    meter.add_argument("--meter", metavar="NAME", help="a short name, such as solar, as in the campus plan")
    meter.add_argument("--serial", help="the serial number on its plate, as in the campus plan")
    meter.add_argument("--measures", choices=tuple(proposal.MEASURES), help="what it measures")
    meter.add_argument("--capture-period", type=int, metavar="SECONDS", help="where the meter has no load profile")
    meter.add_argument("--clock", metavar="ZONE", help="where its times have no offset, such as Europe/Vienna")
    meter.add_argument("--ratio", type=_ratio, metavar="A/B", help="current transformers, such as 200/5")
    meter.add_argument("--display", metavar="FIGURE", help=f"what its display shows, in kWh; '{NO_FIGURE}' without one")
    parser.add_argument("--yes", action="store_true", help="take every proposal that no flag answers")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the approval at the authority")
    parser.add_argument("--no-service", action="store_true", help="write the file and enrol, and start no service")


def _ratio(text: str) -> tuple[int, int]:
    first, _, second = text.partition("/")
    return int(first), int(second or 1)


@dataclass
class Person:
    """Who answers: flags first, then the terminal. yes takes every default."""

    yes: bool = False

    def ask(
        self,
        question: str,
        flag: str,
        parse: Callable[[str], Answer],
        given: str | None = None,
        default: str | None = None,
    ) -> Answer:
        """An answer that parse takes (ValueError or EdgeError where not): the flag's, or one typed until it is good."""
        if given is None and self.yes and default is not None:
            given = default
        if given is not None:
            try:
                return parse(given)
            except _NO_ANSWER as error:
                raise AnswerInvalidError(f"{flag} {given}: {error}") from error
        while True:
            print(f"{question}{'' if default is None else f' [{default}]'}: ", end="", flush=True)
            line = sys.stdin.readline()
            if not line:
                raise AnswerMissingError(f"nobody answers: {question} Give {flag}")
            try:
                return parse(line.strip() or default or "")
            except _NO_ANSWER as error:
                say(f"  {error}")


@dataclass
class Entry:
    """One [[meter]] of gateway.toml: its keys in order, and its map."""

    keys: dict[str, Any]
    map: MeterMap
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As it stands in the file."""
        described = self.map.to_dict()
        lines = ["[[meter]]", *(f"{key} = {value_text(value)}" for key, value in self.keys.items()), ""]
        lines += ["  [meter.map]", *(f"  # {note}" for note in self.notes)]
        defaults = {"ratio": [1, 1], "clock": CLOCK_DEVIATION, "profile": DEFAULT_PROFILE}
        for key in ("logical_device_name", "capture_period", "clock", "profile_kind", "profile", "ratio"):
            if key in described and described[key] != defaults.get(key):
                lines.append(f"  {key} = {value_text(described[key])}")
        lines.append("  [meter.map.registers]")
        lines += [f"  {name} = {value_text(source)}" for name, source in described["registers"].items()]
        return "\n".join(lines) + "\n"


def run(options: argparse.Namespace) -> int:
    """Ask, look, write, enrol, start; PENDING where a person at the authority has yet to approve."""
    person = Person(options.yes)
    file: Path = options.config
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    known = load_config(file) if before else None
    claim = _claim(person, options, known)
    head = before.rstrip("\n") if known is not None else _gateway_table(person, options, claim)
    present = () if known is None else known.meters
    taken, busy = {meter.name for meter in present}, {meter.port for meter in present}
    entries: list[Entry] = []
    state = known.state if known is not None else file.absolute().parent / (options.state or install.STATE_FOLDER)
    for port in _ports(person, options, busy):
        for candidate in _candidates(port, options):
            entry = _meter(person, options, candidate, state, taken)
            if entry is not None:
                taken.add(str(entry.keys["name"]))
                entries.append(entry)
    if not entries:
        raise NothingFoundError("no meter was set up: see what `edge-agent scan PORT` says, and docs/METERS.md")
    text = "\n".join([head, "", *(entry.text() for entry in entries)])
    _write(file, text)
    config = load_config(file)
    added = [meter for meter in config.meters if meter.name in {entry.keys["name"] for entry in entries}]
    probe_meters(added, tell=say)
    say(f"written: {file}, with {len(config.meters)} meter{'s' if len(config.meters) > 1 else ''}")
    return _bring_into_service(config, options, claim)


def _gateway_table(person: Person, options: argparse.Namespace, claim: Claim | None) -> str:
    name = claim.gateway if claim is not None else person.ask(
        "This gateway's name in the campus plan, such as north-hall", "--name", _name, options.name
    )  # fmt: skip
    authority = person.ask("The authority's address, https://HOST:PORT", "--authority", _https, options.authority)
    state = options.state or str(install.STATE_FOLDER)
    lines = {"name": name, "state": state, "authority": authority}
    return "\n".join(["[gateway]", *(f"{key} = {value_text(value)}" for key, value in lines.items())])


def _claim(person: Person, options: argparse.Namespace, known: GatewayConfig | None) -> Claim | None:
    def parse(text: str) -> Claim | None:
        claim = None if text in ("", "later") else Claim.parse(text)
        if claim is not None and known is not None and claim.gateway != known.name:
            raise ClaimError(f"the code is for {claim.gateway!r}, {known.path} is that of {known.name!r}")
        return claim

    return person.ask("The claim code from the authority", "--claim", parse, options.claim, "later")


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"a name is {NAME_RULE}")
    return text


def _https(text: str) -> str:
    if not text.startswith("https://") or len(text) < len("https://x"):
        raise ValueError("it begins with https://, such as https://energy.campus.example:8443")
    return text.rstrip("/")


def _some(text: str) -> str:
    if not text:
        raise ValueError("it must not be empty")
    return text


def _ports(person: Person, options: argparse.Namespace, busy: set[str]) -> list[str]:
    """Where to look: what --port names, else the adapters of this machine by their lasting names."""
    if options.port:
        return list(options.port)
    found = [str(path) for path in sorted(PORTS.glob("*"))] if PORTS.is_dir() else _serial_ports()
    free = [port for port in found if port not in busy]
    if not free:
        raise NothingFoundError(
            "no serial adapter is plugged in" + (" that gateway.toml does not have yet" if found else "")
            + ": plug it in, or name a port, or a serial server such as socket://10.0.0.5:2001, with --port"
        )  # fmt: skip
    for number, port in enumerate(free, 1):
        say(f"  {number}  {port}")

    def parse(text: str) -> list[str]:
        if text == "all":
            return free
        numbers = [int(word) for word in text.replace(",", " ").split() if word.isdecimal()]
        if not numbers or not all(0 < number <= len(free) for number in numbers):
            raise ValueError(f"numbers from 1 to {len(free)}, or all")
        return [free[number - 1] for number in numbers]

    return person.ask("On which of these are meters? Numbers, or all", "--port", parse, default="all")


def _serial_ports() -> list[str]:
    from serial.tools import list_ports  # noqa: PLC0415 - only where udev names no port

    return sorted(port.device for port in list_ports.comports())


def _candidates(port: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What on this port may be a meter: one answer for each meter, the one that needs least."""
    say(f"{port}: looking; this takes up to some minutes")
    words = [port, "--timeout", f"{options.timeout:g}", "--listen", f"{options.listen:g}"]
    for flag in ("baudrate", "client", "server"):
        for value in getattr(options, flag) or ():
            words += [f"--{flag}", str(value)]
    parser = argparse.ArgumentParser()
    scan.add_arguments(parser)
    arguments = parser.parse_args(words)
    arguments.key, arguments.auth_key = options.key, options.auth_key
    found = list(scan.scan(arguments, lambda text: print(f"  {text}", file=sys.stderr)))
    told = set()
    for answer in found:  # one meter answers a client alike under all its addresses
        alike = (answer.get("client"), answer.get("answer"), answer["meter"])
        if answer["mode"] != "hdlc" or alike not in told:
            say(f"  {scan.line(answer).splitlines()[0].strip()}")
        told.add(alike)
    open_ones = [answer for answer in found if answer.get("answer") == "reads"]
    pushing = [answer for answer in found if answer["mode"] == "push"]
    signing_on = [answer for answer in found if answer["mode"] in ("A", "B", "C", "E")]
    locked = [answer for answer in found if answer.get("answer") in scan.WANTS_SECRETS]
    chosen = pushing or open_ones or signing_on or locked[:1]
    if not chosen:
        say(f"  {port}: no meter answers; is it wired, powered and near its optical head?")
    for answer in chosen:
        yield {**answer, "port": port, "locked": next(iter(locked), None)}


def _meter(
    person: Person, options: argparse.Namespace, answer: Mapping[str, Any], state: Path, taken: set[str]
) -> Entry | None:
    """Read one meter and settle its entry with the person; None where it cannot be read."""
    try:
        keys, found = _look(person, options, answer, state)
    except MeterError as error:
        say(f"  it cannot be read: {error} [{error.code}]")
        return None
    number = found["meter"] or found.get("identification")
    say(f"  {number or 'a meter that tells no name'}, clock {found['clock'] or 'not told'}")
    for code, (value, unit) in proposal.shown(found).items():
        say(f"    {code:<20} {value or '':>18} {unit or '(no unit)'}")
    serial = person.ask("Its serial number, as on the plate", "--serial", _some, options.serial, number)

    def free(text: str) -> str:
        if _name(text) in taken:
            raise ValueError(f"{text} is in the file already")
        return text

    name = person.ask("Its short name in the campus plan, such as solar", "--meter", free, options.meter)
    measures = person.ask(
        f"What does it measure? {', '.join(proposal.MEASURES)}",
        "--measures",
        _measures,
        options.measures,
        _likely(found),
    )
    period = options.capture_period or proposal.capture_period(found)
    if period is None:
        period = person.ask(
            "Seconds between two readings: the campus's epoch, or a part of it", "--capture-period", _period,
            default=str(DEFAULT_PERIOD),
        )  # fmt: skip
    clock = options.clock
    if clock is None and proposal.needs_zone(found, time.time()):
        clock = person.ask(
            "Its times have no offset, or a wrong one; in which zone are they?", "--clock", _some, default=_own_zone()
        )
    ratio = options.ratio or (1, 1)
    make = partial(
        proposal.propose, found, measures, name=serial if number is None else number, period=period, clock=clock,
        ratio=ratio,
    )  # fmt: skip
    units, notes = _against_the_display(person, options, found, measures, ratio)
    meter_map = make(units=units)
    say("  Its registers, as they would be signed now:")
    for register, wh in proposal.meaning(meter_map, found).items():
        say(f"    {register:<12} {wh:>15} Wh   from {' + '.join(meter_map.registers[register].codes)}")
    if not person.ask("Take this meter so? yes or no", "--yes", _yes_or_no, default="yes"):
        return None
    return Entry({"name": name, "serial": serial, **keys}, meter_map, notes)


def _look(
    person: Person, options: argparse.Namespace, answer: Mapping[str, Any], state: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entry's keys for the line, and what the meter showed. MeterError."""
    port, baudrate = answer["port"], answer["baudrate"]
    keys: dict[str, Any] = {"port": port}
    words = ["--port", port, "--baudrate", str(baudrate)]
    if answer["mode"] == "push":
        keys |= {"protocol": "push", "baudrate": baudrate}
        words += ["--push", "--listen", f"{max(2 * options.listen, 30.0):g}"]
        if answer["parity"] != "N":
            keys["parity"] = answer["parity"]
            words += ["--parity", answer["parity"]]
        if "missing_key" in answer["errors"] or options.key is not None:
            keys |= _push_keys(person, options)
    elif answer["mode"] == "hdlc":
        secrets = {} if answer["answer"] == "reads" else _secrets(person, options, answer)
        keys |= {"baudrate": baudrate} if baudrate != 9600 else {}
        keys |= _addresses(answer) | secrets
        words += _address_words(answer)
    else:
        keys |= {"protocol": "mode-c", "baudrate": baudrate, "bytesize": 7, "parity": "E"}
        words += ["--mode-c"]
    found = read.read_once(_read_arguments(words, keys, state))[0]
    locked = answer.get("locked")
    if answer["mode"] == "hdlc" and answer["answer"] == "reads" and not found["profile"] and locked is not None:
        say(f"  client {answer['client']} shows no load profile; client {locked['client']} wants {locked['answer']}")
        return _look(person, options, {**locked, "port": port, "locked": None}, state)
    return keys, found


def _addresses(answer: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"client": answer["client"], "server": answer["server"]}
    if answer["physical"] is not None:
        keys["physical"] = answer["physical"]
    return keys


def _address_words(answer: Mapping[str, Any]) -> list[str]:
    words = ["--client", str(answer["client"]), "--server", str(answer["server"])]
    if answer["physical"] is not None:
        words += ["--physical", str(answer["physical"]), "--address-size", str(answer["address_size"])]
    return words


def _secrets(person: Person, options: argparse.Namespace, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What this client wants before it shows anything, from the meter's supplier."""
    if answer["answer"] == "authentication_required" and options.key is None:
        password = person.ask(
            f"The password of client {answer['client']}, from the supplier", "--password", _some, options.password
        )
        return {"auth": "lls", "password": password}
    keys = _push_keys(person, options, required=True)
    title = person.ask(
        "This client's system title, 8 bytes in hex of your own choice", "--system-title", read.title,
        None if options.system_title is None else options.system_title.hex(), "4341555444520001",
    )  # fmt: skip
    return {"auth": "gmac", **keys, "system_title": title.hex()}


def _push_keys(person: Person, options: argparse.Namespace, required: bool = False) -> dict[str, str]:
    given = None if options.key is None else options.key.hex()
    key = person.ask("Its encryption key, 16 bytes in hex, from the supplier", "--key", read.key, given)
    given = None if options.auth_key is None else options.auth_key.hex()
    if given is None and options.key is not None and not required:
        return {"key": key.hex()}
    question = "Its authentication key, 16 bytes in hex" + ("" if required else "; empty without one")

    def parse(text: str) -> bytes:
        return b"" if not text and not required else read.key(text)

    auth_key = person.ask(question, "--auth-key", parse, given)
    return {"key": key.hex(), **({"auth_key": auth_key.hex()} if auth_key else {})}


def _read_arguments(words: list[str], keys: Mapping[str, Any], state: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    read.add_arguments(parser)
    for key in ("auth", "password", "key", "auth_key", "system_title"):
        if key in keys:
            words = [*words, f"--{key.replace('_', '-')}", str(keys[key])]
    if keys.get("auth") == "gmac":
        words = [*words, "--counters", str(state / "counters")]
    return parser.parse_args(words)


def _measures(text: str) -> str:
    if text not in proposal.MEASURES:
        raise ValueError(f"one of {', '.join(proposal.MEASURES)}")
    return text


def _period(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 86400:
        raise ValueError("seconds, from 1 to 86400")
    return value


def _yes_or_no(text: str) -> bool:
    if text.lower() not in ("y", "yes", "n", "no"):
        raise ValueError("yes or no")
    return text.lower() in ("y", "yes")


def _likely(found: Mapping[str, Any]) -> str | None:
    """What the meter seems to measure: the registers that have counted."""
    values = proposal.shown(found)
    moved = []
    for measures in ("consumption", "generation"):
        try:
            codes = [code for codes in proposal.sources(values, measures).values() for code in codes]
        except ProposalError:
            continue
        if any((values[code][0] or "0").strip("0.") for code in codes):
            moved.append(measures)
    return "both" if len(moved) == 2 else next(iter(moved), None)


def _own_zone() -> str | None:
    try:
        return Path("/etc/timezone").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _against_the_display(
    person: Person, options: argparse.Namespace, found: Mapping[str, Any], measures: str, ratio: tuple[int, int]
) -> tuple[dict[str, str], list[str]]:
    """The units of codes that have none, and notes for the file; DisplayDiffersError.

    A register with a unit is compared once; each one without is compared until it is known what it counts in.
    """
    values = proposal.shown(found)
    codes = [code for codes in proposal.sources(values, measures).values() for code in codes]
    units: dict[str, str] = {}
    notes: list[str] = []
    compared = False
    for code in codes:
        value, unit = values[code]
        if (compared and unit is not None) or value is None:
            continue
        figure, compared_now = _compare_one(person, options, code, value, unit, notes)
        compared = True
        if unit is None:
            if compared_now is None or compared_now.unit is None:
                raise DisplayDiffersError(
                    f"{code} has no unit, and nothing says what it counts in: read the display and say --display, or "
                    "write the unit into the map by hand (docs/METERS.md)"
                )
            units[code] = compared_now.unit
            say(f"  {code} counts {compared_now.unit}: {value} is what the display shows as {figure}")
    if ratio != (1, 1):
        notes.append("the display and the registers are before the current transformers")
    return units, notes


def _compare_one(
    person: Person,
    options: argparse.Namespace,
    code: str,
    value: str,
    unit: str | None,
    notes: list[str],
) -> tuple[str, proposal.Comparison | None]:
    question = f"What does the display show for {code}, in kWh ({NO_FIGURE}: it has none)?"
    given = options.display
    while True:
        text = person.ask(question, "--display", _figure, given)
        if text == NO_FIGURE:
            notes.append(f"{code} was not compared with the display")
            return text, None
        compared = proposal.compare(value, unit, Figure.parse(text))
        if compared.fits:
            notes.append(f"compared with the display: {code} at {value} {unit or ''}".rstrip())
            return text, compared
        say(f"  the meter sends {value} {unit or '(no unit)'}: {_why(compared)}")
        if given is not None:
            raise DisplayDiffersError(f"{code} is {value} {unit or ''} on the line and {text} on the display")


def _figure(text: str) -> str:
    if text != NO_FIGURE:
        Figure.parse(text)
    return text


def _why(compared: proposal.Comparison) -> str:
    if compared.ambiguous:
        return "so small a figure tells no unit; come back when the meter has counted more, or write it into the map"
    times = "" if compared.times is None else f"the display shows {float(compared.times):.6g} times that; "
    return (
        f"{times}is it this meter's display, and this register's page of it? A transformer's ratio is said with --ratio"
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    trial = file.with_name(f".{file.name}.setup")
    write_atomically(trial, text.encode())
    try:
        load_config(trial)
        trial.replace(file)
    finally:
        trial.unlink(missing_ok=True)
    install.own(file)


def _bring_into_service(config: GatewayConfig, options: argparse.Namespace, claim: Claim | None) -> int:
    install.give_to_the_agent(config.state)
    if claim is None:
        say(f"next: `edge-agent enrol --config {config.path} --claim CODE --wait`")
        return DONE
    outcome = enrol(config, claim, wait=not options.no_wait, sleep=time.sleep, tell=say)
    install.give_to_the_agent(config.state)
    if isinstance(outcome, Pending):
        say(f"enrolment {outcome.enrolment} waits for approval: then `edge-agent enrol --claim CODE`, and start it")
        return PENDING
    say(f"{config.name} is enrolled")
    if options.no_service or not install.service_can_start():
        say(f"next: start it: `edge-agent run --config {config.path}`")
        return DONE
    for step in install.installation():
        if not step.done:
            step.act()
    install.start_service()
    say("the service runs: `edge-agent status` shows its first reading after the next boundary")
    return DONE
