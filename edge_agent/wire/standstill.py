"""Epochs in which emulated meters stand still: nothing flows, and their profile goes on afterwards where it stood.

Whoever pauses a campus of emulated meters writes the file, and each emulator reads it: one span a line, `FROM UNTIL` in
epoch numbers (UNTIL not included), in order; the last line may lack UNTIL, while it is not known.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edge_agent.wire.errors import WireError
from edge_agent.wire.files import write_atomically


class StandstillError(WireError):
    """A file of standstills that cannot be read, or spans that overlap; the message says what a line should be."""

    code = "bad_standstill"


class Span(NamedTuple):
    """Epochs from `begin` on, before `end`; None where the end is not known yet."""

    begin: int
    end: int | None


class Standstill:
    """The spans; with a file, those that it holds now, none where it does not exist."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self._seen: tuple[int, int] | None = None
        self._spans: tuple[Span, ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        """In order. StandstillError where the file does not hold such."""
        if self.file is None:
            return self._spans
        try:
            status = self.file.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if seen != self._seen:  # it is replaced whole, so another one is another file
                self._spans, self._seen = _parsed(self.file.read_text(encoding="ascii")), seen
        except FileNotFoundError:
            self._spans, self._seen = (), None
        except (OSError, UnicodeDecodeError) as error:
            raise StandstillError(f"cannot read {self.file}: {error}") from error
        return self._spans

    def stand(self, epoch: int) -> None:
        """Stand still from an epoch on, or go on doing so. StandstillError where it does already, or did later."""
        spans = self.spans
        if spans and spans[-1].end == epoch:
            self._replace((*spans[:-1], Span(spans[-1].begin, None)))
        else:
            self._replace((*spans, Span(epoch, None)))

    def go_on(self, epoch: int) -> None:
        """Go on from an epoch on; where that is the one from which to stand still, there was no standstill."""
        *before, last = self.spans
        self._replace((*before, *([last._replace(end=epoch)] if epoch != last.begin else [])))

    def _replace(self, spans: tuple[Span, ...]) -> None:
        lines = [" ".join(str(number) for number in span if number is not None) for span in spans]
        text = "".join(f"{line}\n" for line in lines)
        checked = _parsed(text)
        if self.file is not None:
            write_atomically(self.file, text.encode("ascii"), durable=False)
        self._spans = checked

    def holds(self, epoch: int) -> bool:
        """Whether nothing flows in an epoch."""
        return any(span.begin <= epoch and (span.end is None or epoch < span.end) for span in self.spans)

    def lived(self, start: int, epoch: int) -> int:
        """Epochs from `start` to before `epoch` in which there was no standstill."""
        stood = 0
        for span in self.spans:
            end = epoch if span.end is None else min(span.end, epoch)
            stood += max(0, end - max(span.begin, start))
        return max(0, epoch - start - stood)

    def epoch_of(self, start: int, number: int) -> int | None:
        """The epoch, from `start` on, that is lived as the `number`th, from 0; None where it waits for a standstill."""
        epoch = start + number
        for span in self.spans:
            begin = max(span.begin, start)
            if epoch < begin:
                break
            if span.end is None:
                return None
            epoch += max(0, span.end - begin)
        return epoch


def _parsed(text: str) -> tuple[Span, ...]:
    spans: list[Span] = []
    for line in text.splitlines():
        words = line.split()
        if not 1 <= len(words) <= 2 or not all(word.isdigit() for word in words):
            raise StandstillError(
                f"{line[:64]!r} should be two epoch numbers, the first of a standstill and of going on"
            )
        span = Span(int(words[0]), int(words[1]) if len(words) == 2 else None)
        last = spans[-1].end if spans else -1
        if last is None or span.begin <= last or (span.end is not None and span.end <= span.begin):
            raise StandstillError(f"{line[:64]!r} should come after the line before it, and end after it begins")
        spans.append(span)
    return tuple(spans)
