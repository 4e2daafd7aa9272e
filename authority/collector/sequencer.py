"""The sequencer: where several verifiers check what gateways send, the one that orders, logs and receipts it.

It trusts a verifier that has proved the channel's key (authority.collector.channel) for two things alone: that a
signature verifies, and who sent what. Everything that needs the store is decided here, in the same transaction as in a
collector of one process. A verifier hears of a batch only when that is durable; what a killed verifier never hears its
gateways send again, and get the same receipts.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from pathlib import Path

from authority.collector import channel
from authority.collector.batches import pack_answer, read_batch
from authority.collector.channel import Channel, ChannelError, VerifierDoubledError
from authority.collector.frames import Batch
from authority.collector.ingest import Collector
from authority.faults import Faults
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
WAKE_SECONDS = 0.5
"""How long the committing thread waits for frames before it looks whether it should end."""


class _Told:
    """One message of a verifier, until all its calls are settled; then the answer goes into the verifier's outbox."""

    def __init__(self, number: int, batches: list[Batch], outbox: queue.SimpleQueue[_Told | None]) -> None:
        self.number, self.batches = number, batches
        self._outbox = outbox
        self._left = len(batches)
        self._lock = threading.Lock()
        for batch in batches:
            batch.settled = self._one_is_settled

    def _one_is_settled(self) -> None:
        with self._lock:
            self._left -= 1
            left = self._left
        if not left:
            self._outbox.put(self)


class Sequencer:
    """Listens for verifiers, and commits what they hand over."""

    def __init__(self, directory: Path, key: bytes, collector: Collector) -> None:
        self._directory, self._key = directory, key
        self._collector = collector
        self._stop = threading.Event()
        self._listener: socket.socket | None = None
        self._channels: dict[int, Channel] = {}
        self._lock = threading.Lock()
        self._faults = Faults(LOG)
        self._committer = threading.Thread(target=self._commit, name="sequencer-commit", daemon=True)

    def start(self) -> None:
        """Listen and commit; call it with the collector's lease in hand."""
        self._listener = channel.listen(self._directory)
        threading.Thread(target=self._accept, args=(self._listener,), name="sequencer-accept", daemon=True).start()
        self._committer.start()

    def stop(self) -> None:
        """Take nothing more, finish the commit at hand, and end the channels."""
        self._stop.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, which closing does not
            self._listener.close()
        if self._committer.ident is not None:
            self._committer.join()
        with self._lock:
            channels = list(self._channels.values())
        for one in channels:
            one.close()

    @property
    def verifiers(self) -> list[int]:
        """The numbers of those that are connected."""
        with self._lock:
            return sorted(self._channels)

    def _commit(self) -> None:
        while not self._stop.is_set():
            self._collector.commit_waiting(WAKE_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._serve, args=(connection,), name="sequencer-verifier", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """One connection, from its greeting to its end."""
        with connection:
            try:
                verifier, line = channel.accept(connection, self._key, self._may_come)
            except ChannelError as error:
                self._faults.met("greeting", error.code, "a connection is refused", code=error.code, reason=str(error))
                return
            try:
                with self._lock:
                    doubled = self._doubled(verifier)
                    if doubled is None:
                        self._channels[verifier] = line
                if doubled is not None:
                    self._refuse(verifier, line, doubled)
                    return
                LOG.info("a verifier is connected", verifier=verifier)
                self._faults.over("greeting", "verifiers are taken again")
                self._take(verifier, line)
            finally:
                with self._lock:
                    if self._channels.get(verifier) is line:
                        del self._channels[verifier]
                line.close()

    def _may_come(self, verifier: int) -> ChannelError | None:
        with self._lock:
            return self._doubled(verifier)

    def _doubled(self, verifier: int) -> ChannelError | None:
        if verifier not in self._channels:
            return None
        return VerifierDoubledError(f"verifier {verifier} is connected already: give each a number of its own")

    def _take(self, verifier: int, line: Channel) -> None:
        outbox: queue.SimpleQueue[_Told | None] = queue.SimpleQueue()
        sender = threading.Thread(target=self._answer, args=(line, outbox), name="sequencer-answers", daemon=True)
        sender.start()
        try:
            while (message := line.receive()) is not None:
                number, body = message
                told = _Told(number, read_batch(body), outbox)
                self._collector.enter(told.batches)
        except ChannelError as error:
            if not self._stop.is_set():
                self._refuse(verifier, line, error)
        else:
            LOG.info("a verifier has ended", verifier=verifier)
        finally:
            outbox.put(None)
            sender.join()

    @staticmethod
    def _refuse(verifier: int, line: Channel, error: ChannelError) -> None:
        LOG.warning("a verifier's connection is ended", verifier=verifier, code=error.code, reason=str(error))
        line.refuse(error)

    @staticmethod
    def _answer(line: Channel, outbox: queue.SimpleQueue[_Told | None]) -> None:
        while (told := outbox.get()) is not None:
            try:
                line.send(pack_answer(told.number, [batch.outcome for batch in told.batches]))
            except OSError:
                return  # the verifier has gone; its gateways send again
