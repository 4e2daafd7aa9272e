"""A plugin of pytest (`-p processor_time`): which files took most processor time, waits aside.

Counts what the process of the tests took, and what it started and has waited for; so a server that a module keeps
counts at its end. Prints the greatest at the end, in seconds.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator

import pytest

KEY = "processor_seconds"
GREATEST = 40


def _spent() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


class _Since:
    """When it was last counted: what lies between two tests is the next one's."""

    spent = _spent()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Note what the test took up to its end; a module's fixtures end with its last test."""
    try:
        return (yield)
    finally:
        before, _Since.spent = _Since.spent, _spent()
        item.user_properties.append((KEY, _Since.spent - before))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sum it up by file."""
    files: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "teardown":
                files[report.location[0]] += sum(value for name, value in report.user_properties if name == KEY)
    # a report has what every phase of its test noted, and the teardown's comes last
    terminalreporter.section(f"processor time: {sum(files.values()):.0f} s")
    for name, seconds in files.most_common(GREATEST):
        terminalreporter.line(f"{seconds:8.1f} s  {name}")
