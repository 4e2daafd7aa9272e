"""The mails that the pages have asked for, and members' webhooks, sent beside the alerts by their process."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from authority.app import App, Clock, system_clock
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.home.home import Home
from authority.monitoring import bill_mail, invitation_mail, member_hooks, notice_mail
from authority.monitoring.delivery import Mail
from authority.operations import chain_state
from authority.people import invitation_mails, notices
from authority.people.outside import Outside
from authority.store.engine import StoreError
from edge_agent.wire.log import StructuredLog

LOOK_SECONDS = 900
"""How often it is looked what has changed for people: each look is at everybody."""

LOG = StructuredLog(__name__)


class Post:
    """A home's mails and webhooks: sent when called; a store that is away is asked again the next time."""

    def __init__(self, home: Home, clock: Clock = system_clock) -> None:
        settings = home.settings.alerts
        self._mail = Mail(settings, home.smtp_password if settings.smtp_user else "")
        self._path: Path = home.path
        self._mails, self._hooks = settings.mails_bills, home.settings.web.webhooks
        self._outside = Outside()
        self._clock = clock
        self._app: App | None = None
        self._looked_at: int | None = None

    def __call__(self) -> None:
        """Send what is due."""
        try:
            if self._app is None:
                self._app = App.open(self._path, self._clock, process="alerts")
            if self._mails:
                bill_mail.send_due(self._app, self._mail)
                invitation_mail.send_due(self._app, self._mail)
                if invitation_mails.possible(self._app.home):  # each mail has a link
                    self._look(self._app)
                    notice_mail.send_due(self._app, self._mail)
            if self._hooks:
                member_hooks.send_due(self._app, self._outside)
        except (StoreError, SQLAlchemyError) as error:
            LOG.warning("mails and webhooks cannot be sent now", reason=str(error))
            self.close()

    def _look(self, app: App) -> None:
        """See what has changed for people, once in LOOK_SECONDS."""
        now = app.clock()
        if self._looked_at is not None and 0 <= now - self._looked_at < LOOK_SECONDS:
            return
        client = ChainClient(app.home.rpc_url, attempts=1, timeout=5)
        try:
            seats = chain_state.seats(client)
        except ChainError:
            seats = None
        finally:
            client.close()
        notices.look(app, seats)
        self._looked_at = now

    def close(self) -> None:
        """Give the store's connections back."""
        if self._app is not None:
            self._app.store.close()
            self._app = None
