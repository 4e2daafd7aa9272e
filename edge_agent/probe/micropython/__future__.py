"""MicroPython evaluates no annotations, so `from __future__ import annotations` has nothing to do."""

annotations = None
