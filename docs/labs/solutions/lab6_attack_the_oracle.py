# Solutions of lab 6, and mistakes that its checks have to find. `python docs/labs/lab.py 6` puts the solutions in.


# %% exercise="1"
def honest_data(frame: Frame) -> bytes:
    """The data for one frame; frame.record_bytes, frame.public_key and frame.signature are its parts."""
    here = 0xFFFF
    row = struct.pack("<7H", 144, here, 112, here, 16, 96, here)
    return b"\x01\x00" + row + frame.record_bytes + frame.public_key + frame.signature


# %% mistake="1"
def honest_data(frame: Frame) -> bytes:
    """Offsets counted from the end of the row."""
    here = 0xFFFF
    row = struct.pack("<7H", 128, here, 96, here, 0, 96, here)
    return b"\x01\x00" + row + frame.record_bytes + frame.public_key + frame.signature


# %% mistake="1"
def honest_data(frame: Frame) -> bytes:
    """The index of this instruction in the place of 0xFFFF: verified, and refused by the oracle."""
    row = struct.pack("<7H", 144, 0, 112, 0, 16, 96, 0)
    return b"\x01\x00" + row + frame.record_bytes + frame.public_key + frame.signature


# %% exercise="2"
def attack_1() -> tuple[bytes, bytes]:
    """(data for the precompile, what the program is given)."""
    return b"\x00\x00", FORGED + KEY + bytes(64)


# %% mistake="2"
def attack_1() -> tuple[bytes, bytes]:
    """A false signature, which the precompile refuses."""
    return honest_data(Frame(FORGED, KEY, bytes(64))), FORGED + KEY + bytes(64)


# %% exercise="3"
def attack_2() -> bytes:
    """The data for the precompile."""
    here = 0xFFFF
    row = struct.pack("<7H", 208 + 128, here, 208 + 96, here, 208, 96, here)
    return b"\x01\x00" + row + FORGED + KEY + bytes(64) + honest.to_bytes()


# %% mistake="3"
def attack_2() -> bytes:
    """The forged frame behind the honest one."""
    return honest_data(honest) + FORGED + KEY + bytes(64)


# %% exercise="4"
def attack_3() -> list[bytes]:
    """The data of two Ed25519 instructions, the second of which stands just before the program's."""
    row = struct.pack("<7H", 144, 0, 112, 0, 16, 96, 0)
    return [honest_data(honest), b"\x01\x00" + row + FORGED + KEY + bytes(64)]


# %% mistake="4"
def attack_3() -> list[bytes]:
    """Only the signature is taken from the honest one."""
    here = 0xFFFF
    row = struct.pack("<7H", 144, 0, 112, here, 16, 96, here)
    return [honest_data(honest), b"\x01\x00" + row + FORGED + KEY + bytes(64)]


# %% exercise="5"
def attack_4() -> bytes:
    """The data for the precompile."""
    return honest_data(Frame(FORGED, bytes(thief.pubkey()), bytes(thief.sign_message(FORGED))))


# %% mistake="5"
def attack_4() -> bytes:
    """Signed by the thief under the meter's key."""
    return honest_data(Frame(FORGED, KEY, bytes(thief.sign_message(FORGED))))


# %% exercise="6"
def believed(before: Sequence[bytes], given: bytes) -> bytes | None:
    """The record that may be believed, or None."""
    if not before:
        return None
    data, here = before[-1], 0xFFFF
    if len(data) != 208 or data[0] != 1:
        return None
    if struct.unpack_from("<7H", data, 2) != (144, here, 112, here, 16, 96, here) or data[112:144] != KEY:
        return None
    return data[16:112]


# %% mistake="6"
def believed(before: Sequence[bytes], given: bytes) -> bytes | None:
    """The signature's index is looked at, those of key and message are not."""
    if not before:
        return None
    data, here = before[-1], 0xFFFF
    if len(data) != 208 or data[0] != 1:
        return None
    signature, index, key, _, message, size, _ = struct.unpack_from("<7H", data, 2)
    right = (signature, index, key, message, size) == (144, here, 112, 16, 96)
    return data[16:112] if right and data[112:144] == KEY else None


# %% mistake="6"
def believed(before: Sequence[bytes], given: bytes) -> bytes | None:
    """More bytes than needed are let through."""
    if not before:
        return None
    data, here = before[-1], 0xFFFF
    if len(data) < 208 or data[0] != 1:
        return None
    if struct.unpack_from("<7H", data, 2) != (144, here, 112, here, 16, 96, here) or data[112:144] != KEY:
        return None
    return data[16:112]
