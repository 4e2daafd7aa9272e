"""/api/v1/me/export: everything that is kept about a person, made by a process of its own and sent as it is made.

The process stands back behind the pages (authority.api.export), and waits where the reader does; it ends with the
reader. Few are made at a time, and one for a person.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import OneOf
from flask import Response

from authority.api import export, gate
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.app import App
from authority.billing.calendar import local
from authority.errors import AuthorityError
from authority.language.reading import ENGLISH, LANGUAGES
from authority.people import reads
from authority.people.roles import Principal
from edge_agent.wire import processes
from edge_agent.wire.log import StructuredLog

RULES: Mapping[str, Rule] = {"me_export.download": Rule(frozenset())}
"""Signed-in people alone: it has more than any scope of a token stands for."""
CONTENT_TYPE = "application/zip"
AT_ONCE = 2
CHUNK = 64 * 1024
RETRY_SECONDS = 60
READ = "export"
"""What the log says was read: all of one's own."""

LOG = StructuredLog(__name__)


class ExportBusyError(AuthorityError):
    """An export of this person is being made already, or as many others as may be at a time."""

    code = "export_busy"

    def __init__(self) -> None:
        super().__init__("an export is being made already: wait until it has come, or try again in a minute")


class ExportFailedError(AuthorityError):
    """The process that makes an export ended before its time."""

    code = "export_failed"


class LanguageQuery(Schema):
    """In which language."""

    language = fields.String(
        load_default=ENGLISH, validate=OneOf(tuple(LANGUAGES)), metadata={"description": "Of README.txt."}
    )


class Exports:
    """Makes archives of a home's people, each by a process. For any thread."""

    def __init__(self, app: App) -> None:
        self._home: Path = app.home.path
        self._clock = app.clock
        self._lock = threading.Lock()
        self._made_for: set[str] = set()

    def start(self, pseudonym: str, language: str) -> Iterator[bytes]:
        """The archive, as it is made; ExportBusyError, and ExportFailedError where not even its beginning comes."""
        with self._lock:
            if pseudonym in self._made_for or len(self._made_for) >= AT_ONCE:
                raise ExportBusyError
            self._made_for.add(pseudonym)
        made = self._run(pseudonym, language)
        try:
            first = next(made)
        except BaseException:
            made.close()
            raise
        return _Begun(first, made)

    def _run(self, pseudonym: str, language: str) -> Generator[bytes, None, None]:
        """In the thread that answers: the kernel ends a child with the thread that started it."""
        try:
            words = (str(self._home), pseudonym, str(self._clock()), language)
            child = subprocess.Popen(
                [
                    sys.executable, "-m", processes.__name__, str(os.getpid()),
                    sys.executable, "-m", export.__name__, *words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
            assert child.stdout is not None  # noqa: S101
            try:
                while data := os.read(child.stdout.fileno(), CHUNK):
                    yield data
                if child.wait() != 0:
                    LOG.warning("an export was not made to its end", status=child.returncode)
                    raise ExportFailedError("the export could not be made to its end: try again")
            finally:
                child.stdout.close()
                child.kill()
                child.wait()
        finally:
            with self._lock:
                self._made_for.discard(pseudonym)


class _Begun:
    """An archive whose beginning is there; closing it ends the process."""

    def __init__(self, first: bytes, rest: Generator[bytes, None, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        return next(self._rest) if first is None else first

    def close(self) -> None:
        """The reader has gone, or has it all."""
        self._rest.close()


def note(app: App, who: Principal) -> None:
    """Log that a person takes its data out, by its pseudonym, before they are given out."""
    reads.note(app.store, who, READ, who.pseudonym, app.clock())


ANSWERS: dict[int | str, Any] = {
    200: {"description": "The archive.", "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    400: "The language is none that there is.",
    **dict[int | str, Any](NOT_YOURS.items()),
    503: "An export is being made already, or could not be begun: wait as long as Retry-After says.",
}


def blueprint(app: App) -> APIBlueprint:
    """The resource over an opened authority."""
    me, exports = APIBlueprint("me_export", __name__, url_prefix="/api/v1/me", tag="Me"), Exports(app)
    zone = ZoneInfo(app.home.settings.site.zone)

    @me.get("/export")
    @me.input(LanguageQuery, location="query", arg_name="query")
    @me.doc(
        operation_id="export_my_data",
        summary="Everything that is kept about you, as a ZIP",
        description="README.txt in it says what each file is: person, sessions, tokens, log and who read what; of a "
        "member also meters, energy by quarters of an hour, orders, fills, credits and bills. No token may take it.",
        responses=ANSWERS,
    )
    def download(query: dict[str, str]) -> Response:
        who = gate.principal()
        note(app, who)
        made = exports.start(who.pseudonym, query["language"])
        name = f"my-data-{local(app.clock(), zone).date()}.zip"
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Accel-Buffering": "no",
        }
        return Response(made, headers=headers, content_type=CONTENT_TYPE)

    return me
