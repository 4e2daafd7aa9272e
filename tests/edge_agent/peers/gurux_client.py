"""Reads a meter with gurux-dlms and prints what it found as JSON. Runs in an environment of its own (GPL, a peer only).

python gurux_client.py PORT CLIENT none|lls|gmac [PASSWORD | KEY AUTH_KEY SYSTEM_TITLE COUNTER] [blocks=N]

blocks=N: propose general-block-transfer, N blocks in a row.
"""

import contextlib
import io
import json
import sys
import time

import serial

with contextlib.redirect_stdout(io.StringIO()):
    from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
    from gurux_dlms.enums import Authentication, Conformance, InterfaceType, ObjectType, Security
    from gurux_dlms.secure import GXDLMSSecureClient


def exchange(port, client, data, reply):
    """One request, one reply, with what segments and blocks it takes."""
    if isinstance(data, (list, tuple)):
        for part in data:
            exchange(port, client, part, reply)
            reply_done = reply
        return reply_done
    port.write(bytes(data))
    buffer = GXByteBuffer()
    deadline = time.monotonic() + 100
    while True:
        arrived = port.read(max(1, port.in_waiting))
        buffer.set(arrived)
        if buffer.size and client.getData(buffer, reply, None):
            break
        if time.monotonic() > deadline:
            raise TimeoutError("the emulator does not answer")
    if reply.error:
        raise RuntimeError(f"error {reply.error}")
    while reply.isMoreData():
        more = client.receiverReady(reply)
        reply_part = more
        port.write(bytes(reply_part))
        buffer = GXByteBuffer()
        while True:
            buffer.set(port.read(max(1, port.in_waiting)))
            if buffer.size and client.getData(buffer, reply, None):
                break
            if time.monotonic() > deadline:
                raise TimeoutError("the emulator does not answer")
    return reply


def main():
    blocks = sys.argv.pop().partition("=")[2] if sys.argv[-1].startswith("blocks=") else ""
    name, address, auth = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    client = GXDLMSSecureClient(True, address, 1, Authentication.NONE, None, InterfaceType.HDLC)
    if blocks:
        client.proposedConformance |= Conformance.GENERAL_BLOCK_TRANSFER
        client.gbtWindowSize = int(blocks)
        # Version 1.0.203 acknowledges blocks by an attribute that its settings call by another name.
        type(client.settings).blockNumber = property(lambda settings: settings.blockIndex)
    if auth == "lls":
        client.authentication = Authentication.LOW
        client.password = sys.argv[4].encode()
    elif auth == "gmac":
        client.authentication = Authentication.HIGH_GMAC
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.blockCipherKey = bytes.fromhex(sys.argv[4])
        client.ciphering.authenticationKey = bytes.fromhex(sys.argv[5])
        client.ciphering.systemTitle = bytes.fromhex(sys.argv[6])
        client.ciphering.invocationCounter = int(sys.argv[7])
    port = serial.Serial(name, 9600, timeout=0.05)
    reply = exchange(port, client, client.snrmRequest(), GXReplyData())
    client.parseUAResponse(reply.data)
    reply = exchange(port, client, client.aarqRequest(), GXReplyData())
    client.parseAareResponse(reply.data)
    if client.authentication > Authentication.LOW:
        reply = GXReplyData()
        for part in client.getApplicationAssociationRequest():
            exchange(port, client, part, reply)
        client.parseApplicationAssociationResponse(reply.data)

    def read(item, index):
        found = exchange(port, client, client.read(item, index), GXReplyData())
        return client.updateValue(item, index, found.value)

    reply = exchange(port, client, client.getObjectsRequest(), GXReplyData())
    objects = client.parseObjects(reply.data, True, False)
    found = {"objects": [[int(item.objectType), item.logicalName] for item in objects], "registers": {}}
    device = objects.findByLN(ObjectType.DATA, "0.0.42.0.0.255")
    name = read(device, 2)
    found["meter"] = name if isinstance(name, str) else bytes(name).decode()
    clock = objects.findByLN(ObjectType.CLOCK, "0.0.1.0.0.255")
    found["clock"] = int(read(clock, 2).value.timestamp())
    for item in objects.getObjects(ObjectType.REGISTER):
        read(item, 3)
        found["registers"][item.logicalName] = [str(read(item, 2)), item.scaler, int(item.unit)]
    profile = objects.findByLN(ObjectType.PROFILE_GENERIC, "1.0.99.1.0.255")
    read(profile, 3)
    found["period"] = read(profile, 4)
    rows = read(profile, 2)

    def plain(rows):
        return [[int(row[0].value.timestamp()), *[int(value) for value in row[1:]]] for row in rows]

    found["rows"] = plain(rows)
    reply = exchange(port, client, client.readRowsByEntry(profile, 2, 3), GXReplyData())
    found["by_entry"] = plain(client.updateValue(profile, 2, reply.value))
    start, end = (GXDateTime(row[0].value) for row in (rows[1], rows[4]))
    reply = exchange(port, client, client.readRowsByRange(profile, start, end), GXReplyData())
    found["by_range"] = plain(client.updateValue(profile, 2, reply.value))
    if auth == "gmac":
        found["counter"] = client.ciphering.invocationCounter
    with contextlib.suppress(Exception):
        exchange(port, client, client.releaseRequest(), GXReplyData())
    exchange(port, client, client.disconnectRequest(), GXReplyData())
    return found


with contextlib.redirect_stdout(io.StringIO()):
    result = main()
json.dump(result, sys.stdout)
