"""Why an act of a campus that lives cannot be done as it was asked for: one class a cause."""

from __future__ import annotations

from authority.errors import AuthorityError


class OperationError(AuthorityError):
    """An act that cannot be done as it was asked for."""


class HeldReadingsError(OperationError):
    """Readings that wait for a decision, which comes first."""

    code = "held"


class ImplausibleError(OperationError):
    """A rise that the nameplate does not explain."""

    code = "implausible"


class LeftError(OperationError):
    """A member that has left."""

    code = "left"


class MemberNotActiveError(OperationError):
    """A member that is suspended or has left."""

    code = "member_not_active"


class NameInvalidError(OperationError):
    """No name of a member or a building."""

    code = "name_invalid"


class NoMapError(OperationError):
    """A meter that has no approved map yet."""

    code = "no_map"


class NotInUseError(OperationError):
    """A meter or an installation that takes no part yet."""

    code = "not_in_use"


class NotOnChainError(OperationError):
    """A member that the chain has not got yet."""

    code = "not_on_chain"


class NotProposedError(OperationError):
    """Nothing is proposed that could be accepted."""

    code = "not_proposed"


class NothingHeldError(OperationError):
    """No record says that its registers were reset."""

    code = "nothing_held"


class RegisterFellError(OperationError):
    """A last register below what was signed."""

    code = "register_fell"


class RegistersMissingError(OperationError):
    """Registers that are not named, or not as they are written."""

    code = "registers_missing"


class RetiredError(OperationError):
    """A meter that was taken out for good."""

    code = "retired"


class SerialInvalidError(OperationError):
    """No serial number."""

    code = "serial_invalid"


class SerialTakenError(OperationError):
    """A serial number that another meter has, or this one with other registers."""

    code = "serial_taken"


class SetRefusedError(OperationError):
    """Meters that would not settle beside the member's others."""

    code = "set_refused"


class NewsInvalidError(OperationError):
    """An announcement without words, for nobody, or at no time."""

    code = "news_invalid"


class TicketInvalidError(OperationError):
    """A dispute of nothing that there is, without a reason, or with words that are too long."""

    code = "ticket_invalid"


class TicketOverError(OperationError):
    """A dispute that was closed already."""

    code = "ticket_over"


class WalletAskedError(OperationError):
    """A request for another wallet that contradicts what was asked for before, or what became of it."""

    code = "wallet_asked"


class WalletInvalidError(OperationError):
    """No wallet, or one that it has already."""

    code = "wallet_invalid"


class WrongKeyError(OperationError):
    """The key of this home is not the one that the chain names."""

    code = "wrong_key"


class NotAnnouncedError(OperationError):
    """No upgrade of the programs is announced."""

    code = "not_announced"


class NotDueError(OperationError):
    """The announced upgrade's epoch has not come."""

    code = "not_due"


class OtherArtifactError(OperationError):
    """A program is not the one that was announced."""

    code = "other_artifact"
