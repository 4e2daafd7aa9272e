# ruff: noqa: N802, N803, SIM115
"""A meter made of gurux-dlms on a pty. Runs in an environment of its own (GPL, a peer only).

    python gurux_server.py none|lls [PASSWORD]

Prints the pty's path, then serves until it is killed: a logical device name, a clock, three registers and a load
profile of forty rows, with a small APDU so that everything long goes in blocks.
"""

import datetime
import os
import sys
import tty

from gurux_dlms import GXDateTime, GXDLMSServer, GXServerReply
from gurux_dlms.ConnectionState import ConnectionState
from gurux_dlms.enums import (
    AccessMode,
    Authentication,
    DataType,
    InterfaceType,
    MethodAccessMode,
    ObjectType,
    SourceDiagnostic,
    Unit,
)
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.objects import (
    GXDLMSAssociationLogicalName,
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.ValueEventArgs import ValueEventArgs

ZONE = datetime.timezone(datetime.timedelta(hours=2))
START = datetime.datetime(2026, 6, 1, 0, 0, 0, tzinfo=ZONE)

ValueEventArgs.isSkipMaxPduSize = False


class Reply(GXServerReply):
    """What the server calls on a reply, and the package's own class lacks."""

    def setReply(self, value):
        self.reply = value

    def getConnectionInfo(self):
        return self.connectionInfo

    def setCount(self, value):
        self.count = value


class Meter(GXDLMSServer):
    def __init__(self, password):
        super().__init__(True, InterfaceType.HDLC)
        self.password = password
        self.settings.maxServerPDUSize = 256
        self.association = GXDLMSAssociationLogicalName()
        self.items.append(self.association)
        name = GXDLMSData("0.0.42.0.0.255")
        name.value = b"GRX0000000000042"
        name.setDataType(2, DataType.OCTET_STRING)
        self.items.append(name)
        self.clock = GXDLMSClock("0.0.1.0.0.255")
        self.clock.timeZone = -120
        self.clock.time = GXDateTime(datetime.datetime(2026, 6, 1, 10, 5, 7, tzinfo=ZONE))
        self.items.append(self.clock)
        self.registers = []
        for code, value, scaler, unit in (
            ("1.0.1.8.0.255", 1234567, 0.1, Unit.ACTIVE_ENERGY),
            ("1.0.2.8.0.255", 7654321, 1, Unit.ACTIVE_ENERGY),
            ("1.0.1.7.0.255", 4211, 0.001, Unit.ACTIVE_POWER),
        ):
            register = GXDLMSRegister(code)
            register.value = value
            register.scaler = scaler
            register.unit = unit
            register.setDataType(2, DataType.UINT32)
            self.items.append(register)
            self.registers.append(register)
        self.profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        self.profile.capturePeriod = 900
        self.profile.profileEntries = 40
        self.profile.sortObject = self.clock
        self.profile.captureObjects.append((self.clock, GXDLMSCaptureObject(2, 0)))
        for register in self.registers[:2]:
            self.profile.captureObjects.append((register, GXDLMSCaptureObject(2, 0)))
        for row in range(40):
            when = GXDateTime(START + datetime.timedelta(minutes=15 * (row + 1)))
            self.profile.buffer.append([when, 1000000 + 10 * row, 2000 + row])
        self.items.append(self.profile)
        self.association.objectList = self.items
        self.initialize()

    def handleSnrmRequest(self, data):
        """The package's own names fields that its setup object does not have."""
        hdlc = self.settings.hdlc
        GXDLMS.parseSnrmUaResponse(data, hdlc)
        self.reset(True)
        out = bytearray(b"\x81\x80\x00")
        for identifier, value in ((5, hdlc.maxInfoTX), (6, hdlc.maxInfoRX)):
            out += bytes((identifier, 2)) + int(value).to_bytes(2, "big")
        for identifier, value in ((7, hdlc.windowSizeTX), (8, hdlc.windowSizeRX)):
            out += bytes((identifier, 4)) + int(value).to_bytes(4, "big")
        out[2] = len(out) - 3
        self.replyData.set(bytes(out))
        self.settings.connected = ConnectionState.HDLC

    def isTarget(self, serverAddress, clientAddress):
        self.association.clientSAP = clientAddress
        return serverAddress == 1

    def onValidateAuthentication(self, authentication, password):
        if self.password is None:
            return (
                SourceDiagnostic.NONE
                if authentication == Authentication.NONE
                else SourceDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED
            )
        if authentication != Authentication.LOW:
            return SourceDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED
        good = bytes(password or b"") == self.password
        return SourceDiagnostic.NONE if good else SourceDiagnostic.AUTHENTICATION_FAILURE

    def onFindObject(self, objectType, sn, ln):
        if objectType == ObjectType.ASSOCIATION_LOGICAL_NAME:
            return self.association
        return None

    def onPreRead(self, args):
        pass

    def onGetAttributeAccess(self, arg):
        return AccessMode.READ

    def onGetMethodAccess(self, arg):
        return MethodAccessMode.ACCESS

    def onPostRead(self, args=None):
        pass

    def notifyRead(self, args=None):
        pass

    def setTransaction(self, value):
        self.transaction = value

    def getTransaction(self):
        return self.transaction

    def onPreWrite(self, args):
        pass

    def onPostWrite(self, args):
        pass

    def onPreAction(self, args):
        pass

    def onPostAction(self, args):
        pass

    def onPreGet(self, args):
        pass

    def onPostGet(self, args):
        pass

    def onConnected(self, connectionInfo):
        pass

    def onInvalidConnection(self, connectionInfo):
        pass

    def onDisconnected(self, connectionInfo):
        pass


def main():
    password = sys.argv[2].encode() if sys.argv[1] == "lls" else None
    meter = Meter(password)
    master, slave = os.openpty()
    tty.setraw(slave)
    ready = os.ttyname(slave)
    sys.stderr.write(f"ready {ready}\n")
    sys.stderr.flush()
    while True:
        data = os.read(master, 2048)
        for byte in data:
            reply = Reply(bytes((byte,)))
            meter.handleRequest(reply)
            if reply.reply:
                os.write(master, bytes(reply.reply))


sys.stdout = open(os.devnull, "w")  # gurux prints to it
main()
