"""/api/v1/me/webhooks: where a member's programs are told of bills, fills, cleared books and silent meters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint, EmptySchema, fields
from apiflask.validators import Length, OneOf
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS, KeyInput
from authority.api.me_transfers import OF_THE_MEMBER
from authority.api.paging import NEXT, PageQuery, cut
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.people import sent_forms, webhooks
from authority.people.outside import LONGEST_URL, Outside
from authority.people.roles import Principal
from authority.people.webhooks import EVENTS, SHOWN
from authority.refusals import RefusalError

RULES: Mapping[str, Rule] = {
    "me_webhooks.listed": Rule(OF_THE_MEMBER),
    "me_webhooks.make": Rule(OF_THE_MEMBER),
    "me_webhooks.end": Rule(OF_THE_MEMBER),
    "me_webhooks.resume": Rule(OF_THE_MEMBER),
    "me_webhooks.deliveries": Rule(OF_THE_MEMBER),
}
"""A token makes no webhooks: who reads along is for the person to say."""
EXAMPLE = {"url": "https://example.org/campus", "events": ["bill_issued", "order_filled"]}


class WebhooksOffError(RefusalError):
    """[web] webhooks is false: this site tells nobody's programs."""

    code = "webhooks_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookView:
    """A webhook, without its secret."""

    webhook: str = described("Its id.")
    url: str = described("Where messages are posted.")
    events: tuple[str, ...] = described("Of what: bill_issued, order_filled, epoch_cleared, meter_silent.")
    created_at: int = described("When it was made.")
    stopped_at: int | None = described("Since when nothing is sent, for nothing was taken for hours; null: it is on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HookViews:
    """A person's webhooks."""

    webhooks: tuple[HookView, ...] = described("The webhooks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHook:
    """A webhook as it is shown this once."""

    webhook: str = described("Its id.")
    secret: str = described("What its messages are signed with. It is shown this once.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A message to a webhook."""

    id: int = described("Its number.")
    event: str = described("What it tells of.")
    state: Literal["waiting", "delivered", "given_up"] = described("given_up: after twelve tries.")
    tries: int = described("How often it was tried.")
    made_at: int = described("When it was noted.")
    told: str = described("Why the last try failed; empty otherwise.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryViews:
    """Messages of the last 30 days, the newest first."""

    deliveries: tuple[DeliveryView, ...] = described("The messages.")
    next: str | None = described(NEXT)


class HookInput(Body):
    """A new webhook."""

    url = fields.String(
        required=True, validate=Length(1, LONGEST_URL), metadata={"description": "https://, of a public address."}
    )
    events = fields.List(fields.String(validate=OneOf(EVENTS)), required=True, validate=Length(1, len(EVENTS)))


class Webhooks:
    """What pages and resources do with webhooks, over an opened authority and the way out."""

    def __init__(self, app: App, outside: Outside) -> None:
        self.app, self._outside = app, outside

    @property
    def on(self) -> bool:
        """Whether this site sends them."""
        return self.app.home.settings.web.webhooks

    def make(self, who: Principal, url: str, events: Sequence[str], key: str) -> tuple[str, str]:
        """A new webhook's id and secret, once for the key. WebhooksOffError, AddressRefusedError, FormSentError."""
        if not self.on:
            raise WebhooksOffError("this site sends no webhooks: ask the department")
        self._outside.look(url)
        now = self.app.clock()
        with self.app.store.write() as session:
            sent_forms.spend(session, f"webhook {who.pseudonym} {key}" if key else "", now)
            return webhooks.make(session, who, url, events, now, now // self.app.home.settings.epoch.seconds)

    def listed(self, who: Principal) -> HookViews:
        """A person's webhooks."""
        with self.app.store.read() as session:
            found = webhooks.listed(session, who)
        return HookViews(webhooks=tuple(HookView(**{**each, "events": tuple(each["events"])}) for each in found))

    def deliveries(self, who: Principal, id: str, before: int | None = None) -> DeliveryViews:
        """A webhook's messages, older than that number; WebhookUnknownError."""
        with self.app.store.read() as session:
            found = [DeliveryView(**each) for each in webhooks.deliveries(session, who, id, before)]
        shown, more = cut(found, lambda each: each.id, SHOWN)
        return DeliveryViews(deliveries=tuple(shown), next=more)

    def end(self, who: Principal, id: str) -> None:
        """End a webhook; WebhookUnknownError."""
        with self.app.store.write() as session:
            webhooks.end(session, who, id, self.app.clock())

    def resume(self, who: Principal, id: str) -> None:
        """Switch a webhook on again; WebhookUnknownError."""
        with self.app.store.write() as session:
            webhooks.resume(session, who, id, self.app.clock())


def blueprint(hooks: Webhooks) -> APIBlueprint:
    """The resources."""
    me = APIBlueprint("me_webhooks", __name__, url_prefix="/api/v1/me/webhooks", tag="Me")

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("")
    @me.output(schema_of(HookViews), description="The webhooks.")
    @me.doc(operation_id="list_my_webhooks", summary="Your webhooks", responses=NOT_YOURS)
    def listed() -> dict[str, Any]:
        return asdict(hooks.listed(gate.principal()))

    @me.post("")
    @me.input(KeyInput, location="headers", arg_name="header")
    @me.input(HookInput, arg_name="given", example=EXAMPLE)
    @me.output(schema_of(NewHook), status_code=201, description="The webhook, with its secret.")
    @me.doc(
        operation_id="make_my_webhook",
        summary="Have a program told of what happens",
        description="Messages are posted as JSON, signed: Campus-Signature: t=UNIX,v1=HEX, HEX being HMAC-SHA256 of "
        "`UNIX.BODY` by the secret.",
        responses={
            400: "The address or the events are wrong; nothing is sent to private networks.",
            409: "This site sends none.",
            **NOT_YOURS,
        },
    )
    def make(header: dict[str, str], given: dict[str, Any]) -> NewHook:
        made = hooks.make(gate.principal(), given["url"], given["events"], sent_forms.fresh())
        return NewHook(webhook=made[0], secret=made[1])

    @me.delete("/<hook>")
    @me.output(EmptySchema, status_code=204)
    @me.doc(operation_id="end_my_webhook", summary="End a webhook", responses=NOT_YOURS)
    def end(hook: str) -> str:
        hooks.end(gate.principal(), hook)
        return ""

    @me.post("/<hook>/resume")
    @me.output(EmptySchema, status_code=204)
    @me.doc(
        operation_id="resume_my_webhook",
        summary="Switch a webhook on again that was given up",
        description="Asked for twice it is done once.",
        responses=NOT_YOURS,
    )
    def resume(hook: str) -> str:
        hooks.resume(gate.principal(), hook)
        return ""

    @me.get("/<hook>/deliveries")
    @me.input(PageQuery, location="query", arg_name="query")
    @me.output(schema_of(DeliveryViews), description="The messages.")
    @me.doc(
        operation_id="list_my_webhook_deliveries",
        summary="What became of a webhook's messages",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def deliveries(hook: str, query: dict[str, Any]) -> dict[str, Any]:
        return asdict(hooks.deliveries(gate.principal(), hook, query["cursor"]))

    return me
