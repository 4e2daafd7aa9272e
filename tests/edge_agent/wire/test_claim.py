import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.wire.claim import Claim, ClaimError, fingerprint_of, fingerprint_text

SECRET = base64.b32encode(b"0123456789").decode()
FINGERPRINT = base64.b32encode(bytes(10)).decode()


def test_a_code_comes_apart_from_the_right():
    claim = Claim.parse(f" dormitory-a-{SECRET.lower()}-{FINGERPRINT}\n")
    assert (claim.gateway, claim.secret, claim.fingerprint) == ("dormitory-a", b"0123456789", bytes(10))
    assert claim.code == f"dormitory-a-{SECRET}-{FINGERPRINT}"


@given(
    gateway=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    secret=st.binary(min_size=10, max_size=10),
    fingerprint=st.binary(min_size=10, max_size=10),
)
def test_a_code_says_what_it_was_made_of(gateway, secret, fingerprint):
    claim = Claim(gateway, secret, fingerprint)
    assert Claim.parse(claim.code) == claim
    assert claim.code.endswith(fingerprint_text(fingerprint))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "NAME-SECRET-FINGERPRINT"),
        ("dormitory-a", "NAME-SECRET-FINGERPRINT"),
        (f"-{SECRET}-{FINGERPRINT}", "NAME-SECRET-FINGERPRINT"),
        (f"a-{SECRET[:-1]}-{FINGERPRINT}", "secret"),
        (f"a-{SECRET}AA-{FINGERPRINT}", "secret"),
        (f"a-{SECRET[:8]}========-{FINGERPRINT}", "secret"),
        (f"a-{SECRET}-{FINGERPRINT[:-1]}1", "fingerprint"),
        (f"a-{SECRET}-ä{FINGERPRINT[1:]}", "fingerprint"),
    ],
)
def test_a_wrong_code_is_explained_and_its_secret_not_repeated(code, says):
    with pytest.raises(ClaimError, match=says) as caught:
        Claim.parse(code)
    assert caught.value.code == "claim_invalid"
    assert SECRET not in str(caught.value)


def test_the_secret_is_not_shown():
    assert SECRET not in repr(Claim("x", base64.b32decode(SECRET), bytes(10)))


def test_a_fingerprint_is_the_first_80_bits_of_the_certificates_hash():
    assert fingerprint_of(b"") == bytes.fromhex("e3b0c44298fc1c149afb")
