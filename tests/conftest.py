"""Fixtures for every test: a real Agave validator, where this machine has one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from agave_validator import (
    AgaveUnavailableError,
    AgaveValidator,
    agave_binary,
    namespace_command,
    start_agave_validator,
)
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores it for what it runs in the background, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test asserts on elapsed time, and what passed once passes again; `--hypothesis-profile explore` looks further.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("campus", settings.get_profile("explore"), derandomize=True)
settings.load_profile("campus")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one at the end while the others rest."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def start_agave(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., AgaveValidator]]:
    """Starts Agave validators, each in its own directory and network namespace; all are ended with the module.

    An idle one takes half a core, so none outlives the tests that need it.

    `start_agave(programs, funded)`: see `start_agave_validator`. The test is skipped, with the reason, where this
    machine cannot run one.
    """
    running: list[AgaveValidator] = []

    def start(programs: Mapping[str, tuple[Path, str]], funded: str) -> AgaveValidator:
        try:
            validator = start_agave_validator(tmp_path_factory.mktemp("agave"), programs, funded)
        except AgaveUnavailableError as reason:
            pytest.skip(f"not run on Agave: {reason}")
        running.append(validator)
        return validator

    yield start
    for validator in running:
        validator.stop()


@pytest.fixture(scope="session")
def agave_in_namespace() -> tuple[Path, list[str]]:
    """Agave's binary, and the command that enters a network namespace; skips where this machine has not both."""
    try:
        return agave_binary(), namespace_command()
    except AgaveUnavailableError as reason:
        pytest.skip(f"not run on Agave: {reason}")
