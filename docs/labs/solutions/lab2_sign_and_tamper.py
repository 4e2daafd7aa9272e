# Solutions of lab 2, and mistakes that its checks have to find. `python docs/labs/lab.py 2` puts the solutions in.


# %% exercise="1"
def pack(
    sequence: int, end: int, generation: int, previous: bytes, *, consumption: int = 0, network: bytes = NETWORK
) -> bytes:
    """The record's 96 bytes; charge, discharge, register epoch, deviation, flags and evidence are zero."""
    registers = (generation, consumption, 0, 0)
    layout = "<4sI8sq4QHBBhH16s16s"
    return struct.pack(layout, b"AMR1", sequence, network, end, *registers, 900, 1, 0, 0, 0, previous, bytes(16))


# %% mistake="1"
def pack(
    sequence: int, end: int, generation: int, previous: bytes, *, consumption: int = 0, network: bytes = NETWORK
) -> bytes:
    """Without `<`: the machine's own layout, with gaps."""
    registers = (generation, consumption, 0, 0)
    layout = "4sI8sqQQQQHBBhH16s16sQ"
    return struct.pack(layout, b"AMR1", sequence, network, end, *registers, 900, 1, 0, 0, 0, previous, bytes(16), 0)


# %% mistake="1"
def pack(
    sequence: int, end: int, generation: int, previous: bytes, *, consumption: int = 0, network: bytes = NETWORK
) -> bytes:
    """Consumption forgotten."""
    layout = "<4sI8sq4QHBBhH16s16s"
    return struct.pack(
        layout, b"AMR1", sequence, network, end, generation, 0, 0, 0, 900, 1, 0, 0, 0, previous, bytes(16)
    )


# %% exercise="2"
def sign(record: bytes, key: Keypair) -> bytes:
    """The frame's 192 bytes."""
    return record + bytes(key.pubkey()) + bytes(key.sign_message(record))


# %% mistake="2"
def sign(record: bytes, key: Keypair) -> bytes:
    """The record is hashed before it is signed."""
    return record + bytes(key.pubkey()) + bytes(key.sign_message(hashlib.sha256(record).digest()))


# %% mistake="2"
def sign(record: bytes, key: Keypair) -> bytes:
    """The public key is signed along."""
    body = record + bytes(key.pubkey())
    return body + bytes(key.sign_message(body))


# %% exercise="3"
def name_of(record: bytes) -> bytes:
    """The 16 bytes by which the next record names this one."""
    return hashlib.sha256(record).digest()[:16]


# %% mistake="3"
def name_of(record: bytes) -> bytes:
    """The hash of the whole frame."""
    return hashlib.sha256(sign(record, solar.key)).digest()[:16]


# %% mistake="3"
def name_of(record: bytes) -> bytes:
    """The last bytes of the hash."""
    return hashlib.sha256(record).digest()[16:]


# %% exercise="4"
EXPECTED = {
    "a stranger flips a bit of the energy": "bad_signature",
    "a stranger signs with a key of his own": "unknown_meter",
    "a stranger signs, and puts the meter's public key in": "bad_signature",
    "a stranger sends the second reading again": "ok",  # and gets the same receipt: nothing is counted twice
    "the owner changes the second reading, and signs again": "forked",
    "the owner leaves out five readings": "sequence_gap",
    "the owner sends a reading that another campus's network has signed for": "wrong_network",
    "the owner turns the register back by 1 kWh": "register_decreased",
    "the owner adds 100 kWh in two quarters of an hour": "exceeds_nameplate",
    "the owner counts consumption on a solar panel": "register_not_permitted",
    "the owner sells tomorrow's sun today": "interval_in_future",
}

# %% mistake="4"
EXPECTED = dict.fromkeys(CASES, "bad_signature")


# %% exercise="5"
def may_delete(receipt: Receipt, frame: Frame, receipt_key: Pubkey) -> bool:
    """Whether the gateway may forget this frame: `Signature(bytes).verify(key, message)` says True or False."""
    if VERDICTS[receipt.verdict] not in ("accepted", "held") or receipt.network_id != NETWORK:
        return False
    try:
        message = receipt.signed_message(frame)
    except ReadingError:
        return False
    return Signature(receipt.signature).verify(receipt_key, message)


# %% mistake="5"
def may_delete(receipt: Receipt, frame: Frame, receipt_key: Pubkey) -> bool:
    """The verdict is believed, and nobody's signature checked."""
    return VERDICTS[receipt.verdict] in ("accepted", "held")


# %% mistake="5"
def may_delete(receipt: Receipt, frame: Frame, receipt_key: Pubkey) -> bool:
    """Signed is taken for logged."""
    try:
        message = receipt.signed_message(frame)
    except ReadingError:
        return False
    return Signature(receipt.signature).verify(receipt_key, message)


# %% mistake="5"
def may_delete(receipt: Receipt, frame: Frame, receipt_key: Pubkey) -> bool:
    """Held readings kept forever."""
    return VERDICTS[receipt.verdict] == "accepted"
