"""What is refused to somebody who signs in, or to whoever looks after people; the message says what to do."""

from __future__ import annotations

import math

from authority.errors import AuthorityError


class PeopleError(AuthorityError):
    """Something about a person that cannot be done."""


class PersonUnknownError(PeopleError):
    """Nobody has this login."""

    code = "person_unknown"


class PersonInvalidError(PeopleError):
    """A login or a name that nobody can have."""

    code = "person_invalid"


class RoleInvalidError(PeopleError):
    """A role that there is not, or without the member that it needs."""

    code = "role_invalid"


class InvitationInvalidError(PeopleError):
    """An invitation that is wrong, used, withdrawn or expired; which of them is not told."""

    code = "invitation_invalid"

    def __init__(self) -> None:
        super().__init__("this invitation is wrong, used up or too old; ask the Engineering Department for a new one")


class SignInRefusedError(PeopleError):
    """The login or the password is wrong, or the passkey; which of them is not told."""

    code = "sign_in_refused"

    def __init__(self) -> None:
        super().__init__("that login and password do not belong together; try again, or ask for a new invitation")


class SignInClosedError(PeopleError):
    """Too many wrong passwords for one login, or from one address: come back after `seconds`."""

    code = "sign_in_closed"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many wrong passwords; try again in {-(-seconds // 60)} min, or sign in with a passkey")
        self.seconds = seconds


class ForeignRequestError(PeopleError):
    """A form, or a request that changes something, that does not come from a page of this session."""

    code = "foreign_request"

    def __init__(self) -> None:
        super().__init__(
            "nothing was done: the form came from another site, or its page is too old; go back, load the page again, "
            "and send it once more"
        )


class TooOftenError(PeopleError):
    """A person, or a program of theirs, asks too often: come back after `seconds`."""

    code = "too_often"

    def __init__(self, seconds: float) -> None:
        self.seconds = math.ceil(seconds)
        super().__init__(f"you ask too often; try again in {self.seconds} s")


class KeyReusedError(PeopleError):
    """An Idempotency-Key that was used for another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: use a new one for each")


class KeyInFlightError(PeopleError):
    """The first request with this Idempotency-Key is still under way."""

    code = "idempotency_key_in_flight"

    def __init__(self) -> None:
        super().__init__("the request with this Idempotency-Key is still under way: ask again in a moment")


class PasswordWeakError(PeopleError):
    """A password that is too short, too long, or easily guessed."""

    code = "password_weak"


class PasswordWrongError(PeopleError):
    """Who would change its password has given another one than it has."""

    code = "password_wrong"

    def __init__(self) -> None:
        super().__init__("that is not your current password: nothing was changed")


class PasskeyUnknownError(PeopleError):
    """No passkey of this person has this name."""

    code = "passkey_unknown"


class PasskeyRefusedError(PeopleError):
    """A passkey's answer that does not verify, is too old, or was used already."""

    code = "passkey_refused"

    def __init__(self) -> None:
        super().__init__("the passkey was not accepted; try again, or sign in with your password")


class SessionUnknownError(PeopleError):
    """There is no such session that is still open."""

    code = "session_unknown"


class TokenInvalidError(PeopleError):
    """A program's token with a name, a scope or an end that it cannot have."""

    code = "token_invalid"


class TokenUnknownError(PeopleError):
    """There is no such token that still holds."""

    code = "token_unknown"


class ListInvalidError(PeopleError):
    """A list of people to invite that cannot be read, or a row of it that cannot be done."""

    code = "list_invalid"


class InviteRefusedError(PeopleError):
    """Somebody whom the pages do not invite: by a command alone."""

    code = "invite_refused"


class FormSentError(PeopleError):
    """A form that was sent before: what it gave out is shown once."""

    code = "form_sent"

    def __init__(self) -> None:
        super().__init__("this form was sent already, and what it gave out is shown once; open the page again for more")


class ProposalUnknownError(PeopleError):
    """There is no such proposal, or it is none for the roles of who asks."""

    code = "proposal_unknown"


class ProposalInvalidError(PeopleError):
    """Something is proposed that cannot be, or without its reason."""

    code = "proposal_invalid"


class ProposalOverError(PeopleError):
    """A proposal that was decided, withdrawn or carried out already, or whose time is over."""

    code = "proposal_over"


class ProposalChangedError(PeopleError):
    """What is proposed is not what was looked at, or what it goes by has changed since."""

    code = "proposal_changed"


class SamePersonError(PeopleError):
    """Somebody would approve what it proposed itself, and [people] two_persons wants another person."""

    code = "same_person"

    def __init__(self) -> None:
        super().__init__("you proposed this: another person has to approve it")


class RoleMissingError(PeopleError):
    """Who acts, or who acted before, has not the role that this takes (any more)."""

    code = "role_missing"


class AppointmentRefusedError(PeopleError):
    """Somebody would change its own roles."""

    code = "appointment_refused"


class DelegateRefusedError(PeopleError):
    """Somebody whom a member cannot name its delegate, or one too many."""

    code = "delegate_refused"


class ActUnclearError(PeopleError):
    """An act on the pages without its reason, its choice, or the word that it is meant."""

    code = "act_unclear"


class SignInAgainError(PeopleError):
    """What changes how a person signs in, or gives much away, takes a sign-in of just now."""

    code = "sign_in_again"


class LeaveRefusedError(PeopleError):
    """Somebody who cannot leave by itself, or a request to leave that has ended or is being carried out."""

    code = "leave_refused"


class LeaveDayInvalidError(PeopleError):
    """A day on which somebody cannot leave: gone by, too far ahead, or no day at all."""

    code = "leave_day_invalid"


class OnlyWayInError(PeopleError):
    """Without it the person could sign in no more: it needs another way in first."""

    code = "only_way_in"


class OidcRefusedError(PeopleError):
    """A sign-in by the OpenID provider that is not believed, or of somebody who is nobody here."""

    code = "oidc_refused"


class OidcAwayError(PeopleError):
    """The OpenID provider does not answer, or not as it should: passkeys and passwords work meanwhile."""

    code = "oidc_away"


class ProofLinkInvalidError(PeopleError):
    """A link to a proof of a span that it cannot have, or one too many."""

    code = "proof_link_invalid"


class ProofLinkUnknownError(PeopleError):
    """There is no such link to a proof that still holds; whether there ever was one is not told."""

    code = "proof_link_unknown"

    def __init__(self) -> None:
        super().__init__("this link is wrong, ended or too old; ask who gave it to you for a new one")


class AddressRefusedError(PeopleError):
    """An address to which nothing is sent: not https, unknown, or of a private network."""

    code = "address_refused"


class NotTakenError(PeopleError):
    """A webhook's receiver did not take a message."""

    code = "webhook_not_taken"


class WebhookInvalidError(PeopleError):
    """A webhook without an event, or one too many."""

    code = "webhook_invalid"


class WebhookUnknownError(PeopleError):
    """There is no such webhook of this person."""

    code = "webhook_unknown"

    def __init__(self) -> None:
        super().__init__("you have no such webhook")
