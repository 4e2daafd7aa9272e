"""Fixtures of the API's tests."""

from sample_month import sample_month

__all__ = ["sample_month"]
