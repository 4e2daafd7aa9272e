"""A certificate's two dates as the library reads them, and what is not a certificate."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.state.certificate import validity

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
"""Its signatures are the same each time, so that every process that runs these tests has the same cases."""
DATES = st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda date: date.replace(microsecond=0, tzinfo=datetime.UTC)
)


def certificate(begins, ends, *, common_name="gw-1", serial=5):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(serial).not_valid_before(begins).not_valid_after(ends)
    return made.sign(KEY, None).public_bytes(serialization.Encoding.PEM).decode()


def at(*date):
    return datetime.datetime(*date, tzinfo=datetime.UTC)


@settings(max_examples=40, deadline=None)
@given(DATES, DATES, st.text("abc ü", min_size=1, max_size=60), st.integers(1, 2**150))
@example(at(1950, 1, 1), at(2049, 12, 31, 23, 59, 59), "gw-1", 1)
@example(at(1999, 12, 31), at(2050, 1, 1), "gw-1", 1)
@example(at(2050, 1, 1), at(9999, 12, 31, 23, 59, 59), "gw-1", 1)
def test_the_dates_are_those_that_the_library_reads(one, other, common_name, serial):
    pem = certificate(min(one, other), max(one, other), common_name=common_name, serial=serial)
    read = x509.load_pem_x509_certificate(pem.encode())
    assert validity(pem) == (read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp())


def test_the_first_of_several_counts_and_words_around_it_do_not():
    first, second = certificate(at(2020, 1, 1), at(2021, 1, 1)), certificate(at(2022, 1, 1), at(2023, 1, 1))
    assert validity(f"our authority\n{first}{second}") == validity(first) != validity(second)


GOOD = certificate(at(2020, 1, 1), at(2021, 1, 1))
DER = base64.b64decode("".join(GOOD.splitlines()[1:-1]))


def pem_of(der):
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "gw-1",
        "ü" + GOOD,
        GOOD.replace("CERTIFICATE", "PUBLIC KEY"),
        GOOD.replace("CERTIFICATE", "X509 CERTIFICATE"),
        GOOD.splitlines()[0],
        *(pem_of(DER[:size]) for size in range(0, len(DER), 7)),
        pem_of(DER.replace(b"\x17\x0d200101", b"\x17\x0d20ab01")),
    ],
)
def test_what_is_not_a_certificate_is_refused(pem):
    with pytest.raises(ValueError, match="cannot be read"):
        validity(pem)


def test_the_certificate_that_is_spoilt_here_is_good_otherwise():
    assert validity(pem_of(DER)) == validity(GOOD) == (1577836800, 1609459200)
