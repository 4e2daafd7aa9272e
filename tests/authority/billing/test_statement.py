"""A bank's statement: whatever it calls its columns, however it writes amounts and dates; and the references in it."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.billing.errors import CurrencyUnsetError, StatementInvalidError
from authority.billing.money import Currency, check_digits, named_in, reference_of, spaced
from authority.billing.statement import Layout, amount_of, decoded, parse
from authority.home.iban import remainder
from authority.home.settings import BillingSettings

EUR = Currency("EUR")
PLAIN = Layout.of(BillingSettings(currency="EUR"))
NETWORK = bytes.fromhex("7f3a000000000000")
CODES = ("EUR", "THB", "JPY", "KWD")


def test_the_reference_is_iso_11649s():
    for given_, digits in (("539007547034", "18"), ("2348231", "71"), ("G72UUR", "45")):
        assert check_digits(given_ + "RF") == digits
    reference = reference_of(NETWORK, 17)
    assert (len(reference), reference[4:], spaced(reference)[5:]) == (16, "7F3A00000017", "7F3A 0000 0017")
    assert remainder(reference[4:] + reference[:4]) == 1


@given(st.integers(1, 10**8 - 1), st.binary(min_size=8, max_size=8), st.data())
def test_a_reference_is_found_however_it_is_written_and_no_wrong_digit_or_swap_is_taken(number, network, data):
    reference = reference_of(network, number)
    written = data.draw(st.sampled_from((reference, reference.lower(), spaced(reference), "-".join(reference))))
    assert named_in(f"Energy, thanks! {written} Ada", network).bills == (number,)
    place = data.draw(st.integers(2, 15))
    other = data.draw(st.sampled_from([each for each in "0123456789" if each != reference[place]]))
    assert named_in(reference[:place] + other + reference[place + 1 :], network).bills == ()
    if reference[-1] != reference[-2]:
        assert named_in(reference[:-2] + reference[-1] + reference[-2], network) == type(named_in("", network))(
            (), mistyped=True
        )
    assert named_in(reference_of(bytes([network[0] ^ 1]) + network[1:], number), network).bills == ()


def test_two_references_are_both_named_and_one_twice_is_one():
    two = f"{reference_of(NETWORK, 3)} {reference_of(NETWORK, 4)} {reference_of(NETWORK, 3)}"
    assert named_in(two, NETWORK).bills == (3, 4)


def written(minor, digits, point, group):
    units, rest = divmod(abs(minor), 10**digits)
    return (
        ("-" if minor < 0 else "") + f"{units:,}".replace(",", group) + (f"{point}{rest:0{digits}d}" if digits else "")
    )


@given(
    st.integers(-(10**12), 10**12),
    st.sampled_from(CODES),
    st.sampled_from([(",", "."), (".", ","), (",", " "), (".", "'"), (",", "")]),
)
def test_an_amount_is_read_to_the_last_digit_or_refused_never_mistaken(minor, code, marks):
    currency, (point, group) = Currency(code), marks
    text, amount = written(minor, currency.digits, point, group), minor * currency.unit
    assert amount_of(text, currency, point) == amount
    assert amount_of(f"{text} {code}", currency, point) == amount
    if text.startswith("-"):
        assert amount_of(f"{text[1:]}-", currency, point) == amount
    try:
        assert amount_of(text, currency) == amount
    except StatementInvalidError:
        assert currency.digits == 3, "only with three decimals is a whole amount such as 1.234 read in two ways"


def test_an_amount_that_is_none_is_refused():
    for text in (
        "",
        "x",
        "1.234",
        "12.345,6,7",
        "1,23,456.00",
        "--5",
        "-5-",
        "1e5",
        "12,345",
        "0x1F",
        "٣",
        "1" * 14,
        "12.30 USD",
        ".5",
    ):
        with pytest.raises(StatementInvalidError):
            amount_of(text, EUR)
    assert amount_of("1.234", EUR, ",") == 1_234_000_000
    with pytest.raises(StatementInvalidError, match="2 decimals"):
        amount_of("1.234", EUR, ".")
    assert amount_of("1,234", Currency("JPY")) == 1_234_000_000


@given(st.integers(-(2**62), 2**62), st.sampled_from(("", *CODES)))
def test_what_is_payable_is_a_whole_unit_to_the_members_favour(due, code):
    currency = Currency(code)
    payable = currency.payable(due)
    assert payable % currency.unit == 0
    assert 0 <= due - payable < currency.unit
    if code:
        assert amount_of(currency.plain(payable), currency, ".") == payable if abs(payable) < 10**17 else True


def test_a_german_banks_file_with_lines_before_the_columns():
    columns = ("date=Buchungstag", "amount=Betrag", "text=Empfänger", "text=Verwendungszweck", "currency=Währung")
    layout = Layout.of(BillingSettings(currency="EUR", statement_columns=columns))
    file = (
        "Konto;DE89 3704 0044 0532 0130 00\r\nZeitraum;November\r\n\r\n"
        "Buchungstag;Empfänger;Verwendungszweck;Betrag;Währung;Saldo\r\n"
        '28.11.2026;"Ada; Lovelace";"RF18\r\n 7F3A";1.234,50;EUR;9.000,00\r\n'
        "27.11.26;Stadtwerke;Rechnung;-12,5;EUR;8.000,00\r\n"
        ";;;;;\r\n"
    )
    first, second = parse(decoded(file.encode("cp1252")), layout)
    assert (first.line, first.booked_on, first.amount) == (5, date(2026, 11, 28), 1_234_500_000)
    assert (first.text, first.currency) == ("Ada; Lovelace RF18 7F3A", "EUR")
    assert (second.line, second.booked_on, second.amount) == (7, date(2026, 11, 27), -12_500_000)
    assert parse(decoded(file.encode()), layout)[0].key == first.key
    assert parse(decoded(file.encode("utf-16")), layout)[0].key == first.key  # a spreadsheet's "Unicode text"


def test_columns_of_what_came_in_and_what_went_out_with_dates_as_the_bank_has_them():
    columns = ("id=Ref", "date=Date", "in=Deposit", "out=Withdrawal", "text=Detail")
    settings = BillingSettings(currency="THB", statement_columns=columns, statement_date="%d/%m/%Y")
    file = 'Ref,Date,Detail,Withdrawal,Deposit\nA1,03/11/2026,in,,"1,234.00"\nA2,04/11/2026,out,"50.00",\n'
    found = parse(file, Layout.of(settings))
    assert [(each.booked_on.day, each.amount) for each in found] == [(3, 1_234_000_000), (4, -50_000_000)]


def test_each_line_that_cannot_be_read_is_named_and_the_whole_file_is_refused():
    file = """\
