"""How many telegrams a second gurux-dlms or dlms-cosem decodes. Runs in an environment of its own (test peers only).

python decode_rate.py gurux|dlms_cosem SECONDS < JSON {"plain": hex, "ciphered": hex, "key": hex, "auth_key": hex}
"""

import contextlib
import io
import json
import sys
import time


def rate(decode, seconds):
    """The best round, by the thread's own time: what else the machine does counts neither for nor against."""
    decode()
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.thread_time()
        for _ in range(20):
            decode()
        best = max(best, 20 / (time.thread_time() - start))
    return best


def gurux(given):
    from gurux_dlms import GXByteBuffer, GXReplyData
    from gurux_dlms.enums import InterfaceType, Security
    from gurux_dlms.secure import GXDLMSSecureClient

    def decoder(data, keys):
        def decode():
            client = GXDLMSSecureClient(True, -1, -1, interfaceType=InterfaceType.HDLC)
            if keys:
                client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
                client.ciphering.blockCipherKey = bytes.fromhex(given["key"])
                client.ciphering.authenticationKey = bytes.fromhex(given["auth_key"])
            reply, notify = GXReplyData(), GXReplyData()
            client.getData(GXByteBuffer(data), reply, notify)
            assert notify.value, "nothing decoded"

        return decode

    return decoder(bytes.fromhex(given["plain"]), False), decoder(bytes.fromhex(given["ciphered"]), True)


def dlms_cosem(given):
    from dlms_cosem.hdlc.frames import UnnumberedInformationFrame
    from dlms_cosem.protocol.xdlms import DataNotification, GeneralGlobalCipher
    from dlms_cosem.security import SecurityControlField, decrypt
    from dlms_cosem.utils import parse_as_dlms_data

    def plain():
        frame = UnnumberedInformationFrame.from_bytes(bytes.fromhex(given["plain"]))
        assert parse_as_dlms_data(DataNotification.from_bytes(frame.payload[3:]).body)

    def ciphered():
        frame = UnnumberedInformationFrame.from_bytes(bytes.fromhex(given["ciphered"]))
        unit = GeneralGlobalCipher.from_bytes(frame.payload[3:])
        apdu = decrypt(
            security_control=SecurityControlField(security_suite=0, authenticated=True, encrypted=True),
            system_title=unit.system_title,
            invocation_counter=unit.invocation_counter,
            key=bytes.fromhex(given["key"]),
            cipher_text=bytes(unit.ciphered_text),
            auth_key=bytes.fromhex(given["auth_key"]),
        )
        assert parse_as_dlms_data(DataNotification.from_bytes(bytes(apdu)).body)

    return plain, ciphered


given = json.load(sys.stdin)
with contextlib.redirect_stdout(io.StringIO()):
    decoders = {"gurux": gurux, "dlms_cosem": dlms_cosem}[sys.argv[1]](given)
    found = {}
    for name, decode in zip(("plain", "ciphered"), decoders, strict=True):
        try:
            found[name] = round(rate(decode, float(sys.argv[2])), 1)
        except Exception as error:
            found[name] = None
            found[name + "_error"] = f"{type(error).__name__}: {error}"
json.dump(found, sys.stdout)
