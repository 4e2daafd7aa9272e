"""Symmetric security of suites 0 to 2 (Green Book 9.2): ciphered APDUs, and the GMAC of HLS authentication mechanism 5.

A ciphered APDU holds a security control byte, an invocation counter, the ciphertext and a 12-byte tag. The counter of
a key is never used twice: it comes from outside, and whoever gives it has made it durable first.
"""

from __future__ import annotations

from edge_agent.dlms import aes_gcm
from edge_agent.dlms.apdu.acse import MECHANISM_HLS_GMAC
from edge_agent.dlms.axdr import Reader, write_length
from edge_agent.dlms.errors import DecodeError, SecurityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SUITE_MASK = 0x0F
AUTHENTICATED = 0x10
ENCRYPTED = 0x20
BROADCAST = 0x40
COMPRESSED = 0x80

GENERAL_GLO = 0xDB
GENERAL_DED = 0xDC
GENERAL_CIPHERING = 0xDD
GENERAL_SIGNING = 0xDF
GLO_INITIATE_REQUEST = 0x21
GLO_INITIATE_RESPONSE = 0x28

_GLO = {
    0x01: 0x21,
    0x08: 0x28,
    0x0E: 0x2E,
    0xC0: 0xC8,
    0xC1: 0xC9,
    0xC2: 0xCA,
    0xC3: 0xCB,
    0xC4: 0xCC,
    0xC5: 0xCD,
    0xC7: 0xCF,
}
_DED = {0xC0: 0xD0, 0xC1: 0xD1, 0xC2: 0xD2, 0xC3: 0xD3, 0xC4: 0xD4, 0xC5: 0xD5, 0xC7: 0xD7}
GLO_TAGS = tuple(_GLO.values())
DED_TAGS = tuple(_DED.values())


_KEY_AGREED = 2
_KEY_KINDS = 3


def read_header(reader: Reader) -> list[bytes]:
    """What general-ciphering and general-signing start with: transaction-id, the system titles of originator and
    recipient, date-time, and other information, each of any length. DecodeError."""
    return [reader.octets() for _ in range(5)]


def _read_key_info(reader: Reader) -> int:
    """Which kind of key general-ciphering says it is under: 0 for one that both sides have, named or not, 1 for one
    that comes wrapped with the APDU, 2 for one that both sides work out."""
    at = reader.position
    if not reader.u8():
        return 0
    kind = reader.u8()
    if kind >= _KEY_KINDS:
        raise DecodeError("unknown_tag", f"{kind} is not a kind of key that general-ciphering knows", at + 1)
    if kind == _KEY_AGREED:
        reader.octets()
    else:
        reader.u8()
    if kind != 0:
        reader.octets()
    return kind


