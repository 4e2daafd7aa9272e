"""Security suite 0: the Green Book's own example, HLS-5 between both sides, and what a wrong key or counter does."""

from core_checks import drive, fails, sole

from edge_agent.dlms import aes_gcm
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.client import ASSOCIATED, Client
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.obis import LOGICAL_DEVICE_NAME
from edge_agent.dlms.security import AUTHENTICATED, ENCRYPTED, CipheredUnit, Security, seal
from edge_agent.dlms.server import ServerSession

TITLE = bytes.fromhex("4d4d4d0000bc614e")
KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
AUTHENTICATION_KEY = bytes.fromhex("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
COUNTER = 0x01234567
GET = bytes.fromhex("c0010000080000010000ff0200")

BOTH = "c81e3001234567411312ff935a47566827c467bc7d825c3be4a77c3fcc056b6b"
ENCRYPTED_ONLY = "c8122001234567411312ff935a47566827c467bc"
AUTHENTICATED_ONLY = "c81e1001234567c0010000080000010000ff020006725d910f9221d263877516"


def test_the_green_books_example():
    for control, text in (
        (AUTHENTICATED | ENCRYPTED, BOTH),
        (ENCRYPTED, ENCRYPTED_ONLY),
        (AUTHENTICATED, AUTHENTICATED_ONLY),
    ):
        unit = seal(0xC8, TITLE, control, COUNTER, GET, KEY, AUTHENTICATION_KEY)
        assert unit.to_bytes().hex() == text
        found = CipheredUnit.from_bytes(bytes.fromhex(text))
        assert (found.control, found.counter) == (control, COUNTER)
        assert found.open(TITLE, KEY, AUTHENTICATION_KEY) == GET
        assert found.open(TITLE, KEY, None) == GET


def test_both_ways_to_compute_agree():
    iv = TITLE + COUNTER.to_bytes(4, "big")
    for size in (0, 1, 15, 16, 17, 200):
        data = bytes([at & 0xFF for at in range(size)])
        here = aes_gcm.encrypt_here(KEY, iv, data, b"\x30" + AUTHENTICATION_KEY)
        assert here == aes_gcm.encrypt(KEY, iv, data, b"\x30" + AUTHENTICATION_KEY)
        assert aes_gcm.decrypt_here(KEY, iv, here[0], b"\x30" + AUTHENTICATION_KEY, here[1]) == data
        assert aes_gcm.decrypt_here(KEY, iv, here[0], b"", None) == data
        assert aes_gcm.decrypt(KEY, iv, here[0], b"", None) == data
        fails("wrong_key", aes_gcm.decrypt_here, KEY, iv, here[0], b"", here[1])
        fails("wrong_key", aes_gcm.decrypt, KEY, iv, here[0], b"", here[1])


def test_a_wrong_key_is_named():
    unit = CipheredUnit.from_bytes(bytes.fromhex(BOTH))
    fails("wrong_key", unit.open, TITLE, bytes(16), AUTHENTICATION_KEY)
    fails("wrong_key", unit.open, TITLE, KEY, bytes(16))
    fails("wrong_key", unit.open, bytes(8), KEY, AUTHENTICATION_KEY)
    fails("wrong_system_title", unit.open, b"short", KEY, AUTHENTICATION_KEY)
    only = CipheredUnit.from_bytes(bytes.fromhex(AUTHENTICATED_ONLY))
    fails("wrong_key", only.open, TITLE, KEY, bytes(16))


def test_suites_and_compression_that_are_not_there():
    for control in (0x33, 0xB0):
        unit = CipheredUnit(0xC8, b"", control, 1, bytes(20))
        fails("unsupported_security", unit.open, TITLE, KEY, AUTHENTICATION_KEY)


def test_the_other_suites_cipher_alike():
    for control, key in ((0x21, KEY), (0x31, KEY), (0x32, KEY + KEY), (0x22, KEY + KEY)):
        unit = CipheredUnit.from_bytes(seal(0xDB, TITLE, control, 5, GET, key, AUTHENTICATION_KEY).to_bytes())
        assert unit.open(TITLE, key, AUTHENTICATION_KEY) == GET
    fails("wrong_key", unit.open, TITLE, KEY, AUTHENTICATION_KEY)


def test_ciphered_units_that_are_malformed():
    data = bytes.fromhex(BOTH)
    for size in range(len(data)):
        fails("cut_short", CipheredUnit.from_bytes, data[:size])
    fails("trailing_bytes", CipheredUnit.from_bytes, data + b"\x00")
    fails("not_ciphered", CipheredUnit.from_bytes, b"\xc0\x01")
    fails("cut_short", CipheredUnit(0xC8, b"", 0x30, 1, b"short").open, TITLE, KEY, AUTHENTICATION_KEY)


def test_general_ciphering_carries_the_system_title():
    unit = seal(0xDB, TITLE, 0x30, COUNTER, GET, KEY, AUTHENTICATION_KEY)
    data = unit.to_bytes()
    assert data[:10] == b"\xdb\x08" + TITLE
    assert CipheredUnit.from_bytes(data).system_title == TITLE
    assert CipheredUnit.from_bytes(data).open(TITLE, KEY, AUTHENTICATION_KEY) == GET


def test_a_counter_that_has_run_out_is_never_wrapped():
    fails("counter_exhausted", seal, 0xC8, TITLE, 0x30, 1 << 32, GET, KEY, AUTHENTICATION_KEY)


def _counter(start):
    state = [start]

    def following():
        state[0] += 1
        return state[0]

    return following


def _security(title, start, challenge, **options):
    given = {"key": KEY, "authentication_key": AUTHENTICATION_KEY}
    given.update(options)
    return Security(system_title=title, next_counter=_counter(start), challenge=challenge, **given)


def _pair(client_options=None, server_options=None):
    client = Client(security=_security(b"CLIENT01", 100, b"c" * 16, **(client_options or {})))
    name = DataObject("0-0:42.0.0.255", value=(9, b"ABC0000000000001"))
    server = ServerSession([name], security=_security(b"METER001", 500, b"s" * 16, **(server_options or {})))
    return client, server


ATTRIBUTE = CosemAttribute(1, LOGICAL_DEVICE_NAME, 2)


def test_hls_with_service_specific_general_and_dedicated_ciphering():
    for options, tag in (({}, 0xC8), ({"general": True}, 0xDB), ({"dedicated_key": bytes(range(16))}, 0xD0)):
        client, server = _pair(options)
        drive(client.associate(), server.handle)
        assert client.state == ASSOCIATED
        tags = []

        def answer(apdu, server=server, tags=tags):
            tags.append(apdu[0])
            back = sole(server.handle(apdu))
            tags.append(back[0])
            return back

        assert drive(client.get(ATTRIBUTE), answer) == (9, b"ABC0000000000001")
        assert tags[0] == tag
        assert tags[1] in (tag, tag + 4)
        drive(client.release(), server.handle)


def test_hls_without_ciphering():
    client, server = _pair({"ciphered": False}, {"ciphered": False})
    drive(client.associate(), server.handle)
    assert drive(client.get(ATTRIBUTE), server.handle) == (9, b"ABC0000000000001")


def test_wrong_keys_at_the_association():
    for options in ({"key": bytes(16)}, {"authentication_key": bytes(16)}):
        client, server = _pair(options)
        fails("wrong_key", drive, client.associate(), server.handle)
        options["ciphered"] = False
        client, server = _pair(options, {"ciphered": False})
        fails("wrong_key", drive, client.associate(), server.handle)
        assert server.state == "closed"


def test_nothing_is_read_before_the_client_has_proved_its_keys():
    client, server = _pair({"ciphered": False}, {"ciphered": False})
    conversation = client.associate()
    server.handle(next(conversation))
    assert sole(server.handle(b"\xc0\x01\xc1" + ATTRIBUTE.to_bytes() + b"\x00")).hex() == "d80101"


def test_a_meter_that_cannot_prove_its_keys():
    client, server = _pair()

    def answer(apdu):
        server.security.server_challenge = b"s" * 16
        back = sole(server.handle(apdu))
        return back

    # A meter that reflects our challenge proves nothing.
    server.security.server_challenge = b"c" * 16
    fails("reflected_challenge", drive, client.associate(), server.handle)


def test_counters_are_never_taken_twice():
    client, server = _pair()
    drive(client.associate(), server.handle)
    sent = []

    def answer(apdu):
        sent.append(apdu)
        return server.handle(apdu)

    drive(client.get(ATTRIBUTE), answer)
    refused = sole(server.handle(sent[0]))
    assert refused[:3].hex() == "d80206"
    assert int.from_bytes(refused[3:], "big") == server.security.peer_counter + 1
    # and an answer that was recorded before does not pass either
    old = sole(server.handle(client.security.protect(b"\xc0\x01\xc1" + ATTRIBUTE.to_bytes() + b"\x00")))
    client.security.unprotect(old)
    fails("replayed_counter", client.security.unprotect, old)


def test_a_client_with_an_old_counter_is_told_which_one_to_use():
    client, server = _pair()
    server.security.peer_counter = 1000
    error = fails("exception_invocation_counter_error", drive, client.associate(), server.handle)
    assert error.least_counter == 1001


def test_an_answer_in_the_clear_is_refused_in_a_ciphered_association():
    client, server = _pair()
    drive(client.associate(), server.handle)
    plain = b"\xc4\x01\x41\x00\x11\x05"
    fails("not_ciphered", drive, client.get(ATTRIBUTE), lambda apdu: plain)
    weaker = seal(0xCC, b"METER001", AUTHENTICATED, 10**6, plain, KEY, AUTHENTICATION_KEY).to_bytes()
    fails("not_ciphered", client.security.unprotect, weaker)
    other = seal(0xDB, b"METER002", 0x30, 10**6, plain, KEY, AUTHENTICATION_KEY).to_bytes()
    fails("wrong_system_title", client.security.unprotect, other)


def test_keys_and_titles_of_wrong_length():
    fails("wrong_key", lambda: _security(b"CLIENT01", 0, b"", key=b"short"))
    fails("wrong_system_title", lambda: _security(b"short", 0, b""))
