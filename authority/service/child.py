"""A process under the supervisor: ends when the supervisor does, even where that was killed and could tell nobody.

python -m authority.service.child SUPERVISOR_PID COMMAND ...
"""

from __future__ import annotations

import signal
import sys

from authority import cli
from edge_agent.wire.processes import end_with_parent


def main() -> int:
    """Run one authority command."""
    if not end_with_parent(int(sys.argv[1])):
        sys.exit("the supervisor has ended already")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's: it starts its processes again
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
