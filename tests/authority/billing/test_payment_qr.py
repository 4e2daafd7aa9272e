"""The code that a bank's app scans: what EPC069-12 and the Thai QR ask of it, and where there is none."""

from __future__ import annotations

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from authority.billing.money import named_in, reference_of
from authority.billing.payment_qr import LARGEST_VERSION, MOST_BYTES, checksum, payment_code
from authority.home.iban import remainder
from authority.home.settings import BillingSettings

EUROS = BillingSettings(currency="EUR", iban="DE89 3704 0044 0532 0130 00", bic="COBADEFFXXX")
BAHT = BillingSettings(currency="THB", promptpay="099400016550100")
REFERENCE = reference_of(bytes.fromhex("aa38000000000000"), 17)


def test_a_sepa_code_says_what_the_european_payments_council_asks_for_line_by_line():
    code = payment_code(EUROS, "Engineering Department", 12_340_000, REFERENCE)
    assert (code.kind, code.holder, code.account) == ("SEPA", "Engineering Department", "DE89370400440532013000")
    assert code.text.split("\n") == [
        "BCD",  # service tag
        "002",  # version
        "1",  # UTF-8
        "SCT",  # SEPA credit transfer
        "COBADEFFXXX",
        "Engineering Department",
        "DE89370400440532013000",
        "EUR12.34",
        "",  # purpose: none
        REFERENCE,  # structured, so no free text follows
    ]


@given(st.text(max_size=200), st.integers(1, 10**11), st.integers(1, 10**8 - 1))
def test_whatever_the_payee_is_called_the_code_keeps_the_standards_bounds(payee, cents, number):
    reference = reference_of(bytes(8), number)
    code = payment_code(EUROS, payee, cents * 10_000, reference)
    if code is None:  # no letter of the name is one of SEPA's, or more than a transfer takes
        assert cents > 99_999_999_999 or not any(each.isascii() and each.isalnum() for each in payee)
        return
    lines = code.text.split("\n")
    assert len(code.text.encode()) <= MOST_BYTES
    assert len(lines) == 10
    assert 1 <= len(lines[5]) <= 70
    assert lines[7] == f"EUR{cents // 100}.{cents % 100:02d}"
    assert remainder(lines[9][4:] + lines[9][:4]) == 1
    assert named_in(lines[9], bytes(8)).bills == (number,)
    symbol = segno.make(code.text, error="m", micro=False, encoding="utf-8", boost_error=False)
    assert (symbol.error, symbol.version <= LARGEST_VERSION) == ("M", True)
    assert code.inline().startswith("<svg")


def test_a_thai_code_names_biller_reference_and_amount_and_ends_with_its_checksum():
    code = payment_code(BAHT, "Engineering Department", 420_000_000, REFERENCE)
    account = f"0016A0000006770101120115{BAHT.promptpay}0216{REFERENCE}"
    said = f"00020101021230{len(account)}{account}5303764540" + "6420.00" + "5802TH6304"
    assert code.text[:-4] == said
    assert code.text[-4:] == f"{checksum(said):04X}"
    assert (code.kind, code.account) == ("PromptPay", BAHT.promptpay)


def test_the_checksum_is_that_of_the_catalogue_and_of_a_code_that_a_thai_bank_made():
    assert checksum("123456789") == 0x29B1  # the check value of CRC-16/CCITT-FALSE
    made = (
        "00020101021230810016A00000067701011201150107536000315010214KB0000022388850320APIC1779263190951UMO"
        "31690016A00000067701011301030040214KB0000022388850420APIC1779263190951UMO5303764540510.005802TH6304AC1A"
    )
    assert f"{checksum(made[:-4]):04X}" == made[-4:]


@pytest.mark.parametrize(
    ("billing", "amount"),
    [
        (BillingSettings(currency="EUR"), 1_000_000),
        (BillingSettings(currency="EUR", iban="GB33BUKB20201555555555"), 1_000_000),
        (BillingSettings(currency="EUR", iban="BR1800360305000010009795493C1"), 1_000_000),
        (BillingSettings(currency="USD", iban="DE89370400440532013000"), 1_000_000),
        (BillingSettings(currency="THB"), 1_000_000),
        (BillingSettings(), 1_000_000),
        (EUROS, 0),
        (EUROS, -1_000_000),
        (BAHT, 0),
    ],
    ids=[
        "no iban",
        "a bic is needed",
        "not in sepa",
        "dollars",
        "no biller",
        "credits",
        "nothing",
        "to the member",
        "0",
    ],
)
def test_there_is_no_code_where_none_would_serve(billing, amount):
    assert payment_code(billing, "Engineering Department", amount, REFERENCE) is None


def test_a_british_account_has_a_code_with_its_bic():
    billing = BillingSettings(currency="EUR", iban="GB33BUKB20201555555555", bic="BUKBGB22")
    assert "BUKBGB22" in payment_code(billing, "Department", 10_000, REFERENCE).text
