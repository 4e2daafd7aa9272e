"""The agent's loop on a bench: a clock turned by hand, an authority that answers in the same call."""

import itertools
import json
import logging
import sqlite3

import pytest

from edge_agent.commands.reset_meter import ResetError, allow_reset
from edge_agent.meters import IntervalRow, MeterTimeoutError
from edge_agent.state.journal import JournalUnusableError
from edge_agent.uplinks import (
    AuthorityTime,
    CommandArrived,
    LinkChanged,
    ReceiptsArrived,
    UnreachableError,
)
from edge_agent.wire.reading import (
    FLAG_BACK_FILLED,
    FLAG_REGISTER_RESET,
    FLAG_RESYNCHRONISED,
    FLAG_SAMPLED,
    FRAME_SIZE,
    VERDICT_ACCEPTED,
    Frame,
    previous_hash,
    record_hash,
)


def continuous(records):
    return all(
        later.sequence == earlier.sequence + 1 and later.previous_hash == previous_hash(earlier.to_bytes())
        for earlier, later in itertools.pairwise(records)
    )


def test_the_first_record_is_the_boundary_just_passed(bench):
    bench.settle()
    (record,) = bench.log()
    boundary = int(bench.clock.time()) // 900 * 900
    assert (record.sequence, record.interval_end, record.flags) == (1, boundary, 0)
    assert record.registers == (boundary // 10, boundary // 5, 0, 0)
    assert record.interval_seconds == 900
    assert bench.journal.counts().depth == 0
    assert bench.board.snapshot()["meters"]["solar"]["stages"]["receipted"]["count"] == 1


def test_each_boundary_brings_one_record(bench):
    bench.settle()
    bench.forward(4 * 900)
    records = bench.log()
    assert [record.interval_end for record in records] == [records[0].interval_end + 900 * n for n in range(5)]
    assert continuous(records)
    assert len(bench.authority.received) == 5


def test_nothing_is_signed_before_the_head_is_known(bench):
    bench.carrier.up = False
    bench.settle()
    bench.forward(1800)
    assert bench.journal.meter(bench.keys["solar"].public_key).record is None
    assert bench.errors("solar")["head"] == "unreachable"
    bench.carrier.up = True
    bench.forward(120)
    assert len(bench.log()) == 1
    assert "head" not in bench.errors("solar")


def test_an_outage_of_the_uplink_loses_nothing(bench):
    bench.settle()
    bench.carrier.up = False
    bench.forward(5 * 900)
    assert bench.journal.counts().waiting == 5
    bench.carrier.up = True
    bench.events.emit(LinkChanged("https", True, None))
    bench.forward(120)
    records = bench.log()
    assert len(records) == 6
    assert continuous(records)
    assert all(not record.flags & FLAG_BACK_FILLED for record in records)  # they were read in time


def test_an_outage_of_the_meter_is_filled_from_its_load_profile(bench):
    bench.settle()
    bench.meters["solar"].error = MeterTimeoutError("no answer from the meter")
    bench.forward(5 * 900)
    assert bench.errors("solar")["line"] == "timeout"
    bench.meters["solar"].error = None
    bench.forward(900)
    records = bench.log()
    assert len(records) == 7
    assert continuous(records)
    flagged = [bool(record.flags & FLAG_BACK_FILLED) for record in records]
    assert flagged[0] is False
    assert flagged[1:5] == [True] * 4
    assert flagged[-1] is False
    assert "line" not in bench.errors("solar")


def test_a_row_that_comes_late_is_waited_for(bench):
    bench.settle()
    boundary = bench.log()[0].interval_end + 900
    bench.meters["solar"].missing = {boundary}
    bench.forward(900 + 30)
    assert len(bench.log()) == 1
    bench.meters["solar"].missing = set()
    bench.forward(300)
    assert [record.flags for record in bench.log()] == [0, 0]
    assert bench.log()[1].interval_end == boundary


def test_a_row_that_never_comes_is_told_and_passed_over(bench):
    bench.settle()
    boundary = bench.log()[0].interval_end + 900
    bench.meters["solar"].missing = {boundary}
    bench.forward(900 + 700)
    assert bench.errors("solar")["row"] == "row_missing"
    bench.forward(900)
    assert [record.interval_end for record in bench.log()][-1] == boundary + 900
    assert continuous(bench.log())
    assert "row" not in bench.errors("solar")


def test_one_meter_never_stops_another(make_bench):
    bench = make_bench(meters=("solar", "storage", "load"))
    bench.meters["storage"].error = MeterTimeoutError("no answer")
    bench.ports["load"].silent = True
    bench.settle()
    bench.forward(900)
    assert len(bench.log("solar")) == 2
    assert bench.log("storage") == []
    assert bench.log("load") == []
    bench.ports["load"].silent = False
    bench.ports["load"].answer()
    bench.meters["storage"].error = None
    bench.forward(900)
    assert len(bench.log("solar")) == 3
    assert len(bench.log("storage")) >= 1
    assert len(bench.log("load")) >= 1


def test_all_meters_of_a_boundary_go_into_one_commit(make_bench):
    bench = make_bench(meters=("solar", "storage", "load"))
    commits = []
    append = bench.journal.append
    bench.journal.append = lambda frames, *, now: (commits.append(len(frames)), append(frames, now=now))
    bench.settle()
    bench.forward(900)
    assert commits == [3, 3]


def test_a_driver_that_breaks_is_contained(make_bench):
    bench = make_bench(meters=("solar", "load"))
    bench.meters["load"].error = ZeroDivisionError("a bug")
    bench.settle()
    assert bench.errors("load")["line"] == "driver_failed"
    assert len(bench.log("solar")) == 1


def test_another_meter_on_the_line_is_not_signed_for(bench):
    bench.meters["solar"].name = "stranger"
    bench.settle()
    bench.forward(900)
    assert bench.errors("solar")["line"] == "wrong_meter"
    assert bench.log() == []


def test_a_register_that_falls_stops_its_meter(bench):
    bench.settle()
    bench.meters["solar"].offset = -10_000_000
    bench.forward(2 * 900)
    assert bench.errors("solar")["reading"] == "needs_rebase"
    assert len(bench.log()) == 1
    state = bench.journal.meter(bench.keys["solar"].public_key)
    assert state.stop_code == "needs_rebase"
    bench.restart()
    bench.settle()
    assert bench.errors("solar")["reading"] == "needs_rebase"
    assert allow_reset(bench.config, "solar", dry_run=True).changed is False
    assert bench.journal.meter(bench.keys["solar"].public_key).rebase is False
    assert allow_reset(bench.config, "solar").last_end == bench.log()[0].interval_end
    assert allow_reset(bench.config, "solar").changed is False
    bench.restart()  # what a person said is durable
    bench.settle()
    bench.forward(900)
    assert bench.errors("solar") == {}
    before, *after = bench.log()
    assert [record.flags & FLAG_REGISTER_RESET for record in after] == [FLAG_REGISTER_RESET, *[0] * (len(after) - 1)]
    assert {record.register_epoch for record in after} == {before.register_epoch + 1}
    assert after[0].interval_end == before.interval_end + 900
    with pytest.raises(ResetError) as caught:
        allow_reset(bench.config, "solar")
    assert caught.value.code == "not_stopped"
    with pytest.raises(ResetError) as caught:
        allow_reset(bench.config, "wind")
    assert caught.value.code == "unknown_meter"


def test_a_rebase_that_was_not_needed_is_forgotten(bench):
    bench.settle()
    bench.meters["solar"].offset = -10_000_000
    bench.forward(900)
    allow_reset(bench.config, "solar")
    bench.meters["solar"].offset = 0  # the meter had shown something else for a moment
    bench.forward(900)
    assert bench.errors("solar") == {}
    bench.meters["solar"].offset = -10_000_000
    bench.forward(2 * 900)
    assert bench.errors("solar")["reading"] == "needs_rebase"
    assert {record.register_epoch for record in bench.log()} == {0}


def test_rows_that_are_none_are_not_signed(bench):
    bench.settle()
    boundary = bench.log()[0].interval_end + 900
    bench.meters["solar"].missing = {boundary}
    bench.meters["solar"].extra_rows = [
        IntervalRow(interval_end=boundary, generation=2**64, consumption=0, evidence=bytes(16))
    ]
    bench.forward(905)
    assert bench.errors("solar")["reading"] == "row_invalid"
    assert len(bench.log()) == 1


def test_rows_off_the_boundary_or_in_the_future_are_left_out(bench):
    first = int(bench.clock.time()) // 900 * 900
    bench.meters["solar"].extra_rows = [
        IntervalRow(interval_end=first + 17, generation=2**40, evidence=bytes(16)),
        IntervalRow(interval_end=first + 90_000, generation=2**40, evidence=bytes(16)),
        IntervalRow(interval_end=first, generation=0, evidence=bytes(16)),
    ]
    bench.settle()
    bench.forward(900)
    assert [record.interval_end for record in bench.log()] == [first, first + 900]


# -- receipts


def test_a_frame_without_a_receipt_goes_again_and_stays(bench):
    bench.carrier.mute = True
    bench.settle()
    bench.forward(30)
    assert len(bench.carrier.sent) == 1
    bench.forward(60)
    assert len(bench.carrier.sent) == 2
    assert bench.carrier.sent[0][0].frames == bench.carrier.sent[1][0].frames
    assert bench.journal.counts().waiting == 1
    bench.carrier.mute = False
    bench.forward(90)
    assert bench.journal.counts().waiting == 0
    assert len(bench.log()) == 1


def test_a_boundary_of_all_meters_goes_in_one_message(make_bench):
    bench = make_bench(meters=("solar", "storage", "load"))
    bench.settle()
    bench.forward(900)
    first, second = (batch for batch, _ in bench.carrier.sent)
    assert set(first.meters) == set(second.meters) == {"solar", "storage", "load"}
    assert [len(batch.frames) for batch in (first, second)] == [3, 3]
    assert bench.journal.counts().waiting == 0


def test_what_goes_again_goes_meter_by_meter(make_bench):
    bench = make_bench(meters=("solar", "load"))
    bench.carrier.mute = True
    bench.settle()
    bench.forward(90)
    assert [len(set(batch.meters)) for batch, _ in bench.carrier.sent][:3] == [2, 1, 1]
    bench.carrier.mute = False
    bench.forward(90)
    assert bench.journal.counts().waiting == 0


def test_a_message_that_does_not_leave_holds_each_of_its_meters_once(make_bench):
    bench = make_bench(meters=("solar", "load"))
    bench.settle()
    bench.carrier.up = False
    bench.forward(900)
    status = bench.board.snapshot()["meters"]
    assert all("publish" in status[name]["errors"] for name in ("solar", "load"))
    bench.carrier.up = True
    bench.forward(90)
    status = bench.board.snapshot()["meters"]
    assert not any("publish" in status[name]["errors"] for name in ("solar", "load"))
    assert bench.journal.counts().waiting == 0


def test_hostile_receipts_are_ignored_and_counted(bench):
    bench.carrier.mute = True
    bench.settle()
    frame = bench.carrier.sent[0][0].frames[0]
    authority = bench.authority
    good = authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=0)
    forged = bytearray(good.to_bytes())
    forged[-1] ^= 1
    verdict_changed = bytearray(good.to_bytes())
    verdict_changed[96] ^= 1
    hostile = [
        b"",
        b"x",
        good.to_bytes()[:-1],
        bytes(168),
        bytes(forged),
        bytes(verdict_changed),
        authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=0, network_id=b"another!").to_bytes(),
        authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=0, meter_key=bytes(32)).to_bytes(),
        authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=0, record_hash=bytes(32)).to_bytes(),
        authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=0, sequence=9).to_bytes(),
    ]
    for data in hostile:
        bench.events.emit(ReceiptsArrived(data, "mqtt"))
    bench.settle()
    assert bench.journal.counts().waiting == 1
    assert sum(bench.agent.gateway.ignored.values()) == len(hostile)
    bench.events.emit(ReceiptsArrived(good.to_bytes() * 3, "mqtt"))
    bench.settle()
    assert bench.journal.counts().waiting == 0
    assert bench.board.snapshot()["meters"]["solar"]["stages"]["receipted"]["count"] == 1


