# ruff: noqa: PT017 - MicroPython has no pytest
"""Ed25519 and SHA-512 as computed here: the vectors of the standards; these tests run under MicroPython too."""

from edge_agent.probe import ed25519
from edge_agent.probe.sha512 import sha512, sha512_here

# RFC 8032, 7.1: seed, public key, message, signature.
VECTORS = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
)
ORDER = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_sha512_vectors():
    # FIPS 180-4's examples: one block, two blocks; and the lengths around the padding.
    abc = (
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    )
    assert sha512_here(b"abc").hex() == abc
    text = b"abcdefghijklmnopqrstu"
    two = b"".join([text[at : at + 8] for at in range(14)])
    assert sha512_here(two).hex() == (
        "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
        "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
    )
    for size in (0, 111, 112, 127, 128):
        assert sha512_here(bytes(size)) == sha512(bytes(size)), size


def test_rfc_8032_vectors():
    for vector in VECTORS:
        seed, public_key, message, signature = [bytes.fromhex(text) for text in vector]
        assert ed25519.public_key_here(seed) == ed25519.public_key(seed) == public_key
        assert ed25519.sign_here(seed, message) == ed25519.sign(seed, message) == signature
        assert ed25519.verify_here(public_key, message, signature)
        assert ed25519.verify(public_key, message, signature)


def test_a_key_that_is_kept_signs_as_one_made_anew():
    for vector in VECTORS:
        seed, public_key, message, signature = [bytes.fromhex(text) for text in vector]
        key = ed25519.KeyHere(seed)
        assert key.public_key == public_key
        assert [key.sign(message), key.sign(message)] == [signature, signature]


def test_what_is_no_signature():
    _seed, public_key, message, signature = [bytes.fromhex(text) for text in VECTORS[2]]
    larger = signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
    wrong = [
        (public_key, message + b"x", signature),
        (public_key, message, flipped(signature, 0)),
        (public_key, message, flipped(signature, 260)),
        (public_key, message, larger),
        (public_key, message, signature[:63]),
        (public_key, message, signature + b"\x00"),
        (flipped(public_key, 255), message, signature),
        (public_key[:31], message, signature),
        (b"\x02" + bytes(31), message, signature),  # no point has this y
        (bytes((0xEE,)) + b"\xff" * 30 + b"\x7f", message, signature),  # y is p + 1
    ]
    for case in wrong:
        assert not ed25519.verify_here(*case), case
        assert not ed25519.verify(*case), case


def test_a_key_of_small_order_is_none():
    # OpenSSL takes it: R = S = 0 under a point of order 4 holds for one message in four.
    for message in (b"\x00", b"\x00\x00", b"\x00\x00\x00", b"a", b"b", b"c"):
        assert not ed25519.verify_here(bytes(32), message, bytes(64))


def test_a_seed_has_32_bytes():
    for function in (ed25519.public_key_here, ed25519.public_key):
        try:
            function(bytes(31))
        except ValueError as error:
            assert str(error)
        else:
            raise AssertionError("a seed of 31 bytes was taken")


def test_a_record_signed_here():
    from edge_agent.wire.reading import Frame, Record

    record = Record(
        sequence=1,
        network_id=b"network1",
        interval_end=1_767_225_600,
        generation=1,
        consumption=2,
        charge=3,
        discharge=4,
        interval_seconds=900,
        source=1,
    ).to_bytes()
    seed = bytes(range(32))
    frame = Frame(record, ed25519.public_key(seed), ed25519.sign(seed, record))
    again = Frame.from_bytes(frame.to_bytes())
    assert ed25519.verify(again.public_key, again.record_bytes, again.signature)
    assert ed25519.verify_here(again.public_key, again.record_bytes, again.signature)
    assert not ed25519.verify_here(again.public_key, flipped(again.record_bytes, 200), again.signature)
