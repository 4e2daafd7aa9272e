"""The network between the gateways and the authority: TCP that can be cut, or left open while nothing passes."""

import asyncio
import contextlib
import threading

UP, REFUSED, SILENT = "up", "refused", "silent"
"""As it should be; connections end and none is let in; connections stand, and nothing comes through."""


class Proxy:
    """Passes each listening port on to another one, in a thread of its own. `state` may be set at any time."""

    def __init__(self, ports):
        self._ports = ports
        self._state = UP
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="proxy", daemon=True)
        self._thread.start()
        if not started.wait(30):
            raise RuntimeError("the proxy does not start")

    def set(self, state):
        """Change how the network is."""
        self._loop.call_soon_threadsafe(self._set, state)

    def close(self):
        """End it, with every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _set(self, state):
        self._state = state
        if state == SILENT:
            self._passing.clear()
        else:
            self._passing.set()
        if state == REFUSED:
            for writer in self._writers:
                writer.transport.abort()

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        for listening, target in self._ports.items():
            start = asyncio.start_server(lambda *ends, to=target: self._serve(*ends, to), "127.0.0.1", listening)
            self._loop.run_until_complete(start)
        started.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer, target):
        if self._state == REFUSED:
            writer.transport.abort()
            return
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, outer}
        await asyncio.gather(self._pump(reader, outer), self._pump(inner, writer))
        self._writers -= {writer, outer}

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.transport.abort() if self._state == REFUSED else writer.close()
