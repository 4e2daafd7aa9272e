"""Reads a meter with dlms-cosem and prints what it found as JSON. Runs in an environment of its own (BSL, a peer only).

python dlms_cosem_client.py PORT CLIENT none|lls|gmac [PASSWORD | KEY AUTH_KEY SYSTEM_TITLE COUNTER]
"""

import datetime
import json
import sys

from dlms_cosem import cosem, enumerations
from dlms_cosem.client import DlmsClient
from dlms_cosem.cosem import selective_access
from dlms_cosem.io import HdlcTransport, SerialIO
from dlms_cosem.parsers import ProfileGenericBufferParser
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    LowLevelSecurityAuthentication,
    NoSecurityAuthentication,
)
from dlms_cosem.utils import parse_as_dlms_data


def obis(text):
    return cosem.Obis.from_string(text)


def attribute(interface, code, number):
    return cosem.CosemAttribute(interface=interface, instance=obis(code), attribute=number)


class ByEntry:
    """Entries 2 to 4, all columns: the package knows the class of this selection, but cannot encode it."""

    def to_bytes(self):
        return bytes.fromhex("02020406000000020600000004120001120000")


def main():
    name, address, auth = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    options = {}
    if auth == "lls":
        authentication = LowLevelSecurityAuthentication(secret=sys.argv[4].encode())
    elif auth == "gmac":
        authentication = HighLevelSecurityGmacAuthentication(challenge_length=32)
        options = {
            "encryption_key": bytes.fromhex(sys.argv[4]),
            "authentication_key": bytes.fromhex(sys.argv[5]),
            "client_system_title": bytes.fromhex(sys.argv[6]),
            "client_initial_invocation_counter": int(sys.argv[7]),
        }
    else:
        authentication = NoSecurityAuthentication()
    transport = HdlcTransport(
        io=SerialIO(port_name=name, baud_rate=9600, timeout=60),
        client_logical_address=address,
        server_logical_address=1,
    )
    client = DlmsClient(transport=transport, authentication=authentication, **options)
    found = {"registers": {}}
    with client.session() as session:
        kinds = enumerations.CosemInterface
        found["meter"] = parse_as_dlms_data(session.get(attribute(kinds.DATA, "0-0:42.0.0.255", 2))).decode()
        clock = parse_as_dlms_data(session.get(attribute(kinds.CLOCK, "0-0:1.0.0.255", 2)))
        time, _ = __import__("dlms_cosem.time", fromlist=["x"]).datetime_from_bytes(bytes(clock))
        found["clock"] = int(time.timestamp())
        listed = parse_as_dlms_data(session.get(attribute(kinds.ASSOCIATION_LN, "0-0:40.0.0.255", 2)))
        found["objects"] = [[item[0], ".".join(str(byte) for byte in item[2])] for item in listed]
        for code in [item[1] for item in found["objects"] if item[0] == 3]:
            dotted = code.split(".")
            text = f"{dotted[0]}-{dotted[1]}:{'.'.join(dotted[2:])}"
            value = parse_as_dlms_data(session.get(attribute(kinds.REGISTER, text, 2)))
            scaler, unit = parse_as_dlms_data(session.get(attribute(kinds.REGISTER, text, 3)))
            found["registers"][code] = [value, scaler, unit]
        buffer = attribute(kinds.PROFILE_GENERIC, "1-0:99.1.0.255", 2)
        found["period"] = parse_as_dlms_data(session.get(attribute(kinds.PROFILE_GENERIC, "1-0:99.1.0.255", 4)))
        captured = parse_as_dlms_data(session.get(attribute(kinds.PROFILE_GENERIC, "1-0:99.1.0.255", 3)))
        parser = ProfileGenericBufferParser(
            capture_objects=[
                cosem.CosemAttribute(kinds(item[0]), cosem.Obis.from_bytes(bytes(item[1])), item[2])
                for item in captured
            ],
            capture_period=found["period"] // 60,
        )

        def rows(data):
            return [
                [int(row[0].value.timestamp()), *[column.value for column in row[1:]]]
                for row in parser.parse_bytes(data)
            ]

        found["rows"] = rows(session.get(buffer))
        found["by_entry"] = rows(session.get(buffer, ByEntry()))
        zone = datetime.UTC
        start, end = (datetime.datetime.fromtimestamp(found["rows"][at][0], zone) for at in (1, 4))
        ranged = selective_access.RangeDescriptor(
            restricting_object=selective_access.CaptureObject(attribute(kinds.CLOCK, "0-0:1.0.0.255", 2)),
            from_value=start,
            to_value=end,
        )
        found["by_range"] = rows(session.get(buffer, ranged))
    json.dump(found, sys.stdout)


main()
