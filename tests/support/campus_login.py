"""A site whose people are invited by mail, and sign in by the campus's own login: a real relay and OpenID provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from mail_relay import Relay
from openid_provider import CLIENT, SECRET, OpenIdProvider
from people_site import build
from solders.keypair import Keypair

from authority.app import App
from authority.home.home import Home
from authority.home.settings import AlertSettings, OidcSettings
from authority.store.people import User

ORIGIN = "https://energy.campus.example"
"""The address in mails: whoever opens one here goes to the same path of the served site."""


@dataclass
class CampusLoginSite:
    """Members A to D without a chain, and who mails and knows the campus's people."""

    flask: Any
    cookies: dict[str, str]
    client: Any
    campus: Any
    relay: Relay
    provider: OpenIdProvider


@contextmanager
def over(app: App) -> Iterator[CampusLoginSite]:
    """The site over an opened authority."""
    relay, provider = Relay(), OpenIdProvider(app.clock)
    provider.interactive = True
    relay.start()
    try:
        app.home.save(replace(app.home.settings, oidc=OidcSettings(provider.issuer, CLIENT, "Campus login")))
        app.home.keys.make("oidc-client-secret", SECRET.encode() + b"\n")
        made = build(app)
        alerts = AlertSettings(
            mail_from="energy@campus.example", smtp_host="127.0.0.1", smtp_port=relay.port, smtp_security="none"
        )
        mailing = Home.open(app.home.path)  # the process that mails; the pages here are served without TLS
        mailing.save(
            replace(mailing.settings, alerts=alerts, web=replace(mailing.settings.web, origin=ORIGIN)),
        )
        with app.store.write() as session:
            for name in "ABCD":
                session.add(User(name=name, building=name, wallet=str(Keypair().pubkey()), registered_at=1))
        yield CampusLoginSite(made.flask, made.cookies, made.client, SimpleNamespace(app=app), relay, provider)
    finally:
        provider.stop()
        relay.stop()
