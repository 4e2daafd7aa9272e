"""Mail (RFC 5321, by smtplib) and a signed webhook: each takes a message, or says in one sentence why not.

Every step has a deadline. The webhook is a POST of JSON with `Campus-Signature: t=UNIX,v1=HEX`, HEX being HMAC-SHA256
of `UNIX.BODY` by the bytes of keys/webhook-secret; the receiver compares it, refuses an old UNIX, and passes over an
`id` that it has had, for a message may come twice. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from authority.deadline import hung_up_after
from authority.errors import AuthorityError
from authority.home.settings import AlertSettings
from authority.monitoring.changes import CLEARED, RAISED, Change, Known

DEADLINE_SECONDS = 15.0
SIGNATURE_HEADER = "Campus-Signature"
_ANSWER_SIZE = 4_096


class UndeliveredError(AuthorityError):
    """A message was not taken; refused: for good, so that it is of no use to try again."""

    code = "alert_undelivered"

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True)
class Message:
    """What is told at a time: changes, and, where it is a digest, what stands. `kind`: change, digest or test."""

    kind: str
    campus: str
    at: int
    changes: Sequence[Change] = ()
    left_out: int = 0
    standing: Sequence[Known] = ()

    @property
    def id(self) -> str:
        """The same for the same content, so that what comes twice is known again."""
        content = {**asdict(self), "at": 0 if self.changes else self.at}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def subject(self) -> str:
        """One line."""
        if self.kind == "test":
            return f"[{self.campus}] trial message"
        raised = sum(change.what == RAISED for change in self.changes)
        over = len(self.changes) - raised
        said = [f"{raised} new" if raised else "", f"{over} over" if over else ""]
        if self.kind == "digest":
            said.append(f"{len(self.standing)} standing" if self.standing else "all is well")
        return f"[{self.campus}] {', '.join(filter(None, said))}"

    @property
    def text(self) -> str:
        """For a person."""
        if self.kind == "test":
            return "This is a trial message: alerts reach you.\n"
        lines = []
        for title, what in (("New:", RAISED), ("Over:", CLEARED)):
            found = [change for change in self.changes if change.what == what]
            if found:
                lines += [title, *(f"  {_time(each.at)}  {_sentence(each)}" for each in found), ""]
        if self.left_out:
            lines += [f"{self.left_out} earlier changes are not listed.", ""]
        if self.kind == "digest":
            lines += ["Standing:", *(f"  since {_time(each.since)}  {_sentence(each)}" for each in self.standing)]
            lines += [] if self.standing else ["  nothing"]
            lines.append("")
        lines.append("authority status shows it all, with names.")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "id": self.id,
            "kind": self.kind,
            "campus": self.campus,
            "time": self.at,
            "subject": self.subject,
            "changes": [asdict(change) for change in self.changes],
            "left_out": self.left_out,
            "standing": [
                {"code": each.code, "subject": each.subject, "text": each.text, "since": each.since}
                for each in self.standing
            ],
        }


def headed(settings: AlertSettings, to: str, subject: str, at: int, id: str) -> EmailMessage:
    """The head of a mail from the site: at is Unix seconds, id stands before the @ of its Message-ID."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = settings.mail_from, to, subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    mail["Message-ID"] = f"<{id}@{settings.mail_from.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    return mail


class Channel(Protocol):
    """Takes messages."""

    def deliver(self, message: Message) -> None:
        """Hand it over; UndeliveredError."""


@dataclass(frozen=True)
class Mail:
    """A mail to everybody who is named, by the relay of the settings."""

    settings: AlertSettings
    password: str = ""
    context: ssl.SSLContext | None = None

    def deliver(self, message: Message) -> None:
        """Hand it to the relay; UndeliveredError also where it takes it for some of them alone."""
        mail = headed(self.settings, ", ".join(self.settings.mail_to), message.subject, message.at, message.id)
        mail.set_content(message.text)
        self.send(mail)

    def send(self, mail: EmailMessage) -> None:
        """Hand any mail to the relay; UndeliveredError also where it takes it for some of its recipients alone."""
        settings = self.settings
        where = f"{settings.smtp_host}:{settings.smtp_port}"
        try:
            with self._relay() as relay:
                refused = relay.send_message(mail)
        except smtplib.SMTPNotSupportedError as error:
            raise UndeliveredError(f"{where} does not offer what [alerts] asks for: {error}") from error
        except smtplib.SMTPAuthenticationError as error:
            raise UndeliveredError(
                f"{where} refuses smtp_user or keys/smtp-password ({error.smtp_code} {_said(error.smtp_error)})"
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            final = all(code >= 500 for code, _ in error.recipients.values())
            raise UndeliveredError(
                f"{where} refuses every recipient: {_refusals(error.recipients)}", refused=final
            ) from error
        except smtplib.SMTPResponseException as error:
            final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            raise UndeliveredError(
                f"{where} answers {error.smtp_code} {_said(error.smtp_error)}", refused=final
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise UndeliveredError(f"{where}: {str(error) or type(error).__name__}") from error
        if refused:
            raise UndeliveredError(f"{where} took it for some and refuses: {_refusals(refused)}")

    def _relay(self) -> smtplib.SMTP:
        settings = self.settings
        context = self.context or ssl.create_default_context()
        host, port = settings.smtp_host, settings.smtp_port
        if settings.smtp_security == "tls":
            relay: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=DEADLINE_SECONDS, context=context)
        else:
            relay = smtplib.SMTP(host, port, timeout=DEADLINE_SECONDS)
        try:
            if settings.smtp_security == "starttls":
                relay.starttls(context=context)
            if settings.smtp_user:
                relay.login(settings.smtp_user, self.password)
        except BaseException:
            relay.close()
            raise
        return relay


@dataclass(frozen=True)
class Webhook:
    """A signed POST to one URL."""

    url: str
    secret: bytes
    context: ssl.SSLContext | None = None

    def deliver(self, message: Message) -> None:
        """Post it; UndeliveredError where the answer is not 2xx."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        body = json.dumps(message.as_json(), ensure_ascii=False).encode()
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self.context or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=DEADLINE_SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=DEADLINE_SECONDS)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "campus-energy-authority",
            SIGNATURE_HEADER: signature(self.secret, message.at, body),
        }
        try:
            with hung_up_after(connection, DEADLINE_SECONDS):
                connection.request("POST", target, body, headers)
                response = connection.getresponse()
                response.read(_ANSWER_SIZE)
        except (OSError, http.client.HTTPException) as error:
            raise UndeliveredError(f"{host}: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise UndeliveredError(f"{host} answers {response.status} {response.reason}")


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The value of the header `Campus-Signature`."""
    return f"t={at},v1={hmac.new(secret, b'%d.%s' % (at, body), hashlib.sha256).hexdigest()}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _sentence(each: Change | Known) -> str:
    return f"{each.subject}: {each.text} [{each.code}]"


def _said(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:200]


def _refusals(recipients: dict[str, tuple[int, bytes]]) -> str:
    """How many, and in the relay's words why; nobody's address, for this is shown and logged."""
    code, answer = next(iter(recipients.values()))
    return f"{len(recipients)} ({code} {_said(answer)})"
