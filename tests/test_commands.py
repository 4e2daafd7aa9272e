"""What all commands have in common: their help imports next to nothing, and options, messages and statuses are one."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from plans import one_meter

import authority.cli
import edge_agent.cli
import edge_agent.emulator.cli
from authority.app import App
from authority.enrolment import plan
from edge_agent.wire.command import EXIT_STATUSES, FORMAT_VARIABLE, LEVEL_VARIABLE, Program, log_options

ROOT = Path(__file__).parents[1]
PROGRAMS = {"edge-agent": edge_agent.cli.PROGRAM, "authority": authority.cli.PROGRAM}
MAINS = {"edge-agent": "edge_agent.cli", "authority": "authority.cli", "meter-emulator": "edge_agent.emulator.cli"}
SUBCOMMANDS = [(name, command) for name, program in PROGRAMS.items() for command in program.commands]
OF_THE_HELP = "import sys\nfrom {module} import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_imports_no_subcommand_and_nothing_installed(name: str) -> None:
    """The help is asked for often, on small machines: it reads the standard library and two or three files of ours."""
    report = OF_THE_HELP.format(module=MAINS[name]) + "print(sorted(sys.modules), file=sys.stderr)"
    done = run("-c", report)
    loaded = done.stderr
    for command in PROGRAMS[name].commands.values():
        assert f"'{command.module}'" not in loaded
    packages = ("serial", "paho", "cryptography", "solders", "sqlalchemy", "flask", "logging", "importlib.metadata")
    for package in packages:
        assert f"'{package}'" not in loaded
    assert all(f"\n    {command}" in done.stdout for command in PROGRAMS[name].commands)


@pytest.mark.parametrize("name", MAINS)
def test_every_command_tells_its_version(name: str) -> None:
    done = run("-m", MAINS[name], "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == name
    assert done.stdout.split()[1][0].isdigit()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_has_the_one_table_of_exit_statuses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        PROGRAMS[name].main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {status:<5}{meaning}\n" in shown for status, meaning in EXIT_STATUSES.items())


@pytest.mark.parametrize(("name", "command"), SUBCOMMANDS)
def test_every_subcommand_has_help_and_the_common_options(
    name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = PROGRAMS[name]
    with pytest.raises(SystemExit) as ended:
        program.main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    place = "--config" if name == "edge-agent" else "--home"
    assert {"--log-level", "--log-format"} <= set(shown.replace("]", " ").replace("[", " ").split())
    assert (place in shown) == program.commands[command].place


def test_the_place_may_stand_anywhere() -> None:
    for words in (["--home", "/x", "audit", "readings", "a/b"], ["audit", "readings", "a/b", "--home", "/x"]):
        assert authority.cli.parse(words).home == Path("/x")
    assert authority.cli.parse(["audit", "readings", "a/b"]).home == authority.cli.default_home()


def test_a_command_without_files_takes_no_place(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        edge_agent.cli.main(["decode", "x", "--config", "gateway.toml"])
    assert ended.value.code == 2
    assert "decode takes no --config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["edge-agent", "status", "--config", "/nowhere/gateway.toml"], 2, "[config_invalid]"),
        (["edge-agent", "decode", "/nowhere/telegram"], 1, "[no_file]"),
        (["authority", "audit", "readings", "a/b", "--home", "/nowhere"], 1, "[home_missing]"),
        (["meter-emulator", "/nowhere/meter.toml"], 2, "[bad_config]"),
    ],
)
def test_a_refusal_is_one_line_with_what_to_do_and_a_code(words: list[str], status: int, line: str) -> None:
    done = run("-m", MAINS[words[0]], *words[1:])
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith(f"{words[0]}: ")
    assert done.stderr.endswith(f" {line}\n")
    assert done.stderr.count("\n") == 1


class RefusedError(Exception):
    code, exit_status = "refused", 4


NOISY = "tests_noisy_command"


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> Program:
    """A program whose one subcommand logs and then refuses."""
    from types import ModuleType

    from edge_agent.wire.command import Command, Place, add_json, print_json
    from edge_agent.wire.log import StructuredLog

    module = ModuleType(NOISY)
    log = StructuredLog("noisy")

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_json(parser)

    def run(options: argparse.Namespace) -> int:
        log.debug("too much")
        log.info("told", meter="solar", count=3)
        if options.json:
            print_json({"a": "Zürich"})
            return 0
        raise RefusedError("do something else")

    vars(module).update(add_arguments=add_arguments, run=run)
    monkeypatch.setitem(sys.modules, NOISY, module)
    monkeypatch.delenv(FORMAT_VARIABLE, raising=False)
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    return Program(
        "noisy",
        "Makes noise.",
        {"serve": Command(NOISY, "serve", service=True), "ask": Command(NOISY, "ask")},
        distribution="none",
        place=Place("--home", "DIR", Path, "where"),
        errors=(RefusedError,),
    )


def test_an_error_gives_the_exit_status_of_its_class(noisy: Program, capsys: pytest.CaptureFixture[str]) -> None:
    assert noisy.main(["ask"]) == 4
    assert capsys.readouterr().err == "noisy: do something else [refused]\n"


def test_a_service_logs_what_it_does_in_the_form_that_was_asked_for(
    noisy: Program, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert noisy.main(["serve", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"a": "Zürich"}
    assert shown.err.endswith(" info    told meter=solar count=3\n")
    noisy.main(["serve", "--json", "--log-format", "json"])
    told = json.loads(capsys.readouterr().err)
    assert {**told, "time": ""} == {"time": "", "level": "info", "event": "told", "meter": "solar", "count": 3}
    noisy.main(["ask", "--json"])
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(LEVEL_VARIABLE, "debug")
    noisy.main(["ask", "--json"])
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == [
        "debug   too much",
        "info    told meter=solar count=3",
    ]
    options = noisy.parse(["serve", "--log-format", "json"])
    assert noisy.parse(["serve", *log_options(options)]).log_format == "json"  # what a service hands on


def test_lines_of_other_libraries_come_in_the_same_form(noisy: Program, capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    noisy.main(["serve", "--json", "--log-format", "json"])
    capsys.readouterr()
    try:
        raise RuntimeError("out of cheese")
    except RuntimeError:
        logging.getLogger("other").exception("it broke at %s", "noon")
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["level"], told["logger"]) == ("it broke at noon", "error", "other")
    assert "out of cheese" in told["traceback"]


SERVICES = {
    *(f"authority {word}" for word in ("serve", "web", "verifier", "validator", "watchdog", "demo")),
    *(f"authority {word} run" for word in ("collector", "settlement", "certificates", "alerts")),
    *("edge-agent run", "edge-agent watch", "meter-emulator"),
}
"""They run until they are stopped."""
SHOW = {
    *(f"authority {word} list" for word in ("meters", "members", "people", "approvals", "installations")),
    *(f"authority {word} list" for word in ("enrol", "certificates", "credits", "market standing-order")),
    *(f"authority billing {word}" for word in ("periods", "preview", "show", "ledger")),
    *(f"authority billing {word}" for word in ("payments bills", "payments list", "payouts owed", "payouts list")),
    "authority billing estimate list",
    *(f"authority tickets {word}" for word in ("list", "show")),
    "authority announcements list",
    "authority audit bill",
    *(f"authority {word} show" for word in ("meters", "members", "approvals", "parameters", "upgrade", "recover")),
    *("authority alerts show", "authority market show", "authority status", "authority meters map"),
    *("authority people sessions", "authority enrol whois", "authority collector held", "authority settlement alerts"),
    *(f"authority audit {word}" for word in ("prove", "check", "readings", "consistent", "verify", "conservation")),
    *(f"edge-agent {word}" for word in ("check", "status", "keys", "read", "decode", "scan")),
}
"""They list, show or check something, and leave all as it is."""
NO_DRY_RUN = {
    "writes the file or the folder that it is given, and nothing else": {
        *("authority backup", "authority idl", "authority recover accounts", "authority collector broker"),
        *("authority audit checkpoint", "authority audit export", "authority billing export"),
        *("authority simulate", "authority plot", "authority dataset", "authority market clear"),
    },
    "does once what a service does all the time": {
        *("authority settlement once", "authority certificates renew", "authority audit witnesses"),
        "authority audit compare",
    },
    "is a trial itself": {"authority alerts test"},
    "asks, and a person at the authority decides": {"edge-agent enrol", "edge-agent rotate-key", "edge-agent setup"},
}
"""Commands that do something and cannot be tried first, by the reason."""
NO_JSON = {
    "does once what a service does all the time": {"authority settlement once"},
    "its result is a signed note": {"authority audit checkpoint"},
    "asks, and a person at the authority decides": NO_DRY_RUN["asks, and a person at the authority decides"],
    "its result is the new file": {"edge-agent exchange-meter"},
}
"""Commands that have no JSON, by the reason."""
PLACES = {"edge-agent": "--config", "authority": "--home"}
WITHOUT_PLACE = {
    "edge-agent install",
    "edge-agent read",
    "edge-agent decode",
    "edge-agent scan",
    "meter-emulator",
    "authority simulate",
    "authority plot",
    "authority dataset",
}
PLAN = one_meter()


def parsers(name: str, words: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str], str]]:
    """Every command that does something by itself, with its options and its help."""
    main = {
        **{name: program.main for name, program in PROGRAMS.items()},
        "meter-emulator": edge_agent.emulator.cli.main,
    }
    shown: list[argparse.ArgumentParser] = []
    with (
        mock.patch.object(argparse.ArgumentParser, "print_help", lambda parser, file=None: shown.append(parser)),
        contextlib.suppress(SystemExit),
    ):
        main[name]([*words, "--help"])
    (parser,) = shown
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        options = {option for action in parser._actions for option in action.option_strings}
        yield " ".join((name, *words)), options, parser.format_help()
    for action in below:
        for word in action.choices:
            yield from parsers(name, (*words, word))


def test_every_command_has_help_json_and_where_it_changes_something_a_dry_run() -> None:
    """Whoever adds a command gives it both, or names here why it has none."""
    found = [each for name in MAINS for each in parsers(name)]
    options_of = {name: options for name, options, _ in found if name != "edge-agent rebase"}  # reset-meter's old name
    without_dry_run, without_json = (set[str]().union(*each.values()) for each in (NO_DRY_RUN, NO_JSON))
    lacks_dry_run = {name for name, options in options_of.items() if "--dry-run" not in options}
    lacks_json = {name for name, options in options_of.items() if "--json" not in options}
    assert lacks_dry_run == SERVICES | SHOW | without_dry_run
    assert lacks_json - SERVICES == without_json
    assert not SERVICES & SHOW
    assert not without_dry_run & (SERVICES | SHOW)
    assert len(options_of) - len(lacks_dry_run) > 50
    assert [name for name, options, text in found if "--help" not in options or len(text.splitlines()) < 4] == []


def test_the_help_of_every_reason_says_that_it_is_logged_and_names_nobody() -> None:
    found = {name: " ".join(text.split()) for name, options, text in parsers("authority") if "--reason" in options}
    assert len(found) > 20
    told = {name: re.search(r"--reason REASON ([^-]*?logged[^-]*)", text) for name, text in found.items()}
    assert [name for name, help_ in told.items() if help_ is None or "name" not in help_[1]] == []


def test_the_place_may_follow_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for name, option in PLACES.items():
        for command, _, _ in parsers(name):
            words = [*command.split()[1:], option, "/x", "--help"]
            with pytest.raises(SystemExit) as ended:
                PROGRAMS[name].main(words)
            assert ended.value.code == 0
            capsys.readouterr()
            place = command not in WITHOUT_PLACE
            assert PROGRAMS[name].commands[command.split()[1]].place == place


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a plan of one member and one meter; no validator runs."""
    home = tmp_path_factory.mktemp("campus") / "home"
    done = run("-m", MAINS["authority"], "init", "--home", str(home), "--name", "energy.campus.example")
    assert done.returncode == 0, done.stderr
    app = App.open(home)
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
    app.store.close()
    return home


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["enrol", "list"], {"gateways": [{"gateway": "gw-1", "state": "expected", "meters": [{"meter": "pv"}]}]}),
        (["enrol", "whois", "11111111111111111111111111111111"], {"11111111111111111111111111111111": None}),
        (["collector", "held"], []),
        (["collector", "release", "--all", "--dry-run", "--reason", "r"], {"done": None, "readings": []}),
        (["settlement", "alerts", "--all"], []),
        (["market", "show"], {}),
        (["market", "standing-order", "list"], []),
        (["audit", "readings", "gw-1/pv"], []),
        (["audit", "verify", "--log-only"], {"ok": True}),
        (["audit", "prove", "0"], {}),
        (["status"], {}),
        (["alerts", "show"], {"standing": [], "channels": {}}),
    ],
)
def test_json_is_one_document(
    campus: Path, words: list[str], expected: object, capsys: pytest.CaptureFixture[str]
) -> None:
    authority.cli.main([*words, "--json", "--home", str(campus)])
    found = json.loads(capsys.readouterr().out)
    assert type(found) is type(expected)
    if isinstance(expected, list):
        assert found == expected
    else:
        assert found
        assert json.loads(json.dumps(expected), object_hook=_Part) == found


class _Part(dict[str, object]):
    """Equal to an object that has at least these entries."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and all(key in other and value == other[key] for key, value in self.items())

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]