def test_a_receipt_that_is_a_proof_frees_the_frame_and_a_false_one_does_not(bench):
    bench.carrier.mute = True
    bench.settle()
    frame = bench.carrier.sent[0][0].frames[0]
    authority, sibling = bench.authority, bytes(range(32))
    proof = authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=1, size=2, path=sibling)
    proof.signature = authority.receipt_private.sign(proof.signed_message(frame))
    good = proof.to_bytes()
    hostile = [
        good[:-1] + bytes([good[-1] ^ 1]),  # another path
        good[:4] + b"\x02" + good[5:],  # held instead
        good[:96] + b"\x09" + good[97:],  # at another time
        good[:84] + b"\x09" + good[85:],  # another sequence is next
        good[:104] + b"\x03" + good[105:],  # of a larger tree
        authority.sign(frame, VERDICT_ACCEPTED, "ok", 2, index=1, size=2, path=sibling).to_bytes(),  # signed as AMC1 is
    ]
    for data in hostile:
        bench.events.emit(ReceiptsArrived(data, "mqtt"))
    bench.settle()
    assert bench.journal.counts().waiting == 1
    assert sum(bench.agent.gateway.ignored.values()) == len(hostile)
    bench.events.emit(ReceiptsArrived(good + good, "mqtt"))
    bench.settle()
    assert bench.journal.counts().waiting == 0
    assert bench.journal.has_receipt(frame.public_key)


