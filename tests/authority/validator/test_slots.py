"""The hashes of slots: each a function of the ledger's seed, in whatever order slots are asked for."""

from __future__ import annotations

from authority.validator.slots import SlotHashes


def test_the_hashes_before_a_slot_do_not_depend_on_what_was_asked_before():
    hashes = SlotHashes(b"s" * 32)
    # one after another, a few on, far on, the same again, back, and the first ones of a ledger
    for slot in (700, 701, 702, 709, 5_000, 5_000, 4_990, 4_991, 600, 3, 4, 1, 0, 513):
        found = hashes.before(slot, 512)
        assert [number for number, _ in found] == list(range(slot - 1, max(-1, slot - 513), -1))
        assert found == SlotHashes(b"s" * 32).before(slot, 512)
    assert len({bytes(hash_) for _, hash_ in hashes.before(513, 512)}) == 512
