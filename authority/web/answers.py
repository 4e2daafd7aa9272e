"""How the web process answers: pages that are nobody else's, and the statuses of what is refused."""

from __future__ import annotations

from flask import Response, request

from authority.api.asking import ChainAwayError
from authority.api.audits import RETRY_SECONDS as AUDIT_RETRY_SECONDS
from authority.api.audits import AuditBusyError
from authority.api.days import DaysInvalidError
from authority.api.kwh import ProofMissingError
from authority.api.me_export import RETRY_SECONDS as EXPORT_RETRY_SECONDS
from authority.api.me_export import ExportBusyError, ExportFailedError
from authority.api.own_wallet import (
    OwnWalletError,
    TransactionMalformedError,
    WishInvalidError,
)
from authority.api.transfers import TransferInvalidError
from authority.billing.errors import (
    BatchUnknownError,
    BillingError,
    BillsInMakingError,
    BillUnknownError,
    CorrectionUnknownError,
    EstimateUnknownError,
    LetterUnknownError,
    PaymentUnknownError,
    PeriodUnknownError,
)
from authority.chain.errors import NotDeployedError
from authority.errors import AuthorityError, MailOffError, OutOfRangeError
from authority.governance.acts import GovernanceError
from authority.language.reading import gettext, marked
from authority.log.nameless import NamesSomebodyError
from authority.market.policies import MarketError
from authority.operations.errors import (
    NewsInvalidError,
    OperationError,
    TicketInvalidError,
    TicketOverError,
)
from authority.people.errors import (
    AppointmentRefusedError,
    DelegateRefusedError,
    ForeignRequestError,
    FormSentError,
    InvitationInvalidError,
    KeyInFlightError,
    KeyReusedError,
    LeaveRefusedError,
    OidcAwayError,
    OidcRefusedError,
    OnlyWayInError,
    PasskeyUnknownError,
    PasswordWrongError,
    PeopleError,
    ProofLinkUnknownError,
    ProposalChangedError,
    ProposalOverError,
    ProposalUnknownError,
    RoleMissingError,
    SamePersonError,
    SessionUnknownError,
    SignInAgainError,
    SignInClosedError,
    TokenUnknownError,
    TooOftenError,
    WebhookUnknownError,
)
from authority.refusals import NotFoundError, RefusalError
from authority.web.amounts import AmountInvalidError

STATUSES: tuple[tuple[type[AuthorityError], int], ...] = (
    (NotFoundError, 404),
    (InvitationInvalidError, 404),
    (SessionUnknownError, 404),
    (TokenUnknownError, 404),
    (PasskeyUnknownError, 404),
    (ProofLinkUnknownError, 404),
    (WebhookUnknownError, 404),
    (ProofMissingError, 409),
    (SignInClosedError, 429),
    (TooOftenError, 429),
    (BillUnknownError, 404),
    (PeriodUnknownError, 404),
    (LetterUnknownError, 404),
    (PaymentUnknownError, 404),
    (BatchUnknownError, 404),
    (CorrectionUnknownError, 404),
    (EstimateUnknownError, 404),
    (ProposalUnknownError, 404),
    (ProposalOverError, 409),
    (ProposalChangedError, 409),
    (SamePersonError, 409),
    (RoleMissingError, 409),
    (AppointmentRefusedError, 409),
    (DelegateRefusedError, 409),
    (FormSentError, 409),
    (KeyInFlightError, 409),
    (KeyReusedError, 422),
    (OidcRefusedError, 403),
    (PasswordWrongError, 403),
    (ForeignRequestError, 403),
    (SignInAgainError, 403),
    (OnlyWayInError, 409),
    (LeaveRefusedError, 409),
    (OidcAwayError, 503),
    (DaysInvalidError, 400),
    (AmountInvalidError, 400),
    (NamesSomebodyError, 400),
    (TransferInvalidError, 400),
    (PeopleError, 400),
    (MarketError, 409),
    (BillsInMakingError, 503),
    (BillingError, 409),
    (GovernanceError, 409),
    (OutOfRangeError, 409),
    (NewsInvalidError, 400),
    (TicketInvalidError, 400),
    (TicketOverError, 409),
    (OperationError, 409),
    (MailOffError, 409),
    (ChainAwayError, 503),
    (AuditBusyError, 503),
    (ExportBusyError, 503),
    (ExportFailedError, 503),
    (NotDeployedError, 409),
    (WishInvalidError, 400),
    (TransactionMalformedError, 400),
    (OwnWalletError, 409),
    (RefusalError, 409),
)
"""The status of each cause, the first that fits."""
RETRY_SECONDS = {
    AuditBusyError: AUDIT_RETRY_SECONDS,
    ExportBusyError: EXPORT_RETRY_SECONDS,
    ExportFailedError: EXPORT_RETRY_SECONDS,
    BillsInMakingError: 2,
    KeyInFlightError: 10,
}
"""After how long one may try again what was not possible just now."""
TITLES: dict[int, str] = {
    400: marked("This was not understood"),
    403: marked("Not allowed"),
    404: marked("Not found"),
    405: marked("Not possible here"),
    409: marked("Not possible now"),
    413: marked("Too large"),
    415: marked("Of another kind than expected"),
    429: marked("Too often"),
    500: marked("Something went wrong"),
    503: marked("Not available now"),
}
"""What a page with an error is called, by its status."""


def title_of(status: int) -> str:
    """The heading of a page with an error."""
    return gettext(TITLES.get(status, TITLES[500] if status >= 500 else TITLES[400]))


def status_of(error: AuthorityError) -> int:
    """The HTTP status of what was refused; 500 for what nobody expects here."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def is_here(path: str) -> bool:
    """Whether a path leads to a page of this site, and nowhere else."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path


def place(name: str) -> int | None:
    """A place from which a list goes on, of the address; None where it has none."""
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def page(text: str, status: int = 200) -> Response:
    """A page for one person: no cache keeps it."""
    return Response(text, status, {"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")


def bill_pdf(data: bytes, number: int) -> Response:
    """A bill on paper, to be kept: no cache has it."""
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="bill-{number}.pdf"'}
    return Response(data, 200, headers, content_type="application/pdf")


def redirect(where: str) -> Response:
    """Send a browser on after it sent something, so that a reload sends nothing again."""
    return Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})
