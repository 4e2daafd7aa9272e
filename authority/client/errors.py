"""What stops a call. The causes of the service's own refusals have codes, which ProblemError carries."""

from __future__ import annotations


class ClientError(Exception):
    """A call that came to nothing."""


class ProblemError(ClientError):
    """The service refused, and says why (RFC 9457).

    code is the cause, for programs (docs/CODES.md); title the status in words; detail says what to do. retry_after is
    after how many seconds to try again; None where it does not say.
    """

    def __init__(self, status: int, code: str, title: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(f"{detail or title} [{code}]")
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.retry_after = retry_after


class AuthorityAwayError(ClientError):
    """No answer came, or it broke off: whether the service did what was asked is not known."""


class AnswerMalformedError(ClientError):
    """An answer that is not what the description says: the client and the service are of different versions."""