id,date,amount,text
A,2026-11-28,1.00,x
B,03/11/2026,1.00,x
C,2026-11-28,1.234,x
D,2026-02-30,1,x
,2026-11-28,1,x
E,2026-11-28,1
A,2026-11-28,2.00,x
"""
    with pytest.raises(StatementInvalidError) as caught:
        parse(file, PLAIN)
    for words in (
        "line 3: '03/11/2026' is not a date such as",
        "line 4: '1.234' can be read in two ways",
        "line 5: '2026-02-30' is not a date of the form",
        "line 6: the bank's id is empty",
        "line 7: it has 3 columns",
        "line 8: the bank's id 'A' stands in line 2 too",
    ):
        assert words in str(caught.value)
    for text in (
        "",
        "x",
        "id,date,amount\n",
        "id,date,amount,text,text\nA,2026-11-28,1,x,y\n",
        'id,date,amount,text\nA,2026-11-28,1,"x\n',
        "id,date,amount,text\n",
    ):
        with pytest.raises(StatementInvalidError):
            parse(text, PLAIN)
    with pytest.raises(StatementInvalidError, match="and 40 more"):
        parse("id,date,amount,text\n" + "A,x,1,x\n" * 50, PLAIN)
    with pytest.raises(StatementInvalidError, match="UTF-8"):
        decoded(b"\x81\x8d")
    with pytest.raises(CurrencyUnsetError):
        Layout.of(BillingSettings())


def test_the_same_line_twice_is_two_payments_without_an_id_and_one_with():
    lines = "2026-11-28,1.00,same\n"
    columns = ("date=date", "amount=amount", "text=text")
    without = Layout.of(BillingSettings(currency="EUR", statement_columns=columns))
    twice = parse("date,amount,text\n" + lines * 2, without)
    assert len({each.key for each in twice}) == 2
    assert [each.key for each in parse("date,amount,text\n" + lines * 3, without)][:2] == [each.key for each in twice]
    assert len(parse("id,date,amount,text\n" + ("A," + lines) * 2, PLAIN)) == 1


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused(text):
    for file in (text, f"id;date;amount;text\nA;2026-11-28;{text};{text}\n"):
        with suppress(StatementInvalidError):
            assert parse(file, PLAIN)
