"""Fixtures of the pages' tests."""

from sample_month import sample_month

__all__ = ["sample_month"]
