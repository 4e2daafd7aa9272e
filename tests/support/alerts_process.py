"""The process that sends mails, as a test's office starts it again and again."""

from __future__ import annotations

from authority.home.home import Home
from authority.monitoring.post import Post


class SendsMail:
    """An office with a home, and a clock that only goes where it is told."""

    home: Home
    now: int

    def post(self, *pauses: int) -> None:
        """The alerts' process looks after each pause, each time one that was just started."""
        for pause in pauses:
            self.now += pause
            post = Post(self.home, lambda: self.now)
            post()
            post.close()
