"""A process under the supervisor: ends when the supervisor does, even where that was killed and could tell nobody.

python -m authority.service.child SUPERVISOR_PID COMMAND ...
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from authority import cli

_PR_SET_PDEATHSIG = 1


def _end_with(supervisor: int) -> None:
    """Have the kernel send SIGTERM when the parent ends (Linux; elsewhere the child outlives a killed supervisor)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone already")


def main() -> int:
    """Run one authority command."""
    _end_with(int(sys.argv[1]))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's: it starts its processes again
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
