"""The API of a campus, /api/v1, for programs in Python: its calls as methods, its schemas as dataclasses.

It needs Python's standard library alone, and nothing of the authority's other rooms. schemas.py and calls.py are made
from the API's description (docs/site/client.py); docs/PEOPLE.md, "A client in Python", has an example.
"""

from authority.client.calls import CampusClient
from authority.client.errors import AnswerMalformedError, AuthorityAwayError, ClientError, ProblemError

__all__ = ["AnswerMalformedError", "AuthorityAwayError", "CampusClient", "ClientError", "ProblemError"]
