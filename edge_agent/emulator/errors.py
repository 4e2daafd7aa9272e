"""The root of the emulator's errors: files and commands that cannot be used."""

from __future__ import annotations

from edge_agent.errors import EdgeError


class EmulatorError(EdgeError):
    """What the emulator cannot use; the message says which entry is wrong and what it should hold."""
