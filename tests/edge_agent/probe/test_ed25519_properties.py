"""Ed25519 and SHA-512 as computed here, against the libraries."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.probe import ed25519
from edge_agent.probe.sha512 import sha512_here

seeds = st.binary(min_size=32, max_size=32)


@given(st.binary(max_size=600))
def test_sha512(data: bytes) -> None:
    assert sha512_here(data) == hashlib.sha512(data).digest()


@given(seeds, st.binary(max_size=300))
@settings(max_examples=40)
def test_keys_and_signatures(seed: bytes, message: bytes) -> None:
    public_key = ed25519.public_key_by_library(seed)
    signature = ed25519.sign_by_library(seed, message)
    assert ed25519.public_key_here(seed) == public_key
    assert ed25519.sign_here(seed, message) == signature
    assert ed25519.verify_here(public_key, message, signature)


@given(seeds, st.binary(max_size=100), st.integers(0, 96 * 8 - 1))
@settings(max_examples=40)
def test_both_refuse_what_was_altered(seed: bytes, message: bytes, bit: int) -> None:
    both = bytearray(ed25519.public_key(seed) + ed25519.sign(seed, message))
    both[bit // 8] ^= 1 << bit % 8
    public_key, signature = bytes(both[:32]), bytes(both[32:])
    assert not ed25519.verify_by_library(public_key, message, signature)
    assert not ed25519.verify_here(public_key, message, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=20), st.binary(min_size=64, max_size=64))
@settings(max_examples=40)
def test_bytes_of_any_kind(public_key: bytes, message: bytes, signature: bytes) -> None:
    assert not ed25519.verify_here(public_key, message, signature)
