"""A settlement worker that is killed at a line of its own code: SIGKILL, so that nothing of it is tidied up."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from authority.app import App
from authority.enrolment.wallets import unseal
from authority.settlement.command import chain_for
from authority.settlement.worker import Worker

ROOMS = tuple(f"{os.sep}authority{os.sep}{room}{os.sep}" for room in ("settlement", "market", "log", "store"))


def settle(home: str, now_ms: int, line: int | None, counted: str = "") -> None:
    """Do all that there is to do at that moment; where `line` is given, die before that line, counted as they run.

    counted is a file that gets the number of lines that ran to the end.
    """
    app = App.open(Path(home), lambda: now_ms // 1_000)
    worker = Worker(app.store, chain_for(app), partial(unseal, app.home), lambda: now_ms)
    ran = 0

    def count(_: FrameType, event: str, __: Any) -> Any:
        nonlocal ran
        if event == "line":
            ran += 1
            if ran == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    def trace(frame: FrameType, _: str, __: Any) -> Any:
        return count if any(room in frame.f_code.co_filename for room in ROOMS) else None

    sys.settrace(trace)
    worker.settle_down()
    sys.settrace(None)
    app.store.close()
    if counted:
        Path(counted).write_text(str(ran), encoding="ascii")
