"""The web application: pages at /, JSON under /api/v1, its description at /openapi.json and, for people, /docs."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, g, render_template, request, url_for
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from authority import api
from authority.api import (
    accounts,
    audits,
    billing,
    description,
    epochs,
    gate,
    held,
    idempotency,
    indicator_files,
    log_reading,
    me,
    me_certificates,
    me_delegates,
    me_export,
    me_files,
    me_leaving,
    me_mails,
    me_transfers,
    me_wallet,
    me_webhooks,
    meter_days,
    meter_exchange,
    news,
    openadr,
    tariffs,
    tickets,
)
from authority.api.audit_job import AuditJobs
from authority.api.audit_log import AuditLog
from authority.api.bill_parts import BillParts
from authority.api.campus import Campus, CampusSource, CampusUnavailableError
from authority.api.certificates import MemberCertificates
from authority.api.feed import CampusFeed, TooManyStreamsError
from authority.api.gate import FORM_FIELD
from authority.api.hand_orders import HandOrders
from authority.api.indicators import CampusIndicators
from authority.api.indicators import blueprint as indicators_blueprint
from authority.api.log_tiles import ServedLog
from authority.api.log_tiles import blueprint as log_blueprint
from authority.api.market import Market
from authority.api.market import blueprint as market_blueprint
from authority.api.member import Members
from authority.api.own_wallet import OwnWallets
from authority.api.plan import CampusPlan
from authority.api.plan import blueprint as plan_blueprint
from authority.api.public import RETRY_MILLISECONDS, blueprint
from authority.api.schemas import Problem, schema_of
from authority.api.tickets import Tickets
from authority.api.transfers import HandTransfers
from authority.api.treasury import Treasury
from authority.app import App
from authority.billing.errors import BillsInMakingError
from authority.chain.client import ChainClient
from authority.collector.documents import read_json
from authority.errors import AuthorityError
from authority.language import reading
from authority.language.reading import ENGLISH, said
from authority.market.open_book import OpenBook
from authority.people.errors import ForeignRequestError, TooOftenError
from authority.people.oidc import Provider
from authority.people.outside import Outside
from authority.people.sessions import form_token
from authority.problems import problem
from authority.refusals import MalformedError
from authority.status.public import Board
from authority.web import (
    access,
    account_pages,
    answers,
    approval_pages,
    audit_pages,
    bill_part_pages,
    certificate_pages,
    delegate_pages,
    epoch_pages,
    estimate_pages,
    exchange_pages,
    figures,
    help_page,
    indicator_pages,
    kwh_pages,
    languages,
    leave_pages,
    live,
    mail_pages,
    market_pages,
    member_pages,
    navigation,
    news_pages,
    oidc_pages,
    operator_acts,
    operator_pages,
    payout_pages,
    people_pages,
    plan_pages,
    presentation,
    reader_pages,
    reference,
    role_pages,
    status_pages,
    tariff_pages,
    ticket_pages,
    treasurer_pages,
    waiting,
    wallet_pages,
    webhook_pages,
)
from authority.web.health import Health
from authority.web.health import blueprint as health_blueprint
from edge_agent.wire import problems

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
RETRY_SECONDS = 5
COMPRESSED = (
    "application/atom+xml",
    "text/html",
    "text/css",
    "text/javascript",
    "application/javascript",
    "application/json",
    "image/svg+xml",
)
KEPT_PAGES = 8
"""Rendered first pages: of the newest view and of the last that changed, in each language."""
WORTH_COMPRESSING = 500  # bytes; less is one packet either way
GZIP, STREAM_WINDOW, STREAM_MEMORY = 16, 13, 5
"""Of an event stream: zlib's word for gzip, and the powers of two of its window and its memory (zlib's manual)."""


def create_app(
    source: CampusSource,
    *,
    feed: CampusFeed | None = None,
    health: Health | None = None,
    log: ServedLog | None = None,
    people: People | None = None,
) -> APIFlask:
    """The WSGI application over a source of the campus view.

    `health` adds what monitoring asks, `log` the log, `people` the pages and resources of those who sign in.
    """
    feed = feed or CampusFeed(source)
    app = APIFlask(
        __name__,
        title="Campus energy",
        version="1",
        docs_path=None,
        openapi_blueprint_url_prefix=None,
        static_folder="static",
    )
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        SYNC_LOCAL_SPEC=False,
        DESCRIPTION=(api.__doc__ or "")
        + " Energy is in Wh, power in W, prices in micro-credits per kWh, times in Unix seconds.",
        HTTP_ERROR_SCHEMA=schema_of(Problem),
        VALIDATION_ERROR_SCHEMA=schema_of(Problem),
        VALIDATION_ERROR_STATUS_CODE=400,
        SECURITY_SCHEMES=description.SECURITY_SCHEMES,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.url_map.converters["int"] = _StoredInteger
    app.extensions["campus_feed"] = feed
    app.register_blueprint(blueprint(feed))
    if health is not None:
        app.register_blueprint(health_blueprint(health))
    if log is not None:
        app.register_blueprint(log_blueprint(log))
    app.jinja_env.globals.update(
        figures=figures, presentation=presentation, people=people is not None, public_pages=navigation.PUBLIC_PAGES
    )
    site = None if people is None else people.app.home.settings.site
    app.jinja_env.globals["site_zone"] = ZoneInfo("UTC" if site is None else site.zone)
    app.jinja_env.globals["announcements"] = tuple
    languages.install(app, ENGLISH if site is None else site.language)
    if people is not None:
        _add_people(app, people)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    rendered = _Rendered(app)

    @app.get("/")
    @app.doc(hide=True)
    def campus_page() -> Response:
        try:
            campus = feed.now()
        except CampusUnavailableError as error:
            return Response(render_template("unavailable.html", error=error), 503, {"Retry-After": str(RETRY_SECONDS)})
        if g.get("principal") is not None:
            return answers.page(render_template("campus.html", campus=campus, now=campus.time))
        page = rendered.of(campus)
        response = Response(page.compressed if request.accept_encodings["gzip"] else page.text)
        if request.accept_encodings["gzip"]:
            response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
        return response

    @app.get("/live")
    @app.doc(hide=True)
    def live_events() -> Response:
        rendered.of(feed.now())  # an error now is an answer; later it could only be a broken stream
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}
        compressed = bool(request.accept_encodings["gzip"])
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return Response(
            _LiveEvents(rendered, feed.stream(), reading.current().code, compressed),
            mimetype="text/event-stream",
            headers=headers,
        )

    @app.get("/docs")
    @app.doc(hide=True)
    def documentation() -> str:
        spec = app.spec
        assert isinstance(spec, dict)  # noqa: S101  (text only where the format is YAML)
        return render_template(
            "docs.html", operations=reference.operations(spec), spec=spec, spec_url=url_for("openapi.spec")
        )

    @app.spec_processor
    def completed(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
        assert isinstance(spec, dict)  # noqa: S101  (text only where the format is YAML)
        return description.complete(spec, app.url_map, access.RULES)

    @app.error_processor
    def api_error(error: HTTPError) -> Any:
        return problem(error.status_code, *_explained(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        if _wants_page():
            title = answers.title_of(status)
            return Response(render_template("error.html", status=status, title=title), status)
        return problem(status, problems.usual_code(status), error.description or "")

    @app.errorhandler(CampusUnavailableError)
    @app.errorhandler(TooManyStreamsError)
    def later(error: CampusUnavailableError | TooManyStreamsError) -> Response:
        return problem(503, error.code, str(error), retry_after=RETRY_SECONDS)

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        _compress(response)
        if response.mimetype in ("text/html", "application/json", problems.CONTENT_TYPE):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    if people is not None:
        idempotency.install(app, people.app)
        gate.check_rules(app, {name: rule for name, rule in access.RULES.items() if name in app.view_functions})
    return app


def _unreadable() -> Response | None:
    """Refuse JSON that no program writes: too deep, with endless numbers, or with what no text in a record has.

    What is no JSON at all is refused by whoever reads it.
    """
    if not request.is_json or not (body := request.get_data()):
        return None
    try:
        read_json(body)
    except MalformedError as error:
        if not isinstance(error.__cause__, json.JSONDecodeError):
            return problem(400, "malformed", str(error)[: problems.MAX_TEXT])
    return None


class _StoredInteger(IntegerConverter):
    """A number in an address, such as a bill's: one that no row of the store can have leads nowhere.

    The pattern itself takes no more than a store's 63 bits hold. Were the number refused after it, the answer would be
    405 wherever the same address has another method too.
    """

    regex = "[0-9]{1,18}"


@dataclass(frozen=True)
class People:
    """What people who sign in need: the opened authority, chain clients, one for each question, and the way out."""

    app: App
    client: Callable[[], ChainClient]
    outside: Outside = field(default_factory=Outside)


def _add_people(app: APIFlask, people: People) -> None:
    """The gate before every view, and what is behind it."""
    members, market = Members(people.app, people.client), Market(people.app)
    by_hand = HandOrders(people.app, people.client, OpenBook(people.app.store))
    gate.install(app, people.app, access.RULES)
    app.before_request(_unreadable)
    languages.of_the_person(app)
    app.register_blueprint(languages.blueprint(people.app))
    provider = Provider(people.app.home, people.app.clock)
    app.register_blueprint(people_pages.blueprint(people.app))
    app.register_blueprint(oidc_pages.blueprint(people.app, provider))
    app.register_blueprint(role_pages.blueprint(people.app))
    acting = me_delegates.Delegates(people.app)
    app.register_blueprint(me_delegates.blueprint(acting))
    app.register_blueprint(delegate_pages.blueprint(acting))
    app.register_blueprint(member_pages.blueprint(people.app, members, by_hand))
    parts = BillParts(people.app, people.client, members)
    app.register_blueprint(bill_part_pages.blueprint(people.app, parts, members))
    app.register_blueprint(kwh_pages.blueprint(people.app, people.client))
    app.register_blueprint(kwh_pages.links_blueprint(people.app, members, people.client))
    app.register_blueprint(payout_pages.blueprint(people.app))
    treasury = Treasury(people.app, people.client)
    app.register_blueprint(treasurer_pages.blueprint(treasury))
    app.register_blueprint(estimate_pages.blueprint(treasury))
    app.register_blueprint(billing.blueprint(treasury))
    waits = waiting.Waits(people.app, people.client)
    app.register_blueprint(waiting.blueprint(waits))
    held_readings = held.HeldReadings(people.app)
    app.register_blueprint(held.blueprint(held_readings))
    shown = operator_pages.Shown(people.app, people.client, waits, held_readings)
    app.register_blueprint(operator_pages.blueprint(shown))
    app.register_blueprint(operator_acts.blueprint(shown))
    members_list = accounts.Accounts(people.app, people.client)
    app.register_blueprint(accounts.blueprint(members_list))
    app.register_blueprint(account_pages.blueprint(members_list, members.zone))
    jobs = AuditJobs.of(people.app.home.path, people.app.clock)
    audit_log = AuditLog(people.app, people.client)
    app.register_blueprint(audit_pages.blueprint(people.app, audit_log, jobs))
    app.register_blueprint(audits.blueprint(audits.Audits(people.app, audit_log, jobs)))
    app.register_blueprint(log_reading.blueprint(people.app, audit_log))
    app.register_blueprint(approval_pages.blueprint(people.app, people.client))
    app.register_blueprint(me.blueprint(people.app, members, by_hand))
    app.register_blueprint(me_export.blueprint(people.app))
    app.register_blueprint(me_files.blueprint(people.app, members))
    app.register_blueprint(me_leaving.blueprint(people.app))
    app.register_blueprint(leave_pages.blueprint(people.app))
    app.register_blueprint(me_mails.blueprint(people.app))
    app.register_blueprint(mail_pages.blueprint(people.app))
    app.register_blueprint(reader_pages.blueprint(people.app))
    own_wallets = OwnWallets(people.app, people.client)
    app.register_blueprint(me_wallet.blueprint(people.app, own_wallets))
    transfers = HandTransfers(people.app, people.client)
    app.register_blueprint(me_transfers.blueprint(people.app, transfers))
    app.register_blueprint(wallet_pages.blueprint(people.app, members, own_wallets, transfers))
    certificates = MemberCertificates(people.app, people.client)
    app.register_blueprint(me_certificates.blueprint(people.app, certificates))
    app.register_blueprint(certificate_pages.blueprint(people.app, members, certificates))
    app.register_blueprint(certificate_pages.public_blueprint(people.app, members, certificates))
    disputes = Tickets(people.app, members, people.client)
    app.register_blueprint(tickets.member_blueprint(people.app, disputes))
    exchanging = meter_exchange.MeterExchange(people.app, people.client)
    app.register_blueprint(meter_exchange.blueprint(exchanging))
    app.register_blueprint(exchange_pages.blueprint(exchanging, members.zone))
    settled = epochs.Epochs(people.app)
    app.register_blueprint(epochs.blueprint(settled))
    app.register_blueprint(epoch_pages.blueprint(settled, members.zone, members.epoch_seconds))
    newsroom = news.NewsDesk(people.app)
    app.register_blueprint(news.blueprint(newsroom))
    app.register_blueprint(news.desk_blueprint(newsroom))
    app.register_blueprint(news.member_blueprint(newsroom))
    app.register_blueprint(news_pages.blueprint(people.app, newsroom))
    app.jinja_env.globals["announcements"] = lambda: newsroom.current(g.get("principal"))
    tariff_book = tariffs.TariffBook(people.app, people.client)
    app.register_blueprint(tariffs.blueprint(tariff_book))
    app.register_blueprint(tariff_pages.blueprint(tariff_book))
    app.register_blueprint(meter_days.blueprint(people.app, meter_days.MeterDays(people.app)))
    app.register_blueprint(tickets.desk_blueprint(disputes))
    app.register_blueprint(ticket_pages.member_blueprint(people.app, disputes))
    app.register_blueprint(ticket_pages.desk_blueprint(disputes))
    hooks = me_webhooks.Webhooks(people.app, people.outside)
    app.register_blueprint(me_webhooks.blueprint(hooks))
    app.register_blueprint(webhook_pages.blueprint(hooks))
    app.register_blueprint(market_blueprint(market))
    app.register_blueprint(openadr.blueprint(openadr.Vtn(people.app, market, people.client)))
    app.register_blueprint(market_pages.blueprint(market))
    indicators = CampusIndicators(people.app)
    app.register_blueprint(indicators_blueprint(indicators))
    app.register_blueprint(indicator_files.blueprint(indicators))
    app.register_blueprint(indicator_pages.blueprint(indicators))
    plan = CampusPlan(people.app)
    app.register_blueprint(plan_blueprint(plan))
    app.register_blueprint(plan_pages.blueprint(plan))
    board = app.extensions["status_board"] = Board(people.app, people.client)
    app.register_blueprint(status_pages.resource(board))
    app.register_blueprint(status_pages.blueprint(board, market.zone))
    app.register_blueprint(help_page.blueprint(people.app.home.settings))
    app.jinja_env.globals.update(form_field=FORM_FIELD, oidc_name=provider.name)

    @app.context_processor
    def of_the_request() -> dict[str, Any]:
        who = g.get("principal")
        return {"who": who, "form_token": form_token(g.session_secret) if who is not None else ""}

    @app.errorhandler(AuthorityError)
    def refused(error: AuthorityError) -> Response:
        status, code = answers.status_of(error), getattr(error, "code", "server_error")
        after = error.seconds if isinstance(error, TooOftenError) else answers.RETRY_SECONDS.get(type(error))
        if not _wants_page():  # a page's script shows it; the API is read in English
            return problem(status, code, said(str(error)), retry_after=after)
        title = answers.title_of(status)
        back = gate.came_from(people.app) if isinstance(error, ForeignRequestError) else ""
        text = render_template("error.html", status=status, title=title, message=str(error), back=back)
        answer = answers.page(text, status)
        if after is not None:
            answer.headers["Retry-After"] = str(after)
            if isinstance(error, BillsInMakingError) and request.method == "GET":
                answer.headers["Refresh"] = str(after)  # it is worth waiting for
        return answer

    @app.errorhandler(DataError)
    def not_of_any_record(_: DataError) -> Response:
        """A text or a number that the database takes in no question, such as one with a NUL: nobody's name has it."""
        if not _wants_page():
            return problem(400, "malformed", "something in it is in no record: a character, or a number too large")
        return answers.page(render_template("error.html", status=400, title=answers.title_of(400)), 400)