def receipted(caplog):
    return [record.fields for record in caplog.records if record.msg == "receipted"]


def receipts_together(bench):
    """Five boundaries, of which the authority's receipts come late and in one message."""
    bench.settle()
    late = []
    bench.carrier.bend = lambda receipts: late.append(receipts) or b""
    bench.forward(5 * 900)
    bench.carrier.bend = lambda receipts: receipts
    bench.events.emit(ReceiptsArrived(b"".join(late), "https"))
    bench.agent.step()


def test_receipts_that_come_together_are_one_line_of_the_log(bench, caplog):
    caplog.set_level(logging.INFO, "edge_agent")
    receipts_together(bench)
    assert receipted(caplog) == [
        {"meter": "solar", "sequence": 1, "log_index": 0},
        {"meter": "solar", "first_sequence": 2, "frames": 5, "sequence": 6, "log_index": 5},
    ]
    assert bench.board.snapshot()["meters"]["solar"]["stages"]["receipted"]["count"] == 6


@pytest.mark.parametrize(("held", "told"), [(2, False), (4, False), (6, True)])
def test_of_receipts_that_come_together_the_last_says_whether_readings_are_held(bench, held, told):
    bench.authority.held = {held}
    receipts_together(bench)
    assert bench.journal.counts().archived == 6
    assert ("held" in bench.errors("solar")) is told
    assert bench.board.snapshot()["meters"]["solar"]["stages"]["receipted"]["count"] == 6


