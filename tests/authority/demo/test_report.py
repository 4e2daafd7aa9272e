"""demo-report.json: exactly the issue's keys, whole numbers, never half written."""

import json

from authority.audit.conservation import Conservation, TokenTotals
from authority.demo import report
from authority.market.report import EpochReport

ENERGY = TokenTotals(minted=300, supply=290, held=90, escrow=200, in_books=200)
CREDIT = TokenTotals(minted=5, supply=5, held=5, escrow=0, in_books=0)


def epoch(number, **stages):
    return EpochReport(
        epoch=number,
        state="checkpointed",
        readings_on_chain=9,
        minted_wh=243,
        orders=4,
        traded_wh=0,
        clearing_price=None,
        settled=True,
        stage_ms=stages,
    )


def content(*epochs, sums=None):
    return report.report(
        epochs,
        sums or Conservation(ENERGY, CREDIT, 300),
        meters=9,
        transport="mqtt",
        validator="embedded",
        start={"page": 3200},
    )


def test_the_shape():
    assert content(epoch(7, submitted=1500, minted=1600, closed=9000)) == {
        "epochs": [
            {
                "epoch": 7,
                "readings_on_chain": 9,
                "minted_wh": 243,
                "orders": 4,
                "traded_wh": 0,
                "clearing_price": None,
                "settled": True,
            }
        ],
        "conservation": {"minted_wh": 300, "held_wh": 90, "escrow_wh": 200, "retired_wh": 10, "ok": True},
        "meters": 9,
        "transport": "mqtt",
        "validator": "embedded",
        "timings": {
            "start_ms": {"page": 3200},
            "after_epoch_end_ms": [{"epoch": 7, "submitted": 1500, "minted": 1600}],
        },
    }


def test_sums_that_do_not_meet_are_reported_as_such():
    wrong = Conservation(TokenTotals(minted=300, supply=290, held=91, escrow=200, in_books=200), CREDIT, 300)
    assert content(sums=wrong)["conservation"]["ok"] is False


def test_the_file_is_replaced_whole(tmp_path):
    path = tmp_path / report.REPORT_NAME
    for number in (1, 2):
        report.write(path, content(epoch(number)))
        assert json.loads(path.read_text())["epochs"][0]["epoch"] == number
    assert [entry.name for entry in tmp_path.iterdir()] == [report.REPORT_NAME]


def test_medians_in_words():
    rows = [epoch(n, cleared=n * 100, minted=1449) for n in (1, 9, 5)]
    assert report.median_stages(rows) == "book cleared 0.5 s, surplus minted 1.4 s"
    assert report.median_stages([]) == ""
