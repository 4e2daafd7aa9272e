"""What can be wrong with a bill, a billing period or a booking of credits."""

from authority.errors import AuthorityError


class BillingError(AuthorityError):
    """Something about bills or credits that cannot be done."""


class AccountInvalidError(BillingError):
    """A bank account that cannot be right: a mistyped IBAN, a number without a bank's code, or no holder."""

    code = "account_invalid"


class AccountMissingError(BillingError):
    """A member is to be paid by bank, and has named no account."""

    code = "account_missing"


class AmountInvalidError(BillingError):
    """An amount is zero, negative where it must not be, or greater than what is kept."""

    code = "amount_invalid"


class AssignmentInvalidError(BillingError):
    """A line of a statement cannot be given to a bill by hand: there is no such line or bill, or it is booked."""

    code = "assignment_invalid"


class BatchUnknownError(BillingError):
    """There is no payment file of this number, or it was cancelled."""

    code = "batch_unknown"


class BillChangedError(BillingError):
    """A bill in the store is not the one whose hash is in the log."""

    code = "bill_changed"


class BillUnknownError(BillingError):
    """There is no such bill."""

    code = "bill_unknown"


class BillsInMakingError(BillingError):
    """A period's bills are being made, which takes a while where there are many: ask again in a few seconds."""

    code = "bills_in_making"


class BookingUndecidedError(BillingError):
    """It is not yet known whether an earlier attempt under the reference landed."""

    code = "booking_undecided"


class CreditsMovingError(BillingError):
    """Credits moved while they were counted."""

    code = "credits_moving"


class CreditShortError(BillingError):
    """A member has not so many credits that are free."""

    code = "credit_short"


class CurrencyUnsetError(BillingError):
    """Something is to be paid by bank, and authority.toml names no currency."""

    code = "currency_unset"


class EpochTooShortError(BillingError):
    """A month has more epochs than a billing period may have."""

    code = "epoch_too_short"


class EstimateInvalidError(BillingError):
    """An estimate's energy or epochs cannot be."""

    code = "estimate_invalid"


class CorrectionUnknownError(BillingError):
    """There is no such correction."""

    code = "correction_unknown"


class CorrectionBilledError(BillingError):
    """A correction that was to be withdrawn is on a bill, or on one that is about to be issued."""

    code = "correction_billed"


class CorrectionAboveLimitError(BillingError):
    """A correction, or its withdrawal, is of more than one person may decide alone."""

    code = "correction_above_limit"


class CorrectionAnswersError(BillingError):
    """A correction that was to be withdrawn is what a dispute was closed with: its member was told so."""

    code = "correction_answers"


class EstimateUnknownError(BillingError):
    """A leaf of the log is no estimate."""

    code = "estimate_unknown"


class FormatUnfitError(BillingError):
    """A payment file of this format cannot be made: the currency is not the euro, the department has named no account,
    or SEPA does not reach a member's.
    """

    code = "format_unfit"


class HistoryIncompleteError(BillingError):
    """The chain's history does not reach back to the deployment."""

    code = "history_incomplete"


class HistoryLostError(BillingError):
    """The validator has forgotten transactions that were not yet taken in."""

    code = "history_lost"


class LetterUnknownError(BillingError):
    """No mail of this bill was asked for to this person."""

    code = "letter_unknown"


class LineUnknownError(BillingError):
    """A bill has no such line."""

    code = "line_unknown"


class MemberUnknownError(BillingError):
    """No member has this name."""

    code = "member_unknown"


class MemberUnregisteredError(BillingError):
    """A member is not on the chain yet."""

    code = "member_unregistered"


class MeterOfAnotherError(BillingError):
    """A meter is not the member's."""

    code = "meter_of_another"


class NothingOwedError(BillingError):
    """Nothing is owed that a payment file could pay."""

    code = "nothing_owed"


class OwedOtherwiseError(BillingError):
    """What was to be paid is not owed, or in another amount."""

    code = "owed_otherwise"


class PaymentUnknownError(BillingError):
    """There is no payment of this number."""

    code = "payment_unknown"


class PeriodBeforeOpenError(BillingError):
    """An earlier billing period is to be closed first."""

    code = "period_before_open"


class PeriodHasGapsError(BillingError):
    """A billing period's bills would lack something."""

    code = "period_has_gaps"


class PeriodNotClosedError(BillingError):
    """A billing period is not closed yet."""

    code = "period_not_closed"


class PeriodNotIssuedError(BillingError):
    """A billing period's bills are not issued yet."""

    code = "period_not_issued"


class PeriodNotOverError(BillingError):
    """The chain still books in a billing period, or its last epoch has no checkpoint."""

    code = "period_not_over"


class PeriodOpenError(BillingError):
    """A billing period is still open on the chain."""

    code = "period_open"


class PeriodUnknownError(BillingError):
    """There is no such billing period."""

    code = "period_unknown"


class ReasonMissingError(BillingError):
    """A decision needs a reason."""

    code = "reason_missing"


class ReferenceInvalidError(BillingError):
    """A bank transfer's reference is empty or too long."""

    code = "reference_invalid"


class ReferenceUsedError(BillingError):
    """A reference stands for another booking already."""

    code = "reference_used"


class RetiredTooMuchError(BillingError):
    """More was retired in a period than withdrawn, which the chain refuses."""

    code = "retired_too_much"


class StatementInvalidError(BillingError):
    """A bank's statement cannot be read, as a whole or in some of its lines."""

    code = "statement_invalid"


class StatementOutdatedError(BillingError):
    """A bank's statement would book something else than was shown when it was tried."""

    code = "statement_outdated"


class TurnBlockedError(BillingError):
    """The next billing period will not have the calendar's length."""

    code = "turn_blocked"