class CipheredUnit:
    """A ciphered APDU before its key is known: tag, the sender's system title where it is stated, security control,
    invocation counter, and the bytes that they protect (with the tag of the authentication at the end).

    `header` is what general-ciphering puts before that, as it stands on the wire: five octet-strings, which its tag
    authenticates as well, and after `header_size` bytes what it says of the key, of the kind `key_kind`.
    """

    __slots__ = ("control", "counter", "header", "header_size", "key_kind", "protected", "system_title", "tag")

    def __init__(
        self, tag: int, system_title: bytes, control: int, counter: int, protected: bytes, header: bytes = b""
    ) -> None:
        self.tag = tag
        self.system_title = system_title
        self.control = control
        self.counter = counter
        self.protected = protected
        self.header = header
        self.header_size = 0
        self.key_kind = 0
        if header:
            reader = Reader(header)
            read_header(reader)
            self.header_size = reader.position
            self.key_kind = _read_key_info(reader)

    @classmethod
    def from_bytes(cls, data: bytes) -> CipheredUnit:
        """Read a ciphered APDU with its tag; DecodeError `not_ciphered`, `cut_short`."""
        unit, position = cls.read(data)
        if position != len(data):
            raise DecodeError("trailing_bytes", f"{len(data) - position} bytes follow the ciphered unit", position)
        return unit

    @classmethod
    def read(cls, data: bytes) -> tuple[CipheredUnit, int]:
        """As `from_bytes`, with the position after it."""
        reader = Reader(data)
        tag = reader.u8()
        title = b""
        header = b""
        if tag in (GENERAL_GLO, GENERAL_DED):
            title = reader.octets()
        elif tag == GENERAL_CIPHERING:
            title = read_header(reader)[1]
            _read_key_info(reader)
            header = data[1 : reader.position]
        elif tag not in GLO_TAGS and tag not in DED_TAGS:
            raise DecodeError("not_ciphered", f"0x{tag:02x} is not the tag of a ciphered APDU", 0)
        length = reader.length()
        if length < 5:
            raise DecodeError("cut_short", "a ciphered APDU has at least a control byte and a counter", reader.position)
        end = reader.position + length
        control = reader.u8()
        counter = reader.u32()
        return cls(tag, title, control, counter, reader.take(end - reader.position), header), end

    def to_bytes(self) -> bytes:
        """The ciphered APDU."""
        out = bytes((self.tag,)) + self.header
        if self.tag in (GENERAL_GLO, GENERAL_DED):
            out += write_length(len(self.system_title)) + self.system_title
        body = bytes((self.control,)) + self.counter.to_bytes(4, "big") + self.protected
        return out + write_length(len(body)) + body

    def clear(self) -> bytes | None:
        """The APDU inside where it is not encrypted, its tag not checked; None where it is. DecodeError `cut_short`."""
        if self.control & (ENCRYPTED | COMPRESSED):
            return None
        if not self.control & AUTHENTICATED:
            return self.protected
        if len(self.protected) < aes_gcm.TAG_SIZE:
            raise DecodeError("cut_short", "an authenticated APDU ends with a tag of 12 bytes", 0)
        return self.protected[: -aes_gcm.TAG_SIZE]

    def open(self, system_title: bytes, key: bytes, authentication_key: bytes | None) -> bytes:
        """The APDU inside; SecurityError `wrong_key`, `unsupported_security`.

        Without an authentication key an encrypted and authenticated APDU is deciphered, and its tag not checked. Of
        general-ciphering `key` is the key of the content itself.
        """
        control = self.control
        # Suites 0 to 2 cipher alike, with keys of 16, 16 and 32 bytes.
        if control & SUITE_MASK > 2 or control & COMPRESSED:
            message = f"security control 0x{control:02x} asks for a suite or a compression that is not supported"
            raise SecurityError("unsupported_security", message)
        if len(key) != (32 if control & SUITE_MASK == 2 else 16):
            raise SecurityError("wrong_key", f"security suite {control & SUITE_MASK} has keys of another length")
        iv = system_title + self.counter.to_bytes(4, "big")
        if len(iv) != 12:
            raise SecurityError("wrong_system_title", f"a system title has 8 bytes, this one {len(system_title)}")
        protected = self.protected
        if not control & AUTHENTICATED:
            return aes_gcm.decrypt(key, iv, protected, b"", None) if control & ENCRYPTED else protected
        if len(protected) < aes_gcm.TAG_SIZE:
            raise DecodeError("cut_short", "an authenticated APDU ends with a tag of 12 bytes", 0)
        body, tag = protected[: -aes_gcm.TAG_SIZE], protected[-aes_gcm.TAG_SIZE :]
        if control & ENCRYPTED:
            if authentication_key is None:
                return aes_gcm.decrypt(key, iv, body, b"", None)
            head, ciphertext, checked = bytes((control,)) + authentication_key, body, b""
        elif authentication_key is not None:
            head, ciphertext, checked = bytes((control,)) + authentication_key, b"", body
        else:
            return body
        try:
            opened = aes_gcm.decrypt(key, iv, ciphertext, head + self.header[: self.header_size] + checked, tag)
        except SecurityError:
            if not self.header:
                raise
            # Gurux's library leaves the header out where the suite is 0: the titles are in the nonce in any case.
            opened = aes_gcm.decrypt(key, iv, ciphertext, head + checked, tag)
        return opened if control & ENCRYPTED else body


def seal(
    tag: int, system_title: bytes, control: int, counter: int, apdu: bytes, key: bytes, authentication_key: bytes
) -> CipheredUnit:
    """An APDU under `control` (AUTHENTICATED, ENCRYPTED or both); SecurityError `counter_exhausted`."""
    if counter > 0xFFFFFFFF:
        raise SecurityError("counter_exhausted", "the key's invocation counter has run out: a new key is needed")
    iv = system_title + counter.to_bytes(4, "big")
    head = bytes((control,)) + authentication_key
    if control & ENCRYPTED:
        ciphertext, mac = aes_gcm.encrypt(key, iv, apdu, head if control & AUTHENTICATED else b"")
        protected = ciphertext + (mac if control & AUTHENTICATED else b"")
    else:
        protected = apdu + aes_gcm.encrypt(key, iv, b"", head + apdu)[1]
    return CipheredUnit(tag, system_title, control, counter, protected)


