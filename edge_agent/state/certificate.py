"""How long a certificate is good, read without `cryptography.x509`.

That library's names for all that a certificate may hold are 2 MiB of a gateway's memory, and an agent that runs wants
the two dates alone: the whole of it is imported when a certificate is asked for, once in its life.
"""

from __future__ import annotations

import binascii
import datetime
import ssl

from edge_agent.dlms.axdr import read_length
from edge_agent.dlms.errors import DecodeError

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


def validity(pem: str) -> tuple[int, int]:
    """From when to when a certificate (PEM, the first of several) is good, Unix seconds.

    ValueError where it is not a certificate. OpenSSL reads the whole of it first, so what is taken apart here
    (RFC 5280, 4.1: TBSCertificate up to its validity) is well formed.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        return _validity(binascii.a2b_base64(pem.partition(_BEGIN)[2].partition(_END)[0]))
    except (ssl.SSLError, TypeError, IndexError, ValueError, DecodeError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def _validity(der: bytes) -> tuple[int, int]:
    _, position, _ = _element(der, 0)  # Certificate
    _, position, _ = _element(der, position)  # TBSCertificate
    tag, _, end = _element(der, position)
    if tag == _VERSION:
        _, _, end = _element(der, end)  # the serial number
    _, _, end = _element(der, end)  # the signature's algorithm
    _, _, end = _element(der, end)  # the issuer
    _, position, _ = _element(der, end)  # Validity
    begins, position = _time(der, position)
    ends, _ = _time(der, position)
    return begins, ends


def _element(der: bytes, position: int) -> tuple[int, int, int]:
    """The tag of the element at `position`, where its contents begin, and where they end."""
    length, start = read_length(der, position + 1)
    return der[position], start, start + length


def _time(der: bytes, position: int) -> tuple[int, int]:
    """The time at `position` in Unix seconds, and the position after it. A year of two digits from 50 on is 19xx."""
    tag, start, end = _element(der, position)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"a time has tag 0x17 or 0x18, found 0x{tag:02x}")
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    time = datetime.datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=datetime.UTC)
    return int(time.timestamp()), end
