# %% [markdown]
# # Lab 1: read a meter by hand
#
# A smart meter does not hand out a number.
# It holds a conversation: a link is opened, then an association, then you ask for one attribute of one object.
# In this lab you write that conversation yourself, byte by byte, and read an energy register.
#
# **At the end you know** what an HDLC frame is made of, why a flipped bit cannot become a wrong reading, what SNRM, AARQ and GET are for, and how 12345670 becomes 1234.567 kWh.
#
# **You need** Python, this project's environment (`.venv`), and paper for some bits.
# The meter is the project's emulator on a pseudo-terminal, which behaves as a serial line does.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab1_read_a_meter.py`.

# %%
import lab

lab.begin(1)

# %%
import json
import tempfile
from pathlib import Path

import emulator_process
import serial

from edge_agent.dlms.hdlc.checksum import checksum
from edge_agent.dlms.hdlc.frame import HdlcFrame

# %% [markdown]
# ## 1. The check at the end of a frame
#
# A serial line loses and flips bits.
# So every frame ends with 16 bits that are computed from the bytes before: the FCS, the frame check sequence.
# DLMS uses the CRC that is known as X-25:
#
# 1. Start with `crc = 0xFFFF`.
# 2. For each byte: `crc = crc ^ byte`.
#    Then, eight times: if the lowest bit of `crc` is 1, shift `crc` right by one and XOR it with `0x8408`; if it is 0, only shift right by one.
# 3. At the end invert all 16 bits: `crc ^ 0xFFFF`.


# %% exercise="1"
def fcs(data: bytes) -> int:
    """The 16-bit check of these bytes."""
    lab.still_open(1, "write fcs(); the three steps above are all that it does.")


# %%
assert fcs(b"") == 0, "for no bytes at all the start value is inverted, which gives 0"
assert fcs(b"123456789") == 0x906E, "the standard's check value for b'123456789' is 0x906E"
assert fcs(bytes(range(256))) == checksum(bytes(range(256))), "the project's own function gives another value"
lab.right(1)

# %% [markdown]
# ## 2. A frame
#
# An HDLC frame of DLMS is:
#
# | bytes | what |
# |---|---|
# | `7e` | flag: here it begins |
# | 2 | format: the upper four bits are `a`; the lower eleven bits are the length of everything between the two flags |
# | 1 | destination: whom it is for |
# | 1 | source: who sends it |
# | 1 | control: what kind of frame it is |
# | 2 | HCS: the check over the bytes since the flag; **only** where an information field follows |
# | n | the information field, which may be missing |
# | 2 | FCS: the check over the bytes since the flag, the HCS and the information among them |
# | `7e` | flag: here it ends |
#
# The length counts the format's own two bytes, and the checks.
# Both checks are sent with their **low byte first**.
#
# An address has seven bits in a byte, shifted left by one; the lowest bit is 1 in its last byte.
# The meter is logical device 1, so its address is `03`.
# We are client 16, so ours is `21`.


# %% exercise="2"
def frame(control: int, information: bytes = b"") -> bytes:
    """The frame from us (client 16) to the meter (server 1)."""
    lab.still_open(2, "write frame(); use your fcs() for HCS and FCS.")


# %%
SNRM = 0x93
built = frame(SNRM)
lab.show("your SNRM: ", built)
assert built[:1] == built[-1:] == b"\x7e", "a frame begins and ends with the flag 7e"
assert len(built) == 9, "without an information field there is no HCS: 9 bytes in all"
assert built[1:3] == b"\xa0\x07", "the length counts all bytes between the flags, here 7"
assert built[3:5] == b"\x03\x21", "the destination comes first, then the source"
assert built.hex() == "7ea0070321930f017e", (
    "the FCS is over the bytes between the opening flag and the FCS, low byte first"
)
ours, theirs = frame(0x10, b"\xe6\xe6\x00 hello"), HdlcFrame(b"\x03", b"\x21", 0x10, b"\xe6\xe6\x00 hello").to_bytes()
assert ours == theirs, f"with an information field the project builds {theirs.hex(' ')}, yours is {ours.hex(' ')}"
lab.right(2)

# %% [markdown]
# ## 3. Open the link: SNRM and UA
#
# Now there is a meter.
# The lines below start one, with two registers, and connect you to its line.
# `exchange` writes one frame and waits for one frame; it is not more than that.

# %%
METER = """
[line]
link = "meter"
[[meter]]
logical_device_name = "LAB1000000000001"
serial = "1LAB0000000001"
server = 1
  [[meter.client]]
  address = 16
"""
METER += emulator_process.register("1-0:1.8.0.255", "0", initial=1_234_567, scaler=-1)
METER += emulator_process.register("1-0:2.8.0.255", "0", initial=765_000, scaler=2)