@dataclass(frozen=True)
class _Page:
    """A view's page: as text, compressed, and its live elements. Ages in it are those at the view's own time."""

    campus: Campus
    text: bytes
    compressed: bytes
    fragments: Mapping[str, live.Fragment]


class _Rendered:
    """The pages of the newest views, one in each language: rendered once, however many read it."""

    def __init__(self, app: APIFlask) -> None:
        self._app = app
        self._pages: dict[tuple[str, int], _Page] = {}
        self._lock = threading.Lock()
        self.told = live.Told()

    def of(self, campus: Campus) -> _Page:
        """The view's page as a stranger has it, in the language in which is read, within a request or without one."""
        key = (reading.current().code, id(campus))
        with self._lock:  # of many who wait for the same page one makes it
            page = self._pages.get(key)
            if page is None:  # while a page is kept so is its view, and no other has its id
                with self._app.app_context(), self._app.test_request_context():  # it is everybody's, not who asks first
                    text = render_template("campus.html", campus=campus, now=campus.time)
                data = text.encode()
                page = _Page(campus, data, gzip.compress(data, 6), live.fragments(text))
                if len(self._pages) >= KEPT_PAGES:
                    del self._pages[next(iter(self._pages))]
                self._pages[key] = page
            return page

    def views(
        self, stream: Iterator[Campus | None], code: str
    ) -> Iterator[tuple[int, Mapping[str, live.Fragment]] | None]:
        """A stream of views as `live.events` takes it, in a language."""
        for campus in stream:
            with reading.reading(code):
                found = None if campus is None else (campus.time, self.of(campus).fragments)
            yield found