class Security:
    """One side's keys and counters in one association.

    next_counter gives this side's next invocation counter, already durable. peer_counter is the last that the peer has
    used under this key (-1: none known); each further one must be higher. challenge is what this side demands to be
    proved by HLS-5, None where the association only ciphers. general: use general-glo-ciphering instead of the
    service-specific tags. policy: a server's, giving the least protection (AUTHENTICATED, ENCRYPTED, both or 0) of
    requests and of responses; a response has that of its request besides. Without it all must have `control`.
    """

    mechanism = MECHANISM_HLS_GMAC

    def __init__(
        self,
        *,
        system_title: bytes,
        key: bytes,
        authentication_key: bytes,
        next_counter: Callable[[], int],
        challenge: bytes | None,
        ciphered: bool = True,
        control: int = AUTHENTICATED | ENCRYPTED,
        dedicated_key: bytes | None = None,
        peer_counter: int = -1,
        peer_title: bytes | None = None,
        general: bool = False,
        mechanism: int = MECHANISM_HLS_GMAC,
        policy: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        if len(system_title) != 8:
            raise SecurityError("wrong_system_title", f"a system title has 8 bytes, this one {len(system_title)}")
        if len(key) != 16 or len(authentication_key) != 16:
            raise SecurityError("wrong_key", "the keys of security suite 0 have 16 bytes")
        self.system_title = system_title
        self.key = key
        self.authentication_key = authentication_key
        self.next_counter = next_counter
        self.ciphered = ciphered
        self.control = control
        self.dedicated_key = dedicated_key
        self.peer_counter = peer_counter
        self.peer_title = peer_title
        self.general = general
        self.mechanism = mechanism
        self.challenges = challenge is not None
        self.client_challenge = challenge
        self.server_challenge = challenge
        self._policy = policy
        self._requested = control  # the protection of the request that is being answered
        self._peer_challenge = b""
        self._dedicated_counter = -1
        self._proof_counter = -1

    @property
    def demanding(self) -> bool:
        """Server: whether the policy wants any protection."""
        return self._policy is not None and self._policy() != (0, 0)

    def begin(self, peer_title: bytes | None, peer_challenge: bytes | None) -> None:
        """Server: what the AARQ says of the client."""
        if peer_title is None or len(peer_title) != 8:
            raise SecurityError("wrong_system_title", "the client sent no system title of 8 bytes")
        self.peer_title = peer_title
        self._peer_challenge = peer_challenge or b""
        self._dedicated_counter = -1

    def expect_proof(self) -> None:
        """Server: what has been counted so far; the client's proof of its keys must be counted higher."""
        self._proof_counter = self.peer_counter

    def learn_server_title(self, title: bytes) -> None:
        """Client: the system title of the AARE."""
        if len(title) != 8:
            raise SecurityError("wrong_system_title", f"the meter's system title has {len(title)} bytes, not 8")
        self.peer_title = title

    def learn_dedicated_key(self, key: bytes | None) -> None:
        """Server: the key that the InitiateRequest brought for this association."""
        self.dedicated_key = key

    @staticmethod
    def is_ciphered(data: bytes) -> bool:
        """Whether an APDU is a ciphered one."""
        return bool(data) and (data[0] in GLO_TAGS or data[0] in DED_TAGS or data[0] in (GENERAL_GLO, GENERAL_DED))

    def protect(self, apdu: bytes) -> bytes:
        """The APDU as it goes on the line; itself where this association does not cipher."""
        control = self.control if self._policy is None else self._requested | self._policy()[1]
        if not self.ciphered or not control:
            return apdu
        kind = apdu[0]
        key, tag = self.key, _GLO.get(kind, GENERAL_GLO)
        if self.dedicated_key is not None and kind in _DED:
            key, tag = self.dedicated_key, _DED[kind]
        if self.general and kind not in (0x01, 0x08):
            tag = GENERAL_GLO if key is self.key else GENERAL_DED
        counter = self.next_counter()
        unit = seal(tag, self.system_title, control, counter, apdu, key, self.authentication_key)
        return unit.to_bytes()

    def unprotect(self, data: bytes) -> bytes:
        """The APDU inside; SecurityError `not_ciphered`, `replayed_counter`, `wrong_key`."""
        least = self.control if self._policy is None else self._policy()[0]
        if self.demanding and not self.ciphered:
            raise SecurityError("not_ciphered", "the security policy requires a ciphered association")
        if not self.is_ciphered(data):
            if self._policy is not None and not least:
                self._requested = 0
                return data
            # An exception or an error is allowed to come in the clear; nothing that carries data is.
            if not self.ciphered or data[:1] in (b"\xd8", b"\x0e"):
                return data
            raise SecurityError("not_ciphered", "the peer answers without ciphering in a ciphered association")
        unit = CipheredUnit.from_bytes(data)
        dedicated = unit.tag in DED_TAGS or unit.tag == GENERAL_DED
        key = self.dedicated_key if dedicated else self.key
        if key is None:
            raise SecurityError("wrong_key", "the peer ciphers with a dedicated key that was never agreed")
        title = unit.system_title or self.peer_title or b""
        if self.peer_title is not None and title != self.peer_title:
            message = f"the system title {title.hex()} is not the peer's, {self.peer_title.hex()}"
            raise SecurityError("wrong_system_title", message)
        if (unit.control & least) != least:
            message = f"security control 0x{unit.control:02x} protects less than 0x{least:02x}, which was agreed"
            raise SecurityError("not_ciphered", message)
        last = self._dedicated_counter if dedicated else self.peer_counter
        apdu = unit.open(title, key, self.authentication_key)
        if unit.counter <= last:
            message = f"invocation counter {unit.counter} was used already; it must be above {last}"
            raise SecurityError("replayed_counter", message)
        if dedicated:
            self._dedicated_counter = unit.counter
        else:
            self.peer_counter = unit.counter
        self._requested = unit.control & (AUTHENTICATED | ENCRYPTED)
        return apdu

    def follow(self, tag: int) -> None:
        """Server: answer in the kind of ciphering, general or service-specific, in which the client asked."""
        self.general = tag in (GENERAL_GLO, GENERAL_DED)

    # HLS-5: each side proves its keys over the other's challenge.

    def _proof(self, title: bytes, counter: int, challenge: bytes) -> bytes:
        iv = title + counter.to_bytes(4, "big")
        head = bytes((AUTHENTICATED,)) + self.authentication_key + challenge
        return aes_gcm.encrypt(self.key, iv, b"", head)[1]

    def _token(self, challenge: bytes) -> bytes:
        counter = self.next_counter()
        proof = self._proof(self.system_title, counter, challenge)
        return bytes((AUTHENTICATED,)) + counter.to_bytes(4, "big") + proof

    def _check_token(self, token: bytes, challenge: bytes | None) -> None:
        counter = int.from_bytes(token[1:5], "big")
        if len(token) != 17 or token[0] != AUTHENTICATED or challenge is None or self.peer_title is None:
            raise SecurityError("wrong_key", "the peer's proof of its keys is malformed")
        expected = self._proof(self.peer_title, counter, challenge)
        difference = 0
        for one, other in zip(expected, token[5:]):  # noqa: B905 - MicroPython
            difference |= one ^ other
        if difference:
            raise SecurityError("wrong_key", "the peer's proof of its keys is wrong: check the keys")

    def reply_to_challenge(self, server_challenge: bytes) -> bytes:
        """Client: the token over the meter's challenge."""
        if server_challenge == self.client_challenge:
            raise SecurityError("reflected_challenge", "the meter sent our own challenge back")
        return self._token(server_challenge)

    def check_server_reply(self, token: bytes) -> None:
        """Client: the meter's token over our challenge; SecurityError `wrong_key`."""
        self._check_token(token, self.client_challenge)

    def check_client_reply(self, token: bytes) -> bytes:
        """Server: check the client's token, give ours; SecurityError `wrong_key`, `replayed_counter`."""
        self._check_token(token, self.server_challenge)
        counter = int.from_bytes(token[1:5], "big")
        if counter <= self._proof_counter:
            message = f"invocation counter {counter} was used already; it must be above {self._proof_counter}"
            raise SecurityError("replayed_counter", message)
        self.peer_counter = max(self.peer_counter, counter)
        return self._token(self._peer_challenge)
