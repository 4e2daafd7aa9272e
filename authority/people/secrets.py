"""Secrets that are given out once: random, and kept as their SHA-256 alone."""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 32


def make() -> tuple[str, bytes]:
    """A new secret of 256 bits in URL-safe base64, and what is kept of it."""
    text = secrets.token_urlsafe(SECRET_BYTES)
    return text, kept(text)


def kept(text: str) -> bytes:
    """What is kept of a secret. It is as long as a hash, so a plain hash hides it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def public_id() -> str:
    """A name for a session or token that may be shown: 16 digits of hex."""
    return secrets.token_hex(8)
