"""What the audit computes again from signed readings and orders: nothing where all is well, each fraud named."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from solders.instruction import AccountMeta

from authority.audit.books import Book
from authority.audit.bundle import Bundle
from authority.audit.history import Landed
from authority.audit.verify import Audit, ChainSource
from authority.chain import programs
from authority.chain.accounts import EpochBook, EpochCheckpoint
from authority.cli import main
from authority.collector import held
from authority.log import log, merkle
from authority.log.log import LEAF_BOOK, Leaf, ReadingLeaf, SignedCheckpoint
from authority.market.book_leaf import book_leaf, book_of_leaf
from authority.market.standing_orders import StandingOrder
from authority.store.metering import Frame, MeterKey
from edge_agent.wire.reading import CODES, FLAG_REGISTER_RESET, FLAG_TAMPER, VERDICT_HELD, Record, record_hash

SUSPENDED, ACTIVE = 2, 1
HELD_CODE = next(number for number, name in CODES.items() if name == "implausible_for_sun_or_wind")


@pytest.fixture
def verify(campus: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    """`audit verify --json` on the campus as it stands."""

    def run() -> dict[str, Any]:
        capsys.readouterr()
        home = ["--home", str(campus.home_path), "--url", campus.validator.url]
        code = main(["audit", "verify", "--json", *home])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert set(document) == {"ok", "entries", "checkpoints", "minted_wh", "recoveries", "problems"}
        assert code == (0 if document["ok"] else 1)
        return document

    return run


def codes(document: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in document["problems"]}


def minted(campus: Any) -> int:
    return sum(campus.energy(name).minted for name in "ABCD")


def meter_accounts(campus: Any, name: str) -> list[AccountMeta]:
    meter_id = campus.meters[name].meter_id
    return [
        AccountMeta(programs.meter_address(meter_id), is_signer=False, is_writable=False),
        AccountMeta(programs.meter_state_address(meter_id), is_signer=False, is_writable=True),
    ]


def carry(campus: Any, name: str, frame: bytes) -> None:
    """Carry a frame to the chain with the operator's own key, past the log."""
    operator = {"operator": campus.operator.pubkey()}
    carried = campus.client.instruction("oracle", "submit_readings", {}, operator, meter_accounts(campus, name))
    campus.client.send([programs.ed25519_frames([campus.signed(frame)]), carried], [], payer=campus.operator)


def receive_held(campus: Any, name: str, frame: bytes) -> int:
    """What the collector does with a frame that it holds back: a leaf that says so, and a row; the leaf's index."""
    record = Record.from_bytes(frame[:96])
    with campus.app.store.write() as session:
        leaf = ReadingLeaf(VERDICT_HELD, HELD_CODE, campus.wall.seconds(), campus.signed(frame))
        index = log.append(session, leaf.to_bytes())
        session.add(
            Frame(
                log_index=index, meter_pk=campus.meters[name].pk, public_key=frame[96:128], sequence=record.sequence,
                interval_end=record.interval_end, record_hash=record_hash(frame[:96]), frame=frame, verdict="held",
                code=CODES[HELD_CODE], receipt=bytes(168), received_at=campus.wall.seconds(), over="https",
                disposition="held",
            )
        )  # fmt: skip
        owner = campus.meters[name].pk
        if session.get(MeterKey, frame[96:128]) is None:
            session.add(
                MeterKey(
                    public_key=frame[96:128], meter_pk=owner, first_sequence=1, next_sequence=record.sequence + 1,
                    possession=bytes(64), approved_at=1,
                )
            )  # fmt: skip
    return int(index)


@pytest.mark.finding("chain-12")
def test_a_campus_that_trades_has_no_problem(campus: Any, verify: Any) -> None:
    """Also while orders rest in a book, whose energy is neither in a wallet nor in a seat."""
    assert verify()["problems"] == []
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    book = campus.book(campus.epoch)
    assert book.energy_locked > 0
    said = verify()
    assert said["problems"] == []
    assert said["minted_wh"] == minted(campus) == 3_500
    assert said["checkpoints"] == 2  # the published one, and the chain's that pins it