def test_held_frees_the_frame_and_tells_the_reason(bench):
    bench.authority.held = {1}
    bench.settle()
    assert bench.journal.counts().depth == 0
    assert bench.errors("solar")["held"] == "exceeds_nameplate"
    bench.forward(900)
    assert "held" not in bench.errors("solar")


def test_an_unknown_meter_waits_for_the_operator(bench):
    keys = bench.authority.keys
    bench.carrier.head = lambda meter: None
    bench.authority.keys = {}
    bench.settle()
    bench.forward(3 * 900)
    assert bench.errors("solar")["authority"] == "unknown_meter"
    assert bench.journal.counts().waiting == 4
    assert len(bench.carrier.sent) < 10
    bench.authority.keys = keys
    bench.forward(1800)
    assert bench.journal.counts().depth == 0
    assert continuous(bench.log())
    assert "authority" not in bench.errors("solar")


def test_a_refused_fork_continues_from_the_head(bench):
    """The authority logged another record under this sequence (an SD card lied): resume from what it has."""
    bench.settle()
    bench.forward(900)
    key = bench.keys["solar"]
    frame, _receipt = bench.authority.logs[key.public_key][-1]
    record = frame.record
    record.evidence = b"other evidence.."
    other = Frame(record.to_bytes(), key.public_key, key.sign(record.to_bytes()))
    bench.authority.logs[key.public_key][-1] = (
        other,
        bench.authority.sign(other, VERDICT_ACCEPTED, "ok", 3, index=1),
    )
    bench.forward(900)
    bench.forward(900)
    records = bench.log()
    assert [record.sequence for record in records] == [1, 2, 3, 4]
    assert continuous(records)
    assert records[2].flags & FLAG_RESYNCHRONISED
    assert bench.journal.counts().refused == 1
    assert bench.journal.refused(key.public_key) == [(3, "forked")]


