"""Announcements: to everybody at /api/v1/announcements, to a member at /api/v1/me/announcements; and the acts."""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint, fields
from apiflask.validators import Length, OneOf, Range
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import ANY_SCOPE, PUBLIC, Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import NEXT, PageQuery
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.operations import news
from authority.people import reads
from authority.people.roles import OPERATES, READ_OPERATIONS, SEES_WHAT_WAITS, Principal
from authority.store.desk import Announcement

RULES: Mapping[str, Rule] = {
    "news.current": PUBLIC,
    "my_news.mine": Rule(frozenset(), ANY_SCOPE),
    "news_desk.listed": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "news_desk.publish": Rule(OPERATES),
    "news_desk.withdraw": Rule(OPERATES),
}
LAST_SECOND = 2**40
NEWS = "announcements"
"""What the log says that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An announcement as its readers have it: plain text."""

    number: int = described("Its number.")
    title: str = described("Its title.")
    text: str = described("Its text; lines are parted by a newline.")
    starts_at: int = described("From when on it is shown.")
    ends_at: int = described("Until when.")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is announced now, the newest first."""

    announcements: tuple[Told, ...] = described("The announcements.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An announcement as the department has it."""

    told: Told = described("What is told.")
    audience: Literal["everybody", "members", "building"] = described("To whom.")
    building: str | None = described("The building, where it is for one.")
    made_at: int = described("When it was made.")
    withdrawn_at: int | None = described("When it was withdrawn.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllNews:
    """All announcements, the newest first."""

    announcements: tuple[Kept, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """An announcement that was made, or is there already."""

    number: int = described("Its number.")


class AnnouncementInput(Body):
    """What is announced."""

    title = fields.String(required=True, validate=Length(1, news.LONGEST_TITLE))
    text = fields.String(required=True, validate=Length(1, news.LONGEST_TEXT))
    starts_at = fields.Integer(strict=True, required=True, validate=Range(0, LAST_SECOND))
    ends_at = fields.Integer(strict=True, required=True, validate=Range(0, LAST_SECOND))
    audience = fields.String(required=True, validate=OneOf(news.AUDIENCES))
    building = fields.String(load_default="", validate=Length(max=128))


EXAMPLE_TOLD = {
    "number": 4,
    "title": "Meters are read late tonight",
    "text": "The network is worked on from 22:00 to 23:00. No energy is lost.",
    "starts_at": 1_782_000_000,
    "ends_at": 1_782_086_400,
}
EXAMPLE_KEPT = {
    "told": EXAMPLE_TOLD, "audience": "everybody", "building": None, "made_at": 1_781_990_000, "withdrawn_at": None,
}  # fmt: skip


class NewsDesk:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self._app = app

    def current(self, who: Principal | None) -> Sequence[Announcement]:
        """What is told now to whoever that is; None: to everybody."""
        with self._app.store.read() as session:
            member = None if who is None or who.member is None else who.member.id
            return news.current(session, self._app.clock(), member)

    def all(self, who: Principal, before: int | None) -> Sequence[Announcement]:
        """All of them, the newest first. The reading is logged."""
        reads.note(self._app.store, who, NEWS, reads.EVERYBODY, self._app.clock())
        with self._app.store.read() as session:
            return news.listed(session, before)

    def buildings(self) -> list[str]:
        """The buildings that one may be for."""
        with self._app.store.read() as session:
            return news.buildings(session)

    def publish(self, who: Principal, given: Mapping[str, Any]) -> int:
        """Announce something; NewsInvalidError."""
        return news.publish(self._app, **given, actor=who.actor)[0]

    def withdraw(self, who: Principal, number: int) -> None:
        """Take one back; NotFoundError."""
        news.withdraw(self._app, number, actor=who.actor)


def _told(row: Announcement) -> Told:
    return Told(number=row.id, title=row.title, text=row.text, starts_at=row.starts_at, ends_at=row.ends_at)


def _kept(row: Announcement) -> Kept:
    return Kept(
        told=_told(row),
        audience=row.audience,  # type: ignore[arg-type]  # of news.AUDIENCES
        building=row.building,
        made_at=row.made_at,
        withdrawn_at=row.withdrawn_at,
    )


def blueprint(desk: NewsDesk) -> APIBlueprint:
    """The resource for everybody."""
    announced = APIBlueprint("news", __name__, url_prefix="/api/v1/announcements", tag="Public")

    @announced.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @announced.get("")
    @announced.output(schema_of(News), description="The announcements.", example={"announcements": [EXAMPLE_TOLD]})
    @announced.doc(operation_id="list_announcements", summary="What is announced to everybody now")
    def current() -> dict[str, Any]:
        return asdict(News(announcements=tuple(map(_told, desk.current(None)))))

    return announced


def desk_blueprint(desk: NewsDesk) -> APIBlueprint:
    """The department's resources."""
    announced = APIBlueprint("news_desk", __name__, url_prefix="/api/v1/announcements", tag="Operations")

    @announced.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @announced.get("/all")
    @announced.input(PageQuery, location="query", arg_name="query")
    @announced.output(
        schema_of(AllNews), description="The announcements.", example={"announcements": [EXAMPLE_KEPT], "next": None}
    )
    @announced.doc(
        operation_id="list_all_announcements",
        summary="All announcements, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        rows = desk.all(gate.principal(), query["cursor"])
        more = str(rows[-1].id) if len(rows) == news.MOST_SHOWN else None
        return asdict(AllNews(announcements=tuple(map(_kept, rows)), next=more))

    @announced.post("")
    @announced.input(
        AnnouncementInput,
        arg_name="given",
        example={
            **{name: EXAMPLE_TOLD[name] for name in ("title", "text", "starts_at", "ends_at")},
            "audience": "members",
        },
    )
    @announced.output(schema_of(Announced), 201, description="Its number.")
    @announced.doc(
        operation_id="publish_announcement",
        summary="Announce something",
        description="Plain text. No token may do this: it takes a session and X-Form-Token.",
        responses={400: "What is announced is malformed.", **NOT_YOURS},
    )
    def publish(given: dict[str, Any]) -> Announced:
        return Announced(number=desk.publish(gate.principal(), given))

    @announced.post("/<int:number>/withdraw")
    @announced.output(schema_of(Announced), description="Its number.", example={"number": 4})
    @announced.doc(operation_id="withdraw_announcement", summary="Withdraw an announcement", responses=dict(NOT_YOURS))
    def withdraw(number: int) -> Announced:
        desk.withdraw(gate.principal(), number)
        return Announced(number=number)

    return announced


def member_blueprint(desk: NewsDesk) -> APIBlueprint:
    """What is announced to whoever asks."""
    mine_ = APIBlueprint("my_news", __name__, url_prefix="/api/v1/me/announcements", tag="Me")

    @mine_.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @mine_.get("")
    @mine_.output(schema_of(News), description="The announcements.", example={"announcements": [EXAMPLE_TOLD]})
    @mine_.doc(operation_id="list_my_announcements", summary="What is announced to you now", responses=NOT_YOURS)
    def mine() -> dict[str, Any]:
        return asdict(News(announcements=tuple(map(_told, desk.current(gate.principal())))))

    return mine_
