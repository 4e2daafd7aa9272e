"""The terminal's table: one line for each epoch where nobody watches, rows that change in place where somebody does."""

import io

from authority.demo.progress import Progress
from authority.market.report import EpochReport


def epoch(number, state="checkpointed", **changes):
    figures = {
        "readings_on_chain": 9,
        "minted_wh": 243,
        "orders": 4,
        "traded_wh": 1_234,
        "clearing_price": 164_623,
        "settled": state == "checkpointed",
        "stage_ms": {},
    }
    return EpochReport(epoch=number, state=state, **{**figures, **changes})


def done(past):
    return past.state in ("settled", "checkpointed")


def test_a_pipe_gets_plain_lines_each_epoch_once():
    output = io.StringIO()
    progress = Progress(output, interactive=False)
    progress.header()
    first = epoch(1, clearing_price=None, traded_wh=0)
    progress.table([first, epoch(2, "minted")], done, "0:07 left")
    progress.table([first, epoch(2)], done, "0:06 left")
    lines = output.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", "1", "2"]
    assert lines[1].split() == ["1", "–", "9", "0.243", "4", "0.000", "–", "settled"]
    assert lines[2].split()[5:7] == ["1.234", "0.164623"]
    assert "\x1b" not in output.getvalue()


def test_a_terminal_shows_running_epochs_and_a_status_in_place():
    output = io.StringIO()
    progress = Progress(output, interactive=True)
    progress.table([epoch(1, "minted")], done, "0:07 left")
    assert output.getvalue().count("minted") == 1
    assert output.getvalue().endswith("0:07 left\x1b[0m")
    progress.table([epoch(1)], done, "0:06 left")
    progress.say("the end")
    assert output.getvalue().count("settled") == 1
    assert output.getvalue().endswith("the end\n")


def test_steps_tell_the_time_since_the_start():
    ticks = iter([10.0, 12.34])
    output = io.StringIO()
    Progress(output, interactive=False, monotonic=lambda: next(ticks)).step("the validator answers")
    assert output.getvalue() == "   2.3 s  the validator answers\n"