def test_parked_sends_the_gap_again(bench):
    """The authority lost its last two records (restored from a backup): the archive has them."""
    bench.settle()
    bench.forward(3 * 900)
    log = bench.authority.logs[bench.keys["solar"].public_key]
    lost = [frame for frame, _ in log[2:]]
    del log[2:]
    bench.forward(900 + 120)
    records = bench.log()
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
    assert bench.authority.frames(bench.keys["solar"].public_key)[2:4] == lost
    assert bench.journal.counts().depth == 0


def test_an_authority_that_lost_more_than_the_archive_holds_is_told(bench):
    bench.settle()
    bench.forward(3 * 900)
    bench.authority.logs[bench.keys["solar"].public_key].clear()
    bench.journal._connection.execute("DELETE FROM frame")
    bench.forward(900 + 120)
    assert bench.errors("solar")["behind"] == "authority_behind"
    assert bench.journal.counts().parked == 1


def test_a_command_sends_again_and_a_hostile_one_is_counted(bench):
    bench.settle()
    bench.forward(900)
    sent = len(bench.carrier.sent)
    for data in (
        b"",
        b"[]",
        b'"resend"',
        b"{" * 5000,
        b'{"command": "resend"}',
        b'{"command": "resend", "meter": "solar", "from": -1}',
        b'{"command": "resend", "meter": "solar", "from": true}',
        b'{"command": "resend", "meter": ["solar"], "from": 1}',
        b'{"command": "resend", "meter": "lunar", "from": 1}',
        b'{"command": "reboot", "meter": "solar", "from": 1}',
        b"\xff\xfe",
    ):
        bench.events.emit(CommandArrived(data))
    bench.settle()
    assert len(bench.carrier.sent) == sent
    assert bench.agent.gateway.ignored["commands"] == 11
    bench.events.emit(CommandArrived(json.dumps({"command": "resend", "meter": "solar", "from": 1}).encode()))
    bench.settle()
    assert [frame.record.sequence for frame in bench.carrier.sent[-1][0].frames] == [1, 2]
    assert bench.journal.counts().depth == 0
    assert len(bench.log()) == 2


# -- after a start


def test_a_restart_continues_where_it_was(bench):
    bench.settle()
    bench.forward(900)
    bench.restart()
    bench.settle()
    bench.forward(900)
    records = bench.log()
    assert [record.sequence for record in records] == [1, 2, 3]
    assert continuous(records)
    assert all(record.flags == 0 for record in records)


def test_what_was_journalled_but_not_sent_goes_after_a_restart(bench):
    bench.settle()
    bench.carrier.up = False
    bench.forward(900)
    bench.restart()
    bench.settle()
    assert [record.sequence for record in bench.log()] == [1, 2]