def test_what_interrupts_a_span_is_done_again_by_the_rule(campus: Any, verify: Any) -> None:
    """A new map, a suspended meter, a doubtful reading, a silent week and registers that were reset."""
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    wind = programs.meter_address(campus.meters["B.wind"].meter_id)
    campus.do("registry", "set_meter_map", {"map_hash": bytes(32)}, meter=wind)
    campus.run_epoch(worker)
    load = campus.meters["A.load"]
    accounts = {
        "meter": programs.meter_address(load.meter_id),
        "user": programs.user_address(campus.wallets["A"]),
    }
    campus.do("registry", "set_meter_status", {"status": SUSPENDED}, **accounts)
    campus.run_epoch(worker, but=("A.load",))
    campus.do("registry", "set_meter_status", {"status": ACTIVE}, **accounts)
    campus.run_epoch(worker)
    boundary = campus.next_epoch()
    campus.read_all(boundary, but=("C.building", "B.grid"))
    campus.receive("C.building", campus.meters["C.building"].read(boundary, 800, 100, flags=FLAG_TAMPER))
    worker.settle_down()
    for _ in range(6):
        campus.run_epoch(worker, but=("B.grid",))
    campus.run_epoch(worker)
    meter = campus.meters["D.load"]
    boundary = campus.next_epoch()
    campus.read_all(boundary, but=("D.load",))
    meter.registers[1], meter.register_epoch = 0, 1
    index = campus.receive("D.load", meter.read(boundary, flags=FLAG_REGISTER_RESET))
    worker.settle_down()
    assert main(["settlement", "--home", str(campus.home_path), "rebase", str(index)]) == 0
    worker.settle_down()
    campus.run_epoch(worker)
    campus.run_epoch(worker)
    said = verify()
    assert said["problems"] == []
    assert said["minted_wh"] == minted(campus) > 10_000


def test_a_meter_that_changes_hands_and_a_storage_that_grows_are_followed(campus: Any, verify: Any) -> None:
    """Storage is staged and taken over; then the battery is suspended, settled alone, given to D, and goes on."""
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    battery = programs.meter_address(campus.meters["A.battery"].meter_id)
    installation = programs.installation_address(2)
    sizes = {"nameplate_w": 50_000_000, "storage_wh": 1_500, "from_epoch": campus.epoch + 1}
    campus.do("registry", "stage_installation", sizes, installation=installation)
    campus.do("registry", "follow_installation", {}, installation=installation, meter=battery)
    campus.run_epoch(worker)
    campus.STEPS = {**campus.STEPS, "A.battery": (0, 0, 0, 800)}
    campus.run_epoch(worker)
    campus.run_epoch(worker)
    users = {name: programs.user_address(campus.wallets[name]) for name in "AD"}
    boundary = campus.next_epoch()
    campus.receive("A.battery", campus.meters["A.battery"].read(boundary, 0, 0, 700, 0))
    worker.settle_down()
    campus.do("registry", "set_meter_status", {"status": SUSPENDED}, user=users["A"], meter=battery)
    campus.read_all(boundary, but=("A.battery",))
    worker.settle_down()
    state = campus.state("A.battery")
    assert state.settled_end == state.interval_end == boundary
    campus.do(
        "registry", "reassign_meter", {}, meter=battery, from_user=users["A"], to_user=users["D"],
        meter_state=programs.meter_state_address(campus.meters["A.battery"].meter_id),
    )  # fmt: skip
    campus.do("registry", "set_meter_status", {"status": ACTIVE}, user=users["D"], meter=battery)
    campus.run_epoch(worker)
    campus.run_epoch(worker)
    campus.run_epoch(worker)
    said = verify()
    assert said["problems"] == []
    assert said["minted_wh"] == minted(campus) > 5_000
    assert campus.energy("D").discharged > 0


@pytest.mark.parametrize("silent", [1, 6])
def test_a_meter_that_changes_hands_after_a_silence_is_followed(campus: Any, verify: Any, silent: int) -> None:
    """D's load goes to A within netting_epochs or after more, and A holds a meter of its own back then."""
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    for _ in range(silent):
        campus.run_epoch(worker, but=("D.load",))
    drawn, load = campus.energy("A").withdrawn, campus.meters["D.load"].meter_id
    campus.do(
        "registry", "reassign_meter", {}, meter=programs.meter_address(load),
        from_user=programs.user_address(campus.wallets["D"]), to_user=programs.user_address(campus.wallets["A"]),
        meter_state=programs.meter_state_address(load),
    )  # fmt: skip
    for _ in range(3):
        campus.run_epoch(worker, but=("A.load",))
    campus.run_epoch(worker)
    # The load was read four times since; where nobody knows whose the first rise was, it is nobody's. A's own is netted
    assert campus.energy("A").withdrawn - drawn == 2_600 * (4 if silent == 1 else 3)
    assert verify()["problems"] == []


