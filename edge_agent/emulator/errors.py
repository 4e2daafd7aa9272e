"""The root of the emulator's errors: files and commands that cannot be used."""

from __future__ import annotations


class EmulatorError(ValueError):
    """`code` names the cause for programs, the message says which entry is wrong and what it should hold."""

    code = "bad_config"