def test_a_lost_journal_continues_from_the_head(bench):
    bench.settle()
    bench.forward(2 * 900)
    bench.agent.close()
    for file in bench.config.state.glob("journal.db*"):
        file.unlink()
    bench.clock.forward(3 * 900)
    bench._start()
    bench.settle()
    records = bench.log()
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5, 6]
    assert continuous(records)
    assert [bool(record.flags & FLAG_RESYNCHRONISED) for record in records] == [False] * 3 + [True] + [False] * 2
    assert [bool(record.flags & FLAG_BACK_FILLED) for record in records[3:]] == [True, True, False]


def test_a_journal_that_went_back_in_time_continues_from_the_head(bench):
    """An SD card that acknowledged a flush it never did: after the power failure the journal is an old one."""
    bench.settle()
    bench.agent.close()
    old = (bench.config.state / "journal.db").read_bytes()
    bench._start()
    bench.settle()
    bench.forward(2 * 900)
    bench.agent.close()
    (bench.config.state / "journal.db").write_bytes(old)
    bench._start()
    bench.settle()
    bench.forward(900)
    records = bench.log()
    assert [record.sequence for record in records] == [1, 2, 3, 4]
    assert continuous(records)
    assert records[3].flags & FLAG_RESYNCHRONISED


@pytest.mark.parametrize("spoil", ["header", "middle", "truncated"])
def test_a_damaged_journal_is_set_aside(bench, spoil):
    bench.settle()
    bench.forward(20 * 900)
    bench.agent.close()
    path = bench.config.state / "journal.db"
    data = bytearray(path.read_bytes())
    if spoil == "header":
        data[:16] = b"not a database.."
    elif spoil == "middle":
        data[len(data) // 3 : len(data) // 3 + 6000] = b"\xa5" * 6000
    else:
        del data[len(data) // 2 :]
    path.write_bytes(bytes(data))
    bench._start()
    bench.settle()
    bench.forward(900)
    records = bench.log()
    assert len(records) == 22
    assert continuous(records)
    assert bench.errors()["journal_lost"] == "journal_set_aside"
    assert (bench.config.state / "journal.db.damaged-1").exists()


def test_a_journal_damaged_while_running_is_replaced(bench):
    bench.settle()
    broken = bench.journal

    def damaged(*arguments, **options):
        raise sqlite3.DatabaseError("database disk image is malformed")

    class Damaged:
        def __getattr__(self, name):
            return damaged

        def close(self):
            broken_connection.close()

    broken_connection, broken._connection = broken._connection, Damaged()
    bench.forward(900)
    bench.forward(900)
    records = bench.log()
    assert [record.sequence for record in records] == [1, 2, 3]
    assert continuous(records)
    assert bench.errors()["journal_lost"] == "journal_set_aside"


def test_a_full_disk_signs_nothing_until_there_is_room(bench):
    bench.settle()
    append = bench.journal.append

    def full(frames, *, now):

        raise JournalUnusableError("database or disk is full")

    bench.journal.append = full
    bench.forward(2 * 900)
    assert bench.errors()["journal"] == "journal_unusable"
    assert len(bench.log()) == 1
    bench.journal.append = append
    bench.forward(900)
    records = bench.log()
    assert len(records) == 4
    assert continuous(records)
    assert "journal" not in bench.errors()


def test_a_full_journal_drops_nothing(make_bench):
    bench = make_bench(quota=3)
    bench.settle()
    bench.carrier.up = False
    bench.forward(8 * 900)
    assert bench.journal.counts().waiting == 3
    assert bench.errors()["journal"] == "journal_full"
    bench.carrier.up = True
    bench.events.emit(LinkChanged("https", True, None))
    bench.forward(2 * 900)
    records = bench.log()
    assert [record.interval_end for record in records] == [records[0].interval_end + 900 * n for n in range(11)]
    assert continuous(records)
    assert "journal" not in bench.errors()


@pytest.mark.parametrize("change", ["record", "signature", "receipt", "short", "refused", "foreign"])
def test_a_hostile_head_is_not_continued_from(bench, change):
    bench.settle()
    bench.forward(900)
    key = bench.keys["solar"].public_key
    head = bench.authority.head(key)
    frame = Frame.from_bytes(head[:FRAME_SIZE])
    if change == "record":
        head = bytes([*head[:60], head[60] ^ 1, *head[61:]])
    elif change == "signature":
        head = bytes([*head[:180], head[180] ^ 1, *head[181:]])
    elif change == "receipt":
        head = bytes([*head[:-1], head[-1] ^ 1])
    elif change == "short":
        head = head[:-1]
    elif change == "refused":
        head = head[:FRAME_SIZE] + bench.authority.sign(frame, 0, "forked", 3).to_bytes()
    else:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        other = Ed25519PrivateKey.generate()
        frame = Frame(frame.record_bytes, other.public_key().public_bytes_raw(), other.sign(frame.record_bytes))
        head = frame.to_bytes() + bench.authority.sign(frame, VERDICT_ACCEPTED, "ok", 3, index=1).to_bytes()
    bench.restart()
    bench.carrier.head = lambda meter: head
    bench.settle()
    bench.forward(900)
    assert bench.errors("solar")["head"] == "head_invalid"
    assert len(bench.log()) == 2
    assert bench.journal.meter(key).record.sequence == 2


@pytest.mark.parametrize("last", [7, 2**32 - 1])
def test_a_new_key_continues_the_registers_of_the_former_and_numbers_its_own_records(bench, last):
    """Also where the authority has none of the new key's records yet, and the gateway is started again."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    bench.settle()
    bench.forward(900)
    record = bench.log()[-1]
    record.sequence = last
    former = Ed25519PrivateKey.generate()
    raw = record.to_bytes()
    frame = Frame(raw, former.public_key().public_bytes_raw(), former.sign(raw))
    head = (
        frame.to_bytes()
        + bench.authority.sign(frame, VERDICT_ACCEPTED, "ok", min(last + 1, 2**32 - 1), index=1).to_bytes()
    )
    bench.agent.close()
    for file in bench.config.state.glob("journal.db*"):
        file.unlink()
    bench.authority.logs.clear()
    own_head = bench.carrier.authority.head
    bench.authority.head = lambda key: own_head(key) or head
    bench._start()
    bench.carrier.up = False
    bench.settle()
    bench.forward(900)
    bench.restart()
    bench.settle()
    bench.forward(900)
    records = [each for each in bench.log() if each.interval_end > record.interval_end]
    assert [each.sequence for each in records] == [1, 2]
    assert [each.interval_end - record.interval_end for each in records] == [900, 1800]
    assert all(each.generation >= record.generation for each in records)
    assert not any(records[0].previous_hash)
    assert records[0].flags & FLAG_RESYNCHRONISED
    assert "head" not in bench.errors("solar")


def test_a_reconnect_asks_for_the_head_again(bench):
    bench.settle()
    asked = len(bench.carrier.heads)
    bench.events.emit(LinkChanged("https", True, None))
    bench.events.emit(LinkChanged("https", False, UnreachableError("gone")))
    bench.events.emit(LinkChanged("https", True, None))
    bench.settle()
    assert len(bench.carrier.heads) == asked + 1
    assert "link_https" not in bench.errors()


def test_a_reconnect_whose_head_fails_asks_until_it_comes(bench):
    bench.settle()
    bench.carrier.up = False
    bench.events.emit(LinkChanged("https", False, UnreachableError("gone")))
    bench.events.emit(LinkChanged("https", True, None))
    bench.settle()
    bench.carrier.up = True
    asked = len(bench.carrier.heads)
    bench.forward(60)
    assert len(bench.carrier.heads) == asked + 1


def test_a_clock_set_back_signs_nothing_twice(bench):
    bench.settle()
    bench.forward(2 * 900)
    bench.clock.now -= 5 * 900
    bench.settle()
    bench.forward(3 * 900)
    assert len(bench.log()) == 3
    bench.forward(4 * 900)
    records = bench.log()
    assert continuous(records)
    assert [record.interval_end for record in records] == sorted({record.interval_end for record in records})


def _sampled(bench):
    """The meter's rows take their time from the gateway's clock from now on."""
    meter = bench.meters["solar"]
    meter.depth = 0

    def rows(since, until):
        boundary = int(bench.clock.time()) // 900 * 900
        row = IntervalRow(interval_end=boundary, generation=5, consumption=7, flags=FLAG_SAMPLED)
        return [row] if since < boundary <= until else []

    meter.rows = rows


@pytest.mark.parametrize("off", [-86400 * 365, -3600, 3600, 86400 * 3])
def test_rows_that_the_gateways_clock_dates_wait_until_it_is_right(bench, off):
    """A sampled record of the future would stand in the way of every later one."""
    _sampled(bench)
    bench.clock.now += off
    bench.events.emit(AuthorityTime(-off))
    bench.settle()
    bench.forward(2 * 900)
    assert bench.log() == []
    assert bench.errors("solar")["row"] == "gateway_clock"
    assert bench.errors()["clock"] == "clock_unsynchronised"
    bench.clock.now -= off  # NTP sets it; nobody asks the authority again
    bench.forward(2 * 900)
    records = bench.log()
    assert len(records) >= 2
    assert continuous(records)
    assert records[-1].interval_end == int(bench.clock.time()) // 900 * 900
    assert "row" not in bench.errors("solar")
    assert "clock" not in bench.errors()


def test_rows_that_the_meters_clock_dates_do_not_wait(bench):
    bench.settle()
    bench.events.emit(AuthorityTime(4000))
    bench.forward(2 * 900)
    assert len(bench.log()) == 3
    assert bench.errors()["clock"] == "clock_unsynchronised"


def test_a_clock_that_was_never_set_signs_nothing_and_recovers(bench):
    """A gateway without a battery wakes in 1970: no certificate holds then, so there is no head, and no signature."""
    bench.carrier.up = False
    real = bench.clock.now
    bench.clock.now = 20.0
    bench.settle()
    bench.forward(3 * 900)
    assert bench.journal.meter(bench.keys["solar"].public_key).record is None
    bench.clock.now = real + 3 * 900
    bench.carrier.up = True
    bench.forward(900)
    assert [record.interval_end % 900 for record in bench.log()] == [0, 0]
    assert bench.log()[-1].interval_end == int(bench.clock.time()) // 900 * 900


def test_the_backlog_goes_in_batches_and_bounded(make_bench):
    bench = make_bench()
    bench.settle()
    bench.carrier.up = False
    bench.forward(80 * 900, step=300)
    bench.carrier.up, bench.carrier.mute = True, True
    bench.events.emit(LinkChanged("https", True, None))
    bench.settle()
    bench.forward(10)
    assert all(len(batch.frames) <= bench.config.uplink.batch for batch, _ in bench.carrier.sent)
    bench.carrier.mute = False
    bench.forward(200)
    assert len(bench.log()) == 81
    assert continuous(bench.log())


def test_live_power_is_told_and_not_journalled(bench):
    bench.settle()
    counts = bench.journal.counts()
    bench.ports["solar"].real.poll_power()
    bench.settle()
    assert bench.carrier.lives == [{"solar": {"power_w": -1500, "time": int(bench.clock.time())}}]
    assert bench.journal.counts() == counts


def test_the_authority_is_told_the_status(bench):
    bench.settle()
    status = bench.carrier.statuses[-1]
    assert status["gateway"] == "dormitory-a"
    json.dumps(status)
    bench.forward(61)
    assert len(bench.carrier.statuses) >= 2


def test_a_record_hash_is_what_the_receipt_names(bench):
    bench.settle()
    frame, receipt = bench.authority.logs[bench.keys["solar"].public_key][0]
    assert receipt.record_hash == record_hash(frame.record_bytes)
