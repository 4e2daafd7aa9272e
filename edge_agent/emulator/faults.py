"""What goes wrong on real lines and in real meters, on command and by schedule.

A fault meets one answer or one pushed telegram, counted from 1; or happens to the meters before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from edge_agent.emulator.fault_kinds import BLOCK_FAULTS, GARBAGE, IN_THE_METER, Fault
from edge_agent.emulator.line import EmulatedLine

LONGEST_ECHO = 1 << 16
"""Bytes of a request that an `echo` gives back at most."""


class FaultyLine:
    """An emulated line with faults. `receive` gives pieces to write, each with the seconds to wait before it."""

    def __init__(self, line: EmulatedLine, schedule: Iterable[Fault] = ()) -> None:
        self.line = line
        self.schedule = list(schedule)
        self.answers = 0
        self.struck: list[str] = []
        self._request = b""  # since the last answer
        self._commanded: list[Fault] = []
        self._happened: list[Fault] = []  # what has happened to the meters before the answer that is due

    def command(self, text: str) -> None:
        """A fault for the next answer; FaultError, also where it has no meaning on this line."""
        fault = Fault.parse(text)
        fault.check(self.line.config.kind)
        self._commanded.append(fault)

    def receive(self, data: bytes, answer: Callable[[bytes], bytes] | None = None) -> list[tuple[float, bytes]]:
        """The answers to these bytes, as they come onto the line; `answer` gives them in place of the line itself."""
        faults = list(self._due())
        self._happen_once(faults)
        request = self._request = (self._request + data)[-LONGEST_ECHO:]
        engaged = self.line.engaged
        answered = (answer or self.line.receive)(data)
        if not answered:
            return []
        self._request = b""
        self._count(faults)
        pieces = [(0.0, answered)]
        for fault in faults:
            pieces = self._meet(fault, pieces, request)
            if fault.kind == "reboot" and (engaged or self.line.engaged):
                # The answer to what began again would hide that anything happened.
                self.line.forget()
                pieces = []
        return pieces

    def pushes(self) -> list[tuple[float, bytes]]:
        """The telegrams that are due, as they come onto the line."""
        found: list[tuple[float, bytes]] = []
        for meter in self.line.meters:
            if not meter.push_due():
                continue
            faults = list(self._due())
            self._happen_once(faults)
            telegram = self.line.push(meter)
            if not telegram:
                continue  # the clock has jumped back
            self._count(faults)
            pieces = [(0.0, telegram)]
            for fault in faults:
                pieces = self._meet(fault, pieces, b"")
                if fault.kind == "reboot" and pieces:
                    pieces = [(0.0, telegram[: len(telegram) // 2])]
            found += pieces
        return found

    def _count(self, faults: list[Fault]) -> None:
        self.answers += 1
        self._commanded.clear()
        self._happened.clear()
        self.struck += [fault.kind for fault in faults]

    def quiet(self) -> list[tuple[float, bytes]]:
        """The line has been silent."""
        answer = self.line.quiet()
        return [(0.0, answer)] if answer else []

    def _due(self) -> Iterator[Fault]:
        yield from self._commanded
        for fault in self.schedule:
            if fault.strikes(self.answers + 1):
                yield fault

    def _happen_once(self, faults: list[Fault]) -> None:
        """What befalls the meters, once: a request may come in many pieces, the answer to it comes after the last."""
        for fault in faults:
            if fault.kind in IN_THE_METER and not any(fault is one for one in self._happened):
                self._happened.append(fault)
                self._happen(fault)

    def _happen(self, fault: Fault) -> None:
        if fault.kind == "reboot":
            self.line.forget()
        elif fault.kind == "wrong_baud":
            self.line.garbled = True
        elif fault.kind == "busy":
            self.line.make_busy()
        for meter in self.line.meters:
            if fault.kind == "wrong_counter":
                meter.repeat_counter()
            elif fault.kind == "counter_reset":
                meter.reset_registers()
            elif fault.kind in BLOCK_FAULTS:
                meter.block_fault = fault.kind
            elif fault.kind == "clock_jump":
                meter.clock_error += round(fault.seconds)

    def _meet(self, fault: Fault, pieces: list[tuple[float, bytes]], request: bytes) -> list[tuple[float, bytes]]:
        if not pieces:
            return []
        delay, answer = pieces[0][0], b"".join(piece for _, piece in pieces)
        middle = len(answer) // 2
        kind = fault.kind
        if kind == "flip":
            return [(delay, answer[:middle] + bytes((answer[middle] ^ 0x08,)) + answer[middle + 1 :])]
        if kind == "wrong_fcs":
            return [(delay, self._with_wrong_check(answer))]
        if kind == "truncate":
            return [(delay, answer[: len(answer) * 2 // 3])]
        if kind == "double":
            return [(delay, answer + answer)]
        if kind == "garbage_before":
            return [(delay, GARBAGE + answer)]
        if kind == "garbage_after":
            return [(delay, answer + GARBAGE)]
        if kind == "echo":
            return [(delay, request + answer)]
        if kind == "gap":
            return [(delay, answer[:middle]), (fault.seconds, answer[middle:])]
        if kind == "drop":
            return []
        if kind == "late":
            return [(delay + fault.seconds, answer)]
        return pieces

    def _with_wrong_check(self, answer: bytes) -> bytes:
        if self.line.config.kind == "p1" and answer.endswith(b"\r\n"):
            return answer[:-3] + (b"1" if answer[-3:-2] == b"0" else b"0") + answer[-2:]
        at = max(0, len(answer) - {"mbus": 2, "sml": 1}.get(self.line.config.kind, 3))
        return answer[:at] + bytes((answer[at] ^ 0xFF,)) + answer[at + 1 :]
