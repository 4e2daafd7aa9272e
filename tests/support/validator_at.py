"""The embedded validator as a process of its own whose wall clock is what a file says: HOME, PORT, FILE.

Where there is no such file, it is the machine's own clock.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from authority import heap
from authority.home.home import Home
from authority.service.validator_command import home_genesis
from authority.validator.bank import Bank
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer


def main() -> None:
    home, port, file = Home.open(Path(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3])

    def now() -> float:
        return float(file.read_text(encoding="ascii")) if file.exists() else time.time()

    bank = Bank(Ledger(home.validator_directory), home_genesis(home), wall=now)
    server = RpcServer(("127.0.0.1", port), Methods(bank))
    print(server.server_address[1], flush=True)
    heap.settle()
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
