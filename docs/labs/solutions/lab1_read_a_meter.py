# Solutions of lab 1, and mistakes that its checks have to find. `python docs/labs/lab.py 1` puts the solutions in.


# %% exercise="1"
def fcs(data: bytes) -> int:
    """The 16-bit check of these bytes."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


# %% mistake="1"
def fcs(data: bytes) -> int:
    """Not inverted at the end."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc


# %% mistake="1"
def fcs(data: bytes) -> int:
    """The polynomial as it stands in books, bits in the other order."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x1021 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


# %% exercise="2"
def frame(control: int, information: bytes = b"") -> bytes:
    """The frame from us (client 16) to the meter (server 1)."""
    length = 7 + (2 + len(information) if information else 0)
    body = (0xA000 | length).to_bytes(2, "big") + b"\x03\x21" + bytes([control])
    if information:
        body += fcs(body).to_bytes(2, "little") + information
    return b"\x7e" + body + fcs(body).to_bytes(2, "little") + b"\x7e"


# %% mistake="2"
def frame(control: int, information: bytes = b"") -> bytes:
    """The flags are counted and checked, too."""
    body = b"\x7e\xa0\x09\x03\x21" + bytes([control])
    return body + fcs(body).to_bytes(2, "little") + b"\x7e"


# %% mistake="2"
def frame(control: int, information: bytes = b"") -> bytes:
    """The checks with their high byte first."""
    length = 7 + (2 + len(information) if information else 0)
    body = (0xA000 | length).to_bytes(2, "big") + b"\x03\x21" + bytes([control])
    if information:
        body += fcs(body).to_bytes(2, "big") + information
    return b"\x7e" + body + fcs(body).to_bytes(2, "big") + b"\x7e"


# %% mistake="2"
def frame(control: int, information: bytes = b"") -> bytes:
    """No HCS before the information field."""
    body = (0xA000 | 7 + len(information)).to_bytes(2, "big") + b"\x03\x21" + bytes([control]) + information
    return b"\x7e" + body + fcs(body).to_bytes(2, "little") + b"\x7e"


# %% exercise="3"
LONGEST_TO_THE_METER = 128
FRAMES_AT_ONCE = 1

# %% mistake="3"
LONGEST_TO_THE_METER = 80  # 0x80 read as a decimal
FRAMES_AT_ONCE = 1


# %% exercise="4"
def i_control(send: int, receive: int) -> int:
    """The control byte of I frame number `send`, when `receive` is expected next; the meter may speak after it."""
    return (receive & 7) << 5 | 0x10 | (send & 7) << 1


# %% mistake="4"
def i_control(send: int, receive: int) -> int:
    """Counters that never start again."""
    return receive << 5 | 0x10 | send << 1


# %% exercise="5"
def is_accepted(aare: bytes) -> bool:
    """Whether the meter accepted the association."""
    tags = bytes.fromhex("a2030201")
    return aare[aare.index(tags) + len(tags)] == 0


# %% mistake="5"
def is_accepted(aare: bytes) -> bool:
    """Any AARE taken for a yes."""
    return aare[0] == 0x61


# %% exercise="6"
def get_request(class_id: int, obis: str, attribute: int) -> bytes:
    """The GET request; obis is written like 1-0:1.8.0.255."""
    name = bytes(int(number) for number in obis.replace("-", ".").replace(":", ".").split("."))
    return b"\xc0\x01\x81" + class_id.to_bytes(2, "big") + name + bytes([attribute, 0])


# %% mistake="6"
def get_request(class_id: int, obis: str, attribute: int) -> bytes:
    """The class with its low byte first."""
    name = bytes(int(number) for number in obis.replace("-", ".").replace(":", ".").split("."))
    return b"\xc0\x01\x81" + class_id.to_bytes(2, "little") + name + bytes([attribute, 0])


# %% exercise="7"
def energy_kwh(value: bytes, scaler_unit: bytes) -> float:
    """Kilowatt-hours, of the answers for attributes 2 and 3."""
    number = int.from_bytes(value[5:13], "big")
    scaler = int.from_bytes(scaler_unit[7:8], "big", signed=True)
    return number * 10**scaler / 1000


# %% mistake="7"
def energy_kwh(value: bytes, scaler_unit: bytes) -> float:
    """The scaler without its sign: 255 in the place of -1."""
    return int.from_bytes(value[5:13], "big") * 10 ** scaler_unit[7] / 1000


# %% mistake="7"
def energy_kwh(value: bytes, scaler_unit: bytes) -> float:
    """The scaler forgotten, right by chance for one register."""
    return int.from_bytes(value[5:13], "big") / 10_000


# %% exercise="8"
MY_EXPECTATION = "silence"

# %% mistake="8"
MY_EXPECTATION = "error"
