"""The command `edge-agent`: its subcommands, and what a person types at a gateway."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.errors import EdgeError
from edge_agent.wire.command import Command, Place, Program

DEFAULT_CONFIG = Path("/etc/edge-agent/gateway.toml")

PROGRAM = Program(
    "edge-agent",
    "Reads a building's AMI meters over DLMS/COSEM, signs every interval reading with the meter's key and brings it to "
    "the authority.",
    {
        "setup": Command(
            "edge_agent.commands.setup", "find the meters, write gateway.toml, enrol and start: by questions"
        ),
        "install": Command(
            "edge_agent.commands.install", "make the agent's user, folders, unit and udev rules", place=False
        ),
        "check": Command("edge_agent.commands.check", "every mistake in gateway.toml, and what this machine lacks"),
        "enrol": Command(
            "edge_agent.commands.enrol", "bring this gateway and its meters to the authority with a claim code"
        ),
        "run": Command("edge_agent.commands.run", "read, sign and publish until SIGTERM", service=True),
        "status": Command("edge_agent.commands.status", "how far each meter's readings have come, and what is wrong"),
        "watch": Command("edge_agent.commands.watch", "the status as it changes, until Ctrl-C"),
        "keys": Command(
            "edge_agent.commands.keys", "the meters' keys by their first digits, to compare with the authority's"
        ),
        "rotate-key": Command("edge_agent.commands.rotate_key", "a new signing key for one meter"),
        "exchange-meter": Command(
            "edge_agent.commands.exchange_meter", "the new device where a meter was exchanged, into gateway.toml"
        ),
        "reset-meter": Command(
            "edge_agent.commands.reset_meter",
            "let a meter that stopped with needs_rebase go on from its registers as they are",
        ),
        "rebase": Command("edge_agent.commands.reset_meter", "the same as reset-meter"),
        "read": Command(
            "edge_agent.commands.read",
            "read a meter on a serial line or behind a network module, once, and print what it holds",
            place=False,
        ),
        "decode": Command("edge_agent.commands.decode", "decode telegrams that meters push", place=False),
        "scan": Command("edge_agent.commands.scan", "find out what answers on a serial line", place=False),
    },
    distribution="campus-edge-agent",
    place=Place("--config", "FILE", lambda: DEFAULT_CONFIG, f"gateway.toml (default: {DEFAULT_CONFIG})"),
    errors=(EdgeError,),
    epilog="""from a line to signed readings (docs/METERS.md and docs/OPERATIONS.md):
  edge-agent setup                                        all of it, by questions; or step by step:
  edge-agent scan /dev/ttyUSB0                            what is on the line
  edge-agent read --port /dev/ttyUSB0 --client 16         what the meter holds
  edge-agent check                                        once gateway.toml is written
  edge-agent enrol --claim CODE --wait
  edge-agent run                                          as a service: edge_agent/systemd/edge-agent.service
  edge-agent status
  edge-agent reset-meter METER                            a register fell, because the meter was reset""",
)


def main(words: Sequence[str] | None = None) -> int:
    """The command `edge-agent`; returns its exit status."""
    return PROGRAM.main(words)


if __name__ == "__main__":
    sys.exit(main())
