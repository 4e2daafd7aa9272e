"""AES-128-GCM with DLMS's 12-byte tag: `cryptography` on CPython; on MicroPython its AES block cipher and GHASH here.

One shim, so that nothing else in the protocol core knows which interpreter runs it.
"""

from __future__ import annotations

from edge_agent.dlms.errors import SecurityError

try:
    from cryptography.exceptions import InvalidTag as _InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher as _Cipher
    from cryptography.hazmat.primitives.ciphers import algorithms as _algorithms
    from cryptography.hazmat.primitives.ciphers import modes as _modes
except ImportError:  # MicroPython
    _Cipher = None  # type: ignore[assignment, misc]

TAG_SIZE = 12
_REDUCTION = 0xE1 << 120


def _wrong() -> SecurityError:
    return SecurityError("wrong_key", "the authentication tag is wrong: check the encryption and authentication keys")


def encrypt_by_library(key: bytes, iv: bytes, plaintext: bytes, aad: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and tag, by `cryptography`."""
    context = _Cipher(_algorithms.AES(key), _modes.GCM(iv)).encryptor()
    context.authenticate_additional_data(aad)
    ciphertext = context.update(plaintext) + context.finalize()
    return ciphertext, context.tag[:TAG_SIZE]


def decrypt_by_library(key: bytes, iv: bytes, ciphertext: bytes, aad: bytes, tag: bytes | None) -> bytes:
    """Plaintext, by `cryptography`; without a tag nothing is checked. SecurityError `wrong_key`."""
    if tag is None:
        # GCM's encryption is CTR that starts at block 2.
        counter = _Cipher(_algorithms.AES(key), _modes.CTR(iv + b"\x00\x00\x00\x02")).decryptor()
        return counter.update(ciphertext) + counter.finalize()
    context = _Cipher(_algorithms.AES(key), _modes.GCM(iv, tag, TAG_SIZE)).decryptor()
    context.authenticate_additional_data(aad)
    plaintext = context.update(ciphertext)
    try:
        return plaintext + context.finalize()
    except _InvalidTag:
        raise _wrong() from None


def _block_cipher(key: bytes) -> object:
    if _Cipher is not None:
        return _Cipher(_algorithms.AES(key), _modes.ECB()).encryptor().update  # noqa: S305 - the block cipher itself
    from cryptolib import aes  # type: ignore[import-not-found]  # noqa: PLC0415

    return aes(key, 1).encrypt


def _multiply(x: int, h: int) -> int:
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= h
        h = h >> 1 ^ _REDUCTION if h & 1 else h >> 1
    return z


def _ghash(h: int, aad: bytes, data: bytes) -> int:
    y = 0
    for part in (aad, data):
        for at in range(0, len(part), 16):
            block = part[at : at + 16]
            y = _multiply(y ^ int.from_bytes(block + bytes(16 - len(block)), "big"), h)
    return _multiply(y ^ (len(aad) * 8 << 64 | len(data) * 8), h)


def _counter_mode(cipher: object, iv: bytes, data: bytes) -> bytes:
    out = bytearray()
    number = 2
    for at in range(0, len(data), 16):
        pad = cipher(iv + number.to_bytes(4, "big"))  # type: ignore[operator]
        block = data[at : at + 16]
        for index in range(len(block)):
            out.append(block[index] ^ pad[index])
        number += 1
    return bytes(out)


def _tag(cipher: object, iv: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    h = int.from_bytes(cipher(bytes(16)), "big")  # type: ignore[operator]
    mask = int.from_bytes(cipher(iv + b"\x00\x00\x00\x01"), "big")  # type: ignore[operator]
    return (_ghash(h, aad, ciphertext) ^ mask).to_bytes(16, "big")[:TAG_SIZE]


def encrypt_here(key: bytes, iv: bytes, plaintext: bytes, aad: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and tag, with only a block cipher from outside."""
    cipher = _block_cipher(key)
    ciphertext = _counter_mode(cipher, iv, plaintext)
    return ciphertext, _tag(cipher, iv, aad, ciphertext)


def decrypt_here(key: bytes, iv: bytes, ciphertext: bytes, aad: bytes, tag: bytes | None) -> bytes:
    """Plaintext, with only a block cipher from outside; SecurityError `wrong_key`."""
    cipher = _block_cipher(key)
    if tag is not None:
        difference = 0
        for expected, found in zip(_tag(cipher, iv, aad, ciphertext), tag):  # noqa: B905 - MicroPython
            difference |= expected ^ found
        if difference or len(tag) != TAG_SIZE:
            raise _wrong()
    return _counter_mode(cipher, iv, ciphertext)


encrypt = encrypt_here if _Cipher is None else encrypt_by_library
decrypt = decrypt_here if _Cipher is None else decrypt_by_library