PATIENCE = 20  # seconds
folder = lab.CLOSING.enter_context(tempfile.TemporaryDirectory())
meter = emulator_process.start(Path(folder), METER)
lab.CLOSING.callback(meter.stop)
line = lab.CLOSING.enter_context(serial.Serial(meter.port, 9600, timeout=PATIENCE))


def exchange(sent: bytes) -> bytes:
    """Write a frame and read the answer; nothing where the meter stays silent."""
    lab.show("->", sent)
    line.write(sent)
    head = line.read(3)
    received = head + line.read(((head[1] & 7) << 8 | head[2]) - 1) if len(head) == 3 else head
    lab.show("<-", received)
    return received


ua = exchange(frame(SNRM))

# %% [markdown]
# The meter answered with UA, "unnumbered acknowledgement": control byte `73`.
# In its information field it says what it can take:
#
# - `81 80` and one byte: a group of parameters, and its length,
# - `05 01 xx`: the longest information field that it **sends**, `06 01 xx`: the longest that it **receives**,
# - `07 04 ...` and `08 04 ...`: how many frames may be on their way at once, in each direction.
#
# Find the two figures in the bytes above.

# %% exercise="3"
LONGEST_TO_THE_METER = None  # bytes in an information field
FRAMES_AT_ONCE = None

# %%
lab.answered(3, LONGEST_TO_THE_METER, FRAMES_AT_ONCE)
assert LONGEST_TO_THE_METER == ua[ua.index(b"\x06\x01") + 2], "look behind 06 01, and turn the hex into a decimal"
assert FRAMES_AT_ONCE == 1, "the four bytes behind 07 04 are one number"
lab.right(3)

# %% [markdown]
# ## 4. Numbered frames
#
# From here on all is sent in I frames ("information"), which are counted, so that none is lost or taken twice.
# The control byte of an I frame is:
#
# | bits 7 to 5 | bit 4 | bits 3 to 1 | bit 0 |
# |---|---|---|---|
# | N(R): the number of the frame that I expect next from you | 1: now you may speak | N(S): the number of this frame | 0 |
#
# Both counters start at 0 and go from 7 back to 0.


# %% exercise="4"
def i_control(send: int, receive: int) -> int:
    """The control byte of I frame number `send`, when `receive` is expected next; the meter may speak after it."""
    lab.still_open(4, "put N(R), the 1 and N(S) in their bits.")


# %%
assert i_control(0, 0) == 0x10, "the first frame: both counters 0, and bit 4 set"
assert i_control(1, 1) == 0x32, "N(S) begins at bit 1, N(R) at bit 5"
assert i_control(8, 9) == 0x30, "counters have three bits: after 7 comes 0"
lab.right(4)

# %% [markdown]
# ## 5. Open the association: AARQ and AARE
#
# The link carries bytes.
# The association settles who we are and what we may ask.
# The AARQ below asks as client 16 with no password; a campus meter asks for more (ciphering and a challenge), which the project's `edge_agent/dlms/security.py` does.
#
# In HDLC each request starts with the three bytes `e6 e6 00` (LLC, to the meter), each answer with `e6 e7 00`.

# %%
AARQ = bytes.fromhex("601da109060760857405080101be10040e01000000065f1f0400001018ffff")
sent = received = 0


def ask(apdu: bytes) -> bytes:
    """Send an APDU in the next I frame; the APDU of the answer."""
    global sent, received
    answer = exchange(frame(i_control(sent, received), b"\xe6\xe6\x00" + apdu))
    sent, received = sent + 1, received + 1
    assert answer[8:11] == b"\xe6\xe7\x00", f"expected an answer from the meter, got {answer.hex(' ')}"
    return answer[11:-3]


aare = ask(AARQ)

# %% [markdown]
# The AARE is a tree of tags and lengths (BER).
# `a2 03 02 01 xx` in it is the result: `00` accepted, `01` rejected for good, `02` rejected for now.
# `a3 05 a1 03 02 01 xx` is the reason.


# %% exercise="5"
def is_accepted(aare: bytes) -> bool:
    """Whether the meter accepted the association."""
    lab.still_open(5, "find the result behind its tags and compare it with 0.")


# %%
REJECTED = bytes.fromhex("6129a109060760857405080101a203020101a305a10302010dbe10040e0800065f1f040000101804000007")
assert is_accepted(aare), "the meter did accept: the byte behind a2 03 02 01 is 00"
assert not is_accepted(REJECTED), "this AARE has a2 03 02 01 01: rejected"
lab.right(5)

