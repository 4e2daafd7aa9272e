"""Who may come through which route: the whole table. The application does not start where a route is missing in it."""

from __future__ import annotations

from collections.abc import Mapping

from authority.api import epochs, me, me_wallet, meter_days, meter_exchange, news, openadr, tariffs, tickets
from authority.api.gate import PUBLIC, Rule
from authority.web import (
    approval_pages,
    audit_pages,
    epoch_pages,
    estimate_pages,
    exchange_pages,
    kwh_pages,
    languages,
    member_pages,
    news_pages,
    oidc_pages,
    operator_acts,
    operator_pages,
    payout_pages,
    people_pages,
    tariff_pages,
    ticket_pages,
    treasurer_pages,
    wallet_pages,
)

PUBLIC_ROUTES: Mapping[str, Rule] = dict.fromkeys(
    (
        "static",
        "openapi.spec",
        "campus_page",
        "live_events",
        "documentation",
        "public.campus",
        "public.stream",
        "market.prices",
        "market.book",
        "market_pages.market_page",
        "market_pages.prices_csv",
        "help_page.words",
        "health.alive",
        "health.ready",
        "health.metrics",  # takes a token of its own
        "log.checkpoint",
        "log.key",
        "log.tile",
        "log.entries",  # takes a token of its own
    ),
    PUBLIC,
)
RULES: Mapping[str, Rule] = {
    **PUBLIC_ROUTES,
    **people_pages.RULES,
    **languages.RULES,
    **oidc_pages.RULES,
    **member_pages.RULES,
    **kwh_pages.RULES,
    **operator_pages.RULES,
    **treasurer_pages.RULES,
    **payout_pages.RULES,
    **estimate_pages.RULES,
    **operator_acts.RULES,
    **audit_pages.RULES,
    **approval_pages.RULES,
    **ticket_pages.RULES,
    **me.RULES,
    **tickets.RULES,
    **meter_days.RULES,
    **tariffs.RULES,
    **epochs.RULES,
    **epoch_pages.RULES,
    **meter_exchange.RULES,
    **news.RULES,
    **news_pages.RULES,
    **exchange_pages.RULES,
    **tariff_pages.RULES,
    **me_wallet.RULES,
    **openadr.RULES,
    **wallet_pages.RULES,
}
