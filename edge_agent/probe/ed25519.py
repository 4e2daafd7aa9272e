"""Ed25519 (RFC 8032, 5.1): `cryptography` where it is, else computed here, for a probe that signs under MicroPython.

What is computed here does NOT run in constant time, and on MicroPython it cannot: its integers take as long as their
values are, and the interpreter branches on them. Whoever can time a signature, or watch the power drawn for it, may
learn the key. Use it where the signer cannot be asked at will from afar (a probe on a meter's optical port signs once
an interval, by itself); anywhere else use a library or a secure element.

Keys are the 32 bytes of the seed; public keys 32 bytes, signatures 64.
"""

from __future__ import annotations

from edge_agent.probe.sha512 import sha512

try:
    from cryptography.exceptions import InvalidSignature as _InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as _PrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as _PublicKey
except ImportError:  # MicroPython
    _PrivateKey = None  # type: ignore[assignment, misc]

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Extended homogeneous coordinates: x = X/Z, y = Y/Z, x y = T/Z.
    Point = tuple[int, int, int, int]
    # An affine point as it is added: y + x, y - x, 2 d x y.
    Addend = tuple[int, int, int]

SEED_SIZE = 32
PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_NEUTRAL = (0, 1, 1, 0)


def _add(p: Point, q: Point) -> Point:
    """The sum of two points, the same or not (5.1.4)."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _double(p: Point) -> Point:
    """Twice a point (5.1.4)."""
    a = p[0] * p[0] % _P
    b = p[1] * p[1] % _P
    h = a + b
    e = h - (p[0] + p[1]) ** 2 % _P
    g = a - b
    f = 2 * p[2] * p[2] + g
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _multiply(scalar: int, point: Point) -> Point:
    """`scalar` times a point, four bits at a time."""
    multiples: list[Point] = [_NEUTRAL, point]
    for _ in range(14):
        multiples.append(_add(multiples[-1], point))
    result: Point = _NEUTRAL
    for shift in range(252, -4, -4):
        result = _double(_double(_double(_double(result))))
        digit = scalar >> shift & 15
        if digit:
            result = _add(result, multiples[digit])
    return result


def _recover_x(y: int, sign: int) -> int | None:
    """The x of this sign that goes with y (5.1.3); None where there is none."""
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    if square == 0:
        return None if sign else 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_MINUS_1 % _P
    if (x * x - square) % _P:
        return None
    return _P - x if x & 1 != sign else x


def _base() -> Point:
    y = 4 * pow(5, _P - 2, _P) % _P
    x = _recover_x(y, 0) or 0
    return (x, y, 1, x * y % _P)


_BASE = _base()

_TEETH = 5
_COLUMNS = 51
"""A scalar's 255 bits, read as 51 columns of 5 bits that lie 51 apart: one doubling and at most one addition each."""

_comb: list[Addend] = []


def _base_comb() -> list[Addend]:
    """The multiples of the base point by 2^(51 a) + 2^(51 b) + ..., for each set of teeth; 31 points, made once."""
    if _comb:
        return _comb
    tooth, points = _BASE, [_NEUTRAL]
    for _ in range(_TEETH):
        points += [_add(point, tooth) for point in points]
        for _ in range(_COLUMNS):
            tooth = _double(tooth)
    # One inversion for all of them.
    products = [1]
    for point in points:
        products.append(products[-1] * point[2] % _P)
    inverse = pow(products[-1], _P - 2, _P)
    addends: list[Addend] = []
    for at in range(len(points) - 1, -1, -1):
        own, inverse = inverse * products[at] % _P, inverse * points[at][2] % _P
        x, y = points[at][0] * own % _P, points[at][1] * own % _P
        addends.append(((y + x) % _P, (y - x) % _P, 2 * _D * x * y % _P))
    _comb.extend(reversed(addends))
    return _comb


def _multiply_base(scalar: int) -> Point:
    """`scalar` (below 2^255) times the base point."""
    comb, bits = _base_comb(), scalar.to_bytes(32, "little")
    x, y, z, t = _NEUTRAL
    for column in range(_COLUMNS - 1, -1, -1):
        x, y, z, t = _double((x, y, z, t))
        teeth = 0
        for tooth in range(_TEETH):
            bit = column + tooth * _COLUMNS
            teeth |= (bits[bit >> 3] >> (bit & 7) & 1) << tooth
        if teeth:
            plus, minus, twice = comb[teeth]
            a, b, c, d = (y - x) * minus % _P, (y + x) * plus % _P, t * twice % _P, 2 * z
            e, f, g, h = b - a, d - c, d + c, b + a
            x, y, z, t = e * f % _P, g * h % _P, f * g % _P, e * h % _P
    return (x, y, z, t)


def _encode(point: Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> Point | None:
    number = int.from_bytes(data, "little")
    y = number & ~(1 << 255)
    x = _recover_x(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % _P)


def _expand(seed: bytes) -> tuple[int, bytes]:
    """The secret scalar and the prefix (5.1.5)."""
    if len(seed) != SEED_SIZE:
        raise ValueError(f"an Ed25519 key's seed has {SEED_SIZE} bytes, this one {len(seed)}")
    digest = sha512(seed)
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:]


def _challenge(*parts: bytes) -> int:
    return int.from_bytes(sha512(b"".join(parts)), "little") % _ORDER


class KeyHere:
    """A key that signs as computed here, not in constant time; ValueError for a seed that has not 32 bytes.

    The public key is computed from the seed and never taken as an argument: a signature under a wrong one gives the
    private key away.
    """

    def __init__(self, seed: bytes) -> None:
        self._scalar, self._prefix = _expand(seed)
        self.public_key = _encode(_multiply_base(self._scalar))
        """32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        nonce = _challenge(self._prefix, message)
        commitment = _encode(_multiply_base(nonce))
        response = (nonce + _challenge(commitment, self.public_key, message) * self._scalar) % _ORDER
        return commitment + response.to_bytes(32, "little")


def public_key_here(seed: bytes) -> bytes:
    """The public key of a seed, computed here; ValueError for a seed that has not 32 bytes."""
    return KeyHere(seed).public_key


def sign_here(seed: bytes, message: bytes) -> bytes:
    """The signature, computed here, not in constant time; ValueError for a seed that has not 32 bytes."""
    return KeyHere(seed).sign(message)


def verify_here(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature holds, computed here; False for keys and signatures that are malformed.

    A key of small order is none: one signature under it holds for many messages, and Solana refuses it too.
    """
    if len(public_key) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    point = _decode(public_key)
    response = int.from_bytes(signature[32:], "little")
    if point is None or response >= _ORDER or _encode(_multiply(8, point)) == _encode(_NEUTRAL):
        return False
    challenge = _challenge(signature[:32], public_key, message)
    minus = (_P - point[0], point[1], 1, _P - point[3])
    return _encode(_add(_multiply_base(response), _multiply(challenge, minus))) == signature[:32]


def public_key_by_library(seed: bytes) -> bytes:
    """The public key of a seed, by `cryptography`; ValueError for a seed that has not 32 bytes."""
    return _PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign_by_library(seed: bytes, message: bytes) -> bytes:
    """The signature, by `cryptography`; ValueError for a seed that has not 32 bytes."""
    return _PrivateKey.from_private_bytes(seed).sign(message)


def verify_by_library(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature holds, by `cryptography`; False for keys and signatures that are malformed."""
    try:
        _PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (_InvalidSignature, ValueError):
        return False
    return True


public_key = public_key_here if _PrivateKey is None else public_key_by_library
sign = sign_here if _PrivateKey is None else sign_by_library
verify = verify_here if _PrivateKey is None else verify_by_library
