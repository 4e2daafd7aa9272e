"""Names and numbers of ACSE as DLMS uses it (Green Book 9.4.2): contexts, mechanisms, results."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError

CONTEXT_LN = 1
CONTEXT_SN = 2
CONTEXT_LN_CIPHERED = 3
CONTEXT_SN_CIPHERED = 4

MECHANISM_NONE = 0
MECHANISM_LLS = 1
MECHANISM_HLS = 2
MECHANISM_HLS_MD5 = 3
MECHANISM_HLS_SHA1 = 4
MECHANISM_HLS_GMAC = 5
MECHANISM_HLS_SHA256 = 6
MECHANISM_HLS_ECDSA = 7

RESULT_ACCEPTED = 0
RESULT_REJECTED_PERMANENT = 1
RESULT_REJECTED_TRANSIENT = 2

SOURCE_USER = 1
SOURCE_PROVIDER = 2

DIAGNOSTIC_NULL = 0
DIAGNOSTIC_NO_REASON = 1
DIAGNOSTIC_CONTEXT_NOT_SUPPORTED = 2
DIAGNOSTIC_CALLING_AP_TITLE_NOT_RECOGNIZED = 3
DIAGNOSTIC_MECHANISM_NOT_RECOGNISED = 11
DIAGNOSTIC_MECHANISM_REQUIRED = 12
DIAGNOSTIC_AUTHENTICATION_FAILURE = 13
DIAGNOSTIC_AUTHENTICATION_REQUIRED = 14

DIAGNOSTICS = {
    0: "no diagnostic",
    1: "no reason given",
    2: "application context not supported",
    3: "calling AP title not recognised",
    4: "calling AP invocation identifier not recognised",
    5: "calling AE qualifier not recognised",
    6: "calling AE invocation identifier not recognised",
    7: "called AP title not recognised",
    8: "called AP invocation identifier not recognised",
    9: "called AE qualifier not recognised",
    10: "called AE invocation identifier not recognised",
    11: "authentication mechanism not recognised",
    12: "authentication mechanism required",
    13: "authentication failure",
    14: "authentication required",
}

CONTEXT_OID = b"\x60\x85\x74\x05\x08\x01"
MECHANISM_OID = b"\x60\x85\x74\x05\x08\x02"


def read_oid(data: bytes, prefix: bytes, what: str) -> int:
    """The last arc of a DLMS object identifier; DecodeError `bad_oid`."""
    if len(data) == 7 and data[:6] == prefix:
        return data[6]
    raise DecodeError("bad_oid", f"{data.hex()} is not the name of {what}", 0)