@dataclass(frozen=True)
class _LiveEvents:
    """The body of the page's event stream; Werkzeug calls close() when the reader has gone.

    It holds no context of Flask's from one event to the next: whoever ends it may be in another thread or request.
    compressed: as gzip, each event complete as soon as it is there. Of the figures of one campus most is as before, so
    little of an hour is left; a small window keeps a reader's share of the memory at 48 KiB.
    """

    rendered: _Rendered
    stream: Any
    language: str
    compressed: bool

    def __iter__(self) -> Iterator[bytes]:
        texts = (text.encode() for text in self._texts())
        if not self.compressed:
            yield from texts
            return
        packer = zlib.compressobj(level=6, wbits=GZIP + STREAM_WINDOW, memLevel=STREAM_MEMORY)
        for text in texts:
            yield packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)

    def _texts(self) -> Iterator[str]:
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        yield from live.events(self.rendered.views(self.stream, self.language), self.rendered.told)

    def close(self) -> None:
        self.stream.close()


def _compress(response: Response) -> None:
    """gzip what is worth it for a reader that takes it; event streams are compressed where they are made."""
    if (
        response.mimetype not in COMPRESSED
        or response.status_code != 200
        or "Content-Encoding" in response.headers
        or not request.accept_encodings["gzip"]
    ):
        return
    response.direct_passthrough = False
    data = response.get_data()
    if len(data) >= WORTH_COMPRESSING:
        response.set_data(gzip.compress(data, 6))
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")


def _wants_page() -> bool:
    """Whether who asks is a person at a browser; programs, and whatever is under /api/, are answered in JSON."""
    if request.path.startswith("/api/"):
        return False
    return request.accept_mimetypes.best_match([problems.CONTENT_TYPE, "application/json", "text/html"]) == "text/html"


def _explained(error: HTTPError) -> tuple[str, str]:
    """(code, detail) of an error that APIFlask raised: for a wrong input, every field and what is wrong with it."""
    found = error.detail if isinstance(error.detail, dict) else {}
    lines = [
        f"{field}: {' '.join(messages) if isinstance(messages, list) else messages}"
        for fields in found.values()
        if isinstance(fields, dict)
        for field, messages in fields.items()
    ]
    if lines:
        return "malformed", "; ".join(lines)
    return problems.usual_code(error.status_code), error.message or ""