@pytest.mark.finding("chain-4")
@pytest.mark.parametrize("resolved", ["voided", "released", "held"])
def test_a_held_reading_that_was_carried_is_found_however_it_ends(campus: Any, verify: Any, resolved: str) -> None:
    """The operator's key carries it past the log; later readings pass, and the chain's last state is clean."""
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    boundary = campus.next_epoch()
    frame = campus.meters["A.solar"].read(boundary, 900_000)
    index = receive_held(campus, "A.solar", frame)
    campus.read_all(boundary, but=("A.solar",))
    worker.settle_down()
    carry(campus, "A.solar", frame)
    campus.go_to(boundary + 21)
    worker.settle_down()
    assert campus.checkpoint(boundary // 60 - 1) is not None
    if resolved != "held":
        with campus.app.store.write() as session:
            decide = held.void if resolved == "voided" else held.release
            decide(session, index, actor="operator", reason="checked", now=campus.wall.seconds())
    campus.run_epoch(worker)
    campus.run_epoch(worker)
    assert "reading_not_passed" in codes(verify())


def test_readings_that_never_reach_the_chain_are_found(campus: Any, verify: Any) -> None:
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.read_all(campus.next_epoch())
    campus.next_epoch()
    assert "readings_not_on_chain" not in codes(verify())
    campus.go_to(campus.wall.seconds() + 30)
    problems = verify()["problems"]
    assert {problem["code"] for problem in problems} == {"readings_not_on_chain"}
    assert len(problems) == len(campus.meters)
    worker.settle_down()
    assert verify()["ok"]


def test_a_stopped_home_is_audited_like_a_running_one(
    campus: Any, verify: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    campus.run_epoch(worker)
    running = verify()
    campus.validator.stop()
    try:
        capsys.readouterr()
        assert main(["audit", "verify", "--json", "--home", str(campus.home_path)]) == 0
        assert json.loads(capsys.readouterr().out) == running
        assert running["minted_wh"] == 7_000
        assert main(["audit", "conservation", "--home", str(campus.home_path)]) == 0
    finally:
        campus.validator.start()


def test_energy_that_was_retired_is_missed_where_its_account_says_less(traded: Any) -> None:
    assert {"account_differs"} == found_codes(audit(traded, altered_events("EnergyRetired", add(8 + 40, 1))))
    assert {"account_differs", "act_differs", "not_conserved"} == found_codes(
        audit(traded, altered_events("EnergyRetired", add(8 + 32, 10**9)))
    )


def test_readings_that_wait_for_a_silent_meter_are_no_problem(campus: Any, verify: Any) -> None:
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    for _ in range(3):
        campus.run_epoch(worker, but=("A.load",))
    assert verify()["problems"] == []


# Frauds, put into what a bundle holds


@dataclass
class Altered:
    """A bundle's log with leaves replaced and its tree made again: nothing but the chain still says what it was."""

    bundle: Bundle
    change: Callable[[Leaf], bytes]

    def size(self) -> int:
        return self.bundle.size()

    def root(self) -> bytes:
        frontier: list[bytes] = []
        for leaf in self.leaves():
            frontier, _ = merkle.extend(leaf.log_index, frontier, leaf.hash)
        return merkle.frontier_root(frontier)

    def leaves(self) -> Iterator[Leaf]:
        for leaf in self.bundle.leaves():
            data = self.change(leaf)
            yield Leaf(leaf.log_index, data, merkle.leaf_hash(data))

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        return iter(())


def audit(traded: Any, change: Callable[[ChainSource], ChainSource] = lambda chain: chain) -> Audit:
    bundle = Bundle(traded.bundle)
    chain = bundle.chain()
    assert chain is not None
    found = Audit(bundle.network_id, bundle.receipt_key)
    found.run(bundle, change(chain))
    return found


def found_codes(found: Audit) -> set[str]:
    return {finding.code for finding in found.findings}


def altered_events(name: str, alter: Callable[[bytearray], None]) -> Callable[[ChainSource], ChainSource]:
    """A history in which the first event of that name that moves energy has other bytes."""

    def change(chain: ChainSource) -> ChainSource:
        history = list(chain.history)
        for place, landed in enumerate(history):
            events = list(landed.events)
            for at, (program, data) in enumerate(events):
                event = chain.idls[program].decode_event(data)
                if (
                    event is not None
                    and event.name == name
                    and event.data.get("minted", 1)
                    and event.data.get("volume", 1)
                ):
                    raw = bytearray(data)
                    alter(raw)
                    events[at] = (program, bytes(raw))
                    history[place] = landed._replace(events=tuple(events))
                    return replace(chain, history=history)
        raise AssertionError(name)

    return change


def add(offset: int, amount: int) -> Callable[[bytearray], None]:
    def alter(raw: bytearray) -> None:
        struct.pack_into("<Q", raw, offset, struct.unpack_from("<Q", raw, offset)[0] + amount)

    return alter


# offsets in an event: the discriminator (8), then its fields
SETTLED_MINTED, ACCEPTED_REGISTERS = 8 + 32 + 8 + 8 + 5 * 8, 8 + 32 + 8


def test_a_span_that_mints_more_than_was_signed_is_found(traded: Any) -> None:
    found = audit(traded, altered_events("SurplusSettled", add(SETTLED_MINTED, 1)))
    assert "span_differs" in found_codes(found)
    assert any("says minted" in finding.message for finding in found.findings)


def test_a_reading_with_other_registers_than_were_signed_is_found(traded: Any) -> None:
    found = audit(traded, altered_events("ReadingAccepted", add(ACCEPTED_REGISTERS, 1)))
    assert "reading_not_passed" in found_codes(found)


def test_a_book_that_was_cleared_otherwise_than_the_log_says_is_found(traded: Any) -> None:
    assert found_codes(audit(traded, altered_events("EpochCleared", add(8 + 4, 1)))) == {"book_differs"}


def test_a_missing_checkpoint_is_a_gap(traded: Any) -> None:
    def change(chain: ChainSource) -> ChainSource:
        middle = [address for address, _ in sorted(chain.state.all(EpochCheckpoint), key=lambda item: item[1].epoch)][1]
        kept = {address: each for address, each in chain.state.accounts.items() if address != middle}
        return replace(chain, state=replace(chain.state, accounts=kept))

    assert "checkpoint_gap" in found_codes(audit(traded, change))


def test_a_history_that_begins_late_says_from_where(traded: Any) -> None:
    def change(chain: ChainSource) -> ChainSource:
        history: list[Landed] = list(chain.history)
        return replace(chain, history=history[len(history) * 3 // 4 :])

    found = audit(traded, change)
    assert "history_incomplete" in found_codes(found)
    assert found.minted_wh is not None
    assert found.minted_wh < traded.minted_wh
    none = audit(traded, lambda chain: replace(chain, history=[]))
    assert found_codes(none) == {"history_incomplete"}
    assert none.minted_wh == 0


HEAD_PRICE = EpochBook.size() - 64 - 4 - 16
FIRST_ORDER = EpochBook.size()


@pytest.mark.parametrize(
    ("offset", "word"),
    [
        (HEAD_PRICE, "price"),
        (HEAD_PRICE + 4, "lowest price"),
        (HEAD_PRICE + 12, "volume"),
        (FIRST_ORDER, "the chain pins"),
        (FIRST_ORDER + 8, "bid quantity"),
        (FIRST_ORDER + 12, "by the rule it gets"),
    ],
)
def test_a_book_that_breaks_the_rule_is_found_and_the_epoch_named(traded: Any, offset: int, word: str) -> None:
    """The database's owner changes a final book and makes the tree again: the rule and the chain's hash say so."""
    changed: list[int] = []

    def change(leaf: Leaf) -> bytes:
        if leaf.data[0] != LEAF_BOOK:
            return leaf.data
        raw = bytearray(book_of_leaf(leaf.data))
        book = Book.from_bytes(bytes(raw))
        if not book.head.volume or changed not in ([], [book.head.epoch]):
            return leaf.data
        changed[:] = [book.head.epoch]
        struct.pack_into("<I", raw, offset, struct.unpack_from("<I", raw, offset)[0] + 1)
        return book_leaf(bytes(raw))

    bundle = Bundle(traded.bundle)
    found = Audit(bundle.network_id, bundle.receipt_key)
    found.run(Altered(bundle, change), bundle.chain())
    (epoch,) = changed
    named = [finding for finding in found.findings if f"book of epoch {epoch}," in finding.where]
    assert {finding.code for finding in named} == {"book_differs"}
    assert any(word in finding.message for finding in named)
    assert any("not the one that the chain pins" in finding.message for finding in named)


def test_two_epochs_of_one_books_ring_follow_one_another(traded: Any) -> None:
    """A book that is left out of the log is a gap, and is missed by its checkpoint."""
    books = [leaf for leaf in Bundle(traded.bundle).leaves() if leaf.data[0] == LEAF_BOOK]
    assert len(books) >= 3
    act = b'\x02{"actor":"x","data":{},"kind":"y","time":1}'
    bundle = Bundle(traded.bundle)
    found = Audit(bundle.network_id, bundle.receipt_key)
    gone = books[1].log_index
    found.run(Altered(bundle, lambda leaf: act if leaf.log_index == gone else leaf.data), bundle.chain())
    assert {"book_gap", "book_not_logged"} <= found_codes(found)


def test_a_standing_order_does_not_change_what_is_recomputed(campus: Any, verify: Any) -> None:
    """Who feeds in what is not sold retires it: supply falls, and minted stays what was signed."""
    campus.standing_order("A", StandingOrder(sell_at=90_000, feed_in_above_wh=500))
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    for _ in range(3):
        campus.run_epoch(worker)
    said = verify()
    assert said["problems"] == []
    assert said["minted_wh"] == minted(campus)