# %% [markdown]
# ## 6. Ask for a register: GET
#
# All that a meter shows are objects.
# An energy counter is an object of class 3, a *register*, with these attributes:
#
# | attribute | what |
# |---|---|
# | 1 | its logical name, the OBIS code |
# | 2 | its value, a whole number |
# | 3 | its scaler and unit |
#
# The OBIS code `1-0:1.8.0.255` is active energy drawn from the grid, `1-0:2.8.0.255` active energy fed into it.
# As bytes it is its six numbers: `01 00 01 08 00 ff`.
#
# A GET request is `c0 01 81`, the class in two bytes (high byte first), the OBIS code in six, the attribute in one, and `00` ("no selection").


# %% exercise="6"
def get_request(class_id: int, obis: str, attribute: int) -> bytes:
    """The GET request; obis is written like 1-0:1.8.0.255."""
    lab.still_open(6, "put the request together; re.split or str.replace help with the OBIS code.")


# %%
assert get_request(3, "1-0:1.8.0.255", 2).hex(" ") == "c0 01 81 00 03 01 00 01 08 00 ff 02 00", (
    "the register's value is c0 01 81, 00 03, 01 00 01 08 00 ff, 02, 00"
)
assert get_request(3, "1-0:2.8.0.255", 3)[-2:] == b"\x03\x00", "the attribute is the last byte but one"
lab.right(6)

# %%
value = ask(get_request(3, "1-0:1.8.0.255", 2))
scaler_unit = ask(get_request(3, "1-0:1.8.0.255", 3))

# %% [markdown]
# ## 7. What the number means
#
# The answer is `c4 01 81`, then `00` for "here is data", then a type and its value:
#
# - `15`: an unsigned number of eight bytes, high byte first,
# - `02 02`: a structure of two parts; in attribute 3 these are `0f` with a **signed** byte, the scaler, and `16` with a byte, the unit.
#
# The energy is value times 10 to the power of scaler, in the unit.
# Unit 30 (`1e`) is the watt-hour.


# %% exercise="7"
def energy_kwh(value: bytes, scaler_unit: bytes) -> float:
    """Kilowatt-hours, of the answers for attributes 2 and 3."""
    lab.still_open(7, "take the value and the scaler out of the answers; a watt-hour is a thousandth of a kWh.")


# %%
kwh = energy_kwh(value, scaler_unit)
print(f"drawn from the grid: {kwh} kWh")
assert scaler_unit[-1] == 0x1E, "this register does not count in watt-hours"
assert abs(kwh - 1234.567) < 1e-6, "12345670 with scaler ff: ff as a signed byte is -1, and the unit is Wh, not kWh"
fed_in = energy_kwh(ask(get_request(3, "1-0:2.8.0.255", 2)), ask(get_request(3, "1-0:2.8.0.255", 3)))
print(f"fed into the grid:   {fed_in} kWh")
assert abs(fed_in - 765) < 1e-6, "this register has scaler 2: its number counts hundreds of watt-hours"
lab.right(7)

# %% [markdown]
# ## 8. A flipped bit
#
# Below, one bit of a good request is flipped on its way, and so it asks for attribute 3 in the place of 2.
# What will the meter do: answer with an error, answer with attribute 3, or stay silent?
# Decide before you run it.

# %% exercise="8"
MY_EXPECTATION = None  # "error", "attribute 3" or "silence"

# %%
lab.answered(8, MY_EXPECTATION)
damaged = bytearray(frame(i_control(sent, received), b"\xe6\xe6\x00" + get_request(3, "1-0:1.8.0.255", 2)))
damaged[22] ^= 0x01  # the attribute 2, the value, becomes 3, scaler and unit
line.timeout = 1
answer = exchange(bytes(damaged))
line.timeout = PATIENCE
assert answer == b"", "the meter should not have answered"
assert MY_EXPECTATION == "silence", "run again and look: what does a meter know of a frame whose check is wrong?"
lab.right(8)

# %% [markdown]
# The frame's check does not fit, so for the meter there was no frame: not even the sender's address can be trusted.
# The client waits, and asks again.
# A wrong reading cannot come from a flipped bit; a missing one can, which is why the project reads the load profile later.
#
# ## 9. Compare
#
# Close the link (DISC is control `53`) and let the project read the same line.

# %%
exchange(frame(0x53))
line.close()
told = emulator_process.read_json("--port", meter.port, "--client", "16")
print(json.dumps(told["registers"], indent=2))
assert float(told["registers"]["1-0:1.8.0.255"]["value"]) == round(kwh * 1000), "edge-agent read another value"
assert float(told["registers"]["1-0:2.8.0.255"]["value"]) == round(fed_in * 1000), "edge-agent read another value"
lab.CLOSING.close()
print("Lab 1 is done: your bytes and the project's read the same meter.")

# %% [markdown]
# **Go on:** compare your `frame` with `edge_agent/dlms/hdlc/frame.py`, and your counters with the transition table in `edge_agent/dlms/hdlc/client_link.py`.
# What does that code do when a frame comes twice?
# What does it do when the meter's answer needs two frames?
