"""Where the emulated meters and their readers are: on ptys, or with `--hardware` on two serial adapters.

    pytest firmware_tests -n 0 --hardware /dev/ttyUSB0,/dev/ttyUSB1

The emulator takes the first port and the driver the second. The rig is two USB adapters of the same kind (RS-485: A to
A, B to B; RS-232: crossed; optical heads: face to face, with their echo), and nothing else on the line.
"""

from __future__ import annotations

import pytest
from emulator_process import HARDWARE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--hardware",
        metavar="METER,READER",
        help="two serial ports that are wired to each other: the emulator's and the driver's (firmware_tests)",
    )


@pytest.fixture(autouse=True)
def _hardware(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = request.config.getoption("--hardware")
    if adapters is None:
        return
    if adapters.count(",") != 1:
        raise pytest.UsageError("--hardware takes two ports with a comma between them: /dev/ttyUSB0,/dev/ttyUSB1")
    monkeypatch.setenv(HARDWARE, adapters)
