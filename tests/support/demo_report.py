"""What the report of every demo must say, however long it ran and on whichever validator."""

EPOCH_KEYS = {"epoch", "readings_on_chain", "minted_wh", "orders", "traded_wh", "clearing_price", "settled"}


def check_report(report, epochs):
    assert {"epochs", "conservation", "meters", "transport", "validator"} <= set(report)
    rows = report["epochs"]
    assert len(rows) == epochs
    assert [row["epoch"] for row in rows] == list(range(rows[0]["epoch"], rows[0]["epoch"] + epochs))
    for row in rows:
        assert set(row) == EPOCH_KEYS
        assert row["settled"] is True
        for key in EPOCH_KEYS - {"clearing_price", "settled"}:
            assert type(row[key]) is int
        assert row["readings_on_chain"] == report["meters"] == 13
        assert row["minted_wh"] > 0
        assert (row["clearing_price"] is None) == (row["traded_wh"] == 0)
    sums = report["conservation"]
    assert sums["ok"] is True
    assert sums["minted_wh"] == sums["held_wh"] + sums["escrow_wh"] + sums["retired_wh"]
    assert sums["minted_wh"] >= sum(row["minted_wh"] for row in rows)
    assert sum(row["traded_wh"] for row in rows) <= sums["minted_wh"]
