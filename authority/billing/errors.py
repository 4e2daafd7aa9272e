"""What can be wrong with a bill, a billing period or a booking of credits."""

from authority.errors import AuthorityError


class BillingError(AuthorityError):
    """One cause a code, listed where it is raised; the message says what to do."""
