"""Telling members' programs by their webhooks: what is new is noted, and what is due is posted, signed."""

from __future__ import annotations

from authority.app import App
from authority.monitoring.delivery import SIGNATURE_HEADER, signature
from authority.people import webhooks
from authority.people.errors import AddressRefusedError, NotTakenError
from authority.people.outside import Outside
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
AT_ONCE = 200
"""Messages in one round, so that a receiver that is slow keeps the other mails no longer than that."""


def send_due(app: App, outside: Outside, at_once: int = AT_ONCE) -> int:
    """Note what there is to tell and post what is due; how many were taken."""
    with app.store.write() as session:
        webhooks.collect(session, app.clock(), app.home.settings.epoch.seconds)
    sent = 0
    for _ in range(at_once):
        with app.store.write() as session:
            claimed = webhooks.claim(session, app.clock())
        if claimed is None:
            break
        now = app.clock()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "campus-energy-authority",
            SIGNATURE_HEADER: signature(claimed.secret.encode(), now, claimed.body),
        }
        try:
            outside.post(claimed.url, claimed.body, headers)
        except (AddressRefusedError, NotTakenError) as error:
            with app.store.write() as session:
                webhooks.failed(session, claimed.id, str(error), app.clock())
            LOG.warning("a member's webhook took nothing", delivery=claimed.id, reason=error.code)
        else:
            with app.store.write() as session:
                webhooks.delivered(session, claimed.id)
            sent += 1
    return sent
