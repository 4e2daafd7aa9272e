"""Fixtures of the status tests."""

from campus_fixtures import campus

__all__ = ["campus"]
